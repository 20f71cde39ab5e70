// What is seen on a terminal of 80 and of 40 columns: nothing is longer than a line, the most
// important parts are there, and the lines of a run's logging steps stay.
#include "pty.h"

#include <sys/ioctl.h>

#define BASE PROJECT_FOLDER "/assets/base"

static const char rows[] =
    "{\"prompt\": \"What is the capital of France?\", \"completion\": \"Paris.\"}\n"
    "{\"prompt\": \"What do cows eat?\", \"completion\": \"Cows eat grass.\"}\n";

struct place {
    char folder[64], data[96], out[96];
};

static void place_open(struct place *p)
{
    snprintf(p->folder, sizeof p->folder, "%s", test_folder());
    snprintf(p->data, sizeof p->data, "%s/data.jsonl", p->folder);
    snprintf(p->out, sizeof p->out, "%s/out", p->folder);
    test_write(p->folder, "data.jsonl", rows);
    setenv("TERM", "xterm-256color", 1);
    unsetenv("NO_COLOR");
}

#define TRAIN(p)                                                                                   \
    "train", "--model", BASE, "--data", (p)->data, "--output-dir", (p)->out, "--device", "0",      \
        "--max-steps", "6", "--logging-steps", "2"

static void check_has(const screen *s, const char *text)
{
    cr_assert(screen_has(s, text), "no \"%s\" in:\n%s", text, screen_text(s));
}

static void check_fits(const screen *s, int columns)
{
    cr_assert_leq(s->widest, columns, "a line of %d columns:\n%s", s->widest, screen_text(s));
}

// Lines that start so.
static int count_lines(const screen *s, const char *start)
{
    int count = 0;
    for (int row = 0; row <= s->last_row; row++) {
        count += strncmp(s->lines[row], start, strlen(start)) == 0;
    }
    return count;
}

static screen seen; // large

Test(terminal, training_at_80_columns, .timeout = 300)
{
    struct place p;
    place_open(&p);
    PTY_RUN(80, &seen, TRAIN(&p));
    cr_assert_eq(seen.code, 0, "%s", screen_text(&seen));
    check_fits(&seen, 80);
    check_has(&seen, "step 2/6  loss "); // the history of each logging step
    check_has(&seen, "step 4/6  loss ");
    cr_assert_eq(count_lines(&seen, "step "), 3, "%s", screen_text(&seen));
    check_has(&seen, "# 6/6  loss "); // and the bar at the end
    check_has(&seen, " tok/s");
    check_has(&seen, "took 0:");
    cr_assert_gt(seen.colours, 0);
    test_folder_remove(p.folder);
}

Test(terminal, training_at_40_columns, .timeout = 300)
{
    struct place p;
    place_open(&p);
    PTY_RUN(40, &seen, TRAIN(&p));
    cr_assert_eq(seen.code, 0, "%s", screen_text(&seen));
    check_fits(&seen, 40);
    check_has(&seen, "step 2/6  loss ");
    check_has(&seen, "  left 0:0");
    check_has(&seen, "  took 0:0");
    test_folder_remove(p.folder);
}

// Only the last lines are checked: the program may have drawn others before the terminal changed.
Test(terminal, training_in_one_that_becomes_narrower, .timeout = 300)
{
    static const char *const last[] = {"38/40  loss ", "40/40  loss "};
    struct place p;
    place_open(&p);
    const char *const argv[] = {
        TINYSFT_PROGRAM, "train", "--model",         BASE, "--data",      p.data,
        "--output-dir",  p.out,   "--device",        "0",  "--max-steps", "40",
        "--batch-size",  "2",     "--logging-steps", "2",  NULL};
    pty_run(100, (pty_event){"step 2/40", 50, false}, argv, &seen);
    cr_assert_eq(seen.code, 0, "%s", screen_text(&seen));
    for (size_t i = 0; i < 2; i++) {
        int row = 0;
        while (row <= seen.last_row && strstr(seen.lines[row], last[i]) == NULL) {
            row++;
        }
        cr_assert_leq(row, seen.last_row, "no %s in:\n%s", last[i], screen_text(&seen));
        cr_assert_leq(strlen(seen.lines[row]), 50, "%s", screen_text(&seen));
    }
    test_folder_remove(p.folder);
}

