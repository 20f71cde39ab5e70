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

// Replaces every `from` in the text by `to`; there must be one.
static inline void replace_in(ts_text *text, const char *from, const char *to)
{
    ts_error err = {0};
    ts_text edited = {0};
    const char *at = text->bytes;
    for (const char *next; (next = strstr(at, from)) != NULL; at = next + strlen(from)) {
        cr_assert_eq(ts_text_append(&edited, at, (size_t)(next - at), &err), TS_OK);
        cr_assert_eq(ts_text_append(&edited, to, strlen(to), &err), TS_OK);
    }
    cr_assert_neq(at, text->bytes, "no %s", from);
    cr_assert_eq(ts_text_append(&edited, at, strlen(at), &err), TS_OK);
    ts_text_free(text);
    *text = edited;
}

// Opens a kind's tokenizer.json in `folder` with edits: pairs of what is replaced and by what, then
// NULL. Release *out if TS_OK.
static inline ts_status open_kind_edited(const char *kind, const char *folder,
                                         const char *const *edits, ts_tokenizer **out,
                                         ts_error *err)
{
    char path[512];
    ts_text text = {0};
    snprintf(path, sizeof path, KINDS_FOLDER "/%s/tokenizer.json", kind);
    cr_assert_eq(ts_file_read(path, 1 << 24, &text, err), TS_OK, "%s", err->message);
    for (; *edits != NULL; edits += 2) {
        replace_in(&text, edits[0], edits[1]);
    }
    write_bytes(folder, "tokenizer.json", text.bytes, text.len);
    write_text(folder, "tokenizer_config.json",
               "{\"bos_token\":\"<|begin|>\",\"eos_token\":\"<|end|>\"}");
    ts_text_free(&text);
    return open_tokenizer(folder, out, err);
}

#endif
