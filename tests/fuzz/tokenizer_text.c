// Texts for the small tokenizers of each kind: data/split.c, data/nfc.c, data/added.c, data/bpe.c.
// The first byte chooses the tokenizer. A text without special tokens must come back from its ids.
#include "fuzz.h"

#include "data/tokenizer.h"
#include "data/unicode.h"

enum { KINDS = 5 };

static ts_tokenizer *open_kind(unsigned kind)
{
    static const char *const names[KINDS] = {"gpt2", "smollm", "llama3", "qwen2", "gemma"};
    static ts_tokenizer *opened[KINDS];
    if (opened[kind] == NULL) {
        ts_error err = {0};
        ts_weights *weights = NULL;
        char folder[512];
        snprintf(folder, sizeof folder, PROJECT_FOLDER "/tests/data/tokenizers/%s", names[kind]);
        FUZZ_CHECK(ts_weights_open(folder, &weights, &err) == TS_OK);
        FUZZ_CHECK(ts_tokenizer_open(weights, &opened[kind], &err) == TS_OK);
        ts_weights_close(weights);
    }
    return opened[kind];
}

// Each token starts in the text, and no earlier than the one before it.
static void check_starts(const ts_tokens *ids, const ts_tokens *starts, size_t len)
{
    FUZZ_CHECK(starts->count == ids->count);
    for (size_t i = 0; i < starts->count; i++) {
        FUZZ_CHECK(starts->ids[i] <= len && (i == 0 || starts->ids[i] >= starts->ids[i - 1]));
    }
}

// What ids of text[0..len) should decode to: its normal form, or with Gemma its spaces.
static void expect_decoded(unsigned kind, const char *text, size_t len, const ts_text *decoded)
{
    ts_error err = {0};
    ts_text expected = {0}, again = {0};
    ts_tokens origins = {0};
    if (kind == 3) {
        FUZZ_CHECK(ts_nfc_append(text, len, &expected, &origins, &err) == TS_OK);
        FUZZ_CHECK(origins.count == expected.len);
        origins.count = 0;
        FUZZ_CHECK(ts_nfc_append(expected.bytes, expected.len, &again, &origins, &err) == TS_OK);
        FUZZ_CHECK(again.len == expected.len);
        FUZZ_CHECK(again.len == 0 || memcmp(again.bytes, expected.bytes, again.len) == 0);
    } else {
        for (size_t at = 0; at < len; at++) {
            bool space = kind == 4 && len - at >= 3 && memcmp(text + at, "\xE2\x96\x81", 3) == 0;
            FUZZ_CHECK(ts_text_append(&expected, space ? " " : text + at, 1, &err) == TS_OK);
            at += space ? 2 : 0;
        }
    }
    FUZZ_CHECK(decoded->len == expected.len);
    FUZZ_CHECK(expected.len == 0 || memcmp(decoded->bytes, expected.bytes, expected.len) == 0);
    ts_text_free(&expected);
    ts_text_free(&again);
    ts_tokens_free(&origins);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    unsigned kind = data[0] % KINDS;
    const ts_tokenizer *t = open_kind(kind);
    const char *text = (const char *)data + 1;
    size_t len = size - 1;
    for (int specials = 0; specials < 2; specials++) {
        ts_error err = {0};
        ts_tokens ids = {0}, starts = {0};
        ts_text decoded = {0};
        ts_status status = ts_tokenizer_encode_part(t, text, len, (ts_specials)specials, true, &ids,
                                                    &starts, &err);
        fuzz_check_status(status, &err);
        FUZZ_CHECK((status == TS_OK) == (ts_utf8_valid_prefix(text, len) == len));
        if (status == TS_OK) {
            check_starts(&ids, &starts, len);
            FUZZ_CHECK(ts_tokenizer_decode(t, ids.ids, ids.count, false, &decoded, &err) == TS_OK);
            FUZZ_CHECK(ts_utf8_valid_prefix(decoded.bytes, decoded.len) == decoded.len);
            if (specials == TS_SPECIALS_AS_TEXT) {
                expect_decoded(kind, text, len, &decoded);
            }
        }
        ts_tokens_free(&ids);
        ts_tokens_free(&starts);
        ts_text_free(&decoded);
    }
    return 0;
}
