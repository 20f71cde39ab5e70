#include "eval/sweep.h"
#include "base/file.h"
#include "base/json.h"
#include "base/memory.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MUST(call)                                                                                 \
    do {                                                                                           \
        ts_error own = {0}, *err = &own;                                                           \
        cr_assert_eq((call), TS_OK, "%s", own.message);                                            \
    } while (0)

// Quantiles of Student's t at 0.975, as any table has them.
Test(sweep, student_t_is_that_of_the_tables)
{
    static const struct {
        size_t freedom;
        double reach;
    } table[] = {{1, 12.706205}, {2, 4.302653}, {3, 3.182446},  {4, 2.776445},
                 {5, 2.570582},  {9, 2.262157}, {30, 2.042272}, {1000, 1.962339}};
    for (size_t i = 0; i < TS_COUNT(table); i++) {
        cr_expect_float_eq(ts_student_reach(table[i].freedom), table[i].reach, 1e-5, "%zu",
                           table[i].freedom);
    }
}

Test(sweep, an_interval_is_that_of_the_finite_values)
{
    const double values[] = {1, NAN, 2, 3}; // standard error sqrt(1 / 3)
    ts_interval interval = ts_interval_make(values, 4);
    cr_expect_float_eq(interval.mean, 2, 1e-12);
    cr_expect_float_eq(interval.high - 2, 4.302653 * sqrt(1.0 / 3), 1e-5);
    cr_expect_float_eq(2 - interval.low, 4.302653 * sqrt(1.0 / 3), 1e-5);
    interval = ts_interval_make(values, 2);
    cr_expect(interval.mean == 1 && isnan(interval.low) && isnan(interval.high));
    cr_expect(isnan(ts_interval_make(values + 1, 1).mean));
}

// ---- Three configurations of two settings, three seeds each

static const char *const axes[] = {"rank", "lr"};
static const char *const values[] = {"4", "0.001", "8", "0.001", "8", "<b>|`0.01"};

static ts_sweep_run run_of(size_t configuration, uint64_t seed, double loss)
{
    ts_sweep_run run = {.configuration = configuration,
                        .seed = seed,
                        .folder = "out/a_b",
                        .loss = loss,
                        .seconds = 60};
    for (size_t i = 0; i < TS_SWEEP_METRICS; i++) {
        run.metrics[i] = i == 0 ? 0.5 : NAN;
    }
    return run;
}

static ts_sweep sweep_of(ts_sweep_run *runs, size_t count)
{
    ts_sweep sweep = {.title = "A sweep",
                      .axes = axes,
                      .values = values,
                      .axis_count = 2,
                      .configuration_count = 3,
                      .runs = runs,
                      .run_count = count,
                      .measure = "loss on held-out rows",
                      .metric_count = 1};
    snprintf(sweep.metrics[0], sizeof *sweep.metrics, "Facts right");
    snprintf(sweep.keys[0], sizeof *sweep.keys, "facts_right");
    MUST(ts_sweep_compare(&sweep, err));
    return sweep;
}

static bool verdict_has(const ts_sweep *sweep, const char *words)
{
    ts_text text = {0};
    MUST(ts_sweep_verdict(sweep, &text, err));
    bool has = strstr(text.bytes, words) != NULL;
    cr_expect(has, "'%s' is not in: %s", words, text.bytes);
    ts_text_free(&text);
    return has;
}

// The seeds differ far more than the configurations, but alike: paired, the lead is clear.
Test(sweep, a_lead_is_judged_seed_by_seed)
{
    ts_sweep_run runs[] = {run_of(0, 1, 1.10), run_of(1, 1, 1.00), run_of(2, 1, 1.30),
                           run_of(0, 2, 2.11), run_of(1, 2, 2.00), run_of(2, 2, 1.90),
                           run_of(0, 3, 3.09), run_of(1, 3, 3.00), run_of(2, 3, 3.20)};
    ts_sweep sweep = sweep_of(runs, TS_COUNT(runs));
    cr_assert_eq(ts_sweep_best(&sweep), 1);
    cr_assert_eq(ts_sweep_second(&sweep), 0);
    const ts_interval *lead = &sweep.configurations[0].behind;
    cr_expect_float_eq(lead->mean, 0.1, 1e-12);
    cr_expect_float_eq(lead->low, 0.1 - 4.302653 * 0.01 / sqrt(3), 1e-6);
    cr_expect(ts_sweep_leads(&sweep));
    verdict_has(&sweep, "Best: rank 8, lr 0.001: loss on held-out rows 2.0000 (");
    verdict_has(&sweep, "more than the noise");
    verdict_has(&sweep, "1 configuration cannot be told from it"); // the third swings
    ts_sweep_free(&sweep);
}

