// compare: several runs beside each other, in a table and in one picture of their losses.
#include "base/file.h"
#include "base/json.h"
#include "base/memory.h"
#include "cli/cli.h"
#include "cli/table.h"
#include "eval/runs.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { MOST_RUNS = TS_PLOT_MOST_RUNS, CELLS = MOST_RUNS + 1 };

static struct {
    const char *folders[MOST_RUNS], *png;
    bool json;
} asked;

struct comparison {
    ts_run runs[MOST_RUNS];
    size_t count;
    ts_column columns[CELLS];
    bool measuring; // true: rows only widen the columns; false: they are printed
    cJSON *rows;    // not NULL: rows are added to it instead
};

// ---- Rows

static void add_row(struct comparison *c, char cells[][TS_TABLE_CELL])
{
    if (c->rows != NULL) {
        cJSON *row = cJSON_CreateObject(), *values = cJSON_CreateArray();
        cJSON_AddStringToObject(row, "name", cells[0]);
        cJSON_AddItemToObject(row, "values", values);
        for (size_t i = 0; i < c->count; i++) {
            cJSON_AddItemToArray(values, cJSON_CreateString(cells[i + 1]));
        }
        cJSON_AddItemToArray(c->rows, row);
    } else if (c->measuring) {
        for (size_t i = 0; i <= c->count; i++) {
            ts_table_widen(&c->columns[i], cells[i]);
        }
    } else {
        ts_table_row(stdout, c->columns, c->count + 1, cells);
    }
}

// A number as it is written by hand: 5e-05, 0.1, 3.
static void put_json(char cell[TS_TABLE_CELL], const cJSON *value)
{
    char *text = value != NULL && !cJSON_IsNull(value) ? cJSON_PrintUnformatted(value) : NULL;
    if (cJSON_IsString(value)) {
        snprintf(cell, TS_TABLE_CELL, "%s", value->valuestring);
    } else if (cJSON_IsNumber(value)) {
        snprintf(cell, TS_TABLE_CELL, "%.10g", value->valuedouble);
    } else {
        snprintf(cell, TS_TABLE_CELL, "%s", text != NULL ? text : "-");
    }
    cJSON_free(text);
}

static bool differs(const struct comparison *c, const char *key)
{
    const cJSON *first = ts_json_get(c->runs[0].training, key);
    for (size_t i = 1; i < c->count; i++) {
        const cJSON *other = ts_json_get(c->runs[i].training, key);
        if ((first == NULL) != (other == NULL) ||
            (first != NULL && !cJSON_Compare(first, other, true))) {
            return true;
        }
    }
    return false;
}

// Whether the table shows a setting: not one that follows from others, nor a hash.
static bool is_shown_setting(const char *key)
{
    static const char *const passed_over[] = {"steps", "steps_per_epoch", "micro_batch_size"};
    for (size_t i = 0; i < TS_COUNT(passed_over); i++) {
        if (strcmp(key, passed_over[i]) == 0) {
            return false;
        }
    }
    return strstr(key, "sha256") == NULL && strstr(key, "fingerprint") == NULL;
}

static void add_settings(struct comparison *c)
{
    // Every key gets one row, which the first run that has the key adds.
    for (size_t r = 0; r < c->count; r++) {
        const cJSON *item;
        cJSON_ArrayForEach(item, c->runs[r].training)
        {
            bool shown = !is_shown_setting(item->string) || !differs(c, item->string);
            for (size_t before = 0; before < r && !shown; before++) {
                shown = ts_json_get(c->runs[before].training, item->string) != NULL;
            }
            char cells[CELLS][TS_TABLE_CELL] = {{0}};
            snprintf(cells[0], sizeof cells[0], "%s", item->string);
            for (size_t i = 0; i < c->count; i++) {
                put_json(cells[i + 1], ts_json_get(c->runs[i].training, item->string));
            }
            if (!shown) {
                add_row(c, cells);
            }
        }
    }
}

// Adds a row with one number for each run; no row where no run has the number.
static void add_numbers(struct comparison *c, const char *name, const char *format,
                        double (*of)(const ts_run *run))
{
    char cells[CELLS][TS_TABLE_CELL] = {{0}};
    bool any = false;
    snprintf(cells[0], sizeof cells[0], "%s", name);
    for (size_t i = 0; i < c->count; i++) {
        double value = of(&c->runs[i]);
        any |= !isnan(value);
        snprintf(cells[i + 1], sizeof cells[0], isnan(value) ? "-" : format, value);
    }
    if (any) {
        add_row(c, cells);
    }
}

static double steps_of(const ts_run *run)
{
    return cJSON_GetNumberValue(ts_json_get(run->state, "global_step"));
}
static double epochs_of(const ts_run *run)
{
    return cJSON_GetNumberValue(ts_json_get(run->state, "epoch"));
}
static double first_loss(const ts_run *run)
{
    return run->count > 0 ? run->loss[0] : NAN;
}
static double last_loss(const ts_run *run)
{
    return run->count > 0 ? run->loss[run->count - 1] : NAN;
}
static double mean_loss(const ts_run *run)
{
    return run->train_loss;
}
static double minutes_of(const ts_run *run)
{
    return run->seconds / 60;
}

// ---- What eval wrote

static double reference_loss(const ts_run *run)
{
    return cJSON_GetNumberValue(ts_json_get(ts_run_scores(run), "loss"));
}

static void put_rate(char cell[TS_TABLE_CELL], const cJSON *rate)
{
    double yes = cJSON_GetNumberValue(ts_json_get(rate, "yes"));
    double of = cJSON_GetNumberValue(ts_json_get(rate, "of"));
    if (of > 0) {
        snprintf(cell, TS_TABLE_CELL, "%.0f of %.0f", yes, of);
    } else {
        snprintf(cell, TS_TABLE_CELL, "-");
    }
}

