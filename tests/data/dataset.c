#include "data/dataset.h"

#include "base/log.h"
#include "data/rows.h"
#include "tiny.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static char warnings[4096], mistakes[4096];
static bool train_empty; // of the next open_bytes
static ts_train_on train_on;

static void keep_warning(void *user, ts_log_level level, const char *message)
{
    (void)user;
    char *to = level == TS_LOG_WARN ? warnings : mistakes; // anything else is a mistake
    size_t at = strlen(to);
    snprintf(to + at, sizeof warnings - at, "%s\n", message);
}

static ts_status open_bytes(const char *bytes, size_t len, const char *chosen, uint32_t max_tokens,
                            ts_dataset *out, ts_error *err)
{
    char *folder = make_folder();
    ts_tokenizer *t = open_tiny(&(tiny_parts){0});
    ts_text path = {0};
    const ts_dataset_options options = {
        .max_tokens = max_tokens, .train_on = train_on, .train_empty = train_empty};
    warnings[0] = mistakes[0] = '\0';
    ts_log_set_sink(keep_warning, NULL);
    write_bytes(folder, "d.jsonl", bytes, len);
    cr_assert_eq(ts_path_join(folder, "d.jsonl", &path, err), TS_OK);
    ts_chat_template *template = NULL;
    cr_assert_eq(ts_chat_template_open(NULL, chosen, t, &template, err), TS_OK);
    ts_status status = ts_dataset_open(path.bytes, t, template, &options, out, err);
    ts_chat_template_close(template);
    cr_assert(status == TS_OK || strstr(err->message, path.bytes) == err->message, "%s",
              err->message);
    ts_text_free(&path);
    ts_tokenizer_close(t);
    remove_folder(folder);
    return status;
}

static ts_status open_data(const char *text, ts_dataset *out, ts_error *err)
{
    return open_bytes(text, strlen(text), "zephyr", 1000, out, err);
}

// Every shape of a row of one question and one answer gives the same tokens.
Test(dataset, every_shape_of_a_row)
{
    static const char *const rows[] = {
        "{\"messages\":[{\"role\":\"user\",\"content\":\"hello\"},"
        "{\"role\":\"assistant\",\"content\":\"world\"}]}",
        "{\"conversations\":[{\"from\":\"human\",\"value\":\"hello\"},"
        "{\"from\":\"gpt\",\"value\":\"world\"}],\"id\":7}",
        "{\"instruction\":\"hello\",\"output\":\"world\"}",
        "{\"instruction\":\"hello\",\"input\":\"\",\"system\":\"\",\"output\":\"world\"}",
        "{\"instruction\":\"hello\",\"input\":null,\"system\":null,\"output\":\"world\"}",
        "{\"prompt\":\"hello\",\"completion\":\"world\"}",
        "{\"prompt\":\"hello\",\"response\":\"world\",\"source\":\"x\"}",
        "{\"text\":\"<|user|>\\nhello</s>\\n<|assistant|>\\nworld</s>\\n\"}",
        "{\"text\":\"<|user|>\\r\\nhello\\r\\n<|assistant|>\\r\\nworld\\r\\n</s>\"}",
        "{\"text\":\"\\n<|user|>hello</s><|assistant|>world\"}",
    };
    ts_tokenizer *t = open_tiny(&(tiny_parts){0});
    ts_chat_tokens expected = {0};
    ts_error err = {0};
    static const ts_turn turns[] = {{TS_ROLE_USER, "hello", 5}, {TS_ROLE_ASSISTANT, "world", 5}};
    ts_chat_template *zephyr = NULL;
    cr_assert_eq(ts_chat_template_open(NULL, "zephyr", t, &zephyr, &err), TS_OK);
    cr_assert_eq(ts_chat_encode(zephyr, turns, 2, false, &expected, NULL, &err), TS_OK);
    ts_chat_template_close(zephyr);
    for (size_t i = 0; i < TS_COUNT(rows); i++) {
        ts_dataset data = {0};
        cr_assert_eq(open_data(rows[i], &data, &err), TS_OK, "%s", err.message);
        cr_assert_eq(data.count, 1);
        const ts_example *e = &data.examples[0];
        cr_assert_eq(e->count, expected.tokens.count, "%s", rows[i]);
        cr_expect_arr_eq(e->ids, expected.tokens.ids, 4 * e->count, "%s", rows[i]);
        cr_expect_arr_eq(e->supervised, expected.supervised, e->count, "%s", rows[i]);
        cr_expect_eq(e->line, 1);
        cr_expect_str_eq(e->prompt, "hello");
        cr_expect_eq(e->supervised_count, data.supervised_count);
        cr_expect_gt(e->supervised_count, 1);
        ts_dataset_close(&data);
    }
    cr_expect_str_eq(warnings, "");
    ts_chat_tokens_free(&expected);
    ts_tokenizer_close(t);
}

