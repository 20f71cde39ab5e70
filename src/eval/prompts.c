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
               "nothing of an answer, as factual, polite, length, refusal and safe do",
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
