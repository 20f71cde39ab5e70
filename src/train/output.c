#include "train/output.h"

#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "train/checkpoint.h"
#include "train/record.h"

#include <stdlib.h>
#include <string.h>

#define SHOWN(number) ((unsigned long long)(number))

void ts_output_plan_free(ts_output_plan *plan)
{
    ts_text_free(&plan->checkpoint);
    *plan = (ts_output_plan){0};
}

// ---- What the folder contains

// The record of a finished run, which is the last file that a run writes. NULL if there is none.
static cJSON *finished_record(const char *output_dir)
{
    ts_text path = {0};
    ts_error ignored = {0};
    cJSON *record = NULL;
    if (ts_path_join(output_dir, "training.json", &path, &ignored) == TS_OK &&
        ts_file_exists(path.bytes)) {
        ts_json_parse_file(path.bytes, &record, &ignored);
    }
    ts_text_free(&path);
    return record;
}

static uint64_t steps_of(const cJSON *record)
{
    uint64_t steps = 0;
    return ts_json_uint(ts_json_get(record, "steps"), &steps) ? steps : 0;
}

static ts_status inspect_checkpoint(const char *output_dir, uint64_t step, ts_output_state *out,
                                    ts_error *err)
{
    ts_status status = TS_OK;
    ts_text path = {0};
    ts_error damage = {0};
    cJSON *record = NULL;
    uint64_t steps;
    TS_TRY(ts_checkpoint_path(output_dir, step, &path, err));
    if (ts_checkpoint_verify(path.bytes, &damage) == TS_OK) {
        out->whole = step;
        if (ts_checkpoint_peek(path.bytes, &record, &steps, &damage) == TS_OK) {
            out->planned = steps_of(record);
        }
    } else if (out->damaged == 0) {
        out->damaged = step;
    }
out:
    cJSON_Delete(record);
    ts_text_free(&path);
    return status;
}

ts_status ts_output_inspect(const char *output_dir, ts_output_state *out, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text path = {0};
    uint64_t *steps = NULL;
    cJSON *record = NULL;
    *out = (ts_output_state){.exists = ts_folder_exists(output_dir)};
    TS_TRY(ts_path_join(output_dir, "adapter_model.safetensors", &path, err));
    out->adapter = ts_file_exists(path.bytes);
    TS_TRY(ts_checkpoint_list(output_dir, &steps, &out->count, err));
    for (size_t i = 0; i < out->count && out->whole == 0; i++) {
        TS_TRY(inspect_checkpoint(output_dir, steps[i], out, err));
    }
    record = out->adapter ? finished_record(output_dir) : NULL;
    // A longer run that continued from it has not finished yet.
    out->finished = out->whole > steps_of(record) ? 0 : steps_of(record);
out:
    cJSON_Delete(record);
    free(steps);
    ts_text_free(&path);
    return status;
}

// ---- What to do

struct choice {
    const ts_train_settings *settings;
    const cJSON *record;
    const ts_output_state *state;
    ts_output_plan *plan;
    uint64_t steps; // of the requested run
};

// Lists them as "checkpoint-4, checkpoint-2", or says that there is none.
static ts_status list_checkpoints(const char *output_dir, ts_text *out, ts_error *err)
{
    ts_status status = TS_OK;
    uint64_t *steps = NULL;
    size_t count = 0;
    TS_TRY(ts_checkpoint_list(output_dir, &steps, &count, err));
    if (count == 0) {
        TS_TRY(ts_text_format(out, err, "%s holds no checkpoint", output_dir));
    }
    for (size_t i = 0; i < count && i < 20; i++) {
        TS_TRY(ts_text_format(out, err, i == 0 ? "%s holds " : ", ", output_dir));
        TS_TRY(ts_text_format(out, err, TS_CHECKPOINT_PREFIX "%llu", SHOWN(steps[i])));
    }
    if (count > 20) {
        TS_TRY(ts_text_format(out, err, " and %zu more", count - 20));
    }
out:
    free(steps);
    return status;
}

