// Pairs of answers in the shapes that people use, and the messages for rows that are no pair.
#include "data/rows.h"

#include "data_test.h"

#include <criterion/criterion.h>
#include <string.h>

// "u=a|!a=b|a=c|": roles by their first letter, "!" where a turn is not trained on.
static void spell(const ts_row *row, ts_text *out)
{
    ts_error err = {0};
    ts_text_clear(out);
    for (size_t i = 0; i < row->count; i++) {
        const ts_turn *turn = &row->turns[i];
        cr_assert_eq(ts_text_format(out, &err, "%s%c=%.*s|", turn->masked ? "!" : "",
                                    "sua"[turn->role], (int)turn -> len, turn -> text),
                     TS_OK);
    }
}

static ts_status read_pair(const char *json, ts_text *chosen, ts_text *rejected, ts_error *err)
{
    cJSON *parsed = NULL;
    ts_row a = {0}, b = {0};
    cr_assert_eq(ts_json_parse(json, strlen(json), "r", &parsed, err), TS_OK, "%s", err->message);
    ts_status status = ts_row_read_pair(parsed, "r:1", &a, &b, err);
    if (status == TS_OK) {
        spell(&a, chosen);
        spell(&b, rejected);
    }
    cJSON_Delete(parsed);
    ts_row_free(&a);
    ts_row_free(&b);
    return status;
}

#define USER(text) "{\"role\":\"user\",\"content\":\"" text "\"}"
#define ANSWER(text) "{\"role\":\"assistant\",\"content\":\"" text "\"}"

Test(row_pair, as_turns)
{
    static const struct {
        const char *row, *chosen, *rejected;
    } cases[] = {
        {"{\"prompt\":\"q\",\"chosen\":\"c\",\"rejected\":\"r\"}", "u=q|a=c|", "u=q|a=r|"},
        {"{\"system\":\"s\",\"prompt\":[" USER("q") "],\"chosen\":[" ANSWER(
             "c") "],\"rejected\":[" ANSWER("r") "],\"score_chosen\":8.5}",
         "s=s|u=q|a=c|", "s=s|u=q|a=r|"},
        // earlier answers are part of the prompt
        {"{\"prompt\":[" USER("a") "," ANSWER("b") "," USER(
             "q") "],\"chosen\":\"c\",\"rejected\":\"r\"}",
         "u=a|!a=b|u=q|a=c|", "u=a|!a=b|u=q|a=r|"},
        // whole conversations: the prompt is what they share, whatever stands beside them
        {"{\"chosen\":[" USER("a") "," ANSWER("b") "," USER("q") "," ANSWER(
             "c") "],\"rejected\":[" USER("a") "," ANSWER("b") "," USER("q") "," ANSWER("r") "]}",
         "u=a|!a=b|u=q|a=c|", "u=a|!a=b|u=q|a=r|"},
        {"{\"prompt\":\"q\",\"chosen\":[" USER("q") "," ANSWER("c") "],\"rejected\":[" USER(
             "q") "," ANSWER("r") "]}",
         "u=q|a=c|", "u=q|a=r|"},
    };
    ts_text chosen = {0}, rejected = {0};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ts_error err = {0};
        cr_assert_eq(read_pair(cases[i].row, &chosen, &rejected, &err), TS_OK, "%zu: %s", i,
                     err.message);
        cr_expect_str_eq(chosen.bytes, cases[i].chosen, "%zu", i);
        cr_expect_str_eq(rejected.bytes, cases[i].rejected, "%zu", i);
    }
    ts_text_free(&chosen);
    ts_text_free(&rejected);
}

Test(row_pair, refusals)
{
    static const struct {
        const char *row, *says;
    } cases[] = {
        {"[1]", "expected an object, found an array"},
        {"{\"prompt\":\"q\",\"chosen\":\"c\"}", "key 'rejected' is missing"},
        {"{\"prompt\":\"q\",\"completion\":\"c\"}", "key 'chosen' is missing"},
        {"{\"chosen\":\"c\",\"rejected\":\"r\"}", "key 'prompt' is missing"},
        {"{\"prompt\":\"q\",\"chosen\":\"c\",\"rejected\":\"c\"}", "nothing to prefer"},
        {"{\"prompt\":\"q\",\"chosen\":3,\"rejected\":\"c\"}", "key 'chosen'"},
        {"{\"chosen\":[" USER("a") "," ANSWER("c") "],\"rejected\":[" USER("b") "," ANSWER(
             "r") "]}",
         "expected the assistant's turns alone"},
        {"{\"prompt\":\"q\",\"chosen\":\"c\",\"rejected\":\"r\",\"images\":[1]}",
         "only text is read"},
    };
    ts_text chosen = {0}, rejected = {0};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ts_error err = {0};
        cr_expect_eq(read_pair(cases[i].row, &chosen, &rejected, &err), TS_ERR_FORMAT, "%zu", i);
        cr_expect_not_null(strstr(err.message, cases[i].says), "%zu: %s", i, err.message);
    }
    ts_text_free(&chosen);
    ts_text_free(&rejected);
}
