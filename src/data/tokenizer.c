#include "data/tokenizer.h"

#include "base/file.h"
#include "base/log.h"
#include "data/byte_level.h"
#include "data/unicode.h"
#include "data/vocabulary.h"
#include "data/weights_parts.h"

#include <stdlib.h>
#include <string.h>

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

// Warns of bytes of UTF-8 for which a byte-level vocabulary has no piece.
static void tell_lacking(const ts_tokenizer *t, const char *path)
{
    unsigned lacking = 0;
    for (unsigned byte = 0; byte < 0xF5 && t->byte_level && t->unknown == TS_TOKEN_NONE; byte++) {
        bool used = byte != 0xC0 && byte != 0xC1;
        lacking += used && t->byte_ids[byte] == TS_TOKEN_NONE;
    }
    if (lacking > 0) {
        ts_log_once(TS_LOG_WARN,
                    "%s: the vocabulary lacks %u of the bytes that a text may hold, and has no "
                    "unk_token: they are left out, as Hugging Face's tokenizers do",
                    path, lacking);
    }
}

ts_status ts_tokenizer_open(ts_weights *model, ts_tokenizer **out, ts_error *err)
{
    ts_status status = TS_OK;
    ts_tokenizer *t = NULL;
    ts_text path = {0};
    bool plain;
    *out = NULL;
    TS_TRY(ts_alloc(1, sizeof *t, &t, err));
    t->lead = t->unknown = TS_TOKEN_NONE;
    TS_TRY(ts_weights_fill_tokenizer(model, t, &plain, &path, err));
    TS_TRY(ts_tokenizer_read_config(t, model, plain, err));
    if ((status = ts_vocabulary_finish(t, err)) != TS_OK) {
        ts_error_context(err, "%s", path.bytes);
        goto out;
    }
    tell_lacking(t, path.bytes);
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

uint32_t ts_tokenizer_lead(const ts_tokenizer *tokenizer)
{
    return tokenizer->lead;
}

uint32_t ts_tokenizer_find(const ts_tokenizer *tokenizer, const char *text)
{
    uint32_t id = ts_vocabulary_find(tokenizer, text, strlen(text));
    return id != TS_TOKEN_NONE && tokenizer->pieces[id].added != 0 ? id : TS_TOKEN_NONE;
}

const char *ts_tokenizer_piece(const ts_tokenizer *tokenizer, uint32_t id)
{
    return id < tokenizer->piece_count ? tokenizer->pieces[id].bytes : NULL;
}

static bool gets_prefix(const ts_tokenizer *t, const char *text, size_t len, bool first)
{
    bool has_one = text[0] == ' ' || ts_starts_with_space_mark(text, len);
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
    bool added; // added tokens are searched for
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
    if (from >= to && !(each && begins)) {
        return TS_OK;
    }
    bool prefix =
        each ? begins : gets_prefix(e->t, e->text + from, to - from, e->at_start && from == 0);
    return ts_bpe_encode(e->t, e->text + from, to - from, prefix, from, e->out, e->starts, e->err);
}

// Encodes text[from..to), which the normalizer has treated as a whole. It is split at the added
// tokens that are searched for after the normalizer.
static ts_status encode_normalized(const encoding *e, size_t from, size_t to)
{
    ts_status status = TS_OK;
    const ts_added_search search = {e->t, e->text, e->content, from, to, true};
    ts_added_found found;
    bool begins = true;
    for (size_t next = from; e->added && e->t->has_normalized && next < to; next = found.next) {
        bool virtual_space = begins && e->t->normalizes && e->t->prefix == TS_PREFIX_EACH;
        if (!ts_added_next(&search, next, from, virtual_space, &found)) {
            break;
        }
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

// The same for text that NFC changes: it is encoded as NFC has it, and the starts of tokens are
// those of the characters that they come from.
static ts_status encode_composed(const encoding *e, size_t from, size_t to)
{
    ts_status status = TS_OK;
    ts_text text = {0};
    ts_tokens origins = {0};
    uint16_t *content = NULL;
    TS_TRY(ts_nfc_append(e->text + from, to - from, &text, &origins, e->err));
    if (e->content != NULL) {
        TS_TRY(ts_alloc(text.len, sizeof *content, &content, e->err));
        for (size_t i = 0; i < text.len; i++) {
            content[i] = e->content[from + origins.ids[i]];
        }
    }
    encoding composed = *e;
    composed.text = text.bytes;
    composed.content = content;
    size_t count = e->starts != NULL ? e->starts->count : 0;
    TS_TRY(encode_normalized(&composed, 0, text.len));
    for (size_t i = count; e->starts != NULL && i < e->starts->count; i++) {
        e->starts->ids[i] = (uint32_t)(from + origins.ids[e->starts->ids[i]]);
    }
out:
    ts_text_free(&text);
    ts_tokens_free(&origins);
    free(content);
    return status;
}

// Encodes text[from..to) between two added tokens.
static ts_status encode_segment(const encoding *e, size_t from, size_t to)
{
    if (from >= to) {
        return TS_OK;
    }
    return e->t->nfc && ts_nfc_may_change(e->text + from, to - from)
               ? encode_composed(e, from, to)
               : encode_normalized(e, from, to);
}

static ts_status encode(const ts_tokenizer *tokenizer, const char *text, const uint16_t *content,
                        size_t len, ts_specials specials, bool at_start, ts_tokens *out,
                        ts_tokens *starts, ts_error *err)
{
    ts_status status = TS_OK;
    bool added = specials == TS_SPECIALS_AS_TOKENS;
    const encoding e = {tokenizer, text, content, at_start, added, out, starts, err};
    const ts_added_search search = {tokenizer, text, content, 0, len, false};
    size_t valid = ts_utf8_valid_prefix(text, len), from = 0;
    ts_added_found found;
    if (valid < len) {
        TS_FAIL(TS_ERR_FORMAT, "invalid UTF-8 at byte %zu of the text", valid);
    }
    if (len > UINT32_MAX) {
        TS_FAIL(TS_ERR_UNSUPPORTED, "a text of %zu bytes is too long, expected at most %u", len,
                UINT32_MAX);
    }
    for (size_t next = 0; added && ts_added_next(&search, next, from, false, &found);
         next = found.next) {
        TS_TRY(encode_segment(&e, from, found.start));
        TS_TRY(push_added(&e, &found));
        from = found.end;
    }
    TS_TRY(encode_segment(&e, from, len));
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
        if (ts_starts_with_space_mark(piece->bytes + at, piece->len - at)) {
            TS_TRY(ts_text_append(out, " ", 1, err));
            at += TS_SPACE_MARK_BYTES;
        } else {
            TS_TRY(ts_text_append(out, piece->bytes + at++, 1, err));
        }
    }
out:
    return status;
}

bool ts_tokenizer_is_special(const ts_tokenizer *tokenizer, uint32_t id)
{
    return id < tokenizer->piece_count && tokenizer->pieces[id].special;
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
        if (tokenizer->byte_level) {
            const ts_added *added = piece->added > 0 ? &tokenizer->added[piece->added - 1] : NULL;
            TS_TRY(added != NULL ? ts_byte_append_piece(added->bytes, added->len, &run, err)
                                 : ts_byte_append_piece(piece->bytes, piece->len, &run, err));
            continue;
        }
        TS_TRY(append_bytes(&run, &text, err));
        TS_TRY(append_piece(piece, &text, err));
    }
    TS_TRY(tokenizer->byte_level ? ts_byte_append_text(run.bytes, run.len, &text, err)
                                 : append_bytes(&run, &text, err));
    size_t stripped = tokenizer->strip && text.len > 0 && text.bytes[0] == ' ';
    TS_TRY(ts_text_append(out, text.bytes + stripped, text.len - stripped, err));
out:
    ts_text_free(&run);
    ts_text_free(&text);
    return status;
}