#define ROW "{\"prompt\":\"hello\",\"completion\":\"world\"}"

Test(dataset, arrays_and_lines)
{
    static const struct {
        const char *text;
        uint32_t lines[3];
        size_t count;
    } cases[] = {
        {ROW, {1}, 1},
        {ROW "\n" ROW "\r\n\n  \n" ROW "\n", {1, 2, 5}, 3},
        {"\n\n" ROW, {3}, 1},
        {"[" ROW "]", {1}, 1},
        {" [\n" ROW ",\n\n{\n\"prompt\":\"]},{[\\\"\",\n\"response\":\"a\"\n}\n,  " ROW "]\n",
         {2, 4, 8},
         3},
    };
    for (size_t i = 0; i < TS_COUNT(cases); i++) {
        ts_dataset data = {0};
        ts_error err = {0};
        cr_assert_eq(open_data(cases[i].text, &data, &err), TS_OK, "%s", err.message);
        cr_assert_eq(data.count, cases[i].count);
        uint64_t tokens = 0;
        for (size_t k = 0; k < data.count; k++) {
            cr_expect_eq(data.examples[k].line, cases[i].lines[k], "case %zu row %zu", i, k);
            tokens += data.examples[k].count;
        }
        cr_expect_eq(data.token_count, tokens);
        ts_dataset_close(&data);
    }
}

Test(dataset, errors_name_line_and_key)
{
    static const struct {
        const char *text, *message;
        ts_status status;
    } cases[] = {
        {"", ":1: holds no rows", TS_ERR_FORMAT},
        {"\n \n", ":1: holds no rows", TS_ERR_FORMAT},
        {"[]", ":1: holds no rows", TS_ERR_FORMAT},
        {"[", ":1:2: expected a row or ']', but the file ends", TS_ERR_FORMAT},
        {"[" ROW, ":1:41: expected ',' or ']' after row 1, but the file ends", TS_ERR_FORMAT},
        {"[" ROW ",]", ":1:41: nothing stands between this comma and the ']'", TS_ERR_FORMAT},
        {"[" ROW "] x", ":1:43: expected nothing after the array", TS_ERR_FORMAT},
        {"[" ROW "}", ":1:41: expected ',' or ']' after row 1", TS_ERR_FORMAT},
        {"[\n" ROW ",\n{\"prompt\":01}]", ":3:11: a number may not start with 0", TS_ERR_FORMAT},
        {ROW "\n" ROW ROW, ":2:40: several values stand on this line", TS_ERR_FORMAT},
        {ROW "\n{\"prompt\":\n", ":2:11: expected a JSON value", TS_ERR_FORMAT},
        {ROW "\n{\"prompt\":\"\xFF\"}", ":2:12: invalid UTF-8 (byte 0xFF)", TS_ERR_FORMAT},
        {ROW "\n7", ":2: expected an object, found a number", TS_ERR_FORMAT},
        {ROW "\n{\"a\":1}", ":2: has none of the keys messages, conversations", TS_ERR_FORMAT},
        {"{\"prompt\":\"a\"}", ":1: key 'completion' (or 'response') is missing; it has: prompt",
         TS_ERR_FORMAT},
        {"{\"prompt\":7,\"response\":\"\"}", ":1: key 'prompt': expected a string, found a number",
         TS_ERR_FORMAT},
        {"{\"instruction\":\"a\"}", ":1: key 'output' is missing", TS_ERR_FORMAT},
        {"{\"instruction\":\"a\",\"input\":[],\"output\":\"b\"}",
         ":1: key 'input': expected a string", TS_ERR_FORMAT},
        {"{\"messages\":{}}", ":1: key 'messages': expected an array, found an object",
         TS_ERR_FORMAT},
        {"{\"messages\":[]}", ":1: has no assistant's turn", TS_ERR_FORMAT},
        {"{\"messages\":[7]}",
         ":1: messages[0]: expected an object {\"role\", \"content\"}, found a number",
         TS_ERR_FORMAT},
        {"{\"messages\":[{\"role\":\"user\",\"content\":\"a\"}]}", ":1: has no assistant's turn",
         TS_ERR_FORMAT},
        {"{\"messages\":[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"tool\",\"content\":\"\"}"
         "]}",
         ":1: messages[1]: key 'role': 'tool': tools are not implemented", TS_ERR_FORMAT},
        {"{\"messages\":[{\"role\":\"assistant\",\"content\":null}]}",
         ":1: messages[0]: key 'content': expected a string, found null", TS_ERR_FORMAT},
        {"{\"conversations\":[{\"from\":\"human\"}]}",
         "conversations[0]: key 'content' (or 'value') is missing", TS_ERR_FORMAT},
        {"{\"text\":\"plain words\"}", ":1: key 'text' carries neither <|user|>", TS_ERR_FORMAT},
        {"{\"text\":\"x <|user|>a<|assistant|>b\"}", "something stands before its first tag",
         TS_ERR_FORMAT},
        {"{\"text\":\"<|user|>a\"}", ":1: has no assistant's turn", TS_ERR_FORMAT},
    };
    for (size_t i = 0; i < TS_COUNT(cases); i++) {
        ts_dataset data = {0};
        ts_error err = {0};
        cr_expect_eq(open_data(cases[i].text, &data, &err), cases[i].status, "%s: %s",
                     cases[i].text, err.message);
        cr_expect_not_null(strstr(err.message, cases[i].message), "%s: %s", cases[i].text,
                           err.message);
        cr_expect_null(data.examples);
    }
}

