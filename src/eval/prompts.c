#include "eval/prompts.h"

#include "base/json.h"
#include "base/text.h"
#include "data/dataset.h"
#include "eval/words.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_PROMPTS = 10000, MAX_WORDS = 100000, MAX_ALIASES = 1000 };

static const char *const category_names[TS_CATEGORY_COUNT] = {"factual", "polite", "length",
                                                              "refusal", "safe"};

const char *ts_category_name(ts_category category)
{
    return category_names[category];
}

// The file, and the place in it that errors name.
typedef struct reader {
    ts_prompts *out;
    const cJSON *object;
    const char *name; // "FILE: prompt 3"
    ts_text scratch;
    ts_error *err;
} reader;

static ts_status read_text(reader *r, const char *key, const char **out)
{
    ts_status status = TS_OK;
    ts_error *err = r->err;
    const char *text;
    char *copy;
    TS_TRY(ts_json_get_text(r->object, key, r->name, &text, err));
    if (strspn(text, " \t\r\n") == strlen(text)) {
        TS_FAIL(TS_ERR_FORMAT, "%s: key '%s': empty text", r->name, key);
    }
    TS_TRY(ts_arena_copy_text(&r->out->arena, text, strlen(text), &copy, err));
    *out = copy;
out:
    return status;
}

static ts_status read_category(reader *r, ts_category *out)
{
    const char *name;
    ts_status status = ts_json_get_text(r->object, "category", r->name, &name, r->err);
    if (status != TS_OK) {
        return status;
    }
    for (int i = 0; i < TS_CATEGORY_COUNT; i++) {
        if (strcmp(name, category_names[i]) == 0) {
            *out = (ts_category)i;
            return TS_OK;
        }
    }
    return ts_error_set(r->err, TS_ERR_FORMAT,
                        "%s: key 'category': '%s', expected factual, polite, length, refusal or "
                        "safe",
                        r->name, name);
}

static ts_status read_words(reader *r, const char *key, uint32_t *out)
{
    uint64_t value = 0;
    ts_status status = TS_OK;
    if (ts_json_get(r->object, key) != NULL) {
        status = ts_json_get_uint(r->object, key, 1, MAX_WORDS, r->name, &value, r->err);
    }
    *out = (uint32_t)value;
    return status;
}

// One fact: an array of spellings, each with at least one word to look for.
static ts_status read_fact(reader *r, const cJSON *list, int number, ts_fact *out)
{
    ts_status status = TS_OK;
    ts_error *err = r->err;
    ts_arena *arena = &r->out->arena;
    int count = cJSON_GetArraySize(list);
    if (!cJSON_IsArray(list) || count < 1 || count > MAX_ALIASES) {
        TS_FAIL(TS_ERR_FORMAT,
                "%s: key 'facts[%d]': expected an array of 1 to %d texts, found %s of %d", r->name,
                number, MAX_ALIASES, ts_json_kind(list), count);
    }
    TS_TRY(ts_arena_alloc(arena, (size_t)count, sizeof *out->aliases, &out->aliases, err));
    TS_TRY(ts_arena_alloc(arena, (size_t)count, sizeof *out->words, &out->words, err));
    const cJSON *alias;
    cJSON_ArrayForEach(alias, list)
    {
        char *copy;
        const char *text = cJSON_GetStringValue(alias);
        if (text == NULL) {
            TS_FAIL(TS_ERR_FORMAT, "%s: key 'facts[%d][%zu]': expected a string, found %s", r->name,
                    number, out->count, ts_json_kind(alias));
        }
        ts_text_clear(&r->scratch);
        TS_TRY(ts_words_normalise(text, strlen(text), &r->scratch, err));
        if (r->scratch.len < 2) {
            TS_FAIL(TS_ERR_FORMAT, "%s: key 'facts[%d][%zu]': '%s' holds no word to look for",
                    r->name, number, out->count, text);
        }
        TS_TRY(ts_arena_copy_text(arena, text, strlen(text), &copy, err));
        out->aliases[out->count] = copy;
        TS_TRY(ts_arena_copy_text(arena, r->scratch.bytes, r->scratch.len, &copy, err));
        out->words[out->count++] = copy;
    }
out:
    return status;
}