static ts_status refuse_missing(const struct choice *c, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text there = {0};
    TS_TRY(list_checkpoints(c->settings->output_dir, &there, err));
    TS_FAIL(TS_ERR_IO, "--resume-from-checkpoint %s: there is no such folder; %s",
            c->settings->resume, there.bytes);
out:
    ts_text_free(&there);
    return status;
}

static ts_status refuse_finished(const struct choice *c, ts_error *err)
{
    const ts_output_state *state = c->state;
    bool lost = state->whole != state->finished;
    return ts_error_set(err, TS_ERR_ARGUMENT,
                        "%s is finished, %llu of %llu steps; --overwrite-output-dir replaces it, "
                        "%s, and another --output-dir keeps it",
                        c->settings->output_dir, SHOWN(state->finished), SHOWN(state->finished),
                        lost ? "more --epochs cannot go on from it (its last checkpoint is gone)"
                             : "more --epochs goes on");
}

static ts_status refuse_unfinished(const struct choice *c, ts_error *err)
{
    const ts_output_state *state = c->state;
    const char *folder = c->settings->output_dir;
    if (state->whole == 0) {
        return ts_error_set(err, TS_ERR_ARGUMENT,
                            "%s holds a run already (%s): replace it by --overwrite-output-dir, "
                            "or choose another --output-dir",
                            folder,
                            state->count > 0 ? "all its checkpoints are damaged"
                                             : "an adapter without a checkpoint");
    }
    return ts_error_set(err, TS_ERR_ARGUMENT,
                        "%s holds a run already, stopped after %llu of %llu steps: go on with it "
                        "by --resume-from-checkpoint, replace it by --overwrite-output-dir, or "
                        "choose another --output-dir",
                        folder, SHOWN(state->whole), SHOWN(state->planned));
}

// Whether the checkpoint belongs to the requested run.
static ts_status check_record(struct choice *c, ts_error *err)
{
    ts_status status = TS_OK;
    ts_train_difference difference = {0};
    cJSON *record = NULL;
    TS_TRY(ts_checkpoint_peek(c->plan->checkpoint.bytes, &record, &c->plan->step, err));
    if ((status = ts_train_record_compare(record, c->record, c->plan->step, &difference, err)) !=
        TS_OK) {
        ts_error_context(err, "resume: %s", c->plan->checkpoint.bytes);
        goto out;
    }
    c->plan->longer = difference.longer ? c->plan->step : 0;
    if (difference.unfingerprinted) {
        ts_log(TS_LOG_WARN, "an older version of tinysft-vk began this run and did not record what "
                            "its model's files held: that they are still the same is taken on "
                            "trust");
    }
out:
    cJSON_Delete(record);
    return status;
}

// Warns that higher checkpoints exist and says what becomes of them. They are never deleted when a
// run continues from a lower one.
static void warn_of_higher(const struct choice *c)
{
    const ts_output_state *state = c->state;
    uint64_t higher = ts_max_u64(state->damaged, state->whole), step = c->plan->step;
    if (higher > step && higher <= c->steps) {
        ts_log(TS_LOG_WARN,
               "going on from step %llu, below " TS_CHECKPOINT_PREFIX "%llu%s: that one stays as "
               "it is until this run saves at its step and replaces it",
               SHOWN(step), SHOWN(higher),
               higher == state->damaged ? ", whose files are not what its SHA256SUMS names" : "");
    } else if (higher > step) {
        ts_log(TS_LOG_WARN,
               "going on from step %llu, below " TS_CHECKPOINT_PREFIX "%llu, which stays as it is",
               SHOWN(step), SHOWN(higher));
    }
}

static ts_status go_on_from(struct choice *c, uint64_t step, ts_error *err)
{
    ts_status status = TS_OK;
    TS_TRY(ts_checkpoint_path(c->settings->output_dir, step, &c->plan->checkpoint, err));
    TS_TRY(check_record(c, err));
    warn_of_higher(c);
out:
    return status;
}

