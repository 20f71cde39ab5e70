#include "check/bench.h"

#include "base/memory.h"
#include "base/progress.h"
#include "model/pass.h"
#include "ops/gemm.h"
#include "ops/shaders.h"
#include "train/optimiser.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PROBE_INVOCATIONS = 64 * 256, FLOPS_PER_ITERATION = 384, COPY_BYTES = 64 << 20 };
static const double SHORTEST_SECONDS = 0.15; // of a timing; what is quicker is repeated

struct bench {
    const ts_bench_params *params;
    ts_bench_result *result;
    ts_gpu *gpu;
    ts_recorder *recorder; // of peaks and products
    ts_gpu_arena arena;
    ts_view a, b, c, probe, from, to;
    ts_rounding rounding; // of products
    uint32_t iterations;
};

static void say(const struct bench *bench, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void say(const struct bench *bench, const char *format, ...)
{
    char text[128];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (bench->params->progress != NULL) {
        bench->params->progress(bench->params->user, text);
    }
}

static ts_bench_row *add_row(struct bench *bench, double flops, uint32_t tokens, const char *format,
                             ...) __attribute__((format(printf, 4, 5)));
static ts_bench_row *add_row(struct bench *bench, double flops, uint32_t tokens, const char *format,
                             ...)
{
    ts_bench_row *row = &bench->result->rows[bench->result->count++];
    va_list args;
    va_start(args, format);
    vsnprintf(row->name, sizeof row->name, format, args);
    va_end(args);
    row->flops = flops;
    row->tokens = tokens;
    return row;
}

// ---- Peaks (shaders/probe_*.comp), measured again before every timing: the same clock, the same
// neighbours

static ts_status run_probe(struct bench *bench, const char *name, const ts_view *views,
                           uint32_t view_count, uint32_t push, uint32_t groups, double *seconds,
                           ts_error *err)
{
    const struct ts_shader *shader = ts_shader_table;
    while (strcmp(shader->name, name) != 0) {
        shader++;
    }
    ts_dispatch dispatch = {.pipeline = {.words = shader->words,
                                         .word_bytes = shader->bytes,
                                         .name = shader->name,
                                         .binding_count = view_count},
                            .access = {TS_READ_WRITE, TS_WRITE},
                            .view_count = view_count,
                            .push = {push},
                            .push_count = 1,
                            .groups = {groups, 1, 1}};
    memcpy(dispatch.views, views, view_count * sizeof *views);
    double started_s = ts_clock_s();
    ts_recorder_dispatch(bench->recorder, &dispatch);
    ts_status status = ts_recorder_run(bench->recorder, err);
    *seconds = ts_clock_s() - started_s;
    return status;
}

static ts_status time_peaks(struct bench *bench, ts_error *err)
{
    ts_status status = TS_OK;
    double seconds = 0;
    ts_bench_result *result = bench->result;
    const ts_view copied[] = {bench->from, bench->to};
    TS_TRY(run_probe(bench, "probe_fma", &bench->probe, 1, bench->iterations,
                     PROBE_INVOCATIONS / 64, &seconds, err));
    double flops = (double)bench->iterations * FLOPS_PER_ITERATION * PROBE_INVOCATIONS;
    result->flops_per_second = fmax(result->flops_per_second, flops / seconds);
    TS_TRY(
        run_probe(bench, "probe_copy", copied, 2, 0, COPY_BYTES / (64 * 16 * 16), &seconds, err));
    result->bytes_per_second = fmax(result->bytes_per_second, 2.0 * COPY_BYTES / seconds);
out:
    return status;
}

// Iterations until one run of the probe takes long enough to be timed.
static ts_status size_probe(struct bench *bench, ts_error *err)
{
    enum { MOST_ITERATIONS = 1 << 15 }; // llvmpipe leaves a loop after 65,535 rounds
    ts_status status = TS_OK;
    double seconds = 0;
    for (bench->iterations = 64; bench->iterations < MOST_ITERATIONS; bench->iterations *= 2) {
        TS_TRY(run_probe(bench, "probe_fma", &bench->probe, 1, bench->iterations,
                         PROBE_INVOCATIONS / 64, &seconds, err));
        if (seconds >= SHORTEST_SECONDS && bench->iterations > 64) { // the first built the pipeline
            break;
        }
    }
    TS_TRY(time_peaks(bench, err));
    bench->result->flops_per_second = bench->result->bytes_per_second = 0; // that one was cold
out:
    return status;
}

// ---- Products

// One weight of TinyLlama's, forward or backward, on `rows` tokens.
static ts_status time_product(struct bench *bench, ts_layout layout, uint32_t rows, uint32_t out,
                              uint32_t in, ts_error *err)
{
    ts_status status = TS_OK;
    uint32_t n = layout == TS_NT ? out : in, k = layout == TS_NT ? in : out, times = 1;
    ts_bench_row *row =
        add_row(bench, 2.0 * rows * out * in, 0, "%s %4u x %5u x %5u",
                layout == TS_NT ? "y = x W^T  (NT)" : "dx = dy W  (NN)", rows, n, k);
    row->seconds = INFINITY;
    for (uint32_t round = 0; round <= bench->params->rounds; round++) {
        TS_TRY(time_peaks(bench, err));
        double started_s = ts_clock_s();
        for (uint32_t i = 0; i < times; i++) {
            ts_matmul_rounded(bench->recorder, &bench->rounding, layout, rows, n, k, bench->a,
                              bench->b, bench->c, 1, false);
        }
        TS_TRY(ts_recorder_run(bench->recorder, err));
        double seconds = (ts_clock_s() - started_s) / times;
        if (round > 0) { // the first built the pipeline
            row->seconds = fmin(row->seconds, seconds);
        }
        times = seconds < SHORTEST_SECONDS ? (uint32_t)ceil(SHORTEST_SECONDS / seconds) : 1;
    }
out:
    return status;
}

static ts_status fill(struct bench *bench, ts_error *err)
{
    enum { MOST_ROWS = 512, WIDEST = 5632, HIDDEN = 2048 };
    ts_status status = TS_OK;
    const size_t activations = (size_t)MOST_ROWS * WIDEST, weights = (size_t)WIDEST * HIDDEN;
    float *values = NULL;
    uint16_t *halves = NULL;
    const struct {
        ts_view *view;
        ts_dtype dtype;
        size_t count;
    } wishes[] = {{&bench->a, TS_F32, activations},
                  {&bench->b, TS_BF16, weights},
                  {&bench->c, TS_F32, activations},
                  {&bench->rounding.largest_a, TS_F32, 256},
                  {&bench->rounding.largest_b, TS_F32, 256},
                  {&bench->probe, TS_F32, PROBE_INVOCATIONS},
                  {&bench->from, TS_F32, COPY_BYTES / sizeof(float)},
                  {&bench->to, TS_F32, COPY_BYTES / sizeof(float)}};
    bench->rounding.precision = bench->params->precision;
    for (size_t i = 0; i < TS_COUNT(wishes); i++) {
        TS_TRY(ts_gpu_alloc(&bench->arena, wishes[i].dtype, wishes[i].count, wishes[i].view, err));
    }
    size_t most = COPY_BYTES / sizeof *values;
    TS_TRY(ts_alloc(most, sizeof *values, &values, err));
    TS_TRY(ts_alloc(weights, sizeof *halves, &halves, err));
    for (size_t i = 0; i < most; i++) {
        values[i] = (float)(i % 1009) / 1009 - 0.5f;
    }
    for (size_t i = 0; i < weights; i++) {
        halves[i] = ts_f32_to_bf16(values[i % most]);
    }
    TS_TRY(ts_gpu_upload(bench->gpu, bench->a, values, bench->a.bytes, err));
    TS_TRY(ts_gpu_upload(bench->gpu, bench->b, halves, bench->b.bytes, err));
    TS_TRY(ts_gpu_upload(bench->gpu, bench->from, values, bench->from.bytes, err));
out:
    free(values);
    free(halves);
    return status;
}

static ts_status time_products(struct bench *bench, ts_error *err)
{
    // q and o, k and v, gate and up, down: [out, in]
    static const uint32_t weights[][2] = {{2048, 2048}, {256, 2048}, {5632, 2048}, {2048, 5632}};
    static const uint32_t rows[] = {128, 512};
    ts_status status = TS_OK;
    for (ts_layout layout = TS_NT; layout <= TS_NN; layout++) {
        for (size_t r = 0; r < TS_COUNT(rows); r++) {
            for (size_t w = 0; w < TS_COUNT(weights); w++) {
                say(bench, "matrix products %zu of 16", bench->result->count + 1);
                TS_TRY(time_product(bench, layout, rows[r], weights[w][0], weights[w][1], err));
            }
        }
    }
out:
    return status;
}

// ---- Whole passes of a model

struct passes {
    ts_model model;
    ts_pass pass;
    ts_optimiser optimiser;
    ts_batch batch;
};

static void close_passes(struct passes *p)
{
    if (p->model.gpu != NULL) {
        ts_optimiser_close(&p->optimiser);
        ts_pass_close(&p->pass);
    }
    ts_model_close(&p->model);
    ts_batch_free(&p->batch);
}

// One sequence of `tokens` random tokens of which each bears loss.
static ts_status fill_batch(struct passes *p, uint32_t tokens, ts_error *err)
{
    ts_status status = TS_OK;
    uint32_t *ids = NULL;
    uint8_t *supervised = NULL;
    ts_batch_clear(&p->batch);
    TS_TRY(ts_alloc(tokens, sizeof *ids, &ids, err));
    TS_TRY(ts_alloc(tokens, 1, &supervised, err));
    for (uint32_t i = 0; i < tokens; i++) {
        ids[i] = i * 7919u % p->model.config.vocab;
        supervised[i] = 1;
    }
    TS_TRY(ts_batch_add(&p->batch, ids, tokens, supervised, err));
out:
    free(ids);
    free(supervised);
    return status;
}

// Multiply-adds count two. Linear layers, lm_head and the causal half of attention.
static double forward_flops(const ts_model_config *c, double tokens)
{
    double per_layer = 0;
    for (ts_module module = 0; module < TS_MODULE_COUNT; module++) {
        uint32_t out, in;
        ts_module_shape(c, module, &out, &in);
        per_layer += (double)out * in;
    }
    double attention = 2 * tokens * tokens * ts_config_q_size(c) * c->layers;
    return 2 * tokens * (per_layer * c->layers + (double)c->vocab * c->hidden) + attention;
}

// The same without weight gradients; attention's backward is two and a half forwards.
static double step_flops(const ts_model_config *c, double tokens)
{
    double attention = 2 * tokens * tokens * ts_config_q_size(c) * c->layers;
    return 2 * forward_flops(c, tokens) + 1.5 * attention;
}

static ts_status time_step(struct bench *bench, struct passes *p, uint32_t tokens, ts_error *err)
{
    static const ts_adamw_params adamw = {0.9, 0.999, 1e-8, 0, 1};
    ts_status status = TS_OK;
    double sum, norm;
    const ts_model_config *config = &p->model.config;
    ts_bench_row *forward =
        add_row(bench, forward_flops(config, tokens), tokens, "forward, %u tokens", tokens);
    ts_bench_row *step =
        add_row(bench, step_flops(config, tokens), tokens, "training step, %u tokens", tokens);
    forward->seconds = step->seconds = INFINITY;
    TS_TRY(fill_batch(p, tokens, err));
    for (uint32_t round = 0; round <= bench->params->rounds; round++) {
        say(bench, "a pass over %u tokens, round %u of %u", tokens, round, bench->params->rounds);
        TS_TRY(time_peaks(bench, err));
        double started_s = ts_clock_s();
        TS_TRY(ts_pass_loss(&p->pass, &p->batch, &sum, err));
        double middle_s = ts_clock_s();
        TS_TRY(ts_pass_gradients(&p->pass, &p->batch, 1.0f / (float)tokens, 0, &sum, err));
        TS_TRY(ts_optimiser_step(&p->optimiser, &adamw, 1e-5, round + 1, &norm, err));
        if (round > 0) { // the first built the pipelines
            forward->seconds = fmin(forward->seconds, middle_s - started_s);
            step->seconds = fmin(step->seconds, ts_clock_s() - middle_s);
        }
    }
out:
    return status;
}

static ts_status time_passes(struct bench *bench, ts_error *err)
{
    ts_status status = TS_OK;
    const ts_bench_params *params = bench->params;
    struct passes p = {0};
    uint32_t most = 0;
    const ts_adapter_config adapter = {
        .r = 8, .alpha = 16, .targets = TS_MODULE_BIT(TS_MODULE_Q) | TS_MODULE_BIT(TS_MODULE_V)};
    for (size_t i = 0; i < params->token_count; i++) {
        most = (uint32_t)ts_max_u64(most, params->tokens[i]);
    }
    const ts_model_params model = {.folder = params->folder,
                                   .synthetic =
                                       params->folder == NULL ? &ts_model_config_tinyllama : NULL,
                                   .synthetic_dtype = TS_BF16,
                                   .positions = most,
                                   .precision = params->precision};
    say(bench, "loading the model");
    TS_TRY(ts_model_open(bench->gpu, &model, &p.model, err));
    TS_TRY(ts_model_add_lora(&p.model, &adapter, 42, err));
    TS_TRY(ts_pass_open(&p.model,
                        (ts_pass_limits){.rows = most, .loss_rows = most, .training = true},
                        &p.pass, err));
    TS_TRY(ts_optimiser_open(&p.model, &p.optimiser, err));
    ts_recorder_profile(p.model.recorder, params->profile);
    for (size_t i = 0; i < params->token_count; i++) {
        TS_TRY(time_step(bench, &p, params->tokens[i], err));
    }
out:
    close_passes(&p);
    return status;
}

ts_status ts_bench(ts_gpu *gpu, const ts_bench_params *params, ts_bench_result *out, ts_error *err)
{
    ts_status status = TS_OK;
    struct bench bench = {
        .params = params, .result = out, .gpu = gpu, .arena = {.gpu = gpu, .block_bytes = 1 << 20}};
    *out = (ts_bench_result){0};
    TS_TRY(ts_recorder_open(gpu, &bench.recorder, err));
    TS_TRY(fill(&bench, err));
    say(&bench, "the device's own peaks");
    TS_TRY(size_probe(&bench, err));
    for (uint32_t round = 0; round < params->rounds; round++) {
        TS_TRY(time_peaks(&bench, err));
    }
    if (params->products) {
        TS_TRY(time_products(&bench, err));
    }
    if (params->passes) {
        TS_TRY(time_passes(&bench, err));
    }
out:
    ts_recorder_close(bench.recorder);
    ts_gpu_arena_close(&bench.arena);
    return status;
}
