// devices --pipelines: what a device's compiler makes of every pipeline that training would use.
#include "check/pipelines.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/terminal.h"
#include "cli/cli.h"
#include "cli/table.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

static const char *const heads[TS_FIGURE_COUNT] = {
    [TS_FIGURE_VECTOR_REGISTERS] = "VGPRs", [TS_FIGURE_SCALAR_REGISTERS] = "SGPRs",
    [TS_FIGURE_SPILLS] = "spills",          [TS_FIGURE_SCRATCH_BYTES] = "scratch",
    [TS_FIGURE_SHARED_BYTES] = "shared",    [TS_FIGURE_CODE_BYTES] = "code",
    [TS_FIGURE_INSTRUCTIONS] = "instrs",    [TS_FIGURE_WAVES] = "waves",
    [TS_FIGURE_LATENCY] = "latency",        [TS_FIGURE_INVERSE_THROUGHPUT] = "inverse"};

enum { COLUMNS = TS_FIGURE_COUNT + 1 };

static bool is_told(ts_gpu *gpu, ts_figure figure)
{
    bool told = false;
    for (size_t i = 0; i < ts_gpu_pipeline_count(gpu) && !told; i++) {
        ts_pipeline_figures figures;
        ts_error ignored = {0};
        told = ts_gpu_pipeline_figures(gpu, i, &figures, &ignored) == TS_OK &&
               !isnan(ts_pipelines_figure(&figures, figure));
    }
    return told;
}

// The columns of the figures, then that of the pipeline. A terminal has little room, so figures
// that this driver does not report have no column there; otherwise all have one.
static size_t choose_columns(ts_gpu *gpu, ts_column columns[COLUMNS], ts_figure figures[COLUMNS])
{
    size_t chosen = 0;
    for (ts_figure figure = 0; figure < TS_FIGURE_COUNT; figure++) {
        if (ts_terminal_columns(stdout) == 0 || is_told(gpu, figure)) {
            figures[chosen] = figure;
            columns[chosen++] = (ts_column){heads[figure], 7, false};
        }
    }
    columns[chosen] = (ts_column){"pipeline", 0, true};
    return chosen + 1;
}

static ts_status print_pipeline(ts_gpu *gpu, size_t index, const ts_column *columns, size_t count,
                                const ts_figure *shown, ts_pipeline_figures *figures, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text label = {0};
    char cells[COLUMNS][TS_TABLE_CELL];
    TS_TRY(ts_gpu_pipeline_figures(gpu, index, figures, err));
    TS_TRY(ts_pipelines_label(ts_gpu_pipeline_key(gpu, index), &label, err));
    for (size_t i = 0; i + 1 < count; i++) {
        double value = ts_pipelines_figure(figures, shown[i]);
        snprintf(cells[i], sizeof cells[i], isnan(value) ? "-" : "%.0f", value);
    }
    snprintf(cells[count - 1], sizeof cells[0], "%s", label.bytes);
    ts_table_row(stdout, columns, count, cells);
out:
    ts_text_free(&label);
    return status;
}

static ts_status print_table(ts_gpu *gpu, ts_error *err)
{
    ts_status status = TS_OK;
    ts_pipeline_figures figures;
    ts_column columns[COLUMNS];
    ts_figure shown[COLUMNS];
    size_t columns_count = choose_columns(gpu, columns, shown);
    size_t count = ts_gpu_pipeline_count(gpu), spilling = 0, telling = 0;
    ts_table_head(stdout, columns, columns_count);
    for (size_t i = 0; i < count; i++) {
        TS_TRY(print_pipeline(gpu, i, columns, columns_count, shown, &figures, err));
        telling += figures.count > 0;
        spilling += ts_pipelines_figure(&figures, TS_FIGURE_SPILLS) > 0;
    }
    printf("%zu pipeline%s built", count, ts_plural(count));
    if (telling > 0) {
        printf(", %zu of them keep registers in memory", spilling);
    }
    putchar('\n');
out:
    return status;
}

static ts_status pipeline_json(ts_gpu *gpu, size_t index, cJSON *array, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text label = {0};
    ts_pipeline_figures figures;
    TS_TRY(ts_gpu_pipeline_figures(gpu, index, &figures, err));
    TS_TRY(ts_pipelines_label(ts_gpu_pipeline_key(gpu, index), &label, err));
    cJSON *item = cJSON_CreateObject();
    cJSON_AddItemToArray(array, item);
    cJSON_AddStringToObject(item, "pipeline", label.bytes);
    for (size_t i = 0; i < figures.count; i++) {
        cJSON_AddNumberToObject(item, figures.items[i].name, figures.items[i].value);
    }
out:
    ts_text_free(&label);
    return status;
}

