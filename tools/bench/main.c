// tinysft-bench [DEVICE]: what part of the device's multiply-add rate matrix products reach, at
// TinyLlama's shapes with bf16 weights. The rate is measured between the products, by a shader that
// does nothing else, so that both meet the same clock and the same neighbours.
#include "base/memory.h"
#include "ops/gemm.h"
#include "ops/shaders.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ROUNDS = 5, PROBE_INVOCATIONS = 64 * 256, FLOPS_PER_ITERATION = 384 };
static const double SHORTEST_SECONDS = 0.15; // of a timing; what is quicker is repeated

struct shape {
    ts_layout layout;
    uint32_t m, n, k;
    uint32_t times;      // products a timing: enough to last SHORTEST_SECONDS
    double best_seconds; // of one product
};

struct bench {
    ts_gpu *gpu;
    ts_recorder *recorder;
    ts_gpu_arena arena;
    ts_view a, b, c, probe;
    uint32_t probe_iterations;
    double flops; // a second: the best that the probe reached
};

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static ts_status open_bench(struct bench *bench, const char *device, ts_error *err)
{
    enum { MOST_M = 512, WIDEST = 5632, HIDDEN = 2048 };
    ts_status status = TS_OK;
    float *values = NULL;
    uint16_t *weights = NULL;
    const size_t activations = (size_t)MOST_M * WIDEST, elements = (size_t)WIDEST * HIDDEN;
    TS_TRY(ts_gpu_open(&(ts_gpu_params){.device = device}, &bench->gpu, err));
    TS_TRY(ts_recorder_open(bench->gpu, &bench->recorder, err));
    bench->arena = (ts_gpu_arena){.gpu = bench->gpu, .block_bytes = 1 << 20};
    TS_TRY(ts_gpu_alloc(&bench->arena, TS_F32, activations, &bench->a, err));
    TS_TRY(ts_gpu_alloc(&bench->arena, TS_BF16, elements, &bench->b, err));
    TS_TRY(ts_gpu_alloc(&bench->arena, TS_F32, activations, &bench->c, err));
    TS_TRY(ts_gpu_alloc(&bench->arena, TS_F32, PROBE_INVOCATIONS, &bench->probe, err));
    TS_TRY(ts_alloc(activations, sizeof *values, &values, err));
    TS_TRY(ts_alloc(elements, sizeof *weights, &weights, err));
    for (size_t i = 0; i < activations; i++) {
        values[i] = (float)(i % 1009) / 1009 - 0.5f;
    }
    for (size_t i = 0; i < elements; i++) {
        weights[i] = ts_f32_to_bf16((float)(i % 1013) / 1013 - 0.5f);
    }
    TS_TRY(ts_gpu_upload(bench->gpu, bench->a, values, activations * sizeof *values, err));
    TS_TRY(ts_gpu_upload(bench->gpu, bench->b, weights, elements * sizeof *weights, err));
out:
    free(values);
    free(weights);
    return status;
}

static void close_bench(struct bench *bench)
{
    ts_recorder_close(bench->recorder);
    ts_gpu_arena_close(&bench->arena);
    ts_gpu_close(bench->gpu);
}

// ---- The multiply-add rate (shaders/probe_fma.comp)

static ts_status run_probe(struct bench *bench, double *seconds, ts_error *err)
{
    const struct ts_shader *shader = ts_shader_table;
    while (strcmp(shader->name, "probe_fma") != 0) {
        shader++;
    }
    const ts_dispatch dispatch = {
        .pipeline = {.words = shader->words,
                     .word_bytes = shader->bytes,
                     .name = shader->name,
                     .binding_count = 1},
        .views = {bench->probe},
        .access = {TS_WRITE},
        .view_count = 1,
        .push = {bench->probe_iterations},
        .push_count = 1,
        .groups = {PROBE_INVOCATIONS / 64, 1, 1},
    };
    double started = now();
    ts_recorder_dispatch(bench->recorder, &dispatch);
    ts_status status = ts_recorder_run(bench->recorder, err);
    *seconds = now() - started;
    return status;
}

// Iterations until one run takes long enough to be timed.
static ts_status size_probe(struct bench *bench, ts_error *err)
{
    ts_status status = TS_OK;
    double seconds = 0;
    bench->probe_iterations = 64;
    TS_TRY(run_probe(bench, &seconds, err)); // builds the pipeline
    for (;;) {
        TS_TRY(run_probe(bench, &seconds, err));
        if (seconds >= SHORTEST_SECONDS || bench->probe_iterations >= 1u << 26) {
            return TS_OK;
        }
        bench->probe_iterations *= 2;
    }
out:
    return status;
}

