// Makes tokenizer and chat templates from a GGUF file's metadata.
#include "base/keys.h"
#include "base/log.h"
#include "base/memory.h"
#include "data/gguf_model.h"
#include "data/spm_pieces.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_TEMPLATES = 64 };

// The roles that a token may have, by tokenizer_config.json's keys.
static const struct {
    const char *key, *hf;
} roles[] = {
    {TS_GGUF_KEY_BOS_ID, "bos_token"},
    {TS_GGUF_KEY_EOS_ID, "eos_token"},
    {TS_GGUF_KEY_UNKNOWN_ID, "unk_token"},
    {TS_GGUF_KEY_PADDING_ID, "pad_token"},
};

// The keys under "tokenizer.ggml.". Those that are read are read here or below.
static const ts_key known[] = {
    {"model", TS_KEY_READ},
    {"pre", TS_KEY_READ},
    {"tokens", TS_KEY_READ},
    {"scores", TS_KEY_READ},
    {"token_type", TS_KEY_READ},
    {"merges", TS_KEY_READ},
    {"bos_token_id", TS_KEY_READ},
    {"eos_token_id", TS_KEY_READ},
    {"eot_token_id", TS_KEY_READ},
    {"eom_token_id", TS_KEY_READ},
    {"unknown_token_id", TS_KEY_READ},
    {"padding_token_id", TS_KEY_READ},
    {"add_space_prefix", TS_KEY_READ},
    {"normalizer.nfc", TS_KEY_READ},
    // Without effect on how a text is cut. What is put around a text is left to the chat template.
    {"add_bos_token", TS_KEY_READ},
    {"add_eos_token", TS_KEY_READ},
    {"add_sep_token", TS_KEY_READ},
    {"seperator_token_id", TS_KEY_READ},
    {"mask_token_id", TS_KEY_READ},
    {"cls_token_id", TS_KEY_READ},
    {"prefix_token_id", TS_KEY_READ},
    {"suffix_token_id", TS_KEY_READ},
    {"middle_token_id", TS_KEY_READ},
    {"fim_pre_token_id", TS_KEY_READ},
    {"fim_suf_token_id", TS_KEY_READ},
    {"fim_mid_token_id", TS_KEY_READ},
    {"fim_pad_token_id", TS_KEY_READ},
    {"fim_rep_token_id", TS_KEY_READ},
    {"fim_sep_token_id", TS_KEY_READ},
    {"token_type_count", TS_KEY_READ},
    // Values other than off would change how a text is cut.
    {"remove_extra_whitespaces", TS_KEY_ONLY},
    {"precompiled_charsmap", TS_KEY_ONLY},
    {"normalizer.lowercase", TS_KEY_ONLY},
    {"normalizer.strip_accents", TS_KEY_ONLY},
};

// ---- Single tokens

// The text of token `id`, appended.
static ts_status token_text(const ts_gguf *file, uint64_t id, ts_text *out, ts_error *err)
{
    ts_status status = TS_OK;
    const ts_gguf_value *tokens;
    const char *bytes;
    uint64_t at = 0, len = 0;
    TS_TRY(ts_gguf_get_array(file, TS_GGUF_KEY_TOKENS, TS_GGUF_STRING, &tokens, err));
    for (uint64_t i = 0; i <= id; i++) {
        if (!ts_gguf_next_string(tokens, &at, &bytes, &len)) {
            TS_FAIL(TS_ERR_FORMAT, "%s: there is no token %llu; the last is %llu",
                    ts_gguf_path(file), (unsigned long long)id,
                    (unsigned long long)tokens->count - 1);
        }
    }
    if (memchr(bytes, '\0', len) != NULL || ts_utf8_valid_prefix(bytes, len) < len) {
        TS_FAIL(TS_ERR_FORMAT, "%s: token %llu is not UTF-8 text", ts_gguf_path(file),
                (unsigned long long)id);
    }
    TS_TRY(ts_text_append(out, bytes, len, err));
out:
    return status;
}

