// NEFTune's noise on the embeddings: its distribution, its size by the length of a sequence, and
// that passes which only measure have none.
#include "tiny_llama.h"

#include <criterion/criterion.h>

static const float ALPHA = 5;

static const tiny_llama plain = {.adapter = {.r = 3, .alpha = 6, .targets = TS_MODULES_ALL}};

struct noisy {
    ts_gpu *gpu;
    ts_model model;
    ts_pass pass;
    ts_batch batch;
};

static void open_noisy(struct noisy *n)
{
    const ts_pass_limits limits = {.rows = TINY_ROWS, .loss_rows = TINY_ROWS, .training = true};
    *n = (struct noisy){0};
    MUST(ts_gpu_open_mirror(&n->gpu, err));
    tiny_open(n->gpu, &plain, &n->model);
    MUST(ts_pass_open(&n->model, limits, &n->pass, err));
    tiny_pack(&n->batch);
}

static void close_noisy(struct noisy *n)
{
    ts_pass_close(&n->pass);
    test_model_close(&n->model);
    ts_batch_free(&n->batch);
    ts_gpu_close(n->gpu);
}

// The first layer's input of a training pass: out[TINY_ROWS * TINY_HIDDEN].
static void embeddings(struct noisy *n, float alpha, uint64_t seed, double *out)
{
    double sum;
    n->pass.neftune_alpha = alpha;
    MUST(ts_pass_gradients(&n->pass, &n->batch, 1, seed, &sum, err));
    memcpy(out, ts_view_host(n->pass.layers[0].x), TINY_ROWS * TINY_HIDDEN * sizeof *out);
}

// Uniform in +-alpha / sqrt(length hidden), for each sequence by its own length: over many seeds
// the mean is 0 and the variance a third of the bound's square.
Test(neftune, noise_has_its_size_and_distribution)
{
    enum { SEEDS = 60, COUNT = TINY_ROWS * TINY_HIDDEN };
    struct noisy n;
    double still[COUNT], moved[COUNT], sum = 0, squares = 0, most = 0;
    open_noisy(&n);
    embeddings(&n, 0, 1, still);
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        embeddings(&n, ALPHA, seed, moved);
        for (uint32_t i = 0; i < COUNT; i++) {
            const uint32_t row = i / TINY_HIDDEN;
            const double length = n.batch.end[row] - n.batch.first[row];
            const double unit =
                (moved[i] - still[i]) / ((double)ALPHA / sqrt(length * TINY_HIDDEN));
            cr_assert_lt(fabs(unit), 1 + 1e-9, "row %u: %g", row, unit);
            most = fmax(most, fabs(unit));
            sum += unit;
            squares += unit * unit;
        }
    }
    const double count = (double)SEEDS * COUNT; // the mean's deviation is sqrt(1 / (3 count))
    cr_expect_lt(fabs(sum / count), 5 / sqrt(3 * count), "mean %g", sum / count);
    cr_expect_float_eq(squares / count, 1.0 / 3, 5 * sqrt(4.0 / 45 / count), "%g", squares / count);
    cr_expect_gt(most, 0.999);
    close_noisy(&n);
}

Test(neftune, a_seed_repeats_and_measuring_has_none)
{
    enum { COUNT = TINY_ROWS * TINY_HIDDEN };
    struct noisy n;
    double one[COUNT], again[COUNT], other[COUNT], calm, loss;
    open_noisy(&n);
    MUST(ts_pass_loss(&n.pass, &n.batch, &calm, err));
    embeddings(&n, ALPHA, 7, one);
    embeddings(&n, ALPHA, 7, again);
    embeddings(&n, ALPHA, 8, other);
    cr_expect_arr_eq(one, again, sizeof one);
    cr_expect_arr_neq(one, other, sizeof one);
    MUST(ts_pass_loss(&n.pass, &n.batch, &loss, err));
    cr_expect_eq(loss, calm, "%.17g, not %.17g", loss, calm);
    close_noisy(&n);
}
