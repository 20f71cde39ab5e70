#include "check/doctor.h"

#include "base/memory.h"
#include "base/os.h"
#include "check/bench.h"
#include "gpu/cache.h"
#include "ops/attention.h"
#include "ops/gemm.h"
#include "ops/trial.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum {
    USUAL_TOKENS = 512, // of ts_bench_shape
    TOKENS = 64,        // for comparison with the mirror, which is slow, and on CPU drivers
    WIDE = 512,         // columns of the typical product
    DEEP = 2048,        // k of the typical product
    AWKWARD_SHAPES = 2, // for each shader
    AWKWARD_PRODUCTS = TS_WEIGHT_TYPES, // one for each type of weights
    ROUNDS = 3,                         // of each timing
    MORE_ROUNDS = 9,                    // of each timing, before a shader is called slow
};
static const double CLEARLY = 1.5;      // how many times its fallback's time a SLOW shader takes
static const double SHORTEST_S = 0.004; // of a timing: shorter runs are repeated within it

// What a shader is checked for: a row of the registry, or one kind of its shapes.
struct role {
    ts_kernel kernel;
    bool few;               // a product of few rows
    ts_precision precision; // of matrix units
};

struct doctor {
    ts_gpu *gpu, *mirror;
    const ts_doctor_params *params;
    ts_doctor_result *result;
};

static const char *shader_of(const ts_trial *trial)
{
    return ts_kernels[trial->kernel].shaders[trial->shader].name;
}

// ---- Typical shapes

static void shape_product(const struct role *role, const ts_gpu_caps *caps, uint32_t tokens,
                          ts_trial *out)
{
    const float one = 1;
    const uint32_t rows = role->few ? 1 : tokens, columns = role->few ? DEEP : WIDE;
    const uint32_t scalars[] = {rows, columns, DEEP, DEEP, DEEP, columns};
    memcpy(out->dispatch.push, scalars, sizeof scalars);
    memcpy(ts_trial_field(out, "alpha"), &one, sizeof one);
    if (role->kernel == TS_KERNEL_gemm_rounded) { // of the others ts_trial_choose knows it
        out->shader = ts_precision_shader(caps, role->precision);
    }
    out->stored = ts_precision_weights(role->precision, out->stored);
    ts_trial_choose(caps, TS_NT, out);
}

// TinyLlama's shape, with fewer tokens and a smaller vocabulary.
static ts_status shape_typical(const struct role *role, const ts_gpu_caps *caps, uint32_t tokens,
                               ts_trial *out, ts_error *err)
{
    static const char *const by_tokens[] = {"rows",        "kv_rows",   "source_rows",
                                            "target_rows", "positions", "count"};
    ts_status status = TS_OK;
    *out =
        (ts_trial){.kernel = role->kernel, .stored = TS_BF16, .one_sequence = true, .random = 4711};
    if (ts_bench_is_product(role->kernel)) {
        shape_product(role, caps, tokens, out);
        return TS_OK;
    }
    TS_TRY(ts_bench_shape(role->kernel, caps, role->precision, &out->dispatch, &out->shader, err));
    for (size_t i = 0; i < TS_COUNT(by_tokens); i++) {
        uint32_t *place = ts_trial_field(out, by_tokens[i]);
        // A smaller value is the number of sequences decoded at once, which stays.
        if (place != NULL && *place >= USUAL_TOKENS) {
            *place = (uint32_t)((uint64_t)*place * tokens / USUAL_TOKENS);
        }
    }
    uint32_t *vocab = ts_trial_field(out, "vocab");
    if (vocab != NULL && role->kernel == TS_KERNEL_embed) {
        *vocab = 2 * TOKENS;
    }
out:
    return status;
}

// The kernel that does the work of one whose shaders are all left out.
static ts_kernel substitute_of(ts_kernel kernel)
{
    switch (kernel) {
    case TS_KERNEL_attention_rounded:
        return TS_KERNEL_attention;
    case TS_KERNEL_attention_backward_q_rounded:
        return TS_KERNEL_attention_backward_q;
    case TS_KERNEL_attention_backward_kv_rounded:
        return TS_KERNEL_attention_backward_kv;
    default:
        return ts_bench_is_product(kernel) ? TS_KERNEL_gemm : kernel;
    }
}

