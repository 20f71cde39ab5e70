#include "eval/prompts.h"

#include "base/log.h"
#include "data/dataset.h"
#include "data/row_file.h"
#include "eval/prompt_row.h"
#include "eval/words.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_PROMPTS = 10000 };

// The state of reading a file.
typedef struct reading {
    const char *path;
    ts_prompts *out;
    size_t capacity;
    ts_prompt_reader rows;
    ts_text name;
    ts_mistakes mistakes;
} reading;

static ts_status add_row(void *user, const cJSON *row, uint32_t line, const char *name,
                         ts_error *err)
{
    ts_status status = TS_OK;
    reading *r = user;
    ts_prompts *out = r->out;
    const char *id = cJSON_GetStringValue(ts_json_get(row, "id"));
    ts_text_clear(&r->name);
    TS_TRY(ts_text_format(&r->name, err, "%s", name));
    if (id != NULL) {
        TS_TRY(ts_text_format(&r->name, err, " ('%.80s')", id));
    }
    TS_TRY(ts_grow(&out->items, &r->capacity, out->count + 1, sizeof *out->items, err));
    out->items[out->count] = (ts_prompt){.line = line};
    TS_TRY(ts_prompt_read(&r->rows, row, r->name.bytes, &out->items[out->count], err));
    out->count++;
out:
    return status;
}

// ---- Duplicates

static int compare_ids(const void *a, const void *b)
{
    const ts_prompt *x = *(const ts_prompt *const *)a, *y = *(const ts_prompt *const *)b;
    int order = strcmp(x->id, y->id);
    return order != 0 ? order : (x->line > y->line) - (x->line < y->line);
}

static int compare_turns(const ts_prompt *x, const ts_prompt *y)
{
    int order = strcmp(x->text, y->text);
    if (order == 0 && x->before_count != y->before_count) {
        order = x->before_count < y->before_count ? -1 : 1;
    }
    for (size_t i = 0; i < x->before_count && order == 0; i++) {
        order = strcmp(x->before[i].text, y->before[i].text); // these are copies and NUL-terminated
    }
    return order;
}

static int compare_questions(const void *a, const void *b)
{
    return compare_turns(*(const ts_prompt *const *)a, *(const ts_prompt *const *)b);
}

// Two rows with the same id are an error. A prompt that is there twice is counted twice, with a
// warning.
static ts_status check_twice(reading *r, ts_error *err)
{
    ts_status status = TS_OK;
    const ts_prompts *prompts = r->out;
    const ts_prompt **sorted = NULL;
    size_t again = 0;
    TS_TRY(ts_alloc(prompts->count + 1, sizeof(const ts_prompt *), &sorted, err));
    for (size_t i = 0; i < prompts->count; i++) {
        sorted[i] = &prompts->items[i];
    }
    qsort(sorted, prompts->count, sizeof *sorted, compare_ids);
    for (size_t i = 1; i < prompts->count; i++) {
        if (sorted[i]->id[0] != '\0' && strcmp(sorted[i - 1]->id, sorted[i]->id) == 0) {
            ts_error mistake = {0};
            ts_error_set(&mistake, TS_ERR_FORMAT, "%s:%u ('%.80s'): same id as line %u", r->path,
                         sorted[i]->line, sorted[i]->id, sorted[i - 1]->line);
            TS_TRY(ts_mistakes_note(&r->mistakes, &mistake, err));
        }
    }
    qsort(sorted, prompts->count, sizeof *sorted, compare_questions);
    for (size_t i = 1; i < prompts->count; i++) {
        again += compare_turns(sorted[i - 1], sorted[i]) == 0;
    }
    if (again > 0) {
        ts_log(TS_LOG_WARN, "%s: %zu row%s what an earlier one asks; each of them counts", r->path,
               again, again == 1 ? " asks" : "s ask");
    }
out:
    free(sorted);
    return status;
}

// ---- Groups

