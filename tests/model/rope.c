// The table of rotary angles against PyTorch's (known answers of transformers' own formula, in
// float). In exact arithmetic the cosines below come out differently from the fifth digit on.
#include "base/memory.h"
#include "model/model.h"
#include "opened.h"

#include <criterion/criterion.h>
#include <math.h>

enum { POSITIONS = 2000 };

static void check_rope(ts_rope_config rope, uint32_t dim, ts_dtype dtype,
                       const double expected[4][2])
{
    static const uint32_t at[4][2] = {{1999, 1}, {1999, 3}, {1500, 6}, {1023, 7}}; // position, pair
    const ts_model_config shape = {.hidden = 16,
                                   .ffn = 8,
                                   .layers = 1,
                                   .vocab = 8,
                                   .heads = 1,
                                   .kv_heads = 1,
                                   .head_dim = dim,
                                   .max_positions = POSITIONS,
                                   .rms_eps = 1e-5f,
                                   .rope = rope};
    const ts_model_params params = {
        .config = &shape, .random_dtype = TS_BF16, .positions = POSITIONS, .rope_dtype = dtype};
    size_t bytes = (size_t)POSITIONS * dim * sizeof(float);
    float *table = malloc(bytes);
    ts_model model;
    ts_gpu *gpu = test_gpu_open();
    MUST(ts_model_open(gpu, &params, &model, err));
    MUST(ts_gpu_download(gpu, model.rope, table, bytes, err));
    for (size_t i = 0; i < TS_COUNT(at); i++) {
        const float *have = table + ((size_t)at[i][0] * (dim / 2) + at[i][1]) * 2;
        for (size_t side = 0; side < 2; side++) {
            cr_expect_float_eq(have[side], expected[i][side], 1e-7,
                               "theta %g, position %u, pair %u: %.9g, not %.9g", rope.theta,
                               at[i][0], at[i][1], have[side], expected[i][side]);
        }
    }
    free(table);
    test_model_close(&model);
    test_gpu_close(gpu);
}

Test(rope, float32)
{
    check_rope((ts_rope_config){.theta = 10000}, 64, TS_F32,
               (const double[4][2]){{-0.87817812, -0.478333801},
                                    {0.519541264, 0.854445338},
                                    {-0.957247972, 0.289268643},
                                    {-0.23773171, -0.971330881}});
    check_rope((ts_rope_config){.theta = 500000}, 128, TS_F32,
               (const double[4][2]){{0.475903541, 0.879497468},
                                    {0.996258199, -0.0864269882},
                                    {0.0894713774, -0.995989382},
                                    {0.0555934049, -0.998453498}});
}

// As after model.to(bfloat16) and model.to(float16), where the last frequency is subnormal.
Test(rope, frequencies_in_16_bits)
{
    check_rope((ts_rope_config){.theta = 10000}, 64, TS_BF16,
               (const double[4][2]){{-0.758163512, -0.652064443},
                                    {0.188370317, 0.982098103},
                                    {-0.907369614, 0.420333713},
                                    {0.205456868, -0.978666186}});
    check_rope((ts_rope_config){.theta = 500000}, 16, TS_F16,
               (const double[4][2]){{-0.238877118, -0.971049786},
                                    {-0.428599119, 0.903494775},
                                    {0.996821582, 0.0796665028},
                                    {0.999944389, 0.0105485748}});
}

// Of the pairs asked for, 1 is short, 3 between, and 6 and 7 long.
Test(rope, llama3)
{
    check_rope((ts_rope_config){.kind = TS_ROPE_LLAMA3,
                                .theta = 500000,
                                .factor = 32,
                                .low_freq_factor = 1,
                                .high_freq_factor = 4,
                                .original_positions = 1024},
               20, TS_F32,
               (const double[4][2]){{-0.579190075, -0.815192521},
                                    {-0.919991791, -0.391937584},
                                    {0.999840796, 0.017845802},
                                    {0.999994636, 0.00327677}});
}
