// The adapter's first values as PEFT has them: init_lora_weights True and "gaussian".
#include "base/memory.h"
#include "device.h"
#include "model/model.h"

#include <math.h>
#include <string.h>

static const ts_model_config shape = {.hidden = 512,
                                      .layers = 2,
                                      .heads = 4,
                                      .kv_heads = 2,
                                      .head_dim = 8,
                                      .query_scalar = 8,
                                      .ffn = 64,
                                      .vocab = 31,
                                      .max_positions = 8,
                                      .rms_eps = 1e-5f,
                                      .rope = {.theta = 10000}};

// Asserts that the pair's A has that deviation and its B is zero; *most receives A's largest
// magnitude, *first its first value.
static void check_pair(ts_gpu *gpu, const ts_lora_pair *pair, double deviation, double *most,
                       float *first)
{
    uint64_t a_count = pair->a.bytes / sizeof(float), b_count = pair->b.bytes / sizeof(float);
    float *a = calloc(a_count, sizeof *a), *b = calloc(b_count, sizeof *b);
    double squares = 0;
    MUST(ts_gpu_download(gpu, pair->a, a, pair->a.bytes, err));
    MUST(ts_gpu_download(gpu, pair->b, b, pair->b.bytes, err));
    *most = 0;
    for (uint64_t i = 0; i < a_count; i++) {
        squares += (double)a[i] * (double)a[i];
        *most = fmax(*most, fabs((double)a[i]));
    }
    for (uint64_t i = 0; i < b_count; i++) {
        cr_assert_eq(b[i], 0);
    }
    double found = sqrt(squares / (double)a_count);
    cr_expect_float_eq(found / deviation, 1, 5 / sqrt(2 * (double)a_count), "%g, not %g", found,
                       deviation);
    *first = a[0];
    free(a);
    free(b);
}

// A new DoRA changes nothing: its magnitudes are the lengths of the weights' rows, decoded where
// they are held in blocks.
Test(lora_init, magnitudes_are_the_rows_lengths)
{
    enum { ROW = 5 };
    const ts_dtype types[] = {TS_F32, TS_BF16};
    const ts_adapter_config adapter = {
        .r = 2, .alpha = 4, .use_dora = true, .targets = TS_MODULES_ALL};
    ts_gpu *gpu = test_gpu_open();
    for (size_t t = 0; t < 2 * TS_COUNT(types); t++) {
        ts_model_params params = {.config = &shape, .random_dtype = types[t / 2], .positions = 8};
        ts_model model;
        if (t % 2) {
            MUST(ts_quantise_parse("q8_0", &params.quantise, err));
        }
        MUST(ts_model_open(gpu, &params, &model, err));
        MUST(ts_model_add_lora(&model, &adapter, 42, err));
        const ts_view weight = model.layers[1].linear[TS_MODULE_UP];
        const ts_lora_pair *pair = ts_lora_pair_of(&model, 1, TS_MODULE_UP);
        float lengths[64];
        double squares = 0, *row = calloc(shape.hidden, sizeof *row);
        uint8_t *bytes = malloc(weight.bytes);
        MUST(ts_gpu_download(gpu, weight, bytes, weight.bytes, err));
        MUST(ts_gpu_download(gpu, pair->magnitude, lengths, sizeof lengths, err));
        if (ts_dtype_block(weight.dtype) > 1) {
            double *all = calloc(64 * shape.hidden, sizeof *all);
            ts_blocks_decode(weight.dtype, bytes, 64 * shape.hidden, all);
            memcpy(row, all + ROW * shape.hidden, shape.hidden * sizeof *row);
            free(all);
        }
        for (uint32_t i = 0; i < shape.hidden; i++) {
            double w = ts_dtype_block(weight.dtype) > 1
                           ? row[i]
                           : ts_dtype_load(weight.dtype, bytes, ROW * shape.hidden + i);
            squares += w * w;
        }
        cr_expect_float_eq((double)lengths[ROW] / sqrt(squares), 1, 1e-6, "%g, not %g",
                           (double)lengths[ROW], sqrt(squares));
        free(row);
        free(bytes);
        ts_model_close(&model);
    }
    test_gpu_close(gpu);
}

Test(lora_init, has_pefts_deviations)
{
    const ts_model_params params = {.config = &shape, .random_dtype = TS_F32, .positions = 8};
    ts_gpu *gpu = test_gpu_open();
    for (ts_lora_init init = 0; init < TS_LORA_INIT_COUNT; init++) {
        const bool gaussian = init == TS_LORA_INIT_GAUSSIAN;
        const ts_adapter_config adapter = {.r = 8,
                                           .alpha = 16,
                                           .targets = TS_MODULE_BIT(TS_MODULE_Q) |
                                                      TS_MODULE_BIT(TS_MODULE_V),
                                           .init = init};
        const double uniform = 1 / sqrt(shape.hidden);
        float first[2];
        double most;
        ts_model model;
        MUST(ts_model_open(gpu, &params, &model, err));
        MUST(ts_model_add_lora(&model, &adapter, 42, err));
        for (uint32_t i = 0; i < 2; i++) { // of layer 0
            ts_module module = i == 0 ? TS_MODULE_Q : TS_MODULE_V;
            check_pair(gpu, &model.lora.pairs[module], gaussian ? 1.0 / 8 : uniform / sqrt(3),
                       &most, &first[i]);
            cr_expect(gaussian ? most > 3.0 / 8 : most <= uniform * 1.000001, "%g", most);
        }
        cr_expect_neq(first[0], first[1], "each pair has numbers of its own");
        ts_model_close(&model);
    }
    test_gpu_close(gpu);
}