// The folder has a finished run, and the requested one is not longer: it is the same, or it is
// refused.
static ts_status stay_finished(struct choice *c, ts_error *err)
{
    ts_status status = TS_OK;
    cJSON *record = finished_record(c->settings->output_dir);
    TS_TRY(ts_train_record_compare(record, c->record, 0, NULL, err));
    c->plan->finished = true;
out:
    cJSON_Delete(record);
    return status;
}

static ts_status choose_latest(struct choice *c, ts_error *err)
{
    const ts_output_state *state = c->state;
    const char *folder = c->settings->output_dir;
    // The last checkpoint is damaged and a lower one is complete: the end can be computed again.
    bool mends = state->damaged == state->finished && state->whole > 0;
    if (state->finished > 0 && c->steps <= state->finished && !mends) {
        return stay_finished(c, err);
    }
    if (state->finished > 0 && state->whole == 0) {
        return refuse_finished(c, err);
    }
    if (state->whole > 0) {
        return go_on_from(c, state->whole, err);
    }
    if (state->adapter || state->count > 0) {
        return refuse_unfinished(c, err);
    }
    if (strcmp(c->settings->resume, "latest") == 0) {
        ts_log(TS_LOG_INFO, "no checkpoint in %s yet: starting from the beginning", folder);
        return TS_OK;
    }
    return ts_error_set(err, TS_ERR_ARGUMENT,
                        state->exists
                            ? "%s holds no checkpoint to go on from: a run there ended before it "
                              "saved one; without --resume-from-checkpoint it starts from the "
                              "beginning"
                            : "%s does not exist: there is no checkpoint to go on from",
                        folder);
}

// Whether `folder` is inside the output folder.
static bool is_within(const char *folder, const char *output_dir)
{
    char *inner = realpath(folder, NULL), *outer = realpath(output_dir, NULL);
    size_t len = outer != NULL ? strlen(outer) : 0;
    bool within = inner != NULL && len > 0 && strncmp(inner, outer, len) == 0 && inner[len] == '/';
    free(inner);
    free(outer);
    return within;
}

static ts_status choose_path(struct choice *c, ts_error *err)
{
    ts_status status = TS_OK;
    const char *folder = c->settings->resume;
    const ts_output_state *state = c->state;
    if (!ts_file_exists(folder)) {
        return refuse_missing(c, err);
    }
    bool own = is_within(folder, c->settings->output_dir);
    if (state->finished > 0 && c->steps <= state->finished) {
        return own ? stay_finished(c, err) : refuse_finished(c, err);
    }
    if (!own && (state->adapter || state->count > 0)) {
        return state->finished > 0 ? refuse_finished(c, err) : refuse_unfinished(c, err);
    }
    TS_TRY(ts_checkpoint_verify(folder, err));
    TS_TRY(ts_text_append(&c->plan->checkpoint, folder, strlen(folder), err));
    TS_TRY(check_record(c, err));
    warn_of_higher(c);
out:
    return status;
}

// Without --resume-from-checkpoint: a new run, or one that was finished and becomes longer.
static ts_status choose_new(struct choice *c, ts_error *err)
{
    const ts_output_state *state = c->state;
    ts_error other = {0};
    if (c->settings->overwrite) {
        c->plan->replaces = state->adapter || state->count > 0;
        return TS_OK;
    }
    if (state->finished > 0 && c->steps > state->finished && state->whole == state->finished &&
        go_on_from(c, state->whole, &other) == TS_OK) {
        return TS_OK;
    }
    ts_output_plan_free(c->plan);
    if (state->finished > 0) {
        return refuse_finished(c, err);
    }
    return state->adapter || state->count > 0 ? refuse_unfinished(c, err) : TS_OK;
}

ts_status ts_output_choose(const ts_train_settings *settings, const cJSON *record,
                           const ts_output_state *state, ts_output_plan *out, ts_error *err)
{
    struct choice c = {settings, record, state, out, steps_of(record)};
    const char *resume = settings->resume;
    ts_output_plan_free(out);
    if (resume == NULL) {
        return choose_new(&c, err);
    }
    return strcmp(resume, "latest") == 0 || strcmp(resume, TS_RESUME_LAST) == 0
               ? choose_latest(&c, err)
               : choose_path(&c, err);
}