static int compare_groups(const void *a, const void *b)
{
    const ts_prompt *x = *(const ts_prompt *const *)a, *y = *(const ts_prompt *const *)b;
    int order = strcmp(x->group, y->group);
    return order != 0 ? order : (x->line > y->line) - (x->line < y->line);
}

// A group that nothing could be judged by would be left out silently.
static ts_status check_group(reading *r, const ts_prompt *const *group, size_t count, ts_error *err)
{
    size_t facts = 0, refuse = 0, safe = 0;
    ts_error mistake = {0};
    for (size_t i = 0; i < count; i++) {
        refuse += group[i]->refuse == TS_REFUSE_MUST;
        safe += group[i]->refuse == TS_REFUSE_MUST_NOT;
        facts += group[i]->fact_count > 0;
    }
    if ((refuse > 0 && safe > 0) || (refuse == 0 && facts == count && count > 1)) {
        return TS_OK;
    }
    ts_error_set(&mistake, TS_ERR_FORMAT,
                 "%s:%u: group '%.40s' has %zu row%s, %zu with facts, %zu to refuse and %zu not to "
                 "refuse; expected two or more with the same facts, or one to refuse and one not "
                 "to",
                 r->path, group[0]->line, group[0]->group, count, ts_plural(count), facts, refuse,
                 safe);
    return ts_mistakes_note(&r->mistakes, &mistake, err);
}

static ts_status check_groups(reading *r, ts_error *err)
{
    ts_status status = TS_OK;
    const ts_prompts *prompts = r->out;
    const ts_prompt **grouped = NULL;
    size_t count = 0;
    TS_TRY(ts_alloc(prompts->count + 1, sizeof(const ts_prompt *), &grouped, err));
    for (size_t i = 0; i < prompts->count; i++) {
        if (prompts->items[i].group[0] != '\0') {
            grouped[count++] = &prompts->items[i];
        }
    }
    qsort(grouped, count, sizeof *grouped, compare_groups);
    for (size_t from = 0, to; from < count; from = to) {
        for (to = from + 1; to < count && strcmp(grouped[to]->group, grouped[from]->group) == 0;) {
            to++;
        }
        TS_TRY(check_group(r, grouped + from, to - from, err));
    }
out:
    free(grouped);
    return status;
}

// ---- The file

static ts_status warn(const reading *r, ts_error *err)
{
    ts_status status = TS_OK;
    const ts_ignored_names *categories = &r->rows.categories;
    ts_text unknown = {0};
    TS_TRY(ts_row_notes_format(&r->rows.row.notes, &unknown, err));
    if (unknown.len > 0) {
        ts_log(TS_LOG_WARN, "%s: keys that mean nothing here were passed over: %s", r->path,
               unknown.bytes);
    }
    if (categories->count > 0) {
        ts_log(TS_LOG_WARN,
               "%s: %zu row%s of a category of your own (%s): the reports show it, and it asks "
               "nothing of an answer, as factual, polite, length, refusal, safe, unknown and "
               "multi-turn do",
               r->path, categories->count, categories->count == 1 ? " is" : "s are",
               categories->names.bytes);
    }
out:
    ts_text_free(&unknown);
    return status;
}

ts_status ts_prompts_open(const char *path, ts_prompts *out, ts_error *err)
{
    ts_status status = TS_OK;
    reading r = {.path = path, .out = out, .rows = {.arena = &out->arena}};
    TS_TRY(ts_row_file_read(path, add_row, &r, &r.mistakes, err));
    if (out->count > MAX_PROMPTS) {
        TS_FAIL(TS_ERR_FORMAT, "%s: %zu rows, expected at most %d", path, out->count, MAX_PROMPTS);
    }
    TS_TRY(check_twice(&r, err));
    TS_TRY(check_groups(&r, err));
    TS_TRY(ts_mistakes_tell(&r.mistakes, path, err));
    TS_TRY(warn(&r, err));
out:
    ts_prompt_reader_free(&r.rows);
    ts_text_free(&r.name);
    ts_mistakes_free(&r.mistakes);
    if (status != TS_OK) {
        ts_prompts_close(out);
    }
    return status;
}

