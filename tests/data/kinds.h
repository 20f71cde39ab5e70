// The small tokenizers of tests/data/tokenizers, one of each kind, which
// tools/golden/make_tokenizers.py makes.
#ifndef TESTS_DATA_KINDS_H
#define TESTS_DATA_KINDS_H

#include "data_test.h"

#define KINDS_FOLDER PROJECT_FOLDER "/tests/data/tokenizers"

static const char *const kinds[] = {"gpt2", "smollm", "llama3", "qwen2", "gemma"};
enum { KIND_COUNT = sizeof kinds / sizeof *kinds };

static inline ts_tokenizer *open_tokenizer_at(const char *folder)
{
    ts_error err = {0};
    ts_tokenizer *t = NULL;
    cr_assert_eq(open_tokenizer(folder, &t, &err), TS_OK, "%s", err.message);
    return t;
}

static inline ts_tokenizer *open_kind(const char *kind)
{
    char folder[512];
    snprintf(folder, sizeof folder, KINDS_FOLDER "/%s", kind);
    return open_tokenizer_at(folder);
}

// A kind's tokenizer.json with every `from` replaced by `to`, in `folder`. Release *out if TS_OK.
static inline ts_status open_kind_edited(const char *kind, const char *folder, const char *from,
                                         const char *to, ts_tokenizer **out, ts_error *err)
{
    char path[512];
    ts_text text = {0}, edited = {0};
    ts_error own = {0};
    snprintf(path, sizeof path, KINDS_FOLDER "/%s/tokenizer.json", kind);
    cr_assert_eq(ts_file_read(path, 1 << 24, &text, &own), TS_OK, "%s", own.message);
    const char *at = text.bytes;
    for (const char *next; (next = strstr(at, from)) != NULL; at = next + strlen(from)) {
        cr_assert_eq(ts_text_append(&edited, at, (size_t)(next - at), &own), TS_OK);
        cr_assert_eq(ts_text_append(&edited, to, strlen(to), &own), TS_OK);
    }
    cr_assert_neq(at, text.bytes, "%s: no %s", path, from);
    cr_assert_eq(ts_text_append(&edited, at, strlen(at), &own), TS_OK);
    write_bytes(folder, "tokenizer.json", edited.bytes, edited.len);
    write_text(folder, "tokenizer_config.json",
               "{\"bos_token\":\"<|begin|>\",\"eos_token\":\"<|end|>\"}");
    ts_text_free(&text);
    ts_text_free(&edited);
    return open_tokenizer(folder, out, err);
}

#endif