// *found: the key is there. Some files write -1, or a number beyond all tokens, for none.
static ts_status find_id(const ts_gguf *file, const char *key, bool *found, uint64_t *id,
                         ts_error *err)
{
    ts_status status = TS_OK;
    const ts_gguf_value *value = ts_gguf_find(file, key);
    *found = value != NULL;
    if (*found && value->type == TS_GGUF_U32) {
        TS_TRY(ts_gguf_get_uint(file, key, 0, UINT32_MAX, id, err));
        *found = *id != UINT32_MAX;
    } else if (*found) {
        TS_TRY(ts_gguf_get_uint(file, key, 0, TS_VOCABULARY_MAX, id, err));
    }
out:
    return status;
}

// Whether BOS is put before a text. Where a file does not say, llama.cpp puts it there with
// SentencePiece's models and with Llama 3's tokenizer.
static ts_status leads_with_bos(const ts_gguf *file, bool *out, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text model = {0}, pre = {0};
    ts_splitter splitter;
    bool llama3 = false; // whose name is the only one that ignores merges
    if (ts_gguf_find(file, TS_GGUF_KEY_ADD_BOS) != NULL) {
        return ts_gguf_get_bool(file, TS_GGUF_KEY_ADD_BOS, out, err);
    }
    TS_TRY(ts_gguf_get_text(file, TS_GGUF_KEY_TOKENIZER_MODEL, &model, err));
    *out = model.len > 0 && strcmp(model.bytes, "llama") == 0;
    if (!*out && ts_gguf_find(file, TS_GGUF_KEY_TOKENIZER_PRE) != NULL) {
        TS_TRY(ts_gguf_get_text(file, TS_GGUF_KEY_TOKENIZER_PRE, &pre, err));
        *out = pre.len > 0 && ts_splitter_find(pre.bytes, &splitter, &llama3) && llama3;
    }
out:
    ts_text_free(&model);
    ts_text_free(&pre);
    return status;
}

ts_status ts_gguf_tokenizer_config(const ts_gguf *file, cJSON **out, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text text = {0};
    cJSON *config = cJSON_CreateObject();
    uint64_t id;
    bool found, prefix, leads;
    *out = NULL;
    for (size_t i = 0; i < TS_COUNT(roles); i++) {
        TS_TRY(find_id(file, roles[i].key, &found, &id, err));
        if (!found) {
            continue;
        }
        ts_text_clear(&text);
        if (token_text(file, id, &text, err) != TS_OK) {
            status = ts_error_context(err, "key '%s'", roles[i].key);
            goto out;
        }
        TS_TRY(ts_gguf_json_text(config, roles[i].hf, text.len > 0 ? text.bytes : "", err));
    }
    if (ts_gguf_find(file, TS_GGUF_KEY_ADD_SPACE_PREFIX) != NULL) {
        TS_TRY(ts_gguf_get_bool(file, TS_GGUF_KEY_ADD_SPACE_PREFIX, &prefix, err));
        TS_TRY(ts_gguf_json_bool(config, "add_prefix_space", prefix, err));
    }
    TS_TRY(leads_with_bos(file, &leads, err));
    TS_TRY(ts_gguf_json_bool(config, "add_bos_token", leads, err));
    *out = config;
    config = NULL;
out:
    cJSON_Delete(config);
    ts_text_free(&text);
    return status;
}

ts_status ts_gguf_generation_config(const ts_gguf *file, cJSON **out, ts_error *err)
{
    static const char *const keys[] = {TS_GGUF_KEY_EOS_ID, TS_GGUF_KEY_EOT_ID, TS_GGUF_KEY_EOM_ID};
    ts_status status = TS_OK;
    uint64_t id;
    bool found;
    cJSON *config = cJSON_CreateObject();
    cJSON *list = cJSON_AddArrayToObject(config, "eos_token_id");
    *out = NULL;
    for (size_t i = 0; i < TS_COUNT(keys); i++) {
        TS_TRY(find_id(file, keys[i], &found, &id, err));
        if (found && !cJSON_AddItemToArray(list, cJSON_CreateNumber((double)id))) {
            TS_FAIL(TS_ERR_MEMORY, "out of host memory for a tokenizer");
        }
    }
    *out = config;
    config = NULL;
out:
    cJSON_Delete(config);
    return status;
}

