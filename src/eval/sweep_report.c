// sweep.json and sweep.md.
#include "base/file.h"
#include "base/json.h"
#include "base/memory.h"
#include "eval/report.h"
#include "eval/sweep.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// ---- JSON

static void add_interval(cJSON *json, const char *key, const ts_interval *interval)
{
    cJSON *item = cJSON_AddObjectToObject(json, key);
    cJSON_AddNumberToObject(item, "mean", interval->mean); // NaN is written as null
    cJSON_AddNumberToObject(item, "low", interval->low);
    cJSON_AddNumberToObject(item, "high", interval->high);
}

static cJSON *values_json(const ts_sweep *sweep, size_t configuration)
{
    cJSON *json = cJSON_CreateObject();
    for (size_t a = 0; a < sweep->axis_count; a++) {
        cJSON_AddStringToObject(json, sweep->axes[a],
                                sweep->values[configuration * sweep->axis_count + a]);
    }
    return json;
}

static cJSON *run_json(const ts_sweep *sweep, const ts_sweep_run *run)
{
    cJSON *json = cJSON_CreateObject();
    cJSON_AddNumberToObject(json, "seed", (double)run->seed);
    cJSON_AddStringToObject(json, "folder", run->folder);
    if (run->failed != NULL) {
        cJSON_AddStringToObject(json, "failed", run->failed);
        return json;
    }
    cJSON_AddNumberToObject(json, "loss", run->loss);
    cJSON_AddNumberToObject(json, "seconds", run->seconds);
    cJSON *metrics = cJSON_AddObjectToObject(json, "metrics");
    for (size_t m = 0; m < sweep->metric_count; m++) {
        cJSON_AddNumberToObject(metrics, sweep->keys[m], run->metrics[m]);
    }
    return json;
}

static cJSON *configuration_json(const ts_sweep *sweep, size_t index)
{
    const ts_sweep_configuration *c = &sweep->configurations[index];
    cJSON *json = cJSON_CreateObject();
    cJSON_AddItemToObject(json, "values", values_json(sweep, index));
    add_interval(json, "loss", &c->loss);
    add_interval(json, "behind_best", &c->behind);
    cJSON *metrics = cJSON_AddObjectToObject(json, "metrics");
    for (size_t m = 0; m < sweep->metric_count; m++) {
        add_interval(metrics, sweep->keys[m], &c->metrics[m]);
    }
    cJSON *runs = cJSON_AddArrayToObject(json, "runs");
    for (size_t i = 0; i < sweep->run_count; i++) {
        if (sweep->runs[i].configuration == index) {
            cJSON_AddItemToArray(runs, run_json(sweep, &sweep->runs[i]));
        }
    }
    return json;
}

ts_status ts_sweep_json(const ts_sweep *sweep, ts_text *out, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text verdict = {0};
    char *text = NULL;
    cJSON *json = cJSON_CreateObject();
    const size_t best = ts_sweep_best(sweep), second = ts_sweep_second(sweep);
    TS_TRY(ts_sweep_verdict(sweep, &verdict, err));
    cJSON_AddStringToObject(json, "title", sweep->title);
    cJSON_AddStringToObject(json, "measure", sweep->measure);
    cJSON *axes = cJSON_AddArrayToObject(json, "axes");
    for (size_t a = 0; a < sweep->axis_count; a++) {
        cJSON_AddItemToArray(axes, cJSON_CreateString(sweep->axes[a]));
    }
    cJSON *list = cJSON_AddArrayToObject(json, "configurations"); // best first
    for (size_t i = 0; i < sweep->configuration_count; i++) {
        cJSON_AddItemToArray(list, configuration_json(sweep, sweep->order[i]));
    }
    cJSON_AddItemToObject(json, "best",
                          best != SIZE_MAX ? values_json(sweep, best) : cJSON_CreateNull());
    if (second != SIZE_MAX) {
        add_interval(json, "lead", &sweep->configurations[second].behind);
        bool known = !isnan(sweep->configurations[second].behind.low);
        cJSON_AddItemToObject(json, "lead_is_more_than_noise",
                              known ? cJSON_CreateBool(ts_sweep_leads(sweep)) : cJSON_CreateNull());
    }
    cJSON_AddStringToObject(json, "verdict", verdict.bytes);
    text = cJSON_Print(json);
    if (text == NULL) {
        TS_FAIL(TS_ERR_MEMORY, "out of host memory");
    }
    TS_TRY(ts_text_format(out, err, "%s\n", text));
out:
    cJSON_free(text);
    cJSON_Delete(json);
    ts_text_free(&verdict);
    return status;
}

// ---- Markdown

static ts_status add_cell(ts_text *out, const char *text, ts_error *err)
{
    ts_status status = ts_text_append(out, " ", 1, err);
    status = status == TS_OK ? ts_markdown_escape(text, strlen(text), out, err) : status;
    return status == TS_OK ? ts_text_append(out, " |", 2, err) : status;
}

static ts_status add_interval_cell(ts_text *out, const ts_interval *interval, double factor,
                                   int digits, ts_error *err)
{
    if (isnan(interval->mean)) {
        return ts_text_format(out, err, " - |");
    }
    if (isnan(interval->low)) {
        return ts_text_format(out, err, " %.*f |", digits, factor * interval->mean);
    }
    return ts_text_format(out, err, " %.*f (%.*f to %.*f) |", digits, factor * interval->mean,
                          digits, factor * interval->low, digits, factor * interval->high);
}

