// Reads the files beside a tokenizer's own: tokenizer_config.json, special_tokens_map.json and
// added_tokens.json, with the precedence that transformers gives them.
#include "base/keys.h"
#include "base/log.h"
#include "data/vocabulary.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// The known keys of tokenizer_config.json; each class of tokenizers has some of its own. Unknown
// keys are listed in a warning. Keys about what is put around a text (templates, BOS, EOS) are left
// to the chat template.
static const ts_key config_keys[] = {
    {"added_tokens_decoder", TS_KEY_READ},
    {"add_prefix_space", TS_KEY_READ},
    {"bos_token", TS_KEY_READ},
    {"eos_token", TS_KEY_READ},
    {"unk_token", TS_KEY_READ},
    {"pad_token", TS_KEY_READ},
    {"sep_token", TS_KEY_READ},
    {"cls_token", TS_KEY_READ},
    {"mask_token", TS_KEY_READ},
    {"additional_special_tokens", TS_KEY_READ},
    {"extra_special_tokens", TS_KEY_READ},
    {"chat_template", TS_KEY_READ},
    // Without effect on what is read here.
    {"add_bos_token", TS_KEY_READ},
    {"add_eos_token", TS_KEY_READ},
    {"auto_map", TS_KEY_NOTE},
    {"backend", TS_KEY_READ},
    {"clean_up_tokenization_spaces", TS_KEY_NOTE},
    {"device_map", TS_KEY_READ},
    {"do_lower_case", TS_KEY_ONLY},
    {"is_local", TS_KEY_READ},
    {"legacy", TS_KEY_READ},
    {"local_files_only", TS_KEY_READ},
    {"max_length", TS_KEY_READ},
    {"model_input_names", TS_KEY_READ},
    {"model_max_length", TS_KEY_READ},
    {"name_or_path", TS_KEY_READ},
    {"pad_to_multiple_of", TS_KEY_READ},
    {"pad_token_type_id", TS_KEY_READ},
    {"padding_side", TS_KEY_READ},
    {"processor_class", TS_KEY_READ},
    {"sp_model_kwargs", TS_KEY_ONLY},
    {"spaces_between_special_tokens", TS_KEY_READ},
    {"special_tokens_map_file", TS_KEY_READ},
    {"split_special_tokens", TS_KEY_ONLY},
    {"stride", TS_KEY_READ},
    {"tokenizer_class", TS_KEY_READ},
    {"tokenizer_file", TS_KEY_READ},
    {"trust_remote_code", TS_KEY_READ},
    {"truncation_side", TS_KEY_READ},
    {"truncation_strategy", TS_KEY_READ},
    {"use_default_system_prompt", TS_KEY_READ},
    {"use_fast", TS_KEY_READ},
};

// The tokens that have a role, in the order of transformers.
static const char *const roles[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                    "pad_token", "cls_token", "mask_token"};
static const char *const lists[] = {"additional_special_tokens", "extra_special_tokens"};

typedef struct beside {
    ts_tokenizer *t;
    const char *model; // what messages call it
    const cJSON *config, *map;
    const char *config_name;
} beside;

// The text of a token: a string, or an object with "content".
static const char *token_text(const cJSON *value)
{
    value = cJSON_IsObject(value) ? ts_json_get(value, "content") : value;
    return cJSON_IsString(value) ? value->valuestring : NULL;
}

// The token with this role according to tokenizer_config.json. A file without added_tokens_decoder
// is from an old version of transformers; then special_tokens_map.json has precedence.
static const char *token_of_role(const beside *b, const char *role)
{
    const char *in_config = token_text(ts_json_get(b->config, role));
    const char *in_map = token_text(ts_json_get(b->map, role));
    bool old = ts_json_get(b->config, "added_tokens_decoder") == NULL;
    const char *taken = (old && in_map != NULL) || in_config == NULL ? in_map : in_config;
    if (in_config != NULL && in_map != NULL && strcmp(in_config, in_map) != 0) {
        ts_log_once(TS_LOG_WARN,
                    "%s: %s is '%.40s' in tokenizer_config.json and '%.40s' in "
                    "special_tokens_map.json; '%.40s' is taken, as transformers does",
                    b->model, role, in_config, in_map, taken);
    }
    return taken;
}

