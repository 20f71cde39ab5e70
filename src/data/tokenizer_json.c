// Reads tokenizer.json, as Hugging Face tokenizers writes it: BPE over code points with byte
// fallback and spaces as U+2581, or byte-level BPE. Anything else that a file asks for is refused
// by name.
#include "base/keys.h"
#include "data/tokenizer_parts.h"

#include <stdlib.h>
#include <string.h>

static ts_status read_vocabulary(ts_tokenizer_reading *r, const cJSON *vocabulary)
{
    ts_status status = TS_OK;
    ts_error *err = r->err;
    if (!cJSON_IsObject(vocabulary)) {
        TS_FAIL(TS_ERR_FORMAT, "%s: key 'vocab': expected an object, found %s", r->path,
                ts_json_kind(vocabulary));
    }
    for (const cJSON *entry = vocabulary->child; entry != NULL; entry = entry->next) {
        uint64_t id = 0;
        if (!ts_json_uint(entry, &id) || id >= TS_VOCABULARY_MAX) {
            TS_FAIL(TS_ERR_FORMAT, "%s: token '%.40s' has no whole number as its id", r->path,
                    entry->string);
        }
        status = ts_vocabulary_add(r->tokenizer, entry->string, strlen(entry->string), (uint32_t)id,
                                   err);
        if (status != TS_OK) {
            ts_error_context(err, "%s", r->path);
            goto out;
        }
    }
out:
    return status;
}

static ts_status read_added_token(ts_tokenizer_reading *r, const cJSON *entry)
{
    ts_status status = TS_OK;
    ts_error *err = r->err;
    const char *content = NULL;
    uint64_t id = 0;
    unsigned flags = 0;
    TS_TRY(ts_json_get_uint(entry, "id", 0, TS_VOCABULARY_MAX - 1, r->path, &id, err));
    TS_TRY(ts_json_get_text(entry, "content", r->path, &content, err));
    TS_TRY(ts_tokenizer_read_flags(entry, content, r->path, &flags, err));
    status =
        ts_vocabulary_add_token(r->tokenizer, content, strlen(content), (uint32_t)id, flags, err);
    if (status != TS_OK) {
        ts_error_context(err, "%s", r->path);
    }
out:
    return status;
}

static ts_status read_added_tokens(ts_tokenizer_reading *r, const cJSON *tokens)
{
    ts_status status = TS_OK;
    ts_error *err = r->err;
    if (tokens != NULL && !cJSON_IsNull(tokens) && !cJSON_IsArray(tokens)) {
        TS_FAIL(TS_ERR_FORMAT, "%s: key 'added_tokens': expected an array, found %s", r->path,
                ts_json_kind(tokens));
    }
    for (const cJSON *entry = tokens != NULL ? tokens->child : NULL; entry != NULL;
         entry = entry->next) {
        TS_TRY(read_added_token(r, entry));
    }
out:
    return status;
}

// "a b" or ["a", "b"].
static ts_status read_merge(ts_tokenizer_reading *r, const cJSON *entry, uint32_t rank)
{
    const char *left = NULL, *right = NULL;
    size_t left_len = 0;
    if (cJSON_IsString(entry)) {
        const char *space = strchr(entry->valuestring, ' ');
        if (space != NULL && strchr(space + 1, ' ') == NULL) {
            left = entry->valuestring;
            left_len = (size_t)(space - left);
            right = space + 1;
        }
    } else if (cJSON_IsArray(entry) && cJSON_GetArraySize(entry) == 2 &&
               cJSON_IsString(entry->child) && cJSON_IsString(entry->child->next)) {
        left = entry->child->valuestring;
        left_len = strlen(left);
        right = entry->child->next->valuestring;
    }
    if (left == NULL) {
        return ts_error_set(r->err, TS_ERR_FORMAT, "not two pieces");
    }
    return ts_vocabulary_add_merge(r->tokenizer, left, left_len, right, strlen(right), rank,
                                   r->err);
}

static ts_status read_merges(ts_tokenizer_reading *r, const cJSON *merges)
{
    ts_status status = TS_OK;
    ts_error *err = r->err;
    uint32_t rank = 0;
    if (!cJSON_IsArray(merges)) {
        TS_FAIL(TS_ERR_FORMAT, "%s: key 'merges': expected an array, found %s", r->path,
                ts_json_kind(merges));
    }
    for (const cJSON *entry = merges->child; entry != NULL; entry = entry->next, rank++) {
        if ((status = read_merge(r, entry, rank)) != TS_OK) {
            ts_error_context(err, "%s: merges[%u]", r->path, rank);
            goto out;
        }
    }
out:
    return status;
}

