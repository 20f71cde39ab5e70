#include "data/rows.h"

#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct reading {
    ts_row *row;
    const char *name;
    ts_error *err;
} reading;

void ts_row_free(ts_row *row)
{
    free(row->turns);
    ts_text_free(&row->text);
    *row = (ts_row){0};
}

static ts_status add_turn(reading *r, ts_role role, const char *text, size_t len)
{
    ts_row *row = r->row;
    ts_status status =
        ts_grow(&row->turns, &row->capacity, row->count + 1, sizeof *row->turns, r->err);
    if (status == TS_OK) {
        row->turns[row->count++] = (ts_turn){role, text, len};
    }
    return status;
}

static ts_status add_member(reading *r, const cJSON *json, const char *key, ts_role role)
{
    const char *text = NULL;
    ts_status status = ts_json_get_text(json, key, r->name, &text, r->err);
    return status == TS_OK ? add_turn(r, role, text, strlen(text)) : status;
}

static ts_status add_optional_system(reading *r, const cJSON *json)
{
    const cJSON *system = ts_json_get(json, "system");
    return system == NULL || cJSON_IsNull(system) ||
                   (cJSON_IsString(system) && system->valuestring[0] == '\0')
               ? TS_OK
               : add_member(r, json, "system", TS_ROLE_SYSTEM);
}

static bool parse_role(const char *name, ts_role *out)
{
    static const struct {
        const char *name;
        ts_role role;
    } roles[] = {
        {"system", TS_ROLE_SYSTEM}, {"user", TS_ROLE_USER},     {"assistant", TS_ROLE_ASSISTANT},
        {"human", TS_ROLE_USER},    {"gpt", TS_ROLE_ASSISTANT},
    };
    for (size_t i = 0; i < TS_COUNT(roles); i++) {
        if (strcmp(name, roles[i].name) == 0) {
            *out = roles[i].role;
            return true;
        }
    }
    return false;
}

// [{role_key: ..., text_key: ...}, ...]
static ts_status read_turns(reading *r, const cJSON *json, const char *key, const char *role_key,
                            const char *text_key)
{
    ts_status status = TS_OK;
    ts_error *err = r->err;
    const cJSON *turns = ts_json_get(json, key);
    size_t number = 0;
    if (!cJSON_IsArray(turns)) {
        TS_FAIL(TS_ERR_FORMAT, "%s: key '%s': expected an array, found %s", r->name, key,
                ts_json_kind(turns));
    }
    for (const cJSON *turn = turns->child; turn != NULL; turn = turn->next, number++) {
        char name[512];
        const char *role_name = NULL, *text = NULL;
        ts_role role;
        snprintf(name, sizeof name, "%s: %s[%zu]", r->name, key, number);
        if (!cJSON_IsObject(turn)) {
            TS_FAIL(TS_ERR_FORMAT, "%s: expected an object, found %s", name, ts_json_kind(turn));
        }
        TS_TRY(ts_json_get_text(turn, role_key, name, &role_name, err));
        TS_TRY(ts_json_get_text(turn, text_key, name, &text, err));
        if (!parse_role(role_name, &role)) {
            TS_FAIL(TS_ERR_UNSUPPORTED, "%s: key '%s': '%.40s' is none of system, user, assistant",
                    name, role_key, role_name);
        }
        TS_TRY(add_turn(r, role, text, strlen(text)));
    }
out:
    return status;
}

// The user's turn is the instruction, a line break and the input, where there is one.
static ts_status read_instruction(reading *r, const cJSON *json)
{
    ts_status status = TS_OK;
    ts_error *err = r->err;
    const char *instruction = NULL, *input = "";
    ts_text *text = &r->row->text;
    TS_TRY(add_optional_system(r, json));
    TS_TRY(ts_json_get_text(json, "instruction", r->name, &instruction, err));
    const cJSON *value = ts_json_get(json, "input");
    if (value != NULL && !cJSON_IsNull(value)) {
        TS_TRY(ts_json_get_text(json, "input", r->name, &input, err));
    }
    TS_TRY(ts_text_format(text, err, "%s%s%s", instruction, input[0] != '\0' ? "\n" : "", input));
    TS_TRY(add_turn(r, TS_ROLE_USER, text->bytes, text->len));
    TS_TRY(add_member(r, json, "output", TS_ROLE_ASSISTANT));
out:
    return status;
}

static ts_status read_prompt(reading *r, const cJSON *json)
{
    ts_status status = TS_OK;
    bool completion = ts_json_get(json, "completion") != NULL;
    TS_TRY(add_optional_system(r, json));
    TS_TRY(add_member(r, json, "prompt", TS_ROLE_USER));
    TS_TRY(add_member(r, json, completion ? "completion" : "response", TS_ROLE_ASSISTANT));
out:
    return status;
}

