// Every shader of every kernel in the registry against its mirror in double, over awkward shapes
// (trial.h). Each is run in SHAPES shapes, or in fewer by TINYSFT_SHAPES, for drivers that take
// minutes to compile.
#include "count.h"
#include "device.h"
#include "ops/trial.h"

#include "base/memory.h"
#include <criterion/parameterized.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SHAPES = 24 };

// A workgroup has no more invocations than the device, or a mask, allows.
static void assert_fits(ts_trial *trial, const ts_gpu_caps *caps)
{
    const char *const names[] = {"local_size", "lanes"};
    uint64_t elements[TS_MAX_VIEWS], groups[2];
    ts_kernel_sizes(trial->kernel, &trial->dispatch, elements, groups); // sets what follows
    for (size_t i = 0; i < TS_COUNT(names); i++) {
        const uint32_t *invocations = ts_trial_field(trial, names[i]);
        cr_assert(invocations == NULL || *invocations <= caps->max_invocations,
                  "%s: workgroups of %u, the device has %u", ts_kernels[trial->kernel].name,
                  *invocations, caps->max_invocations);
    }
}

static void test_shape(const ts_trial *trial, int shape, ts_gpu *gpu, ts_gpu *mirror_gpu)
{
    ts_trial_side device, mirror;
    double error, tolerance = ts_trial_tolerance(trial->kernel, trial->shader);
    const char *buffer = NULL;
    MUST(ts_trial_open(trial, gpu, &device, err));
    MUST(ts_trial_open(trial, mirror_gpu, &mirror, err));
    MUST(ts_trial_run(trial, &device, 1, err));
    MUST(ts_trial_run(trial, &mirror, 1, err));
    MUST(ts_trial_compare(trial, &device, &mirror, &error, &buffer, err));
    cr_assert(error <= tolerance, "%s, shape %d: %s is off by %.2e, tolerance %.2e",
              ts_kernels[trial->kernel].shaders[trial->shader].name, shape, buffer, error,
              tolerance);
    ts_trial_close(&device);
    ts_trial_close(&mirror);
}

static void test_kernel(ts_kernel kernel, uint32_t shader, ts_gpu *gpu, ts_gpu *mirror)
{
    uint32_t random = 1000u * (uint32_t)kernel + shader;
    const int shapes = test_count("TINYSFT_SHAPES", SHAPES);
    for (int shape = 0; shape < shapes; shape++) {
        ts_trial trial = {.kernel = kernel,
                          .shader = shader,
                          .stored = (ts_dtype)(shape % TS_WEIGHT_TYPES),
                          .random = random};
        MUST(ts_trial_draw(ts_gpu_capabilities(gpu), &trial, err));
        assert_fits(&trial, ts_gpu_capabilities(gpu));
        test_shape(&trial, shape, gpu, mirror);
        random = trial.random;
    }
}

ParameterizedTestParameters(kernels, against_mirror)
{
    static int kernels[TS_KERNEL_COUNT];
    for (int i = 0; i < TS_KERNEL_COUNT; i++) {
        kernels[i] = i;
    }
    return cr_make_param_array(int, kernels, TS_KERNEL_COUNT);
}

// Whether TINYSFT_KERNEL, if it is set, is part of the kernel's name.
static bool is_asked_for(ts_kernel kernel)
{
    const char *only = getenv("TINYSFT_KERNEL");
    return only == NULL || strstr(ts_kernels[kernel].name, only) != NULL;
}

ParameterizedTest(int *kernel, kernels, against_mirror)
{
    if (!is_asked_for((ts_kernel)*kernel)) {
        return;
    }
    ts_gpu *gpu = test_gpu_open(), *mirror = NULL;
    MUST(ts_gpu_open_mirror(&mirror, err));
    for (uint32_t shader = 0; ts_kernels[*kernel].shaders[shader].name != NULL; shader++) {
        if (ts_kernel_can_run(ts_gpu_capabilities(gpu), (ts_kernel)*kernel, shader)) {
            test_kernel((ts_kernel)*kernel, shader, gpu, mirror);
        }
    }
    ts_gpu_close(mirror);
    test_gpu_close(gpu);
}

