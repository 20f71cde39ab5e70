// Rows to learn a preference from: a prompt with a chosen and a rejected answer, in TRL's shapes.
#include "data/row_parts.h"

#include <stdio.h>
#include <string.h>

static const char *const known[] = {"prompt", "chosen", "rejected", "system", NULL};

static bool is_list(const cJSON *value)
{
    return cJSON_IsArray(value);
}

// Whether `chosen` and `rejected` are whole conversations: `chosen` begins with a turn that is not
// the assistant's. TRL calls this an implicit prompt.
static bool is_implicit(const cJSON *json)
{
    const cJSON *first = ts_json_get(json, "chosen");
    first = is_list(first) ? first->child : NULL;
    const cJSON *role = ts_json_get(first, "role");
    role = role != NULL ? role : ts_json_get(first, "from");
    return cJSON_IsString(role) && strcmp(role->valuestring, "assistant") != 0 &&
           strcmp(role->valuestring, "gpt") != 0;
}

static ts_status add_text(ts_row_reader *r, const cJSON *json, const char *key, ts_role role)
{
    ts_turn turn = {.role = role};
    ts_status status =
        ts_row_content(r, ts_json_get(json, key), r->name, key, &turn.text, &turn.len);
    return status == TS_OK ? ts_row_add_turn(r, turn) : status;
}

static ts_status add_either(ts_row_reader *r, const cJSON *json, const char *key, ts_role role)
{
    const cJSON *value = ts_json_get(json, key);
    ts_row_list kind = role == TS_ROLE_USER ? TS_ROW_PROMPT : TS_ROW_COMPLETION;
    return is_list(value) ? ts_row_read_turns(r, value, key, kind) : add_text(r, json, key, role);
}

static ts_status read_side(ts_row_reader *r, const cJSON *json, const char *key)
{
    ts_status status = TS_OK;
    const cJSON *system = ts_row_member(json, "system");
    r->row->count = 0;
    r->row->document = false;
    ts_arena_free(&r->row->joined);
    if (system != NULL && !(cJSON_IsString(system) && system->valuestring[0] == '\0')) {
        r->system = true;
        TS_TRY(add_text(r, json, "system", TS_ROLE_SYSTEM));
    }
    if (is_implicit(json)) {
        TS_TRY(ts_row_read_turns(r, ts_json_get(json, key), key, TS_ROW_TURNS));
    } else {
        TS_TRY(add_either(r, json, "prompt", TS_ROLE_USER));
        TS_TRY(add_either(r, json, key, TS_ROLE_ASSISTANT));
    }
out:
    return status;
}

static bool same_turn(const ts_turn *a, const ts_turn *b)
{
    return a->role == b->role && a->len == b->len && memcmp(a->text, b->text, a->len) == 0;
}

// Masks the answers in the first `common` turns, which are the prompt. Only answers may follow
// them.
static ts_status check_side(ts_row_reader *r, const char *key, size_t common)
{
    for (size_t i = 0; i < common; i++) {
        r->row->turns[i].masked = r->row->turns[i].role == TS_ROLE_ASSISTANT;
    }
    if (r->row->count == common) {
        return ts_error_set(r->err, TS_ERR_FORMAT,
                            "%s: key '%s': the other answer begins with all of it, so there is "
                            "nothing to prefer",
                            r->name, key);
    }
    for (size_t i = common; i < r->row->count; i++) {
        if (r->row->turns[i].role != TS_ROLE_ASSISTANT) {
            return ts_error_set(r->err, TS_ERR_FORMAT,
                                "%s: key '%s': after the turns that both share, expected the "
                                "assistant's turns alone",
                                r->name, key);
        }
    }
    return TS_OK;
}

ts_status ts_row_read_pair(const cJSON *json, const char *name, ts_row *chosen, ts_row *rejected,
                           ts_error *err)
{
    ts_status status = TS_OK;
    ts_row_reader a = {.row = chosen, .name = name, .err = err};
    ts_row_reader b = {.row = rejected, .name = name, .err = err};
    size_t common = 0;
    if (!cJSON_IsObject(json)) {
        TS_FAIL(TS_ERR_FORMAT, "%s: expected an object, found %s", name, ts_json_kind(json));
    }
    for (size_t i = 1; i <= 2; i++) {
        if (ts_row_member(json, known[i]) == NULL) {
            char what[96];
            snprintf(what, sizeof what, "key '%s' is missing, which a loss over pairs needs",
                     known[i]);
            return ts_row_refuse_missing(&a, json, known, name, what);
        }
    }
    if (!is_implicit(json) && ts_row_member(json, "prompt") == NULL) {
        TS_FAIL(TS_ERR_FORMAT,
                "%s: key 'prompt' is missing, and 'chosen' does not begin with what was asked",
                name);
    }
    TS_TRY(ts_row_check_keys(&a, json, known, name));
    TS_TRY(read_side(&a, json, "chosen"));
    TS_TRY(read_side(&b, json, "rejected"));
    while (common < chosen->count && common < rejected->count &&
           same_turn(&chosen->turns[common], &rejected->turns[common])) {
        common++;
    }
    TS_TRY(check_side(&a, "chosen", common));
    TS_TRY(check_side(&b, "rejected", common));
out:
    return status;
}
