// A folder with tensors that a test changes and writes again.
#ifndef TESTS_MODEL_EDITED_H
#define TESTS_MODEL_EDITED_H

#include "tiny_llama.h"

#include <stdio.h>
#include <string.h>

struct edited {
    char folder[32];
    ts_tensors *original; // where the tensors come from; may be NULL
    ts_tensor tensors[64];
    size_t count;
};

static inline void edited_start(struct edited *e)
{
    *e = (struct edited){0};
    snprintf(e->folder, sizeof e->folder, "/tmp/tinysft-test-XXXXXX");
    cr_assert_not_null(mkdtemp(e->folder));
}

// Starts from a tiny model.
static inline void edited_open(struct edited *e, bool tied)
{
    const tiny_llama tiny = {.tied = tied};
    edited_start(e);
    tiny_write(e->folder, &tiny);
    MUST(ts_safetensors_open_model(e->folder, &e->original, err));
    e->count = ts_tensors_count(e->original);
    memcpy(e->tensors, ts_tensors_at(e->original, 0), e->count * sizeof *e->tensors);
}

static inline ts_tensor *edited_find(struct edited *e, const char *name)
{
    size_t i = 0;
    while (i < e->count && strcmp(e->tensors[i].name, name) != 0) {
        i++;
    }
    cr_assert_lt(i, e->count, "no tensor %s", name);
    return &e->tensors[i];
}

static inline void edited_rename(const struct edited *e, const char *from, const char *to)
{
    char old[96], new[96];
    snprintf(old, sizeof old, "%s/%s", e->folder, from);
    snprintf(new, sizeof new, "%s/%s", e->folder, to);
    cr_assert_eq(rename(old, new), 0);
}

static inline void edited_write_bytes(const struct edited *e, const char *name, const void *bytes,
                                      size_t len)
{
    char path[96];
    snprintf(path, sizeof path, "%s/%s", e->folder, name);
    remove(path); // the original stays mapped
    MUST(ts_file_write_plain(path, bytes, len, err));
}

static inline void edited_write_text(const struct edited *e, const char *name, const char *text)
{
    edited_write_bytes(e, name, text, strlen(text));
}

static inline void edited_write(const struct edited *e, const char *name)
{
    ts_text bytes = {0};
    MUST(ts_safetensors_serialise(e->tensors, e->count, &bytes, err));
    edited_write_bytes(e, name, bytes.bytes, bytes.len);
    ts_text_free(&bytes);
}

static inline void edited_close(struct edited *e)
{
    ts_tensors_close(e->original);
    MUST(ts_folder_remove(e->folder, err));
}

#endif