static void set_field(ts_trial *trial, const char *name, uint32_t value)
{
    uint32_t *place = ts_trial_field(trial, name);
    if (place != NULL) {
        *place = value;
    }
}

// A new row's scalar that trial_shapes.c does not know would be 0, and the trial would compare
// nothing.
Test(kernels, a_scalar_without_values_is_refused_by_name)
{
    const ts_gpu_caps caps = {.type = VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU};
    ts_trial trial = {.kernel = TS_KERNEL_embed, .random = 7};
    ts_error err = {0};
    cr_assert_eq(ts_trial_draw(&caps, &trial, &err), TS_OK, "%s", err.message);
    *ts_trial_field(&trial, "vocab") = TS_TRIAL_UNSET;
    cr_assert_eq(ts_trial_check_set(&trial, &err), TS_ERR_ARGUMENT);
    cr_assert_not_null(strstr(err.message, "kernel embed"), "%s", err.message);
    cr_assert_not_null(strstr(err.message, "'vocab'"), "%s", err.message);
    cr_assert_not_null(strstr(err.message, "trial_shapes.c"), "%s", err.message);
}

// More rows than the workgroups that a device must allow in one dimension: the grid is folded into
// two, and surplus workgroups must do nothing.
Test(kernels, rows_beyond_a_grid)
{
    enum { ROWS = 65537 };
    ts_gpu *gpu = test_gpu_open(), *mirror = NULL;
    uint32_t tested = 0;
    MUST(ts_gpu_open_mirror(&mirror, err));
    for (int k = 0; k < TS_KERNEL_COUNT; k++) {
        ts_trial trial = {.kernel = (ts_kernel)k, .random = 7};
        if (ts_trial_field(&trial, "folded") == NULL) {
            continue;
        }
        MUST(ts_trial_draw(ts_gpu_capabilities(gpu), &trial, err));
        for (size_t b = 0; b < TS_COUNT(trial.act); b++) {
            trial.act[b] = TS_F32; // 16 bits need rows of eights
        }
        set_field(&trial, "rows", ROWS);
        set_field(&trial, "target_rows", ROWS);
        set_field(&trial, "cols", 5);
        set_field(&trial, "vocab", 5);
        set_field(&trial, "heads", 1);
        set_field(&trial, "kv_heads", 1);
        set_field(&trial, "dim", 6);
        set_field(&trial, "finds_largest", 1); // of 256 or 257 rows a word
        test_shape(&trial, ROWS, gpu, mirror);
        tested++;
    }
    cr_assert_gt(tested, 0);
    ts_gpu_close(mirror);
    test_gpu_close(gpu);
}

// In a release build too, because nothing else would notice a shader accessing memory outside of
// its tensors.
Test(kernels, tensors_that_are_too_small_are_refused)
{
    ts_gpu *gpu = test_gpu_open();
    ts_recorder *recorder;
    ts_gpu_arena arena = {.gpu = gpu, .block_bytes = 1 << 16};
    ts_view small, large;
    ts_error err = {0};
    MUST(ts_recorder_open(gpu, &recorder, err));
    MUST(ts_gpu_alloc(&arena, TS_F32, 99, &small, err));
    MUST(ts_gpu_alloc(&arena, TS_F32, 100, &large, err));
    ts_add(recorder, &(struct ts_add_args){.y = large, .x = small, .count = 100});
    cr_assert_eq(ts_recorder_run(recorder, &err), TS_ERR_RUN);
    cr_assert_not_null(strstr(err.message, "x has 99 elements, but 100"), "%s", err.message);
    ts_add(recorder, &(struct ts_add_args){.y = large, .count = 100});
    cr_assert_eq(ts_recorder_run(recorder, &err), TS_ERR_RUN);
    cr_assert_not_null(strstr(err.message, "no tensor for x"), "%s", err.message);
    ts_add(recorder, &(struct ts_add_args){.y = large, .x = small, .count = 99});
    MUST(ts_recorder_run(recorder, err));
    ts_recorder_close(recorder);
    ts_gpu_arena_close(&arena);
    test_gpu_close(gpu);
}

// ---- Kernels that find the largest element of what they write (shaders/include/largest.glsl)