// The token that stands for what the vocabulary cannot spell. With byte fallback it is never
// needed, since every byte has a piece.
static ts_status read_unknown(ts_tokenizer_reading *r, const cJSON *model)
{
    ts_tokenizer *t = r->tokenizer;
    const cJSON *unknown = ts_json_get(model, "unk_token");
    if (!t->byte_level || ts_key_is_off(unknown)) {
        return TS_OK;
    }
    const char *text = cJSON_IsString(unknown) ? unknown->valuestring : "";
    t->unknown = ts_vocabulary_find(t, text, strlen(text));
    t->fuse_unknown = cJSON_IsTrue(ts_json_get(model, "fuse_unk"));
    if (t->unknown == TS_TOKEN_NONE) {
        return ts_error_set(r->err, TS_ERR_FORMAT, "%s: key 'unk_token': no token is '%.40s'",
                            r->path, text);
    }
    return TS_OK;
}

// The options of a BPE model other than its merges must be off.
static ts_status read_model(ts_tokenizer_reading *r, const cJSON *model)
{
    static const ts_key keys[] = {
        {"type", TS_KEY_READ},
        {"vocab", TS_KEY_READ},
        {"merges", TS_KEY_READ},
        {"unk_token", TS_KEY_READ},
        {"fuse_unk", TS_KEY_READ},
        {"byte_fallback", TS_KEY_READ},
        {"ignore_merges", TS_KEY_READ},
        {"dropout", TS_KEY_ONLY},
        {"continuing_subword_prefix", TS_KEY_ONLY},
        {"end_of_word_suffix", TS_KEY_ONLY},
    };
    ts_status status = TS_OK;
    ts_error *err = r->err;
    ts_tokenizer *t = r->tokenizer;
    const char *type = NULL;
    TS_TRY(ts_json_get_text(model, "type", r->path, &type, err));
    if (strcmp(type, "BPE") != 0) {
        TS_FAIL(TS_ERR_UNSUPPORTED, "%s: model type '%.40s' is not supported, only BPE is", r->path,
                type);
    }
    TS_TRY(ts_keys_check(model, keys, TS_COUNT(keys), true, r->path, err));
    bool fallback = cJSON_IsTrue(ts_json_get(model, "byte_fallback"));
    t->ignore_merges = cJSON_IsTrue(ts_json_get(model, "ignore_merges"));
    if (fallback == t->byte_level) {
        TS_FAIL(TS_ERR_UNSUPPORTED, "%s: a BPE model %s is not supported", r->path,
                fallback ? "with both byte_fallback and ByteLevel"
                         : "without byte_fallback or ByteLevel");
    }
    if (t->ignore_merges && !t->byte_level) {
        TS_FAIL(TS_ERR_UNSUPPORTED,
                "%s: key 'ignore_merges' is true: not implemented for a BPE model with "
                "byte_fallback",
                r->path);
    }
    TS_TRY(read_vocabulary(r, ts_json_get(model, "vocab")));
out:
    return status;
}

// The keys of the file. Truncation and padding are not applied; transformers ignores those settings
// of the file too.
static const ts_key parts[] = {
    {"version", TS_KEY_READ},    {"added_tokens", TS_KEY_READ},   {"normalizer", TS_KEY_READ},
    {"decoder", TS_KEY_READ},    {"pre_tokenizer", TS_KEY_READ},  {"model", TS_KEY_READ},
    {"truncation", TS_KEY_NOTE}, {"post_processor", TS_KEY_READ}, {"padding", TS_KEY_NOTE},
};

ts_status ts_tokenizer_read_json(ts_tokenizer *tokenizer, const char *path, ts_error *err)
{
    ts_status status = TS_OK;
    cJSON *json = NULL;
    ts_tokenizer_reading r = {tokenizer, path, err};
    TS_TRY(ts_json_parse_file(path, &json, err));
    const cJSON *model = ts_json_get(json, "model");
    if (!cJSON_IsObject(model)) {
        TS_FAIL(TS_ERR_FORMAT, "%s: key 'model': expected an object, found %s", path,
                ts_json_kind(model));
    }
    TS_TRY(ts_keys_check(json, parts, TS_COUNT(parts), true, path, err));
    TS_TRY(ts_tokenizer_read_normalizer(&r, ts_json_get(json, "normalizer")));
    TS_TRY(ts_tokenizer_read_pre_tokenizer(&r, ts_json_get(json, "pre_tokenizer")));
    TS_TRY(ts_tokenizer_read_decoder(&r, ts_json_get(json, "decoder")));
    TS_TRY(read_model(&r, model));
    TS_TRY(read_added_tokens(&r, ts_json_get(json, "added_tokens")));
    TS_TRY(read_unknown(&r, model));
    TS_TRY(read_merges(&r, ts_json_get(model, "merges")));
    TS_TRY(ts_tokenizer_read_post_processor(&r, ts_json_get(json, "post_processor")));
out:
    cJSON_Delete(json);
    return status;
}
