// A whole two-layer model's LoRA gradients against central finite differences of its loss. The
// model runs on the mirror device: the same code as on a GPU, in double. Then the real device's
// gradients against the mirror's.
#include "tiny_llama.h"

#include <criterion/parameterized.h>

static const double STEP = 1e-5;
static const float SCALE = 0.125f; // of the loss: an exact float, so the mirror has the same
enum { DROPOUT_SEED = 5 };

static const struct variant {
    char name[64]; // no pointer, since a parameterized test runs in a process of its own
    tiny_llama tiny;
} variants[] = {
    {"all modules", {.adapter = {.r = 3, .alpha = 6, .targets = TS_MODULES_ALL}}},
    {"all modules, dropout",
     {.adapter = {.r = 3, .alpha = 6, .dropout = 0.25, .targets = TS_MODULES_ALL}}},
    {"tied embedding", {.tied = true, .adapter = {.r = 2, .alpha = 2, .targets = TS_MODULES_ALL}}},
    {"rsLoRA, f16 weights",
     {.dtype = TS_F16,
      .adapter = {.r = 2, .alpha = 3, .use_rslora = true, .targets = TS_MODULES_ALL}}},
    {"bf16 weights, dropout, tied",
     {.tied = true,
      .dtype = TS_BF16,
      .adapter = {.r = 1, .alpha = 1, .dropout = 0.5, .targets = TS_MODULES_ALL}}},
    {"q and v",
     {.adapter = {.r = 8,
                  .alpha = 16,
                  .targets = TS_MODULE_BIT(TS_MODULE_Q) | TS_MODULE_BIT(TS_MODULE_V)}}},
    {"k and o",
     {.adapter = {.r = 4,
                  .alpha = 8,
                  .targets = TS_MODULE_BIT(TS_MODULE_K) | TS_MODULE_BIT(TS_MODULE_O)}}},
    {"down alone, dropout",
     {.adapter = {.r = 4, .alpha = 8, .dropout = 0.1, .targets = TS_MODULE_BIT(TS_MODULE_DOWN)}}},
    {"a window of three",
     {.family = TS_FAMILY_MISTRAL,
      .window = 3,
      .adapter = {.r = 4,
                  .alpha = 8,
                  .targets = TS_MODULE_BIT(TS_MODULE_Q) | TS_MODULE_BIT(TS_MODULE_K) |
                             TS_MODULE_BIT(TS_MODULE_V)}}},
    {"Qwen2: biases, a window in the upper layer",
     {.family = TS_FAMILY_QWEN2,
      .window = 3,
      .more = ", \"use_sliding_window\": true, \"max_window_layers\": 1",
      .tied = true,
      .dtype = TS_BF16,
      .adapter = {.r = 2, .alpha = 4, .targets = TS_MODULES_ALL}}},
    {"Qwen3: norms of the heads of q and k, dropout",
     {.family = TS_FAMILY_QWEN3,
      .adapter = {.r = 2, .alpha = 4, .dropout = 0.25, .targets = TS_MODULES_ALL}}},
    {"Qwen3: k alone, f16 weights",
     {.family = TS_FAMILY_QWEN3,
      .dtype = TS_F16,
      .adapter = {.r = 3, .alpha = 4, .targets = TS_MODULE_BIT(TS_MODULE_K)}}},
    {"SmolLM3: one of two layers does not rotate",
     {.family = TS_FAMILY_SMOLLM3,
      .more = ", \"no_rope_layers\": [1, 0]",
      .adapter = {.r = 2, .alpha = 4, .targets = TS_MODULES_ALL}}},
    {"Gemma 3: a windowed layer and one that is not",
     {.family = TS_FAMILY_GEMMA3,
      .window = 3,
      .more = ", \"sliding_window_pattern\": 2, \"rope_local_base_freq\": 100, "
              "\"query_pre_attn_scalar\": 6.5",
      .tied = true,
      .dtype = TS_BF16,
      .adapter = {.r = 2, .alpha = 4, .targets = TS_MODULES_ALL}}},
    {"Gemma 3: q, o and down, dropout",
     {.family = TS_FAMILY_GEMMA3,
      .window = 3,
      .adapter = {.r = 2,
                  .alpha = 4,
                  .dropout = 0.25,
                  .targets = TS_MODULE_BIT(TS_MODULE_Q) | TS_MODULE_BIT(TS_MODULE_O) |
                             TS_MODULE_BIT(TS_MODULE_DOWN)}}},
    {"OLMo 2: norms behind blocks alone, and of all heads as one",
     {.family = TS_FAMILY_OLMO2,
      .dtype = TS_BF16,
      .adapter = {.r = 2, .alpha = 4, .targets = TS_MODULES_ALL}}},
    {"OLMo 2: v and up, dropout, tied",
     {.family = TS_FAMILY_OLMO2,
      .tied = true,
      .adapter = {.r = 2,
                  .alpha = 4,
                  .dropout = 0.25,
                  .targets = TS_MODULE_BIT(TS_MODULE_V) | TS_MODULE_BIT(TS_MODULE_UP)}}},
    {"DoRA, all modules",
     {.adapter = {.r = 3, .alpha = 6, .use_dora = true, .targets = TS_MODULES_ALL}}},
    {"DoRA, biases, dropout, bf16 weights",
     {.family = TS_FAMILY_QWEN2,
      .dtype = TS_BF16,
      .adapter = {.r = 2,
                  .alpha = 3,
                  .dropout = 0.25,
                  .use_rslora = true,
                  .use_dora = true,
                  .targets = TS_MODULES_ALL}}},
    {"gate and up",
     {.adapter = {.r = 4,
                  .alpha = 8,
                  .targets = TS_MODULE_BIT(TS_MODULE_GATE) | TS_MODULE_BIT(TS_MODULE_UP)}}},
};

