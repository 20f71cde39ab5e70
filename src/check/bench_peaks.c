// Measures the device's peaks (shaders/probe_*.comp). Multiply-adds and copying are measured again
// before every timing, so that clock speed and other load of the machine are the same.
#include "check/bench_parts.h"

#include "base/memory.h"
#include "base/os.h"
#include "ops/shaders.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { PROBE_INVOCATIONS = 64 * 256, FLOPS_PER_ITERATION = 384, COPY_BYTES = 64 << 20 };
enum { MOST_ITERATIONS = 1 << 15 }; // llvmpipe ends a loop after 65,535 iterations

// The variants of copying: vec4 per invocation, and whether its lanes load together
// (probe_copy.comp).
static const struct {
    uint32_t vectors, together;
    const char *name;
} ways[] = {{1, 0, "1 vec4 an invocation"},
            {2, 0, "2 vec4 an invocation"},
            {4, 0, "4 vec4 an invocation"},
            {2, 1, "2 vec4 an invocation, lanes loading for each other"},
            {4, 1, "4 vec4 an invocation, lanes loading for each other"}};
enum { COPY_LOCAL_SIZE = 64 };

// Runs `times` dispatches in one submit, so that a fast device does not wait for the host in
// between. *seconds is the time of one.
static ts_status run_probe(ts_bench_run *run, const char *name, ts_dispatch *dispatch,
                           uint32_t times, double *seconds, ts_error *err)
{
    const struct ts_shader *shader = ts_shader_table;
    while (strcmp(shader->name, name) != 0) {
        shader++;
    }
    dispatch->pipeline.words = shader->words;
    dispatch->pipeline.word_bytes = shader->bytes;
    dispatch->pipeline.name = shader->name;
    dispatch->pipeline.binding_count = dispatch->view_count;
    double started_s = ts_clock_s();
    for (uint32_t i = 0; i < times; i++) {
        ts_recorder_dispatch(run->recorder, dispatch);
    }
    ts_status status = ts_recorder_run(run->recorder, err);
    *seconds = (ts_clock_s() - started_s) / times;
    return status;
}

// Runs an arithmetic probe once.
static ts_status run_arithmetic(ts_bench_run *run, const char *name, uint32_t iterations,
                                double *seconds, ts_error *err)
{
    ts_dispatch dispatch = {.views = {run->probe},
                            .access = {TS_WRITE},
                            .view_count = 1,
                            .push = {iterations},
                            .push_count = 1,
                            .groups = {PROBE_INVOCATIONS / 64, 1, 1}};
    return run_probe(run, name, &dispatch, 1, seconds, err);
}

static ts_status run_copy(ts_bench_run *run, uint32_t way, double *seconds, ts_error *err)
{
    uint32_t together = ways[way].together;
    uint32_t local_size =
        together != 0 ? ts_gpu_capabilities(run->gpu)->subgroup_size : COPY_LOCAL_SIZE;
    uint32_t group_bytes = local_size * ways[way].vectors * 16;
    ts_dispatch dispatch = {
        .views = {run->from, run->to}, .access = {TS_READ, TS_WRITE}, .view_count = 2, .push = {0}};
    dispatch.pipeline.constant_count = 3;
    dispatch.pipeline.constants[0] = local_size;
    dispatch.pipeline.constants[1] = ways[way].vectors;
    dispatch.pipeline.constants[2] = together;
    // A grid has a largest size. Beyond it the rest of the buffer is not copied, so it is not
    // counted.
    uint64_t groups =
        ts_min_u64(COPY_BYTES / group_bytes, ts_gpu_capabilities(run->gpu)->max_groups[0]);
    dispatch.groups[0] = (uint32_t)groups;
    dispatch.groups[1] = dispatch.groups[2] = 1;
    ts_status status = run_probe(run, "probe_copy", &dispatch, run->copies, seconds, err);
    *seconds *= (double)COPY_BYTES / ((double)groups * group_bytes);
    return status;
}

