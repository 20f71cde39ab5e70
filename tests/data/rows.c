// Rows in the shapes that people use: the turns that they give, and the messages for rows that give
// none.
#include "data/rows.h"

#include "data_test.h"

#include <criterion/criterion.h>
#include <string.h>

static ts_status read_row(const char *json, bool documents, ts_row *row, ts_text *spelt,
                          ts_error *err)
{
    static const char *const roles[] = {"system", "user", "assistant"};
    cJSON *parsed = NULL;
    ts_text_clear(spelt);
    cr_assert_eq(ts_json_parse(json, strlen(json), "r", &parsed, err), TS_OK, "%s", err->message);
    ts_status status = ts_row_read(parsed, documents, "r:1", row, err);
    for (size_t k = 0; k < row->count && status == TS_OK; k++) {
        cr_assert_eq(ts_text_format(spelt, err, "%s%s=%.*s|", row->turns[k].masked ? "!" : "",
                                    roles[row->turns[k].role], (int)row->turns[k].len,
                                    row->turns[k].text),
                     TS_OK);
    }
    cJSON_Delete(parsed);
    return status;
}

#define USER(text) "{\"role\":\"user\",\"content\":\"" text "\"}"
#define ANSWER(text) "{\"role\":\"assistant\",\"content\":\"" text "\"}"

