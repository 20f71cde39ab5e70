// The runs of a sweep: trained, asked, and dealt among ranks.
#include "base/file.h"
#include "base/os.h"
#include "cli/ranks.h"
#include "cli/sweep_parts.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static tinysft_next show_step(void *user, const tinysft_step *step)
{
    session *s = user;
    char detail[160], held_out[48] = "";
    if (s->bar.total == 0) {
        s->bar.total = step->steps;
        s->bar.first = step->step;
    }
    if (isfinite(step->held_out_loss)) {
        snprintf(held_out, sizeof held_out, "  held-out %.4f", step->held_out_loss);
    }
    snprintf(detail, sizeof detail, "loss %.4f%s  %.0f tok/s", step->loss, held_out,
             step->tokens_per_second);
    ts_progress_update(&s->bar, step->step, detail, false);
    return TINYSFT_GO_ON;
}

static tinysft_next show_asked(void *user, const tinysft_asked *now)
{
    session *s = user;
    if (now->answer == NULL && now->total > 0) {
        s->bar.total = now->total;
        ts_progress_update(&s->bar, now->done, "asking", false);
    }
    return TINYSFT_GO_ON;
}

// Of several ranks the first shows how far its own run is.
static void begin_bar(session *s, const char *label)
{
    if (ts_cli_speaks()) {
        ts_progress_begin(&s->bar, stderr, label, 0);
        s->bar.line_every_s = TS_CLI_LINE_SECONDS;
    }
}

// Trains, or finds that the run is finished. *failed stays NULL unless the loss diverged, which
// ends the run but not the sweep.
static ts_status train(session *s, const place *at, const char **folder, const char **failed,
                       bool *was_finished, ts_error *err)
{
    ts_status status = TS_OK;
    tinysft_training *training = NULL;
    tinysft_training_state state;
    ts_train_options o;
    ts_text config = {0};
    const char *logging_dir = NULL;
    char label[64];
    snprintf(label, sizeof label, "run %zu/%zu", at->number + 1, at->of);
    TS_TRY(ts_cli_sweep_settle(s, at, &o, &logging_dir, &config, err));
    *folder = o.settings.output_dir;
    TS_TRY(ts_cli_sweep_open(s, &o, logging_dir, &training, err));
    TS_TRY(tinysft_training_prepare(training, err));
    TS_TRY(tinysft_training_get_state(training, &state, err));
    *was_finished = state.was_finished;
    if (*was_finished) {
        goto out;
    }
    TS_TRY(ts_cli_write_config(*folder, "run.json", &config, err));
    begin_bar(s, label);
    status = tinysft_training_run(training, ts_cli_speaks() ? show_step : NULL, s, err);
    ts_progress_end(&s->bar);
    if (status == TS_ERR_RUN) {
        status = ts_arena_format(&s->arena, failed, err, "%s", err->message);
    }
out:
    tinysft_training_close(&training);
    ts_text_free(&config);
    return status;
}

// ---- Questions

// What an evaluation depends on. A run whose folder holds the same is not asked again.
static ts_status describe_evaluation(const session *s, ts_text *out, ts_error *err)
{
    return ts_text_format(out, err,
                          "{\n\t\"questions_sha256\": \"%s\",\n\t\"max_new_tokens\": %llu\n}\n",
                          s->questions_hash, (unsigned long long)ts_cli_sweep_asked.max_new_tokens);
}

static bool is_evaluated(const char *folder, const ts_text *expected)
{
    ts_text path = {0}, found = {0};
    ts_error ignored = {0};
    bool same = ts_path_join(folder, "sweep_evaluation.json", &path, &ignored) == TS_OK &&
                ts_file_exists(path.bytes) &&
                ts_file_read(path.bytes, 1 << 16, &found, &ignored) == TS_OK &&
                found.len == expected->len &&
                memcmp(found.bytes, expected->bytes, expected->len) == 0;
    ts_text_free(&path);
    ts_text_free(&found);
    return same;
}

static ts_status ask(session *s, const char *folder, const char *label, ts_error *err)
{
    ts_status status = TS_OK;
    tinysft_evaluation *evaluation = NULL;
    ts_text json = {0};
    const tinysft_evaluation_params questions = {.data = s->questions.bytes,
                                                 .max_new_tokens =
                                                     (uint32_t)ts_cli_sweep_asked.max_new_tokens,
                                                 .base_answers = s->base_answers};
    TS_TRY(tinysft_model_load_adapter(s->base, folder, err));
    TS_TRY(tinysft_evaluation_open(s->base, &questions, &evaluation, err));
    begin_bar(s, label);
    status = tinysft_evaluation_run(evaluation, ts_cli_speaks() ? show_asked : NULL, s, err);
    ts_progress_end(&s->bar);
    TS_TRY(status);
    TS_TRY(ts_path_join(folder, "evaluation.json", &json, err));
    TS_TRY(tinysft_evaluation_write(evaluation, &(tinysft_report_params){.json = json.bytes}, err));
out:
    tinysft_evaluation_close(&evaluation);
    ts_text_free(&json);
    return status;
}

// The base is asked when its answers are first needed.
static ts_status ask_base(session *s, bool *is_asked, ts_error *err)
{
    ts_status status = TS_OK;
    if (!*is_asked) {
        begin_bar(s, "base");
        status =
            tinysft_evaluation_run(s->base_answers, ts_cli_speaks() ? show_asked : NULL, s, err);
        ts_progress_end(&s->bar);
        *is_asked = status == TS_OK;
    }
    return status;
}