ts_status ts_bench_repeat_peaks(ts_bench_run *run, ts_error *err)
{
    ts_status status = TS_OK;
    double seconds = 0;
    ts_bench_result *result = run->result;
    TS_TRY(run_arithmetic(run, "probe_fma", run->iterations, &seconds, err));
    double flops = (double)run->iterations * FLOPS_PER_ITERATION * PROBE_INVOCATIONS;
    result->flops_per_second = fmax(result->flops_per_second, flops / seconds);
    TS_TRY(run_copy(run, run->copy_shader, &seconds, err));
    result->bytes_per_second = fmax(result->bytes_per_second, 2.0 * COPY_BYTES / seconds);
out:
    return status;
}

// The best of a few runs of an arithmetic probe. Doubles its iterations until a run is long enough
// to be timed.
static ts_status time_arithmetic(ts_bench_run *run, const char *name, double flops_of_iteration,
                                 uint32_t *iterations, double *flops_per_second, ts_error *err)
{
    ts_status status = TS_OK;
    double seconds = 0;
    for (*iterations = 64; *iterations < MOST_ITERATIONS; *iterations *= 2) {
        TS_TRY(run_arithmetic(run, name, *iterations, &seconds, err));
        // The first run built the pipeline.
        if (seconds >= run->params->shortest_s && *iterations > 64) {
            break;
        }
    }
    for (uint32_t round = 0; round < run->params->rounds; round++) {
        TS_TRY(run_arithmetic(run, name, *iterations, &seconds, err));
        double flops = (double)*iterations * flops_of_iteration * PROBE_INVOCATIONS;
        *flops_per_second = fmax(*flops_per_second, flops / seconds);
    }
out:
    return status;
}

// Finds how many copies in one submit are long enough to be timed.
static ts_status choose_copies(ts_bench_run *run, ts_error *err)
{
    enum { MOST_COPIES = 256 };
    ts_status status = TS_OK;
    double seconds;
    run->copies = 1;
    TS_TRY(run_copy(run, 0, &seconds, err)); // builds the pipeline
    do {
        TS_TRY(run_copy(run, 0, &seconds, err));
    } while (seconds * run->copies < run->params->shortest_s && run->copies < MOST_COPIES &&
             (run->copies *= 2));
out:
    return status;
}

// Finds the variant of copying that is the fastest on this device.
static ts_status choose_way(ts_bench_run *run, ts_error *err)
{
    ts_status status = TS_OK;
    double best_s = INFINITY;
    TS_TRY(choose_copies(run, err));
    for (uint32_t round = 0; round <= run->params->rounds; round++) {
        for (uint32_t way = 0; way < TS_COUNT(ways); way++) {
            double seconds;
            if (ways[way].together != 0 && !ts_gpu_is_simd(ts_gpu_capabilities(run->gpu))) {
                continue;
            }
            TS_TRY(run_copy(run, way, &seconds, err));
            if (round > 0 && seconds < best_s) { // the first round built the pipeline
                best_s = seconds;
                run->copy_shader = way;
            }
        }
    }
    run->result->bytes_per_second = 2.0 * COPY_BYTES / best_s;
    run->result->bytes_shader = ways[run->copy_shader].name;
out:
    return status;
}

// The speed of the memory without a shader: Vulkan's own copy and fill commands.
static ts_status time_commands(ts_bench_run *run, ts_error *err)
{
    ts_status status = TS_OK;
    ts_bench_result *result = run->result;
    for (uint32_t round = 0; round <= run->params->rounds; round++) {
        double started_s = ts_clock_s();
        ts_recorder_copy(run->recorder, run->from, run->to);
        TS_TRY(ts_recorder_run(run->recorder, err));
        double copied_s = ts_clock_s();
        ts_recorder_zero(run->recorder, run->to);
        TS_TRY(ts_recorder_run(run->recorder, err));
        double copy = 2.0 * COPY_BYTES / (copied_s - started_s);
        double zero = 1.0 * COPY_BYTES / (ts_clock_s() - copied_s);
        result->copy_bytes_per_second = fmax(result->copy_bytes_per_second, copy);
        result->fill_bytes_per_second = fmax(result->fill_bytes_per_second, zero);
    }
out:
    return status;
}

