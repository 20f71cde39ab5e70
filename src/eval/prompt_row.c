#include "eval/prompt_row.h"

#include "base/nearest.h"
#include "eval/words.h"

#include <stdio.h>
#include <string.h>

enum { MAX_WORDS = 100000, MAX_ALIASES = 1000, MAX_LABEL_BYTES = 40, MAX_NAMES = 8 };

static const char *const categories[] = {"factual", "polite",  "length",    "refusal",
                                         "safe",    "unknown", "multi-turn"};

const char *ts_category_name(ts_category category)
{
    return category < TS_CATEGORY_OTHER ? categories[category] : "other";
}

// The keys of an evaluation's row beside the prompt itself, which may be in any format of training
// data. A misspelling of one of the first SCORED_KEYS is refused, since it would silently leave an
// answer unscored.
static const char *const scoring_keys[] = {"reference", "facts",   "refuse",  "min_words",
                                           "max_words", "polite",  "unknown", "group",
                                           "id",        "category"};
enum { SCORED_KEYS = 7 };

// A row and the place that errors name.
typedef struct reading {
    ts_prompt_reader *reader;
    ts_arena *arena;
    const cJSON *object;
    const char *name;
    ts_error *err;
} reading;

void ts_prompt_reader_free(ts_prompt_reader *reader)
{
    ts_row_free(&reader->row);
    ts_text_free(&reader->scratch);
    ts_text_free(&reader->categories.names);
}

// The member, or NULL if it is null, since exports of tables write null for an empty cell.
static const cJSON *member(const reading *r, const char *key)
{
    const cJSON *value = ts_json_get(r->object, key);
    return cJSON_IsNull(value) ? NULL : value;
}

static bool is_blank(const char *text)
{
    return strspn(text, " \t\r\n") == strlen(text);
}

static bool is_listed(const char *name, const char *const *names, size_t count)
{
    size_t i = 0;
    while (i < count && strcmp(name, names[i]) != 0) {
        i++;
    }
    return i < count;
}

static ts_status pass_over(ts_ignored_names *passed, const char *name, ts_error *err)
{
    ts_status status = TS_OK;
    char quoted[128];
    snprintf(quoted, sizeof quoted, "'%.100s'", name);
    passed->count++;
    if (passed->names.len == 0 || strstr(passed->names.bytes, quoted) == NULL) {
        if (passed->distinct < MAX_NAMES) {
            TS_TRY(ts_text_format(&passed->names, err, "%s%s", passed->distinct > 0 ? ", " : "",
                                  quoted));
        } else if (passed->distinct == MAX_NAMES) {
            TS_TRY(ts_text_format(&passed->names, err, ", ..."));
        }
        passed->distinct++;
    }
out:
    return status;
}

// ---- The prompt

// A copy of the row without the scoring keys, in the form of a training row. Its members are
// references to the row's own. The caller deletes it.
static ts_status take_asked(const reading *r, cJSON **out)
{
    cJSON *asked = cJSON_CreateObject();
    bool ok = asked != NULL;
    cJSON *m;
    *out = asked;
    cJSON_ArrayForEach(m, r->object)
    {
        bool is_scoring = is_listed(m->string, scoring_keys, TS_COUNT(scoring_keys));
        ok = ok && (is_scoring || cJSON_AddItemReferenceToObject(asked, m->string, m));
    }
    return ok ? TS_OK : ts_error_set(r->err, TS_ERR_MEMORY, "%s: out of memory", r->name);
}

static ts_status check_keys(const reading *r)
{
    const cJSON *m;
    cJSON_ArrayForEach(m, r->object)
    {
        const char *key = m->string;
        const char *near = ts_nearest_of(key, strlen(key), scoring_keys, SCORED_KEYS);
        if (near != NULL && strcmp(near, key) != 0 && !cJSON_IsNull(m)) {
            return ts_error_set(r->err, TS_ERR_FORMAT,
                                "%s: key '%.40s' is unknown; did you mean '%s'?", r->name, key,
                                near);
        }
    }
    return TS_OK;
}

static ts_status copy(const reading *r, const char *text, size_t len, const char **out)
{
    char *copied = NULL;
    if (memchr(text, '\0', len) != NULL) {
        return ts_error_set(r->err, TS_ERR_FORMAT,
                            "%s: a text holds a NUL, which no report can show", r->name);
    }
    ts_status status = ts_arena_copy_text(r->arena, text, len, &copied, r->err);
    *out = copied;
    return status;
}