struct side {
    ts_model model;
    ts_pass pass;
    ts_batch batch;
};

static void open_side(struct side *side, ts_gpu *gpu, const tiny_llama *tiny)
{
    *side = (struct side){0};
    const ts_pass_limits limits = {.rows = TINY_ROWS, .loss_rows = TINY_ROWS, .training = true};
    tiny_open(gpu, tiny, &side->model);
    MUST(ts_pass_open(&side->model, limits, &side->pass, err));
    tiny_pack(&side->batch);
}

static void close_side(struct side *side)
{
    ts_pass_close(&side->pass);
    test_model_close(&side->model);
    ts_batch_free(&side->batch);
}

static void run(struct side *side)
{
    double sum;
    MUST(ts_pass_gradients(&side->pass, &side->batch, SCALE, DROPOUT_SEED, &sum, err));
}

// The mirror's loss, in double. It runs the training pass, because only that applies dropout.
static double mirror_loss(struct side *side)
{
    double sum = 0;
    run(side);
    const double *log_probability = ts_view_host(side->pass.io.log_probability);
    for (uint32_t i = 0; i < side->batch.loss_rows; i++) {
        sum -= log_probability[i];
    }
    return SCALE * sum;
}

// The mirror's gradients, as the caller's copy.
static double *mirror_gradients(struct side *side)
{
    uint64_t count = side->model.lora.count;
    double *copy = malloc(count * sizeof *copy);
    run(side);
    memcpy(copy, ts_view_host(side->pass.gradients), count * sizeof *copy);
    return copy;
}

// In DoRA's gradients the norms are constants (PEFT detaches them), so they are not computed again
// while a value of A or B is changed.
static void check_tensor(struct side *side, const struct variant *variant, size_t pair, char which,
                         const double *gradients)
{
    const ts_lora_pair *lora = &side->model.lora.pairs[pair];
    ts_view view = which == 'A' ? lora->a : which == 'B' ? lora->b : lora->magnitude;
    double *values = ts_view_host(view), slopes[512];
    size_t count = view.bytes / sizeof *values;
    uint64_t first = (view.offset - side->model.lora.values.offset) / sizeof *values;
    cr_assert_leq(count, TS_COUNT(slopes));
    run(side); // brings the norms up to date with values that are as they were
    for (size_t i = 0; i < count; i++) {
        double kept = values[i];
        values[i] = kept + STEP;
        side->model.lora.changed = which == 'M';
        double above = mirror_loss(side);
        values[i] = kept - STEP;
        side->model.lora.changed = which == 'M';
        double below = mirror_loss(side);
        values[i] = kept;
        side->model.lora.changed = which == 'M';
        slopes[i] = (above - below) / (2 * STEP);
    }
    double error = tiny_distance(gradients + first, slopes, count);
    cr_assert_leq(error, 1e-6, "%s: layer %zu, %s, %c is off by %.2e from finite differences",
                  variant->name, pair / TS_MODULE_COUNT,
                  ts_module_name((ts_module)(pair % TS_MODULE_COUNT)), which, error);
    const double zeros[512] = {0};
    cr_assert_gt(tiny_distance(slopes, zeros, count), 1e-6, "%s: nothing to differentiate",
                 variant->name);
}

ParameterizedTestParameters(llama, finite_differences)
{
    return cr_make_param_array(const struct variant, (void *)(uintptr_t)variants,
                               TS_COUNT(variants));
}

ParameterizedTest(const struct variant *variant, llama, finite_differences)
{
    struct side mirror;
    ts_gpu *gpu = NULL;
    MUST(ts_gpu_open_mirror(&gpu, err));
    open_side(&mirror, gpu, &variant->tiny);
    double *gradients = mirror_gradients(&mirror);
    for (size_t pair = 0; pair < (size_t)TINY_LAYERS * TS_MODULE_COUNT; pair++) {
        const char *sides = ts_adapter_sides(&variant->tiny.adapter);
        for (; *sides != '\0' && mirror.model.lora.pairs[pair].r > 0; sides++) {
            check_tensor(&mirror, variant, pair, *sides, gradients);
        }
    }
    free(gradients);
    close_side(&mirror);
    ts_gpu_close(gpu);
}

Test(llama, device_agrees_with_mirror)
{
    ts_gpu *gpu = test_gpu_open(), *mirror_gpu = NULL;
    MUST(ts_gpu_open_mirror(&mirror_gpu, err));
    for (size_t v = 0; v < TS_COUNT(variants); v++) {
        struct side device, mirror;
        open_side(&device, gpu, &variants[v].tiny);
        open_side(&mirror, mirror_gpu, &variants[v].tiny);
        uint64_t count = mirror.model.lora.count;
        double *want = mirror_gradients(&mirror), *have = malloc(count * sizeof *have);
        float *narrow = malloc(count * sizeof *narrow);
        run(&device);
        MUST(ts_gpu_download(gpu, device.pass.gradients, narrow, count * sizeof *narrow, err));
        for (uint64_t i = 0; i < count; i++) {
            have[i] = narrow[i];
        }
        double error = tiny_distance(have, want, count);
        cr_assert_leq(error, 3e-5, "%s: off by %.2e from the mirror", variants[v].name, error);
        free(want);
        free(have);
        free(narrow);
        close_side(&device);
        close_side(&mirror);
    }
    ts_gpu_close(mirror_gpu);
    test_gpu_close(gpu);
}
