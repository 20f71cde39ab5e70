#include "data/rows.h"

#include "data/row_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void ts_row_free(ts_row *row)
{
    free(row->turns);
    ts_arena_free(&row->joined);
    *row = (ts_row){0};
}

ts_status ts_row_add_turn(ts_row_reader *r, ts_turn turn)
{
    ts_row *row = r->row;
    ts_status status =
        ts_grow(&row->turns, &row->capacity, row->count + 1, sizeof *row->turns, r->err);
    if (status == TS_OK) {
        row->turns[row->count++] = turn;
    }
    return status;
}

static ts_status add_member(ts_row_reader *r, const cJSON *json, const char *key, ts_role role)
{
    ts_turn turn = {.role = role};
    ts_status status =
        ts_row_content(r, ts_json_get(json, key), r->name, key, &turn.text, &turn.len);
    return status == TS_OK ? ts_row_add_turn(r, turn) : status;
}

// ---- Keys beside the turns

static ts_status read_system(ts_row_reader *r, const cJSON *json)
{
    const cJSON *system = ts_row_member(json, "system");
    if (system == NULL || (cJSON_IsString(system) && system->valuestring[0] == '\0')) {
        return TS_OK;
    }
    r->system = true;
    return add_member(r, json, "system", TS_ROLE_SYSTEM);
}

// [[question, answer], ...]: turns before the row's own. They are trained on, as in LLaMA-Factory,
// where the format comes from.
static ts_status read_history(ts_row_reader *r, const cJSON *json)
{
    ts_status status = TS_OK;
    ts_error *err = r->err;
    const cJSON *history = ts_row_member(json, "history");
    size_t number = 0;
    if (history == NULL || (cJSON_IsString(history) && history->valuestring[0] == '\0')) {
        return TS_OK;
    }
    if (!cJSON_IsArray(history)) {
        TS_FAIL(TS_ERR_FORMAT,
                "%s: key 'history': expected an array of [question, answer], found %s", r->name,
                ts_json_kind(history));
    }
    for (const cJSON *pair = history->child; pair != NULL; pair = pair->next, number++) {
        ts_turn turns[2] = {{.role = TS_ROLE_USER}, {.role = TS_ROLE_ASSISTANT}};
        const cJSON *texts[2] = {cJSON_GetArrayItem(pair, 0), cJSON_GetArrayItem(pair, 1)};
        for (int i = 0; i < 2; i++) {
            turns[i].text = ts_json_string(texts[i], &turns[i].len);
        }
        if (!cJSON_IsArray(pair) || cJSON_GetArraySize(pair) != 2 || turns[0].text == NULL ||
            turns[1].text == NULL) {
            TS_FAIL(TS_ERR_FORMAT, "%s: history[%zu]: expected [question, answer], two strings",
                    r->name, number);
        }
        TS_TRY(ts_row_add_turn(r, turns[0]));
        TS_TRY(ts_row_add_turn(r, turns[1]));
    }
    r->row->notes.histories += number > 0;
out:
    return status;
}

// ---- Formats

// The user's turn is the instruction, a line break and the input; without an input, the
// instruction.
static ts_status read_instruction(ts_row_reader *r, const cJSON *json)
{
    ts_status status = TS_OK;
    ts_error *err = r->err;
    ts_text joined = {0};
    const cJSON *input = ts_row_member(json, "input");
    const char *parts[2] = {"", ""};
    size_t lens[2] = {0};
    char *copy = NULL;
    TS_TRY(read_history(r, json));
    TS_TRY(ts_json_get_string(json, "instruction", r->name, &parts[0], &lens[0], err));
    if (input != NULL) {
        TS_TRY(ts_json_get_string(json, "input", r->name, &parts[1], &lens[1], err));
    }
    TS_TRY(ts_text_append(&joined, parts[0], lens[0], err));
    TS_TRY(ts_text_append(&joined, "\n", lens[0] > 0 && lens[1] > 0, err));
    TS_TRY(ts_text_append(&joined, parts[1], lens[1], err));
    TS_TRY(ts_arena_copy_text(&r->row->joined, joined.bytes, joined.len, &copy, err));
    TS_TRY(ts_row_add_turn(r, (ts_turn){.role = TS_ROLE_USER, .text = copy, .len = joined.len}));
    if (ts_row_member(json, "output") != NULL) {
        TS_TRY(add_member(r, json, "output", TS_ROLE_ASSISTANT));
    }
out:
    ts_text_free(&joined);
    return status;
}