// The shader that would replace `shader`: the one that is chosen when it and similar ones are left
// out. *found is false if there is none.
static ts_status find_fallback(const struct role *role, ts_gpu *gpu, const char *shader,
                               uint32_t tokens, ts_trial *out, bool *found, ts_error *err)
{
    ts_status status = TS_OK;
    ts_gpu_caps caps = *ts_gpu_capabilities(gpu);
    struct role other = *role;
    other.kernel = substitute_of(role->kernel);
    ts_gpu_caps_leave_out(&caps, shader);
    for (uint32_t i = 1;
         ts_attention_has_tile(role->kernel) && ts_kernels[role->kernel].shaders[i].name != NULL;
         i++) { // the general one is the first
        ts_gpu_caps_leave_out(&caps, ts_kernels[role->kernel].shaders[i].name);
    }
    TS_TRY(shape_typical(&other, &caps, tokens, out, err));
    *found = strcmp(shader_of(out), shader) != 0;
out:
    return status;
}

// ---- Correctness

// Sets *error to the larger of its value and the error at this shape. NaN stays NaN.
static ts_status check_shape(const struct doctor *d, const ts_trial *trial, double *error,
                             ts_error *err)
{
    ts_status status = TS_OK;
    ts_trial_side device = {0}, mirror = {0};
    const char *buffer;
    double off;
    TS_TRY(ts_trial_open(trial, d->gpu, &device, err));
    TS_TRY(ts_trial_run(trial, &device, 1, err));
    TS_TRY(ts_trial_open(trial, d->mirror, &mirror, err));
    TS_TRY(ts_trial_run(trial, &mirror, 1, err));
    TS_TRY(ts_trial_compare(trial, &device, &mirror, &off, &buffer, err));
    *error = isnan(*error) || off <= *error ? *error : off;
out:
    ts_trial_close(&device);
    ts_trial_close(&mirror);
    return status;
}

static ts_status check_right(const struct doctor *d, const ts_trial *typical, double *error,
                             ts_error *err)
{
    ts_status status = TS_OK;
    bool product = ts_bench_is_product(typical->kernel);
    uint32_t random = 7919u * (uint32_t)typical->kernel + typical->shader;
    *error = 0;
    for (int i = 0; i < (product ? AWKWARD_PRODUCTS : AWKWARD_SHAPES); i++) {
        ts_trial trial = {.kernel = typical->kernel,
                          .shader = typical->shader,
                          .stored = (ts_dtype)i,
                          .random = random};
        TS_TRY(ts_trial_draw(ts_gpu_capabilities(d->gpu), &trial, err));
        TS_TRY(check_shape(d, &trial, error, err));
        random = trial.random;
    }
    TS_TRY(check_shape(d, typical, error, err));
out:
    return status;
}

// ---- Speed

struct timed {
    ts_trial trial;
    ts_trial_side side;
    uint32_t times;
    double best;
};

static ts_status time_once(const struct doctor *d, struct timed *t, ts_error *err)
{
    ts_status status = TS_OK;
    double started_s = ts_clock_s();
    TS_TRY(ts_trial_run(&t->trial, &t->side, t->times, err));
    double seconds = (ts_clock_s() - started_s) / t->times;
    if (d->params->retime != NULL) {
        seconds = d->params->retime(shader_of(&t->trial), seconds);
    }
    t->best = fmin(t->best, seconds);
out:
    return status;
}

static ts_status begin_timing(const struct doctor *d, struct timed *t, ts_error *err)
{
    ts_status status = TS_OK;
    t->times = 1;
    t->best = INFINITY;
    TS_TRY(ts_trial_open(&t->trial, d->gpu, &t->side, err));
    TS_TRY(time_once(d, t, err)); // builds the pipeline
    t->best = INFINITY;
    TS_TRY(time_once(d, t, err));
    t->times = t->best < SHORTEST_S ? (uint32_t)ceil(SHORTEST_S / fmax(t->best, 1e-6)) : 1;
out:
    return status;
}

