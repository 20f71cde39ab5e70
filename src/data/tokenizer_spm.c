// Reads tokenizer.model, SentencePiece's ModelProto, directly from the protobuf wire format
// (https://github.com/google/sentencepiece, sentencepiece_model.proto). The file stores pieces with
// scores and no merges; spm_pieces.c finds these.
#include "base/file.h"
#include "data/spm_pieces.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5 }; // wire types

enum { MODEL_BPE = 2, MAX_FILE_BYTES = 64 << 20 };

typedef struct wire {
    const unsigned char *bytes;
    size_t len, at;
} wire;

// One field of a message. `body` is its content if its type is BYTES, `number` its value otherwise.
typedef struct field {
    uint32_t number, type;
    uint64_t value;
    wire body;
} field;

typedef struct reading {
    ts_tokenizer *tokenizer;
    const char *path;
    ts_spm_piece *pieces;
    size_t count, capacity;
    bool bpe, byte_fallback, suffix;
    bool dummy_prefix, remove_extra_spaces, escape_spaces;
    bool charsmap; // the normalizer replaces characters, which is not implemented
    ts_error *err;
} reading;

static bool read_varint(wire *w, uint64_t *out)
{
    *out = 0;
    for (unsigned shift = 0; shift < 64 && w->at < w->len; shift += 7) {
        uint64_t byte = w->bytes[w->at++];
        *out |= (byte & 0x7F) << shift;
        if (byte < 0x80) {
            return true;
        }
    }
    return false;
}

static bool read_fixed(wire *w, size_t size, uint64_t *out)
{
    if (w->len - w->at < size) {
        return false;
    }
    *out = 0;
    for (size_t i = 0; i < size; i++) {
        *out |= (uint64_t)w->bytes[w->at++] << 8 * i;
    }
    return true;
}

// Reads the next field of a message that has bytes left. False if the message is not valid.
static bool next_field(wire *w, field *out)
{
    uint64_t key = 0;
    if (!read_varint(w, &key) || key >> 3 > UINT32_MAX) {
        return false;
    }
    *out = (field){.number = (uint32_t)(key >> 3), .type = key & 7};
    switch (out->type) {
    case VARINT:
        return read_varint(w, &out->value);
    case FIXED64:
        return read_fixed(w, 8, &out->value);
    case FIXED32:
        return read_fixed(w, 4, &out->value);
    case BYTES:
        if (!read_varint(w, &out->value) || out->value > w->len - w->at) {
            return false;
        }
        out->body = (wire){w->bytes + w->at, (size_t)out->value, 0};
        w->at += (size_t)out->value;
        return true;
    default:
        return false;
    }
}

static ts_status broken(reading *r, const char *what)
{
    return ts_error_set(r->err, TS_ERR_FORMAT, "%s: broken %s; not a SentencePiece model?", r->path,
                        what);
}

// SentencePiece { 1: piece, 2: score, 3: type }
static ts_status read_piece(reading *r, wire body)
{
    ts_spm_piece piece = {.type = TS_SPM_NORMAL};
    field f;
    while (body.at < body.len) {
        if (!next_field(&body, &f)) {
            return broken(r, "piece");
        }
        if (f.number == 1 && f.type == BYTES) {
            piece.bytes = (const char *)f.body.bytes;
            piece.len = (uint32_t)f.body.len;
        } else if (f.number == 2 && f.type == FIXED32) {
            uint32_t bits = (uint32_t)f.value;
            memcpy(&piece.score, &bits, sizeof bits);
        } else if (f.number == 3 && f.type == VARINT) {
            piece.type = (uint32_t)ts_min_u64(f.value, UINT32_MAX);
        }
    }
    if (piece.len == 0 || !isfinite(piece.score) ||
        ts_utf8_valid_prefix(piece.bytes, piece.len) < piece.len) {
        return broken(r, "piece");
    }
    ts_status status = ts_grow(&r->pieces, &r->capacity, r->count + 1, sizeof *r->pieces, r->err);
    if (status == TS_OK) {
        r->pieces[r->count++] = piece;
    }
    return status;
}

