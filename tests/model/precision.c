// Gradients in 16 bits against those in f32 on the same device, for losses of any size: what f16
// cannot hold must neither vanish nor overflow.
#include "base/memory.h"
#include "model/pass.h"
#include "opened.h"

#include <math.h>
#include <string.h>

enum { TOKENS = 48 };

// Sides that are multiples of 16, as real models have, and a vocabulary that is not.
static const ts_model_config shape = {.hidden = 64,
                                      .layers = 2,
                                      .heads = 4,
                                      .kv_heads = 2,
                                      .head_dim = 16,
                                      .query_scalar = 16,
                                      .ffn = 96,
                                      .vocab = 203,
                                      .max_positions = TOKENS,
                                      .rms_eps = 1e-5f,
                                      .rope = {.theta = 10000}};

static const ts_adapter_config adapter = {
    .r = 4, .alpha = 8, .dropout = 0.25, .targets = TS_MODULES_ALL};
static const ts_pass_limits limits = {.rows = TOKENS, .loss_rows = TOKENS, .training = true};

static ts_dtype weights = TS_BF16;

// The adapter's gradient of scale * loss, as the caller's array. With `profile`, which is opened
// here, every dispatch is counted.
static float *profiled(ts_gpu *gpu, ts_precision precision, float scale, uint64_t *count,
                       ts_profile *profile)
{
    const ts_model_params params = {
        .config = &shape, .random_dtype = weights, .positions = TOKENS, .precision = precision};
    ts_model model;
    ts_pass pass;
    ts_batch batch = {0};
    uint32_t ids[TOKENS];
    uint8_t supervised[TOKENS];
    double sum;
    MUST(ts_model_open(gpu, &params, &model, err));
    MUST(ts_model_add_lora(&model, &adapter, 42, err));
    *count = model.lora.count;
    float *values = calloc(*count, sizeof *values), *out = calloc(*count, sizeof *out);
    for (uint64_t i = 0; i < *count; i++) {
        values[i] = 0.1f * (float)((int)(i * 7919 % 2003) - 1001) / 1001; // no B that is zero
    }
    MUST(ts_gpu_upload(gpu, model.lora.values, values, *count * sizeof *values, err));
    MUST(ts_pass_open(&model, limits, &pass, err));
    if (profile != NULL) {
        MUST(ts_profile_open(gpu, profile, err));
        ts_recorder_profile(pass.recorder, profile);
    }
    for (uint32_t t = 0; t < TOKENS; t++) {
        ids[t] = t * 31 % shape.vocab;
        supervised[t] = t > 8;
    }
    MUST(ts_batch_add(&batch, ids, TOKENS, supervised, err));
    MUST(ts_pass_gradients(&pass, &batch, scale, 0, &sum, err));
    cr_expect(isfinite(sum));
    MUST(ts_gpu_download(gpu, pass.gradients, out, *count * sizeof *out, err));
    if (profile != NULL) {
        ts_recorder_profile(pass.recorder, NULL);
    }
    ts_batch_free(&batch);
    ts_pass_close(&pass);
    test_model_close(&model);
    free(values);
    return out;
}

static float *gradients(ts_gpu *gpu, ts_precision precision, float scale, uint64_t *count)
{
    return profiled(gpu, precision, scale, count, NULL);
}

// ||have - want|| / ||want||, both divided by `scale` first, so that squares stay in range.
static double distance(const float *have, const float *want, uint64_t count, float scale)
{
    double difference = 0, norm = 0;
    for (uint64_t i = 0; i < count; i++) {
        cr_assert(isfinite(have[i]), "loss times %g: %g", (double)scale, (double)have[i]);
        difference += pow(((double)have[i] - (double)want[i]) / scale, 2);
        norm += pow((double)want[i] / scale, 2);
    }
    cr_expect_gt(norm, 0);
    return sqrt(difference / norm);
}

