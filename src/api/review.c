// Takes in what people marked on an evaluation's review.html.
#include "api/internal.h"

#include "base/file.h"
#include "base/memory.h"
#include "eval/review.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Static_assert((int)TINYSFT_MOST_READERS == (int)TS_REVIEW_MOST_READERS, "readers differ");

struct reviews {
    const tinysft_review_params *params;
    ts_review review;
    ts_preference *marks[TS_REVIEW_MOST_READERS];
    ts_text names[TS_REVIEW_MOST_READERS]; // of the readers, where they gave one
    size_t readers;
    uint32_t several, agreed;
    cJSON *json;
};

// ---- Reading

static ts_status same_content(const char *path, const char *other, bool *same, ts_error *err)
{
    enum { MOST_BYTES = 1 << 20 };
    ts_status status = TS_OK;
    ts_text a = {0}, b = {0};
    TS_TRY(ts_file_read(path, MOST_BYTES, &a, err));
    TS_TRY(ts_file_read(other, MOST_BYTES, &b, err));
    *same = a.len == b.len && (a.len == 0 || memcmp(a.bytes, b.bytes, a.len) == 0);
out:
    ts_text_free(&a);
    ts_text_free(&b);
    return status;
}

// Marks of one reader from two browsers, or before and after a change of mind, count twice. That
// may be meant: two readers can have the same initials.
static void warn_of_namesake(const struct reviews *r, size_t reader)
{
    for (size_t i = 0; i < reader && r->names[reader].len > 0; i++) {
        if (r->names[i].len > 0 && strcmp(r->names[i].bytes, r->names[reader].bytes) == 0) {
            ts_log(TS_LOG_WARN,
                   "%s and %s are both marked by '%s', and count as two readers: give one of them "
                   "if it is one person",
                   r->params->marks[i], r->params->marks[reader], r->names[i].bytes);
            return;
        }
    }
}

// A reader whose marks came twice would count twice.
static ts_status read_files(struct reviews *r, ts_error *err)
{
    ts_status status = TS_OK;
    const tinysft_review_params *p = r->params;
    if (p->mark_count < 1 || p->mark_count > TS_REVIEW_MOST_READERS) {
        TS_FAIL(TS_ERR_ARGUMENT, "%zu files of marks: expected 1 to %d", p->mark_count,
                TS_REVIEW_MOST_READERS);
    }
    for (size_t i = 0; i < p->mark_count; i++) {
        for (size_t before = 0; before < i; before++) {
            bool same;
            TS_TRY(same_content(p->marks[before], p->marks[i], &same, err));
            if (same) {
                TS_FAIL(TS_ERR_ARGUMENT, "%s and %s are the same marks: give them once",
                        p->marks[before], p->marks[i]);
            }
        }
        TS_TRY(ts_alloc(r->review.count + 1, sizeof *r->marks[i], &r->marks[i], err));
        r->readers = i + 1;
        TS_TRY(ts_review_read(&r->review, p->marks[i], r->marks[i], &r->names[i], err));
        warn_of_namesake(r, i);
    }
out:
    return status;
}

// ---- Sums

// Adds one to `list` and shows it to the caller.
static void add(struct reviews *r, cJSON *list, const char *of, const char *category,
                size_t adapter)
{
    ts_review_sum sum;
    ts_review_add_up(&r->review, (const ts_preference *const *)r->marks, r->readers, category,
                     adapter, &sum);
    const tinysft_preferred preferred = {.of = of,
                                         .marked = sum.marked,
                                         .tuned = sum.tuned,
                                         .neither = sum.neither,
                                         .base = sum.base,
                                         .share = ts_rate_value(&sum.share),
                                         .low = sum.share.low,
                                         .high = sum.share.high,
                                         .p = sum.p};
    cJSON *item = cJSON_CreateObject();
    cJSON_AddStringToObject(item, "of", of);
    cJSON_AddNumberToObject(item, "marked", sum.marked);
    cJSON_AddNumberToObject(item, "tuned", sum.tuned);
    cJSON_AddNumberToObject(item, "neither", sum.neither);
    cJSON_AddNumberToObject(item, "base", sum.base);
    cJSON_AddNumberToObject(item, "share", preferred.share);
    cJSON_AddNumberToObject(item, "low", preferred.low);
    cJSON_AddNumberToObject(item, "high", preferred.high);
    cJSON_AddNumberToObject(item, "p", preferred.p);
    cJSON_AddItemToArray(list, item);
    if (r->params->preferred != NULL) {
        r->params->preferred(r->params->user, &preferred);
    }
}

