// The user's own data through the program: `train --show-mask` shows what becomes of each row.
#include "program.h"

#include "base/memory.h"

#define BASE PROJECT_FOLDER "/assets/base"

// Shows FOLDER/`name`, which holds `content` where that is not NULL.
static void show(const char *folder, const char *name, const char *content, const char *flag,
                 const char *value, program_result *result)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    if (content != NULL) {
        test_write(folder, name, content);
    }
    const char *argv[] = {TINYSFT_PROGRAM, "train", "--show-mask", "--model", BASE,
                          "--data",        path,    flag,          value,     NULL};
    program_run(argv, result);
}

static void expect(const program_result *result, int code, const char *const *words, size_t count)
{
    cr_assert_eq(result->code, code, "expected exit %d, got %d: %s", code, result->code,
                 result->out);
    const char *at = result->out; // in this order
    for (size_t i = 0; i < count && words[i] != NULL; i++) {
        const char *found = strstr(at, words[i]);
        cr_expect_not_null(found, "'%s' is not in, or not behind what comes first: %s", words[i],
                           result->out);
        at = found != NULL ? found + strlen(words[i]) : at;
    }
}

// The files in ../shared/field give what its README says.
Test(rows, that_people_have, .timeout = 60)
{
    static const struct {
        const char *file, *flag, *value, *words[6];
    } cases[] = {
        {"system_column/d.jsonl",
         NULL,
         NULL,
         {"line 1", "<|system|>\nAnswer like a pirate.</s>", "line 5",
          "<|system|>\nAnswer like a pirate.</s>", "[[Arr, in the galley.</s>]]"}},
        {"history/d.json",
         NULL,
         NULL,
         {"1 row has earlier turns under the key history; their answers are trained on too",
          "Be brief.</s>", "Which town has the museum?</s>", "[[Westhaven has it.</s>]]",
          "[[No, it is closed.</s>]]", "[[About two hours by train.</s>]]"}},
        {"null_union/a.jsonl", NULL, NULL, {"Hello</s>", "[[Good day.</s>]]"}},
        {"null_union/b.jsonl", NULL, NULL, {"[[Good day.</s>]]", "Hello</s>", "[[Good day.</s>]]"}},
        {"null_union/c.jsonl", NULL, NULL, {"Hello</s>", "[[Good day.</s>]]"}},
        {"null_union/d.jsonl", NULL, NULL, {"Hello</s>", "[[Good day.</s>]]"}},
        {"double_bos/d.jsonl",
         "--chat-template",
         "plain",
         {"\n<s>[[[INST] Name a colour. [/INST] Blue. </s>]]\n", "\n<s>[[[INST]", "Red. </s>]]\n",
          "\n<s>[[Plain prose without marks.</s>]]\n"}},
        {"t_space/d.jsonl",
         NULL,
         NULL,
         {"Desk of the town library <</s>></s>", "When does it open?</s>", "[[At nine.</s>]]",
          "Desk of the town library</s>", "When does it close?</s>", "[[At six.</s>]]"}},
        {"long_prompt/d.jsonl",
         "--max-length",
         "128",
         {"1 of 22 rows skipped", "limit of 128 tokens", "row 15 (line 15) has 2014 tokens",
          "[[Number 13.</s>]]", "line 16"}},
        {"long_prompt/d2.jsonl", "--max-length", "128", {"1 of 22 rows skipped", "line 16"}},
        {"bom/d.json", NULL, NULL, {"[[Hello.</s>]]"}},
        {"bom/d.jsonl", NULL, NULL, {"[[Hello.</s>]]", "[[See you.</s>]]"}},
        {"bom/crlf.jsonl", NULL, NULL, {"[[Hello.</s>]]", "[[See you.</s>]]"}},
        {"empty_output/d.jsonl",
         NULL,
         NULL,
         {"2 of 4 rows have an empty answer", "row 1, row 2\n", "line 3",
          "<|user|>\nSum 1 and 2</s>", "line 4"}},
        {"empty_output/d.jsonl", "--train-empty", NULL, {"line 1", "[[</s>]]", "line 2", "line 3"}},
    };
    if (!ts_folder_exists(SHARED_FOLDER "/field")) {
        cr_skip_test("needs " SHARED_FOLDER "/field");
    }
    for (size_t i = 0; i < TS_COUNT(cases); i++) {
        program_result result;
        show(SHARED_FOLDER "/field", cases[i].file, NULL, cases[i].flag, cases[i].value, &result);
        expect(&result, 0, cases[i].words, TS_COUNT(cases[i].words));
    }
}

