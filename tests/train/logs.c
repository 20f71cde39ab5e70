// The logs that a run writes, format by format.
#include "base/memory.h"
#include "run_folder.h"
#include "train/log_formats.h"

#include <math.h>
#include <stdlib.h>

// What TensorBoard's own writer (tensorboard/summary/writer/record_writer.py, 2.20) makes of the
// events of `write_events`.
static const uint8_t recorded[] = {
    0x18, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xa3, 0x7f, 0x4b, 0x22, 0x09, 0x00, 0x00, 0x00,
    0x40, 0xfc, 0x54, 0xd9, 0x41, 0x1a, 0x0d, 0x62, 0x72, 0x61, 0x69, 0x6e, 0x2e, 0x45, 0x76, 0x65,
    0x6e, 0x74, 0x3a, 0x32, 0xec, 0xed, 0x8f, 0x9d, 0x0f, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x6d, 0x53, 0x2b, 0x09, 0x09, 0x00, 0x00, 0x00, 0x40, 0xfc, 0x54, 0xd9, 0x41, 0x10, 0x0b, 0x3a,
    0x02, 0x08, 0x01, 0xf9, 0x18, 0x0d, 0xb1, 0x88, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xfc,
    0xde, 0xec, 0xe2, 0x09, 0x00, 0x00, 0x00, 0x40, 0xfc, 0x54, 0xd9, 0x41, 0x10, 0x14, 0x2a, 0x7b,
    0x0a, 0x11, 0x0a, 0x0a, 0x74, 0x72, 0x61, 0x69, 0x6e, 0x2f, 0x6c, 0x6f, 0x73, 0x73, 0x15, 0x00,
    0x00, 0xc0, 0x3f, 0x0a, 0x1a, 0x0a, 0x13, 0x74, 0x72, 0x61, 0x69, 0x6e, 0x2f, 0x6c, 0x65, 0x61,
    0x72, 0x6e, 0x69, 0x6e, 0x67, 0x5f, 0x72, 0x61, 0x74, 0x65, 0x15, 0x17, 0xb7, 0x51, 0x38, 0x0a,
    0x16, 0x0a, 0x0f, 0x74, 0x72, 0x61, 0x69, 0x6e, 0x2f, 0x67, 0x72, 0x61, 0x64, 0x5f, 0x6e, 0x6f,
    0x72, 0x6d, 0x15, 0x00, 0x00, 0x80, 0x3e, 0x0a, 0x12, 0x0a, 0x0b, 0x74, 0x72, 0x61, 0x69, 0x6e,
    0x2f, 0x65, 0x70, 0x6f, 0x63, 0x68, 0x15, 0xcd, 0xcc, 0xcc, 0x3e, 0x0a, 0x1e, 0x0a, 0x17, 0x74,
    0x72, 0x61, 0x69, 0x6e, 0x2f, 0x74, 0x6f, 0x6b, 0x65, 0x6e, 0x73, 0x5f, 0x70, 0x65, 0x72, 0x5f,
    0x73, 0x65, 0x63, 0x6f, 0x6e, 0x64, 0x15, 0x00, 0x50, 0x9a, 0x44, 0xc9, 0x99, 0xe7, 0x3d, 0x37,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xe7, 0xe8, 0xca, 0x59, 0x09, 0x00, 0x00, 0x00, 0x40,
    0xfc, 0x54, 0xd9, 0x41, 0x10, 0x14, 0x2a, 0x2a, 0x0a, 0x10, 0x0a, 0x09, 0x65, 0x76, 0x61, 0x6c,
    0x2f, 0x6c, 0x6f, 0x73, 0x73, 0x15, 0x00, 0x00, 0x40, 0x3f, 0x0a, 0x16, 0x0a, 0x0f, 0x65, 0x76,
    0x61, 0x6c, 0x2f, 0x70, 0x65, 0x72, 0x70, 0x6c, 0x65, 0x78, 0x69, 0x74, 0x79, 0x15, 0xee, 0x7c,
    0x07, 0x40, 0x4a, 0x8e, 0x80, 0xf3, 0xc9, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x35, 0x3d,
    0xc6, 0xce, 0x09, 0x00, 0x00, 0x00, 0x40, 0xfc, 0x54, 0xd9, 0x41, 0x10, 0xac, 0x02, 0x2a, 0xba,
    0x01, 0x0a, 0x11, 0x0a, 0x0a, 0x74, 0x72, 0x61, 0x69, 0x6e, 0x2f, 0x6c, 0x6f, 0x73, 0x73, 0x15,
    0x00, 0x00, 0x00, 0x00, 0x0a, 0x1a, 0x0a, 0x13, 0x74, 0x72, 0x61, 0x69, 0x6e, 0x2f, 0x6c, 0x65,
    0x61, 0x72, 0x6e, 0x69, 0x6e, 0x67, 0x5f, 0x72, 0x61, 0x74, 0x65, 0x15, 0x00, 0x00, 0x00, 0x00,
    0x0a, 0x16, 0x0a, 0x0f, 0x74, 0x72, 0x61, 0x69, 0x6e, 0x2f, 0x67, 0x72, 0x61, 0x64, 0x5f, 0x6e,
    0x6f, 0x72, 0x6d, 0x15, 0x5f, 0x70, 0x89, 0x30, 0x0a, 0x12, 0x0a, 0x0b, 0x74, 0x72, 0x61, 0x69,
    0x6e, 0x2f, 0x65, 0x70, 0x6f, 0x63, 0x68, 0x15, 0x00, 0x00, 0x40, 0x40, 0x0a, 0x1e, 0x0a, 0x17,
    0x74, 0x72, 0x61, 0x69, 0x6e, 0x2f, 0x74, 0x6f, 0x6b, 0x65, 0x6e, 0x73, 0x5f, 0x70, 0x65, 0x72,
    0x5f, 0x73, 0x65, 0x63, 0x6f, 0x6e, 0x64, 0x15, 0x00, 0x00, 0x20, 0x41, 0x0a, 0x1f, 0x0a, 0x18,
    0x74, 0x72, 0x61, 0x69, 0x6e, 0x2f, 0x72, 0x65, 0x77, 0x61, 0x72, 0x64, 0x73, 0x2f, 0x61, 0x63,
    0x63, 0x75, 0x72, 0x61, 0x63, 0x69, 0x65, 0x73, 0x15, 0x00, 0x00, 0x80, 0x3f, 0x0a, 0x1c, 0x0a,
    0x15, 0x74, 0x72, 0x61, 0x69, 0x6e, 0x2f, 0x72, 0x65, 0x77, 0x61, 0x72, 0x64, 0x73, 0x2f, 0x6d,
    0x61, 0x72, 0x67, 0x69, 0x6e, 0x73, 0x15, 0x00, 0x00, 0x20, 0xc0, 0x62, 0x41, 0x7f, 0x01,
};