static bool is_list_of_turns(const cJSON *value)
{
    return cJSON_IsArray(value) &&
           (ts_json_get(value->child, "role") != NULL || ts_json_get(value->child, "from") != NULL);
}

// A text or a list of turns, as in TRL.
static ts_status add_text_or_turns(ts_row_reader *r, const cJSON *json, const char *key,
                                   ts_role role)
{
    const cJSON *value = ts_json_get(json, key);
    if (cJSON_IsArray(value) && cJSON_IsString(value->child)) {
        return ts_error_set(r->err, TS_ERR_FORMAT,
                            "%s: key '%s': expected a string, found an array of them: a table by "
                            "columns is not read, write an object for each row",
                            r->name, key);
    }
    return is_list_of_turns(value)
               ? ts_row_read_turns(r, value, key,
                                   role == TS_ROLE_USER ? TS_ROW_PROMPT : TS_ROW_COMPLETION)
               : add_member(r, json, key, role);
}

static ts_status read_prompt(ts_row_reader *r, const cJSON *json)
{
    ts_status status = TS_OK;
    ts_error *err = r->err;
    const cJSON *completion = ts_row_member(json, "completion");
    const cJSON *response = ts_row_member(json, "response");
    TS_TRY(read_history(r, json));
    TS_TRY(add_text_or_turns(r, json, "prompt", TS_ROLE_USER));
    if (completion != NULL && response != NULL && !cJSON_Compare(completion, response, true)) {
        TS_FAIL(TS_ERR_FORMAT, "%s: keys 'completion' and 'response' differ: take one out",
                r->name);
    }
    if (completion != NULL || response != NULL) {
        TS_TRY(add_text_or_turns(r, json, completion != NULL ? "completion" : "response",
                                 TS_ROLE_ASSISTANT));
    }
out:
    return status;
}

static ts_status read_messages(ts_row_reader *r, const cJSON *json)
{
    return ts_row_read_turns(r, ts_json_get(json, "messages"), "messages", TS_ROW_TURNS);
}

static ts_status read_conversations(ts_row_reader *r, const cJSON *json)
{
    return ts_row_read_turns(r, ts_json_get(json, "conversations"), "conversations", TS_ROW_TURNS);
}

// A format is recognised by its first key. It is complete with one of `answers`, if it has any.
typedef struct shape {
    const char *key, *answers[2];
    const char *known[8]; // all keys that this format reads
    ts_status (*read)(ts_row_reader *, const cJSON *);
} shape;

static const shape shapes[] = {
    {"messages", {NULL}, {"messages", "system", NULL}, read_messages},
    {"conversations", {NULL}, {"conversations", "system", NULL}, read_conversations},
    {"instruction",
     {"output", NULL},
     {"instruction", "input", "output", "system", "history", NULL},
     read_instruction},
    {"prompt",
     {"completion", "response"},
     {"prompt", "completion", "response", "system", "history", NULL},
     read_prompt},
    {"text", {NULL}, {"text", "system", NULL}, ts_row_read_text},
};
enum { TEXT_SHAPE = TS_COUNT(shapes) - 1 };
static const char *const row_keys[] = {"messages", "conversations", "instruction", "input",
                                       "output",   "prompt",        "completion",  "response",
                                       "text",     "system",        "history",     NULL};

bool ts_row_has_shape(const cJSON *json)
{
    for (size_t i = 0; i < TS_COUNT(shapes); i++) {
        if (ts_json_get(json, shapes[i].key) != NULL) {
            return true;
        }
    }
    return false;
}

static bool has_answer(const shape *s, const cJSON *json)
{
    return s->answers[0] == NULL || ts_row_member(json, s->answers[0]) != NULL ||
           (s->answers[1] != NULL && ts_row_member(json, s->answers[1]) != NULL);
}

