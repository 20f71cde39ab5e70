// Which rows make up which step, and the learning rate of each.
#include "train/batches.h"
#include "base/memory.h"
#include "base/rng.h"
#include "train/optimiser.h"

#include <criterion/criterion.h>
#include <string.h>

enum { ROWS = 11 };

struct data {
    ts_example examples[ROWS];
    uint32_t ids[ROWS];
    uint8_t supervised[64];
    ts_dataset dataset;
};

// Row i has i + 2 tokens with id i. All but the first are supervised.
static void data_open(struct data *data)
{
    static uint32_t ids[ROWS][ROWS + 2];
    memset(data, 0, sizeof *data);
    memset(data->supervised, 1, sizeof data->supervised);
    for (uint32_t i = 0; i < ROWS; i++) {
        for (uint32_t t = 0; t < i + 2; t++) {
            ids[i][t] = i;
        }
        data->examples[i] = (ts_example){.ids = ids[i],
                                         .supervised = data->supervised,
                                         .count = i + 2,
                                         .supervised_count = i + 1};
    }
    data->dataset = (ts_dataset){.examples = data->examples, .count = ROWS};
}

static ts_batches batches_open(const struct data *data, uint32_t batch, uint32_t accumulation)
{
    ts_batches batches;
    ts_error err = {0};
    cr_assert_eq(ts_batches_open(&data->dataset, batch, accumulation, 42, &batches, &err), TS_OK);
    return batches;
}

// The number of steps is that of transformers' Trainer: ceil(ceil(N / batch) / accumulation).
Test(batches, steps_of_an_epoch)
{
    struct data data;
    data_open(&data);
    for (uint32_t batch = 1; batch < 14; batch++) {
        for (uint32_t accumulation = 1; accumulation < 6; accumulation++) {
            ts_batches batches = batches_open(&data, batch, accumulation);
            uint64_t loader = (ROWS + batch - 1) / batch;
            cr_assert_eq(batches.steps_per_epoch, (loader + accumulation - 1) / accumulation);
            ts_batches_close(&batches);
        }
    }
}

// However it is cut into micro-batches, an epoch has each row once, in torch's order, and the
// supervised tokens of its steps add up to all there are.
static void check_epoch(const struct data *data, uint32_t batch, uint32_t accumulation,
                        uint32_t micro_size, uint64_t epoch)
{
    ts_error err = {0};
    ts_batch packed = {0};
    uint32_t order[ROWS], visited = 0;
    uint64_t all = 0;
    ts_batches batches = batches_open(data, batch, accumulation);
    batches.micro_size = micro_size;
    ts_pass_limits limits = ts_batches_limits(&batches, (epoch + 1) * batches.steps_per_epoch);
    ts_torch_randperm(42 + epoch, ROWS, order);
    for (uint64_t step = 0; step < batches.steps_per_epoch; step++) {
        uint32_t micro_count;
        uint64_t supervised, packed_losses = 0;
        ts_batches_step(&batches, epoch * batches.steps_per_epoch + step, &micro_count,
                        &supervised);
        for (uint32_t micro = 0; micro < micro_count; micro++) {
            cr_assert_eq(ts_batches_pack(&batches, epoch * batches.steps_per_epoch + step, micro,
                                         &packed, &err),
                         TS_OK);
            cr_assert_leq(packed.sequences, micro_size);
            cr_assert_gt(packed.sequences, 0);
            cr_assert_leq(packed.rows, limits.rows);
            cr_assert_leq(packed.loss_rows, limits.loss_rows);
            packed_losses += packed.loss_rows;
            for (uint32_t row = 0; row < packed.rows; row++) {
                if (packed.position[row] == 0) {
                    cr_assert_eq(packed.ids[row], order[visited++]);
                }
            }
        }
        cr_assert_eq(packed_losses, supervised);
        all += supervised;
    }
    cr_assert_eq(visited, ROWS);
    cr_assert_eq(all, ROWS * (ROWS + 1) / 2);
    ts_batch_free(&packed);
    ts_batches_close(&batches);
}

Test(batches, an_epoch_is_a_permutation_however_it_is_cut)
{
    struct data data;
    data_open(&data);
    for (uint32_t batch = 1; batch < 14; batch++) {
        for (uint32_t accumulation = 1; accumulation < 4; accumulation++) {
            for (uint32_t micro = 1; micro <= batch; micro++) {
                check_epoch(&data, batch, accumulation, micro, batch % 3);
            }
        }
    }
}

