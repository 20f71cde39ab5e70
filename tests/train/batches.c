// Which rows make up which step, and the learning rate of each.
#include "train/batches.h"
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

// The micro-batches of all ranks, ordered by index, are those of a single rank. Every rank counts
// the tokens of the whole step.
Test(batches, ranks_share_a_step)
{
    struct data data;
    data_open(&data);
    ts_error err = {0};
    enum { RANKS = 3, STEPS = 4 };
    ts_batches one = batches_open(&data, 2, 2), ranks[RANKS];
    const ts_pass_limits whole = ts_batches_limits(&one, STEPS);
    uint32_t most = 0;
    for (uint32_t r = 0; r < RANKS; r++) {
        ranks[r] = batches_open(&data, 2, 2);
        ranks[r].ranks = (ts_ranks){r, RANKS};
        const ts_pass_limits own = ts_batches_limits(&ranks[r], STEPS);
        cr_assert(own.rows <= whole.rows && own.loss_rows <= whole.loss_rows);
        most = own.rows > most ? own.rows : most;
    }
    cr_assert_eq(most, whole.rows);
    // A step has two micro-batches at most: the third rank has none.
    cr_assert_eq(ts_batches_limits(&ranks[2], STEPS).rows, 0);
    for (uint64_t step = 0; step < STEPS; step++) {
        uint32_t count, own_count;
        uint64_t supervised, own_supervised;
        ts_batches_step(&one, step, &count, &supervised);
        for (uint32_t r = 0; r < RANKS; r++) {
            ts_batches_step(&ranks[r], step, &own_count, &own_supervised);
            cr_assert_eq(own_count, count);
            cr_assert_eq(own_supervised, supervised);
            for (uint32_t micro = r; micro < count; micro += RANKS) {
                ts_batch packed = {0}, want = {0};
                cr_assert_eq(ts_batches_pack(&ranks[r], step, micro, &packed, &err), TS_OK);
                cr_assert_eq(ts_batches_pack(&one, step, micro, &want, &err), TS_OK);
                cr_assert_eq(packed.rows, want.rows);
                cr_assert_arr_eq(packed.ids, want.ids, want.rows * sizeof *want.ids);
                ts_batch_free(&packed);
                ts_batch_free(&want);
            }
        }
    }
    ts_batches_close(&one);
    for (uint32_t r = 0; r < RANKS; r++) {
        ts_batches_close(&ranks[r]);
    }
}
