// Reads lists of turns, their roles and their contents.
#include "base/nearest.h"
#include "data/row_parts.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum { NAME_BYTES = 512 };

// Names of the roles in different formats, in lower case and with '-' for '_' and spaces. There is
// no role for tools: the template would have to support them.
static const struct {
    const char *name;
    ts_role role;
    bool tool;
} roles[] = {
    {"system", TS_ROLE_SYSTEM, false},
    {"user", TS_ROLE_USER, false},
    {"assistant", TS_ROLE_ASSISTANT, false},
    {"sys", TS_ROLE_SYSTEM, false},
    {"system-prompt", TS_ROLE_SYSTEM, false},
    {"developer", TS_ROLE_SYSTEM, false},
    {"human", TS_ROLE_USER, false},
    {"prompter", TS_ROLE_USER, false},
    {"customer", TS_ROLE_USER, false},
    {"client", TS_ROLE_USER, false},
    {"usr", TS_ROLE_USER, false},
    {"gpt", TS_ROLE_ASSISTANT, false},
    {"gpt-3", TS_ROLE_ASSISTANT, false},
    {"gpt-3.5", TS_ROLE_ASSISTANT, false},
    {"gpt-4", TS_ROLE_ASSISTANT, false},
    {"gpt4", TS_ROLE_ASSISTANT, false},
    {"chatgpt", TS_ROLE_ASSISTANT, false},
    {"chat-gpt", TS_ROLE_ASSISTANT, false},
    {"bot", TS_ROLE_ASSISTANT, false},
    {"chatbot", TS_ROLE_ASSISTANT, false},
    {"model", TS_ROLE_ASSISTANT, false},
    {"ai", TS_ROLE_ASSISTANT, false},
    {"ai-assistant", TS_ROLE_ASSISTANT, false},
    {"bard", TS_ROLE_ASSISTANT, false},
    {"bing", TS_ROLE_ASSISTANT, false},
    {"claude", TS_ROLE_ASSISTANT, false},
    {"agent", TS_ROLE_ASSISTANT, false},
    {"tool", 0, true},
    {"tools", 0, true},
    {"tool-call", 0, true},
    {"tool-calls", 0, true},
    {"tool-response", 0, true},
    {"tool-result", 0, true},
    {"tool-output", 0, true},
    {"function", 0, true},
    {"function-call", 0, true},
    {"function-response", 0, true},
    {"function-result", 0, true},
    {"observation", 0, true},
    {"ipython", 0, true},
    {"code", 0, true},
    {"code-interpreter", 0, true},
    {"environment", 0, true},
};

static ts_status read_role(ts_row_reader *r, const cJSON *value, const char *place, const char *key,
                           ts_role *out)
{
    char name[32] = "";
    size_t len = 0;
    const char *text = ts_json_string(value, &len);
    if (text == NULL) {
        return ts_error_set(r->err, TS_ERR_FORMAT, "%s: key '%s': expected a string, found %s",
                            place, key, ts_json_kind(value));
    }
    for (; len > 0 && isspace((unsigned char)*text); len--) {
        text++;
    }
    for (; len > 0 && isspace((unsigned char)text[len - 1]); len--) {
    }
    for (size_t i = 0; i < len && i < sizeof name - 1; i++) {
        name[i] = strchr("_ ", text[i]) != NULL ? '-' : (char)tolower((unsigned char)text[i]);
    }
    ts_nearest nearest = ts_nearest_begin(text, len);
    for (size_t i = 0; i < TS_COUNT(roles); i++) {
        if (len == strlen(roles[i].name) && memcmp(name, roles[i].name, len) == 0) {
            *out = roles[i].role;
            return roles[i].tool
                       ? ts_error_set(r->err, TS_ERR_FORMAT,
                                      "%s: key '%s': '%s': tools are not implemented: leave such "
                                      "rows out, or write what the tool said as text",
                                      place, key, name)
                       : TS_OK;
        }
        ts_nearest_offer(&nearest, roles[i].tool ? NULL : roles[i].name);
    }
    return ts_error_set(r->err, TS_ERR_FORMAT,
                        "%s: key '%s': '%.*s' is none of system, user, assistant (nor a usual name "
                        "of one, such as human or gpt)%s%s%s",
                        place, key, (int)ts_min_u64(len, 40), text,
                        nearest.name != NULL ? "; did you mean " : "",
                        nearest.name != NULL ? nearest.name : "", nearest.name != NULL ? "?" : "");
}

// ---- Content

// [{"type": "text", "text": "..."}, ...], joined without a separator, as templates do.
static ts_status join_parts(ts_row_reader *r, const cJSON *parts, const char *place,
                            const char *key, const char **text, size_t *len)
{
    static const char *const known[] = {"type", "text", NULL};
    ts_status status = TS_OK;
    ts_error *err = r->err;
    ts_text joined = {0};
    char name[NAME_BYTES], *copy = NULL;
    size_t number = 0;
    TS_TRY(ts_text_append(&joined, "", 0, err));
    for (const cJSON *part = parts->child; part != NULL; part = part->next, number++) {
        const char *type, *bytes;
        size_t bytes_len;
        snprintf(name, sizeof name, "%s: %s[%zu]", place, key, number);
        if (!cJSON_IsObject(part)) {
            TS_FAIL(TS_ERR_FORMAT,
                    "%s: expected a part {\"type\": \"text\", \"text\": ...}, found %s", name,
                    ts_json_kind(part));
        }
        TS_TRY(ts_json_get_text(part, "type", name, &type, err));
        if (strcmp(type, "text") != 0) {
            TS_FAIL(TS_ERR_FORMAT,
                    "%s: key 'type': '%.40s': only text is read: leave such rows out", name, type);
        }
        TS_TRY(ts_row_check_keys(r, part, known, name));
        TS_TRY(ts_json_get_string(part, "text", name, &bytes, &bytes_len, err));
        TS_TRY(ts_text_append(&joined, bytes, bytes_len, err));
    }
    TS_TRY(ts_arena_copy_text(&r->row->joined, joined.bytes, joined.len, &copy, err));
    *text = copy;
    *len = joined.len;
out:
    ts_text_free(&joined);
    return status;
}