// ---- Templates

static ts_status add_template(const ts_gguf *file, const char *key, const char *name,
                              cJSON *templates, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text text = {0};
    TS_TRY(ts_gguf_get_text(file, key, &text, err));
    cJSON_DeleteItemFromObjectCaseSensitive(templates, name);
    TS_TRY(ts_gguf_json_text(templates, name, text.len > 0 ? text.bytes : "", err));
out:
    ts_text_free(&text);
    return status;
}

// tokenizer.chat_template, and tokenizer.chat_template.NAME of others.
ts_status ts_gguf_templates(const ts_gguf *file, cJSON *templates, ts_error *err)
{
    static const char prefix[] = TS_GGUF_KEY_CHAT_TEMPLATE ".";
    ts_status status = TS_OK;
    if (ts_gguf_find(file, TS_GGUF_KEY_CHAT_TEMPLATE) != NULL) {
        TS_TRY(add_template(file, TS_GGUF_KEY_CHAT_TEMPLATE, "default", templates, err));
    }
    for (size_t i = 0; i < ts_gguf_value_count(file); i++) {
        const char *key = ts_gguf_value_at(file, i)->key;
        if (strncmp(key, prefix, sizeof prefix - 1) != 0) {
            continue;
        }
        if (cJSON_GetArraySize(templates) >= MAX_TEMPLATES) {
            TS_FAIL(TS_ERR_FORMAT, "%s: more than %d chat templates", ts_gguf_path(file),
                    MAX_TEMPLATES);
        }
        TS_TRY(add_template(file, key, key + sizeof prefix - 1, templates, err));
    }
out:
    return status;
}

// ---- The vocabulary

// Checks the keys under "tokenizer.ggml.". Only whether a value is off matters, so all but bools
// are represented by the number of their items.
static ts_status check_keys(const ts_gguf *file, ts_error *err)
{
    static const char prefix[] = "tokenizer.ggml.";
    ts_status status = TS_OK;
    ts_text name = {0};
    cJSON *json = cJSON_CreateObject(), *item;
    bool yes = false;
    TS_TRY(ts_text_format(&name, err, "%s: tokenizer.ggml.*", ts_gguf_path(file)));
    for (size_t i = 0; i < ts_gguf_value_count(file); i++) {
        const ts_gguf_value *value = ts_gguf_value_at(file, i);
        if (strncmp(value->key, prefix, sizeof prefix - 1) != 0) {
            continue;
        }
        if (value->type == TS_GGUF_BOOL) {
            TS_TRY(ts_gguf_get_bool(file, value->key, &yes, err));
            item = cJSON_CreateBool(yes);
        } else {
            item = cJSON_CreateNumber((double)value->count);
        }
        if (!cJSON_AddItemToObject(json, value->key + sizeof prefix - 1, item)) {
            cJSON_Delete(item);
            TS_FAIL(TS_ERR_MEMORY, "out of host memory for a tokenizer");
        }
    }
    TS_TRY(ts_keys_check(json, known, TS_COUNT(known), false, name.bytes, err));
out:
    cJSON_Delete(json);
    ts_text_free(&name);
    return status;
}

// Finds the types of the tokens, of which there must be one for each.
static ts_status find_types(const ts_gguf *file, const ts_gguf_value *tokens,
                            const ts_gguf_value **types, ts_error *err)
{
    ts_status status = TS_OK;
    TS_TRY(ts_gguf_get_array(file, TS_GGUF_KEY_TOKEN_TYPES, TS_GGUF_I32, types, err));
    if ((*types)->count != tokens->count || tokens->count > TS_VOCABULARY_MAX) {
        TS_FAIL(TS_ERR_FORMAT, "%s: %llu tokens and %llu types of tokens; at most %d of each",
                ts_gguf_path(file), (unsigned long long)tokens->count,
                (unsigned long long)(*types)->count, TS_VOCABULARY_MAX);
    }
out:
    return status;
}