static ts_status read_facts(reader *r, ts_prompt *prompt)
{
    ts_status status = TS_OK;
    ts_error *err = r->err;
    const cJSON *facts = ts_json_get(r->object, "facts"), *fact;
    if (facts == NULL) {
        goto out;
    }
    int count = cJSON_GetArraySize(facts);
    if (!cJSON_IsArray(facts) || count < 1 || count > MAX_ALIASES) {
        TS_FAIL(TS_ERR_FORMAT, "%s: key 'facts': expected an array of 1 to %d arrays, found %s",
                r->name, MAX_ALIASES, ts_json_kind(facts));
    }
    TS_TRY(
        ts_arena_alloc(&r->out->arena, (size_t)count, sizeof *prompt->facts, &prompt->facts, err));
    cJSON_ArrayForEach(fact, facts)
    {
        TS_TRY(read_fact(r, fact, (int)prompt->fact_count, &prompt->facts[prompt->fact_count]));
        prompt->fact_count++;
    }
out:
    return status;
}

static ts_status read_switches(reader *r, ts_prompt *prompt)
{
    ts_status status = TS_OK;
    ts_error *err = r->err;
    prompt->polite = prompt->category == TS_CATEGORY_POLITE;
    prompt->refuse = prompt->category == TS_CATEGORY_REFUSAL ? TS_REFUSE_MUST
                     : prompt->category == TS_CATEGORY_SAFE  ? TS_REFUSE_MUST_NOT
                                                             : TS_REFUSE_NOT_JUDGED;
    if (ts_json_get(r->object, "polite") != NULL) {
        TS_TRY(ts_json_get_bool(r->object, "polite", r->name, &prompt->polite, err));
    }
    if (ts_json_get(r->object, "refuse") != NULL) {
        bool refuse;
        TS_TRY(ts_json_get_bool(r->object, "refuse", r->name, &refuse, err));
        if (refuse != (prompt->category == TS_CATEGORY_REFUSAL)) {
            TS_FAIL(TS_ERR_FORMAT, "%s: key 'refuse': %s contradicts category '%s'", r->name,
                    refuse ? "true" : "false", category_names[prompt->category]);
        }
        prompt->refuse = refuse ? TS_REFUSE_MUST : TS_REFUSE_MUST_NOT;
    }
out:
    return status;
}

// What a category promises, and that no two prompts are the same.
static ts_status check_prompt(reader *r, const ts_prompt *prompt)
{
    ts_status status = TS_OK;
    ts_error *err = r->err;
    if (prompt->category == TS_CATEGORY_FACTUAL && prompt->fact_count == 0) {
        TS_FAIL(TS_ERR_FORMAT, "%s: category 'factual' needs key 'facts'", r->name);
    }
    if (prompt->category == TS_CATEGORY_LENGTH && prompt->min_words + prompt->max_words == 0) {
        TS_FAIL(TS_ERR_FORMAT, "%s: category 'length' needs key 'min_words' or 'max_words'",
                r->name);
    }
    if (prompt->max_words > 0 && prompt->min_words > prompt->max_words) {
        TS_FAIL(TS_ERR_FORMAT, "%s: key 'min_words': %u is above max_words, %u", r->name,
                prompt->min_words, prompt->max_words);
    }
    for (const ts_prompt *other = r->out->items; other != prompt; other++) {
        if (strcmp(other->id, prompt->id) == 0 || strcmp(other->text, prompt->text) == 0) {
            TS_FAIL(TS_ERR_FORMAT, "%s: same %s as prompt %d", r->name,
                    strcmp(other->id, prompt->id) == 0 ? "id" : "prompt",
                    (int)(other - r->out->items));
        }
    }
out:
    return status;
}

