#include "data/tokenizer.h"

#include "base/file.h"
#include "base/log.h"
#include "data/vocabulary.h"
#include "data/weights_parts.h"

#include <stdlib.h>
#include <string.h>

static const char SPACE[] = "\xE2\x96\x81"; // U+2581
enum { SPACE_BYTES = 3 };

ts_status ts_tokens_push(ts_tokens *tokens, uint32_t id, ts_error *err)
{
    ts_status status = ts_grow(&tokens->ids, &tokens->capacity, tokens->count + 1, sizeof id, err);
    if (status == TS_OK) {
        tokens->ids[tokens->count++] = id;
    }
    return status;
}

void ts_tokens_free(ts_tokens *tokens)
{
    free(tokens->ids);
    *tokens = (ts_tokens){0};
}

ts_status ts_tokenizer_open(ts_weights *model, ts_tokenizer **out, ts_error *err)
{
    ts_status status = TS_OK;
    ts_tokenizer *t = NULL;
    ts_text path = {0};
    bool plain;
    *out = NULL;
    TS_TRY(ts_alloc(1, sizeof *t, &t, err));
    TS_TRY(ts_weights_fill_tokenizer(model, t, &plain, &path, err));
    TS_TRY(ts_tokenizer_read_config(t, model, plain, err));
    if ((status = ts_vocabulary_finish(t, err)) != TS_OK) {
        ts_error_context(err, "%s", path.bytes);
        goto out;
    }
    if (t->normalizes && t->has_normalized && t->prefix == TS_PREFIX_EACH) {
        ts_log_once(TS_LOG_WARN,
                    "%s: some added tokens are \"normalized\": they are found only where the "
                    "normalized text spells them, which for most is behind a space",
                    path.bytes);
    }
    *out = t;
out:
    if (status != TS_OK) {
        ts_tokenizer_close(t);
    }
    ts_text_free(&path);
    return status;
}

void ts_tokenizer_close(ts_tokenizer *tokenizer)
{
    if (tokenizer == NULL) {
        return;
    }
    ts_arena_free(&tokenizer->arena);
    free(tokenizer->pieces);
    free(tokenizer->slots);
    free(tokenizer->merges);
    free(tokenizer->added);
    free(tokenizer);
}

uint32_t ts_tokenizer_vocab_size(const ts_tokenizer *tokenizer)
{
    return tokenizer->piece_count;
}

uint32_t ts_tokenizer_bos(const ts_tokenizer *tokenizer)
{
    return tokenizer->bos;
}

uint32_t ts_tokenizer_eos(const ts_tokenizer *tokenizer)
{
    return tokenizer->eos;
}

bool ts_tokenizer_prefixes_segments(const ts_tokenizer *tokenizer)
{
    return tokenizer->prefix == TS_PREFIX_EACH;
}

uint32_t ts_tokenizer_find(const ts_tokenizer *tokenizer, const char *text)
{
    size_t len = strlen(text);
    for (size_t i = 0; i < tokenizer->added_count; i++) {
        const ts_added *added = &tokenizer->added[i];
        if (added->len == len && memcmp(added->bytes, text, len) == 0) {
            return added->id;
        }
    }
    return TS_TOKEN_NONE;
}

const char *ts_tokenizer_piece(const ts_tokenizer *tokenizer, uint32_t id)
{
    return id < tokenizer->piece_count ? tokenizer->pieces[id].bytes : NULL;
}

static bool gets_prefix(const ts_tokenizer *t, const char *text, size_t len, bool first)
{
    bool has_one = text[0] == ' ' || (len >= SPACE_BYTES && memcmp(text, SPACE, SPACE_BYTES) == 0);
    switch (t->prefix) {
    case TS_PREFIX_EACH:
        return true;
    case TS_PREFIX_FIRST:
        return first && !has_one;
    case TS_PREFIX_ALWAYS:
        return !has_one;
    default:
        return false;
    }
}

// The state of encoding one text.
typedef struct encoding {
    const ts_tokenizer *t;
    const char *text;
    const uint16_t *content; // see ts_tokenizer_encode_rendered; may be NULL
    bool at_start;
    ts_tokens *out, *starts;
    ts_error *err;
} encoding;

static ts_status push_added(const encoding *e, const ts_added_found *found)
{
    ts_status status = ts_tokens_push(e->out, found->id, e->err);
    if (status == TS_OK && e->starts != NULL) {
        status = ts_tokens_push(e->starts, (uint32_t)found->start, e->err);
    }
    return status;
}

// Encodes text[from..to), which contains no added token. `begins`: it is the start of a segment.
static ts_status encode_piece(const encoding *e, size_t from, size_t to, bool begins)
{
    bool each = e->t->prefix == TS_PREFIX_EACH;
    if (from == to && !(each && begins)) {
        return TS_OK;
    }
    bool prefix =
        each ? begins : gets_prefix(e->t, e->text + from, to - from, e->at_start && from == 0);
    return ts_bpe_encode(e->t, e->text + from, to - from, prefix, from, e->out, e->starts, e->err);
}