typedef struct tag {
    const char *at; // NULL: none left
    size_t len;
    ts_role role;
} tag;

// The first role tag in text[from..).
static tag find_tag(const char *from)
{
    static const struct {
        const char *text;
        ts_role role;
    } tags[] = {
        {"<|system|>", TS_ROLE_SYSTEM},
        {"<|user|>", TS_ROLE_USER},
        {"<|assistant|>", TS_ROLE_ASSISTANT},
    };
    for (const char *at = from; (at = strstr(at, "<|")) != NULL; at += 2) {
        for (size_t i = 0; i < TS_COUNT(tags); i++) {
            size_t len = strlen(tags[i].text);
            if (strncmp(at, tags[i].text, len) == 0) {
                return (tag){at, len, tags[i].role};
            }
        }
    }
    return (tag){0};
}

// A turn's text without the line breaks around it and the "</s>" that ends it.
static ts_status add_tagged_turn(reading *r, ts_role role, const char *from, const char *to)
{
    static const char end[] = "</s>";
    while (from < to && (*from == '\n' || *from == '\r')) {
        from++;
    }
    for (int pass = 0; pass < 2; pass++) { // line breaks stand behind and before "</s>"
        while (to > from && (to[-1] == '\n' || to[-1] == '\r')) {
            to--;
        }
        if (pass == 0 && (size_t)(to - from) >= strlen(end) &&
            memcmp(to - strlen(end), end, strlen(end)) == 0) {
            to -= strlen(end);
        }
    }
    return add_turn(r, role, from, (size_t)(to - from));
}

// "<|user|>\nQ</s>\n<|assistant|>\nA</s>\n" back into its turns.
static ts_status read_text(reading *r, const cJSON *json, bool documents)
{
    ts_status status = TS_OK;
    ts_error *err = r->err;
    const char *text = NULL;
    TS_TRY(ts_json_get_text(json, "text", r->name, &text, err));
    tag next = find_tag(text);
    if (next.at == NULL) {
        if (!documents) {
            TS_FAIL(TS_ERR_FORMAT,
                    "%s: key 'text' carries neither <|user|> nor <|assistant|>; to learn whole "
                    "texts choose --chat-template plain",
                    r->name);
        }
        r->row->document = true;
        status = add_turn(r, TS_ROLE_ASSISTANT, text, strlen(text));
        goto out;
    }
    if (strspn(text, " \t\r\n") < (size_t)(next.at - text)) {
        TS_FAIL(TS_ERR_FORMAT, "%s: key 'text': something stands before its first tag %.*s",
                r->name, (int)next.len, next.at);
    }
    while (next.at != NULL) {
        const char *from = next.at + next.len;
        tag following = find_tag(from);
        const char *to = following.at != NULL ? following.at : from + strlen(from);
        TS_TRY(add_tagged_turn(r, next.role, from, to));
        next = following;
    }
out:
    return status;
}

ts_status ts_row_read(const cJSON *json, bool documents, const char *name, ts_row *out,
                      ts_error *err)
{
    ts_status status = TS_OK;
    reading r = {out, name, err};
    bool answered = false;
    if (!cJSON_IsObject(json)) {
        TS_FAIL(TS_ERR_FORMAT, "%s: expected an object, found %s", name, ts_json_kind(json));
    }
    if (ts_json_get(json, "messages") != NULL) {
        TS_TRY(read_turns(&r, json, "messages", "role", "content"));
    } else if (ts_json_get(json, "conversations") != NULL) {
        TS_TRY(read_turns(&r, json, "conversations", "from", "value"));
    } else if (ts_json_get(json, "instruction") != NULL) {
        TS_TRY(read_instruction(&r, json));
    } else if (ts_json_get(json, "prompt") != NULL) {
        TS_TRY(read_prompt(&r, json));
    } else if (ts_json_get(json, "text") != NULL) {
        TS_TRY(read_text(&r, json, documents));
    } else {
        TS_FAIL(TS_ERR_FORMAT,
                "%s: has none of the keys messages, conversations, instruction, prompt, text",
                name);
    }
    for (size_t i = 0; i < out->count; i++) {
        answered = answered || out->turns[i].role == TS_ROLE_ASSISTANT;
    }
    if (!answered) {
        TS_FAIL(TS_ERR_FORMAT, "%s: has no assistant's turn to learn from", name);
    }
out:
    return status;
}
