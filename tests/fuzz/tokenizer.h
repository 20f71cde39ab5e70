// What any tokenizer that could be opened must do with any text.
#ifndef TESTS_FUZZ_TOKENIZER_H
#define TESTS_FUZZ_TOKENIZER_H

#include "fuzz.h"

#include "data/tokenizer.h"

// A model may answer with any ids. Their text must be UTF-8.
static inline void fuzz_decode_all(const ts_tokenizer *tokenizer)
{
    ts_error err = {0};
    ts_text decoded = {0};
    uint32_t ids[1024], count = 0;
    for (; count < 1024 && count < ts_tokenizer_vocab_size(tokenizer); count++) {
        ids[count] = count;
    }
    ts_status status = ts_tokenizer_decode(tokenizer, ids, count, false, &decoded, &err);
    fuzz_check_status(status, &err);
    FUZZ_CHECK(ts_utf8_valid_prefix(decoded.bytes, decoded.len) == decoded.len);
    ts_text_free(&decoded);
}

static inline void fuzz_tokenizer(const char *folder)
{
    static const char *const texts[] = {"", "Hello, w\xC3\xB6rld", " a  b</s>\n",
                                        "<|user|>\n\xF0\x9F\x98\x80",
                                        "it's 123 ab o\xCC\x88w  o\xCC\x88w."};
    ts_error err = {0};
    ts_tokenizer *tokenizer = NULL;
    ts_weights *weights = NULL;
    ts_status status = ts_weights_open(folder, &weights, &err);
    status = status == TS_OK ? ts_tokenizer_open(weights, &tokenizer, &err) : status;
    ts_weights_close(weights);
    fuzz_check_status(status, &err);
    for (size_t i = 0; tokenizer != NULL && i < sizeof texts / sizeof *texts; i++) {
        ts_tokens tokens = {0};
        ts_text decoded = {0};
        status = ts_tokenizer_encode(tokenizer, texts[i], strlen(texts[i]),
                                     i % 2 == 0 ? TS_SPECIALS_AS_TOKENS : TS_SPECIALS_AS_TEXT,
                                     &tokens, &err);
        fuzz_check_status(status, &err);
        for (size_t t = 0; t < tokens.count; t++) {
            FUZZ_CHECK(tokens.ids[t] < ts_tokenizer_vocab_size(tokenizer));
        }
        status = ts_tokenizer_decode(tokenizer, tokens.ids, tokens.count, false, &decoded, &err);
        fuzz_check_status(status, &err);
        FUZZ_CHECK(ts_utf8_valid_prefix(decoded.bytes, decoded.len) == decoded.len);
        ts_text_free(&decoded);
        ts_tokens_free(&tokens);
    }
    if (tokenizer != NULL) {
        fuzz_decode_all(tokenizer);
    }
    ts_tokenizer_close(tokenizer);
}

#endif