Test(sweep, noise_and_single_runs_are_called_so)
{
    ts_sweep_run runs[] = {run_of(0, 1, 1.0), run_of(1, 1, 0.9),  run_of(2, 1, 5),
                           run_of(0, 2, 1.0), run_of(1, 2, 1.05), run_of(2, 2, 5)};
    ts_sweep sweep = sweep_of(runs, TS_COUNT(runs));
    cr_expect_not(ts_sweep_leads(&sweep));
    verdict_has(&sweep, "no more than the noise");
    ts_sweep_free(&sweep);
    sweep = sweep_of(runs, 3);
    cr_expect_not(ts_sweep_leads(&sweep));
    verdict_has(&sweep, "--repeats 3");
    ts_sweep_free(&sweep);
}

Test(sweep, a_configuration_with_a_failed_run_comes_last)
{
    ts_sweep_run runs[] = {run_of(0, 1, 0.1), run_of(1, 1, 0.9), run_of(2, 1, NAN),
                           run_of(0, 2, NAN), run_of(1, 2, 1.0), run_of(2, 2, NAN)};
    runs[2].failed = runs[3].failed = runs[5].failed = "step 3: the loss is inf";
    ts_sweep sweep = sweep_of(runs, TS_COUNT(runs));
    cr_expect(sweep.order[0] == 1 && sweep.order[1] == 0 && sweep.order[2] == 2);
    cr_expect(isnan(sweep.configurations[2].loss.mean));
    for (size_t i = 0; i < TS_COUNT(runs); i++) {
        runs[i].failed = "it failed";
        runs[i].loss = NAN;
    }
    ts_sweep_free(&sweep);
    sweep = sweep_of(runs, TS_COUNT(runs));
    cr_expect_eq(ts_sweep_best(&sweep), SIZE_MAX);
    verdict_has(&sweep, "No run has finished");
    ts_text png = {0}, text = {0};
    MUST(ts_sweep_png(&sweep, &png, err));
    MUST(ts_sweep_markdown(&sweep, &text, err));
    MUST(ts_sweep_json(&sweep, &text, err));
    ts_text_free(&png);
    ts_text_free(&text);
    ts_sweep_free(&sweep);
}

// Runs are compared seed by seed. Two configurations that share no finished seed have no lead.
Test(sweep, what_was_not_measured_is_no_number)
{
    ts_sweep_run runs[] = {run_of(0, 1, 0.1), run_of(1, 1, NAN), run_of(2, 1, NAN),
                           run_of(0, 2, NAN), run_of(1, 2, 0.2), run_of(2, 2, NAN)};
    runs[1].failed = runs[2].failed = runs[3].failed = runs[5].failed = "step 3: the loss is inf";
    runs[0].seconds = NAN; // the log's summary is missing
    ts_sweep sweep = sweep_of(runs, TS_COUNT(runs));
    ts_text text = {0};
    verdict_has(&sweep, "The second (rank 8, lr 0.001) finished with none of its seeds");
    MUST(ts_sweep_markdown(&sweep, &text, err));
    cr_expect_null(strstr(text.bytes, "nan"), "%s", text.bytes);
    ts_text_free(&text);
    ts_sweep_free(&sweep);
}

Test(sweep, reports_hold_every_figure_and_no_markup_of_others)
{
    ts_sweep_run runs[] = {run_of(0, 1, 1.25), run_of(1, 1, 1), run_of(2, 1, NAN)};
    runs[2].failed = "step 3: the loss is inf";
    ts_sweep sweep = sweep_of(runs, TS_COUNT(runs));
    ts_text text = {0}, again = {0};
    MUST(ts_sweep_markdown(&sweep, &text, err));
    cr_expect_not_null(strstr(text.bytes, "| 8 | 0.001 | 1 | 1.0000 | 0.0000 | 50 |"), "%s",
                       text.bytes);
    cr_expect_not_null(strstr(text.bytes, "| 4 | 0.001 | 1 | 1.2500 | 0.2500 | 50 |"));
    cr_expect_not_null(strstr(text.bytes, "0, 1 failed | - | - | 50 |"));
    cr_expect_null(strstr(text.bytes, "<b>"));
    ts_text_free(&text);
    MUST(ts_sweep_json(&sweep, &text, err));
    cJSON *json = NULL;
    MUST(ts_json_parse(text.bytes, text.len, "sweep.json", &json, err));
    const cJSON *best = ts_json_get(json, "best");
    cr_expect_str_eq(cJSON_GetStringValue(ts_json_get(best, "rank")), "8");
    cr_expect(cJSON_IsNull(ts_json_get(json, "lead_is_more_than_noise")));
    cr_expect_eq(cJSON_GetArraySize(ts_json_get(json, "configurations")), 3);
    cJSON_Delete(json);
    ts_text_free(&text);
    MUST(ts_sweep_png(&sweep, &text, err));
    MUST(ts_sweep_png(&sweep, &again, err));
    cr_expect(text.len == again.len && memcmp(text.bytes, again.bytes, text.len) == 0);
    ts_text_free(&text);
    ts_text_free(&again);
    ts_sweep_free(&sweep);
}

