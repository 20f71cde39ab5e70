#include "eval/prompts.h"

#include "base/file.h"
#include "base/log.h"
#include "data/dataset.h"
#include "eval/metrics.h"
#include "sample.h"

#include <criterion/criterion.h>
#include <stdio.h>
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

// Each text is refused with a message that has the words beside it, and names the file.
static void expect_refused(const char *const cases[][2], size_t count)
{
    for (size_t i = 0; i < count; i++) {
        ts_prompts prompts = {0};
        ts_error err = {0};
        cr_assert_eq(open_text(cases[i][0], &prompts, &err), TS_ERR_FORMAT, "case %zu", i);
        cr_expect_not_null(strstr(err.message, cases[i][1]), "case %zu: %s", i, err.message);
        cr_expect_not_null(strstr(err.message, "eval.json"), "case %zu: %s", i, err.message);
        cr_assert_eq(prompts.count, 0);
    }
}

Test(prompts, errors_name_the_place)
{
    static const char *const cases[][2] = {
        {"[]", ":1: holds no rows"},
        {"  ", ":1: holds no rows"},
        {"{}", ":1: has none of the keys messages, conversations, instruction, prompt, text"},
        {"[3]", ":1: expected an object such as {\"prompt\": \"...\"}, found a number"},
        {"{\"promt\":\"p\"}", "it has: promt; did you mean prompt?"},
        {"{\"question\":\"q\",\"answer\":\"a\"}", "it has: question, answer; did you mean prompt"},
        {"{\"prompt\":\" \"}", ":1: the prompt is empty"},
        {"{\"prompt\":7}", ":1: key 'prompt': expected a string, found a number"},
        {"{\"prompt\":\"p\",\"reference\":\"\"}", "the reference answer is empty; leave it out"},
        {"{\"prompt\":\"p\",\"completion\":\"c\",\"reference\":\"r\"}",
         "has an answer and key 'reference'"},
        {"{\"messages\":[{\"role\":\"assistant\",\"content\":\"a\"}]}",
         ":1: has no user's turn before its last answer"},
        {"{\"messages\":[{\"role\":\"system\",\"content\":\"a\"}]}",
         ":1: has no user's turn at its end"},
        {ITEM("\"category\":\"refusla\""),
         ":1 ('a'): key 'category': 'refusla'; did you mean 'refusal'?"},
        {ITEM("\"category\":\"a name that is much longer than any category has\""),
         "expected at most 40"},
        {ITEM("\"category\":\"safe\",\"max_word\":3"),
         "key 'max_word' is unknown; did you mean 'max_words'?"},
        {ITEM("\"category\":\"factual\""), "needs key 'facts'"},
        {ITEM("\"facts\":[]"), "key 'facts': expected a text, or an array"},
        {ITEM("\"facts\":7"), "key 'facts': expected a text, or an array"},
        {ITEM("\"facts\":[[\"x\"],[]]"), "key 'facts[1]'"},
        {ITEM("\"facts\":[[\"x\",7]]"), "key 'facts[0][1]'"},
        {ITEM("\"facts\":[7]"), "key 'facts[0]': expected a text or an array"},
        {ITEM("\"facts\":\"!?\""), "key 'facts': '!?' holds no word"},
        {ITEM("\"category\":\"length\""), "needs key 'min_words' or 'max_words'"},
        {ITEM("\"max_words\":0"), "key 'max_words'"},
        {ITEM("\"min_words\":5,\"max_words\":4"), "above max_words"},
        {ITEM("\"category\":\"safe\",\"refuse\":true"), "contradicts"},
        {ITEM("\"category\":\"refusal\",\"refuse\":false"), "contradicts"},
        {ITEM("\"category\":\"safe\",\"polite\":1"), "key 'polite'"},
        {"{\"prompt\":\"p\",\"id\":\" \"}", "key 'id': expected a text or a number"},
        {"{\"prompt\":\"p\",\"id\":[]}", "key 'id': expected a text or a number"},
        {"[" PAIR ",\n" PAIR "]", ":2 ('a'): same id as line 1"},
        {"{\"prompt\":\"p\"}\n{\"prompt\":\"q\",}", ":2:14: "},
        {"{\"promt\":\"p\"}\n" PAIR "\n7", ": 2 mistakes, all told above"},
    };
    expect_refused(cases, TS_COUNT(cases));
}