// Matrix units, by products of registers only (probe_matrix.comp).
static ts_status time_matrix(ts_bench_run *run, ts_error *err)
{
    enum { PER_ITERATION = 8 }; // matrix products of a subgroup in one iteration
    ts_status status = TS_OK;
    const ts_gpu_caps *caps = ts_gpu_capabilities(run->gpu);
    bool bf16 = run->params->precision == TS_PRECISION_BF16;
    ts_matrix_shape shape = bf16 ? caps->matrix_bf16 : caps->matrix_f16;
    uint32_t sums = shape.m * shape.n;
    // One for each subgroup.
    uint32_t groups = (uint32_t)ts_min_u64(4096, run->probe.bytes / sizeof(float) / sums);
    ts_dispatch dispatch = {.views = {run->probe},
                            .access = {TS_WRITE},
                            .view_count = 1,
                            .push_count = 1,
                            .groups = {groups, 1, 1}};
    const uint32_t constants[] = {caps->full_subgroup, shape.m, shape.n, shape.k};
    memcpy(dispatch.pipeline.constants, constants, sizeof constants);
    dispatch.pipeline.constant_count = TS_COUNT(constants);
    dispatch.pipeline.subgroup_size = caps->full_subgroup;
    uint32_t measured = 0;
    for (uint32_t n = 16; n <= MOST_ITERATIONS && measured <= run->params->rounds;) {
        double seconds;
        dispatch.push[0] = n;
        TS_TRY(run_probe(run, bf16 ? "probe_matrix_bf16" : "probe_matrix_f16", &dispatch, 1,
                         &seconds, err));
        double flops = 2.0 * sums * shape.k * PER_ITERATION * n * groups;
        if (n > 16) {
            run->result->product_flops_per_second =
                fmax(run->result->product_flops_per_second, flops / seconds);
        }
        if (n > 16 && (seconds >= run->params->shortest_s || n == MOST_ITERATIONS)) {
            measured++;
        } else {
            n *= 2;
        }
    }
out:
    return status;
}

static ts_status open_memory(ts_bench_run *run, ts_error *err)
{
    ts_status status = TS_OK;
    const uint64_t floats = COPY_BYTES / sizeof(float);
    float *values = NULL;
    TS_TRY(ts_gpu_alloc(&run->arena, TS_F32, 1 << 20, &run->probe, err));
    TS_TRY(ts_gpu_alloc(&run->arena, TS_F32, floats, &run->from, err));
    TS_TRY(ts_gpu_alloc(&run->arena, TS_F32, floats, &run->to, err));
    TS_TRY(ts_alloc(floats, sizeof *values, &values, err));
    for (uint64_t i = 0; i < floats; i++) {
        values[i] = (float)(i % 1009) / 1009 - 0.5f;
    }
    TS_TRY(ts_gpu_upload(run->gpu, run->from, values, run->from.bytes, err));
out:
    free(values);
    return status;
}

ts_status ts_bench_open_peaks(ts_bench_run *run, ts_error *err)
{
    ts_status status = TS_OK;
    ts_bench_result *result = run->result;
    const ts_gpu_caps *caps = ts_gpu_capabilities(run->gpu);
    // The device is opened with 16-bit arithmetic if it has matrix units, which need it.
    bool has_half = caps->matrix_f16.m != 0 || caps->matrix_bf16.m != 0;
    ts_precision precision = run->params->precision;
    uint32_t iterations;
    ts_bench_report_progress(run, "the device's own peaks");
    TS_TRY(open_memory(run, err));
    TS_TRY(time_arithmetic(run, "probe_fma", FLOPS_PER_ITERATION, &run->iterations,
                           &result->flops_per_second, err));
    if (has_half) {
        TS_TRY(time_arithmetic(run, "probe_half", FLOPS_PER_ITERATION, &iterations,
                               &result->half_flops_per_second, err));
    }
    if (precision == TS_PRECISION_BF16 ? caps->matrix_bf16.m != 0
                                       : precision == TS_PRECISION_F16 && caps->matrix_f16.m != 0) {
        TS_TRY(time_matrix(run, err));
    } else if (precision == TS_PRECISION_F16 && caps->has_f16_dots) { // each of two multiply-adds
        TS_TRY(time_arithmetic(run, "probe_dot", 2 * FLOPS_PER_ITERATION, &iterations,
                               &result->product_flops_per_second, err));
    }
    TS_TRY(choose_way(run, err));
    TS_TRY(time_commands(run, err));
out:
    return status;
}
