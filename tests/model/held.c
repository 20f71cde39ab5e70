// A base stored in BF16 whose linear layers the device holds in F16, since its products round them
// to that: the bits are those of the weights as they are stored.
#include "block_llama.h"

#include "model/quantise.h"

// Writes a model's folder in BF16, with some linear weights of which F16 holds fewer bits or none.
// `largest` != 0: one weight of down_proj has that value.
static void write_model(char folder[32], float largest)
{
    struct tiny_file file = {.state = 20261203u, .dtype = TS_BF16};
    strcpy(folder, "/tmp/tinysft-test-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    list_tensors(&file);
    for (size_t t = 0; t < file.count; t++) {
        uint16_t *values = (uint16_t *)(uintptr_t)file.tensors[t].bytes;
        const bool linear = strstr(file.names[t], "_proj") || strstr(file.names[t], "lm_head");
        for (size_t i = 0; linear && i < file.tensors[t].len / sizeof *values; i += 3) {
            values[i] = ts_f32_to_bf16(ldexpf(ts_bf16_to_f32(values[i]), -(int)(i % 28)));
        }
        if (largest != 0 && strstr(file.names[t], "1.mlp.down_proj") != NULL) {
            values[77] = ts_f32_to_bf16(largest);
        }
    }
    write_tensors(folder, &file);
    write_shape(folder, "");
}

static void expect_types(const ts_model *model, ts_dtype linear)
{
    for (ts_module module = 0; module < TS_MODULE_COUNT; module++) {
        cr_expect_eq(model->layers[1].linear[module].dtype, linear);
    }
    cr_expect_eq(model->lm_head.ranges[0].dtype, linear);
    cr_expect_eq(model->embedding.ranges[0].dtype, TS_BF16);
    cr_expect_eq(model->final_norm.dtype, TS_BF16);
}

// One model is opened for f16. The other is opened for f32, and only then multiplies in f16.
Test(held, f16_holds_what_its_products_would_round_to)
{
    static float rounded[FLOATS], stored[FLOATS];
    ts_gpu *gpu = test_gpu_open();
    const bool able = ts_precision_offered(ts_gpu_capabilities(gpu), TS_PRECISION_F16);
    ts_model_params params = {.positions = TOKENS, .precision = TS_PRECISION_F16};
    ts_model model;
    char folder[32];
    uint64_t weights, adapter;
    write_model(folder, 0);
    test_model_open(gpu, folder, params, &model);
    expect_types(&model, TS_F16);
    MUST(ts_model_plan(&model.config, model.files, TS_F32, params.quantise, TOKENS, false, 0, NULL,
                       TS_PRECISION_F16, &weights, &adapter, err));
    cr_expect_eq(weights, model.weights.used_bytes);
    const double loss = gradients_of(&model, rounded);
    test_model_close(&model);
    params.precision = TS_PRECISION_F32;
    test_model_open(gpu, folder, params, &model);
    expect_types(&model, TS_BF16);
    cr_expect_eq(weights, model.weights.used_bytes);
    model.precision = TS_PRECISION_F16;
    const double want = gradients_of(&model, stored);
    if (able) {
        cr_expect_eq(loss, want);
        cr_expect_arr_eq(rounded, stored, sizeof rounded);
    }
    test_model_close(&model);
    MUST(ts_folder_remove(folder, err));
    test_gpu_close(gpu);
    if (!able) {
        cr_skip_test("no matrix units for f16");
    }
}

Test(held, only_linear_layers_stored_in_bf16_are_rounded)
{
    static const struct {
        ts_weight_part part;
        ts_dtype stored, quantised;
        ts_precision precision;
        ts_dtype held;
    } cases[] = {
        {TS_WEIGHT_LINEAR, TS_BF16, TS_F32, TS_PRECISION_F16, TS_F16},
        {TS_WEIGHT_HEAD, TS_BF16, TS_F32, TS_PRECISION_F16, TS_F16},
        {TS_WEIGHT_EMBEDDING, TS_BF16, TS_F32, TS_PRECISION_F16, TS_BF16},
        {TS_WEIGHT_NORM, TS_BF16, TS_F32, TS_PRECISION_F16, TS_BF16},
        {TS_WEIGHT_BIAS, TS_BF16, TS_F32, TS_PRECISION_F16, TS_BF16},
        {TS_WEIGHT_LINEAR, TS_F32, TS_F32, TS_PRECISION_F16, TS_F32},
        {TS_WEIGHT_LINEAR, TS_Q4_K, TS_F32, TS_PRECISION_F16, TS_Q4_K},
        {TS_WEIGHT_LINEAR, TS_BF16, TS_NF4, TS_PRECISION_F16, TS_NF4_16},
        {TS_WEIGHT_LINEAR, TS_BF16, TS_F32, TS_PRECISION_BF16, TS_BF16},
        {TS_WEIGHT_LINEAR, TS_F16, TS_F32, TS_PRECISION_BF16, TS_F16},
        {TS_WEIGHT_LINEAR, TS_BF16, TS_F32, TS_PRECISION_F32, TS_BF16},
    };
    for (size_t i = 0; i < TS_COUNT(cases); i++) {
        const ts_weight weight = {.part = cases[i].part, .rows = 256, .cols = 256};
        cr_expect_eq(ts_weight_held_as(&weight, cases[i].stored,
                                       (ts_quantise){cases[i].quantised, TS_F32},
                                       cases[i].precision),
                     cases[i].held, "case %zu", i);
    }
}

Test(held, what_f16_cannot_hold_is_refused_by_name)
{
    ts_gpu *gpu = test_gpu_open();
    ts_model_params params = {.positions = TOKENS, .precision = TS_PRECISION_F16};
    ts_model model;
    ts_error err = {0};
    char folder[32], words[128];
    write_model(folder, -70000);
    snprintf(words, sizeof words, "%s: model.layers.1.mlp.down_proj.weight holds 70144, ", folder);
    cr_expect_eq(test_model_try(gpu, folder, params, &model, &err), TS_ERR_UNSUPPORTED);
    cr_expect_not_null(strstr(err.message, words), "%s", err.message);
    cr_expect_not_null(strstr(err.message, "--precision bf16 or f32"), "%s", err.message);
    params.precision = TS_PRECISION_BF16;
    test_model_open(gpu, folder, params, &model);
    test_model_close(&model);
    MUST(ts_folder_remove(folder, err));
    test_gpu_close(gpu);
}