// The first complete format, or the first one present. Two complete formats are an error, since it
// is unclear which is meant. A `text` beside another format is taken for that row rendered as text.
static ts_status choose_shape(ts_row_reader *r, const cJSON *json, const shape **out)
{
    const shape *first = NULL, *complete = NULL;
    for (size_t i = 0; i < TS_COUNT(shapes); i++) {
        const shape *s = &shapes[i];
        if (ts_row_member(json, s->key) == NULL) {
            continue;
        }
        first = first != NULL ? first : s;
        if (!has_answer(s, json) || (complete != NULL && i == TEXT_SHAPE)) {
            continue;
        }
        if (complete != NULL) {
            return ts_error_set(
                r->err, TS_ERR_FORMAT,
                "%s: is a row of %s and one of %s at once: take the keys of one out", r->name,
                complete->key, s->key);
        }
        complete = s;
    }
    *out = complete != NULL ? complete : first;
    return *out != NULL
               ? TS_OK
               : ts_row_refuse_missing(r, json, row_keys, r->name,
                                       "has none of the keys messages, conversations, instruction, "
                                       "prompt, text");
}

// Refuses keys that belong to another format than this one.
static ts_status check_strangers(ts_row_reader *r, const cJSON *json, const shape *s)
{
    static const char *const strangers[][2] = {{"input", "beside instruction"},
                                               {"history", "beside instruction or prompt"}};
    for (size_t i = 0; i < TS_COUNT(strangers); i++) {
        const cJSON *value = ts_row_member(json, strangers[i][0]);
        bool known = false;
        for (size_t k = 0; s->known[k] != NULL; k++) {
            known = known || strcmp(s->known[k], strangers[i][0]) == 0;
        }
        if (!known && value != NULL && !(cJSON_IsString(value) && value->valuestring[0] == '\0') &&
            !(cJSON_IsArray(value) && value->child == NULL)) {
            return ts_error_set(r->err, TS_ERR_FORMAT, "%s: key '%s' has a meaning only %s",
                                r->name, strangers[i][0], strangers[i][1]);
        }
    }
    return TS_OK;
}

static ts_status check_answered(ts_row_reader *r, const cJSON *json, const shape *s)
{
    bool answered = r->row->may_ask && r->row->count > 0;
    for (size_t i = 0; i < r->row->count; i++) {
        answered = answered || r->row->turns[i].role == TS_ROLE_ASSISTANT;
    }
    if (answered) {
        return TS_OK;
    }
    if (s->answers[0] == NULL) {
        return ts_error_set(r->err, TS_ERR_FORMAT, "%s: has no assistant's turn to learn from",
                            r->name);
    }
    if (ts_json_get(json, s->answers[0]) != NULL) {
        return ts_error_set(r->err, TS_ERR_FORMAT, "%s: key '%s': expected a string, found null",
                            r->name, s->answers[0]);
    }
    char what[64], other[32] = "";
    if (s->answers[1] != NULL) {
        snprintf(other, sizeof other, " (or '%s')", s->answers[1]);
    }
    snprintf(what, sizeof what, "key '%s'%s is missing", s->answers[0], other);
    return ts_row_refuse_missing(r, json, s->known, r->name, what);
}

static ts_status refuse_other_value(ts_row_reader *r, const cJSON *json)
{
    bool turns = is_list_of_turns(json);
    return ts_error_set(r->err, TS_ERR_FORMAT, "%s: expected an object, found %s%s", r->name,
                        ts_json_kind(json),
                        turns ? " of turns: write {\"messages\": [...]} around it" : "");
}

ts_status ts_row_read(const cJSON *json, bool documents, const char *name, ts_row *out,
                      ts_error *err)
{
    ts_status status = TS_OK;
    ts_row_reader r = {.row = out, .documents = documents, .name = name, .err = err};
    const shape *s = NULL;
    bool said, trained;
    out->count = 0;
    out->document = false;
    ts_arena_free(&out->joined);
    if (!cJSON_IsObject(json)) {
        status = refuse_other_value(&r, json);
        goto out;
    }
    TS_TRY(choose_shape(&r, json, &s));
    TS_TRY(ts_row_check_keys(&r, json, s->known, name));
    TS_TRY(check_strangers(&r, json, s));
    TS_TRY(read_system(&r, json));
    TS_TRY(s->read(&r, json));
    TS_TRY(check_answered(&r, json, s));
    TS_TRY(ts_row_read_trained(&r, json, name, &said, &trained));
    for (size_t i = 0; i < out->count && !trained; i++) {
        out->turns[i].masked = true;
    }
out:
    return status;
}