// In some shapes several rows share a word.
Test(kernels, largest_of_many_rows)
{
    const uint32_t rows[] = {255, 256, 257, 300, 515};
    ts_gpu *gpu = test_gpu_open(), *mirror = NULL;
    uint32_t tested = 0, random = 7;
    MUST(ts_gpu_open_mirror(&mirror, err));
    for (int k = 0; k < TS_KERNEL_COUNT; k++) {
        for (int shape = 0; shape < 2 * (int)TS_COUNT(rows); shape++) {
            ts_trial trial = {.kernel = (ts_kernel)k, .random = random};
            if (ts_trial_field(&trial, "finds_largest") == NULL ||
                ts_trial_field(&trial, "row_threads") == NULL) {
                continue;
            }
            MUST(ts_trial_draw(ts_gpu_capabilities(gpu), &trial, err));
            set_field(&trial, "rows", rows[(size_t)shape % TS_COUNT(rows)]);
            set_field(&trial, "finds_largest", 1);
            test_shape(&trial, shape, gpu, mirror);
            random = trial.random;
            tested++;
        }
    }
    cr_assert_gt(tested, 0);
    ts_gpu_close(mirror);
    test_gpu_close(gpu);
}

// Runs `trial` with `buffer` zero but for an infinity in row 7 and a NaN in the last row, which
// shares its word with finite numbers of row 43.
static void test_not_finite(ts_gpu *gpu, ts_trial *trial, const char *buffer)
{
    enum { ROWS = 300 };
    const uint32_t b = ts_trial_buffer(trial, buffer);
    uint64_t elements[TS_MAX_VIEWS], groups[2];
    float largest[256];
    ts_trial_side side;
    set_field(trial, "rows", ROWS);
    set_field(trial, "finds_largest", 1);
    ts_kernel_sizes(trial->kernel, &trial->dispatch, elements, groups);
    MUST(ts_trial_open(trial, gpu, &side, err));
    const uint64_t cols = elements[b] / ROWS;
    float *values = calloc(elements[b], sizeof *values);
    cr_assert_not_null(values);
    values[7 * cols + cols - 1] = -INFINITY;
    values[(ROWS - 1) * cols] = -NAN;
    MUST(ts_gpu_upload(gpu, side.views[b], values, elements[b] * sizeof *values, err));
    free(values);
    MUST(ts_trial_run(trial, &side, 1, err));
    MUST(ts_gpu_download(gpu, side.views[ts_trial_buffer(trial, "largest")], largest,
                         sizeof largest, err));
    for (uint32_t i = 0; i < TS_COUNT(largest); i++) {
        const bool right = i == 7                  ? isinf(largest[i]) && largest[i] > 0
                           : i == (ROWS - 1) % 256 ? isnan(largest[i])
                                                   : isfinite(largest[i]) && largest[i] > 0;
        cr_expect(right, "%s, %s: word %u is %g", ts_kernels[trial->kernel].name, buffer, i,
                  (double)largest[i]);
    }
    ts_trial_close(&side);
}

// A gradient that overflowed must not be taken for one that did not.
Test(kernels, what_is_not_finite_is_the_largest)
{
    static const struct {
        ts_kernel kernel;
        const char *buffer;
    } cases[] = {{TS_KERNEL_rmsnorm_backward, "dx"},
                 {TS_KERNEL_rope_backward, "dq"},
                 {TS_KERNEL_rope_backward, "dk_parts"},
                 {TS_KERNEL_rope_backward, "dv_parts"}};
    ts_gpu *gpu = test_gpu_open();
    for (size_t i = 0; i < 2 * TS_COUNT(cases); i++) {
        ts_trial trial = {.kernel = cases[i / 2].kernel, .random = 7};
        MUST(ts_trial_draw(ts_gpu_capabilities(gpu), &trial, err));
        memset(trial.act, 0, sizeof trial.act);
        set_field(&trial, "cols", 12 + i % 2);
        set_field(&trial, "heads", 4);
        set_field(&trial, "kv_heads", 2);
        set_field(&trial, "dim", i % 2 ? 6 : 64);
        set_field(&trial, "parts", 1);
        set_field(&trial, "rotated", i % 2);
        test_not_finite(gpu, &trial, cases[i / 2].buffer);
    }
    test_gpu_close(gpu);
}
