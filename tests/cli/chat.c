// `tinysft-vk chat` as a person at a terminal and a script use it.
#include "pty.h"

#include <time.h>

#define BASE PROJECT_FOLDER "/assets/base"

// A model that answers "Smile!" with a character of four bytes, each of them a token.
static char folder[64], adapter[96];

static void train_smile(void)
{
    program_result result;
    char data[96];
    snprintf(folder, sizeof folder, "%s", test_folder());
    snprintf(adapter, sizeof adapter, "%s/out", folder);
    snprintf(data, sizeof data, "%s/rows.jsonl", folder);
    test_write(folder, "rows.jsonl",
               "{\"prompt\": \"Smile!\", \"completion\": \"Sure \xF0\x9F\x98\x80 yes.\"}\n");
    RUN(&result, "train", "--model", BASE, "--data", data, "--output-dir", adapter, "--lr", "2e-2",
        "--max-steps", "40", "--lr-scheduler-type", "constant");
    cr_assert_eq(result.code, 0, "%s", result.out);
}

static void clean_up(void)
{
    test_folder_remove(folder);
}

TestSuite(chat, .timeout = 120);
TestSuite(chat_tuned, .init = train_smile, .fini = clean_up, .timeout = 120);

// One line of a person: what must stand on the terminal before it is typed.
struct line {
    const char *after, *typed;
};

// Types the lines one after the other and returns all that the terminal showed; *code is the exit
// code. Every read ends in a whole character.
static const char *talk(const char *const *argv, const struct line *lines, size_t count, int *code)
{
    static char shown[1 << 18];
    struct winsize size = {.ws_row = 24, .ws_col = 200};
    size_t len = 0, from = 0, typed = 0;
    int master;
    pid_t pid = forkpty(&master, NULL, NULL, &size);
    cr_assert_geq(pid, 0);
    if (pid == 0) {
        setenv("TERM", "dumb", 1); // no library edits the lines
        pty_exec(argv);
    }
    for (ssize_t got; (got = read(master, shown + len, sizeof shown - 1 - len)) > 0 ||
                      (got < 0 && errno == EINTR);) {
        len += got > 0 ? (size_t)got : 0;
        shown[len] = '\0';
        const char *found = typed < count ? strstr(shown + from, lines[typed].after) : NULL;
        if (found != NULL) {
            const char *text = lines[typed++].typed;
            from = len;
            cr_assert_eq(write(master, text, strlen(text)), (ssize_t)strlen(text));
        }
    }
    close(master);
    *code = program_wait(pid);
    cr_assert_eq(typed, count, "line %zu was not typed:\n%s", typed, shown);
    return shown;
}

#define TALK(code, lines, ...)                                                                     \
    talk((const char *const[]){TINYSFT_PROGRAM, "chat", "--model", BASE, __VA_ARGS__, NULL},       \
         lines, sizeof(lines) / sizeof *(lines), code)

// "\xF0\x9F..." of the answer came whole: the terminal shows no escape of a single byte.
Test(chat_tuned, answers_as_they_come_and_both_models)
{
    int code;
    const struct line lines[] = {
        {"> ", "Smile!\n"}, {"> ", "/base\n"},        {"> ", "/reset\n"},
        {"> ", "/tuned\n"}, {"> ", "/both Smile!\n"}, {"> ", "\004"},
    };
    const char *shown = TALK(&code, lines, "--adapter", adapter, "--max-new-tokens", "12");
    cr_assert_eq(code, 0, "%s", shown);
    cr_assert_not_null(strstr(shown, "Sure \xF0"), "%s", shown);
    cr_assert_null(strstr(shown, "\\x"), "a character was split:\n%s", shown);
    cr_assert_not_null(strstr(shown, "\nbase: "), "%s", shown);
    cr_assert_not_null(strstr(shown, "tuned: Sure"), "%s", shown);
    cr_assert_not_null(strstr(shown, "the adapter is off"), "%s", shown);
}