static size_t write_events(uint8_t *out)
{
    const ts_log_scalar first[] = {{"train/loss", 1.5},
                                   {"train/learning_rate", 5e-5},
                                   {"train/grad_norm", 0.25},
                                   {"train/epoch", 0.4},
                                   {"train/rewards/accuracies", NAN},
                                   {"train/tokens_per_second", 1234.5}};
    const ts_log_scalar held_out[] = {{"eval/loss", 0.75}, {"eval/perplexity", 2.117}};
    const ts_log_scalar last[] = {{"train/loss", 0},
                                  {"train/learning_rate", 0},
                                  {"train/grad_norm", 1e-9},
                                  {"train/epoch", 3},
                                  {"train/tokens_per_second", 10},
                                  {"train/rewards/accuracies", 1},
                                  {"train/rewards/margins", -2.5}};
    const double time = 1.7e9;
    size_t len = ts_log_event_of_start(time, 10, out);
    len += ts_log_event_of_scalars(time, 20, first, TS_COUNT(first), out + len);
    len += ts_log_event_of_scalars(time, 20, held_out, TS_COUNT(held_out), out + len);
    return len + ts_log_event_of_scalars(time, 300, last, TS_COUNT(last), out + len);
}

Test(logs, events_are_those_that_tensorboard_writes)
{
    uint8_t bytes[4 * TS_LOG_ENTRY_BYTES];
    size_t len = write_events(bytes);
    cr_assert_eq(len, sizeof recorded);
    cr_assert_arr_eq(bytes, recorded, len);
    len = ts_log_event_of_start(1.7e9, 0, bytes); // a run that begins anew hides nothing
    cr_assert_eq(len, 40);
    cr_assert_arr_eq(bytes, recorded, len);
}

