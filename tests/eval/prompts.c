#include "eval/prompts.h"

#include "base/file.h"
#include "data/dataset.h"
#include "eval/metrics.h"
#include "sample.h"

#include <criterion/criterion.h>
#include <string.h>

static ts_status open_text(const char *json, ts_prompts *out, ts_error *err)
{
    char folder[64];
    ts_text path = {0};
    sample_folder(folder);
    sample_write(folder, "eval.json", json, &path);
    ts_status status = ts_prompts_open(path.bytes, out, err);
    cr_assert_eq(ts_folder_remove(folder, NULL), TS_OK);
    ts_text_free(&path);
    return status;
}

Test(prompts, read)
{
    ts_prompts prompts = {0};
    ts_error err = {0};
    ts_status status = open_text(
        "[{\"id\":\"a\",\"category\":\"factual\",\"prompt\":\"Symbol?\",\"reference\":\"Ag.\","
        "\"facts\":[[\"Ag\",\"Silver!\"],[\"47\"]]},"
        "{\"id\":\"b\",\"category\":\"length\",\"prompt\":\"Be brief\",\"reference\":\"No.\","
        "\"min_words\":2,\"max_words\":9},"
        "{\"id\":\"c\",\"category\":\"refusal\",\"prompt\":\"Bad\",\"reference\":\"I can't "
        "help.\"},"
        "{\"id\":\"d\",\"category\":\"safe\",\"prompt\":\"Fine\",\"reference\":\"Yes.\","
        "\"refuse\":false},"
        "{\"id\":\"e\",\"category\":\"polite\",\"prompt\":\"Hi\",\"reference\":\"Please.\"}]",
        &prompts, &err);
    cr_assert_eq(status, TS_OK, "%s", err.message);
    cr_assert_eq(prompts.count, 5);
    const ts_prompt *p = prompts.items;
    cr_assert_str_eq(p[0].id, "a");
    cr_assert_eq(p[0].fact_count, 2);
    cr_assert_eq(p[0].facts[0].count, 2);
    cr_assert_str_eq(p[0].facts[0].aliases[1], "Silver!");
    cr_assert_str_eq(p[0].facts[0].words[1], " silver ");
    cr_assert_eq(p[0].refuse, TS_REFUSE_NOT_JUDGED);
    cr_assert_eq(p[1].min_words, 2);
    cr_assert_eq(p[1].max_words, 9);
    cr_assert_eq(p[2].refuse, TS_REFUSE_MUST);
    cr_assert_eq(p[3].refuse, TS_REFUSE_MUST_NOT);
    cr_assert(p[4].polite && !p[3].polite);
    ts_prompts_close(&prompts);
}

#define ITEM(rest) "[{\"id\":\"a\",\"prompt\":\"p\",\"reference\":\"r\"," rest "}]"
#define PAIR "{\"id\":\"a\",\"prompt\":\"p\",\"reference\":\"r\",\"category\":\"safe\"}"

Test(prompts, errors_name_the_place)
{
    static const char *const cases[][2] = {
        {"{}", "expected an array of 1 to 10000 prompts, found an object"},
        {"[]", "expected an array"},
        {"[3]", "prompt 0: expected an object"},
        {"[{}]", "key 'id'"},
        {ITEM("\"category\":\"rude\""), "prompt 0 ('a'): key 'category': 'rude'"},
        {ITEM("\"category\":\"safe\",\"max_word\":3"), "unknown key 'max_word'"},
        {ITEM("\"category\":\"factual\""), "needs key 'facts'"},
        {ITEM("\"category\":\"factual\",\"facts\":[]"), "key 'facts'"},
        {ITEM("\"category\":\"factual\",\"facts\":[\"x\"]"), "key 'facts[0]'"},
        {ITEM("\"category\":\"factual\",\"facts\":[[\"x\"],[]]"), "key 'facts[1]'"},
        {ITEM("\"category\":\"factual\",\"facts\":[[\"x\",7]]"), "key 'facts[0][1]'"},
        {ITEM("\"category\":\"factual\",\"facts\":[[\"!?\"]]"), "holds no word"},
        {ITEM("\"category\":\"length\""), "needs key 'min_words' or 'max_words'"},
        {ITEM("\"category\":\"length\",\"max_words\":0"), "key 'max_words'"},
        {ITEM("\"category\":\"length\",\"min_words\":5,\"max_words\":4"), "above max_words"},
        {ITEM("\"category\":\"safe\",\"refuse\":true"), "contradicts"},
        {ITEM("\"category\":\"refusal\",\"refuse\":false"), "contradicts"},
        {ITEM("\"category\":\"safe\",\"polite\":1"), "key 'polite'"},
        {"[{\"id\":\" \",\"prompt\":\"p\",\"reference\":\"r\",\"category\":\"safe\"}]", "empty"},
        {"[" PAIR "," PAIR "]", "prompt 1 ('a'): same id as prompt 0"},
        {"[" PAIR ",{\"id\":\"b\",\"prompt\":\"p\",\"reference\":\"r\",\"category\":\"safe\"}]",
         "same prompt as prompt 0"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ts_prompts prompts = {0};
        ts_error err = {0};
        cr_assert_eq(open_text(cases[i][0], &prompts, &err), TS_ERR_FORMAT, "case %zu", i);
        cr_assert_not_null(strstr(err.message, cases[i][1]), "case %zu: %s", i, err.message);
        cr_assert_not_null(strstr(err.message, "eval.json"), "case %zu: %s", i, err.message);
        cr_assert_eq(prompts.count, 0);
    }
}

Test(prompts, seen_by_their_words)
{
    ts_prompt items[] = {{.text = "What is H₂O?"}, {.text = "what is"}, {.text = "New one"}};
    ts_prompts prompts = {.items = items, .count = 3};
    ts_example examples[] = {{.prompt = "Zoo"}, {.prompt = "what is  h2o"}, {.prompt = NULL}};
    ts_dataset dataset = {.examples = examples, .count = 3};
    bool seen[3] = {true, true, true};
    cr_assert_eq(ts_prompts_mark_seen(&prompts, &dataset, seen, NULL), TS_OK);
    cr_assert(seen[0] && !seen[1] && !seen[2]);
    dataset.count = 0;
    cr_assert_eq(ts_prompts_mark_seen(&prompts, &dataset, seen, NULL), TS_OK);
    cr_assert(!seen[0]);
}

// The shipped prompts: each reference answer must pass the very checks it stands for.
Test(prompts, references_pass_their_own_checks)
{
    ts_prompts prompts = {0};
    ts_error err = {0};
    cr_assert_eq(ts_prompts_open(PROJECT_FOLDER "/data/eval.json", &prompts, &err), TS_OK, "%s",
                 err.message);
    for (size_t i = 0; i < prompts.count; i++) {
        const ts_prompt *prompt = &prompts.items[i];
        ts_response response = {
            .text = prompt->reference, .len = strlen(prompt->reference), .stopped = true};
        ts_verdict verdict;
        cr_assert_eq(ts_verdict_judge(prompt, &response, &verdict, &err), TS_OK);
        for (int m = 0; m < TS_METRIC_COUNT; m++) {
            ts_mark mark = verdict.marks[m];
            cr_expect(mark == TS_MARK_NONE || ts_mark_is_good((ts_metric)m, mark), "%s: %s: %s",
                      prompt->id, ts_metric_label((ts_metric)m), prompt->reference);
        }
    }
    ts_prompts_close(&prompts);
}