static ts_status read_prompt(reader *r, ts_prompt *prompt)
{
    static const char *const keys[] = {"id",     "category",  "prompt",    "reference", "facts",
                                       "refuse", "min_words", "max_words", "polite"};
    ts_status status = TS_OK;
    ts_error *err = r->err;
    if (!cJSON_IsObject(r->object)) {
        TS_FAIL(TS_ERR_FORMAT, "%s: expected an object, found %s", r->name,
                ts_json_kind(r->object));
    }
    const cJSON *member;
    cJSON_ArrayForEach(member, r->object)
    {
        size_t i = 0;
        while (i < TS_COUNT(keys) && strcmp(member->string, keys[i]) != 0) {
            i++;
        }
        if (i == TS_COUNT(keys)) {
            TS_FAIL(TS_ERR_FORMAT, "%s: unknown key '%s'", r->name, member->string);
        }
    }
    TS_TRY(read_text(r, "id", &prompt->id));
    TS_TRY(read_text(r, "prompt", &prompt->text));
    TS_TRY(read_text(r, "reference", &prompt->reference));
    TS_TRY(read_category(r, &prompt->category));
    TS_TRY(read_facts(r, prompt));
    TS_TRY(read_words(r, "min_words", &prompt->min_words));
    TS_TRY(read_words(r, "max_words", &prompt->max_words));
    TS_TRY(read_switches(r, prompt));
    TS_TRY(check_prompt(r, prompt));
out:
    return status;
}

ts_status ts_prompts_open(const char *path, ts_prompts *out, ts_error *err)
{
    ts_status status = TS_OK;
    cJSON *root = NULL;
    ts_text name = {0};
    reader r = {.out = out, .err = err};
    TS_TRY(ts_json_parse_file(path, &root, err));
    int count = cJSON_GetArraySize(root);
    if (!cJSON_IsArray(root) || count < 1 || count > MAX_PROMPTS) {
        TS_FAIL(TS_ERR_FORMAT, "%s: expected an array of 1 to %d prompts, found %s of %d", path,
                MAX_PROMPTS, ts_json_kind(root), count);
    }
    TS_TRY(ts_arena_alloc(&out->arena, (size_t)count, sizeof *out->items, &out->items, err));
    cJSON_ArrayForEach(r.object, root)
    {
        const char *id = cJSON_GetStringValue(ts_json_get(r.object, "id"));
        ts_text_clear(&name);
        TS_TRY(ts_text_format(&name, err, "%s: prompt %zu", path, out->count));
        if (id != NULL) {
            TS_TRY(ts_text_format(&name, err, " ('%s')", id));
        }
        r.name = name.bytes;
        TS_TRY(read_prompt(&r, &out->items[out->count]));
        out->count++;
    }
out:
    if (status != TS_OK) {
        ts_prompts_close(out);
    }
    cJSON_Delete(root);
    ts_text_free(&name);
    ts_text_free(&r.scratch);
    return status;
}

void ts_prompts_close(ts_prompts *prompts)
{
    ts_arena_free(&prompts->arena);
    *prompts = (ts_prompts){0};
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

ts_status ts_prompts_mark_seen(const ts_prompts *prompts, const ts_dataset *trained_on, bool *seen,
                               ts_error *err)
{
    ts_status status = TS_OK;
    ts_arena arena = {0};
    ts_text words = {0};
    char **sorted = NULL;
    size_t count = 0;
    TS_TRY(ts_arena_alloc(&arena, trained_on->count + 1, sizeof *sorted, &sorted, err));
    for (size_t i = 0; i < trained_on->count; i++) {
        const char *prompt = trained_on->examples[i].prompt;
        if (prompt != NULL) {
            ts_text_clear(&words);
            TS_TRY(ts_words_normalise(prompt, strlen(prompt), &words, err));
            TS_TRY(ts_arena_copy_text(&arena, words.bytes, words.len, &sorted[count++], err));
        }
    }
    qsort(sorted, count, sizeof *sorted, compare_texts);
    for (size_t i = 0; i < prompts->count; i++) {
        const char *prompt = prompts->items[i].text;
        ts_text_clear(&words);
        TS_TRY(ts_words_normalise(prompt, strlen(prompt), &words, err));
        const char *key = words.bytes;
        seen[i] = bsearch(&key, sorted, count, sizeof *sorted, compare_texts) != NULL;
    }
out:
    ts_arena_free(&arena);
    ts_text_free(&words);
    return status;
}