// All mistakes of a file in one run: reading continues after a row that cannot be read.
Test(dataset, mistakes_are_told_together)
{
    ts_dataset data = {0};
    ts_error err = {0};
    static const char lines[] = ROW "\n{\"a\":1}\n{\"prompt\":\n" ROW "\n7\n";
    cr_expect_eq(open_data(lines, &data, &err), TS_ERR_FORMAT);
    cr_expect_not_null(strstr(err.message, "d.jsonl: 3 mistakes, all told above"), "%s",
                       err.message);
    cr_expect_not_null(strstr(mistakes, "d.jsonl:2: has none"), "%s", mistakes);
    static const char array[] = "[{\"a\":1},\n{\"prompt\":01},\n" ROW ",\n7]";
    cr_expect_eq(open_data(array, &data, &err), TS_ERR_FORMAT);
    cr_expect_not_null(strstr(err.message, "d.jsonl: 3 mistakes"), "%s", err.message);
    ts_text many = {0};
    for (int i = 0; i < 25; i++) {
        cr_assert_eq(ts_text_format(&many, &err, "{\"row\":%d}\n", i), TS_OK);
    }
    cr_expect_eq(open_data(many.bytes, &data, &err), TS_ERR_FORMAT);
    cr_expect_not_null(strstr(err.message, "25 mistakes, the first 20 of them above"), "%s",
                       err.message);
    ts_text_free(&many);
}

Test(dataset, long_rows_are_cut_with_one_warning)
{
    ts_dataset data = {0};
    ts_error err = {0};
    static const char rows[] = ROW "\n" ROW "\n{\"prompt\":\"h\",\"response\":\"a\"}";
    cr_assert_eq(open_bytes(rows, strlen(rows), "zephyr", 1000, &data, &err), TS_OK);
    uint32_t whole = data.examples[0].count;
    cr_expect_eq(data.truncated, 0);
    ts_dataset_close(&data);
    // The rows end in the answer, </s>, U+2581 and a line break; now two of them lose the last.
    cr_assert_eq(open_bytes(rows, strlen(rows), "zephyr", whole - 4, &data, &err), TS_OK, "%s",
                 err.message);
    cr_expect_eq(data.truncated, 2);
    cr_expect_eq(data.examples[0].count, whole - 4);
    cr_expect_gt(data.examples[0].supervised_count, 0);
    cr_expect_not_null(strstr(warnings, "2 of 3 rows are longer than"), "%s", warnings);
    cr_expect_eq(strchr(warnings, '\n') - warnings, (long)strlen(warnings) - 1, "one line");
    ts_dataset_close(&data);
    cr_expect_eq(open_bytes(rows, strlen(rows), "zephyr", 5, &data, &err), TS_ERR_FORMAT);
    cr_expect_not_null(
        strstr(err.message,
               ": no row is left to learn from: of 3, 3 have a prompt as long as the limit of 5"),
        "%s", err.message);
}