// The turns up to the user's last, and the answer after it if there is one.
static ts_status split_turns(const reading *r, ts_prompt *prompt)
{
    ts_status status = TS_OK;
    ts_error *err = r->err;
    const ts_row *row = &r->reader->row;
    size_t count = row->count;
    ts_turn *before = NULL;
    if (count > 0 && row->turns[count - 1].role == TS_ROLE_ASSISTANT) {
        const ts_turn *answer = &row->turns[--count];
        TS_TRY(copy(r, answer->text, answer->len, &prompt->reference));
    }
    if (count == 0 || row->turns[count - 1].role != TS_ROLE_USER) {
        TS_FAIL(TS_ERR_FORMAT, "%s: has no user's turn %s", r->name,
                count < row->count ? "before its last answer" : "at its end");
    }
    count--;
    TS_TRY(copy(r, row->turns[count].text, row->turns[count].len, &prompt->text));
    TS_TRY(ts_arena_alloc(r->arena, count + 1, sizeof *before, &before, err));
    for (size_t i = 0; i < count; i++) {
        before[i] = row->turns[i];
        TS_TRY(copy(r, row->turns[i].text, row->turns[i].len, &before[i].text));
    }
    prompt->before = before;
    prompt->before_count = count;
out:
    return status;
}

static ts_status read_question(const reading *r, ts_prompt *prompt)
{
    ts_status status = TS_OK;
    ts_error *err = r->err;
    ts_row *row = &r->reader->row;
    cJSON *asked = NULL;
    row->may_ask = true;
    TS_TRY(take_asked(r, &asked));
    TS_TRY(ts_row_read(asked, false, r->name, row, err));
    TS_TRY(split_turns(r, prompt));
    if (is_blank(prompt->text)) {
        TS_FAIL(TS_ERR_FORMAT, "%s: the prompt is empty", r->name);
    }
    if (member(r, "reference") != NULL) {
        const char *reference;
        if (prompt->reference != NULL) {
            TS_FAIL(TS_ERR_FORMAT,
                    "%s: has an answer and key 'reference'; only one of them can be the answer "
                    "that is hoped for",
                    r->name);
        }
        TS_TRY(ts_json_get_text(r->object, "reference", r->name, &reference, err));
        TS_TRY(copy(r, reference, strlen(reference), &prompt->reference));
    }
    if (prompt->reference != NULL && is_blank(prompt->reference)) {
        TS_FAIL(TS_ERR_FORMAT,
                "%s: the reference answer is empty; leave it out where there is none", r->name);
    }
out:
    cJSON_Delete(asked);
    return status;
}

// ---- What is scored

// An id may be a text or a number.
static ts_status read_id(const reading *r, ts_prompt *prompt)
{
    const cJSON *id = member(r, "id");
    char number[32];
    prompt->id = "";
    if (id == NULL) {
        return TS_OK;
    }
    if (cJSON_IsNumber(id)) {
        snprintf(number, sizeof number, "%.17g", id->valuedouble);
        return copy(r, number, strlen(number), &prompt->id);
    }
    if (!cJSON_IsString(id) || is_blank(id->valuestring)) {
        return ts_error_set(r->err, TS_ERR_FORMAT,
                            "%s: key 'id': expected a text or a number, found "
                            "%s",
                            r->name, cJSON_IsString(id) ? "an empty one" : ts_json_kind(id));
    }
    return copy(r, id->valuestring, strlen(id->valuestring), &prompt->id);
}

static ts_status read_category(const reading *r, ts_prompt *prompt)
{
    ts_status status = TS_OK;
    ts_error *err = r->err;
    const char *name = NULL, *near;
    prompt->label = "";
    prompt->category = TS_CATEGORY_OTHER;
    if (member(r, "category") == NULL) {
        goto out;
    }
    TS_TRY(ts_json_get_text(r->object, "category", r->name, &name, err));
    for (size_t i = 0; i < TS_COUNT(categories); i++) {
        if (strcmp(name, categories[i]) == 0) {
            prompt->category = (ts_category)i;
            prompt->label = categories[i];
            goto out;
        }
    }
    near = ts_nearest_of(name, strlen(name), categories, TS_COUNT(categories));
    if (near != NULL) {
        TS_FAIL(TS_ERR_FORMAT, "%s: key 'category': '%.40s'; did you mean '%s'?", r->name, name,
                near);
    }
    if (strlen(name) > MAX_LABEL_BYTES) {
        TS_FAIL(TS_ERR_FORMAT, "%s: key 'category': a name of %zu bytes, expected at most %d",
                r->name, strlen(name), MAX_LABEL_BYTES);
    }
    TS_TRY(pass_over(&r->reader->categories, name, err));
    ts_text_clear(&r->reader->scratch);
    TS_TRY(ts_text_append_clean(&r->reader->scratch, name, strlen(name), err));
    TS_TRY(copy(r, r->reader->scratch.bytes, r->reader->scratch.len, &prompt->label));
out:
    return status;
}