// Checks token `index` and its type.
static ts_status check_token(const ts_gguf *file, uint64_t index, const char *bytes, uint64_t len,
                             double type, ts_error *err)
{
    if (len == 0 || len > UINT16_MAX || memchr(bytes, '\0', len) != NULL ||
        ts_utf8_valid_prefix(bytes, len) < len) {
        return ts_error_set(err, TS_ERR_FORMAT, "%s: token %llu is not UTF-8 text of 1 to %d bytes",
                            ts_gguf_path(file), (unsigned long long)index, UINT16_MAX);
    }
    if (!(type >= TS_SPM_NORMAL && type <= TS_SPM_BYTE)) {
        return ts_error_set(err, TS_ERR_FORMAT, "%s: token %llu has type %.17g; expected %d to %d",
                            ts_gguf_path(file), (unsigned long long)index, type, TS_SPM_NORMAL,
                            TS_SPM_BYTE);
    }
    return TS_OK;
}

// Model "llama": SentencePiece's pieces with their scores.
static ts_status fill_spm(const ts_gguf *file, ts_tokenizer *tokenizer, ts_error *err)
{
    ts_status status = TS_OK;
    const ts_gguf_value *tokens, *scores, *types;
    ts_spm_piece *pieces = NULL;
    uint64_t at = 0, len = 0;
    TS_TRY(ts_gguf_get_array(file, TS_GGUF_KEY_TOKENS, TS_GGUF_STRING, &tokens, err));
    TS_TRY(find_types(file, tokens, &types, err));
    TS_TRY(ts_gguf_get_array(file, TS_GGUF_KEY_SCORES, TS_GGUF_F32, &scores, err));
    if (scores->count != tokens->count) {
        TS_FAIL(TS_ERR_FORMAT, "%s: %llu tokens and %llu scores", ts_gguf_path(file),
                (unsigned long long)tokens->count, (unsigned long long)scores->count);
    }
    TS_TRY(ts_alloc(tokens->count + 1, sizeof *pieces, &pieces, err));
    for (uint64_t i = 0; i < tokens->count; i++) {
        ts_spm_piece *piece = &pieces[i];
        ts_gguf_next_string(tokens, &at, &piece->bytes, &len);
        TS_TRY(check_token(file, i, piece->bytes, len, ts_gguf_item(types, i), err));
        piece->len = (uint32_t)len;
        piece->score = (float)ts_gguf_item(scores, i);
        piece->type = (uint32_t)ts_gguf_item(types, i);
        if (!isfinite(piece->score)) {
            TS_FAIL(TS_ERR_FORMAT, "%s: token %llu has no finite score", ts_gguf_path(file),
                    (unsigned long long)i);
        }
    }
    if (ts_gguf_find(file, TS_GGUF_KEY_NFC) != NULL) {
        bool nfc;
        TS_TRY(ts_gguf_get_bool(file, TS_GGUF_KEY_NFC, &nfc, err));
        if (nfc) {
            TS_FAIL(TS_ERR_UNSUPPORTED,
                    "%s: key '" TS_GGUF_KEY_NFC "' is true: not implemented for a tokenizer of "
                    "model 'llama'",
                    ts_gguf_path(file));
        }
    }
    tokenizer->prefix = TS_PREFIX_EACH; // unless add_space_prefix is false: tokenizer_config.c
    tokenizer->strip = true;
    status = ts_spm_add_pieces(tokenizer, pieces, tokens->count, true, err);
    if (status != TS_OK) {
        ts_error_context(err, "%s", ts_gguf_path(file));
    }
out:
    free(pieces);
    return status;
}