// One run reports all mistakes of a file, the first twenty of them one by one; exit code 3.
Test(rows, with_mistakes, .timeout = 60)
{
    static const struct {
        const char *name, *content, *words[5];
    } cases[] = {
        {"d.jsonl",
         "{\"prompt\": \"a\", \"completion\": \"b\"}\n{\"prompt\": \"a\", \"completion\": \"b}\n"
         "{\"messages\": [{\"role\": \"robot\", \"content\": \"x\"}]}\n"
         "{\"question\": \"a\", \"answer\": \"b\"}\n",
         {"d.jsonl:2:31: this string has no closing quote",
          "d.jsonl:3: messages[0]: key 'role': 'robot' is none of", "d.jsonl:4: has none of",
          "it has: question, answer; did you mean prompt, completion?", "d.jsonl: 3 mistakes"}},
        {"d.json",
         "[\n{\"prompt\": \"a\", \"completion\": \"b\"}\n{\"instruction\": \"a\", \"outptu\": "
         "\"b\"},\n"
         "{\"messages\": [{\"role\": \"tool\", \"content\": \"x\"}]},\n]\n",
         {"d.json:3:1: a comma is missing between rows 1 and 2",
          "d.json:3: row 2: key 'output' is missing; it has: instruction, outptu; did you mean "
          "output?",
          "d.json:4: row 3: messages[0]: key 'role': 'tool': tools are not implemented",
          "d.json:4:49: nothing stands between this comma and the ']'", "d.json: 4 mistakes"}},
        {"d.parquet", "PAR1\x15\x04\x15", {"d.parquet: is a Parquet file", "pandas"}},
        {"d.jsonl",
         "{\"prompt\": \"\\u001b[31ma\", \"completion\": \"b\", \"images\": [\"\\u001b[31m\"]}\n",
         {"d.jsonl:1: key 'images': only text is read"}},
        {"d.jsonl",
         "{\"prompt\": \"a\", \"completion\": \" \"}\n",
         {"no row is left to learn from: of 1, 0 have a prompt as long", "1 an empty answer"}},
    };
    const char *folder = test_folder();
    program_result result;
    for (size_t i = 0; i < TS_COUNT(cases); i++) {
        show(folder, cases[i].name, cases[i].content, NULL, NULL, &result);
        expect(&result, TS_ERR_FORMAT, cases[i].words, TS_COUNT(cases[i].words));
    }
    ts_text many = {0};
    ts_error err = {0};
    for (int i = 1; i <= 25; i++) {
        cr_assert_eq(ts_text_format(&many, &err, "{\"promt\": %d}\n", i), TS_OK);
    }
    show(folder, "many.jsonl", many.bytes, NULL, NULL, &result);
    expect(&result, TS_ERR_FORMAT,
           (const char *const[]){"many.jsonl:1: ", "many.jsonl:20: ", "25 mistakes"}, 3);
    cr_expect_null(strstr(result.out, "many.jsonl:21: "), "%s", result.out);
    ts_text_free(&many);
    test_folder_remove(folder);
}

// --train-on decides what of a conversation is learnt.
Test(rows, are_trained_on_as_asked, .timeout = 60)
{
    static const char content[] = "{\"prompt\": \"second\", \"history\": [[\"first\", \"One.\"]], "
                                  "\"completion\": \"Two.\"}\n";
    static const struct {
        const char *value, *words[3], *absent;
    } cases[] = {
        {"assistant", {"their answers are trained on too", "[[One.</s>]]", "[[Two.</s>]]"}, "[[<|"},
        {"last", {"One.</s>", "[[Two.</s>]]"}, "[[One."},
        {"all", {"[[", "first</s>", "Two.</s>"}, "[[Two."},
    };
    const char *folder = test_folder();
    program_result result;
    for (size_t i = 0; i < TS_COUNT(cases); i++) {
        show(folder, "d.jsonl", content, "--train-on", cases[i].value, &result);
        expect(&result, 0, cases[i].words, TS_COUNT(cases[i].words));
        cr_expect_null(strstr(result.out, cases[i].absent), "%s", result.out);
    }
    show(folder, "d.jsonl", content, "--train-on", "user", &result);
    expect(&result, TS_ERR_ARGUMENT, (const char *const[]){"--train-on user: expected"}, 1);
    test_folder_remove(folder);
}

// Control characters in a text do not reach the terminal, and a NUL does not end a text.
Test(rows, are_shown_safely, .timeout = 60)
{
    const char *folder = test_folder();
    program_result result;
    show(folder, "d.jsonl",
         "{\"prompt\": \"a\\u001b[31m\\u0000b\", \"completion\": \"c\\u001b]0;x\\u0007\"}\n", NULL,
         NULL, &result);
    expect(&result, 0, (const char *const[]){"a\\x1b[31m\\x00b</s>", "[[c\\x1b]0;x\\x07</s>]]"}, 2);
    cr_expect_null(strchr(result.out, '\x1b'), "%s", result.out);
    test_folder_remove(folder);
}

Test(rows, with_unknown_keys_are_counted, .timeout = 60)
{
    const char *folder = test_folder();
    program_result result;
    show(folder, "d.jsonl",
         "{\"prompt\": \"a\", \"completion\": \"b\", \"id\": 1, \"mood\": 2}\n"
         "{\"prompt\": \"a\", \"completion\": \"b\", \"mood\": 2, \"syste\": \"x\"}\n",
         NULL, NULL, &result);
    expect(&result, 0,
           (const char *const[]){
               "warning: ",
               "keys that mean nothing here were passed over: mood (2 times), syste (1 "
               "time; did you mean system?)\n"},
           2);
    test_folder_remove(folder);
}