ts_status ts_prompts_of_texts(const char *const *texts, size_t count, ts_prompts *out,
                              ts_error *err)
{
    ts_status status = TS_OK;
    TS_TRY(ts_alloc(count, sizeof *out->items, &out->items, err));
    for (size_t i = 0; i < count; i++) {
        char *copy;
        TS_TRY(ts_arena_copy_text(&out->arena, texts[i], strlen(texts[i]), &copy, err));
        out->items[out->count++] = (ts_prompt){.id = "",
                                               .label = "",
                                               .group = "",
                                               .text = copy,
                                               .category = TS_CATEGORY_OTHER,
                                               .line = (uint32_t)i + 1};
    }
out:
    return status;
}

void ts_prompts_close(ts_prompts *prompts)
{
    free(prompts->items);
    ts_arena_free(&prompts->arena);
    *prompts = (ts_prompts){0};
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

// What conversations asked, as normalised words, to look up.
typedef struct asked {
    ts_arena arena;
    char **sorted; // [count]
    size_t count, capacity;
    ts_text words; // scratch
} asked;

static ts_status add_asked(asked *a, const char *text, size_t len, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text_clear(&a->words);
    TS_TRY(ts_words_normalise(text, len, &a->words, err));
    TS_TRY(ts_grow(&a->sorted, &a->capacity, a->count + 1, sizeof *a->sorted, err));
    TS_TRY(ts_arena_copy_text(&a->arena, a->words.bytes, a->words.len, &a->sorted[a->count], err));
    a->count++;
out:
    return status;
}

// Each turn of a row by itself, and each beginning of its conversation.
static ts_status add_row_asked(asked *a, const char *turns, ts_error *err)
{
    ts_status status = TS_OK;
    for (const char *turn = turns, *end; turn != NULL; turn = *end != '\0' ? end + 1 : NULL) {
        end = strchr(turn, TS_TURN_SEPARATOR);
        end = end != NULL ? end : turn + strlen(turn);
        TS_TRY(add_asked(a, turn, (size_t)(end - turn), err));
        if (turn > turns) {
            TS_TRY(add_asked(a, turns, (size_t)(end - turns), err));
        }
    }
out:
    return status;
}

// What the user says in a prompt, the earlier turns included.
static ts_status join_asked(const ts_prompt *prompt, ts_text *out, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text_clear(out);
    for (size_t i = 0; i < prompt->before_count; i++) {
        const ts_turn *turn = &prompt->before[i];
        if (turn->role == TS_ROLE_USER) {
            TS_TRY(ts_text_append(out, turn->text, turn->len, err));
            TS_TRY(ts_text_append(out, (char[]){TS_TURN_SEPARATOR}, 1, err));
        }
    }
    TS_TRY(ts_text_append(out, prompt->text, strlen(prompt->text), err));
out:
    return status;
}

ts_status ts_prompts_mark_seen(const ts_prompts *prompts, const ts_dataset *trained_on, bool *seen,
                               ts_error *err)
{
    ts_status status = TS_OK;
    asked rows = {0};
    ts_text text = {0};
    for (size_t i = 0; i < trained_on->count; i++) {
        if (trained_on->examples[i].prompt != NULL) {
            TS_TRY(add_row_asked(&rows, trained_on->examples[i].prompt, err));
        }
    }
    if (rows.count > 0) {
        qsort(rows.sorted, rows.count, sizeof *rows.sorted, compare_texts);
    }
    for (size_t i = 0; i < prompts->count; i++) {
        TS_TRY(join_asked(&prompts->items[i], &text, err));
        ts_text_clear(&rows.words);
        TS_TRY(ts_words_normalise(text.bytes, text.len, &rows.words, err));
        const char *key = rows.words.bytes;
        seen[i] |= rows.count > 0 && bsearch(&key, rows.sorted, rows.count, sizeof *rows.sorted,
                                             compare_texts) != NULL;
    }
out:
    free(rows.sorted);
    ts_arena_free(&rows.arena);
    ts_text_free(&rows.words);
    ts_text_free(&text);
    return status;
}