static ts_status time_probe(struct bench *bench, ts_error *err)
{
    double seconds;
    ts_status status = run_probe(bench, &seconds, err);
    double flops = (double)bench->probe_iterations * FLOPS_PER_ITERATION * PROBE_INVOCATIONS;
    bench->flops = fmax(bench->flops, flops / seconds);
    return status;
}

// ---- Products

static double flops_of(const struct shape *shape)
{
    return 2.0 * shape->m * shape->n * shape->k;
}

static ts_status run_products(struct bench *bench, const struct shape *shape, uint32_t times,
                              double *seconds, ts_error *err)
{
    double started = now();
    for (uint32_t i = 0; i < times; i++) {
        ts_matmul(bench->recorder, shape->layout, shape->m, shape->n, shape->k, bench->a, bench->b,
                  bench->c, 1, false);
    }
    ts_status status = ts_recorder_run(bench->recorder, err);
    *seconds = now() - started;
    return status;
}

static ts_status time_shape(struct bench *bench, struct shape *shape, ts_error *err)
{
    ts_status status = TS_OK;
    double seconds;
    if (shape->times == 0) {
        TS_TRY(run_products(bench, shape, 1, &seconds, err)); // builds the pipeline
        TS_TRY(run_products(bench, shape, 1, &seconds, err));
        shape->times = seconds < SHORTEST_SECONDS ? (uint32_t)ceil(SHORTEST_SECONDS / seconds) : 1;
    }
    TS_TRY(run_products(bench, shape, shape->times, &seconds, err));
    if (shape->best_seconds == 0 || seconds / shape->times < shape->best_seconds) {
        shape->best_seconds = seconds / shape->times;
    }
out:
    return status;
}

static ts_status time_all(struct bench *bench, struct shape *shapes, size_t count, ts_error *err)
{
    ts_status status = TS_OK;
    TS_TRY(size_probe(bench, err));
    for (int round = 0; round < ROUNDS; round++) {
        for (size_t i = 0; i < count; i++) {
            TS_TRY(time_probe(bench, err));
            TS_TRY(time_shape(bench, &shapes[i], err));
        }
        fprintf(stderr, "round %d of %d\n", round + 1, ROUNDS);
    }
out:
    return status;
}

static void print_results(const struct bench *bench, const struct shape *shapes, size_t count)
{
    static const char *const layouts[] = {"NT (forward)", "NN (backward)"};
    const ts_gpu_caps *caps = ts_gpu_capabilities(bench->gpu);
    double flops = 0, seconds = 0;
    printf("%s (%s)\nmultiply-adds: %.1f GFLOP/s, best of %zu\n\n", caps->name, caps->driver,
           bench->flops * 1e-9, ROUNDS * count);
    printf("%-15s %5s %6s %6s %10s %9s %8s\n", "c = a b, b bf16", "m", "n", "k", "ms", "GFLOP/s",
           "of rate");
    for (size_t i = 0; i < count; i++) {
        const struct shape *s = &shapes[i];
        double rate = flops_of(s) / s->best_seconds;
        printf("%-15s %5u %6u %6u %10.2f %9.1f %7.1f%%\n", layouts[s->layout], s->m, s->n, s->k,
               s->best_seconds * 1e3, rate * 1e-9, 100 * rate / bench->flops);
        flops += flops_of(s);
        seconds += s->best_seconds;
    }
    printf("%-35s %10.2f %9.1f %7.1f%%\n", "all", seconds * 1e3, flops / seconds * 1e-9,
           100 * flops / seconds / bench->flops);
}

int main(int argc, char **argv)
{
    // q and o, k and v, gate and up, down: [n, k] of TinyLlama's weights
    static const uint32_t weights[][2] = {{2048, 2048}, {256, 2048}, {5632, 2048}, {2048, 5632}};
    static const uint32_t rows[] = {128, 512};
    struct shape shapes[2 * TS_COUNT(rows) * TS_COUNT(weights)];
    struct bench bench = {0};
    ts_error err = {0};
    size_t count = 0;
    for (ts_layout layout = TS_NT; layout <= TS_NN; layout++) {
        for (size_t r = 0; r < TS_COUNT(rows); r++) {
            for (size_t w = 0; w < TS_COUNT(weights); w++) {
                uint32_t out = weights[w][0], in = weights[w][1];
                shapes[count++] = (struct shape){.layout = layout,
                                                 .m = rows[r],
                                                 .n = layout == TS_NT ? out : in,
                                                 .k = layout == TS_NT ? in : out};
            }
        }
    }
    ts_status status = open_bench(&bench, argc > 1 ? argv[1] : NULL, &err);
    if (status == TS_OK) {
        status = time_all(&bench, shapes, count, &err);
    }
    if (status == TS_OK) {
        print_results(&bench, shapes, count);
    } else {
        fprintf(stderr, "tinysft-bench: %s\n", err.message);
    }
    close_bench(&bench);
    return (int)status;
}
