// An embedding and an lm_head too large for a shader to reach in one piece: cut into ranges of
// tokens they compute the same.
#include "tiny_llama.h"

#include <criterion/criterion.h>

enum { TOKENS = 40, ROW_BYTES = 256 * 2, MOST_GRADIENTS = 1 << 16, RANGES = 5 };

struct outcome {
    double losses[TOKENS], gradients[MOST_GRADIENTS];
    uint32_t next[TOKENS];
};

static void read_back(ts_gpu *gpu, ts_view view, uint64_t count, double *out)
{
    float *narrow = malloc(count * sizeof *narrow);
    if (ts_gpu_is_mirror(gpu)) {
        memcpy(out, ts_view_host(view), count * sizeof *out);
    } else {
        MUST(ts_gpu_download(gpu, view, narrow, count * sizeof *narrow, err));
        for (uint64_t i = 0; i < count; i++) {
            out[i] = narrow[i];
        }
    }
    free(narrow);
}

static void run(ts_gpu *gpu, const ts_model_params *params, struct outcome *out)
{
    static const ts_adapter_config adapter = {
        .r = 2, .alpha = 4, .targets = TS_MODULE_BIT(TS_MODULE_Q) | TS_MODULE_BIT(TS_MODULE_DOWN)};
    ts_model model;
    ts_pass pass;
    ts_batch batch = {0};
    uint32_t ids[TOKENS];
    double sum;
    test_model_open(gpu, PROJECT_FOLDER "/assets/base", *params, &model);
    cr_assert_eq(model.lm_head.count, params->range_bytes > 0 ? RANGES : 1);
    MUST(ts_model_add_lora(&model, &adapter, 42, err));
    tiny_fill_adapter(&model);
    cr_assert_leq(model.lora.count, MOST_GRADIENTS);
    for (uint32_t t = 0; t < TOKENS; t++) { // of all ranges
        ids[t] = t * 997 % model.config.vocab;
    }
    ids[0] = 0, ids[1] = model.config.vocab - 1;
    MUST(ts_batch_add(&batch, ids, TOKENS, NULL, err));
    for (uint32_t t = 0; t + 1 < TOKENS; t++) {
        MUST(ts_batch_ask(&batch, t, err));
        batch.label[t] = ids[t + 1];
    }
    const ts_pass_limits limits = {.rows = TOKENS, .loss_rows = TOKENS, .training = true};
    MUST(ts_pass_open(&model, limits, &pass, err));
    MUST(ts_pass_gradients(&pass, &batch, 0.125f, 0, &sum, err));
    read_back(gpu, pass.io.log_probability, batch.loss_rows, out->losses);
    read_back(gpu, pass.gradients, model.lora.count, out->gradients);
    MUST(ts_pass_next(&pass, &batch, out->next, err));
    ts_batch_free(&batch);
    ts_pass_close(&pass);
    test_model_close(&model);
}

static void compare(ts_gpu *gpu, ts_model_params params, double tolerance)
{
    static struct outcome whole, cut;
    memset(&whole, 0, sizeof whole);
    memset(&cut, 0, sizeof cut);
    params.positions = TOKENS;
    run(gpu, &params, &whole);
    params.range_bytes = 448 * ROW_BYTES + 3; // of 2,048 rows
    run(gpu, &params, &cut);
    double losses = tiny_distance(cut.losses, whole.losses, TOKENS);
    double gradients = tiny_distance(cut.gradients, whole.gradients, MOST_GRADIENTS);
    cr_expect_leq(losses, tolerance, "losses off by %.2e", losses);
    cr_expect_leq(gradients, tolerance, "gradients off by %.2e", gradients);
    cr_expect_arr_eq(cut.next, whole.next, sizeof whole.next);
    cr_assert_lt(whole.losses[0], 0);
    cr_assert_neq(whole.gradients[0], 0);
}

Test(vocabulary, in_ranges_on_the_mirror)
{
    ts_gpu *gpu = NULL;
    MUST(ts_gpu_open_mirror(&gpu, err));
    compare(gpu, (ts_model_params){0}, 1e-12);
    ts_gpu_close(gpu);
}

Test(vocabulary, in_ranges_on_the_device)
{
    ts_gpu *gpu = test_gpu_open();
    compare(gpu, (ts_model_params){0}, 5e-6);
    for (ts_precision p = TS_PRECISION_F16; p <= TS_PRECISION_BF16; p++) {
        if (ts_precision_offered(ts_gpu_capabilities(gpu), p)) {
            compare(gpu, (ts_model_params){.precision = p}, p == TS_PRECISION_F16 ? 2e-3 : 2e-2);
        }
    }
    test_gpu_close(gpu);
}

// What binds is not cut; ranges have as many rows as bind, in steps; a weight that would need too
// many of them is refused by name.
Test(vocabulary, is_cut_as_the_device_binds)
{
    ts_model_config shape = {.hidden = 64,
                             .ffn = 8,
                             .layers = 1,
                             .vocab = 1000,
                             .heads = 1,
                             .kv_heads = 1,
                             .head_dim = 64,
                             .query_scalar = 64,
                             .max_positions = 8,
                             .rope = {.theta = 10000},
                             .tied = true};
    static const struct {
        uint64_t limit; // bytes
        ts_status status;
    } cases[] = {{1000 * 64 * 2, TS_OK},
                 {999 * 64 * 2, TS_OK},
                 {2 * 64 * 64 * 2 - 1, TS_OK},
                 {64 * 64 * 2, TS_OK},
                 {64 * 64 * 2 - 1, TS_ERR_UNSUPPORTED}};
    for (size_t i = 0; i < TS_COUNT(cases); i++) {
        uint64_t weights, adapter;
        ts_error err = {0};
        cr_expect_eq(ts_model_plan(&shape, NULL, TS_BF16, (ts_quantise){0}, 8, false,
                                   cases[i].limit, NULL, TS_PRECISION_F32, &weights, &adapter,
                                   &err),
                     cases[i].status, "%zu: %s", i, err.message);
        if (cases[i].status != TS_OK) {
            cr_expect_not_null(strstr(err.message, "weight model.embed_tokens.weight has"), "%s",
                               err.message);
        }
    }
}