Test(rows, as_turns)
{
    static const struct {
        const char *row, *turns;
    } cases[] = {
        {"{\"instruction\":\"a\",\"input\":\"b\",\"system\":\"s\",\"output\":\"c\"}",
         "system=s|user=a\nb|assistant=c|"},
        {"{\"instruction\":\"\",\"input\":\"b\",\"output\":\"c\"}", "user=b|assistant=c|"},
        {"{\"system\":\"s\",\"prompt\":\"a\",\"completion\":\"c\"}",
         "system=s|user=a|assistant=c|"},
        // a system prompt in a column, beside any shape, and once more among the turns
        {"{\"system\":\"s\",\"messages\":[" USER("a") "," ANSWER("c") "]}",
         "system=s|user=a|assistant=c|"},
        {"{\"conversations\":[{\"from\":\"human\",\"value\":\"a\"},{\"from\":\"gpt\",\"value\":"
         "\"c\"}],\"system\":\"s\"}",
         "system=s|user=a|assistant=c|"},
        {"{\"system\":\"s\",\"messages\":[{\"role\":\"system\",\"content\":\"s\"}," USER(
             "a") "," ANSWER("c") "]}",
         "system=s|user=a|assistant=c|"},
        {"{\"system\":\"s\",\"text\":\"<|user|>\\na</s>\\n<|assistant|>\\nc</s>\"}",
         "system=s|user=a|assistant=c|"},
        // earlier turns
        {"{\"instruction\":\"c\",\"output\":\"d\",\"history\":[[\"a\",\"b\"]],\"system\":\"s\"}",
         "system=s|user=a|assistant=b|user=c|assistant=d|"},
        {"{\"prompt\":\"c\",\"response\":\"d\",\"history\":[]}", "user=c|assistant=d|"},
        // null is absent
        {"{\"messages\":null,\"instruction\":\"a\",\"input\":null,\"output\":\"c\",\"text\":null}",
         "user=a|assistant=c|"},
        {"{\"prompt\":\"a\",\"completion\":null,\"response\":\"c\",\"tools\":null}",
         "user=a|assistant=c|"},
        // either pair of keys, roles in any spelling
        {"{\"conversations\":[" USER("a") "," ANSWER("c") "]}", "user=a|assistant=c|"},
        {"{\"messages\":[{\"from\":\"Human\",\"value\":\"a\"},{\"from\":\" ChatGPT\",\"value\":"
         "\"c\"}]}",
         "user=a|assistant=c|"},
        {"{\"messages\":[{\"role\":\"Developer\",\"content\":\"s\"},{\"role\":\"prompter\","
         "\"content\":\"a\"},{\"role\":\"MODEL\",\"value\":\"c\"},{\"role\":\"bot\",\"content\":"
         "\"d\"},{\"role\":\"Ai\",\"content\":\"e\"}]}",
         "system=s|user=a|assistant=c|assistant=d|assistant=e|"},
        // lists of turns as prompt and completion: only the completion is supervised
        {"{\"prompt\":[" USER("a") "," ANSWER("b") "," USER("c") "],\"completion\":[" ANSWER(
             "d") "]}",
         "user=a|!assistant=b|user=c|assistant=d|"},
        {"{\"prompt\":\"a\",\"completion\":[" ANSWER("d") "]}", "user=a|assistant=d|"},
        // content in parts
        {"{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\"},"
         "{\"type\":\"text\",\"text\":\"b\"}]}," ANSWER("c") "]}",
         "user=ab|assistant=c|"},
        // turns that say they are not to be trained on
        {"{\"messages\":[" USER(
             "a") ",{\"role\":\"assistant\",\"content\":\"b\",\"weight\":0},{\"role\":\"user\","
                  "\"content\":"
                  "\"c\",\"train\":false},{\"role\":\"assistant\",\"content\":\"d\",\"train\":true}"
                  ","
                  "{\"role\":\"assistant\",\"content\":\"e\",\"loss\":false},"
                  "{\"role\":\"assistant\",\"content\":\"f\",\"masked\":true},"
                  "{\"role\":\"assistant\",\"content\":\"g\",\"weight\":1.0,\"loss\":null}]}",
         "user=a|!assistant=b|user=c|assistant=d|!assistant=e|!assistant=f|assistant=g|"},
        // keys of other kinds of rows with empty values, and harmless keys
        {"{\"id\":7,\"source\":\"x\",\"tools\":[],\"images\":[],\"category\":\"y\",\"prompt\":"
         "\"a\","
         "\"completion\":\"c\",\"rejected\":\"\"}",
         "user=a|assistant=c|"},
        {"{\"instruction\":\"a\",\"output\":\"c\",\"text\":\"as a whole\"}", "user=a|assistant=c|"},
        // text with tags
        {"{\"text\":\"<|system|>\\ns</s>\\n<|user|>\\na\\n\\nb</s>\\n<|assistant|>\\nc</s>\\n"
         "<|user|>\\nd</s>\\n<|assistant|>\\n <|x|> </s>\"}",
         "system=s|user=a\n\nb|assistant=c|user=d|assistant= <|x|> |"},
        {"{\"text\":\"<|system|> s <</s>> <|user|>  a? </s> <|assistant|> c. </s>\"}",
         "system=s <</s>>|user=a?|assistant=c.|"},
        {"{\"text\":\"<|user|>\\na</s> \\t\\n<|assistant|>\\nc </s></s> \\n\"}",
         "user=a|assistant=c |"},
        {"{\"text\":\"<s> <|user|>\\na </s>b</s>\\n<|assistant|>\\nc\"}",
         "user=a </s>b|assistant=c|"},
        {"{\"conversations\":[{\"from\":\"system\",\"value\":\"s\"},{\"from\":\"gpt\",\"value\":"
         "\"\"}]}",
         "system=s|assistant=|"},
    };
    ts_row row = {0};
    ts_text spelt = {0};
    for (size_t i = 0; i < TS_COUNT(cases); i++) {
        ts_error err = {0};
        cr_expect_eq(read_row(cases[i].row, false, &row, &spelt, &err), TS_OK, "%s: %s",
                     cases[i].row, err.message);
        cr_expect_str_eq(spelt.bytes, cases[i].turns, "%s", cases[i].row);
    }
    cr_expect_eq(row.notes.histories, 1);
    cr_expect_eq(row.notes.key_count, 1, "text beside an instruction");
    ts_row_free(&row);
    ts_text_free(&spelt);
}

// A NUL is a character of a text as any other.
Test(rows, carry_nul)
{
    ts_row row = {0};
    ts_text spelt = {0};
    ts_error err = {0};
    static const char *const rows[] = {
        "{\"instruction\":\"a\\u0000\",\"input\":\"b\",\"output\":\"\\u0000c\"}",
        "{\"prompt\":\"a\\u0000\\nb\",\"completion\":\"\\u0000c\"}",
        "{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":"
        "\"a\\u0000\\n\"},"
        "{\"type\":\"text\",\"text\":\"b\"}]},{\"role\":\"assistant\",\"content\":\"\\u0000c\"}]}",
        "{\"text\":\"<|user|>\\na\\u0000\\nb</s>\\n<|assistant|>\\n\\u0000c</s>\"}",
    };
    for (size_t i = 0; i < TS_COUNT(rows); i++) {
        cr_assert_eq(read_row(rows[i], false, &row, &spelt, &err), TS_OK, "%s", err.message);
        cr_expect_eq(row.turns[0].len, 4, "%s", rows[i]);
        cr_expect_eq(row.turns[1].len, 2, "%s", rows[i]);
    }
    ts_row_free(&row);
    ts_text_free(&spelt);
}

