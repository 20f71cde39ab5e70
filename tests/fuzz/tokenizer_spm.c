// data/tokenizer_spm.c: SentencePiece's tokenizer.model, a protocol buffer.
#include "tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_file("tokenizer.model", data, size);
    fuzz_tokenizer(fuzz_folder());
    return 0;
}