static ts_status read_group(const reading *r, ts_prompt *prompt)
{
    ts_status status = TS_OK;
    ts_error *err = r->err;
    const char *name;
    prompt->group = "";
    if (member(r, "group") != NULL) {
        TS_TRY(ts_json_get_text(r->object, "group", r->name, &name, err));
        TS_TRY(copy(r, name, strlen(name), &prompt->group));
    }
out:
    return status;
}

static ts_status read_words(const reading *r, const char *key, uint32_t *out)
{
    uint64_t value = 0;
    ts_status status = TS_OK;
    if (member(r, key) != NULL) {
        status = ts_json_get_uint(r->object, key, 1, MAX_WORDS, r->name, &value, r->err);
    }
    *out = (uint32_t)value;
    return status;
}

static ts_status add_alias(const reading *r, const cJSON *alias, const char *place, ts_fact *fact)
{
    ts_status status = TS_OK;
    ts_error *err = r->err;
    ts_text *words = &r->reader->scratch;
    const char *text = cJSON_GetStringValue(alias);
    if (text == NULL) {
        TS_FAIL(TS_ERR_FORMAT, "%s: key '%s': expected a text, found %s", r->name, place,
                ts_json_kind(alias));
    }
    ts_text_clear(words);
    TS_TRY(ts_words_normalise(text, strlen(text), words, err));
    if (words->len < 2) {
        TS_FAIL(TS_ERR_FORMAT, "%s: key '%s': '%s' holds no word to look for", r->name, place,
                text);
    }
    TS_TRY(copy(r, text, strlen(text), &fact->aliases[fact->count]));
    TS_TRY(copy(r, words->bytes, words->len, &fact->words[fact->count]));
    fact->count++;
out:
    return status;
}

// One fact: a text, or an array of spellings, each of which is accepted.
static ts_status read_fact(const reading *r, const cJSON *json, const char *place, ts_fact *out)
{
    ts_status status = TS_OK;
    ts_error *err = r->err;
    bool list = cJSON_IsArray(json);
    int count = list ? cJSON_GetArraySize(json) : 1;
    if ((!list && !cJSON_IsString(json)) || count < 1 || count > MAX_ALIASES) {
        TS_FAIL(TS_ERR_FORMAT,
                "%s: key '%s': expected a text or an array of 1 to %d spellings, found %s%s",
                r->name, place, MAX_ALIASES, ts_json_kind(json),
                count < 1 ? ", which is empty"
                : list    ? " of more than that"
                          : "");
    }
    TS_TRY(ts_arena_alloc(r->arena, (size_t)count, sizeof *out->aliases, &out->aliases, err));
    TS_TRY(ts_arena_alloc(r->arena, (size_t)count, sizeof *out->words, &out->words, err));
    if (!list) {
        status = add_alias(r, json, place, out);
        goto out;
    }
    const cJSON *alias;
    cJSON_ArrayForEach(alias, json)
    {
        char spelling[96];
        snprintf(spelling, sizeof spelling, "%s[%zu]", place, out->count);
        TS_TRY(add_alias(r, alias, spelling, out));
    }
out:
    return status;
}

static ts_status read_facts(const reading *r, ts_prompt *prompt)
{
    ts_status status = TS_OK;
    ts_error *err = r->err;
    const cJSON *facts = member(r, "facts"), *fact;
    bool list = cJSON_IsArray(facts);
    int count = list ? cJSON_GetArraySize(facts) : 1;
    if (facts == NULL) {
        goto out;
    }
    if ((!list && !cJSON_IsString(facts)) || count < 1 || count > MAX_ALIASES) {
        TS_FAIL(TS_ERR_FORMAT,
                "%s: key 'facts': expected a text, or an array of 1 to %d facts, each a text or an "
                "array of spellings, found %s%s",
                r->name, MAX_ALIASES, ts_json_kind(facts),
                count < 1 ? ", which is empty"
                : list    ? " of more than that"
                          : "");
    }
    TS_TRY(ts_arena_alloc(r->arena, (size_t)count, sizeof *prompt->facts, &prompt->facts, err));
    if (!list) {
        prompt->fact_count = 1;
        status = read_fact(r, facts, "facts", prompt->facts);
        goto out;
    }
    cJSON_ArrayForEach(fact, facts)
    {
        char place[64];
        snprintf(place, sizeof place, "facts[%zu]", prompt->fact_count);
        TS_TRY(read_fact(r, fact, place, &prompt->facts[prompt->fact_count++]));
    }
out:
    return status;
}