#define ASK "\"prompt\":\"a\",\"completion\":\"c\""
#define TURNS(more) "{\"messages\":[" USER("a") "," ANSWER("c") more "]}"

Test(rows, refuse_by_name)
{
    static const struct {
        const char *row, *message;
    } cases[] = {
        {"{\"question\":\"a\",\"answer\":\"b\"}",
         "it has: question, answer; did you mean prompt, completion?"},
        {"{\"instruction\":\"a\",\"outptu\":\"b\"}",
         "key 'output' is missing; it has: instruction, outptu; did you mean output?"},
        {"{\"prompt\":\"a\",\"answer\":\"b\"}", "did you mean completion?"},
        {"{\"messages\":[{\"speaker\":\"a\",\"utterance\":\"b\"}]}",
         "messages[0]: key 'role' (or 'from') is missing; it has: speaker, utterance; did you mean "
         "role, content?"},
        {"{\"messages\":[{\"role\":\"assistent\",\"content\":\"b\"}]}",
         "'assistent' is none of system, user, assistant (nor a usual name of one, such as human "
         "or "
         "gpt); did you mean assistant?"},
        {"{\"messages\":[{\"role\":3,\"content\":\"b\"}]}", "key 'role': expected a string, found"},
        {"{\"messages\":[{\"role\":\"user\",\"from\":\"gpt\",\"content\":\"b\"}]}",
         "keys 'role' and 'from' differ"},
        {TURNS(",{\"role\":\"ipython\",\"content\":\"x\"}"),
         "messages[2]: key 'role': 'ipython': tools"},
        {TURNS(",{\"role\":\"function\",\"content\":\"x\"}"),
         "'function': tools are not implemented"},
        {TURNS(",{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{}]}"),
         "messages[2]: key 'tool_calls': tools are not implemented"},
        {TURNS(",{\"role\":\"assistant\",\"content\":[{\"type\":\"image_url\"}]}"),
         "messages[2]: content[0]: key 'type': 'image_url': only text is read"},
        {TURNS(",{\"role\":\"assistant\",\"content\":\"d\",\"weight\":0.5}"),
         "messages[2]: key 'weight': expected true, false, 1 or 0 (whether the turn is trained "
         "on), "
         "found 0.5"},
        {TURNS(",{\"role\":\"user\",\"content\":\"d\",\"train\":true}"),
         "asks to learn a turn that is not the assistant's"},
        {TURNS(",{\"role\":\"assistant\",\"content\":\"d\",\"train\":true,\"weight\":0}"),
         "key 'train' says of this turn the contrary of another key"},
        {TURNS(",{\"role\":\"assistant\",\"content\":\"d\",\"reasoning_content\":\"x\"}"),
         "key 'reasoning_content'"},
        {"{" ASK ",\"tools\":[{\"name\":\"x\"}]}", "r:1: key 'tools': tools are not implemented"},
        {"{" ASK ",\"images\":[\"x.png\"]}", "r:1: key 'images': only text is read"},
        {"{" ASK ",\"rejected\":\"x\"}", "r:1: key 'rejected': train --loss dpo learns from pairs"},
        {"{\"prompt\":\"a\",\"chosen\":\"b\",\"rejected\":\"x\"}",
         "key 'chosen': train --loss dpo"},
        {"{" ASK ",\"label\":true}", "key 'label': learning from graded"},
        {"{" ASK ",\"input\":\"x\"}", "key 'input' has a meaning only beside instruction"},
        {"{" ASK ",\"context\":\"x\"}", "key 'context': only input (beside instruction) adds"},
        {"{" ASK ",\"system_prompt\":\"x\"}", "key 'system_prompt': a system prompt is read under"},
        {"{\"history\":[[\"a\",\"b\"]],\"messages\":[" USER("a") "," ANSWER("c") "]}",
         "key 'history' has a meaning only"},
        {"{\"instruction\":\"a\",\"output\":\"b\",\"history\":[\"a\"]}",
         "history[0]: expected [question, answer], two strings"},
        {"{" ASK ",\"instruction\":\"a\",\"output\":\"b\"}",
         "is a row of instruction and one of prompt at once"},
        {"{\"prompt\":[\"a\",\"b\"],\"completion\":[\"c\",\"d\"]}",
         "key 'prompt': expected a string, found an array of them: a table by columns"},
        {"{\"prompt\":\"a\",\"completion\":\"c\",\"response\":\"d\"}",
         "'completion' and 'response'"},
        {"{\"system\":\"s\",\"messages\":[{\"role\":\"system\",\"content\":\"t\"}," ANSWER(
             "c") "]}",
         "messages[0]: is a system turn, and key 'system' says something else"},
        {"{\"prompt\":\"a\",\"completion\":[" USER("c") "]}",
         "completion[0]: a completion holds nothing but the assistant's turns"},
        {"[" USER("a") "]",
         "expected an object, found an array of turns: write {\"messages\": [...]}"},
        {"{\"messages\":\"[{}]\"}", "expected an array, found a string that holds one: write it"},
        {"{\"text\":\"x <|user|>a<|assistant|>b\"}", "something stands before its first tag"},
    };
    ts_row row = {0};
    ts_text spelt = {0};
    for (size_t i = 0; i < TS_COUNT(cases); i++) {
        ts_error err = {0};
        cr_expect_eq(read_row(cases[i].row, false, &row, &spelt, &err), TS_ERR_FORMAT, "%s",
                     cases[i].row);
        cr_expect_eq(strncmp(err.message, "r:1: ", 5), 0, "%s", err.message);
        cr_expect_not_null(strstr(err.message, cases[i].message), "%s:\n%s", cases[i].row,
                           err.message);
    }
    ts_row_free(&row);
    ts_text_free(&spelt);
}