// What transformers' get_length_grouped_indices gives for rows of i % 5 * 7 + 2 tokens, in batches
// of so many rows.
Test(batches, lengths_are_grouped_as_transformers_does)
{
    enum { MANY = 23 };
    static const struct {
        uint32_t batch, accumulation;
        uint64_t seed;
        uint32_t order[MANY];
    } cases[] = {
        {1, 1, 42, {14, 17, 2,  16, 6, 18, 1, 11, 0, 5,  8, 3,
                    21, 15, 10, 19, 4, 22, 7, 20, 9, 13, 12}},
        {2, 1, 43, {14, 17, 16, 20, 18, 7,  1, 10, 12, 11, 21, 15,
                    13, 4,  8,  6,  19, 22, 2, 0,  9,  3,  5}},
        {1, 7, 42, {14, 17, 2,  16, 6,  1, 0,  8,  18, 3, 11, 21,
                    5,  15, 19, 4,  22, 7, 12, 10, 20, 9, 13}},
    };
    uint32_t ids[MANY][32];
    uint8_t supervised[32] = {0, 1};
    ts_example examples[MANY];
    for (uint32_t i = 0; i < MANY; i++) {
        for (uint32_t t = 0; t < 32; t++) {
            ids[i][t] = i;
        }
        examples[i] = (ts_example){
            .ids = ids[i], .supervised = supervised, .count = i % 5 * 7 + 2, .supervised_count = 1};
    }
    const ts_dataset dataset = {.examples = examples, .count = MANY};
    for (size_t c = 0; c < TS_COUNT(cases); c++) {
        ts_error err = {0};
        ts_batches batches;
        ts_batch packed = {0};
        uint32_t visited = 0;
        cr_assert_eq(ts_batches_open(&dataset, cases[c].batch, cases[c].accumulation, cases[c].seed,
                                     &batches, &err),
                     TS_OK);
        cr_assert_eq(ts_batches_group_by_length(&batches, &err), TS_OK);
        for (uint64_t step = batches.steps_per_epoch; step > 0; step--) { // in any order
            cr_assert_eq(ts_batches_pack(&batches, step - 1, 0, &packed, &err), TS_OK);
        }
        for (uint64_t step = 0; step < batches.steps_per_epoch; step++) {
            uint32_t count;
            uint64_t units;
            ts_batches_step(&batches, step, &count, &units);
            for (uint32_t micro = 0; micro < count; micro++) {
                cr_assert_eq(ts_batches_pack(&batches, step, micro, &packed, &err), TS_OK);
                for (uint32_t row = 0; row < packed.rows; row++) {
                    if (packed.position[row] == 0) {
                        cr_assert_eq(packed.ids[row], cases[c].order[visited++]);
                    }
                }
            }
        }
        const ts_packing packing = ts_batches_packing(&batches);
        cr_expect_eq(visited, MANY);
        cr_expect_eq(packing.micro_batches, (MANY + cases[c].batch - 1) / cases[c].batch);
        cr_expect_eq(packing.tokens, 347);
        cr_expect_eq(packing.least, 2);
        cr_expect_eq(packing.most, cases[c].batch == 1 ? 30 : 53);
        ts_batch_free(&packed);
        ts_batches_close(&batches);
    }
}

Test(schedule, rises_and_falls)
{
    const double peak = 5e-5;
    cr_assert_eq(ts_schedule_rate(TS_SCHEDULE_LINEAR, peak, 0, 0, 10), peak);
    cr_assert_float_eq(ts_schedule_rate(TS_SCHEDULE_LINEAR, peak, 9, 0, 10), peak / 10, 1e-18);
    cr_assert_eq(ts_schedule_rate(TS_SCHEDULE_LINEAR, peak, 0, 4, 10), 0);
    cr_assert_float_eq(ts_schedule_rate(TS_SCHEDULE_LINEAR, peak, 3, 4, 10), peak * 0.75, 1e-18);
    cr_assert_eq(ts_schedule_rate(TS_SCHEDULE_LINEAR, peak, 4, 4, 10), peak);
    cr_assert_float_eq(ts_schedule_rate(TS_SCHEDULE_COSINE, peak, 5, 0, 10), peak / 2, 1e-18);
    cr_assert_float_eq(ts_schedule_rate(TS_SCHEDULE_COSINE, peak, 7, 4, 10), peak / 2, 1e-18);
    cr_assert_eq(ts_schedule_rate(TS_SCHEDULE_CONSTANT, peak, 9, 0, 10), peak);
    cr_assert_eq(ts_schedule_rate(TS_SCHEDULE_CONSTANT, peak, 1, 2, 10), peak / 2);
}

// A plan over very many steps is not made by walking through them.
Test(batches, limits_of_a_billion_steps, .timeout = 10)
{
    struct data data;
    data_open(&data);
    for (uint32_t batch = 1; batch < 5; batch++) {
        ts_batches batches = batches_open(&data, batch, 3);
        ts_pass_limits bound = ts_batches_limits(&batches, 1000000000);
        ts_pass_limits exact = ts_batches_limits(&batches, 20000);
        cr_assert_eq(bound.rows, exact.rows, "the longest rows meet within 20,000 steps");
        cr_assert_eq(bound.loss_rows, exact.loss_rows);
        ts_batches_close(&batches);
    }
}
