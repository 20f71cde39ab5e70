#include "data/template.h"

#include "base/file.h"
#include "base/log.h"
#include "data/chat.h"
#include "data/template_parts.h"

#include <stdlib.h>
#include <string.h>

static ts_status take(ts_chat_template *t, const char *name, const char *text, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text_clear(&t->name);
    TS_TRY(ts_text_append(&t->name, name, strlen(name), err));
    TS_TRY(ts_text_append(&t->text, text, strlen(text), err));
out:
    return status;
}

// Appends the names in {name: text}: "default, tool_use".
static ts_status list_names(const cJSON *templates, ts_text *out, ts_error *err)
{
    ts_status status = TS_OK;
    const cJSON *item;
    cJSON_ArrayForEach(item, templates)
    {
        TS_TRY(ts_text_format(out, err, "%s%s", out->len > 0 ? ", " : "", item->string));
    }
out:
    return status;
}

// Takes the model's own template: the only one, or the one called "default".
static ts_status take_own(ts_chat_template *t, const char *model, const cJSON *templates,
                          const char *file, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text names = {0};
    const cJSON *chosen = ts_json_get(templates, "default");
    int count = cJSON_GetArraySize(templates);
    if (count == 0) {
        ts_log(TS_LOG_INFO,
               "%s has no chat template: plain is taken, which writes a question, a line break and "
               "its answer; --chat-template chooses another",
               model);
        status = take(t, "plain", ts_chat_template_named("plain"), err);
        goto out;
    }
    if (chosen == NULL && count > 1) {
        TS_TRY(list_names(templates, &names, err));
        TS_FAIL(TS_ERR_ARGUMENT,
                "%s holds several chat templates and none is called default: choose one with "
                "--chat-template (%s)",
                file, names.bytes);
    }
    const cJSON *text = chosen != NULL ? chosen : templates->child;
    TS_TRY(take(t, ts_path_name(file), text->valuestring, err));
out:
    ts_text_free(&names);
    return status;
}

// Takes the template from a file that the user named.
static ts_status take_file(ts_chat_template *t, const char *path, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text text = {0};
    cJSON *json = NULL;
    size_t len = strlen(path);
    if (len > 5 && strcmp(path + len - 5, ".json") == 0) {
        TS_TRY(ts_json_parse_file(path, &json, err));
        const cJSON *value = ts_json_get(json, "chat_template"), *entry;
        if (cJSON_IsArray(value)) {
            const cJSON *list = value;
            value = cJSON_GetArraySize(list) == 1 ? ts_json_get(list->child, "template") : NULL;
            cJSON_ArrayForEach(entry, list)
            {
                const cJSON *name = ts_json_get(entry, "name");
                if (cJSON_IsString(name) && strcmp(name->valuestring, "default") == 0) {
                    value = ts_json_get(entry, "template");
                }
            }
        }
        if (!cJSON_IsString(value)) {
            TS_FAIL(TS_ERR_FORMAT, "%s: key 'chat_template': expected a template's text, found %s",
                    path, ts_json_kind(value));
        }
        status = take(t, path, value->valuestring, err);
        goto out;
    }
    TS_TRY(ts_file_read(path, 4 << 20, &text, err));
    TS_TRY(ts_text_append(&text, "", 0, err));
    if (strlen(text.bytes) != text.len) {
        TS_FAIL(TS_ERR_FORMAT, "%s: a chat template is text; this file holds NUL bytes", path);
    }
    TS_TRY(take(t, path, text.bytes, err));
out:
    cJSON_Delete(json);
    ts_text_free(&text);
    return status;
}

static ts_status choose(ts_chat_template *t, const char *model, const char *chosen,
                        const cJSON *templates, const char *file, ts_error *err)
{
    bool found = false;
    const cJSON *own = chosen != NULL ? ts_json_get(templates, chosen) : NULL;
    if (chosen == NULL) {
        return take_own(t, model, templates, file, err);
    }
    if (own != NULL) {
        return take(t, chosen, own->valuestring, err);
    }
    if (ts_chat_template_named(chosen) != NULL) {
        return take(t, chosen, ts_chat_template_named(chosen), err);
    }
    if (strstr(chosen, "{{") != NULL || strstr(chosen, "{%") != NULL) {
        return take(t, "--chat-template", chosen, err);
    }
    ts_status status = ts_file_find(chosen, &found, err);
    if (status != TS_OK || found) {
        return status == TS_OK ? take_file(t, chosen, err) : status;
    }
    return ts_error_set(err, TS_ERR_ARGUMENT,
                        "chat template '%.60s' is none of " TS_CHAT_TEMPLATE_NAMES
                        ", no file, and no text of a template",
                        chosen);
}

