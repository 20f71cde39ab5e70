// devices --pipelines: what a device's compiler makes of every pipeline that training would use.
#include "base/json.h"
#include "base/memory.h"
#include "check/rehearse.h"
#include "cli/cli.h"

#include <math.h>
#include <stdio.h>

static const char *const heads[TS_FIGURE_COUNT] = {
    [TS_FIGURE_VECTOR_REGISTERS] = "VGPRs", [TS_FIGURE_SCALAR_REGISTERS] = "SGPRs",
    [TS_FIGURE_SPILLS] = "spills",          [TS_FIGURE_SCRATCH_BYTES] = "scratch",
    [TS_FIGURE_SHARED_BYTES] = "shared",    [TS_FIGURE_CODE_BYTES] = "code",
    [TS_FIGURE_INSTRUCTIONS] = "instrs",    [TS_FIGURE_WAVES] = "waves",
    [TS_FIGURE_LATENCY] = "latency",        [TS_FIGURE_INVERSE_THROUGHPUT] = "inverse"};

static void print_figures(const ts_pipeline_figures *figures)
{
    for (ts_figure figure = 0; figure < TS_FIGURE_COUNT; figure++) {
        double value = ts_rehearse_figure(figures, figure);
        if (isnan(value)) {
            printf("%8s", "-");
        } else {
            printf("%8.0f", value);
        }
    }
}

static ts_status print_table(ts_gpu *gpu, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text label = {0};
    ts_pipeline_figures figures;
    size_t count = ts_gpu_pipeline_count(gpu), spilling = 0, telling = 0;
    for (ts_figure figure = 0; figure < TS_FIGURE_COUNT; figure++) {
        printf("%8s", heads[figure]);
    }
    putchar('\n');
    for (size_t i = 0; i < count; i++) {
        ts_text_clear(&label);
        TS_TRY(ts_gpu_pipeline_figures(gpu, i, &figures, err));
        TS_TRY(ts_rehearse_label(ts_gpu_pipeline_key(gpu, i), &label, err));
        print_figures(&figures);
        printf("  %s\n", label.bytes);
        telling += figures.count > 0;
        spilling += ts_rehearse_figure(&figures, TS_FIGURE_SPILLS) > 0;
    }
    printf("%zu pipelines built", count);
    if (telling > 0) {
        printf(", %zu of them keep registers in memory", spilling);
    }
    putchar('\n');
out:
    ts_text_free(&label);
    return status;
}

static ts_status pipeline_json(ts_gpu *gpu, size_t index, cJSON *array, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text label = {0};
    ts_pipeline_figures figures;
    TS_TRY(ts_gpu_pipeline_figures(gpu, index, &figures, err));
    TS_TRY(ts_rehearse_label(ts_gpu_pipeline_key(gpu, index), &label, err));
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
    ts_status status = TS_OK;
    char *text = NULL;
    const ts_gpu_caps *caps = ts_gpu_capabilities(gpu);
    cJSON *json = cJSON_CreateObject(), *array = cJSON_CreateArray();
    cJSON_AddStringToObject(json, "device", caps->name);
    cJSON_AddStringToObject(json, "driver", caps->driver);
    cJSON_AddItemToObject(json, "pipelines", array);
    for (size_t i = 0; i < ts_gpu_pipeline_count(gpu); i++) {
        TS_TRY(pipeline_json(gpu, i, array, err));
    }
    text = cJSON_Print(json);
    if (text == NULL) {
        TS_FAIL(TS_ERR_MEMORY, "out of host memory");
    }
    puts(text);
out:
    cJSON_free(text);
    cJSON_Delete(json);
    return status;
}

ts_status ts_cli_print_pipelines(const ts_gpu_params *params, bool json, ts_error *err)
{
    ts_status status = TS_OK;
    ts_gpu *gpu = NULL;
    ts_gpu_params rehearsal = *params;
    rehearsal.rehearse = true;
    TS_TRY(ts_gpu_open(&rehearsal, &gpu, err));
    for (ts_precision p = TS_PRECISION_F32; p <= TS_PRECISION_BF16; p++) {
        if (ts_precision_offered(ts_gpu_capabilities(gpu), p)) {
            TS_TRY(ts_rehearse(gpu, p, err));
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