static void check(ts_gpu *gpu, ts_precision precision, float scale, double tolerance)
{
    uint64_t count;
    float *want = gradients(gpu, TS_PRECISION_F32, scale, &count);
    float *have = gradients(gpu, precision, scale, &count);
    double error = distance(have, want, count, scale);
    cr_expect_leq(error, tolerance, "%s, loss times %g: gradients off by %.2e",
                  ts_precision_name(precision), (double)scale, error);
    cr_expect_gt(error, 0, "%s: nothing was rounded", ts_precision_name(precision));
    free(want);
    free(have);
}

Test(precision, gradients_of_any_size)
{
    const float scales[] = {1, 1e-12f, 1e12f, 1e-25f, 1e25f};
    ts_gpu *gpu = test_gpu_open();
    const ts_gpu_caps *caps = ts_gpu_capabilities(gpu);
    bool f16 = ts_precision_offered(caps, TS_PRECISION_F16);
    for (size_t i = 0; i < TS_COUNT(scales); i++) {
        if (f16) {
            check(gpu, TS_PRECISION_F16, scales[i], 2e-3);
        }
        // Also without bf16 matrix units, since activations are stored in bf16 anyway.
        check(gpu, TS_PRECISION_BF16, scales[i], 2e-2);
    }
    test_gpu_close(gpu);
}

// The mirror multiplies in double, but rounds the activations that are stored in bf16 as a GPU
// does. So the two differ by far less than this rounding changes either. (On a CPU driver gradients
// that several layers give one input are rounded after each of them, on a GPU and on the mirror
// once.)
Test(precision, the_mirror_stores_what_the_device_does)
{
    ts_gpu *gpu = test_gpu_open_masked("cpu-driver"), *mirror = NULL;
    uint64_t count;
    MUST(ts_gpu_open_mirror(&mirror, err));
    const ts_gpu_caps *caps = ts_gpu_capabilities(gpu);
    // Where bf16 is offered products round too.
    if (!ts_precision_offered(caps, TS_PRECISION_BF16) && !caps->f32_activations) {
        float *exact = gradients(mirror, TS_PRECISION_F32, 1, &count);
        float *want = gradients(mirror, TS_PRECISION_BF16, 1, &count);
        float *have = gradients(gpu, TS_PRECISION_BF16, 1, &count);
        double rounding = distance(want, exact, count, 1), error = distance(have, want, count, 1);
        cr_expect_gt(rounding, 1e-4);
        cr_expect_leq(error, rounding / 4, "off by %.2e, rounding by %.2e", error, rounding);
        free(exact);
        free(want);
        free(have);
    }
    ts_gpu_close(mirror);
    test_gpu_close(gpu);
}

// Opens a pass with `limits`. Returns the bytes that it is planned to take, and does take.
static uint64_t planned(ts_gpu *gpu, ts_precision precision, ts_pass_limits with, ts_dtype *act,
                        ts_dtype *gradient)
{
    const ts_model_params params = {
        .config = &shape, .random_dtype = TS_BF16, .positions = TOKENS, .precision = precision};
    ts_model model;
    ts_pass pass;
    uint64_t bytes, largest;
    ts_pass_limits told = with; // a plan knows no device
    told.f32_activations |= ts_gpu_capabilities(gpu)->f32_activations;
    MUST(ts_model_open(gpu, &params, &model, err));
    MUST(ts_model_add_lora(&model, &adapter, 42, err));
    MUST(ts_pass_open(&model, with, &pass, err));
    MUST(ts_pass_plan(&shape, TS_BF16, false, &adapter, precision, told, &bytes, &largest, err));
    cr_expect_eq(bytes, pass.device.used_bytes + pass.host.used_bytes, "%s",
                 ts_precision_name(precision));
    *act = pass.layers[0].q.dtype;
    *gradient = pass.dq.dtype;
    cr_expect_eq(pass.norm.dtype, *act);
    cr_expect_eq(pass.layers[0].gate.dtype, *act);
    cr_expect_eq(pass.dnorm.dtype, *gradient);
    cr_expect_eq(pass.x.dtype, TS_F32);
    cr_expect_eq(pass.dx.dtype, TS_F32);
    ts_pass_close(&pass);
    test_model_close(&model);
    return bytes;
}