// One for each adapter, where there are several.
static void add_adapters(struct reviews *r)
{
    cJSON *list = r->review.adapters > 1 ? cJSON_AddArrayToObject(r->json, "adapters") : NULL;
    const cJSON *names = ts_json_get(r->review.evaluation, "adapters");
    for (size_t i = 0; i < r->review.adapters && list != NULL; i++) {
        char number[32];
        snprintf(number, sizeof number, "adapter %zu", i + 1);
        const cJSON *name = cJSON_GetArrayItem(names, (int)i);
        add(r, list, cJSON_IsString(name) ? name->valuestring : number, NULL, i);
    }
}

// And one for each category, in the order of the sheet.
static void add_categories(struct reviews *r)
{
    cJSON *list = cJSON_AddArrayToObject(r->json, "categories");
    for (size_t i = 0; i < r->review.count; i++) {
        const char *category = r->review.pairs[i].category;
        bool had = category[0] == '\0';
        for (size_t before = 0; before < i; before++) {
            had |= strcmp(category, r->review.pairs[before].category) == 0;
        }
        if (!had) {
            add(r, list, category, category, SIZE_MAX);
        }
    }
}

static void add_all(struct reviews *r)
{
    r->agreed = ts_review_agreement(&r->review, (const ts_preference *const *)r->marks, r->readers,
                                    &r->several);
    r->json = cJSON_CreateObject();
    cJSON_AddStringToObject(r->json, "sheet", r->review.hash);
    cJSON_AddNumberToObject(r->json, "pairs", (double)r->review.count);
    cJSON_AddNumberToObject(r->json, "answers_alike", (double)r->review.alike);
    cJSON_AddNumberToObject(r->json, "readers", (double)r->readers);
    cJSON_AddNumberToObject(r->json, "marked_by_several", r->several);
    cJSON_AddNumberToObject(r->json, "of_these_agreed_on", r->agreed);
    add(r, cJSON_AddArrayToObject(r->json, "all"), "all", NULL, SIZE_MAX);
    add_adapters(r);
    add_categories(r);
}

static ts_status write_json(const struct reviews *r, ts_error *err)
{
    ts_status status = TS_OK;
    char *text = cJSON_Print(r->json);
    if (text == NULL) {
        TS_FAIL(TS_ERR_MEMORY, "out of host memory");
    }
    TS_TRY(ts_file_write(r->params->json, text, strlen(text), err));
out:
    cJSON_free(text);
    return status;
}

static ts_status take_in(struct reviews *r, ts_error *err)
{
    ts_status status = TS_OK;
    cJSON *evaluation = NULL;
    const char *path = r->params->evaluation;
    if (path == NULL) {
        TS_FAIL(TS_ERR_ARGUMENT, "no evaluation is named");
    }
    TS_TRY(ts_json_parse_file(path, &evaluation, err));
    TS_TRY(ts_review_open(evaluation, path, &r->review, err));
    TS_TRY(read_files(r, err));
    add_all(r);
    if (r->params->json != NULL) {
        TS_TRY(write_json(r, err));
    }
out:
    for (size_t i = 0; i < r->readers; i++) {
        free(r->marks[i]);
        ts_text_free(&r->names[i]);
    }
    cJSON_Delete(r->json);
    cJSON_Delete(evaluation);
    return status;
}

tinysft_status tinysft_review(const tinysft_review_params *params, tinysft_review_result *out,
                              tinysft_error *error)
{
    ts_error own, *err = ts_api_error(error, &own);
    ts_api_context context;
    struct reviews r = {.params = params};
    if (params == NULL) {
        return ts_error_set(err, TS_ERR_ARGUMENT, "params is NULL");
    }
    ts_api_context_open(&context, &params->caller);
    ts_status status = ts_api_enter(&context, "the review", err);
    if (status != TS_OK) {
        return status;
    }
    status = take_in(&r, err);
    if (out != NULL) {
        *out = (tinysft_review_result){0};
    }
    if (status == TS_OK && out != NULL) {
        *out = (tinysft_review_result){(uint32_t)r.review.count, r.several, r.agreed};
    }
    ts_review_close(&r.review);
    ts_api_leave(&context);
    return status;
}
