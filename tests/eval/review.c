// What stands on a sheet for review, and what is refused of its marks. The page itself is tried in
// a browser by tests/cli/review.c.
#include "eval/review.h"
#include "base/file.h"
#include "sample.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 70 };

// Rows 0 to 4 were seen in training, 5 and 6 have the same answers; with a second adapter where
// `adapters` is 2.
static cJSON *make_evaluation(int adapters)
{
    char text[32];
    cJSON *all = cJSON_CreateObject(), *answers = cJSON_AddArrayToObject(all, "answers");
    cJSON_AddStringToObject(all, "title", "t");
    for (int i = 0; i < ROWS; i++) {
        cJSON *row = cJSON_CreateObject();
        cJSON_AddItemToArray(answers, row);
        snprintf(text, sizeof text, "%d?", i);
        cJSON_AddStringToObject(row, "prompt", text);
        cJSON_AddStringToObject(row, "category", i % 2 == 0 ? "even" : "odd");
        cJSON_AddBoolToObject(row, "seen_in_training", i < 5);
        cJSON_AddStringToObject(cJSON_AddObjectToObject(row, "base"), "text", "same");
        snprintf(text, sizeof text, i == 5 || i == 6 ? "same" : "tuned %d", i);
        cJSON_AddStringToObject(cJSON_AddObjectToObject(row, "tuned"), "text", text);
        if (adapters == 2) {
            cJSON *other = cJSON_CreateObject();
            cJSON_AddStringToObject(other, "text", "other");
            cJSON_AddItemToArray(cJSON_AddArrayToObject(row, "others"), other);
        }
    }
    return all;
}

Test(review, what_is_drawn)
{
    ts_review review, again;
    ts_error err = {0};
    cJSON *json = make_evaluation(1);
    size_t as_a = 0;
    cr_assert_eq(ts_review_open(json, "e", &review, &err), TS_OK, "%s", err.message);
    cr_assert_eq(ts_review_open(json, "e", &again, &err), TS_OK);
    cr_assert_str_eq(review.hash, again.hash);
    cr_assert_eq(review.count, TS_REVIEW_PAIRS);
    cr_assert_eq(review.alike, 2);
    for (size_t i = 0; i < review.count; i++) {
        const ts_review_pair *pair = &review.pairs[i];
        cr_expect_not(cJSON_IsTrue(ts_json_get(pair->row, "seen_in_training")));
        cr_expect_str_eq(pair->tuned_is_a ? pair->b : pair->a, "same");
        as_a += pair->tuned_is_a;
        for (size_t before = 0; before < i; before++) {
            cr_expect_neq(pair->row, review.pairs[before].row);
        }
    }
    cr_expect(as_a > 10 && as_a < 40, "%zu", as_a); // both sides, and in no one's order
    ts_review_close(&again);
    ts_review_close(&review);
    cJSON_Delete(json);

    json = make_evaluation(2);
    cr_assert_eq(ts_review_open(json, "e", &review, &err), TS_OK);
    cr_assert_eq(review.adapters, 2);
    size_t others = 0;
    for (size_t i = 0; i < review.count; i++) {
        others += review.pairs[i].adapter;
    }
    cr_expect(others > 10 && others < 40, "%zu", others);
    ts_review_close(&review);
    cJSON_Delete(json);
}

Test(review, sums_count_a_pair_once)
{
    ts_review review;
    ts_review_sum sum;
    cJSON *json = make_evaluation(1);
    cr_assert_eq(ts_review_open(json, "e", &review, NULL), TS_OK);
    ts_preference one[TS_REVIEW_PAIRS] = {0}, two[TS_REVIEW_PAIRS] = {0};
    const ts_preference *both[] = {one, two};
    for (size_t i = 0; i < 20; i++) { // 0 to 9 tuned, 10 to 14 base, 15 to 19 neither
        one[i] = i < 10 ? TS_PREFER_TUNED : i < 15 ? TS_PREFER_BASE : TS_PREFER_NEITHER;
        two[i] = i < 8 ? TS_PREFER_TUNED : TS_PREFER_NEITHER;
    }
    two[0] = TS_PREFER_BASE; // against one[0]: neither
    ts_review_add_up(&review, both, 2, NULL, SIZE_MAX, &sum);
    cr_expect_eq(sum.marked, 20);
    cr_expect_eq(sum.tuned, 9);
    cr_expect_eq(sum.base, 5);
    cr_expect_eq(sum.neither, 6);
    // Of 9 in 14, by the formulas of Wilson and of the sign test in Python.
    cr_expect_float_eq(sum.share.low, 0.3876, 1e-4);
    cr_expect_float_eq(sum.share.high, 0.8366, 1e-4);
    cr_expect_float_eq(sum.p, 0.4240, 1e-4);
    uint32_t of, agree = ts_review_agreement(&review, both, 2, &of);
    cr_expect_eq(of, 20);
    cr_expect_eq(agree, 12); // 1 to 7, 15 to 19
    ts_review_sum even, odd;
    ts_review_add_up(&review, both, 2, "even", SIZE_MAX, &even);
    ts_review_add_up(&review, both, 2, "odd", SIZE_MAX, &odd);
    cr_expect_eq(even.marked + odd.marked, 20);
    cr_expect_eq(even.tuned + odd.tuned, 9);
    ts_review_add_up(&review, both, 2, NULL, 1, &sum);
    cr_expect_eq(sum.marked, 0);
    ts_review_close(&review);
    cJSON_Delete(json);
}