static ts_status evaluate(session *s, const place *at, const char *folder, bool was_finished,
                          bool *base_is_asked, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text expected = {0};
    char label[64];
    snprintf(label, sizeof label, "run %zu/%zu", at->number + 1, at->of);
    TS_TRY(describe_evaluation(s, &expected, err));
    if (was_finished && is_evaluated(folder, &expected)) {
        goto out;
    }
    TS_TRY(ask_base(s, base_is_asked, err));
    TS_TRY(ask(s, folder, label, err));
    TS_TRY(ts_cli_write_config(folder, "sweep_evaluation.json", &expected, err));
out:
    ts_text_free(&expected);
    return status;
}

// ---- All runs

// How a run ended, as ranks tell each other.
typedef struct outcome {
    double seconds;
    uint32_t done, was_finished;
    char failed[1000]; // why there is no result; "": there is one
} outcome;

static ts_status tell_run(const place *at, const outcome *o, ts_error *err)
{
    ts_text name = {0};
    ts_status status = ts_grid_describe(&ts_cli_sweep_asked.grid, at->configuration, &name, err);
    const uint32_t ranks = ts_ranks_count(ts_cli_ranks), rank = (uint32_t)(at->number % ranks);
    char took[32] = "", who[128] = "";
    if (o->was_finished == 0) {
        snprintf(took, sizeof took, "%.1f s", o->seconds);
    }
    if (ranks > 1) {
        snprintf(who, sizeof who, ", by rank %u on %s", rank, ts_ranks_host(ts_cli_ranks, rank));
    }
    ts_cli_say(stderr, "run %zu/%zu: %s%sseed %llu%s: %s\n", at->number + 1, at->of,
               name.len > 0 ? name.bytes : "", name.len > 0 ? ", " : "",
               (unsigned long long)at->seed, who,
               o->failed[0] != '\0'   ? o->failed
               : o->was_finished != 0 ? "was finished, and is left as it is"
                                      : took);
    ts_text_free(&name);
    return status;
}

// The runs of this rank.
static ts_status run_own(session *s, size_t count, ts_error *err)
{
    ts_status status = TS_OK;
    bool base_is_asked = false;
    for (size_t i = ts_ranks_rank(ts_cli_ranks); i < count; i += ts_ranks_count(ts_cli_ranks)) {
        const place at = ts_cli_sweep_place(s, i);
        const char *folder = NULL, *failed = NULL;
        const double started_s = ts_clock_s();
        bool was_finished = false;
        outcome *o = &s->outcomes[i];
        status = train(s, &at, &folder, &failed, &was_finished, err);
        if (status == TS_OK && failed == NULL && ts_cli_sweep_asked.questions != NULL) {
            status = evaluate(s, &at, folder, was_finished, &base_is_asked, err);
        }
        if (status != TS_OK) {
            return status == TS_ERR_STOPPED ? status : ts_cli_sweep_blame(at.configuration, err);
        }
        snprintf(o->failed, sizeof o->failed, "%s", failed != NULL ? failed : "");
        o->seconds = ts_clock_s() - started_s;
        o->was_finished = was_finished;
        o->done = 1;
        TS_TRY(tell_run(&at, o, err));
    }
out:
    return status;
}

// All learn how the runs of all ended. Rank 0 tells of what others ran.
static ts_status share_outcomes(session *s, size_t count, ts_error *err)
{
    ts_status status = TS_OK;
    outcome *all = NULL;
    const size_t ranks = ts_ranks_count(ts_cli_ranks), own = ts_ranks_rank(ts_cli_ranks);
    if (ts_cli_ranks == NULL) {
        return TS_OK;
    }
    TS_TRY(ts_alloc(count * ranks, sizeof *all, &all, err));
    TS_TRY(ts_ranks_share(ts_cli_ranks, s->outcomes, count * sizeof *all, all, err));
    for (size_t i = 0; i < count; i++) {
        const place at = ts_cli_sweep_place(s, i);
        s->outcomes[i] = all[i % ranks * count + i];
        if (i % ranks != own && s->outcomes[i].done != 0) {
            TS_TRY(tell_run(&at, &s->outcomes[i], err));
        }
    }
out:
    free(all);
    return status;
}

// The runs as they are compared, those before the first that is not done.
static ts_status list_runs(session *s, size_t count, ts_error *err)
{
    ts_status status = TS_OK;
    for (size_t i = 0; i < count; i++) {
        const place at = ts_cli_sweep_place(s, i);
        const char *ignored = NULL, *failed = s->outcomes[i].failed;
        ts_train_options o;
        if (s->outcomes[i].done != 0) {
            TS_TRY(ts_cli_sweep_settle(s, &at, &o, &ignored, NULL, err));
            s->runs[s->run_count++] =
                (tinysft_sweep_run){.configuration = at.configuration,
                                    .seed = at.seed,
                                    .folder = o.settings.output_dir,
                                    .failed = failed[0] != '\0' ? failed : NULL};
        }
    }
    if (s->run_count < count) {
        TS_FAIL(TS_ERR_STOPPED, "another rank was asked to stop");
    }
out:
    return status;
}

ts_status ts_cli_sweep_run(session *s, ts_error *err)
{
    ts_status status = TS_OK;
    const size_t count = ts_cli_sweep_asked.grid.configuration_count * ts_cli_sweep_asked.repeats;
    ts_error stopped = {0};
    TS_TRY(ts_arena_alloc(&s->arena, count, sizeof *s->runs, &s->runs, err));
    TS_TRY(ts_arena_alloc(&s->arena, count, sizeof *s->outcomes, &s->outcomes, err));
    status = run_own(s, count, &stopped);
    if (status != TS_OK && status != TS_ERR_STOPPED) {
        *err = stopped;
        goto out;
    }
    TS_TRY(share_outcomes(s, count, err));
    TS_TRY(list_runs(s, count, err));
out:
    if (status == TS_ERR_STOPPED && stopped.code == TS_ERR_STOPPED) {
        *err = stopped;
    }
    return status;
}
