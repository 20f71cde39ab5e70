// A loss is a row of losses.def: how often its logits are computed, and weights from
// log-probabilities. The gradients of a loss of two passes are compared with finite differences.
#include "model/losses.h"
#include "tiny_llama.h"

static const tiny_llama tiny = {.adapter = {.r = 2, .alpha = 4, .targets = TS_MODULES_ALL}};

// Half the sum of squared log-probabilities: the less likely a row's label, the larger its weight.
static void weigh_squares(const ts_loss_rows *rows, float *weight)
{
    for (uint32_t i = 0; i < rows->count; i++) {
        weight[i] = -rows->scale * rows->log_probability[i];
    }
}

static double value_of_squares(const ts_loss_rows *rows)
{
    double sum = 0;
    for (uint32_t i = 0; i < rows->count; i++) {
        sum += 0.5 * rows->log_probability[i] * rows->log_probability[i];
    }
    return sum;
}

static const ts_loss squares = {"squares", 2, false, weigh_squares, value_of_squares};

struct side {
    ts_gpu *gpu;
    ts_model model;
    ts_pass pass;
    ts_batch batch;
};

static void open_side(struct side *side, ts_gpu *gpu, const ts_loss *loss)
{
    const ts_pass_limits limits = {.rows = TINY_ROWS, .loss_rows = TINY_ROWS, .training = true};
    *side = (struct side){.gpu = gpu};
    tiny_open(gpu, &tiny, &side->model);
    MUST(ts_pass_open(&side->model, limits, &side->pass, err));
    side->pass.loss = loss;
    tiny_pack(&side->batch);
}

static void close_side(struct side *side)
{
    ts_batch_free(&side->batch);
    ts_pass_close(&side->pass);
    test_model_close(&side->model);
}

// The loss in double, from the mirror's own log-probabilities.
static double exact_value(struct side *side)
{
    double sum, value = 0;
    MUST(ts_pass_gradients(&side->pass, &side->batch, 1, 0, &sum, err));
    const double *log_probability = ts_view_host(side->pass.io.log_probability);
    for (uint32_t i = 0; i < side->batch.loss_rows; i++) {
        value += 0.5 * log_probability[i] * log_probability[i];
    }
    cr_assert_leq(fabs(sum - value), 1e-6 * value, "read: %g, computed: %g", sum, value);
    return value;
}

Test(losses, weights_that_follow_from_log_probabilities)
{
    static const double step = 1e-5;
    struct side side;
    ts_gpu *gpu = NULL;
    MUST(ts_gpu_open_mirror(&gpu, err));
    open_side(&side, gpu, &squares);
    const ts_lora *lora = &side.model.lora;
    double *gradients = malloc(lora->count * sizeof *gradients);
    exact_value(&side);
    memcpy(gradients, ts_view_host(side.pass.gradients), lora->count * sizeof *gradients);
    const ts_view b = lora->pairs[TS_MODULE_Q].b;
    double *values = ts_view_host(b), slopes[64];
    size_t count = ts_min_u64(b.bytes / sizeof *values, TS_COUNT(slopes));
    uint64_t first = (b.offset - lora->values.offset) / sizeof *values;
    for (size_t i = 0; i < count; i++) {
        double kept = values[i];
        values[i] = kept + step;
        double above = exact_value(&side);
        values[i] = kept - step;
        double below = exact_value(&side);
        values[i] = kept;
        slopes[i] = (above - below) / (2 * step);
    }
    double error = tiny_distance(gradients + first, slopes, count);
    cr_assert_leq(error, 1e-6, "off by %.2e from finite differences", error);
    free(gradients);
    close_side(&side);
    ts_gpu_close(gpu);
}