// Times the two in turn, so that a change of the machine's speed affects both.
static ts_status time_in_turn(const struct doctor *d, struct timed *one, struct timed *other,
                              ts_error *err)
{
    ts_status status = TS_OK;
    one->best = other->best = INFINITY;
    for (uint32_t round = 0; round < MORE_ROUNDS; round++) {
        if (round >= ROUNDS && one->best <= CLEARLY * other->best) {
            break;
        }
        TS_TRY(time_once(d, one, err));
        TS_TRY(time_once(d, other, err));
    }
out:
    return status;
}

// Sets both `best`. If the shader seems slow, both are timed a second time from the start, since
// the machine may have had other work.
static ts_status time_both(const struct doctor *d, struct timed *one, struct timed *other,
                           ts_error *err)
{
    ts_status status = TS_OK;
    TS_TRY(begin_timing(d, one, err));
    TS_TRY(begin_timing(d, other, err));
    TS_TRY(time_in_turn(d, one, other, err));
    if (one->best > CLEARLY * other->best) {
        TS_TRY(time_in_turn(d, one, other, err));
    }
out:
    return status;
}

// Times a correct shader against the one that could replace it, if that is correct too. gemm_packed
// is not timed here: it is used only for products for which measuring (tune.h) finds it faster.
static ts_status check_time(const struct doctor *d, const struct role *role, ts_doctor_row *row,
                            ts_error *err)
{
    ts_status status = TS_OK;
    const ts_gpu_caps *caps = ts_gpu_capabilities(d->gpu);
    const uint32_t tokens = ts_gpu_is_cpu(caps) ? TOKENS : USUAL_TOKENS;
    struct timed one = {0}, other = {0};
    ts_trial typical;
    bool found = false;
    double error = 0;
    if (role->kernel != TS_KERNEL_gemm_packed) {
        TS_TRY(find_fallback(role, d->gpu, row->shader, tokens, &other.trial, &found, err));
    }
    if (!found) {
        goto out;
    }
    TS_TRY(shape_typical(role, caps, tokens, &one.trial, err));
    status = time_both(d, &one, &other, err);
    if (status == TS_ERR_SHADER) { // the other cannot be built: this one was built to be compared
        *err = (ts_error){0};
        status = TS_OK;
        goto out;
    }
    TS_TRY(status);
    if (one.best > CLEARLY * other.best) { // but is the other shader right?
        TS_TRY(find_fallback(role, d->gpu, row->shader, TOKENS, &typical, &found, err));
        TS_TRY(check_shape(d, &typical, &error, err));
        if (!(error <= ts_trial_tolerance(typical.kernel, typical.shader))) {
            goto out;
        }
        row->verdict = TS_VERDICT_SLOW;
    }
    row->fallback = shader_of(&other.trial);
    row->seconds = one.best;
    row->fallback_seconds = other.best;
out:
    ts_trial_close(&one.side);
    ts_trial_close(&other.side);
    return status;
}

// ---- Verdicts

// A shader that cannot be built or that loses the device is broken; the check itself did not fail.
static ts_status judge(const struct doctor *d, const struct role *role, const ts_trial *typical,
                       ts_doctor_row *row, ts_error *err)
{
    ts_status status = TS_OK;
    *row = (ts_doctor_row){.shader = shader_of(typical),
                           .verdict = TS_VERDICT_PASS,
                           .tolerance = ts_trial_tolerance(typical->kernel, typical->shader)};
    status = check_right(d, typical, &row->error, err);
    if (status == TS_OK && !(row->error <= row->tolerance)) {
        row->verdict = TS_VERDICT_BROKEN;
    } else if (status == TS_OK) {
        status = check_time(d, role, row, err);
    }
    if (status == TS_ERR_SHADER || status == TS_ERR_LOST) {
        row->verdict = TS_VERDICT_BROKEN;
        snprintf(row->problem, sizeof row->problem, "%.255s", err->message);
        d->result->lost = status == TS_ERR_LOST;
        *err = (ts_error){0};
        status = TS_OK;
    }
    return status;
}

static bool is_judged(const ts_doctor_result *result, const char *shader)
{
    for (size_t i = 0; i < result->count; i++) {
        if (strcmp(result->rows[i].shader, shader) == 0) {
            return true;
        }
    }
    return false;
}