Test(review, what_is_no_evaluation_is_refused)
{
    static const char *const cases[][2] = {
        {"{}", "it has no answers"},
        {"[]", "it has no answers"},
        {"{\"answers\": []}", "it has no answers"},
        {"{\"answers\": [{\"prompt\": \"p\", \"base\": {\"text\": \"b\"}}]}", "a base alone"},
        {"{\"answers\": [{\"tuned\": {\"text\": \"b\"}, \"prompt\": 1}]}", "prompt"},
        {"{\"answers\": [{\"tuned\": {\"text\": \"b\"}, \"prompt\": \"p\"}]}", "text"},
        {"{\"answers\": [{\"tuned\": {}, \"prompt\": \"p\", \"base\": {\"text\": \"b\"}}]}",
         "text"},
        {"{\"answers\": [{\"tuned\": {\"text\": \"\"}, \"others\": [{\"text\": \"\"}], \"prompt\": "
         "\"\", \"base\": {\"text\": \"b\"}}, {\"tuned\": {\"text\": \"\"}, \"prompt\": \"\", "
         "\"base\": {\"text\": \"b\"}}]}",
         "text"},
        {"{\"answers\": [{\"tuned\": {\"text\": \"b\"}, \"prompt\": \"p\", \"base\": {\"text\": "
         "\"c\"}, \"category\": 3}]}",
         "category"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ts_review review;
        ts_error err = {0};
        cJSON *json = cJSON_Parse(cases[i][0]);
        cr_expect_eq(ts_review_open(json, "e.json", &review, &err), TS_ERR_FORMAT, "%zu", i);
        cr_expect_not_null(strstr(err.message, cases[i][1]), "%zu: %s", i, err.message);
        cr_expect_null(review.pairs);
        cJSON_Delete(json);
    }
}

Test(review, what_are_no_marks_is_refused)
{
    char folder[64], file[400];
    ts_review review;
    cJSON *json = cJSON_Parse("{\"answers\": [{\"tuned\": {\"text\": \"t\"}, \"prompt\": \"p\", "
                              "\"base\": {\"text\": \"b\"}}]}");
    const struct {
        int format;
        const char *sheet, *marks, *says;
        ts_status status;
    } cases[] = {
        {1, NULL, "[\"a\"]", NULL, TS_OK},
        {1, NULL, "[null]", NULL, TS_OK},
        {1, NULL, "[\"c\"]", "mark 1: expected \"a\"", TS_ERR_FORMAT},
        {1, NULL, "[1]", "mark 1", TS_ERR_FORMAT},
        {1, NULL, "[\"a\\u0000\"]", "mark 1", TS_ERR_FORMAT},
        {1, NULL, "[]", "a list of 1 marks", TS_ERR_FORMAT},
        {1, NULL, "{}", "a list of 1 marks", TS_ERR_FORMAT},
        {1, "0123", "[\"a\"]", "belong to other answers", TS_ERR_ARGUMENT},
        {2, NULL, "[\"a\"]", "'review': expected 1", TS_ERR_FORMAT},
    };
    cr_assert_eq(ts_review_open(json, "e", &review, NULL), TS_OK);
    sample_folder(folder);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ts_preference mark;
        ts_error err = {0};
        ts_text path = {0}, reader = {0};
        snprintf(file, sizeof file,
                 "{\"review\": %d, \"sheet\": \"%s\", \"marks\": %s, "
                 "\"reviewer\": \"\\u202eM\"}",
                 cases[i].format, cases[i].sheet != NULL ? cases[i].sheet : review.hash,
                 cases[i].marks);
        sample_write(folder, "marks.json", file, &path);
        cr_expect_eq(ts_review_read(&review, path.bytes, &mark, &reader, &err), cases[i].status,
                     "%zu: %s", i, err.message);
        if (cases[i].says != NULL) {
            cr_expect_not_null(strstr(err.message, cases[i].says), "%zu: %s", i, err.message);
        } else {
            ts_preference wanted = i == 1                       ? TS_PREFER_UNMARKED
                                   : review.pairs[0].tuned_is_a ? TS_PREFER_TUNED
                                                                : TS_PREFER_BASE;
            cr_expect_eq(mark, wanted);
            cr_expect_str_eq(reader.bytes, "\xEF\xBF\xBDM"); // clean
        }
        ts_text_free(&path);
        ts_text_free(&reader);
    }
    cr_assert_eq(ts_folder_remove(folder, NULL), TS_OK);
    ts_review_close(&review);
    cJSON_Delete(json);
}