Test(chat, ctrl_c_stops_the_answer_and_not_the_program)
{
    int code;
    const struct line lines[] = {
        {"> ", "Good morning!\n"}, // the base goes on and on
        {"It is morning", "\003"},
        {"(stopped)", "/quit\n"},
    };
    const char *shown = TALK(&code, lines, "--max-new-tokens", "1500");
    cr_assert_eq(code, 0, "%s", shown);
}

Test(chat, ctrl_c_at_the_prompt_ends_at_the_second_one)
{
    int code;
    const struct line lines[] = {{"> ", "\003"}, {"once more", "\003"}};
    const char *shown = TALK(&code, lines, "--max-new-tokens", "8");
    cr_assert_eq(code, 128 + SIGINT, "%d: %s", code, shown);
}

// Each line of a script is asked, and a conversation that is too long loses its beginning.
Test(chat_tuned, a_script_whose_context_is_full)
{
    program_result result;
    char command[512];
    snprintf(command, sizeof command,
             "yes 'Smile!' | head -n 6 | %s chat --model %s --adapter %s --context 48 "
             "--max-new-tokens 10 --verbose",
             TINYSFT_PROGRAM, BASE, adapter);
    program_run_file("/bin/sh", (const char *const[]){"sh", "-c", command, NULL}, &result);
    cr_assert_eq(result.code, 0, "%s", result.out);
    cr_assert_not_null(strstr(result.out, "the 48 tokens that fit: its oldest 2 messages"), "%s",
                       result.out);
    cr_assert_not_null(strstr(result.out, "of the question's 10 tokens computed"), "%s",
                       result.out);
    cr_assert_null(strstr(result.out, "of the question's 33 tokens: 33"), "%s", result.out);
}

// The same answer by the same seed, with the log-probability of each token.
Test(chat, a_prompt_as_json)
{
    program_result first, second;
    for (int i = 0; i < 2; i++) {
        RUN(i == 0 ? &first : &second, "chat", "--model", BASE, "--prompt", "Hello", "--json",
            "--temperature", "1.5", "--top-p", "0.9", "--seed", "7", "--max-new-tokens", "8");
    }
    const char *a = strchr(first.out, '{'), *b = strchr(second.out, '{');
    cr_assert_eq(first.code, 0, "%s", first.out);
    cr_assert(a != NULL && b != NULL && strcmp(a, b) == 0, "%s\n%s", first.out, second.out);
    cr_assert_not_null(strstr(a, "\"log_probability\":-"), "%s", a);
    RUN(&second, "chat", "--model", BASE, "--prompt", "Hello", "--json", "--temperature", "1.5",
        "--seed", "8", "--max-new-tokens", "8");
    cr_assert_str_neq(a, strchr(second.out, '{'));
}

// What was said becomes a row of training data, after those that the file holds.
Test(chat_tuned, a_conversation_is_saved_as_a_row)
{
    program_result result;
    char command[600], path[96];
    snprintf(path, sizeof path, "%s/rows.jsonl", folder);
    snprintf(command, sizeof command,
             "printf '/system Be brief.\\nSmile!\\n/save %s\\n/save /nowhere/x\\n/wrong\\n' | "
             "%s chat --model %s --adapter %s --max-new-tokens 4",
             path, TINYSFT_PROGRAM, BASE, adapter);
    program_run_file("/bin/sh", (const char *const[]){"sh", "-c", command, NULL}, &result);
    cr_assert_eq(result.code, 0, "%s", result.out);
    cr_assert_not_null(strstr(result.out, "(not saved: "), "%s", result.out);
    cr_assert_not_null(strstr(result.out, "there is no /wrong"), "%s", result.out);
    ts_text rows = test_read(folder, "rows.jsonl");
    cr_assert_not_null(strstr(rows.bytes, "{\"prompt\""));
    cr_assert_not_null(strstr(rows.bytes, "\n{\"messages\": [{\"role\": \"system\", \"content\": "
                                          "\"Be brief.\"}, {\"role\": \"user\", \"content\": "
                                          "\"Smile!\"}, {\"role\": \"assistant\""),
                       "%s", rows.bytes);
    ts_text_free(&rows);
}