// Checks the shader that the device would use for this role. If it fails, checks its replacement,
// and so on.
static ts_status judge_role(const struct doctor *d, const struct role *role, ts_error *err)
{
    ts_status status = TS_OK;
    ts_doctor_result *result = d->result;
    ts_trial typical;
    while (!result->lost) {
        TS_TRY(shape_typical(role, ts_gpu_capabilities(d->gpu), TOKENS, &typical, err));
        if (is_judged(result, shader_of(&typical))) {
            break;
        }
        assert(result->count < TS_COUNT(result->rows));
        ts_doctor_row *row = &result->rows[result->count];
        TS_TRY(judge(d, role, &typical, row, err));
        result->count++;
        result->slow += row->verdict == TS_VERDICT_SLOW;
        result->broken += row->verdict == TS_VERDICT_BROKEN;
        if (d->params->tell != NULL) {
            d->params->tell(d->params->user, row);
        }
        if (!ts_verdict_leaves_out(row->verdict) ||
            ts_kernels[role->kernel].shaders[0].needs != TS_NEEDS_NOTHING) {
            break; // its replacement is another kernel, which has a role of its own
        }
        ts_gpu_leave_out(d->gpu, row->shader);
    }
out:
    return status;
}

static bool is_for_matrices(ts_kernel kernel)
{
    return kernel == TS_KERNEL_gemm_rounded || ts_attention_is_rounded(kernel);
}

// Checks what multiplies by matrix units in one precision.
static ts_status judge_matrices(const struct doctor *d, ts_precision precision, ts_error *err)
{
    ts_status status = TS_OK;
    const ts_gpu_caps *caps = ts_gpu_capabilities(d->gpu);
    for (int i = 0; i < TS_KERNEL_COUNT; i++) {
        const ts_kernel kernel = (ts_kernel)i;
        if (is_for_matrices(kernel) && ts_precision_offered(caps, precision) &&
            (kernel == TS_KERNEL_gemm_rounded || ts_bench_is_timed(kernel, caps, precision))) {
            TS_TRY(judge_role(d, &(struct role){.kernel = kernel, .precision = precision}, err));
        }
    }
out:
    return status;
}

// Whether the kernel itself is to be checked on this device.
static bool is_of_use(const struct doctor *d, ts_kernel kernel)
{
    const uint32_t needs = ts_kernels[kernel].shaders[0].needs;
    if (is_for_matrices(kernel)) {
        return false; // it has a role for each precision
    }
    return !(needs & TS_NEEDS_CPU) || ts_gemm_packed_suits(ts_gpu_capabilities(d->gpu));
}

static ts_status judge_all(const struct doctor *d, ts_error *err)
{
    ts_status status = TS_OK;
    for (int kernel = 0; kernel < TS_KERNEL_COUNT; kernel++) {
        if (is_of_use(d, (ts_kernel)kernel)) {
            TS_TRY(judge_role(d, &(struct role){.kernel = (ts_kernel)kernel}, err));
        }
    }
    TS_TRY(judge_role(d, &(struct role){.kernel = TS_KERNEL_gemm, .few = true}, err));
    for (ts_precision p = TS_PRECISION_F16; p <= TS_PRECISION_BF16; p++) {
        TS_TRY(judge_matrices(d, p, err));
    }
out:
    return status;
}

ts_status ts_doctor_check(ts_gpu *gpu, const ts_doctor_params *params, ts_doctor_result *out,
                          ts_error *err)
{
    ts_status status = TS_OK;
    struct doctor d = {.gpu = gpu, .params = params, .result = out};
    *out = (ts_doctor_result){.kept = ts_gpu_cache_folder(gpu) != NULL};
    TS_TRY(ts_gpu_open_mirror(&d.mirror, err));
    TS_TRY(judge_all(&d, err));
    ts_choices_forget_verdicts(gpu);
    for (size_t i = 0; i < out->count; i++) {
        ts_choices_judge(gpu, out->rows[i].shader, out->rows[i].verdict);
    }
out:
    ts_gpu_close(d.mirror);
    return status;
}
