#include "eval/report.h"

#include "base/file.h"
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
    cr_assert_not_null(strstr(markdown.bytes, "| 2 | 1 | -1.0000 (95 %: -1.0000 to -1.0000) |"));
    cr_assert_eq(ts_report_markdown(&s.evaluation, &results, &again, &err), TS_OK);
    cr_assert_str_eq(again.bytes, markdown.bytes);
    cr_assert_eq(ts_folder_remove(folder, NULL), TS_OK);
    ts_text_free(&base), ts_text_free(&tuned), ts_text_free(&markdown), ts_text_free(&again);
    ts_results_free(&results);
    sample_free(&s);
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
    s.evaluation.tuned = NULL;
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
    cr_assert_eq(results.held_out.base.prompts, 0);
    cr_assert(isnan(results.held_out.base.loss));
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