// Unknown keys of rows, turns and parts are noted with the number of times they occur.
Test(rows, note_unknown_keys)
{
    ts_row row = {0};
    ts_text text = {0};
    ts_error err = {0};
    char json[128];
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(read_row(i == 0
                                  ? TURNS(",{\"role\":\"user\",\"content\":\"d\",\"mood\":\"x\"}")
                                  : "{\"instruction\":\"a\",\"inptu\":\"b\",\"output\":\"c\"}",
                              false, &row, &text, &err),
                     TS_OK, "%s", err.message);
    }
    ts_text_clear(&text);
    cr_assert_eq(ts_row_notes_format(&row.notes, &text, &err), TS_OK);
    cr_expect_str_eq(text.bytes, "mood (1 time), inptu (2 times; did you mean input?)");
    for (int i = 0; i < 30; i++) {
        snprintf(json, sizeof json, "{" ASK ",\"strange_%d\":1}", i);
        cr_assert_eq(read_row(json, false, &row, &text, &err), TS_OK, "%s", err.message);
    }
    ts_text_clear(&text);
    cr_assert_eq(ts_row_notes_format(&row.notes, &text, &err), TS_OK);
    cr_expect_not_null(strstr(text.bytes, "strange_9 (1 time) and others (20 times)"), "%s",
                       text.bytes);
    ts_row_free(&row);
    ts_text_free(&text);
}

Test(rows, may_ask_without_an_answer)
{
    ts_row row = {.may_ask = true};
    ts_text spelt = {0};
    ts_error err = {0};
    cr_expect_eq(read_row("{\"prompt\":\"a\"}", false, &row, &spelt, &err), TS_OK);
    cr_expect_str_eq(spelt.bytes, "user=a|");
    cr_expect_eq(read_row("{\"instruction\":\"a\",\"input\":\"b\"}", false, &row, &spelt, &err),
                 TS_OK);
    cr_expect_str_eq(spelt.bytes, "user=a\nb|");
    cr_expect_eq(read_row("{\"messages\":[]}", false, &row, &spelt, &err), TS_ERR_FORMAT);
    ts_row_free(&row);
    ts_text_free(&spelt);
}