// Cross-entropy that looks at log-probabilities before it weighs them all alike.
Test(losses, two_passes_change_no_bit_of_cross_entropy)
{
    const ts_loss *one = &ts_losses[TS_LOSS_cross_entropy];
    const ts_loss two = {"twice", 2, false, one->weigh, one->value};
    ts_gpu *gpu = test_gpu_open();
    float gradients[2][4096] = {{0}};
    double sums[2];
    uint64_t dispatches[2];
    for (int i = 0; i < 2; i++) {
        struct side side;
        open_side(&side, gpu, i == 0 ? one : &two);
        uint64_t before = ts_recorder_statistics(side.pass.recorder).dispatches;
        MUST(ts_pass_gradients(&side.pass, &side.batch, 0.25f, 0, &sums[i], err));
        dispatches[i] = ts_recorder_statistics(side.pass.recorder).dispatches - before;
        cr_assert_leq(side.model.lora.count, TS_COUNT(gradients[i]));
        MUST(ts_gpu_download(gpu, side.pass.gradients, gradients[i],
                             side.model.lora.count * sizeof(float), err));
        close_side(&side);
    }
    cr_assert_arr_eq(gradients[0], gradients[1], sizeof gradients[0]);
    cr_assert_eq(sums[0], sums[1]);
    cr_assert_neq(gradients[0][0], 0);
    cr_assert_eq(dispatches[1], dispatches[0] + 2, "logits and log-probabilities once more");
    test_gpu_close(gpu);
}

// Pairs of unequal lengths, all chosen answers first.
enum { PAIRS = 3, PAIR_ROWS = 19 };

// The weight of a row is minus the derivative of the loss with respect to its log-probability.
Test(losses, weights_of_pairs_are_the_derivative)
{
    static const ts_loss_kind kinds[] = {TS_LOSS_dpo, TS_LOSS_ipo};
    uint32_t lengths[2 * PAIRS] = {4, 1, 5, 2, 6, 1};
    double reference[2 * PAIRS] = {-7, -3, -9.5, -6, -4, -1};
    const ts_loss_sequences sequences = {2 * PAIRS, lengths, reference};
    for (size_t k = 0; k < TS_COUNT(kinds); k++) {
        for (double smoothing = 0; smoothing < 0.3; smoothing += 0.2) {
            const ts_loss *loss = &ts_losses[kinds[k]];
            const ts_loss_params params = {.beta = 0.3, .label_smoothing = smoothing};
            float logs[PAIR_ROWS], weight[PAIR_ROWS];
            ts_loss_rows rows = {.count = PAIR_ROWS,
                                 .scale = 0.5f,
                                 .log_probability = logs,
                                 .sequences = &sequences,
                                 .params = &params};
            for (int i = 0; i < PAIR_ROWS; i++) {
                logs[i] = -0.25f - 0.5f * (float)(i * 7 % 5);
            }
            cr_assert(loss->pairs && loss->passes == 2);
            loss->weigh(&rows, weight);
            for (int i = 0; i < PAIR_ROWS; i++) {
                const float step = 0.0009765625f, kept = logs[i]; // exact in float
                logs[i] = kept + step;
                double above = loss->value(&rows);
                logs[i] = kept - step;
                double below = loss->value(&rows);
                logs[i] = kept;
                double slope = 0.5 * (above - below) / (2 * (double)step);
                cr_assert_float_eq(weight[i], -slope, 1e-5, "%s, row %d: %g, %g", loss->name, i,
                                   (double)weight[i], -slope);
            }
        }
    }
}

// By hand: gains of 1 and -1 at beta 0.5 are a margin z of 1.
Test(losses, dpo_of_one_pair_by_hand)
{
    uint32_t lengths[] = {2, 1};
    double reference[] = {-4, -1};
    const ts_loss_sequences sequences = {2, lengths, reference};
    const ts_loss_params params = {.beta = 0.5};
    const float logs[] = {-1, -2, -2};
    const ts_loss_rows rows = {
        .count = 3, .log_probability = logs, .sequences = &sequences, .params = &params};
    cr_assert_float_eq(ts_losses[TS_LOSS_dpo].value(&rows), log1p(exp(-1)), 1e-12);
    const ts_rewards rewards = ts_loss_rewards(&rows);
    cr_assert(rewards.pairs == 1 && rewards.right == 1);
    cr_assert_float_eq(rewards.chosen, 0.5, 1e-12);
    cr_assert_float_eq(rewards.rejected, -0.5, 1e-12);
    // The mean margin a token is 1 / 2 + 1; IPO wants it to be 1 / (2 beta) = 1.
    cr_assert_float_eq(ts_losses[TS_LOSS_ipo].value(&rows), 0.25, 1e-12);
}
