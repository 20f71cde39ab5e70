// LoRA+: A and B with learning rates of their own, against AdamW in double, in PyTorch's order.
#include "device.h"
#include "train/optimiser.h"

#include <math.h>
#include <string.h>

enum { STEPS = 3, MOST = 1 << 13 };

// Sides that are no multiples of 4 as well.
static const ts_model_config shape = {.hidden = 20,
                                      .layers = 2,
                                      .heads = 3,
                                      .kv_heads = 1,
                                      .head_dim = 4,
                                      .query_scalar = 4,
                                      .ffn = 28,
                                      .vocab = 37,
                                      .max_positions = 8,
                                      .rms_eps = 1e-5f,
                                      .rope = {.theta = 10000}};
static const ts_adapter_config adapter = {.r = 3,
                                          .alpha = 6,
                                          .targets = TS_MODULE_BIT(TS_MODULE_Q) |
                                                     TS_MODULE_BIT(TS_MODULE_V) |
                                                     TS_MODULE_BIT(TS_MODULE_DOWN)};

struct side {
    ts_model model;
    ts_pass pass;
    ts_optimiser optimiser;
    char kind[MOST]; // of each place of a flat array: 'A', 'B', or 0 in a gap
    float start[MOST], values[MOST];
};

static void mark(struct side *s, ts_view part, char kind)
{
    uint64_t first = (part.offset - s->model.lora.values.offset) / sizeof(float);
    memset(s->kind + first, kind, part.bytes / sizeof(float));
}

static void open_side(ts_gpu *gpu, struct side *s)
{
    const ts_model_params params = {.config = &shape, .random_dtype = TS_F32, .positions = 8};
    const ts_pass_limits limits = {.rows = 8, .loss_rows = 8, .training = true};
    MUST(ts_model_open(gpu, &params, &s->model, err));
    MUST(ts_model_add_lora(&s->model, &adapter, 7, err));
    cr_assert_leq(s->model.lora.count, MOST);
    for (uint32_t i = 0; i < shape.layers * TS_MODULE_COUNT; i++) {
        mark(s, s->model.lora.pairs[i].a, 'A');
        mark(s, s->model.lora.pairs[i].b, 'B');
    }
    MUST(ts_pass_open(&s->model, limits, &s->pass, err));
    MUST(ts_optimiser_open(&s->pass, &s->optimiser, err));
    MUST(ts_gpu_download(gpu, s->model.lora.values, s->start,
                         s->model.lora.count * sizeof *s->start, err));
}

static void close_side(struct side *s)
{
    ts_optimiser_close(&s->optimiser);
    ts_pass_close(&s->pass);
    ts_model_close(&s->model);
    free(s);
}

static float gradient(const struct side *s, uint64_t place, unsigned step)
{
    return s->kind[place] == 0 ? 0 : (float)sin(0.37 * (double)place + 1.3 * step);
}

// STEPS updates; *dispatches receives how often adamw ran.
static struct side *train(ts_gpu *gpu, const ts_adamw_params *params, double rate,
                          uint64_t *dispatches)
{
    struct side *s = calloc(1, sizeof *s);
    float gradients[MOST];
    ts_profile profile;
    double norm;
    open_side(gpu, s);
    MUST(ts_profile_open(gpu, &profile, err));
    ts_recorder_profile(s->pass.recorder, &profile);
    for (unsigned step = 0; step < STEPS; step++) {
        for (uint64_t i = 0; i < s->model.lora.count; i++) {
            gradients[i] = gradient(s, i, step);
        }
        MUST(ts_gpu_upload(gpu, s->pass.gradients, gradients,
                           s->model.lora.count * sizeof *gradients, err));
        MUST(ts_optimiser_step(&s->optimiser, params, rate, step + 1, &norm, err));
    }
    ts_recorder_profile(s->pass.recorder, NULL);
    MUST(ts_gpu_download(gpu, s->model.lora.values, s->values,
                         s->model.lora.count * sizeof *s->values, err));
    *dispatches = 0;
    for (size_t i = 0; i < profile.row_count; i++) {
        *dispatches +=
            strncmp(profile.rows[i].shader, "adamw", 5) == 0 ? profile.rows[i].dispatches : 0;
    }
    ts_profile_close(&profile);
    return s;
}

static double norm_of(const struct side *s, unsigned step)
{
    double sum = 0;
    for (uint64_t i = 0; i < s->model.lora.count; i++) {
        sum += pow((double)gradient(s, i, step), 2);
    }
    return sqrt(sum);
}

// What torch.optim.AdamW makes of one parameter.
static double expected(const struct side *s, const ts_adamw_params *params, double rate,
                       uint64_t place)
{
    double p = (double)s->start[place], m = 0, v = 0;
    for (unsigned step = 0; step < STEPS; step++) {
        double g = (double)gradient(s, place, step) *
                   fmin(1, params->max_grad_norm / (norm_of(s, step) + 1e-6));
        p -= p * rate * params->weight_decay;
        m = params->beta1 * m + (1 - params->beta1) * g;
        v = params->beta2 * v + (1 - params->beta2) * g * g;
        p -= rate / (1 - pow(params->beta1, step + 1)) * m /
             (sqrt(v) / sqrt(1 - pow(params->beta2, step + 1)) + params->eps);
    }
    return p;
}

Test(loraplus, each_side_has_its_rate)
{
    const ts_adamw_params params = {.beta1 = 0.9,
                                    .beta2 = 0.99,
                                    .eps = 1e-8,
                                    .weight_decay = 0.1,
                                    .max_grad_norm = 1,
                                    .b_ratio = 16};
    const double rate = 1e-3;
    uint64_t dispatches, places[2] = {0};
    ts_gpu *gpu = test_gpu_open();
    struct side *s = train(gpu, &params, rate, &dispatches);
    for (uint64_t i = 0; i < s->model.lora.count; i++) {
        double own = s->kind[i] == 'B' ? rate * params.b_ratio : rate;
        double want = s->kind[i] == 0 ? 0 : expected(s, &params, own, i);
        cr_assert_float_eq((double)s->values[i], want, 1e-6 * own / rate * 1e-3 + 2e-7 * fabs(want),
                           "place %llu of side '%c': %.9g, not %.9g", (unsigned long long)i,
                           s->kind[i], (double)s->values[i], want);
        places[s->kind[i] == 'B'] += s->kind[i] != 0;
    }
    cr_assert(places[0] > 0 && places[1] > 0);
    cr_assert_eq(dispatches, 2 * 3 * shape.layers * STEPS);
    close_side(s);
    test_gpu_close(gpu);
}

Test(loraplus, a_ratio_of_one_changes_nothing)
{
    ts_adamw_params params = {0.9, 0.999, 1e-8, 0, 1};
    uint64_t plain, one;
    ts_gpu *gpu = test_gpu_open();
    struct side *without = train(gpu, &params, 1e-3, &plain);
    params.b_ratio = 1;
    struct side *with = train(gpu, &params, 1e-3, &one);
    cr_assert_eq(memcmp(without->values, with->values, sizeof with->values), 0);
    cr_assert(plain == STEPS && one == STEPS, "%llu and %llu dispatches", (unsigned long long)plain,
              (unsigned long long)one);
    close_side(without);
    close_side(with);
    test_gpu_close(gpu);
}