Test(dataset, spelt_special_tokens_are_counted)
{
    ts_dataset data = {0};
    ts_error err = {0};
    cr_assert_eq(open_data("{\"prompt\":\"a</s>\",\"response\":\"<s>\"}\n" ROW, &data, &err),
                 TS_OK);
    cr_expect_eq(data.escaped, 2);
    cr_expect_not_null(strstr(warnings, "2 turns spell a special token"), "%s", warnings);
    ts_dataset_close(&data);
}

Test(dataset, all_turns_of_the_user_are_kept_as_its_prompt)
{
    static const char row[] =
        "{\"messages\":[{\"role\":\"system\",\"content\":\"world\"},"
        "{\"role\":\"user\",\"content\":\"hello\"},{\"role\":\"assistant\",\"content\":\"a\"},"
        "{\"role\":\"user\",\"content\":\"b\"},{\"role\":\"assistant\",\"content\":\"c\"}]}\n" ROW;
    ts_dataset data = {0};
    ts_error err = {0};
    cr_assert_eq(open_data(row, &data, &err), TS_OK, "%s", err.message);
    cr_expect_str_eq(data.examples[0].prompt, "hello\x1e"
                                              "b");
    cr_expect_str_eq(data.examples[1].prompt, "hello");
    ts_dataset_close(&data);
}

Test(dataset, plain_texts_are_documents)
{
    ts_dataset data = {0};
    ts_error err = {0};
    static const char rows[] = "{\"text\":\"hello world\"}\n" ROW;
    cr_assert_eq(open_bytes(rows, strlen(rows), "plain", 100, &data, &err), TS_OK, "%s",
                 err.message);
    cr_expect_eq(data.examples[0].count, 4);
    cr_expect_arr_eq(data.examples[0].supervised, "\0\1\1\1", 4);
    cr_expect_eq(data.examples[0].ids[0], 1);
    cr_expect_eq(data.examples[0].ids[3], 2);
    cr_expect_str_eq(data.examples[0].prompt, "");
    cr_expect_str_eq(data.examples[1].prompt, "hello");
    ts_dataset_close(&data);
}

// Seeded damage: refused or read, never a crash.
Test(dataset, survives_mutation, .timeout = 120)
{
    static const char *const texts[] = {
        "[" ROW ",{\"text\":\"<|user|>\\na</s>\\n<|assistant|>\\nb</s>\"}]",
        ROW "\n{\"messages\":[{\"role\":\"user\",\"content\":\"a\"},"
            "{\"role\":\"assistant\",\"content\":\"b\"}]}\n"};
    static const char alphabet[] = "{}[]\",:<|>\\/\n u\x00\xFF\xC3";
    uint64_t seed = 13;
    unsigned accepted = 0;
    for (int round = 0; round < 1000; round++) {
        char bytes[256];
        size_t len = strlen(texts[round % 2]);
        ts_dataset data = {0};
        ts_error err = {0};
        cr_assert_lt(len, sizeof bytes);
        memcpy(bytes, texts[round % 2], len);
        for (uint64_t edits = next_random(&seed) % 3; edits > 0; edits--) {
            bytes[next_random(&seed) % len] = alphabet[next_random(&seed) % (sizeof alphabet - 1)];
        }
        len -= next_random(&seed) % 4 == 0 ? next_random(&seed) % len : 0;
        accepted += open_bytes(bytes, len, "zephyr", 100, &data, &err) == TS_OK;
        ts_dataset_close(&data);
    }
    cr_expect_gt(accepted, 50);
    cr_expect_lt(accepted, 1000);
}

