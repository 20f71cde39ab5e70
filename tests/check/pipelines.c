// Rehearsals build pipelines and nothing else: they take no memory and run nothing.
#include "check/pipelines.h"
#include "base/memory.h"
#include "device.h"
#include "gpu/internal.h"

#include <math.h>
#include <string.h>

Test(pipelines, builds_what_training_and_decoding_use)
{
    ts_gpu *gpu = NULL;
    ts_text labels = {0};
    MUST(ts_gpu_open(&(ts_gpu_params){.device = "0", .compile_only = true}, &gpu, err));
    const ts_gpu_caps *caps = ts_gpu_capabilities(gpu);
    char decoding[64] = "attention_decode dim=64";
    if (ts_gpu_is_simd(caps)) { // attention_simd decodes, and only for that it has one row a lane
        snprintf(decoding, sizeof decoding, "attention_simd dim=64 lanes=%u per_lane=1 ",
                 caps->subgroup_size);
    }
    const char *const used[] = {"embed BF16", "adamw",  "attention_backward_kv", " Q8_0 ", decoding,
                                "argmax",     "dropout"};
    MUST(ts_pipelines_build(gpu, TS_PRECISION_F32, err));
    cr_assert_gt(ts_gpu_pipeline_count(gpu), 30);
    cr_assert_eq(gpu->allocated_bytes, 0);
    for (size_t i = 0; i < ts_gpu_pipeline_count(gpu); i++) {
        ts_pipeline_figures figures;
        MUST(ts_gpu_pipeline_figures(gpu, i, &figures, err));
        MUST(ts_pipelines_label(ts_gpu_pipeline_key(gpu, i), &labels, err));
        MUST(ts_text_format(&labels, err, "\n"));
    }
    for (size_t i = 0; i < TS_COUNT(used); i++) {
        cr_assert_not_null(strstr(labels.bytes, used[i]), "no %s in\n%s", used[i], labels.bytes);
    }
    ts_text_free(&labels);
    test_gpu_close(gpu);
}

Test(pipelines, finds_figures_under_each_drivers_names)
{
    const ts_pipeline_figures radv = {
        .items = {{"SGPRs", 32}, {"VGPRs", 44}, {"Spilled SGPRs", 2}, {"Spilled VGPRs", 3}},
        .count = 4};
    const ts_pipeline_figures other = {.items = {{"Spill Count", 7}}, .count = 1};
    const ts_pipeline_figures nvk = {
        .items = {{"Number of GPRs", 48}, {"Spills to memory", 4}, {"Static cycle count", 9000}},
        .count = 3};
    const ts_pipeline_figures turnip = {
        .items = {{"Registers used", 16}, {"STP Count", 2}, {"Instruction Count", 500}},
        .count = 3};
    cr_assert_eq(ts_pipelines_figure(&radv, TS_FIGURE_VECTOR_REGISTERS), 44);
    cr_assert_eq(ts_pipelines_figure(&radv, TS_FIGURE_SPILLS), 5);
    cr_assert_eq(ts_pipelines_figure(&other, TS_FIGURE_SPILLS), 7);
    cr_assert(isnan(ts_pipelines_figure(&other, TS_FIGURE_LATENCY)));
    cr_assert_eq(ts_pipelines_figure(&nvk, TS_FIGURE_VECTOR_REGISTERS), 48);
    cr_assert_eq(ts_pipelines_figure(&nvk, TS_FIGURE_SPILLS), 4);
    cr_assert_eq(ts_pipelines_figure(&nvk, TS_FIGURE_LATENCY), 9000);
    cr_assert_eq(ts_pipelines_figure(&turnip, TS_FIGURE_VECTOR_REGISTERS), 16);
    cr_assert_eq(ts_pipelines_figure(&turnip, TS_FIGURE_SPILLS), 2);
    cr_assert_eq(ts_pipelines_figure(&turnip, TS_FIGURE_INSTRUCTIONS), 500);
}
