// Reads tokenizer.json, as Hugging Face tokenizers writes it for the Llama family: BPE over code
// points with byte fallback, spaces as U+2581. Anything else that a file asks for is refused by
// name.
#include "base/keys.h"
#include "data/vocabulary.h"

#include <stdlib.h>
#include <string.h>

#define SPACE "\xE2\x96\x81" // U+2581

typedef struct reading {
    ts_tokenizer *tokenizer;
    const char *path;
    ts_error *err;
} reading;

static ts_status unsupported(reading *r, const char *what, const cJSON *value)
{
    char *text = cJSON_PrintUnformatted(value);
    ts_status status = ts_error_set(r->err, TS_ERR_UNSUPPORTED, "%s: %s %.200s is not supported",
                                    r->path, what, text != NULL ? text : "");
    free(text);
    return status;
}

static bool is_absent(const cJSON *value)
{
    return value == NULL || cJSON_IsNull(value);
}

static bool is_text(const cJSON *value, const char *text)
{
    return cJSON_IsString(value) && strcmp(value->valuestring, text) == 0;
}

static bool is_type(const cJSON *object, const char *type)
{
    return is_text(ts_json_get(object, "type"), type);
}

// {"type": "Replace", "pattern": {"String": from}, "content": to}
static bool is_replace(const cJSON *object, const char *from, const char *to)
{
    return is_type(object, "Replace") && is_text(ts_json_get(object, "content"), to) &&
           is_text(ts_json_get(ts_json_get(object, "pattern"), "String"), from);
}

// Accepted: Prepend U+2581 and replace spaces by it; only the replacement; or nothing, if the
// pre-tokenizer does it.
static ts_status read_normalizer(reading *r, const cJSON *normalizer)
{
    r->tokenizer->prefix = TS_PREFIX_NEVER;
    r->tokenizer->normalizes = !is_absent(normalizer);
    const cJSON *steps = ts_json_get(normalizer, "normalizers");
    const cJSON *prepend = cJSON_IsArray(steps) ? steps->child : NULL;
    const cJSON *replace = prepend != NULL ? prepend->next : NULL;
    if (is_absent(normalizer) || is_replace(normalizer, " ", SPACE) ||
        (is_type(normalizer, "Sequence") && replace == NULL && is_replace(prepend, " ", SPACE))) {
        return TS_OK;
    }
    if (!is_type(normalizer, "Sequence") || replace == NULL || replace->next != NULL ||
        !is_type(prepend, "Prepend") || !is_text(ts_json_get(prepend, "prepend"), SPACE) ||
        !is_replace(replace, " ", SPACE)) {
        return unsupported(r, "normalizer", normalizer);
    }
    r->tokenizer->prefix = TS_PREFIX_EACH;
    return TS_OK;
}

static ts_status read_pre_tokenizer(reading *r, const cJSON *value)
{
    ts_tokenizer *t = r->tokenizer;
    if (is_absent(value)) {
        if (!t->normalizes) {
            return ts_error_set(r->err, TS_ERR_UNSUPPORTED,
                                "%s: a tokenizer without normalizer and pre_tokenizer is not "
                                "supported: nothing turns its spaces into U+2581",
                                r->path);
        }
        return TS_OK;
    }
    const cJSON *scheme = ts_json_get(value, "prepend_scheme");
    if (t->normalizes || !is_type(value, "Metaspace") ||
        !is_text(ts_json_get(value, "replacement"), SPACE) ||
        !cJSON_IsFalse(ts_json_get(value, "split"))) {
        return unsupported(r, "pre_tokenizer", value);
    }
    if (is_text(scheme, "first")) {
        t->prefix = TS_PREFIX_FIRST;
    } else if (is_text(scheme, "always")) {
        t->prefix = TS_PREFIX_ALWAYS;
    } else if (!is_text(scheme, "never")) {
        return unsupported(r, "pre_tokenizer", value);
    }
    return TS_OK;
}

// Accepted: Replace, ByteFallback, Fuse and, optionally, Strip of one leading space.
static ts_status read_decoder(reading *r, const cJSON *decoder)
{
    const cJSON *steps = ts_json_get(decoder, "decoders");
    const cJSON *replace = cJSON_IsArray(steps) ? steps->child : NULL;
    const cJSON *bytes = replace != NULL ? replace->next : NULL;
    const cJSON *fuse = bytes != NULL ? bytes->next : NULL;
    const cJSON *strip = fuse != NULL ? fuse->next : NULL;
    bool known = is_type(decoder, "Sequence") && is_replace(replace, SPACE, " ") &&
                 is_type(bytes, "ByteFallback") && is_type(fuse, "Fuse");
    if (known && strip != NULL) {
        const cJSON *start = ts_json_get(strip, "start"), *stop = ts_json_get(strip, "stop");
        known = is_type(strip, "Strip") && is_text(ts_json_get(strip, "content"), " ") &&
                cJSON_IsNumber(start) && start->valuedouble == 1 && cJSON_IsNumber(stop) &&
                stop->valuedouble == 0 && strip->next == NULL;
    }
    r->tokenizer->strip = strip != NULL;
    return known ? TS_OK : unsupported(r, "decoder", decoder);
}

