// The benchmark times every kernel and counts the work of each.
#include "check/bench.h"
#include "base/memory.h"
#include "device.h"

#include <math.h>
#include <string.h>

static ts_bench_row *find_row(ts_bench_result *result, const char *name)
{
    for (size_t i = 0; i < result->count; i++) {
        if (strcmp(result->rows[i].name, name) == 0) {
            return &result->rows[i];
        }
    }
    return NULL;
}

// Every kernel of the registry must have a shape in bench_shapes.c that it is timed at.
Test(bench, every_kernel_has_a_shape)
{
    ts_gpu *gpu = test_gpu_open();
    const ts_gpu_caps *caps = ts_gpu_capabilities(gpu);
    for (int k = 0; k < TS_KERNEL_COUNT; k++) {
        ts_dispatch dispatch = {0};
        ts_error err = {0};
        uint32_t shader;
        uint64_t elements[TS_MAX_VIEWS] = {0}, groups[2] = {0};
        ts_status status =
            ts_bench_shape((ts_kernel)k, caps, ts_bench_precision(caps), &dispatch, &shader, &err);
        if (!ts_bench_is_timed((ts_kernel)k, caps, ts_bench_precision(caps))) {
            cr_expect_eq(status, TS_ERR_UNSUPPORTED);
            continue;
        }
        cr_assert_eq(status, TS_OK, "%s", err.message);
        ts_kernel_sizes((ts_kernel)k, &dispatch, elements, groups);
        cr_expect_gt(groups[0] * groups[1], 0, "%s", ts_kernels[k].name);
        for (int b = 0; ts_kernels[k].buffers[b].name != NULL; b++) {
            cr_expect_gt(elements[b], 0, "%s: %s", ts_kernels[k].name,
                         ts_kernels[k].buffers[b].name);
        }
    }
    test_gpu_close(gpu);
}

Test(bench, times_every_kernel_and_counts_its_work)
{
    ts_gpu *gpu = test_gpu_open();
    const ts_gpu_caps *caps = ts_gpu_capabilities(gpu);
    ts_bench_result *result = calloc(1, sizeof *result);
    const ts_bench_params params = {.kernels = true, .rounds = 1, .shortest_s = 1e-4};
    MUST(ts_bench(gpu, &params, result, err));
    cr_assert(result->flops_per_second > 0 && result->bytes_per_second > 0);
    cr_assert(result->copy_bytes_per_second > 0 && result->fill_bytes_per_second > 0);
    for (int k = 0; k < TS_KERNEL_COUNT; k++) {
        if (!ts_bench_is_timed((ts_kernel)k, caps, ts_bench_precision(caps))) {
            continue;
        }
        const ts_bench_row *row = find_row(result, ts_kernels[k].name);
        cr_assert_not_null(row, "%s is not timed", ts_kernels[k].name);
        cr_expect(row->seconds > 0 && isfinite(row->seconds), "%s", row->name);
        cr_expect(row->bytes > 0 && row->flops > 0, "%s", row->name);
        double floor_s = ts_bench_lower_bound_s(result, row);
        cr_expect(floor_s > 0 && isfinite(floor_s), "%s", row->name);
    }
    // The work of some, by hand.
    // y += x on [512, 2048]: y read and written, x read
    cr_expect_eq(find_row(result, "add")->bytes, 3 * 4.0 * 512 * 2048);
    // [512, 2048] out of a table in 16 bits, and 512 ids
    cr_expect_eq(find_row(result, "embed")->bytes, (2 + 4) * 512.0 * 2048 + 4 * 512);
    // q k^T and p v, the causal half of 512 x 512, 32 heads of 64
    cr_expect_eq(find_row(result, "attention")->flops, 2 * 2 * 0.5 * 512 * 512 * 32 * 64);
    free(result);
    test_gpu_close(gpu);
}

// A pass is bound by the sum of its parts, a kernel by the longer of arithmetic and memory.
Test(bench, floors)
{
    const ts_bench_result result = {.flops_per_second = 10, .bytes_per_second = 5};
    ts_bench_row row = {.kind = TS_BENCH_KERNEL, .product_flops = 20, .flops = 10, .bytes = 5};
    cr_expect_float_eq(ts_bench_lower_bound_s(&result, &row), 3, 1e-12);
    row.bytes = 50;
    cr_expect_float_eq(ts_bench_lower_bound_s(&result, &row), 10, 1e-12);
    row.kind = TS_BENCH_PASS;
    cr_expect_float_eq(ts_bench_lower_bound_s(&result, &row), 2 + 1 + 10, 1e-12);
    row.weight_bytes = 25;
    cr_expect_float_eq(ts_bench_lower_bound_s(&result, &row), 5 + 1 + 10, 1e-12);
    const ts_bench_result matrix = {
        .flops_per_second = 10, .product_flops_per_second = 20, .bytes_per_second = 5};
    row.weight_bytes = 0;
    cr_expect_float_eq(ts_bench_lower_bound_s(&matrix, &row), 1 + 1 + 10, 1e-12);
}
