#include "eval/report.h"

#include "base/file.h"
#include "base/json.h"
#include "eval/setup.h"
#include "sample.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

static const char *escaped(const char *text, size_t len)
{
    static ts_text out;
    ts_text_clear(&out);
    cr_assert_eq(ts_markdown_escape(text, len, &out, NULL), TS_OK);
    return out.bytes != NULL ? out.bytes : "";
}

Test(markdown, escaped)
{
    static const char *const cases[][2] = {
        {"plain, with (signs) - 3.14!", "plain, with (signs) - 3.14!"},
        {"a|b", "a&#124;b"},
        {"<b>&amp;", "&#60;b&#62;&#38;amp;"},
        {"`*_[]#~$\\@", "&#96;&#42;&#95;&#91;&#93;&#35;&#126;&#36;&#92;&#64;"},
        {"one\ntwo\r\n  three\n\n", "one<br>two<br>&nbsp;&nbsp;three"},
        {"http://x www.y.z", "http&#58;//x www&#46;y.z"},
        {"bad \xFF \x1B", "bad \uFFFD \uFFFD"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *out = escaped(cases[i][0], strlen(cases[i][0]));
        cr_assert_str_eq(out, cases[i][1], "case %zu: %s", i, out);
    }
}

// Any text becomes one line of valid UTF-8 without anything that ends a cell or opens a tag.
Test(markdown, hostile_texts_stay_in_their_cell)
{
    const hostile *texts;
    size_t count = sample_hostile(&texts);
    for (size_t i = 0; i < count; i++) {
        const char *out = escaped(texts[i].text, texts[i].len);
        cr_assert_eq(ts_utf8_valid_prefix(out, strlen(out)), strlen(out), "text %zu", i);
        for (const char *c = out; *c != '\0'; c++) {
            cr_assert_null(strchr("|>`\n\r\\", *c) == NULL || strncmp(c - 3, "<br>", 4) == 0 ? NULL
                                                                                             : c,
                           "text %zu: %s", i, c);
            cr_assert(*c != '<' || strncmp(c, "<br>", 4) == 0, "text %zu: %s", i, c);
        }
    }
}

static size_t count_in(const char *text, const char *what)
{
    size_t count = 0;
    for (const char *at = text; (at = strstr(at, what)) != NULL; at += strlen(what)) {
        count++;
    }
    return count;
}

Test(report, files)
{
    sample s;
    ts_results results = {0};
    ts_error err = {0};
    char folder[64];
    ts_text base = {0}, tuned = {0}, markdown = {0}, again = {0};
    sample_make(&s, 14);
    for (size_t i = 0; i < 14; i++) {
        s.base[i].first_probability = 0.5;
        s.tuned[i].first_probability = 0.9;
        s.tuned[i].first_right = i > 0;
    }
    sample_folder(folder);
    cr_assert_eq(ts_results_make(&s.evaluation, &results, &err), TS_OK, "%s", err.message);
    cr_assert_eq(ts_report_write(&s.evaluation, &results, folder, &err), TS_OK, "%s", err.message);
    sample_read(folder, "base_responses.txt", &base);
    sample_read(folder, "finetuned_responses.txt", &tuned);
    sample_read(folder, "before_after.md", &markdown);
    cr_assert_eq(count_in(base.bytes, "    It is a large town"), 14);
    cr_assert_eq(count_in(base.bytes, "[no] cut off by the token limit"), 14);
    cr_assert_eq(count_in(base.bytes, "seen in training"), 2);
    cr_assert_eq(count_in(base.bytes, "held out"), 12);
    cr_assert_eq(count_in(tuned.bytes, "[ok] facts right"), 3);
    cr_assert_eq(count_in(tuned.bytes, "[ok] 3 words, target at most 5"), 3);
    cr_assert_eq(count_in(markdown.bytes, "✓ facts right"), 3);
    cr_assert_eq(count_in(markdown.bytes, "✗ facts missing or wrong"), 3);
    // Held out are 12 of 14; prompts 0, 5 and 10 are factual, and none of these was seen.
    cr_assert_not_null(strstr(markdown.bytes, "never seen in training: 12 prompts"));
    cr_assert_not_null(strstr(markdown.bytes, "Seen in training: 2 prompts"));
    cr_assert_not_null(strstr(markdown.bytes, "| Facts right | 0/3 = 0 % (0 to 56) | 3/3 = 100 % "
                                              "(44 to 100) | +100 points; +3, −0 prompts, "
                                              "p = 0.25 |"));
    // The base's first tokens are 0.5 likely, the tuned model's 0.9, and 11 of the 12 are right.
    cr_assert_not_null(strstr(markdown.bytes, "| Calibration error of the first token (lower is "
                                              "better) | 0.500 (0.500 to 0.500) | 0.017 ("));
    cr_assert_not_null(strstr(markdown.bytes, "| Words of an answer, factual (references 1.0) | "
                                              "9.0 (9.0 to 9.0) | 3.0 (3.0 to 3.0) | -6.0 |"));
    cr_assert_not_null(strstr(markdown.bytes, "| Facts right | prompts with facts | the answer "));
    cr_assert_not_null(strstr(markdown.bytes, "| 2 | 1 | -1.0000 (95 %: -1.0000 to -1.0000) |"));
    cr_assert_eq(ts_report_markdown(&s.evaluation, &results, &again, &err), TS_OK);
    cr_assert_str_eq(again.bytes, markdown.bytes);
    cr_assert_eq(ts_folder_remove(folder, NULL), TS_OK);
    ts_text_free(&base), ts_text_free(&tuned), ts_text_free(&markdown), ts_text_free(&again);
    ts_results_free(&results);
    sample_free(&s);
}

// Two adapters stand beside the base, each by its name, and each is compared with the base.
Test(report, several_adapters)
{
    sample s;
    ts_results results = {0};
    ts_error err = {0};
    char folder[64];
    ts_text markdown = {0}, json = {0}, second = {0};
    sample_make(&s, 14);
    sample_folder(folder);
    s.adapters[1].responses = s.base; // which differs from the base in nothing
    s.evaluation.tuned_count = 2;
    cr_assert_eq(ts_results_make(&s.evaluation, &results, &err), TS_OK, "%s", err.message);
    cr_assert_eq(ts_report_write(&s.evaluation, &results, folder, &err), TS_OK, "%s", err.message);
    sample_read(folder, "before_after.md", &markdown);
    sample_read(folder, "finetuned_responses_2.txt", &second);
    cr_expect_eq(count_in(second.bytes, "    It is a large town"), 14);
    cr_expect_not_null(strstr(second.bytes, "Answers of: runs/<dpo>|1"), "%s", second.bytes);
    cr_expect_not_null(strstr(markdown.bytes, "| Metric | Base | sft | Change | "
                                              "runs/&#60;dpo&#62;&#124;1 | Change |\n"
                                              "|---|---|---|---|---|---|\n"));
    cr_expect_not_null(strstr(markdown.bytes, "| 2 | 1 | -1.0000 (95 %: -1.0000 to -1.0000) | 2 | "
                                              "+0.0000 (95 %: +0.0000 to +0.0000) |"));
    cr_expect_not_null(strstr(markdown.bytes, "+3, −0 prompts, p = 0.25 | 0/3 = 0 % (0 to 56) | "
                                              "+0 points; +0, −0 prompts, p = 1 |"));
    cr_expect_eq(count_in(markdown.bytes, "| It is a large town in Europe, they say. | Paris, "
                                          "thank you. | It is a large town in Europe, they say. |"),
                 14);
    cr_assert_eq(ts_report_json(&s.evaluation, &results, &json, &err), TS_OK);
    cJSON *all = cJSON_Parse(json.bytes);
    const cJSON *held_out = ts_json_get(all, "held_out");
    const cJSON *other = cJSON_GetArrayItem(ts_json_get(held_out, "others"), 0);
    cr_expect_eq(cJSON_GetArraySize(ts_json_get(all, "adapters")), 2);
    cr_expect_eq(cJSON_GetArraySize(ts_json_get(held_out, "others")), 1);
    cr_expect(cJSON_Compare(ts_json_get(held_out, "base"), ts_json_get(other, "tuned"), true));
    cr_expect_not(cJSON_Compare(ts_json_get(held_out, "base"), ts_json_get(held_out, "tuned"), 1));
    const cJSON *answer = ts_json_get(all, "answers")->child;
    cr_expect(cJSON_Compare(ts_json_get(answer, "base"),
                            cJSON_GetArrayItem(ts_json_get(answer, "others"), 0), true));
    cJSON_Delete(all);
    cr_assert_eq(ts_folder_remove(folder, NULL), TS_OK);
    ts_text_free(&markdown), ts_text_free(&json), ts_text_free(&second);
    ts_results_free(&results);
    sample_free(&s);
}

Test(report, adapters_are_named_by_what_tells_them_apart)
{
    static const struct {
        const char *folders[3], *names[3];
    } cases[] = {
        {{"out/sft", "out/dpo/", "x"}, {"sft", "dpo", "x"}},
        {{"a/final", "b/final", "c/other"}, {"a/final", "b/final", "other"}},
        {{"final", "b/final", "/b/final"}, {"final", "b/final", "/b/final"}},
        {{"/", "///", "."}, {"/", "/", "."}},
        {{"a", "a", "a"}, {"a", "a", "a"}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ts_arena arena = {0};
        const char *names[3];
        cr_assert_eq(ts_setup_name_adapters(cases[i].folders, 3, &arena, names, NULL), TS_OK);
        for (size_t k = 0; k < 3; k++) {
            cr_expect_str_eq(names[k], cases[i].names[k], "%zu, %zu: %s", i, k, names[k]);
        }
        ts_arena_free(&arena);
    }
}

Test(report, base_alone)
{
    sample s;
    ts_results results = {0};
    ts_error err = {0};
    char folder[64];
    ts_text markdown = {0}, path = {0};
    sample_make(&s, 5);
    sample_folder(folder);
    s.evaluation.tuned_count = 0;
    s.evaluation.seen = NULL;
    cr_assert_eq(ts_results_make(&s.evaluation, &results, &err), TS_OK);
    cr_assert_eq(ts_report_write(&s.evaluation, &results, folder, &err), TS_OK, "%s", err.message);
    sample_read(folder, "before_after.md", &markdown);
    cr_assert_eq(count_in(markdown.bytes, "Fine-tuned"), 0);
    cr_assert_eq(count_in(markdown.bytes, "held out"), 0);
    cr_assert_not_null(strstr(markdown.bytes, "All prompts: 5 prompts"));
    cr_assert_eq(ts_path_join(folder, "finetuned_responses.txt", &path, &err), TS_OK);
    cr_assert_not(ts_file_exists(path.bytes));
    cr_assert_eq(ts_folder_remove(folder, NULL), TS_OK);
    ts_text_free(&markdown), ts_text_free(&path);
    ts_results_free(&results);
    sample_free(&s);
}

Test(report, all_seen_has_no_headline)
{
    sample s;
    ts_results results = {0};
    ts_text markdown = {0};
    sample_make(&s, 2);
    s.seen[0] = s.seen[1] = true;
    cr_assert_eq(ts_results_make(&s.evaluation, &results, NULL), TS_OK);
    cr_assert_eq(results.held_out[0].base.prompts, 0);
    cr_assert(isnan(results.held_out[0].base.loss));
    cr_assert_eq(ts_report_markdown(&s.evaluation, &results, &markdown, NULL), TS_OK);
    cr_assert_not_null(strstr(markdown.bytes, "never seen in training: 0 prompts"));
    cr_assert_null(strstr(markdown.bytes, "nan"));
    ts_text_free(&markdown);
    ts_results_free(&results);
    sample_free(&s);
}

// The user's own prompts, which ask for nothing but an answer: what was not measured is not shown.
Test(report, what_no_prompt_asks_for_is_left_out)
{
    sample s;
    ts_results results = {0};
    ts_text markdown = {0}, text = {0};
    sample_make(&s, 2);
    for (size_t i = 0; i < 2; i++) {
        s.prompts.items[i] = (ts_prompt){.id = "",
                                         .label = "",
                                         .text = "Why?",
                                         .reference = NULL,
                                         .category = TS_CATEGORY_OTHER};
        s.base[i].reference_tokens = s.tuned[i].reference_tokens = 0;
    }
    ts_turn before = {TS_ROLE_SYSTEM, "Be brief.", 9};
    s.prompts.items[0].before = &before;
    s.prompts.items[0].before_count = 1;
    cr_assert_eq(ts_results_make(&s.evaluation, &results, NULL), TS_OK);
    cr_assert_eq(ts_report_markdown(&s.evaluation, &results, &markdown, NULL), TS_OK);
    cr_assert_eq(ts_report_text(&s.evaluation, "Base model", s.base, results.base, &text, NULL),
                 TS_OK);
    cr_expect_null(strstr(markdown.bytes, "Loss"), "%s", markdown.bytes);
    cr_expect_null(strstr(markdown.bytes, "Reference"), "%s", markdown.bytes);
    cr_expect_null(strstr(markdown.bytes, "Facts right"), "%s", markdown.bytes);
    cr_expect_null(strstr(markdown.bytes, "nan"), "%s", markdown.bytes);
    cr_expect_not_null(strstr(markdown.bytes, "Stopped by itself"), "%s", markdown.bytes);
    cr_expect_not_null(strstr(markdown.bytes, "### 1. (held out)"), "%s", markdown.bytes);
    cr_expect_not_null(strstr(markdown.bytes, "*system:* Be brief.<br>Why?"), "%s", markdown.bytes);
    cr_expect_null(strstr(text.bytes, "Category"), "%s", text.bytes);
    ts_text_free(&markdown), ts_text_free(&text);
    ts_results_free(&results);
    sample_free(&s);
}

Test(report, missing_folder_is_an_error)
{
    sample s;
    ts_results results = {0};
    ts_error err = {0};
    sample_make(&s, 1);
    cr_assert_eq(ts_results_make(&s.evaluation, &results, &err), TS_OK);
    cr_assert_eq(ts_report_write(&s.evaluation, &results, "/nonexistent/x", &err), TS_ERR_IO);
    cr_assert_not_null(strstr(err.message, "base_responses.txt"), "%s", err.message);
    ts_results_free(&results);
    sample_free(&s);
}
