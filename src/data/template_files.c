// Reads the files that hold a model's chat templates and the names of its special tokens.
#include "base/file.h"
#include "data/template_parts.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_TEMPLATE_BYTES = 4 << 20, MAX_TEMPLATES = 64 };

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
    DIR *entries = NULL;
    TS_TRY(ts_path_join(folder, "additional_chat_templates", &place, err));
    entries = opendir(place.bytes);
    if (entries == NULL && errno != ENOENT) {
        TS_FAIL(TS_ERR_IO, "%s: %s", place.bytes, strerror(errno));
    }
    for (struct dirent *entry; entries != NULL && (entry = readdir(entries)) != NULL;) {
        size_t len = strlen(entry->d_name), end = sizeof ending - 1;
        if (len <= end || strcmp(entry->d_name + len - end, ending) != 0) {
            continue;
        }
        char name[sizeof entry->d_name];
        memcpy(name, entry->d_name, len + 1);
        name[len - end] = '\0';
        if (cJSON_GetArraySize(templates) >= MAX_TEMPLATES) {
            TS_FAIL(TS_ERR_FORMAT, "%s: more than %d chat templates", place.bytes, MAX_TEMPLATES);
        }
        TS_TRY(ts_path_join(place.bytes, entry->d_name, &path, err));
        TS_TRY(read_jinja(path.bytes, name, templates, err));
    }
out:
    if (entries != NULL) {
        closedir(entries);
    }
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

ts_status ts_chat_template_read(const char *folder, const cJSON *config, cJSON **templates,
                                ts_text *file, ts_error *err)
{
    ts_status status = TS_OK;
    bool found = false;
    cJSON *json = NULL;
    *templates = cJSON_CreateObject();
    ts_text_clear(file);
    TS_TRY(ts_path_join(folder, "chat_template.jinja", file, err));
    TS_TRY(ts_file_find(file->bytes, &found, err));
    if (found) {
        TS_TRY(read_jinja(file->bytes, "default", *templates, err));
    }
    TS_TRY(read_additional(folder, *templates, err));
    if (cJSON_GetArraySize(*templates) > 0) {
        goto out;
    }
    ts_text_clear(file);
    TS_TRY(ts_path_join(folder, "tokenizer_config.json", file, err));
    TS_TRY(read_key(config, file->bytes, *templates, err));
    if (cJSON_GetArraySize(*templates) > 0) {
        goto out;
    }
    ts_text_clear(file);
    TS_TRY(ts_path_join(folder, "chat_template.json", file, err)); // written by older processors
    TS_TRY(ts_file_find(file->bytes, &found, err));
    if (found) {
        TS_TRY(ts_json_parse_file(file->bytes, &json, err));
        TS_TRY(read_key(json, file->bytes, *templates, err));
    }
out:
    cJSON_Delete(json);
    return status;
}

// ---- Special tokens

// The text of a special token: a string, or an object with "content".
static const cJSON *token_text(const cJSON *value)
{
    value = cJSON_IsObject(value) ? ts_json_get(value, "content") : value;
    return cJSON_IsString(value) && value->valuestring[0] != '\0' ? value : NULL;
}

static ts_status set_additional(ts_chat_template *t, const cJSON *list, ts_error *err)
{
    ts_status status = TS_OK;
    const cJSON *item;
    ts_jinja_value tokens, token;
    if (!cJSON_IsArray(list) || list->child == NULL) {
        goto out;
    }
    TS_TRY(ts_jinja_list(&t->data, (size_t)cJSON_GetArraySize(list), &tokens, err));
    cJSON_ArrayForEach(item, list)
    {
        const cJSON *text = token_text(item);
        if (text != NULL) {
            TS_TRY(ts_jinja_json(&t->data, text, 0, &token, err));
            ts_jinja_list_push(tokens, token);
        }
    }
    TS_TRY(ts_jinja_set(&t->data, "additional_special_tokens", tokens, err));
out:
    return status;
}

ts_status ts_chat_template_set_tokens(ts_chat_template *t, ts_error *err)
{
    static const char *const names[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                        "pad_token", "cls_token", "mask_token"};
    ts_status status = TS_OK;
    ts_jinja_value token;
    for (size_t i = 0; i < TS_COUNT(names); i++) {
        const cJSON *named = ts_json_get(t->config, names[i]), *text = token_text(named);
        text = named == NULL ? token_text(ts_json_get(t->special_tokens, names[i])) : text;
        const char *own = NULL; // if no file says it, the token that the tokenizer uses
        if (text == NULL && named == NULL && i < 2) {
            own = ts_tokenizer_piece(t->tokenizer, i == 0 ? ts_tokenizer_bos(t->tokenizer)
                                                          : ts_tokenizer_eos(t->tokenizer));
        }
        if (text != NULL) {
            TS_TRY(ts_jinja_json(&t->data, text, 0, &token, err));
            TS_TRY(ts_jinja_set(&t->data, names[i], token, err));
        } else if (own != NULL) {
            TS_TRY(ts_jinja_text(&t->data, own, strlen(own), 0, &token, err));
            TS_TRY(ts_jinja_set(&t->data, names[i], token, err));
        }
    }
    const cJSON *more = ts_json_get(t->config, "additional_special_tokens");
    more = more == NULL ? ts_json_get(t->special_tokens, "additional_special_tokens") : more;
    TS_TRY(set_additional(t, more, err));
    TS_TRY(ts_jinja_set(&t->data, "tools", ts_jinja_none(), err));
    TS_TRY(ts_jinja_set(&t->data, "documents", ts_jinja_none(), err));
out:
    return status;
}
