#include "eval/runs.h"

#include "base/file.h"
#include "base/memory.h"

#include <math.h>
#include <stdlib.h>

static ts_status read_file(const char *folder, const char *name, cJSON **out, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text path = {0};
    TS_TRY(ts_path_join(folder, name, &path, err));
    if (ts_file_exists(path.bytes)) {
        TS_TRY(ts_json_parse_file(path.bytes, out, err));
    }
out:
    ts_text_free(&path);
    return status;
}

static double number_of(const cJSON *object, const char *key)
{
    const cJSON *value = ts_json_get(object, key);
    return cJSON_IsNumber(value) ? value->valuedouble : NAN;
}

// The entries with a loss are the points of the curve; the last entry has the summary.
static ts_status read_log(ts_run *run, ts_error *err)
{
    ts_status status = TS_OK;
    const cJSON *log = ts_json_get(run->state, "log_history"), *entry;
    if (!cJSON_IsArray(log)) {
        TS_FAIL(TS_ERR_FORMAT, "%s/trainer_state.json: expected a list 'log_history', found %s",
                run->folder, ts_json_kind(log));
    }
    size_t count = (size_t)cJSON_GetArraySize(log);
    TS_TRY(ts_alloc(count + 1, sizeof *run->step, &run->step, err));
    TS_TRY(ts_alloc(count + 1, sizeof *run->loss, &run->loss, err));
    cJSON_ArrayForEach(entry, log)
    {
        double step = number_of(entry, "step"), loss = number_of(entry, "loss");
        if (!isnan(step) && !isnan(loss)) {
            run->step[run->count] = step;
            run->loss[run->count++] = loss;
        }
        if (!isnan(number_of(entry, "train_loss"))) {
            run->train_loss = number_of(entry, "train_loss");
            run->seconds = number_of(entry, "train_runtime");
        }
    }
out:
    return status;
}

ts_status ts_run_open(const char *folder, ts_run *out, ts_error *err)
{
    ts_status status = TS_OK;
    *out = (ts_run){.folder = folder, .train_loss = NAN, .seconds = NAN};
    TS_TRY(read_file(folder, "trainer_state.json", &out->state, err));
    if (out->state == NULL) {
        TS_FAIL(TS_ERR_IO,
                "%s: there is no trainer_state.json: expected the --output-dir of a finished run",
                folder);
    }
    TS_TRY(read_file(folder, "training.json", &out->training, err));
    TS_TRY(read_file(folder, "evaluation.json", &out->evaluation, err));
    TS_TRY(read_log(out, err));
out:
    if (status != TS_OK) {
        ts_run_close(out);
    }
    return status;
}

void ts_run_close(ts_run *run)
{
    cJSON_Delete(run->training);
    cJSON_Delete(run->state);
    cJSON_Delete(run->evaluation);
    free(run->step);
    free(run->loss);
    *run = (ts_run){0};
}

const cJSON *ts_run_judged(const ts_run *run)
{
    const cJSON *held_out = ts_json_get(run->evaluation, "held_out");
    return cJSON_GetNumberValue(ts_json_get(held_out, "prompts")) > 0
               ? held_out
               : ts_json_get(run->evaluation, "seen");
}

const cJSON *ts_run_scores(const ts_run *run)
{
    const cJSON *tuned = ts_json_get(ts_run_judged(run), "tuned");
    return tuned != NULL ? tuned : ts_json_get(ts_run_judged(run), "base");
}
