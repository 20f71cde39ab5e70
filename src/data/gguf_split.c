#include "data/gguf_split.h"

#include "base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DIGITS = 5 };
static const char of[] = "-of-", ending[] = ".gguf";

// Bytes of the part of a name that differs between models only by its digits.
enum { TAIL = 1 + DIGITS + sizeof of - 1 + DIGITS + sizeof ending - 1 };

// Reads DIGITS digits at *at and moves past them. False if there are others.
static bool take_number(const char **at, uint32_t *out)
{
    *out = 0;
    for (int i = 0; i < DIGITS; i++) {
        if (**at < '0' || **at > '9') {
            return false;
        }
        *out = *out * 10 + (uint32_t)(*(*at)++ - '0');
    }
    return true;
}

bool ts_gguf_split_parse(const char *path, uint32_t *number, uint32_t *count)
{
    const size_t len = strlen(path);
    if (len < TAIL) {
        return false;
    }
    const char *at = path + len - TAIL;
    if (*at++ != '-' || !take_number(&at, number) || strncmp(at, of, sizeof of - 1) != 0) {
        return false;
    }
    at += sizeof of - 1;
    return take_number(&at, count) && strcmp(at, ending) == 0 && *number >= 1 && *number <= *count;
}

ts_status ts_gguf_split_path(const char *path, uint32_t number, ts_text *out, ts_error *err)
{
    const size_t len = strlen(path);
    ts_text_clear(out);
    return ts_text_format(out, err, "%.*s-%0*u%s", (int)(len - TAIL), path, DIGITS, number,
                          path + len - TAIL + 1 + DIGITS);
}

// What a file says of its place in a split model. `number` is from 0, as in the file.
struct place {
    uint64_t number, count, tensors;
};

// A file that says nothing is the only one.
static ts_status read_place(const ts_gguf *file, struct place *out, ts_error *err)
{
    ts_status status = TS_OK;
    *out = (struct place){.count = 1};
    if (ts_gguf_find(file, TS_GGUF_KEY_SPLIT_COUNT) != NULL) {
        TS_TRY(ts_gguf_get_uint(file, TS_GGUF_KEY_SPLIT_COUNT, 0, UINT16_MAX, &out->count, err));
    }
    if (out->count > 1) {
        TS_TRY(
            ts_gguf_get_uint(file, TS_GGUF_KEY_SPLIT_NUMBER, 0, out->count - 1, &out->number, err));
        TS_TRY(ts_gguf_get_uint(file, TS_GGUF_KEY_SPLIT_TENSORS, 0, INT32_MAX, &out->tensors, err));
    }
out:
    return status;
}

// The other pieces are found by the name of the first, so that it must be as the file says.
static ts_status check_first(const ts_gguf *file, const struct place *place, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text first = {0};
    uint32_t number, count;
    const char *path = ts_gguf_path(file);
    if (!ts_gguf_split_parse(path, &number, &count) || number != place->number + 1 ||
        count != place->count) {
        TS_FAIL(TS_ERR_FORMAT,
                "%s: says that it is piece %llu of %llu of a split model; its name must end in "
                "-%05llu-of-%05llu.gguf",
                path, (unsigned long long)place->number + 1, (unsigned long long)place->count,
                (unsigned long long)place->number + 1, (unsigned long long)place->count);
    }
    if (number != 1) {
        TS_TRY(ts_gguf_split_path(path, 1, &first, err));
        TS_FAIL(TS_ERR_ARGUMENT, "%s: piece %u of %u of a split model; give the first, %s", path,
                number, count, first.bytes);
    }
out:
    ts_text_free(&first);
    return status;
}

static ts_status check_other(const ts_gguf *file, const ts_gguf *piece, const struct place *first,
                             uint32_t number, ts_error *err)
{
    ts_status status = TS_OK;
    struct place place;
    TS_TRY(read_place(piece, &place, err));
    if (place.count != first->count || place.number + 1 != number) {
        TS_FAIL(TS_ERR_FORMAT, "%s: says that it is piece %llu of %llu, expected %u of %llu",
                ts_gguf_path(piece), (unsigned long long)place.number + 1,
                (unsigned long long)place.count, number, (unsigned long long)first->count);
    }
    if (place.tensors != first->tensors) {
        TS_FAIL(TS_ERR_FORMAT,
                "%s: is of a model of %llu tensors, and %s of one of %llu: pieces of two models?",
                ts_gguf_path(piece), (unsigned long long)place.tensors, ts_gguf_path(file),
                (unsigned long long)first->tensors);
    }
out:
    return status;
}

// Whether a value of a later piece says what the first piece says, or of the piece alone.
static bool is_known(const ts_gguf *file, const ts_gguf_value *value)
{
    const ts_gguf_value *same = ts_gguf_find(file, value->key);
    return strncmp(value->key, "split.", strlen("split.")) == 0 ||
           strcmp(value->key, TS_GGUF_KEY_ALIGNMENT) == 0 ||
           (same != NULL && same->type == value->type && same->len == value->len &&
            memcmp(same->bytes, value->bytes, value->len) == 0);
}

// The metadata is that of the first piece.
static void warn_of_values(const ts_gguf *file, const ts_gguf *piece)
{
    size_t count = 0;
    const char *first = NULL;
    for (size_t i = 0; i < ts_gguf_value_count(piece); i++) {
        const ts_gguf_value *value = ts_gguf_value_at(piece, i);
        if (!is_known(file, value)) {
            first = count++ == 0 ? value->key : first;
        }
    }
    if (count > 0) {
        ts_log_once(TS_LOG_WARN,
                    "%s: %zu value%s of its metadata without effect here, since the first piece's "
                    "count: %.80s%s",
                    ts_gguf_path(piece), count, ts_plural(count), first, count > 1 ? ", ..." : "");
    }
}

static ts_status add_piece(ts_gguf *file, const struct place *first, uint32_t number, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text path = {0};
    ts_gguf *piece = NULL;
    TS_TRY(ts_gguf_split_path(ts_gguf_path(file), number, &path, err));
    if (!ts_file_exists(path.bytes)) {
        TS_FAIL(TS_ERR_IO, "%s: is missing, piece %u of %llu of %s", path.bytes, number,
                (unsigned long long)first->count, ts_gguf_path(file));
    }
    TS_TRY(ts_gguf_open(path.bytes, &piece, err));
    TS_TRY(check_other(file, piece, first, number, err));
    warn_of_values(file, piece);
    TS_TRY(ts_gguf_join(file, &piece, err));
out:
    ts_gguf_close(piece);
    ts_text_free(&path);
    return status;
}

ts_status ts_gguf_open_model(const char *path, ts_gguf **out, ts_error *err)
{
    ts_status status = TS_OK;
    ts_gguf *file = NULL;
    struct place place;
    *out = NULL;
    TS_TRY(ts_gguf_open(path, &file, err));
    TS_TRY(read_place(file, &place, err));
    if (place.count > 1) {
        TS_TRY(check_first(file, &place, err));
        for (uint32_t number = 2; number <= place.count; number++) {
            TS_TRY(add_piece(file, &place, number, err));
        }
        if (ts_gguf_tensor_count(file) != place.tensors) {
            TS_FAIL(TS_ERR_FORMAT, "%s: its %llu pieces have %zu tensors, expected %llu", path,
                    (unsigned long long)place.count, ts_gguf_tensor_count(file),
                    (unsigned long long)place.tensors);
        }
    }
    *out = file;
    file = NULL;
out:
    ts_gguf_close(file);
    return status;
}
