#include "data/tokenizer.h"

#include "base/file.h"
#include "base/json.h"
#include "data/vocabulary.h"

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

// The text of a token that tokenizer_config.json names: a string, or an object with "content".
static const char *named_token(const cJSON *config, const char *key, const char *otherwise)
{
    const cJSON *value = ts_json_get(config, key);
    value = cJSON_IsObject(value) ? ts_json_get(value, "content") : value;
    return cJSON_IsString(value) ? value->valuestring : otherwise;
}

// Added tokens that tokenizer.model does not know stand in tokenizer_config.json.
static ts_status read_added(ts_tokenizer *t, const cJSON *config, const char *path, ts_error *err)
{
    ts_status status = TS_OK;
    const cJSON *added = ts_json_get(config, "added_tokens_decoder");
    for (const cJSON *entry = added != NULL ? added->child : NULL; entry != NULL;
         entry = entry->next) {
        const char *content = NULL;
        char *end = NULL;
        unsigned long id = entry->string != NULL ? strtoul(entry->string, &end, 10) : 0;
        if (end == NULL || end == entry->string || *end != '\0' || id >= TS_VOCABULARY_MAX) {
            TS_FAIL(TS_ERR_FORMAT, "%s: key 'added_tokens_decoder': '%s' is no token id", path,
                    entry->string != NULL ? entry->string : "");
        }
        TS_TRY(ts_json_get_text(entry, "content", path, &content, err));
        if (ts_tokenizer_find(t, content) == TS_TOKEN_NONE) {
            TS_TRY(ts_vocabulary_add_token(t, content, strlen(content), (uint32_t)id,
                                           cJSON_IsTrue(ts_json_get(entry, "special")), err));
        }
    }
out:
    return status;
}

static ts_status read_config(ts_tokenizer *t, const char *folder, bool spm, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text path = {0};
    cJSON *config = NULL;
    bool found;
    TS_TRY(ts_path_join(folder, "tokenizer_config.json", &path, err));
    TS_TRY(ts_file_find(path.bytes, &found, err));
    if (found) {
        TS_TRY(ts_json_parse_file(path.bytes, &config, err));
    }
    if (spm) {
        TS_TRY(read_added(t, config, path.bytes, err));
    }
    const char *eos = named_token(config, "eos_token", "</s>");
    t->bos = ts_tokenizer_find(t, named_token(config, "bos_token", "<s>"));
    t->eos = ts_tokenizer_find(t, eos);
    if (t->eos == TS_TOKEN_NONE) {
        TS_FAIL(TS_ERR_FORMAT, "%s: the tokenizer has no end token '%s'", folder, eos);
    }
out:
    cJSON_Delete(config);
    ts_text_free(&path);
    return status;
}

ts_status ts_tokenizer_open(const char *model_folder, ts_tokenizer **out, ts_error *err)
{
    ts_status status = TS_OK;
    ts_tokenizer *t = NULL;
    ts_text path = {0};
    bool found, spm = false;
    *out = NULL;
    TS_TRY(ts_alloc(1, sizeof *t, &t, err));
    TS_TRY(ts_path_join(model_folder, "tokenizer.json", &path, err));
    TS_TRY(ts_file_find(path.bytes, &found, err));
    if (!found) {
        spm = true;
        TS_TRY(ts_path_join(model_folder, "tokenizer.model", &path, err));
        TS_TRY(ts_file_find(path.bytes, &found, err));
        if (!found) {
            TS_FAIL(TS_ERR_IO, "%s: holds neither tokenizer.json nor tokenizer.model",
                    model_folder);
        }
    }
    TS_TRY(spm ? ts_tokenizer_read_spm(t, path.bytes, err)
               : ts_tokenizer_read_json(t, path.bytes, err));
    TS_TRY(read_config(t, model_folder, spm, err));
    if ((status = ts_vocabulary_finish(t, err)) != TS_OK) {
        ts_error_context(err, "%s", path.bytes);
        goto out;
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

// The longest added token at text[0..len), or NULL.
static const ts_added *added_at(const ts_tokenizer *t, const char *text, size_t len)
{
    if (!t->added_first[(unsigned char)text[0]]) {
        return NULL;
    }
    for (size_t i = 0; i < t->added_count; i++) {
        const ts_added *added = &t->added[i];
        if (added->len <= len && memcmp(added->bytes, text, added->len) == 0) {
            return added;
        }
    }
    return NULL;
}

uint32_t ts_tokenizer_added_at(const ts_tokenizer *tokenizer, const char *text, size_t len,
                               size_t *taken)
{
    const ts_added *added = len > 0 ? added_at(tokenizer, text, len) : NULL;
    *taken = added != NULL ? added->len : 0;
    return added != NULL ? added->id : TS_TOKEN_NONE;
}

const char *ts_tokenizer_piece(const ts_tokenizer *tokenizer, uint32_t id)
{
    return id < tokenizer->piece_count ? tokenizer->pieces[id].bytes : NULL;
}

bool ts_tokenizer_spells_added(const ts_tokenizer *tokenizer, const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        const ts_added *added = added_at(tokenizer, text + i, len - i);
        if (added != NULL && tokenizer->pieces[added->id].special) {
            return true;
        }
    }
    return false;
}

// Whether a special token stands there in what a turn says: then it is text.
static bool is_content(const ts_tokenizer *t, const ts_added *added, const uint16_t *content)
{
    bool spoken = false;
    for (size_t i = 0; i < added->len && content != NULL; i++) {
        spoken = spoken || content[i] != 0;
    }
    return spoken && t->pieces[added->id].special;
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

// text[from..to) as one segment.
static ts_status encode_segment(const ts_tokenizer *t, const char *text, size_t from, size_t to,
                                bool at_start, ts_tokens *out, ts_tokens *starts, ts_error *err)
{
    if (from == to) {
        return TS_OK;
    }
    bool prefix = gets_prefix(t, text + from, to - from, at_start && from == 0);
    return ts_bpe_encode(t, text + from, to - from, prefix, from, out, starts, err);
}

static ts_status encode(const ts_tokenizer *tokenizer, const char *text, const uint16_t *content,
                        size_t len, ts_specials specials, bool at_start, ts_tokens *out,
                        ts_tokens *starts, ts_error *err)
{
    ts_status status = TS_OK;
    size_t valid = ts_utf8_valid_prefix(text, len), from = 0;
    if (valid < len) {
        TS_FAIL(TS_ERR_FORMAT, "invalid UTF-8 at byte %zu of the text", valid);
    }
    if (len > UINT32_MAX) {
        TS_FAIL(TS_ERR_UNSUPPORTED, "a text of %zu bytes is too long", len);
    }
    for (size_t at = 0; at < len && specials == TS_SPECIALS_AS_TOKENS;) {
        const ts_added *added = added_at(tokenizer, text + at, len - at);
        if (added == NULL || is_content(tokenizer, added, content != NULL ? content + at : NULL)) {
            at++;
            continue;
        }
        TS_TRY(encode_segment(tokenizer, text, from, at, at_start, out, starts, err));
        TS_TRY(ts_tokens_push(out, added->id, err));
        if (starts != NULL) {
            TS_TRY(ts_tokens_push(starts, (uint32_t)at, err));
        }
        at += added->len;
        from = at;
    }
    TS_TRY(encode_segment(tokenizer, text, from, len, at_start, out, starts, err));
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

// Bytes in a row are text if they are valid together; otherwise each is a U+FFFD.
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

// A piece's text with its U+2581 as spaces.
static ts_status append_piece(const ts_piece *piece, ts_text *out, ts_error *err)
{
    ts_status status = TS_OK;
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