ts_status ts_tokenizer_read_flags(const cJSON *entry, const char *content, const char *path,
                                  unsigned *out, ts_error *err)
{
    static const ts_key keys[] = {
        {"id", TS_KEY_READ},     {"content", TS_KEY_READ},     {"special", TS_KEY_READ},
        {"lstrip", TS_KEY_READ}, {"rstrip", TS_KEY_READ},      {"normalized", TS_KEY_READ},
        {"__type", TS_KEY_READ}, {"single_word", TS_KEY_READ},
    };
    static const struct {
        const char *key;
        unsigned flag;
    } options[] = {{"special", TS_ADDED_SPECIAL},
                   {"lstrip", TS_ADDED_LSTRIP},
                   {"rstrip", TS_ADDED_RSTRIP},
                   {"normalized", TS_ADDED_NORMALIZED},
                   {"single_word", TS_ADDED_SINGLE_WORD}};
    char name[512];
    snprintf(name, sizeof name, "%.400s: added token '%.40s'", path, content);
    *out = 0;
    for (size_t i = 0; i < TS_COUNT(options); i++) {
        *out |= cJSON_IsTrue(ts_json_get(entry, options[i].key)) ? options[i].flag : 0;
    }
    return ts_keys_check(entry, keys, TS_COUNT(keys), true, name, err);
}

// Adds the token, or sets its flags if it exists.
static ts_status add_or_flag(beside *b, const char *name, const char *content, uint32_t id,
                             unsigned flags, ts_error *err)
{
    ts_status status = TS_OK;
    uint32_t known = ts_tokenizer_find(b->t, content);
    if (known == id) {
        ts_vocabulary_flag_token(b->t, id, flags);
    } else if (known != TS_TOKEN_NONE) {
        TS_FAIL(TS_ERR_FORMAT, "%s: token '%.40s' is %u here and %u in the tokenizer", name,
                content, id, known);
    } else {
        status = ts_vocabulary_add_token(b->t, content, strlen(content), id, flags, err);
        if (status != TS_OK) {
            ts_error_context(err, "%s", name);
        }
    }
out:
    return status;
}

// {"32000": {"content": "<pad>", "special": true, ...}}
static ts_status read_decoder(beside *b, ts_error *err)
{
    ts_status status = TS_OK;
    const cJSON *added = ts_json_get(b->config, "added_tokens_decoder");
    for (const cJSON *entry = added != NULL ? added->child : NULL; entry != NULL;
         entry = entry->next) {
        const char *content = NULL;
        char *end = NULL;
        unsigned flags;
        unsigned long id = entry->string != NULL ? strtoul(entry->string, &end, 10) : 0;
        if (end == NULL || end == entry->string || *end != '\0' || id >= TS_VOCABULARY_MAX) {
            TS_FAIL(TS_ERR_FORMAT, "%s: key 'added_tokens_decoder': '%s' is no token id",
                    b->config_name, entry->string != NULL ? entry->string : "");
        }
        TS_TRY(ts_json_get_text(entry, "content", b->config_name, &content, err));
        TS_TRY(ts_tokenizer_read_flags(entry, content, b->config_name, &flags, err));
        TS_TRY(add_or_flag(b, b->config_name, content, (uint32_t)id, flags, err));
    }
out:
    return status;
}

// Whether one of the files gives the token a role.
static bool has_role(const beside *b, const char *content)
{
    const cJSON *const files[] = {b->config, b->map};
    for (size_t f = 0; f < TS_COUNT(files); f++) {
        for (size_t i = 0; i < TS_COUNT(roles); i++) {
            const char *text = token_text(ts_json_get(files[f], roles[i]));
            if (text != NULL && strcmp(text, content) == 0) {
                return true;
            }
        }
        for (size_t i = 0; i < TS_COUNT(lists); i++) {
            const cJSON *list = ts_json_get(files[f], lists[i]), *entry;
            cJSON_ArrayForEach(entry, list)
            {
                const char *text = token_text(entry);
                if (text != NULL && strcmp(text, content) == 0) {
                    return true;
                }
            }
        }
    }
    return false;
}

// added_tokens.json: {"<pad>": 32000}
static ts_status read_added_tokens(beside *b, ts_weights *model, ts_error *err)
{
    ts_status status = TS_OK;
    const cJSON *added;
    const char *name;
    TS_TRY(ts_weights_read(model, TS_PART_ADDED_TOKENS, &added, &name, err));
    for (const cJSON *entry = added != NULL ? added->child : NULL; entry != NULL;
         entry = entry->next) {
        uint64_t id = 0;
        if (!ts_json_uint(entry, &id) || id >= TS_VOCABULARY_MAX) {
            TS_FAIL(TS_ERR_FORMAT, "%s: token '%.40s' has no whole number as its id", name,
                    entry->string);
        }
        if (ts_tokenizer_find(b->t, entry->string) != id) {
            TS_TRY(add_or_flag(b, name, entry->string, (uint32_t)id,
                               has_role(b, entry->string) ? TS_ADDED_SPECIAL : 0, err));
        }
    }
out:
    return status;
}

