// The sum of gradients in a tree by the micro-batch's index, against the same sum by recursion in
// C.
#include "train/reduce.h"
#include "base/memory.h"
#include "device.h"

#include <string.h>

enum { MOST_MICRO = 20, FLOATS = 4096 };

static const ts_model_config shape = {.hidden = 20,
                                      .layers = 1,
                                      .heads = 3,
                                      .kv_heads = 1,
                                      .head_dim = 4,
                                      .query_scalar = 4,
                                      .ffn = 28,
                                      .vocab = 37,
                                      .max_positions = 8,
                                      .rms_eps = 1e-5f,
                                      .rope = {.theta = 10000}};
static const ts_adapter_config adapter = {
    .r = 3, .alpha = 6, .targets = TS_MODULE_BIT(TS_MODULE_Q) | TS_MODULE_BIT(TS_MODULE_DOWN)};

// Of every size, so that each order of the sum rounds to other bits.
static float gradient(uint64_t place, uint64_t micro)
{
    const uint64_t hash = (place * 31 + micro + 1) * 0x9E3779B97F4A7C15u;
    return ((float)(hash >> 40) - 8e6f) * (float)(1u << (hash >> 8) % 20) * 1e-9f;
}

// The first p micro-batches, then the rest; p is the largest power of two below their number.
static float sum(uint64_t place, uint64_t first, uint64_t count)
{
    uint64_t half = 1;
    if (count == 1) {
        return gradient(place, first);
    }
    while (2 * half < count) {
        half *= 2;
    }
    return sum(place, first, half) + sum(place, first + half, count - half);
}

static void check_sum(ts_pass *pass, ts_reduce *reduce, uint64_t micro_batches)
{
    static float floats[FLOATS];
    const uint64_t count = pass->model->lora.count;
    ts_gpu *gpu = pass->model->gpu;
    for (uint64_t micro = 0; micro < micro_batches; micro++) {
        MUST(ts_gpu_download(gpu, pass->gradients, floats, count * sizeof *floats, err));
        for (uint64_t i = 0; i < count; i++) {
            cr_assert(floats[i] == 0, "micro-batch %llu meets other gradients",
                      (unsigned long long)micro);
            floats[i] = gradient(i, micro);
        }
        MUST(ts_gpu_upload(gpu, pass->gradients, floats, count * sizeof *floats, err));
        ts_reduce_record(reduce, micro + 1 == micro_batches);
        MUST(ts_recorder_run(pass->recorder, err));
    }
    MUST(ts_gpu_download(gpu, pass->gradients, floats, count * sizeof *floats, err));
    for (uint64_t i = 0; i < count; i++) {
        const float expected = sum(i, 0, micro_batches);
        cr_assert_eq(memcmp(&floats[i], &expected, sizeof expected), 0,
                     "%llu micro-batches, place %llu: %a, expected %a",
                     (unsigned long long)micro_batches, (unsigned long long)i, (double)floats[i],
                     (double)expected);
    }
    memset(floats, 0, sizeof floats);
    MUST(ts_gpu_upload(gpu, pass->gradients, floats, count * sizeof *floats, err));
}

Test(reduce, sums_in_a_tree_by_index)
{
    ts_gpu *gpu = test_gpu_open();
    ts_model model;
    ts_pass pass;
    ts_reduce reduce;
    const ts_model_params params = {.config = &shape, .random_dtype = TS_F32, .positions = 8};
    const ts_pass_limits limits = {.rows = 8, .loss_rows = 8, .training = true};
    MUST(ts_model_open(gpu, &params, &model, err));
    MUST(ts_model_add_lora(&model, &adapter, 7, err));
    cr_assert_leq(model.lora.count, FLOATS);
    MUST(ts_pass_open(&model, limits, &pass, err));
    MUST(ts_reduce_open(&pass, MOST_MICRO, &reduce, err));
    for (uint64_t micro_batches = 1; micro_batches <= MOST_MICRO; micro_batches++) {
        check_sum(&pass, &reduce, micro_batches);
    }
    ts_reduce_close(&reduce);
    ts_pass_close(&pass);
    ts_model_close(&model);
    test_gpu_close(gpu);
}

// A sum of 2^k is held at level k. The last micro-batch is not held.
Test(reduce, takes_as_many_places_as_it_holds_sums)
{
    uint64_t bytes, more;
    static const uint32_t levels[] = {0, 0, 1, 2, 2, 3, 3, 3, 3, 4};
    for (uint32_t n = 0; n < TS_COUNT(levels); n++) {
        cr_expect_eq(ts_reduce_levels(n), levels[n], "%u", n);
    }
    cr_expect_eq(ts_reduce_levels(1u << 16), 16);
    MUST(ts_reduce_plan(&shape, &adapter, 1, &bytes, err));
    cr_expect_eq(bytes, 0, "a step of one micro-batch needs no more than before");
    MUST(ts_reduce_plan(&shape, &adapter, 2, &bytes, err));
    MUST(ts_reduce_plan(&shape, &adapter, 8, &more, err));
    cr_expect(bytes > 0 && more == 3 * bytes);
}

// What is recorded of a step with one micro-batch: nothing.
Test(reduce, of_one_micro_batch_records_nothing)
{
    ts_pass untouched = {0};
    ts_reduce reduce = {.pass = &untouched};
    ts_reduce_record(&reduce, true); // a recorder of NULL would not survive anything else
    cr_assert_eq(reduce.held, 0);
}