ts_status ts_row_content(ts_row_reader *r, const cJSON *value, const char *place, const char *key,
                         const char **text, size_t *len)
{
    if (cJSON_IsArray(value) && value->child != NULL) {
        return join_parts(r, value, place, key, text, len);
    }
    *text = ts_json_string(value, len);
    return *text != NULL
               ? TS_OK
               : ts_error_set(r->err, TS_ERR_FORMAT, "%s: key '%s': expected a string, found %s",
                              place, key, ts_json_kind(value));
}

// ---- Turns

static const char *const turn_keys[] = {"role", "from", "content", "value", NULL};

// The member of one of two names, which must agree if both are present. *key: the name found.
static ts_status either(ts_row_reader *r, const cJSON *turn, const char *first, const char *second,
                        const char *place, const char **key, const cJSON **out)
{
    const cJSON *a = ts_row_member(turn, first), *b = ts_row_member(turn, second);
    char what[64];
    if (a == NULL && b == NULL) {
        const cJSON *null = ts_json_get(turn, first);
        *key = null != NULL ? first : second;
        if (null != NULL || ts_json_get(turn, second) != NULL) {
            return ts_error_set(r->err, TS_ERR_FORMAT,
                                "%s: key '%s': expected a string, found null", place, *key);
        }
        snprintf(what, sizeof what, "key '%s' (or '%s') is missing", first, second);
        return ts_row_refuse_missing(r, turn, turn_keys, place, what);
    }
    if (a != NULL && b != NULL && !cJSON_Compare(a, b, true)) {
        return ts_error_set(r->err, TS_ERR_FORMAT, "%s: keys '%s' and '%s' differ: take one out",
                            place, first, second);
    }
    *key = a != NULL ? first : second;
    *out = a != NULL ? a : b;
    return TS_OK;
}

static ts_status read_turn(ts_row_reader *r, const cJSON *turn, const char *place, ts_row_list kind)
{
    ts_status status = TS_OK;
    ts_error *err = r->err;
    const cJSON *role = NULL, *content = NULL;
    const char *role_key, *content_key;
    ts_turn out = {0};
    bool said, trained;
    if (!cJSON_IsObject(turn)) {
        TS_FAIL(TS_ERR_FORMAT, "%s: expected an object {\"role\", \"content\"}, found %s", place,
                ts_json_kind(turn));
    }
    TS_TRY(either(r, turn, "role", "from", place, &role_key, &role));
    TS_TRY(read_role(r, role, place, role_key, &out.role));
    TS_TRY(ts_row_check_keys(r, turn, turn_keys, place));
    TS_TRY(either(r, turn, "content", "value", place, &content_key, &content));
    TS_TRY(ts_row_content(r, content, place, content_key, &out.text, &out.len));
    TS_TRY(ts_row_read_trained(r, turn, place, &said, &trained));
    if (said && trained && out.role != TS_ROLE_ASSISTANT) {
        TS_FAIL(TS_ERR_FORMAT,
                "%s: asks to learn a turn that is not the assistant's, which is not implemented",
                place);
    }
    if (kind == TS_ROW_COMPLETION && out.role != TS_ROLE_ASSISTANT) {
        TS_FAIL(TS_ERR_FORMAT, "%s: a completion holds nothing but the assistant's turns", place);
    }
    out.masked = out.role == TS_ROLE_ASSISTANT && (!trained || kind == TS_ROW_PROMPT);
    // The row's own `system` may be repeated as the first turn.
    const ts_turn *first = r->row->turns;
    if (out.role == TS_ROLE_SYSTEM && r->row->count == 1 && first->role == TS_ROLE_SYSTEM &&
        r->system) {
        r->system = false;
        if (out.len != first->len || memcmp(out.text, first->text, out.len) != 0) {
            TS_FAIL(TS_ERR_FORMAT,
                    "%s: is a system turn, and key 'system' says something else: take one out",
                    place);
        }
        return TS_OK;
    }
    status = ts_row_add_turn(r, out);
out:
    return status;
}

ts_status ts_row_read_turns(ts_row_reader *r, const cJSON *turns, const char *key, ts_row_list kind)
{
    ts_status status = TS_OK;
    ts_error *err = r->err;
    size_t number = 0;
    if (!cJSON_IsArray(turns)) {
        bool spelt = cJSON_IsString(turns) && turns->valuestring[0] == '[';
        TS_FAIL(TS_ERR_FORMAT, "%s: key '%s': expected an array, found %s%s", r->name, key,
                ts_json_kind(turns), spelt ? " that holds one: write it without the quotes" : "");
    }
    for (const cJSON *turn = turns->child; turn != NULL; turn = turn->next, number++) {
        char place[NAME_BYTES];
        snprintf(place, sizeof place, "%s: %s[%zu]", r->name, key, number);
        TS_TRY(read_turn(r, turn, place, kind));
    }
out:
    return status;
}