// Rows without a supervised token are skipped, counted, and listed by their numbers.
Test(dataset, rows_without_anything_to_learn_are_skipped)
{
    static const char rows[] = ROW
        "\n{\"prompt\":\"hello hello hello hello hello hello hello hello hello hello hello hello "
        "hello \",\"completion\":\"world\"}\n"
        "{\"prompt\":\"hello\",\"completion\":\" \\n\"}\n"
        "{\"messages\":[{\"role\":\"user\",\"content\":\"h\"},{\"role\":\"assistant\",\"content\":"
        "\"a\",\"weight\":0}]}\n"
        "{\"messages\":[{\"role\":\"assistant\",\"content\":\"\"},{\"role\":\"user\",\"content\":"
        "\"h\"},{\"role\":\"assistant\",\"content\":\"a\"}]}\n"
        "{\"prompt\":\"h\",\"completion\":\"a\",\"weight\":0}\n";
    ts_dataset data = {0};
    ts_error err = {0};
    cr_assert_eq(open_bytes(rows, strlen(rows), "zephyr", 1000, &data, &err), TS_OK, "%s",
                 err.message);
    cr_expect_eq(data.count, 3);
    cr_expect_eq(data.skipped, 3);
    cr_expect_eq(data.examples[2].line, 5);
    uint32_t longest = data.examples[0].count, second = data.examples[1].count;
    cr_expect_not_null(strstr(warnings, "2 of 6 rows have an empty answer"), "%s", warnings);
    cr_expect_not_null(strstr(warnings, "there): row 3, row 5 (in part)\n"), "%s", warnings);
    cr_expect_not_null(strstr(warnings,
                              "2 of 6 rows skipped: all their answers are marked not to be "
                              "trained on: row 4, row 6\n"),
                       "%s", warnings);
    ts_dataset_close(&data);
    cr_assert_lt(longest, second);
    cr_assert_eq(open_bytes(rows, strlen(rows), "zephyr", longest, &data, &err), TS_OK, "%s",
                 err.message);
    char expected[200];
    snprintf(expected, sizeof expected,
             "2 of 6 rows skipped: nothing of the answer is left within the limit of %u tokens",
             longest);
    cr_expect_not_null(strstr(warnings, expected), "%s", warnings);
    uint32_t before = second - data.examples[0].supervised_count - 2; // U+2581 and a line break
    snprintf(expected, sizeof expected, ": row 2 (line 2) has %u tokens before its answer, row 5",
             before);
    cr_expect_not_null(strstr(warnings, expected), "%s: %s", expected, warnings);
    ts_dataset_close(&data);
    train_empty = true;
    cr_assert_eq(open_bytes(rows, strlen(rows), "zephyr", 1000, &data, &err), TS_OK, "%s",
                 err.message);
    cr_expect_eq(data.count, 4);
    cr_expect_eq(data.examples[2].line, 3);
    cr_expect_gt(data.examples[2].supervised_count, 0, "its end is learnt");
    cr_expect_null(strstr(warnings, "empty"), "%s", warnings);
    ts_dataset_close(&data);
}

// A masked turn and the end token after it bear no loss; everything else stays as it was.
Test(dataset, masked_turns_keep_their_tokens)
{
#define TWO(more)                                                                                  \
    "{\"messages\":[{\"role\":\"assistant\",\"content\":\"hello\"" more                            \
    "},{\"role\":\"user\",\"content\":\"h\"},{\"role\":\"assistant\",\"content\":\"world\"}]}"
    ts_dataset all = {0}, masked = {0};
    ts_error err = {0};
    for (int i = 0; i < 2; i++) {
        const char *style = i == 0 ? "zephyr" : "plain";
        cr_assert_eq(open_bytes(TWO(""), strlen(TWO("")), style, 1000, &all, &err), TS_OK, "%s",
                     err.message);
        cr_assert_eq(open_bytes(TWO(",\"train\":false"), strlen(TWO(",\"train\":false")), style,
                                1000, &masked, &err),
                     TS_OK, "%s", err.message);
        const ts_example *a = &all.examples[0], *m = &masked.examples[0];
        cr_assert_eq(a->count, m->count);
        cr_expect_arr_eq(a->ids, m->ids, a->count * sizeof *a->ids);
        cr_expect_lt(m->supervised_count, a->supervised_count);
        for (uint32_t t = 1; t < a->count; t++) { // the second answer only, as before
            bool second = a->supervised[t] && t > a->count / 2;
            cr_expect_eq(m->supervised[t] != 0, second, "token %u", t);
        }
        ts_dataset_close(&all);
        ts_dataset_close(&masked);
    }
}

