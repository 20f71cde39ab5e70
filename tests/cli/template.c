// Chat templates through the program.
#include "base/memory.h"
#include "cli/program.h"

#define BASE_FOLDER PROJECT_FOLDER "/assets/base"

static bool has(const program_result *result, const char *text)
{
    return strstr(result->out, text) != NULL;
}

// Runs the program with these lines as standard input.
#define RUN_ON(lines, result, ...)                                                                 \
    do {                                                                                           \
        char path_[] = "/tmp/tinysft-input-XXXXXX";                                                \
        int file_ = mkstemp(path_);                                                                \
        cr_assert_geq(file_, 0);                                                                   \
        cr_assert_eq(write(file_, lines, strlen(lines)), (ssize_t)strlen(lines));                  \
        lseek(file_, 0, SEEK_SET);                                                                 \
        dup2(file_, STDIN_FILENO);                                                                 \
        RUN(result, __VA_ARGS__);                                                                  \
        close(file_);                                                                              \
        unlink(path_);                                                                             \
    } while (0)

Test(template, tokenize_shows_what_a_model_is_given)
{
    static const char line[] = "{\"messages\": [{\"role\": \"user\", \"content\": \"Hi </s>\"}], "
                               "\"add_generation_prompt\": true}\n";
    static const char thinking[] =
        "{\"messages\": [{\"role\": \"user\", \"content\": \"Hi\"}], \"thinking\": [1, null]}\n";
    program_result result, tokens;
    RUN_ON(line, &result, "tokenize", "--model", BASE_FOLDER, "--chat");
    cr_expect_eq(result.code, 0);
    cr_expect(has(&result, "{\"text\": \"<|user|>\\u000aHi </s></s>\\u000a<|assistant|>\\u000a\", "
                           "\"ids\": ["),
              "%s", result.out);
    // What the user typed stays text: one end token, the template's own.
    char *ids = strstr(result.out, "\"ids\": [");
    cr_assert_not_null(ids);
    char *end = strstr(ids, " 2,");
    cr_expect(end != NULL && strstr(end + 1, " 2,") == NULL, "%s", result.out);
    // Without --chat-template plain's BOS, which this model's template does not write.
    RUN_ON(line, &tokens, "tokenize", "--model", BASE_FOLDER, "--chat", "--chat-template", "plain");
    cr_expect(has(&tokens, "{\"text\": \"<s>Hi </s>\\u000a\", \"ids\": [1, "), "%s", tokens.out);
    RUN_ON(thinking, &tokens, "tokenize", "--model", BASE_FOLDER, "--chat", "--chat-template",
           "{{ messages[0].role }}{{ thinking }}{{ tools }}");
    cr_expect(has(&tokens, "{\"text\": \"user[1, None]None\", "), "%s", tokens.out);
}

Test(template, tokenize_names_the_line_and_what_is_wrong)
{
    static const struct {
        const char *lines, *template, *message;
        int code;
    } cases[] = {
        {"\n{\"messages\": [{\"role\": \"user\"}]}\n", "{{ messages[0].content + 'x' }}",
         "standard input:2: --chat-template:1: 'dict object' has no attribute 'content'",
         TS_ERR_FORMAT},
        {"{\"messages\": []}\n", "zephyr", "standard input:1: a conversation without turns",
         TS_ERR_ARGUMENT},
        {"{\"messages\": 1}\n", "zephyr", "key 'messages': expected an array, found a number",
         TS_ERR_FORMAT},
        {"{\"messages\": [{\"role\": \"user\", \"content\": \"\"}], \"n\": 1}\n", "zephyr",
         "key 'n': zephyr reads no variable of that name", TS_ERR_FORMAT},
        {"{\"messages\": [1]}\n", "zephyr", "messages[0]: expected an object, found a number",
         TS_ERR_FORMAT},
        {"{}\n", "{{ x | xmlattr }}", "--chat-template:1:8: filter 'xmlattr' is not implemented",
         TS_ERR_UNSUPPORTED},
        {"{}\n", "zephir", "'zephir' is none of zephyr, chatml", TS_ERR_ARGUMENT},
    };
    program_result result;
    for (size_t i = 0; i < TS_COUNT(cases); i++) {
        RUN_ON(cases[i].lines, &result, "tokenize", "--model", BASE_FOLDER, "--chat",
               "--chat-template", cases[i].template);
        cr_expect_eq(result.code, cases[i].code, "%s", result.out);
        cr_expect(has(&result, cases[i].message), "%s", result.out);
    }
    RUN_ON("", &result, "tokenize", "--model", BASE_FOLDER, "--chat-template", "plain");
    cr_expect_eq(result.code, TS_ERR_ARGUMENT);
    cr_expect(has(&result, "--chat-template is for --chat"), "%s", result.out);
}

Test(template, a_dry_run_shows_which_ran_and_what_it_makes)
{
    const char *folder = test_folder();
    char data[128], file[128];
    program_result result;
    snprintf(data, sizeof data, "%s/data.jsonl", folder);
    snprintf(file, sizeof file, "%s/own.jinja", folder);
    test_write(folder, "data.jsonl", "{\"prompt\": \"Why?\", \"completion\": \"So.\"}\n");
    test_write(folder, "own.jinja",
               "{% for m in messages %}\n[{{ m.role }}] {{ m.content }}{{ eos_token }}\n"
               "{% endfor %}{{ '[assistant]' if add_generation_prompt }}");
    RUN(&result, "train", "--model", BASE_FOLDER, "--data", data, "--output-dir", folder,
        "--dry-run");
    cr_expect_eq(result.code, 0, "%s", result.out);
    cr_expect(has(&result,
                  "the first row as tokenizer_config.json renders it:\n<|user|>\nWhy?</s>\n"
                  "<|assistant|>\nSo.</s>\n"),
              "%s", result.out);
    RUN(&result, "train", "--model", BASE_FOLDER, "--data", data, "--output-dir", folder,
        "--show-mask", "--chat-template", file);
    cr_expect(has(&result, "[user] Why?</s> \n[assistant][[So.</s>]]"), "%s", result.out);
    // A template that refuses the row: the row and the template's own words.
    RUN(&result, "train", "--model", BASE_FOLDER, "--data", data, "--output-dir", folder,
        "--dry-run", "--chat-template", "{{ raise_exception('System role not supported') }}");
    cr_expect_eq(result.code, TS_ERR_FORMAT);
    cr_expect(has(&result, "data.jsonl:1"), "%s", result.out);
    cr_expect(has(&result, "System role not supported"), "%s", result.out);
    test_folder_remove(folder);
}