Test(prompts, errors_of_groups_and_of_what_cannot_be_known)
{
    static const char *const cases[][2] = {
        {"{\"prompt\":\"p\",\"unknwon\":true}", "did you mean 'unknown'?"},
        {"{\"prompt\":\"p\",\"unknown\":true,\"facts\":\"f\"}", "has no facts to look for"},
        {"{\"prompt\":\"p\",\"category\":\"multi-turn\"}", "needs an earlier turn of the user"},
        {"{\"prompt\":\"p\",\"system\":\"s\",\"category\":\"multi-turn\"}",
         "needs an earlier turn"},
        {"{\"prompt\":\"p\",\"group\":7}", "'group'"},
        {"{\"prompt\":\"p\",\"facts\":\"f\",\"group\":\"g\"}",
         ":1: group 'g' has 1 row, 1 with facts, 0 to refuse and 0 not to refuse"},
        {"{\"prompt\":\"p\",\"group\":\"g\"}\n{\"prompt\":\"q\",\"facts\":\"f\",\"group\":\"g\"}",
         "group 'g' has 2 rows, 1 with facts"},
        {"{\"prompt\":\"p\",\"refuse\":true,\"group\":\"g\"}\n"
         "{\"prompt\":\"q\",\"refuse\":true,\"group\":\"g\"}",
         "2 to refuse and 0 not to refuse"},
    };
    expect_refused(cases, TS_COUNT(cases));
}

static void read_text(const char *json, size_t count, ts_prompts *out)
{
    ts_error err = {0};
    cr_assert_eq(open_text(json, out, &err), TS_OK, "%s", err.message);
    cr_assert_eq(out->count, count);
}

// A prompt alone is enough; what a row does not ask for is not judged.
Test(prompts, a_prompt_is_enough)
{
    ts_prompts prompts = {0};
    read_text(
        "{\"prompt\":\"Why?\"}\n\n"
        "{\"prompt\":\"How?\",\"reference\":\"So.\",\"id\":7,\"facts\":\"So\",\"refuse\":null}\n"
        "{\"prompt\":\"Who?\",\"facts\":[\"Ann\",[\"Bob\",\"Rob\"]],\"refuse\":true}\n",
        3, &prompts);
    const ts_prompt *p = prompts.items;
    cr_expect(p[0].reference == NULL && p[0].fact_count == 0 && !p[0].polite);
    cr_expect_eq(p[0].category, TS_CATEGORY_OTHER);
    cr_expect_str_eq(p[0].id, "");
    cr_expect_str_eq(p[0].label, "");
    cr_expect_str_eq(p[1].id, "7");
    cr_expect_str_eq(p[1].reference, "So.");
    cr_expect_eq(p[1].line, 3);
    cr_assert_eq(p[1].fact_count, 1);
    cr_expect_str_eq(p[1].facts[0].words[0], " so ");
    cr_expect_eq(p[1].refuse, TS_REFUSE_NOT_JUDGED);
    cr_assert_eq(p[2].fact_count, 2);
    cr_expect_eq(p[2].facts[1].count, 2);
    cr_expect_eq(p[2].refuse, TS_REFUSE_MUST);
    ts_prompts_close(&prompts);
}