static ts_status read_vocabulary(reading *r, const cJSON *vocabulary)
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
            TS_FAIL(TS_ERR_FORMAT, "%s: token '%.40s' has no proper id", r->path, entry->string);
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

static ts_status read_added_token(reading *r, const cJSON *entry)
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

static ts_status read_added_tokens(reading *r, const cJSON *tokens)
{
    ts_status status = TS_OK;
    ts_error *err = r->err;
    if (!is_absent(tokens) && !cJSON_IsArray(tokens)) {
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
static ts_status read_merge(reading *r, const cJSON *entry, uint32_t rank)
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

static ts_status read_merges(reading *r, const cJSON *merges)
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

// The options of a BPE model other than its merges must be off. An unknown token is never needed,
// since every byte has a piece.
static ts_status check_model(reading *r, const cJSON *model)
{
    static const ts_key keys[] = {
        {"type", TS_KEY_READ},
        {"vocab", TS_KEY_READ},
        {"merges", TS_KEY_READ},
        {"unk_token", TS_KEY_READ},
        {"fuse_unk", TS_KEY_READ},
        {"byte_fallback", TS_KEY_READ},
        {"dropout", TS_KEY_ONLY},
        {"continuing_subword_prefix", TS_KEY_ONLY},
        {"end_of_word_suffix", TS_KEY_ONLY},
        {"ignore_merges", TS_KEY_ONLY},
    };
    ts_status status = TS_OK;
    ts_error *err = r->err;
    const char *type = NULL;
    TS_TRY(ts_json_get_text(model, "type", r->path, &type, err));
    if (strcmp(type, "BPE") != 0) {
        TS_FAIL(TS_ERR_UNSUPPORTED, "%s: model type '%.40s' is not supported, only BPE is", r->path,
                type);
    }
    TS_TRY(ts_keys_check(model, keys, TS_COUNT(keys), true, r->path, err));
    if (!cJSON_IsTrue(ts_json_get(model, "byte_fallback"))) {
        TS_FAIL(TS_ERR_UNSUPPORTED, "%s: a BPE model without byte_fallback is not supported",
                r->path);
    }
out:
    return status;
}

// The keys of the file. What is put around a text (post_processor) is left to the chat template.
// Truncation and padding are not applied; transformers ignores those settings of the file too.
static const ts_key parts[] = {
    {"version", TS_KEY_READ},    {"added_tokens", TS_KEY_READ},   {"normalizer", TS_KEY_READ},
    {"decoder", TS_KEY_READ},    {"pre_tokenizer", TS_KEY_READ},  {"model", TS_KEY_READ},
    {"truncation", TS_KEY_NOTE}, {"post_processor", TS_KEY_READ}, {"padding", TS_KEY_NOTE},
};

ts_status ts_tokenizer_read_json(ts_tokenizer *tokenizer, const char *path, ts_error *err)
{
    ts_status status = TS_OK;
    cJSON *json = NULL;
    reading r = {tokenizer, path, err};
    TS_TRY(ts_json_parse_file(path, &json, err));
    const cJSON *model = ts_json_get(json, "model");
    if (!cJSON_IsObject(model)) {
        TS_FAIL(TS_ERR_FORMAT, "%s: key 'model': expected an object, found %s", path,
                ts_json_kind(model));
    }
    TS_TRY(ts_keys_check(json, parts, TS_COUNT(parts), true, path, err));
    TS_TRY(check_model(&r, model));
    TS_TRY(read_normalizer(&r, ts_json_get(json, "normalizer")));
    TS_TRY(read_pre_tokenizer(&r, ts_json_get(json, "pre_tokenizer")));
    TS_TRY(read_decoder(&r, ts_json_get(json, "decoder")));
    TS_TRY(read_vocabulary(&r, ts_json_get(model, "vocab")));
    TS_TRY(read_added_tokens(&r, ts_json_get(json, "added_tokens")));
    TS_TRY(read_merges(&r, ts_json_get(model, "merges")));
out:
    cJSON_Delete(json);
    return status;
}
