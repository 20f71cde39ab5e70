// A model as a folder in Hugging Face's layout.
#include "base/file.h"
#include "base/os.h"
#include "data/bitsandbytes.h"
#include "data/hf_files.h"
#include "data/safetensors.h"
#include "data/vocabulary.h"
#include "data/weights_parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

const char *const ts_hf_file_names[TS_HF_FILE_COUNT] = {
    [TS_HF_CONFIG] = "config.json",
    [TS_HF_GENERATION_CONFIG] = "generation_config.json",
    [TS_HF_TOKENIZER] = "tokenizer.json",
    [TS_HF_TOKENIZER_CONFIG] = "tokenizer_config.json",
    [TS_HF_TOKENIZER_MODEL] = "tokenizer.model",
    [TS_HF_SPECIAL_TOKENS] = "special_tokens_map.json",
    [TS_HF_ADDED_TOKENS] = "added_tokens.json",
    [TS_HF_TEMPLATE] = "chat_template.jinja",
    [TS_HF_TEMPLATE_JSON] = "chat_template.json",
};

// Where the file would be, and whether it is there. A link to nothing is an error.
static ts_status find(const char *folder, ts_hf_file file, ts_text *path, bool *found,
                      ts_error *err)
{
    ts_status status = TS_OK;
    *found = false;
    TS_TRY(ts_path_join(folder, ts_hf_file_names[file], path, err));
    TS_TRY(ts_file_find(path->bytes, found, err));
out:
    return status;
}

static ts_status read_part(const char *folder, ts_weights_part which, cJSON **part, ts_text *name,
                           ts_error *err)
{
    static const ts_hf_file files[TS_PART_COUNT] = {
        [TS_PART_CONFIG] = TS_HF_CONFIG,
        [TS_PART_GENERATION_CONFIG] = TS_HF_GENERATION_CONFIG,
        [TS_PART_TOKENIZER_CONFIG] = TS_HF_TOKENIZER_CONFIG,
        [TS_PART_SPECIAL_TOKENS] = TS_HF_SPECIAL_TOKENS,
        [TS_PART_ADDED_TOKENS] = TS_HF_ADDED_TOKENS,
    };
    ts_status status = TS_OK;
    bool found;
    TS_TRY(find(folder, files[which], name, &found, err));
    if (!found && which == TS_PART_CONFIG) {
        TS_FAIL(TS_ERR_IO,
                "%s: no model is here: expected a folder in Hugging Face's layout, and it has no "
                "config.json",
                folder);
    }
    if (found) {
        status = ts_json_parse_file(name->bytes, part, err);
    }
out:
    return status;
}

static ts_status open_tensors(const char *folder, ts_tensors **out, ts_error *err)
{
    ts_status status = TS_OK;
    TS_TRY(ts_safetensors_open_model(folder, out, err));
    TS_TRY(ts_bitsandbytes_gather(*out, err));
out:
    if (status != TS_OK) {
        ts_tensors_close(*out);
        *out = NULL;
    }
    return status;
}

// ---- The tokenizer

static ts_status fill_tokenizer(const char *folder, ts_tokenizer *tokenizer, bool *plain,
                                ts_text *name, ts_error *err)
{
    ts_status status = TS_OK;
    bool found;
    *plain = false;
    TS_TRY(find(folder, TS_HF_TOKENIZER, name, &found, err));
    if (found) {
        status = ts_tokenizer_read_json(tokenizer, name->bytes, err);
        goto out;
    }
    *plain = true;
    TS_TRY(find(folder, TS_HF_TOKENIZER_MODEL, name, &found, err));
    if (!found) {
        TS_FAIL(TS_ERR_IO, "%s: holds neither tokenizer.json nor tokenizer.model", folder);
    }
    TS_TRY(ts_tokenizer_read_spm(tokenizer, name->bytes, err));
out:
    return status;
}