// In 16 bits q, k, v, o, gate and up of each layer take half the bytes, and the plan knows.
Test(precision, the_plan_counts_what_is_stored)
{
    const uint64_t floats = shape.ffn * 2 + (shape.heads + shape.kv_heads) * shape.head_dim * 2,
                   saved = shape.layers * TOKENS * floats * 2;
    ts_gpu *gpu = test_gpu_open();
    ts_pass_limits whole = limits;
    ts_dtype act, gradient;
    whole.f32_activations = true;
    const uint64_t most = planned(gpu, TS_PRECISION_BF16, whole, &act, &gradient);
    cr_expect(act == TS_F32 && gradient == TS_F32);
    cr_expect_eq(planned(gpu, TS_PRECISION_F32, limits, &act, &gradient), most);
    cr_expect(act == TS_F32 && gradient == TS_F32);
    if (!ts_gpu_capabilities(gpu)->f32_activations) {
        cr_expect_leq(planned(gpu, TS_PRECISION_BF16, limits, &act, &gradient) + saved, most);
        cr_expect(act == TS_BF16 && gradient == TS_BF16);
        cr_expect_lt(planned(gpu, TS_PRECISION_F16, limits, &act, &gradient), most);
        cr_expect(act == TS_F16 && gradient == TS_F32, "f16 does not hold gradients of any size");
    }
    test_gpu_close(gpu);
}

// The mask does the same from outside.
Test(precision, sixteen_bits_can_be_hidden)
{
    ts_gpu *gpu = test_gpu_open();
    const ts_gpu_caps *caps = ts_gpu_capabilities(gpu);
    const char *device = getenv("TINYSFT_DEVICE");
    ts_gpu_params params = {.device = device != NULL ? device : "0"};
    const bool able = caps->matrix_f16.m != 0 || caps->matrix_bf16.m != 0;
    ts_dtype act, gradient;
    test_gpu_close(gpu);
    if (!able) {
        cr_skip_test("no precision that stores them is offered");
    }
    MUST(ts_gpu_masks_parse("16-bit-activations", &params.masks, err));
    MUST(ts_gpu_open(&params, &gpu, err));
    planned(gpu, TS_PRECISION_BF16, limits, &act, &gradient);
    cr_expect(act == TS_F32 && gradient == TS_F32);
    test_gpu_close(gpu);
}

// In f16 what products read in f32 is searched for its largest element once, whatever their number,
// and not at all where the kernel that wrote it has found that; a frozen weight in f32 when the
// model is opened, and never after that.
Test(precision, the_largest_element_is_searched_once_a_tensor)
{
    // With dropout gate and up, and q, k and v, give their input its gradient one by one, and layer
    // 0's q, k and v pass nothing on. lm_head: one each way. The last layer's down reads what
    // scatter_rows wrote. What other products read, a product or a norm's gradient has searched as
    // it was written.
    const uint64_t once = shape.layers * (2 + 3) - 3 + 2 + 1;
    ts_gpu *gpu = test_gpu_open();
    const ts_gpu_caps *caps = ts_gpu_capabilities(gpu);
    bool able = ts_precision_offered(caps, TS_PRECISION_F16) && caps->timestamp_ns > 0 &&
                !caps->f32_activations;
    const ts_dtype types[] = {TS_BF16, TS_F32};
    for (size_t i = 0; i < TS_COUNT(types) && able; i++) {
        ts_profile profile = {0};
        uint64_t count, searches = 0;
        weights = types[i];
        free(profiled(gpu, TS_PRECISION_F16, 1, &count, &profile));
        for (size_t row = 0; row < profile.row_count; row++) {
            searches +=
                strcmp(profile.rows[row].shader, "absmax") == 0 ? profile.rows[row].dispatches : 0;
        }
        cr_expect_eq(searches, once, "%s: %llu searches, expected %llu", ts_dtype_name(types[i]),
                     (unsigned long long)searches, (unsigned long long)once);
        ts_profile_close(&profile);
    }
    test_gpu_close(gpu);
    if (!able) {
        cr_skip_test("no matrix units for f16, or no timestamps");
    }
}