// Whatever the numbers and names, a picture is made.
Test(sweep, a_picture_of_any_grid)
{
    static const char *const one_axis[] = {"rank"};
    static char names[300][16];
    static const char *many[300];
    static ts_sweep_run runs[300];
    for (size_t i = 0; i < 300; i++) {
        snprintf(names[i], sizeof *names, "%zu", i);
        many[i] = names[i];
        runs[i] = run_of(i, 1, i % 3 == 0 ? 1e-9 : 1e30 * (double)i);
    }
    for (size_t count = 1; count <= 300; count = count * 4 + 3) {
        for (size_t axis_count = 0; axis_count < 2; axis_count++) {
            ts_sweep sweep = {.title = "",
                              .axes = one_axis,
                              .values = many,
                              .axis_count = axis_count,
                              .configuration_count = count,
                              .runs = runs,
                              .run_count = count,
                              .measure = "loss"};
            ts_text png = {0};
            MUST(ts_sweep_compare(&sweep, err));
            MUST(ts_sweep_png(&sweep, &png, err));
            cr_expect_gt(png.len, 1000u);
            ts_text_free(&png);
            ts_sweep_free(&sweep);
        }
    }
}

Test(sweep, runs_are_read_from_their_folders)
{
    char folder[] = "/tmp/tinysft-sweep-XXXXXX", path[64];
    cr_assert_not_null(mkdtemp(folder));
    static const struct {
        const char *name, *content;
    } files[] = {
        {"trainer_state.json",
         "{\"log_history\": [{\"step\": 2, \"eval_loss\": 0.5}, {\"step\": 4, \"eval_loss\": 0.75},"
         " {\"step\": 4, \"train_loss\": 1, \"train_runtime\": 12}]}"},
        {"evaluation.json",
         "{\"held_out\": {\"prompts\": 4, \"tuned\": {\"loss\": 0.25, \"rates\": {\"facts_right\": "
         "{\"label\": \"Facts right\", \"yes\": 3, \"of\": 4}, \"polite\": {\"yes\": 0, \"of\": 0}"
         "}}}}"}};
    for (size_t i = 0; i < TS_COUNT(files); i++) {
        snprintf(path, sizeof path, "%s/%s", folder, files[i].name);
        MUST(ts_file_write(path, files[i].content, strlen(files[i].content), err));
    }
    ts_sweep_run run = {.folder = folder};
    ts_sweep sweep = {.configuration_count = 1, .runs = &run, .run_count = 1};
    MUST(ts_sweep_read(&sweep, err));
    cr_expect_eq(run.loss, 0.75); // the last, for that is the adapter which is there
    cr_expect_eq(run.seconds, 12);
    cr_expect_eq(sweep.metric_count, 1u);
    cr_expect_str_eq(sweep.metrics[0], "Facts right");
    cr_expect_eq(run.metrics[0], 0.75);
    snprintf(path, sizeof path, "%s/training.json", folder); // --load-best-at-end
    MUST(ts_file_write(path, "{\"adapter_of_step\": 2}", 22, err));
    MUST(ts_sweep_read(&sweep, err));
    cr_expect_eq(run.loss, 0.5);
    snprintf(path, sizeof path, "%s/trainer_state.json", folder); // nothing was held out
    MUST(ts_file_write(path, "{\"log_history\": []}", 19, err));
    MUST(ts_sweep_read(&sweep, err));
    cr_expect_eq(run.loss, 0.25);
    cr_expect_str_eq(sweep.measure, "loss on reference answers");
    snprintf(path, sizeof path, "%s/evaluation.json", folder);
    remove(path);
    ts_error refusal = {0};
    cr_expect_eq(ts_sweep_read(&sweep, &refusal), TS_ERR_FORMAT);
    cr_expect_not_null(strstr(refusal.message, "nothing was measured"));
    MUST(ts_folder_remove(folder, err));
}