// A token that has a role and no id in any file: a piece of the vocabulary, or a new token with the
// next free id.
static ts_status add_with_role(beside *b, const char *content, ts_error *err)
{
    if (content == NULL || content[0] == '\0' ||
        ts_tokenizer_find(b->t, content) != TS_TOKEN_NONE) {
        return TS_OK;
    }
    size_t len = strlen(content);
    uint32_t id = ts_vocabulary_find(b->t, content, len);
    id = id != TS_TOKEN_NONE ? id : ts_tokenizer_vocab_size(b->t);
    return ts_vocabulary_add_token(b->t, content, len, id, TS_ADDED_SPECIAL, err);
}

static ts_status add_roles(beside *b, ts_error *err)
{
    ts_status status = TS_OK;
    for (size_t i = 0; i < TS_COUNT(roles); i++) {
        TS_TRY(add_with_role(b, token_of_role(b, roles[i]), err));
    }
    for (size_t i = 0; i < TS_COUNT(lists); i++) {
        const cJSON *list = ts_json_get(b->config, lists[i]), *entry;
        list = list != NULL ? list : ts_json_get(b->map, lists[i]);
        cJSON_ArrayForEach(entry, list)
        {
            TS_TRY(add_with_role(b, token_text(entry), err));
        }
    }
out:
    return status;
}

// add_prefix_space false means no U+2581 before a text. tokenizer.json has its own setting for
// that.
static void heed_prefix(beside *b, bool plain)
{
    const cJSON *value = ts_json_get(b->config, "add_prefix_space");
    if (b->t->byte_level && cJSON_IsTrue(value)) {
        ts_log_once(
            TS_LOG_WARN,
            "%s: tokenizer_config.json says add_prefix_space true, tokenizer.json puts none "
            "before a text; tokenizer.json is followed",
            b->model);
    }
    if (!cJSON_IsFalse(value) || b->t->prefix == TS_PREFIX_NEVER) {
        return;
    }
    if (plain) {
        b->t->prefix = TS_PREFIX_NEVER;
        b->t->strip = false;
    } else {
        ts_log_once(
            TS_LOG_WARN,
            "%s: tokenizer_config.json says add_prefix_space false, tokenizer.json puts one "
            "before a text; tokenizer.json is followed",
            b->model);
    }
}

// What is put before a text. tokenizer.json says it in its post_processor, and SentencePiece's
// models put BOS there. add_bos_token overrides both.
static void heed_lead(const beside *b, bool plain)
{
    const cJSON *adds = ts_json_get(b->config, "add_bos_token");
    if (cJSON_IsBool(adds)) {
        b->t->lead = cJSON_IsTrue(adds) ? b->t->bos : TS_TOKEN_NONE;
    } else if (plain) {
        b->t->lead = b->t->bos;
    }
}

ts_status ts_tokenizer_read_config(ts_tokenizer *tokenizer, ts_weights *model, bool plain,
                                   ts_error *err)
{
    ts_status status = TS_OK;
    beside b = {.t = tokenizer, .model = ts_weights_path(model)};
    TS_TRY(ts_weights_read(model, TS_PART_SPECIAL_TOKENS, &b.map, NULL, err));
    TS_TRY(ts_weights_read(model, TS_PART_TOKENIZER_CONFIG, &b.config, &b.config_name, err));
    TS_TRY(ts_keys_check(b.config, config_keys, TS_COUNT(config_keys), false, b.config_name, err));
    TS_TRY(read_decoder(&b, err));
    if (plain) {
        TS_TRY(read_added_tokens(&b, model, err));
        TS_TRY(add_roles(&b, err));
    }
    heed_prefix(&b, plain);
    const char *bos = token_of_role(&b, "bos_token"), *eos = token_of_role(&b, "eos_token");
    tokenizer->bos = ts_tokenizer_find(tokenizer, bos != NULL ? bos : "<s>");
    tokenizer->eos = ts_tokenizer_find(tokenizer, eos != NULL ? eos : "</s>");
    heed_lead(&b, plain);
    if (tokenizer->eos == TS_TOKEN_NONE) {
        TS_FAIL(TS_ERR_FORMAT, "%s: the tokenizer has no end token '%s'", b.model,
                eos != NULL ? eos : "</s>");
    }
out:
    return status;
}