static ts_status add_heads(const ts_sweep *sweep, ts_text *out, ts_error *err)
{
    ts_status status = TS_OK;
    TS_TRY(ts_text_format(out, err, "|"));
    for (size_t a = 0; a < sweep->axis_count; a++) {
        TS_TRY(add_cell(out, sweep->axes[a], err));
    }
    TS_TRY(ts_text_format(out, err, " runs | %s | behind the best |", sweep->measure));
    for (size_t m = 0; m < sweep->metric_count; m++) {
        TS_TRY(ts_text_format(out, err, " %s, %% |", sweep->metrics[m]));
    }
    TS_TRY(ts_text_format(out, err, "\n|"));
    for (size_t i = 0; i < sweep->axis_count + 3 + sweep->metric_count; i++) {
        TS_TRY(ts_text_format(out, err, "---|"));
    }
    TS_TRY(ts_text_format(out, err, "\n"));
out:
    return status;
}

static ts_status add_configuration(const ts_sweep *sweep, size_t index, ts_text *out, ts_error *err)
{
    ts_status status = TS_OK;
    const ts_sweep_configuration *c = &sweep->configurations[index];
    TS_TRY(ts_text_format(out, err, "|"));
    for (size_t a = 0; a < sweep->axis_count; a++) {
        TS_TRY(add_cell(out, sweep->values[index * sweep->axis_count + a], err));
    }
    TS_TRY(ts_text_format(out, err, " %zu", c->finished));
    if (c->failed > 0) {
        TS_TRY(ts_text_format(out, err, ", %zu failed", c->failed));
    }
    TS_TRY(ts_text_format(out, err, " |"));
    TS_TRY(add_interval_cell(out, &c->loss, 1, 4, err));
    TS_TRY(add_interval_cell(out, &c->behind, 1, 4, err));
    for (size_t m = 0; m < sweep->metric_count; m++) {
        TS_TRY(add_interval_cell(out, &c->metrics[m], 100, 0, err));
    }
    TS_TRY(ts_text_format(out, err, "\n"));
out:
    return status;
}

static ts_status add_runs(const ts_sweep *sweep, ts_text *out, ts_error *err)
{
    ts_status status = TS_OK;
    TS_TRY(ts_text_format(out, err, "\n## Runs\n\n| folder | %s | minutes | |\n|---|---|---|---|\n",
                          sweep->measure));
    for (size_t i = 0; i < sweep->run_count; i++) {
        const ts_sweep_run *run = &sweep->runs[i];
        TS_TRY(ts_text_format(out, err, "|"));
        TS_TRY(add_cell(out, run->folder, err));
        if (run->failed != NULL) {
            TS_TRY(ts_text_format(out, err, " - | - |"));
            TS_TRY(add_cell(out, run->failed, err));
        } else if (isnan(run->seconds)) {
            TS_TRY(ts_text_format(out, err, " %.4f | - | |", run->loss));
        } else {
            TS_TRY(ts_text_format(out, err, " %.4f | %.2f | |", run->loss, run->seconds / 60));
        }
        TS_TRY(ts_text_format(out, err, "\n"));
    }
out:
    return status;
}

static const char notes[] =
    "\n"
    "In brackets: where the mean over many seeds would lie, with 95 % confidence (Student's t over "
    "the seeds that ran). What a configuration is behind the best is taken seed by seed, since "
    "runs "
    "of one seed share the order of the rows and which of them are held out. The best of many is "
    "chosen after looking, so its figures flatter it a little; a run of it with another seed does "
    "not. Shares are those of the answers to prompts that training did not see.\n";

ts_status ts_sweep_markdown(const ts_sweep *sweep, ts_text *out, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text verdict = {0};
    TS_TRY(ts_sweep_verdict(sweep, &verdict, err));
    TS_TRY(ts_text_format(out, err, "# "));
    TS_TRY(ts_markdown_escape(sweep->title, strlen(sweep->title), out, err));
    TS_TRY(ts_text_format(out, err, "\n\n"));
    TS_TRY(ts_markdown_escape(verdict.bytes, verdict.len, out, err));
    TS_TRY(ts_text_format(out, err, "\n\n![The configurations and their losses](sweep.png)\n\n"));
    TS_TRY(add_heads(sweep, out, err));
    for (size_t i = 0; i < sweep->configuration_count; i++) {
        TS_TRY(add_configuration(sweep, sweep->order[i], out, err));
    }
    TS_TRY(ts_text_append(out, notes, strlen(notes), err));
    TS_TRY(add_runs(sweep, out, err));
out:
    ts_text_free(&verdict);
    return status;
}

// ---- Files

ts_status ts_sweep_write(const ts_sweep *sweep, const char *folder, ts_error *err)
{
    static const struct {
        const char *name;
        ts_status (*make)(const ts_sweep *, ts_text *, ts_error *);
    } files[] = {{"sweep.png", ts_sweep_png},
                 {"sweep.md", ts_sweep_markdown},
                 {"sweep.json", ts_sweep_json}};
    ts_status status = TS_OK;
    ts_text text = {0};
    TS_TRY(ts_folder_make(folder, err));
    for (size_t i = 0; i < TS_COUNT(files); i++) {
        ts_text_free(&text);
        TS_TRY(files[i].make(sweep, &text, err));
        TS_TRY(ts_file_write_in(folder, files[i].name, text.bytes, text.len, ts_file_write, err));
    }
out:
    ts_text_free(&text);
    return status;
}