static size_t kept_of(uint64_t step, uint64_t evaluated)
{
    return ts_log_events_measure(recorded, sizeof recorded, (ts_logs_kept){step, evaluated});
}

Test(logs, events_after_the_checkpoint_are_cut)
{
    size_t held_out = kept_of(20, 19), step = kept_of(19, 19);
    cr_expect_eq(kept_of(300, 20), sizeof recorded);
    cr_expect_lt(kept_of(299, 20), sizeof recorded);
    cr_expect_lt(held_out, kept_of(20, 20));
    cr_expect_lt(step, held_out);
    cr_expect_eq(step, 40 + 31); // version and mark stay
    const ts_logs_kept all = {300, 300};
    for (size_t len = 0; len < sizeof recorded; len++) { // a killed run's last piece
        size_t kept = ts_log_events_measure(recorded, len, all);
        cr_expect(kept <= len && (kept == 0 || kept == 40 || kept >= step));
    }
    for (size_t at = 0; at < sizeof recorded; at++) { // and damage: what is before it is kept
        uint8_t bytes[sizeof recorded];
        memcpy(bytes, recorded, sizeof bytes);
        bytes[at] ^= 0x81;
        cr_expect_leq(ts_log_events_measure(bytes, sizeof bytes, all), at);
    }
}

static const ts_train_progress at_ten = {.step = 10,
                                         .steps = 40,
                                         .epoch = 0.1,
                                         .loss = 1.0 / 3,
                                         .held_out_loss = NAN,
                                         .rate = 5e-5,
                                         .grad_norm = 0.25,
                                         .margin = NAN,
                                         .accuracy = NAN,
                                         .tokens_per_second = 100,
                                         .device_bytes = 1 << 20,
                                         .seconds_left = 7.5};

Test(logs, a_line_is_json_with_exact_numbers)
{
    char line[TS_LOG_ENTRY_BYTES];
    ts_train_progress pairs = at_ten;
    size_t len = ts_log_line_of_step(&at_ten, line);
    cr_expect_eq(len, strlen(line));
    cr_expect_str_eq(line, "{\"step\": 10, \"steps\": 40, \"epoch\": 0.1, "
                           "\"loss\": 0.3333333333333333, \"eval_loss\": null, "
                           "\"learning_rate\": 5e-05, \"grad_norm\": 0.25, "
                           "\"tokens_per_second\": 100, \"device_bytes\": 1048576, "
                           "\"seconds_left\": 7.5}\n");
    pairs.margin = -0.5, pairs.accuracy = 1, pairs.held_out_loss = 2;
    ts_log_line_of_step(&pairs, line);
    cr_expect_not_null(strstr(line, "\"eval_loss\": 2,"));
    cr_expect_not_null(strstr(line, "\"rewards/accuracies\": 1, \"rewards/margins\": -0.5"));
}

// A run of 30 steps that is logged every 10 and measured at 20.
static void log_run(const ts_train_settings *settings, ts_logs_kept kept)
{
    ts_logs logs;
    MUST(ts_logs_open(settings, kept, &logs, err));
    for (uint64_t step = kept.step + 10; step <= 30; step += 10) {
        ts_train_progress progress = at_ten;
        progress.step = step;
        ts_logs_add_step(&logs, &progress);
        if (step == 20) {
            ts_logs_add_evaluation(&logs,
                                   &(ts_train_evaluation){.step = 20, .epoch = 1, .loss = 0.5});
        }
    }
    ts_logs_close(&logs);
}