// All formats of training can be read: the last answer is the reference, and the turns before it
// are the prompt.
Test(prompts, formats_of_training)
{
    ts_prompts prompts = {0};
    read_text("{\"messages\":[{\"role\":\"system\",\"content\":\"Be brief.\"},"
              "{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"assistant\",\"content\":\"b\"},"
              "{\"role\":\"user\",\"content\":\"c\"},{\"role\":\"assistant\",\"content\":\"d\"}]}\n"
              "{\"messages\":[{\"role\":\"user\",\"content\":\"e\"}],\"reference\":\"f\"}\n"
              "{\"conversations\":[{\"from\":\"human\",\"value\":\"g\"},{\"from\":\"gpt\","
              "\"value\":\"h\"}],\"category\":\"polite\"}\n"
              "{\"instruction\":\"i\",\"input\":\"j\",\"output\":\"k\"}\n"
              "{\"instruction\":\"l\"}\n"
              "{\"prompt\":\"m\",\"completion\":\"n\",\"system\":\"o\"}\n"
              "{\"text\":\"<|user|>\\np</s>\\n<|assistant|>\\nq</s>\"}\n",
              7, &prompts);
    static const char *const expected[][2] = {{"c", "d"},  {"e", "f"}, {"g", "h"}, {"i\nj", "k"},
                                              {"l", NULL}, {"m", "n"}, {"p", "q"}};
    const ts_prompt *p = prompts.items;
    for (size_t i = 0; i < 7; i++) {
        cr_expect_str_eq(p[i].text, expected[i][0]);
        cr_expect((p[i].reference == NULL) == (expected[i][1] == NULL), "row %zu", i);
        cr_expect(p[i].reference == NULL || strcmp(p[i].reference, expected[i][1]) == 0, "row %zu",
                  i);
    }
    cr_assert_eq(p[0].before_count, 3);
    cr_expect_eq(p[0].before[0].role, TS_ROLE_SYSTEM);
    cr_expect_str_eq(p[0].before[2].text, "b");
    cr_expect(p[2].polite);
    cr_assert_eq(p[5].before_count, 1);
    cr_expect_str_eq(p[5].before[0].text, "o");
    ts_prompts_close(&prompts);
}

Test(prompts, groups_and_what_cannot_be_known)
{
    ts_prompts prompts = {0};
    read_text("{\"prompt\":\"a\",\"facts\":\"f\",\"group\":\"g\"}\n"
              "{\"prompt\":\"b\",\"facts\":\"f\",\"group\":\"g\"}\n"
              "{\"prompt\":\"c\",\"category\":\"refusal\",\"group\":\"h\"}\n"
              "{\"prompt\":\"d\",\"category\":\"safe\",\"group\":\"h\"}\n"
              "{\"prompt\":\"e\",\"category\":\"unknown\"}\n"
              "{\"messages\":[{\"role\":\"user\",\"content\":\"f\"},{\"role\":\"assistant\","
              "\"content\":\"g\"},{\"role\":\"user\",\"content\":\"h\"}],"
              "\"category\":\"multi-turn\",\"unknown\":true}\n",
              6, &prompts);
    const ts_prompt *p = prompts.items;
    cr_expect_str_eq(p[1].group, "g");
    cr_expect_str_eq(p[4].group, "");
    cr_expect(p[4].unknown && p[4].category == TS_CATEGORY_UNKNOWN && !p[3].unknown);
    cr_expect(p[5].unknown && p[5].category == TS_CATEGORY_TURNS && p[5].before_count == 2);
    cr_expect_str_eq(p[5].label, "multi-turn");
    ts_prompts_close(&prompts);
}

static char said[1024];

static void keep_log(void *user, ts_log_level level, const char *message)
{
    (void)user, (void)level;
    size_t at = strlen(said);
    snprintf(said + at, sizeof said - at, "%s\n", message);
}

// Keys without a meaning here are ignored, with a warning.
Test(prompts, what_is_passed_over_is_told)
{
    ts_prompts prompts = {0};
    ts_log_set_sink(keep_log, NULL);
    read_text("{\"prompt\":\"a\",\"zork\":\"me\",\"category\":\"maths\"}\n"
              "{\"prompt\":\"a\",\"zork\":\"me\",\"category\":\"maths\"}\n"
              "{\"prompt\":\"a\",\"system\":\"s\"}\n",
              3, &prompts);
    cr_expect_str_eq(prompts.items[0].label, "maths");
    cr_expect_eq(prompts.items[0].category, TS_CATEGORY_OTHER);
    cr_expect_not_null(
        strstr(said, "keys that mean nothing here were passed over: zork (2 times)\n"), "%s", said);
    cr_expect_not_null(strstr(said, "2 rows are of a category of your own ('maths')"), "%s", said);
    cr_expect_not_null(strstr(said, "1 row asks what an earlier one asks"), "%s", said);
    ts_prompts_close(&prompts);
}