// Checks that the tokenizer has the special tokens that a named template writes.
static ts_status check_needs(const ts_chat_template *t, ts_error *err)
{
    static const struct {
        const char *name, *token;
    } needs[] = {{"chatml", "<|im_start|>"},
                 {"chatml", "<|im_end|>"},
                 {"llama-3", "<|start_header_id|>"},
                 {"llama-3", "<|end_header_id|>"},
                 {"llama-3", "<|eot_id|>"}};
    for (size_t i = 0; i < TS_COUNT(needs); i++) {
        if (strcmp(needs[i].name, t->name.bytes) == 0 &&
            ts_tokenizer_find(t->tokenizer, needs[i].token) == TS_TOKEN_NONE) {
            return ts_error_set(
                err, TS_ERR_UNSUPPORTED,
                "chat template %s needs the token '%s', which this tokenizer "
                "lacks; choose another with --chat-template (" TS_CHAT_TEMPLATE_NAMES ")",
                t->name.bytes, needs[i].token);
        }
    }
    return TS_OK;
}

// Creates the template object, without a template's text.
static ts_status begin(ts_weights *model, const ts_tokenizer *tokenizer, ts_chat_template **out,
                       ts_error *err)
{
    ts_status status = TS_OK;
    ts_chat_template *t = NULL;
    TS_TRY(ts_alloc(1, sizeof *t, &t, err));
    *out = t;
    t->tokenizer = tokenizer;
    t->end = TS_TOKEN_NONE;
    if (model != NULL) {
        TS_TRY(ts_weights_read(model, TS_PART_TOKENIZER_CONFIG, &t->config, NULL, err));
        TS_TRY(ts_weights_read(model, TS_PART_SPECIAL_TOKENS, &t->special_tokens, NULL, err));
    }
out:
    return status;
}

// Parses the template. Error messages about its text start with `place`.
static ts_status finish(ts_chat_template *t, const char *place, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text name = {0};
    const char *named = ts_chat_template_named(t->name.bytes);
    bool is_named = named != NULL && strcmp(named, t->text.bytes) == 0;
    t->plain = is_named && strcmp(t->name.bytes, "plain") == 0;
    TS_TRY(is_named ? check_needs(t, err) : TS_OK);
    size_t len = strlen(place);
    // Line numbers are those of the template's text.
    bool json = len > 5 && strcmp(place + len - 5, ".json") == 0;
    TS_TRY(ts_text_format(&name, err, "%s%s%s", is_named ? "chat template " : "", place,
                          json ? ": chat template" : ""));
    TS_TRY(ts_jinja_parse(t->text.bytes, t->text.len, name.bytes, &t->jinja, err));
    TS_TRY(ts_chat_find_end(t, &t->end, err));
out:
    ts_text_free(&name);
    return status;
}

ts_status ts_chat_template_open(ts_weights *model, const char *chosen,
                                const ts_tokenizer *tokenizer, ts_chat_template **out,
                                ts_error *err)
{
    ts_status status = TS_OK;
    const cJSON *templates = NULL;
    const char *path = "no model", *file = NULL;
    *out = NULL;
    TS_TRY(begin(model, tokenizer, out, err));
    if (model != NULL) {
        path = ts_weights_path(model);
        TS_TRY(ts_weights_templates(model, &templates, &file, err));
    }
    TS_TRY(choose(*out, path, chosen, templates, file, err));
    bool own = chosen == NULL && cJSON_GetArraySize(templates) > 0;
    TS_TRY(finish(*out, own ? file : (*out)->name.bytes, err));
out:
    if (status != TS_OK) {
        ts_chat_template_close(*out);
        *out = NULL;
    }
    return status;
}

ts_status ts_chat_template_open_text(ts_weights *model, const char *name, const char *text,
                                     const ts_tokenizer *tokenizer, ts_chat_template **out,
                                     ts_error *err)
{
    ts_status status = TS_OK;
    *out = NULL;
    TS_TRY(begin(model, tokenizer, out, err));
    TS_TRY(take(*out, name, text, err));
    TS_TRY(finish(*out, name, err));
out:
    if (status != TS_OK) {
        ts_chat_template_close(*out);
        *out = NULL;
    }
    return status;
}

void ts_chat_template_close(ts_chat_template *t)
{
    if (t == NULL) {
        return;
    }
    ts_jinja_free(t->jinja);
    ts_jinja_data_free(&t->data);
    ts_rendering_free(&t->rendering);
    ts_rendering_free(&t->prompt);
    ts_text_free(&t->name);
    ts_text_free(&t->text);
    free(t);
}

const char *ts_chat_template_name(const ts_chat_template *t)
{
    return t->name.bytes;
}

const char *ts_chat_template_text(const ts_chat_template *t)
{
    return t->text.bytes;
}

bool ts_chat_template_is_plain(const ts_chat_template *t)
{
    return t->plain;
}

uint32_t ts_chat_template_end_token(const ts_chat_template *t)
{
    return t->end;
}
