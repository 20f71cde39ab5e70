// data/dataset.c and rows.c: training data in any of its shapes, with a tokenizer of bytes.
#include "fuzz.h"

#include "data/dataset.h"

static ts_status append(ts_text *text, const char *bytes)
{
    return ts_text_append(text, bytes, strlen(bytes), NULL);
}

// tokenizer.json of <unk>, <s>, </s>, the 256 bytes and U+2581, without a merge.
static ts_tokenizer *open_bytes(void)
{
    ts_error err = {0};
    ts_text text = {0};
    ts_tokenizer *tokenizer = NULL;
    append(&text, "{\"added_tokens\":["
                  "{\"id\":0,\"content\":\"<unk>\",\"special\":true},"
                  "{\"id\":1,\"content\":\"<s>\",\"special\":true},"
                  "{\"id\":2,\"content\":\"</s>\",\"special\":true}],"
                  "\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":["
                  "{\"type\":\"Prepend\",\"prepend\":\"\xE2\x96\x81\"},{\"type\":\"Replace\","
                  "\"pattern\":{\"String\":\" \"},\"content\":\"\xE2\x96\x81\"}]},"
                  "\"pre_tokenizer\":null,\"decoder\":{\"type\":\"Sequence\",\"decoders\":["
                  "{\"type\":\"Replace\",\"pattern\":{\"String\":\"\xE2\x96\x81\"},"
                  "\"content\":\" \"},{\"type\":\"ByteFallback\"},{\"type\":\"Fuse\"},"
                  "{\"type\":\"Strip\",\"content\":\" \",\"start\":1,\"stop\":0}]},"
                  "\"model\":{\"type\":\"BPE\",\"byte_fallback\":true,\"merges\":[],"
                  "\"vocab\":{\"<unk>\":0,\"<s>\":1,\"</s>\":2");
    for (int byte = 0; byte < 256; byte++) {
        ts_text_format(&text, NULL, ",\"<0x%02X>\":%d", byte, byte + 3);
    }
    append(&text, ",\"\xE2\x96\x81\":259}}}");
    fuzz_file("tokenizer.json", text.bytes, text.len);
    ts_text_free(&text);
    ts_weights *weights = NULL;
    ts_weights_open(fuzz_folder(), &weights, &err);
    ts_tokenizer_open(weights, &tokenizer, &err);
    ts_weights_close(weights);
    FUZZ_CHECK(tokenizer != NULL);
    return tokenizer;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static ts_tokenizer *tokenizer; // one for all inputs
    static ts_chat_template *templates[2];
    ts_error err = {0};
    ts_dataset dataset = {0};
    if (tokenizer == NULL) {
        tokenizer = open_bytes();
        for (int i = 0; i < 2; i++) {
            ts_chat_template_open(NULL, i == 0 ? "plain" : "zephyr", tokenizer, &templates[i],
                                  &err);
            FUZZ_CHECK(templates[i] != NULL);
        }
    }
    // The input's length chooses the rest.
    const ts_dataset_options options = {.max_tokens = 64,
                                        .train_on = (ts_train_on)(size / 2 % TS_TRAIN_ON_COUNT),
                                        .train_empty = size % 2 == 0};
    ts_status status = ts_dataset_open(fuzz_file("data.json", data, size), tokenizer,
                                       templates[size / 2 % 2], &options, &dataset, &err);
    fuzz_check_status(status, &err);
    for (size_t i = 0; i < dataset.count; i++) {
        const ts_example *row = &dataset.examples[i];
        uint32_t supervised = 0;
        FUZZ_CHECK(row->count > 0 && row->count <= 64);
        for (uint32_t t = 0; t < row->count; t++) {
            FUZZ_CHECK(row->ids[t] < ts_tokenizer_vocab_size(tokenizer));
            supervised += t > 0 && row->supervised[t] != 0;
        }
        FUZZ_CHECK(supervised == row->supervised_count && supervised > 0);
    }
    ts_dataset_close(&dataset);
    return 0;
}