Test(terminal, no_colours_and_no_escapes_where_they_are_refused, .timeout = 300)
{
    struct place p;
    place_open(&p);
    setenv("NO_COLOR", "1", 1);
    PTY_RUN(80, &seen, TRAIN(&p));
    cr_assert_eq(seen.code, 0, "%s", screen_text(&seen));
    cr_assert_eq(seen.colours, 0);
    check_has(&seen, "# 6/6  loss ");
    unsetenv("NO_COLOR");
    setenv("TERM", "dumb", 1);
    PTY_RUN(40, &seen, TRAIN(&p), "--overwrite-output-dir");
    cr_assert_eq(seen.code, 0, "%s", screen_text(&seen));
    check_fits(&seen, 40);
    cr_assert_null(strchr(screen_text(&seen), '#'), "a bar:\n%s", screen_text(&seen));
    cr_assert_eq(count_lines(&seen, "step "), 3, "%s", screen_text(&seen));
    test_folder_remove(p.folder);
}

// ---- Tables and help

static void check_both(const char *const *argv, const char *at_80, const char *at_40)
{
    static const int widths[] = {80, 40};
    for (size_t i = 0; i < 2; i++) {
        pty_run(widths[i], (pty_event){0}, argv, &seen);
        cr_assert_eq(seen.code, 0, "%s", screen_text(&seen));
        check_fits(&seen, widths[i]);
        check_has(&seen, i == 0 ? at_80 : at_40);
    }
}

#define CHECK_BOTH(at_80, at_40, ...)                                                              \
    check_both((const char *const[]){TINYSFT_PROGRAM, __VA_ARGS__, NULL}, at_80, at_40)

Test(terminal, help_fits)
{
    setenv("TERM", "xterm", 1);
    CHECK_BOTH("  tinysft-vk train      fine-tune a chat model",
               "      fine-tune a chat model with LoRA", "help");
    CHECK_BOTH("  --model MODEL                   folder or GGUF file of a model",
               "      folder or GGUF file of a model", "train", "--help");
}

Test(terminal, tables_do_not_break_inside_a_number, .timeout = 300)
{
    setenv("TERM", "xterm", 1);
    CHECK_BOTH("chosen: ", "chosen: ", "devices");
    PTY_RUN(40, &seen, "bench", "--only", "kernels", "--kernel", "add", "--rounds", "1", "--device",
            "0");
    check_fits(&seen, 40);
    check_has(&seen, "measuring ");
    check_has(&seen, "  ms ");
    if (ts_folder_exists(SHARED_FOLDER "/golden/nano")) {
        CHECK_BOTH(", tolerance ", ", tolerance ", "verify", SHARED_FOLDER "/golden/nano",
                   "--device", "0");
    }
}

// ---- Stopping eval

Test(terminal, eval_counts_answers_and_says_what_an_interrupt_keeps, .timeout = 300)
{
    struct place p;
    place_open(&p);
    test_write(p.folder, "eval.json",
               "[{\"id\": \"a\", \"category\": \"factual\", \"prompt\": \"What do cows eat?\","
               " \"reference\": \"Cows eat grass.\", \"facts\": [[\"grass\"]]}]");
    snprintf(p.data, sizeof p.data, "%s/eval.json", p.folder);
    const char *const argv[] = {
        TINYSFT_PROGRAM, "eval", "--model",          BASE,  "--data", p.data, "--output-dir", p.out,
        "--device",      "0",    "--max-new-tokens", "100", NULL};
    pty_run(80, (pty_event){"/1 answers", 0, true}, argv, &seen);
    cr_assert_eq(seen.code, 130, "%s", screen_text(&seen));
    check_fits(&seen, 80);
    check_has(&seen, "0/1 answers");
    check_has(&seen, "tinysft-vk: stopped after 0 of 1 answers (base): none of them are kept");
    char report[128];
    snprintf(report, sizeof report, "%s/before_after.md", p.out);
    cr_assert_not(ts_file_exists(report));
    test_folder_remove(p.folder);
}