// Names and bytes of the files that a tokenizer is read from.
static ts_status add_tokenizer(const char *folder, ts_digest *digest, ts_error *err)
{
    static const ts_hf_file files[] = {TS_HF_ADDED_TOKENS, TS_HF_SPECIAL_TOKENS, TS_HF_TOKENIZER,
                                       TS_HF_TOKENIZER_MODEL, TS_HF_TOKENIZER_CONFIG};
    ts_status status = TS_OK;
    ts_text path = {0};
    for (size_t i = 0; i < TS_COUNT(files); i++) {
        const char *name = ts_hf_file_names[files[i]];
        ts_map map = {0};
        TS_TRY(ts_path_join(folder, name, &path, err));
        if (!ts_file_exists(path.bytes)) {
            continue;
        }
        TS_TRY(ts_map_open(path.bytes, &map, err));
        ts_digest_add(digest, name, strlen(name) + 1);
        ts_digest_add(digest, &map.len, sizeof map.len);
        ts_digest_add(digest, map.bytes, map.len);
        ts_map_close(&map);
    }
out:
    ts_text_free(&path);
    return status;
}

// ---- Chat templates

enum { MAX_TEMPLATE_BYTES = 4 << 20, MAX_TEMPLATES = 64 };
#define ADDITIONAL_TEMPLATES "additional_chat_templates"

static ts_status set_template(cJSON *templates, const char *name, const char *text, ts_error *err)
{
    cJSON_DeleteItemFromObjectCaseSensitive(templates, name);
    return cJSON_AddStringToObject(templates, name, text) != NULL
               ? TS_OK
               : ts_error_set(err, TS_ERR_MEMORY, "out of host memory for a chat template");
}

// Reads a file of Jinja, which must be UTF-8 without a NUL.
static ts_status read_jinja(const char *path, const char *name, cJSON *templates, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text text = {0};
    TS_TRY(ts_file_read(path, MAX_TEMPLATE_BYTES, &text, err));
    TS_TRY(ts_text_append(&text, "", 0, err));
    if (strlen(text.bytes) != text.len || ts_utf8_valid_prefix(text.bytes, text.len) != text.len) {
        TS_FAIL(TS_ERR_FORMAT, "%s: a chat template is UTF-8 text; this file has other bytes",
                path);
    }
    TS_TRY(set_template(templates, name, text.bytes, err));
out:
    ts_text_free(&text);
    return status;
}

// additional_chat_templates/NAME.jinja
static ts_status read_additional(const char *folder, cJSON *templates, ts_error *err)
{
    static const char ending[] = ".jinja";
    ts_status status = TS_OK;
    ts_text place = {0}, path = {0};
    ts_os_names entries = {0};
    TS_TRY(ts_path_join(folder, ADDITIONAL_TEMPLATES, &place, err));
    int reason = ts_os_list(place.bytes, &entries);
    if (reason != 0 && reason != ENOENT) {
        TS_FAIL(TS_ERR_IO, "%s: %s", place.bytes, strerror(reason));
    }
    for (size_t i = 0; i < entries.count; i++) {
        char *name = entries.names[i];
        size_t len = strlen(name), end = sizeof ending - 1;
        if (len <= end || strcmp(name + len - end, ending) != 0) {
            continue;
        }
        if (cJSON_GetArraySize(templates) >= MAX_TEMPLATES) {
            TS_FAIL(TS_ERR_FORMAT, "%s: more than %d chat templates", place.bytes, MAX_TEMPLATES);
        }
        TS_TRY(ts_path_join(place.bytes, name, &path, err));
        name[len - end] = '\0'; // what is left is the template's name
        TS_TRY(read_jinja(path.bytes, name, templates, err));
    }
out:
    ts_os_names_free(&entries);
    ts_text_free(&place);
    ts_text_free(&path);
    return status;
}

// The key chat_template of a JSON file: a text, or a list of {name, template}.
static ts_status read_key(const cJSON *config, const char *path, cJSON *templates, ts_error *err)
{
    ts_status status = TS_OK;
    const cJSON *value = ts_json_get(config, "chat_template"), *entry;
    if (value == NULL || cJSON_IsNull(value)) {
        goto out;
    }
    if (cJSON_IsString(value)) {
        status = set_template(templates, "default", value->valuestring, err);
        goto out;
    }
    if (!cJSON_IsArray(value)) {
        TS_FAIL(TS_ERR_FORMAT,
                "%s: key 'chat_template': expected a string or an array of {name, template}, found "
                "%s",
                path, ts_json_kind(value));
    }
    cJSON_ArrayForEach(entry, value)
    {
        const char *name = NULL, *text = NULL;
        TS_TRY(ts_json_get_text(entry, "name", path, &name, err));
        TS_TRY(ts_json_get_text(entry, "template", path, &text, err));
        TS_TRY(set_template(templates, name, text, err));
    }
out:
    return status;
}