// The last answer alone, or every token: the ids stay, the mask is another.
Test(dataset, what_is_trained_on_is_chosen)
{
    static const char *const styles[] = {"zephyr", "plain"};
    ts_error err = {0};
    for (size_t i = 0; i < TS_COUNT(styles); i++) {
        ts_dataset kept[TS_TRAIN_ON_COUNT] = {0};
        for (train_on = 0; train_on < TS_TRAIN_ON_COUNT; train_on++) {
            cr_assert_eq(
                open_bytes(TWO(""), strlen(TWO("")), styles[i], 1000, &kept[train_on], &err), TS_OK,
                "%s", err.message);
        }
        const ts_example *assistant = kept[TS_TRAIN_ON_ASSISTANT].examples;
        const ts_example *last = kept[TS_TRAIN_ON_LAST].examples;
        const ts_example *all = kept[TS_TRAIN_ON_ALL].examples;
        cr_assert(assistant->count == last->count && assistant->count == all->count);
        cr_expect_arr_eq(assistant->ids, last->ids, last->count * sizeof *last->ids);
        cr_expect_arr_eq(assistant->ids, all->ids, all->count * sizeof *all->ids);
        for (uint32_t t = 1; t < last->count; t++) {
            bool second = assistant->supervised[t] && t > last->count / 2;
            cr_expect_eq(last->supervised[t] != 0, second, "%s, token %u", styles[i], t);
            cr_expect(all->supervised[t], "%s, token %u", styles[i], t);
        }
        cr_expect_lt(last->supervised_count, assistant->supervised_count);
        cr_expect_gt(last->supervised_count, 0);
        cr_expect_eq(all->supervised_count, all->count - 1);
        cr_expect_eq(kept[TS_TRAIN_ON_ALL].supervised_count, all->count - 1);
        for (train_on = 0; train_on < TS_TRAIN_ON_COUNT; train_on++) {
            ts_dataset_close(&kept[train_on]);
        }
    }
}

// A row's own masks hold together with --train-on, or contradict it.
Test(dataset, what_is_trained_on_meets_the_rows_own_masks)
{
    static const char first_masked[] = TWO(",\"train\":false");
    static const char last_masked[] =
        "{\"messages\":[{\"role\":\"user\",\"content\":\"h\"},{\"role\":\"assistant\","
        "\"content\":\"hello\"},{\"role\":\"user\",\"content\":\"h\"},"
        "{\"role\":\"assistant\",\"content\":\"world\",\"train\":false}]}\n" ROW;
    static const char empty[] = "{\"prompt\":\"h\",\"completion\":\"\"}\n" ROW;
    ts_dataset data = {0};
    ts_error err = {0};
    train_on = TS_TRAIN_ON_LAST;
    cr_assert_eq(open_data(first_masked, &data, &err), TS_OK, "%s", err.message);
    cr_expect_eq(data.count, 1);
    ts_dataset_close(&data);
    cr_assert_eq(open_data(last_masked, &data, &err), TS_OK, "%s", err.message);
    cr_expect_eq(data.count, 1, "its last answer is masked, so nothing is left of it");
    cr_expect_not_null(strstr(warnings, "their last answer is marked"), "%s", warnings);
    ts_dataset_close(&data);
    train_on = TS_TRAIN_ON_ALL;
    cr_assert_eq(open_data(first_masked, &data, &err), TS_ERR_FORMAT);
    cr_expect_not_null(strstr(err.message, "--train-on all"), "%s", err.message);
    cr_assert_eq(open_data(empty, &data, &err), TS_OK, "%s", err.message);
    cr_expect_eq(data.count, 1, "a row whose one answer is empty is skipped as ever");
    ts_dataset_close(&data);
}

Test(dataset, what_is_trained_on_has_names)
{
    ts_error err = {0};
    ts_train_on found;
    for (ts_train_on i = 0; i < TS_TRAIN_ON_COUNT; i++) {
        cr_assert_eq(ts_train_on_parse(ts_train_on_name(i), &found, &err), TS_OK);
        cr_assert_eq(found, i);
    }
    cr_assert_eq(ts_train_on_parse("user", &found, &err), TS_ERR_ARGUMENT);
    cr_assert_not_null(strstr(err.message, "--train-on user"), "%s", err.message);
}

// A document gets one begin and one end token, also if it already has one or more.
Test(dataset, documents_have_one_beginning_and_one_end)
{
    static const char *const rows[] = {
        "{\"text\":\"hello world\"}", "{\"text\":\"<s>hello world</s>\"}",
        "{\"text\":\"hello world</s>\\n\"}", "{\"text\":\" <s><s>hello world</s> </s>\"}"};
    for (size_t i = 0; i < TS_COUNT(rows); i++) {
        ts_dataset data = {0};
        ts_error err = {0};
        cr_assert_eq(open_bytes(rows[i], strlen(rows[i]), "plain", 100, &data, &err), TS_OK, "%s",
                     err.message);
        cr_assert_eq(data.examples[0].count, 4, "%s", rows[i]);
        cr_expect_eq(data.examples[0].ids[0], 1);
        cr_expect_eq(data.examples[0].ids[3], 2);
        cr_expect_arr_eq(data.examples[0].supervised, "\0\1\1\1", 4);
        ts_dataset_close(&data);
    }
}