static size_t count(const char *text, const char *wanted)
{
    size_t found = 0;
    for (const char *at = text; (at = strstr(at, wanted)) != NULL; at++) {
        found++;
    }
    return found;
}

Test(logs, a_run_that_goes_on_logs_no_step_twice)
{
    folder_make();
    char file[256], events[256];
    snprintf(file, sizeof file, "%s", path_of("new/log.jsonl"));
    snprintf(events, sizeof events, "%s", path_of("events"));
    ts_train_settings settings = {.log_file = file, .logging_dir = events};
    MUST(ts_logs_check(&settings, err));
    log_run(&settings, (ts_logs_kept){0});
    ts_text whole = {0}, text = {0};
    MUST(ts_file_read(file, 1 << 20, &whole, err));
    cr_expect_eq(count(whole.bytes, "\n"), 4u);
    for (uint64_t step = 0; step <= 30; step += 10) {
        log_run(&settings, (ts_logs_kept){step, step >= 20 ? 20 : 0});
        ts_text_free(&text);
        MUST(ts_file_read(file, 1 << 20, &text, err));
        cr_expect_str_eq(text.bytes, whole.bytes, "from step %llu", (unsigned long long)step);
    }
    ts_error refusal = {0};
    cr_expect_eq(ts_logs_check(&settings, &refusal), TS_ERR_ARGUMENT);
    cr_expect_not_null(strstr(refusal.message, "--overwrite-output-dir"));
    settings.resume = "latest";
    MUST(ts_logs_check(&settings, err));
    // Stopped before the measurement at step 20 was made.
    ts_logs logs;
    uint64_t bytes;
    bool any;
    MUST(ts_log_lines_measure(file, (ts_logs_kept){20, 0}, &bytes, &any, err));
    MUST(ts_logs_open(&settings, (ts_logs_kept){20, 0}, &logs, err));
    cr_expect_eq(logs.lines.bytes, bytes);
    cr_expect(any && bytes < whole.len);
    ts_logs other = {0}; // one run at a time
    cr_expect_eq(ts_logs_open(&settings, (ts_logs_kept){0}, &other, &refusal), TS_ERR_ARGUMENT);
    ts_logs_close(&logs);
    ts_text_free(&whole);
    ts_text_free(&text);
    folder_remove();
}

Test(logs, a_folder_that_cannot_be_read_is_told)
{
    ts_error err = {0};
    folder_make();
    put("file", "", 0);
    cr_expect_eq(ts_log_events_cut(path_of("file"), (ts_logs_kept){0}, &err), TS_ERR_IO);
    cr_expect_not_null(strstr(err.message, "cannot read the folder"), "%s", err.message);
    folder_remove();
}

Test(logs, what_is_no_log_is_left_as_it_is)
{
    folder_make();
    static const char *const others[] = {"{\"prompt\": \"a\", \"completion\": \"b\"}\n",
                                         "not json\n", "[1, 2]\n",
                                         "{\"step\": -1, \"epoch\": 1}\n"};
    for (size_t i = 0; i < TS_COUNT(others); i++) {
        put("file", others[i], strlen(others[i]));
        const ts_train_settings settings = {.log_file = path_of("file"), .overwrite = true};
        ts_error refusal = {0};
        cr_expect_eq(ts_logs_check(&settings, &refusal), TS_ERR_FORMAT, "%s", others[i]);
        cr_expect_not_null(strstr(refusal.message, "file:1"), "%s", refusal.message);
    }
    const ts_train_settings settings = {.logging_dir = path_of("file")};
    ts_error refusal = {0};
    cr_expect_eq(ts_logs_check(&settings, &refusal), TS_ERR_ARGUMENT);
    folder_remove();
}