// TrainerSpec { 3: model_type, 24: treat_whitespace_as_suffix, 35: byte_fallback }
static ts_status read_trainer(reading *r, wire body)
{
    field f;
    while (body.at < body.len) {
        if (!next_field(&body, &f)) {
            return broken(r, "trainer_spec");
        }
        if (f.type == VARINT) {
            r->bpe = f.number == 3 ? f.value == MODEL_BPE : r->bpe;
            r->suffix = f.number == 24 ? f.value != 0 : r->suffix;
            r->byte_fallback = f.number == 35 ? f.value != 0 : r->byte_fallback;
        }
    }
    return TS_OK;
}

// NormalizerSpec { 2: precompiled_charsmap, 3: add_dummy_prefix, 4: remove_extra_whitespaces,
// 5: escape_whitespaces }, the last three true where absent
static ts_status read_normalizer(reading *r, wire body)
{
    field f;
    while (body.at < body.len) {
        if (!next_field(&body, &f)) {
            return broken(r, "normalizer_spec");
        }
        if (f.number == 2 && f.type == BYTES) {
            r->charsmap = f.body.len > 0;
        } else if (f.type == VARINT) {
            r->dummy_prefix = f.number == 3 ? f.value != 0 : r->dummy_prefix;
            r->remove_extra_spaces = f.number == 4 ? f.value != 0 : r->remove_extra_spaces;
            r->escape_spaces = f.number == 5 ? f.value != 0 : r->escape_spaces;
        }
    }
    return TS_OK;
}

// ModelProto { 1: repeated SentencePiece, 2: TrainerSpec, 3: NormalizerSpec }
static ts_status read_model(reading *r, wire body)
{
    ts_status status = TS_OK;
    field f;
    r->dummy_prefix = r->remove_extra_spaces = r->escape_spaces = true;
    while (body.at < body.len && status == TS_OK) {
        if (!next_field(&body, &f)) {
            return broken(r, "message");
        }
        if (f.type == BYTES) {
            status = f.number == 1   ? read_piece(r, f.body)
                     : f.number == 2 ? read_trainer(r, f.body)
                     : f.number == 3 ? read_normalizer(r, f.body)
                                     : TS_OK;
        }
    }
    return status;
}

static ts_status check_supported(reading *r)
{
    const char *what = !r->bpe                  ? "a model type other than BPE"
                       : !r->byte_fallback      ? "BPE without byte_fallback"
                       : r->suffix              ? "treat_whitespace_as_suffix"
                       : r->charsmap            ? "a precompiled_charsmap (normalisation)"
                       : r->remove_extra_spaces ? "remove_extra_whitespaces"
                       : !r->escape_spaces      ? "escape_whitespaces false"
                                                : NULL;
    return what == NULL
               ? TS_OK
               : ts_error_set(r->err, TS_ERR_UNSUPPORTED, "%s: %s is not supported", r->path, what);
}

ts_status ts_tokenizer_read_spm(ts_tokenizer *tokenizer, const char *path, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text text = {0};
    reading r = {.tokenizer = tokenizer, .path = path, .err = err};
    TS_TRY(ts_file_read(path, MAX_FILE_BYTES, &text, err));
    TS_TRY(ts_file_refuse_pointer(path, text.bytes, text.len, err));
    TS_TRY(read_model(&r, (wire){(const unsigned char *)text.bytes, text.len, 0}));
    TS_TRY(check_supported(&r));
    tokenizer->prefix = r.dummy_prefix ? TS_PREFIX_EACH : TS_PREFIX_NEVER;
    tokenizer->strip = r.dummy_prefix;
    if ((status = ts_spm_add_pieces(tokenizer, r.pieces, r.count, false, err)) != TS_OK) {
        ts_error_context(err, "%s", path);
    }
out:
    free(r.pieces);
    ts_text_free(&text);
    return status;
}