Test(prompts, seen_by_their_words)
{
    ts_prompt items[] = {{.text = "What is H₂O?"}, {.text = "what is"}, {.text = "New one"}};
    ts_prompts prompts = {.items = items, .count = 3};
    ts_example examples[] = {{.prompt = "Zoo"}, {.prompt = "what is  h2o"}, {.prompt = NULL}};
    ts_dataset dataset = {.examples = examples, .count = 3};
    bool seen[3] = {false, false, true}; // the last by another file
    cr_assert_eq(ts_prompts_mark_seen(&prompts, &dataset, seen, NULL), TS_OK);
    cr_assert(seen[0] && !seen[1] && seen[2]);
    dataset.count = 0;
    seen[2] = false;
    cr_assert_eq(ts_prompts_mark_seen(&prompts, &dataset, seen, NULL), TS_OK);
    cr_assert(seen[0] && !seen[1] && !seen[2]);
}

// A follow-up is another question after another beginning.
Test(prompts, conversations_are_seen_with_their_beginning)
{
    static const ts_turn tea[] = {{TS_ROLE_SYSTEM, "Be brief.", 9},
                                  {TS_ROLE_USER, "What is tea?", 12},
                                  {TS_ROLE_ASSISTANT, "A drink.", 8}};
    static const ts_turn rain[] = {{TS_ROLE_USER, "What is rain?", 13}};
    ts_prompt items[] = {{.text = "More!", .before = tea, .before_count = 3},
                         {.text = "More!", .before = rain, .before_count = 1},
                         {.text = "More"},
                         {.text = "what is tea"},
                         {.text = "Thanks", .before = tea, .before_count = 3}};
    ts_prompts prompts = {.items = items, .count = 5};
    ts_example examples[] = {{.prompt = "What is tea?\x1eMore.\x1eThanks"}};
    ts_dataset dataset = {.examples = examples, .count = 1};
    bool seen[5] = {0};
    cr_assert_eq(ts_prompts_mark_seen(&prompts, &dataset, seen, NULL), TS_OK);
    cr_expect(seen[0] && !seen[1] && seen[2] && seen[3] && !seen[4]);
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
        ts_score score;
        cr_assert_eq(ts_score_answer(prompt, &response, &score, &err), TS_OK);
        for (int m = 0; m < TS_METRIC_COUNT; m++) {
            ts_mark mark = score.marks[m];
            cr_expect(mark == TS_MARK_NONE || ts_mark_is_good((ts_metric)m, mark), "%s: %s: %s",
                      prompt->id, ts_metric_label((ts_metric)m), prompt->reference);
        }
    }
    ts_prompts_close(&prompts);
}

// A right answer in words of one's own counts.
Test(prompts, a_right_answer_in_other_words_counts)
{
    static const char *const ids[] = {"fact-38", "fact-39"};
    ts_prompts prompts = {0};
    size_t found = 0;
    cr_assert_eq(ts_prompts_open(PROJECT_FOLDER "/data/eval.json", &prompts, NULL), TS_OK);
    for (size_t i = 0; i < prompts.count; i++) {
        for (size_t k = 0; k < TS_COUNT(ids); k++) {
            static const char answer[] = "A firefighter puts out a fire.";
            const ts_response response = {.text = answer, .len = strlen(answer), .stopped = true};
            ts_score score;
            if (strcmp(prompts.items[i].id, ids[k]) == 0) {
                cr_assert_eq(ts_score_answer(&prompts.items[i], &response, &score, NULL), TS_OK);
                cr_expect_eq(score.marks[TS_METRIC_FACTS], TS_MARK_YES, "%s", ids[k]);
                found++;
            }
        }
    }
    cr_expect_eq(found, TS_COUNT(ids));
    ts_prompts_close(&prompts);
}