// "polite", "unknown" and "refuse". A category implies them, and "refuse" must not contradict it.
static ts_status read_switches(const reading *r, ts_prompt *prompt)
{
    ts_status status = TS_OK;
    ts_error *err = r->err;
    prompt->polite = prompt->category == TS_CATEGORY_POLITE;
    prompt->refuse = prompt->category == TS_CATEGORY_REFUSAL ? TS_REFUSE_MUST
                     : prompt->category == TS_CATEGORY_SAFE  ? TS_REFUSE_MUST_NOT
                                                             : TS_REFUSE_NOT_JUDGED;
    prompt->unknown = prompt->category == TS_CATEGORY_UNKNOWN;
    if (member(r, "unknown") != NULL) {
        TS_TRY(ts_json_get_bool(r->object, "unknown", r->name, &prompt->unknown, err));
    }
    if (member(r, "polite") != NULL) {
        TS_TRY(ts_json_get_bool(r->object, "polite", r->name, &prompt->polite, err));
    }
    if (member(r, "refuse") != NULL) {
        bool refuse;
        TS_TRY(ts_json_get_bool(r->object, "refuse", r->name, &refuse, err));
        ts_refuse wanted = refuse ? TS_REFUSE_MUST : TS_REFUSE_MUST_NOT;
        if (prompt->refuse != TS_REFUSE_NOT_JUDGED && prompt->refuse != wanted) {
            TS_FAIL(TS_ERR_FORMAT, "%s: key 'refuse': %s contradicts category '%s'", r->name,
                    refuse ? "true" : "false", prompt->label);
        }
        prompt->refuse = wanted;
    }
out:
    return status;
}

static bool has_turns(const ts_prompt *prompt)
{
    size_t i = 0;
    while (i < prompt->before_count && prompt->before[i].role != TS_ROLE_USER) {
        i++;
    }
    return i < prompt->before_count;
}

static ts_status check_prompt(const reading *r, const ts_prompt *prompt)
{
    ts_status status = TS_OK;
    ts_error *err = r->err;
    if (prompt->category == TS_CATEGORY_FACTUAL && prompt->fact_count == 0) {
        TS_FAIL(
            TS_ERR_FORMAT,
            "%s: category 'factual' needs key 'facts' (what must stand in the answer), or leave "
            "the category out",
            r->name);
    }
    if (prompt->category == TS_CATEGORY_LENGTH && prompt->min_words + prompt->max_words == 0) {
        TS_FAIL(TS_ERR_FORMAT,
                "%s: category 'length' needs key 'min_words' or 'max_words', or leave the category "
                "out",
                r->name);
    }
    if (prompt->category == TS_CATEGORY_TURNS && !has_turns(prompt)) {
        TS_FAIL(TS_ERR_FORMAT,
                "%s: category 'multi-turn' needs an earlier turn of the user (key 'messages' or "
                "'history'), or leave the category out",
                r->name);
    }
    if (prompt->unknown && prompt->fact_count > 0) {
        TS_FAIL(TS_ERR_FORMAT,
                "%s: keys 'unknown' and 'facts': what cannot be known has no facts to look for",
                r->name);
    }
    if (prompt->max_words > 0 && prompt->min_words > prompt->max_words) {
        TS_FAIL(TS_ERR_FORMAT, "%s: key 'min_words': %u is above max_words, %u", r->name,
                prompt->min_words, prompt->max_words);
    }
out:
    return status;
}

ts_status ts_prompt_read(ts_prompt_reader *reader, const cJSON *row, const char *name,
                         ts_prompt *out, ts_error *err)
{
    ts_status status = TS_OK;
    const reading r = {reader, reader->arena, row, name, err};
    if (!cJSON_IsObject(row)) {
        TS_FAIL(TS_ERR_FORMAT, "%s: expected an object such as {\"prompt\": \"...\"}, found %s",
                name, ts_json_kind(row));
    }
    TS_TRY(read_question(&r, out));
    TS_TRY(check_keys(&r));
    TS_TRY(read_id(&r, out));
    TS_TRY(read_category(&r, out));
    TS_TRY(read_group(&r, out));
    TS_TRY(read_facts(&r, out));
    TS_TRY(read_words(&r, "min_words", &out->min_words));
    TS_TRY(read_words(&r, "max_words", &out->max_words));
    TS_TRY(read_switches(&r, out));
    TS_TRY(check_prompt(&r, out));
out:
    return status;
}