static ts_status print_json(ts_gpu *gpu, ts_error *err)
{
    const ts_gpu_caps *caps = ts_gpu_capabilities(gpu);
    cJSON *json = cJSON_CreateObject(), *array = cJSON_CreateArray();
    cJSON_AddStringToObject(json, "device", caps->name);
    cJSON_AddStringToObject(json, "driver", caps->driver);
    cJSON_AddItemToObject(json, "pipelines", array);
    for (size_t i = 0; i < ts_gpu_pipeline_count(gpu); i++) {
        ts_status status = pipeline_json(gpu, i, array, err);
        if (status != TS_OK) {
            cJSON_Delete(json);
            return status;
        }
    }
    return ts_cli_print_json(json, err);
}

// How many barriers a step has, then a line that begins with "==" for each pipeline of a step, its
// figures and its label; then its compiler's listing. tools/estimate_step.awk reads it.
static ts_status print_step(ts_gpu *gpu, ts_precision precision, uint32_t tokens, ts_error *err)
{
    ts_status status = TS_OK;
    uint32_t subgroup;
    ts_step_plan plan = {0};
    ts_text label = {0}, listing = {0};
    TS_TRY(ts_step_plan_make(gpu, precision, tokens, &plan, err));
    printf("%" PRIu64 " barriers\n", plan.barriers);
    for (size_t i = 0; i < plan.count; i++) {
        const ts_step_part *part = &plan.parts[i];
        if (part->dispatches == 0) {
            continue;
        }
        ts_text_clear(&label);
        ts_text_clear(&listing);
        TS_TRY(ts_pipelines_label(ts_gpu_pipeline_key(gpu, i), &label, err));
        TS_TRY(ts_gpu_pipeline_listing(gpu, i, &listing, err));
        TS_TRY(ts_gpu_pipeline_subgroup(gpu, i, &subgroup, err));
        printf("== dispatches %u subgroup %u invocations %u workgroups %" PRIu64 " loops %" PRIu64
               " longest %" PRIu64 " serial %" PRIu64 " inner %" PRIu64 " bytes %" PRIu64
               " pipeline %s\n",
               part->dispatches, subgroup, part->invocations, part->workgroups, part->loops,
               part->longest, part->serial, part->inner, part->bytes, label.bytes);
        printf("%s\n", listing.bytes != NULL ? listing.bytes : "");
    }
out:
    ts_step_plan_free(&plan);
    ts_text_free(&label);
    ts_text_free(&listing);
    return status;
}

ts_status ts_cli_print_step(const ts_gpu_params *params, const char *precision_name,
                            uint32_t tokens, ts_error *err)
{
    ts_status status = TS_OK;
    ts_gpu *gpu = NULL;
    ts_precision precision;
    ts_gpu_params compile_only = *params;
    compile_only.compile_only = compile_only.listings = true;
    TS_TRY(ts_gpu_open(&compile_only, &gpu, err));
    const ts_gpu_caps *caps = ts_gpu_capabilities(gpu);
    TS_TRY(ts_precision_choose(precision_name, caps, &precision, err));
    printf("%s (%s), %s, %u tokens\n", caps->name, caps->driver, ts_precision_name(precision),
           tokens);
    TS_TRY(print_step(gpu, precision, tokens, err));
out:
    ts_gpu_close(gpu);
    return status;
}

ts_status ts_cli_print_pipelines(const ts_gpu_params *params, bool json, ts_error *err)
{
    ts_status status = TS_OK;
    ts_gpu *gpu = NULL;
    ts_gpu_params compile_only = *params;
    compile_only.compile_only = true;
    if (!json) {
        ts_cli_say(stderr,
                   "building every pipeline that training uses: some seconds, or a minute where "
                   "the driver has not built them before\n");
    }
    TS_TRY(ts_gpu_open(&compile_only, &gpu, err));
    for (ts_precision p = TS_PRECISION_F32; p <= TS_PRECISION_BF16; p++) {
        if (ts_precision_offered(ts_gpu_capabilities(gpu), p)) {
            TS_TRY(ts_pipelines_build(gpu, p, err));
        }
    }
    if (!json) {
        printf("%s (%s)\n", ts_gpu_capabilities(gpu)->name, ts_gpu_capabilities(gpu)->driver);
    }
    TS_TRY((json ? print_json : print_table)(gpu, err));
out:
    ts_gpu_close(gpu);
    return status;
}
