// data/tokenizer_json.c: Hugging Face's tokenizer.json.
#include "tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_file("tokenizer.json", data, size);
    fuzz_tokenizer(fuzz_folder());
    return 0;
}