static void add_rates(struct comparison *c)
{
    const cJSON *rates = NULL, *rate;
    for (size_t i = 0; i < c->count && rates == NULL; i++) {
        rates = ts_json_get(ts_run_scores(&c->runs[i]), "rates");
    }
    cJSON_ArrayForEach(rate, rates)
    {
        char cells[CELLS][TS_TABLE_CELL] = {{0}};
        const char *label = cJSON_GetStringValue(ts_json_get(rate, "label"));
        snprintf(cells[0], sizeof cells[0], "%s", label != NULL ? label : rate->string);
        for (size_t i = 0; i < c->count; i++) {
            put_rate(cells[i + 1],
                     ts_json_get(ts_json_get(ts_run_scores(&c->runs[i]), "rates"), rate->string));
        }
        add_row(c, cells);
    }
}

static void add_rows(struct comparison *c)
{
    add_settings(c);
    add_numbers(c, "steps", "%.0f", steps_of);
    add_numbers(c, "epochs", "%.3g", epochs_of);
    add_numbers(c, "minutes", "%.3g", minutes_of);
    add_numbers(c, "first mean loss", "%.4f", first_loss);
    add_numbers(c, "final mean loss", "%.4f", last_loss);
    add_numbers(c, "mean loss of all steps", "%.4f", mean_loss);
    add_numbers(c, "loss on references", "%.4f", reference_loss);
    add_rates(c);
}

// ---- Output

static void print_table(struct comparison *c)
{
    c->columns[0] = (ts_column){"", 0, true};
    for (size_t i = 0; i < c->count; i++) {
        c->columns[i + 1] = (ts_column){c->runs[i].folder, 0, false};
        ts_table_widen(&c->columns[i + 1], c->runs[i].folder);
    }
    c->measuring = true;
    add_rows(c);
    c->measuring = false;
    ts_table_head(stdout, c->columns, c->count + 1);
    add_rows(c);
}

static ts_status print_json(struct comparison *c, ts_error *err)
{
    cJSON *json = cJSON_CreateObject(), *runs = cJSON_AddArrayToObject(json, "runs");
    for (size_t i = 0; i < c->count; i++) {
        const ts_run *run = &c->runs[i];
        cJSON *item = cJSON_CreateObject();
        cJSON_AddStringToObject(item, "folder", run->folder);
        cJSON_AddItemToObject(item, "step", cJSON_CreateDoubleArray(run->step, (int)run->count));
        cJSON_AddItemToObject(item, "loss", cJSON_CreateDoubleArray(run->loss, (int)run->count));
        cJSON_AddNumberToObject(item, "train_loss", run->train_loss);
        cJSON_AddItemToObject(item, "settings", cJSON_Duplicate(run->training, true));
        cJSON_AddItemToObject(item, "evaluation", cJSON_Duplicate(ts_run_judged(run), true));
        cJSON_AddItemToArray(runs, item);
    }
    c->rows = cJSON_AddArrayToObject(json, "table");
    add_rows(c);
    return ts_cli_print_json(json, err);
}

static ts_status draw(const struct comparison *c, const char *path, ts_error *err)
{
    ts_curve curves[MOST_RUNS] = {{0}};
    for (size_t i = 0; i < c->count; i++) {
        curves[i].title = c->runs[i].folder;
        curves[i].count = c->runs[i].count;
        curves[i].step = c->runs[i].step;
        curves[i].loss = c->runs[i].loss;
    }
    ts_status status = ts_plot_write_runs(curves, c->count, path, err);
    if (status == TS_OK) {
        ts_cli_say(stderr, "written: %s\n", path);
    }
    return status;
}

// ---- The command

static const ts_flag flags[] = {
    {"png", NULL, TS_FLAG_TEXT, &asked.png, "FILE", "draw the runs' losses in one picture"},
    TS_CLI_JSON_FLAG(&asked.json),
    TS_CLI_VERBOSE_FLAG,
};

static int run(int argc, char **argv)
{
    ts_status status = TS_OK;
    ts_error error = {0}, *err = &error;
    struct comparison c = {0};
    TS_TRY(ts_flags_parse(&ts_command_compare, argc, argv, err));
    if (asked.folders[0] == NULL) {
        TS_FAIL(TS_ERR_ARGUMENT, "compare needs the folders of runs: tinysft-vk compare OUT OUT");
    }
    for (; c.count < MOST_RUNS && asked.folders[c.count] != NULL; c.count++) {
        TS_TRY(ts_run_open(asked.folders[c.count], &c.runs[c.count], err));
    }
    if (asked.json) {
        TS_TRY(print_json(&c, err));
    } else {
        print_table(&c);
    }
    if (asked.png != NULL) {
        TS_TRY(draw(&c, asked.png, err));
    }
out:
    for (size_t i = 0; i < c.count; i++) {
        ts_run_close(&c.runs[i]);
    }
    return status == TS_OK ? 0 : ts_cli_fail(&ts_command_compare, err);
}

const ts_command ts_command_compare = {
    .name = "compare",
    .summary = "set several runs beside each other: settings that differ, losses, evaluations",
    .usage = "OUT [OUT ...] [--png FILE] [--json]",
    .notes =
        "Shown are the settings in which the runs differ, the mean loss over the first and the "
        "last interval of each log, and what eval measured where it left evaluation.json.",
    .argument = "OUT",
    .arguments = asked.folders,
    .most_arguments = MOST_RUNS,
    .flags = flags,
    .flag_count = TS_COUNT(flags),
    .run = run,
};