// Encodes text[from..to) as one segment, which the normalizer treats as a whole. It is then split
// at the added tokens that are searched for after the normalizer.
static ts_status encode_segment(const encoding *e, size_t from, size_t to, bool added)
{
    ts_status status = TS_OK;
    ts_added_found found;
    bool begins = true;
    if (from == to) {
        return TS_OK;
    }
    while (added && e->t->has_normalized && from < to &&
           ts_added_next(e->t, true, e->text, e->content, from, to,
                         begins && e->t->normalizes && e->t->prefix == TS_PREFIX_EACH, &found)) {
        TS_TRY(encode_piece(e, from, found.start, begins && !found.took_virtual));
        TS_TRY(push_added(e, &found));
        from = found.end;
        begins = false;
    }
    if (begins || from < to) {
        TS_TRY(encode_piece(e, from, to, begins));
    }
out:
    return status;
}

static ts_status encode(const ts_tokenizer *tokenizer, const char *text, const uint16_t *content,
                        size_t len, ts_specials specials, bool at_start, ts_tokens *out,
                        ts_tokens *starts, ts_error *err)
{
    ts_status status = TS_OK;
    const encoding e = {tokenizer, text, content, at_start, out, starts, err};
    size_t valid = ts_utf8_valid_prefix(text, len), from = 0;
    ts_added_found found;
    bool added = specials == TS_SPECIALS_AS_TOKENS;
    if (valid < len) {
        TS_FAIL(TS_ERR_FORMAT, "invalid UTF-8 at byte %zu of the text", valid);
    }
    if (len > UINT32_MAX) {
        TS_FAIL(TS_ERR_UNSUPPORTED, "a text of %zu bytes is too long", len);
    }
    while (added && ts_added_next(tokenizer, false, text, content, from, len, false, &found)) {
        TS_TRY(encode_segment(&e, from, found.start, added));
        TS_TRY(push_added(&e, &found));
        from = found.end;
    }
    TS_TRY(encode_segment(&e, from, len, added));
out:
    return status;
}

ts_status ts_tokenizer_encode_part(const ts_tokenizer *tokenizer, const char *text, size_t len,
                                   ts_specials specials, bool at_start, ts_tokens *out,
                                   ts_tokens *starts, ts_error *err)
{
    return encode(tokenizer, text, NULL, len, specials, at_start, out, starts, err);
}

ts_status ts_tokenizer_encode_rendered(const ts_tokenizer *tokenizer, const char *text,
                                       const uint16_t *content, size_t len, bool at_start,
                                       ts_tokens *out, ts_tokens *starts, ts_error *err)
{
    return encode(tokenizer, text, content, len, TS_SPECIALS_AS_TOKENS, at_start, out, starts, err);
}

ts_status ts_tokenizer_encode(const ts_tokenizer *tokenizer, const char *text, size_t len,
                              ts_specials specials, ts_tokens *out, ts_error *err)
{
    return ts_tokenizer_encode_part(tokenizer, text, len, specials, true, out, NULL, err);
}

// Appends a sequence of bytes: as text if it is valid UTF-8, otherwise a U+FFFD for each byte.
static ts_status append_bytes(ts_text *run, ts_text *out, ts_error *err)
{
    ts_status status = TS_OK;
    if (ts_utf8_valid_prefix(run->bytes, run->len) == run->len) {
        TS_TRY(ts_text_append(out, run->bytes, run->len, err));
    } else {
        for (size_t i = 0; i < run->len; i++) {
            TS_TRY(ts_text_append(out, "\xEF\xBF\xBD", 3, err));
        }
    }
    ts_text_clear(run);
out:
    return status;
}

// Appends a piece's text with spaces for its U+2581.
static ts_status append_piece(const ts_piece *piece, ts_text *out, ts_error *err)
{
    ts_status status = TS_OK;
    TS_TRY(ts_text_append(out, " ", piece->marked, err));
    for (size_t at = 0; at < piece->len;) {
        if (piece->len - at >= SPACE_BYTES && memcmp(piece->bytes + at, SPACE, SPACE_BYTES) == 0) {
            TS_TRY(ts_text_append(out, " ", 1, err));
            at += SPACE_BYTES;
        } else {
            TS_TRY(ts_text_append(out, piece->bytes + at++, 1, err));
        }
    }
out:
    return status;
}

ts_status ts_tokenizer_decode(const ts_tokenizer *tokenizer, const uint32_t *ids, size_t count,
                              bool skip_specials, ts_text *out, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text run = {0}, text = {0};
    TS_TRY(ts_text_append(&text, "", 0, err));
    for (size_t i = 0; i < count; i++) {
        const ts_piece *piece = ids[i] < tokenizer->piece_count ? &tokenizer->pieces[ids[i]] : NULL;
        if (piece == NULL || piece->bytes == NULL || (skip_specials && piece->special)) {
            continue;
        }
        if (piece->byte >= 0) {
            char byte = (char)piece->byte;
            TS_TRY(ts_text_append(&run, &byte, 1, err));
            continue;
        }
        TS_TRY(append_bytes(&run, &text, err));
        TS_TRY(append_piece(piece, &text, err));
    }
    TS_TRY(append_bytes(&run, &text, err));
    size_t stripped = tokenizer->strip && text.len > 0 && text.bytes[0] == ' ';
    TS_TRY(ts_text_append(out, text.bytes + stripped, text.len - stripped, err));
out:
    ts_text_free(&run);
    ts_text_free(&text);
    return status;
}