// chat_template.jinja and additional_chat_templates/*.jinja go before tokenizer_config.json, and
// that before chat_template.json.
static ts_status read_templates(ts_weights *weights, cJSON *templates, ts_text *name, ts_error *err)
{
    ts_status status = TS_OK;
    const char *folder = ts_weights_path(weights), *config_name;
    const cJSON *config;
    cJSON *json = NULL;
    bool found;
    TS_TRY(find(folder, TS_HF_TEMPLATE, name, &found, err));
    if (found) {
        TS_TRY(read_jinja(name->bytes, "default", templates, err));
    }
    TS_TRY(read_additional(folder, templates, err));
    if (cJSON_GetArraySize(templates) > 0) {
        goto out;
    }
    TS_TRY(ts_weights_read(weights, TS_PART_TOKENIZER_CONFIG, &config, &config_name, err));
    ts_text_clear(name);
    TS_TRY(ts_text_append(name, config_name, strlen(config_name), err));
    TS_TRY(read_key(config, config_name, templates, err));
    if (cJSON_GetArraySize(templates) > 0) {
        goto out;
    }
    TS_TRY(find(folder, TS_HF_TEMPLATE_JSON, name, &found, err));
    if (found) {
        TS_TRY(ts_json_parse_file(name->bytes, &json, err));
        TS_TRY(read_key(json, name->bytes, templates, err));
    }
out:
    cJSON_Delete(json);
    return status;
}

// ---- Copying

// Copies FROM/NAME to TO/NAME, if it is there.
static ts_status copy(const char *from, const char *to, const char *name, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text path = {0}, copied = {0};
    ts_map map = {0};
    bool found;
    TS_TRY(ts_path_join(from, name, &path, err));
    TS_TRY(ts_path_join(to, name, &copied, err));
    TS_TRY(ts_file_find(path.bytes, &found, err));
    if (found) {
        TS_TRY(ts_map_open(path.bytes, &map, err));
        TS_TRY(ts_file_write_plain(copied.bytes, map.bytes, map.len, err));
    }
out:
    ts_map_close(&map);
    ts_text_free(&path);
    ts_text_free(&copied);
    return status;
}

static ts_status copy_additional(const char *from, const char *to, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text source = {0}, target = {0};
    ts_os_names entries = {0};
    TS_TRY(ts_path_join(from, ADDITIONAL_TEMPLATES, &source, err));
    TS_TRY(ts_path_join(to, ADDITIONAL_TEMPLATES, &target, err));
    if (ts_os_list(source.bytes, &entries) != 0) {
        goto out; // read_additional reports what is wrong, if anything is
    }
    TS_TRY(ts_folder_make(target.bytes, err));
    for (size_t i = 0; i < entries.count; i++) {
        TS_TRY(copy(source.bytes, target.bytes, entries.names[i], err));
    }
out:
    ts_os_names_free(&entries);
    ts_text_free(&source);
    ts_text_free(&target);
    return status;
}

static ts_status copy_files(const char *folder, const char *to, ts_error *err)
{
    // Nothing in these is read here, but other programs need the first two, and the licence goes
    // with the model.
    static const char *const others[] = {"vocab.json",  "merges.txt", "LICENSE",
                                         "LICENSE.txt", "NOTICE",     "USE_POLICY.md"};
    ts_status status = TS_OK;
    for (size_t i = 0; i < TS_HF_FILE_COUNT; i++) {
        TS_TRY(copy(folder, to, ts_hf_file_names[i], err));
    }
    for (size_t i = 0; i < TS_COUNT(others); i++) {
        TS_TRY(copy(folder, to, others[i], err));
    }
    TS_TRY(copy_additional(folder, to, err));
out:
    return status;
}

const ts_weights_format ts_weights_hf = {
    .is_at = ts_folder_exists,
    .read = read_part,
    .open_tensors = open_tensors,
    .fill_tokenizer = fill_tokenizer,
    .read_templates = read_templates,
    .add_tokenizer = add_tokenizer,
    .copy_files = copy_files,
};