// Model "gpt2": a byte-level BPE with its merges in order.
static ts_status add_merges(const ts_gguf *file, ts_tokenizer *tokenizer, ts_error *err)
{
    ts_status status = TS_OK;
    const ts_gguf_value *merges;
    const char *merge;
    uint64_t at = 0, len = 0;
    TS_TRY(ts_gguf_get_array(file, TS_GGUF_KEY_MERGES, TS_GGUF_STRING, &merges, err));
    for (uint32_t rank = 0; ts_gguf_next_string(merges, &at, &merge, &len); rank++) {
        const char *space = memchr(merge, ' ', len);
        if (space == NULL || memchr(space + 1, ' ', len - (size_t)(space + 1 - merge)) != NULL) {
            TS_FAIL(TS_ERR_FORMAT, "merge %u is not two pieces with a space between", rank);
        }
        const size_t left = (size_t)(space - merge);
        TS_TRY(
            ts_vocabulary_add_merge(tokenizer, merge, left, space + 1, len - left - 1, rank, err));
    }
out:
    if (status != TS_OK) {
        ts_error_context(err, "%s", ts_gguf_path(file));
    }
    return status;
}

static ts_status fill_byte_level(const ts_gguf *file, ts_tokenizer *tokenizer, ts_error *err)
{
    ts_status status = TS_OK;
    const ts_gguf_value *tokens, *types;
    const char *bytes;
    uint64_t at = 0, len = 0;
    ts_text pre = {0};
    TS_TRY(ts_gguf_get_text(file, TS_GGUF_KEY_TOKENIZER_PRE, &pre, err));
    if (!ts_vocabulary_be_byte_level(tokenizer, pre.len > 0 ? pre.bytes : "")) {
        TS_FAIL(TS_ERR_UNSUPPORTED,
                "%s: key '" TS_GGUF_KEY_TOKENIZER_PRE "': how '%.40s' splits a text is not "
                "implemented",
                ts_gguf_path(file), pre.bytes);
    }
    if (ts_gguf_find(file, TS_GGUF_KEY_NFC) != NULL) { // otherwise `pre` decides
        TS_TRY(ts_gguf_get_bool(file, TS_GGUF_KEY_NFC, &tokenizer->nfc, err));
    }
    TS_TRY(ts_gguf_get_array(file, TS_GGUF_KEY_TOKENS, TS_GGUF_STRING, &tokens, err));
    TS_TRY(find_types(file, tokens, &types, err));
    for (uint32_t id = 0; ts_gguf_next_string(tokens, &at, &bytes, &len); id++) {
        const double type = ts_gguf_item(types, id);
        const bool special = type == TS_SPM_CONTROL || type == TS_SPM_UNKNOWN;
        TS_TRY(check_token(file, id, bytes, len, type, err));
        status = special || type == TS_SPM_USER_DEFINED
                     ? ts_vocabulary_add_token(tokenizer, bytes, len, id,
                                               special ? TS_ADDED_SPECIAL : 0, err)
                     : ts_vocabulary_add(tokenizer, bytes, len, id, err);
        if (status != TS_OK) {
            ts_error_context(err, "%s", ts_gguf_path(file));
            goto out;
        }
    }
    TS_TRY(add_merges(file, tokenizer, err));
out:
    ts_text_free(&pre);
    return status;
}

ts_status ts_gguf_fill_tokenizer(const ts_gguf *file, ts_tokenizer *tokenizer, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text model = {0};
    TS_TRY(ts_gguf_get_text(file, TS_GGUF_KEY_TOKENIZER_MODEL, &model, err));
    TS_TRY(check_keys(file, err));
    if (model.len > 0 && strcmp(model.bytes, "llama") == 0) {
        TS_TRY(fill_spm(file, tokenizer, err));
    } else if (model.len > 0 && strcmp(model.bytes, "gpt2") == 0) {
        TS_TRY(fill_byte_level(file, tokenizer, err));
    } else {
        TS_FAIL(TS_ERR_UNSUPPORTED,
                "%s: a tokenizer of model '%.40s' is not implemented; there are llama and gpt2",
                ts_gguf_path(file), model.bytes);
    }
out:
    ts_text_free(&model);
    return status;
}
