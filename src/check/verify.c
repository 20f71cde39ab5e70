#include "check/verify.h"

#include "base/file.h"
#include "base/memory.h"
#include "base/rng.h"
#include "check/tolerances.h"
#include "train/reduce.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double TOLERANCE_RATES = 1e-12;

// All that one run computes and compares.
struct run {
    ts_case c;
    ts_weights *weights;
    ts_model model;
    ts_pass pass;
    ts_optimiser optimiser;
    ts_reduce reduce;
    ts_verify_result *result;
    ts_precision precision;
    ts_tolerances tolerances;
    float *start;   // the adapter's flat array before training
    float **logits; // for each micro-batch, padded as in the golden file: [B, T, V]
    double *losses, *grad_norms, *rates; // [steps]
    ts_lora_tensors gradients, final;
};

static void add_row(struct run *run, double error, double tolerance, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
static void add_row(struct run *run, double error, double tolerance, const char *format, ...)
{
    ts_verify_row *row = &run->result->rows[run->result->count++];
    va_list args;
    va_start(args, format);
    vsnprintf(row->name, sizeof row->name, format, args);
    va_end(args);
    row->error = error;
    row->tolerance = tolerance;
    if (tolerance > 0 && !(error <= tolerance)) { // NaN fails too
        run->result->passed = false;
    }
}

struct distance {
    double difference, norm; // sums of squares
};

static void measure(struct distance *distance, double have, double want)
{
    distance->difference += (have - want) * (have - want);
    distance->norm += want * want;
}

static double relative(const struct distance *distance)
{
    return sqrt(distance->difference) / (distance->norm > 0 ? sqrt(distance->norm) : 1);
}

// ---- Logits of the initial adapter

// Copies packed rows to golden's padded layout; padding stays zero.
static void pad_logits(const ts_batch *batch, uint32_t width, uint32_t vocab, const float *packed,
                       float *padded)
{
    uint32_t sequence = 0;
    for (uint32_t row = 0; row < batch->rows; row++) {
        sequence += row > 0 && batch->position[row] == 0;
        size_t to = ((size_t)sequence * width + batch->position[row]) * vocab;
        memcpy(padded + to, packed + (size_t)row * vocab, vocab * sizeof *padded);
    }
}

static ts_status run_logits(struct run *run, uint32_t micro, struct distance *distance,
                            ts_error *err)
{
    ts_status status = TS_OK;
    ts_batch all = run->c.micro[micro]; // borrows its rows, but asks for the logits of every row
    uint32_t vocab = run->model.config.vocab, width = run->c.shapes[micro][1];
    size_t padded = (size_t)run->c.shapes[micro][0] * width * vocab;
    float *packed = NULL;
    char name[64];
    all.loss_row = all.label = NULL;
    all.loss_rows = all.rows;
    TS_TRY(ts_alloc(all.rows, sizeof *all.loss_row, &all.loss_row, err));
    TS_TRY(ts_alloc(all.rows, sizeof *all.label, &all.label, err));
    for (uint32_t i = 0; i < all.rows; i++) {
        all.loss_row[i] = i;
    }
    TS_TRY(ts_alloc((size_t)all.rows * vocab, sizeof *packed, &packed, err));
    TS_TRY(ts_alloc(padded, sizeof(float), &run->logits[micro], err));
    TS_TRY(ts_pass_logits(&run->pass, &all, packed, err));
    pad_logits(&all, width, vocab, packed, run->logits[micro]);

    snprintf(name, sizeof name, "micro%u.logits", micro);
    const uint64_t shape[] = {run->c.shapes[micro][0], width, vocab};
    const ts_tensor *golden;
    TS_TRY(ts_tensors_expect(run->c.golden, name, 3, shape, &golden, err));
    uint32_t sequence = 0;
    for (uint32_t row = 0; row < all.rows; row++) {
        sequence += row > 0 && all.position[row] == 0;
        size_t at = ((size_t)sequence * width + all.position[row]) * vocab;
        for (uint32_t v = 0; v < vocab; v++) {
            measure(distance, run->logits[micro][at + v],
                    ts_dtype_load(golden->dtype, golden->bytes, at + v));
        }
    }
out:
    free(all.loss_row);
    free(all.label);
    free(packed);
    return status;
}

static ts_status check_logits(struct run *run, ts_error *err)
{
    ts_status status = TS_OK;
    struct distance distance = {0};
    TS_TRY(ts_alloc(run->c.micro_count, sizeof *run->logits, &run->logits, err));
    for (uint32_t i = 0; i < run->c.micro_count; i++) {
        TS_TRY(run_logits(run, i, &distance, err));
    }
    add_row(run, relative(&distance), run->tolerances.logits, "logits");
out:
    return status;
}

// ---- Log-probabilities of pairs, by the reference model and by the initial adapter

// The sum over the labels of each sequence: out[sequences].
static ts_status sum_log_probabilities(struct run *run, const ts_batch *batch, double *out,
                                       ts_error *err)
{
    ts_status status = TS_OK;
    float *losses = NULL;
    TS_TRY(ts_alloc(batch->loss_rows, sizeof *losses, &losses, err));
    TS_TRY(ts_pass_losses(&run->pass, batch, losses, err));
    for (uint32_t s = 0, row = 0; s < batch->sequences; s++) {
        out[s] = 0;
        for (uint32_t i = 0; i < batch->sequence_loss_rows[s]; i++) {
            out[s] -= losses[row++];
        }
    }
out:
    free(losses);
    return status;
}

static ts_status compare_sums(const struct run *run, uint32_t micro, const char *what,
                              const double *sums, struct distance *distance, ts_error *err)
{
    ts_status status = TS_OK;
    char name[64];
    const uint64_t shape[] = {run->c.micro[micro].sequences};
    const ts_tensor *golden;
    snprintf(name, sizeof name, "micro%u.%s", micro, what);
    TS_TRY(ts_tensors_expect(run->c.golden, name, 1, shape, &golden, err));
    for (uint64_t i = 0; i < shape[0]; i++) {
        measure(distance, sums[i], ts_dtype_load(golden->dtype, golden->bytes, i));
    }
out:
    return status;
}

// The reference model is the base: the adapter is off. Its sums are kept in the micro-batches.
static ts_status check_log_probabilities(struct run *run, ts_error *err)
{
    ts_status status = TS_OK;
    struct distance reference = {0}, policy = {0};
    double *sums = NULL;
    for (uint32_t i = 0; i < run->c.micro_count; i++) {
        ts_batch *batch = &run->c.micro[i];
        free(sums);
        TS_TRY(ts_alloc(batch->sequences, sizeof *sums, &sums, err));
        run->model.lora_enabled = false;
        TS_TRY(sum_log_probabilities(run, batch, batch->reference, err));
        run->model.lora_enabled = true;
        TS_TRY(sum_log_probabilities(run, batch, sums, err));
        TS_TRY(compare_sums(run, i, "ref_logps", batch->reference, &reference, err));
        TS_TRY(compare_sums(run, i, "logps", sums, &policy, err));
    }
    add_row(run, relative(&reference), run->tolerances.logits, "log-probabilities, adapter off");
    add_row(run, relative(&policy), run->tolerances.logits, "log-probabilities");
out:
    free(sums);
    return status;
}

// ---- Gradients of the first step

// What the loss of a step is a mean over: supervised tokens, or pairs.
static double loss_units(const struct run *run)
{
    uint64_t sequences = 0;
    for (uint32_t i = 0; i < run->c.micro_count; i++) {
        sequences += run->c.micro[i].sequences;
    }
    return run->pass.loss->pairs ? (double)sequences / 2 : (double)run->c.supervised;
}

// The mean loss of all micro-batches. The sum of their gradients is then in the pass.
static ts_status accumulate(struct run *run, double *loss, ts_error *err)
{
    ts_status status = TS_OK;
    double units = loss_units(run);
    float scale = (float)(1.0 / units);
    *loss = 0;
    for (uint32_t i = 0; i < run->c.micro_count; i++) {
        double sum;
        TS_TRY(ts_pass_gradients(&run->pass, &run->c.micro[i], scale, 0, &sum, err));
        *loss += sum / units;
        ts_reduce_record(&run->reduce, i + 1 == run->c.micro_count);
    }
    TS_TRY(ts_recorder_run(run->pass.recorder, err));
out:
    return status;
}

// Finds golden's tensor of the same name. PEFT's own parameter of DoRA's magnitudes has .weight at
// its end, which it leaves out where it saves an adapter.
static ts_status find_parameter(const struct run *run, const ts_tensor *have, const ts_tensor **out,
                                ts_error *err)
{
    char name[TS_LORA_NAME_BYTES + sizeof ".weight"];
    snprintf(name, sizeof name, "%s%s", have->name,
             have->rank == 1 && ts_tensors_find(run->c.golden, have->name) == NULL ? ".weight"
                                                                                   : "");
    return ts_tensors_expect(run->c.golden, name, have->rank, have->shape, out, err);
}

// The worst relative error over `computed`. Each tensor is compared with golden's of the same name.
static ts_status check_tensors(struct run *run, const ts_lora_tensors *computed, double tolerance,
                               const char *what, ts_error *err)
{
    ts_status status = TS_OK;
    double worst = -1;
    const char *where = "";
    for (size_t i = 0; i < computed->count; i++) {
        const ts_tensor *have = &computed->tensors[i], *want;
        struct distance distance = {0};
        TS_TRY(find_parameter(run, have, &want, err));
        for (uint64_t j = 0; j < have->len / sizeof(float); j++) {
            measure(&distance, ((const float *)have->bytes)[j],
                    ts_dtype_load(want->dtype, want->bytes, j));
        }
        if (!(relative(&distance) <= worst)) {
            worst = relative(&distance);
            where = have->name;
        }
    }
    const char *tail = strstr(where, "layers.");
    add_row(run, worst, tolerance, "%s (worst: %s)", what, tail != NULL ? tail : where);
out:
    return status;
}

static ts_status check_gradients(struct run *run, ts_error *err)
{
    ts_status status = TS_OK;
    double loss;
    TS_TRY(accumulate(run, &loss, err));
    TS_TRY(ts_lora_download(&run->model, run->pass.gradients, "grad.", &run->gradients, err));
    TS_TRY(check_tensors(run, &run->gradients, run->tolerances.gradients, "gradients", err));
    ts_recorder_zero(run->pass.recorder, run->pass.gradients);
    TS_TRY(ts_recorder_run(run->pass.recorder, err));
out:
    return status;
}

// ---- The trajectory

// Trains all steps from the adapter's current values. Its moments and gradients must be zero.
static ts_status train(struct run *run, double *losses, double *grad_norms, ts_error *err)
{
    ts_status status = TS_OK;
    for (uint64_t step = 0; step < run->c.steps; step++) {
        TS_TRY(accumulate(run, &losses[step], err));
        TS_TRY(ts_optimiser_step(&run->optimiser, &run->c.adamw, run->rates[step], step + 1,
                                 &grad_norms[step], err));
    }
out:
    return status;
}

static ts_status train_case(struct run *run, ts_error *err)
{
    ts_status status = TS_OK;
    ts_lora *lora = &run->model.lora;
    TS_TRY(ts_alloc(run->c.steps, sizeof(double), &run->losses, err));
    TS_TRY(ts_alloc(run->c.steps, sizeof(double), &run->grad_norms, err));
    TS_TRY(ts_alloc(run->c.steps, sizeof(double), &run->rates, err));
    TS_TRY(ts_alloc(lora->count, sizeof(float), &run->start, err));
    for (uint64_t step = 0; step < run->c.steps; step++) {
        run->rates[step] =
            ts_schedule_rate(TS_SCHEDULE_LINEAR, run->c.rate, step, run->c.warmup, run->c.steps);
    }
    TS_TRY(ts_gpu_download(run->model.gpu, lora->values, run->start, lora->count * sizeof(float),
                           err));
    TS_TRY(train(run, run->losses, run->grad_norms, err));
    TS_TRY(ts_lora_download(&run->model, lora->values, "final.", &run->final, err));
out:
    return status;
}

// The worst relative error of `count` values of a series with one value for each step, starting at
// `from`.
static ts_status check_series(struct run *run, const char *name, const double *have, uint64_t from,
                              uint64_t count, double tolerance, const char *what, ts_error *err)
{
    ts_status status = TS_OK;
    const uint64_t shape[] = {run->c.steps};
    const ts_tensor *golden;
    double worst = 0;
    TS_TRY(ts_tensors_expect(run->c.golden, name, 1, shape, &golden, err));
    for (uint64_t i = from; i < from + count; i++) {
        double want = ts_dtype_load(golden->dtype, golden->bytes, i);
        double error = fabs(have[i] - want) / (want != 0 ? fabs(want) : 1);
        if (!(error <= worst)) {
            worst = error;
        }
    }
    add_row(run, worst, tolerance, "%s", what);
out:
    return status;
}

// ---- Chaos: cases in which rounding alone makes trajectories diverge
//
// Some cases double any difference at every step. There no fixed tolerance can distinguish a wrong
// step from a rounded one, so the effect of rounding is measured. The case is trained again several
// times ("twins"), each time from an adapter whose values are changed by up to TWIN_NOISE of
// themselves, about the uncertainty of a gradient in f32. The largest distance of a twin's losses
// from the first run's, up to a step, is the spread at that step. Ten spreads are allowed, but no
// more than CHAOTIC unless one spread is more.
static const double TWIN_NOISE = 1e-6, CHAOTIC = 1e-3;
enum { TWINS = 3 };

static ts_status train_twin(struct run *run, uint32_t twin, double *spread, ts_error *err)
{
    ts_status status = TS_OK;
    ts_lora *lora = &run->model.lora;
    double *losses = NULL, *grad_norms = NULL;
    float *values = NULL;
    TS_TRY(ts_alloc(run->c.steps, sizeof *losses, &losses, err));
    TS_TRY(ts_alloc(run->c.steps, sizeof *grad_norms, &grad_norms, err));
    TS_TRY(ts_alloc(lora->count, sizeof *values, &values, err));
    for (uint64_t i = 0; i < lora->count; i++) {
        double noise = TWIN_NOISE * (2 * ts_random_uniform(1, twin, i) - 1);
        values[i] = (float)(run->start[i] * (1 + noise));
    }
    TS_TRY(ts_gpu_upload(run->model.gpu, lora->values, values, lora->count * sizeof *values, err));
    lora->changed = true;
    TS_TRY(ts_optimiser_reset(&run->optimiser, err));
    TS_TRY(train(run, losses, grad_norms, err));
    for (uint64_t step = 0; step < run->c.steps; step++) {
        spread[step] = fmax(spread[step], fabs(losses[step] / run->losses[step] - 1));
    }
out:
    free(losses);
    free(grad_norms);
    free(values);
    return status;
}

// Raises allowed[steps] where the twins diverge.
static ts_status allow_for_chaos(struct run *run, double *allowed, ts_error *err)
{
    ts_status status = TS_OK;
    double *spread = NULL;
    TS_TRY(ts_alloc(run->c.steps, sizeof *spread, &spread, err));
    for (uint32_t twin = 0; twin < TWINS; twin++) {
        TS_TRY(train_twin(run, twin, spread, err));
    }
    for (uint64_t step = 0; step < run->c.steps; step++) {
        spread[step] = fmax(spread[step], step > 0 ? spread[step - 1] : 0);
        allowed[step] = fmax(allowed[step], fmax(fmin(10 * spread[step], CHAOTIC), spread[step]));
    }
out:
    free(spread);
    return status;
}

// An error as a multiple of its tolerance; without a tolerance, the error itself.
static double in_allowed(double error, double allowed)
{
    return allowed > 0 ? error / allowed : error;
}

// Reports the step with the largest error as a multiple of its tolerance.
static ts_status check_losses(struct run *run, ts_error *err)
{
    ts_status status = TS_OK;
    const uint64_t shape[] = {run->c.steps};
    const ts_tensor *golden;
    double *errors = NULL, *allowed = NULL;
    uint64_t at = 0;
    bool calm = true;
    TS_TRY(ts_alloc(run->c.steps, sizeof *errors, &errors, err));
    TS_TRY(ts_alloc(run->c.steps, sizeof *allowed, &allowed, err));
    TS_TRY(ts_tensors_expect(run->c.golden, "losses", 1, shape, &golden, err));
    for (uint64_t i = 0; i < run->c.steps; i++) {
        double want = ts_dtype_load(golden->dtype, golden->bytes, i);
        errors[i] = fabs(run->losses[i] - want) / fabs(want);
        allowed[i] = run->tolerances.trajectory;
        calm = calm && errors[i] <= allowed[i];
    }
    bool forgiven = !calm && run->precision == TS_PRECISION_F32;
    if (forgiven) {
        TS_TRY(allow_for_chaos(run, allowed, err));
    }
    for (uint64_t i = 1; i < run->c.steps; i++) {
        at = in_allowed(errors[i], allowed[i]) <= in_allowed(errors[at], allowed[at]) ? at : i;
    }
    add_row(run, errors[at], allowed[at],
            forgiven ? "losses of all steps (worst: %llu; rounding drives them apart)"
                     : "losses of all steps (worst: %llu)",
            (unsigned long long)at + 1);
out:
    free(errors);
    free(allowed);
    return status;
}

static ts_status check_trajectory(struct run *run, ts_error *err)
{
    ts_status status = TS_OK;
    TS_TRY(train_case(run, err));
    TS_TRY(check_series(run, "losses", run->losses, 0, 1, run->tolerances.first_loss,
                        "initial loss", err));
    TS_TRY(check_losses(run, err));
    TS_TRY(check_series(run, "lrs", run->rates, 0, run->c.steps, TOLERANCE_RATES, "learning rates",
                        err));
    TS_TRY(check_series(run, "grad_norms", run->grad_norms, 0, run->c.steps, 0, "gradient norms",
                        err));
out:
    return status;
}

// ---- Dump

static void append(ts_tensor *list, size_t *count, const ts_lora_tensors *more)
{
    memcpy(list + *count, more->tensors, more->count * sizeof *list);
    *count += more->count;
}

static ts_status dump(struct run *run, const char *path, ts_error *err)
{
    ts_status status = TS_OK;
    size_t count = 0, most = run->gradients.count + run->final.count + run->c.micro_count + 3;
    ts_tensor *list = NULL;
    char(*names)[64] = NULL;
    ts_text file = {0};
    TS_TRY(ts_alloc(most, sizeof *list, &list, err));
    TS_TRY(ts_alloc(run->c.micro_count, sizeof *names, &names, err));
    for (uint32_t i = 0; i < run->c.micro_count && run->logits != NULL; i++) {
        const uint32_t *shape = run->c.shapes[i];
        ts_tensor *tensor = &list[count++];
        snprintf(names[i], sizeof names[i], "micro%u.logits", i);
        *tensor = (ts_tensor){.name = names[i],
                              .dtype = TS_F32,
                              .rank = 3,
                              .shape = {shape[0], shape[1], run->model.config.vocab},
                              .bytes = run->logits[i]};
        tensor->len = tensor->shape[0] * tensor->shape[1] * tensor->shape[2] * sizeof(float);
    }
    const struct {
        const char *name;
        const double *values;
    } series[] = {{"losses", run->losses}, {"grad_norms", run->grad_norms}, {"lrs", run->rates}};
    for (size_t i = 0; i < TS_COUNT(series); i++) {
        list[count++] = (ts_tensor){.name = series[i].name,
                                    .dtype = TS_F64,
                                    .rank = 1,
                                    .shape = {run->c.steps},
                                    .bytes = series[i].values,
                                    .len = run->c.steps * sizeof(double)};
    }
    append(list, &count, &run->gradients);
    append(list, &count, &run->final);
    TS_TRY(ts_safetensors_serialise(list, count, &file, err));
    TS_TRY(ts_file_write(path, file.bytes, file.len, err));
out:
    free(list);
    free(names);
    ts_text_free(&file);
    return status;
}

// ---- The whole case

static ts_status open_run(struct run *run, ts_gpu *gpu, const ts_verify_params *verify,
                          ts_error *err)
{
    ts_status status = TS_OK;
    ts_text path = {0};
    ts_model_config config;
    const char *folder = verify->folder;
    TS_TRY(ts_case_open(folder, &run->c, err));
    run->precision = verify->precision;
    run->tolerances = ts_case_tolerances(&run->c, verify->precision);
    TS_TRY(ts_path_join(folder, "model", &path, err));
    TS_TRY(ts_weights_open(path.bytes, &run->weights, err));
    TS_TRY(ts_model_check(run->weights, &config, err));
    const ts_model_params params = {.config = &config,
                                    .weights = run->weights,
                                    .positions = run->c.max_positions,
                                    .quantise = run->c.quantise,
                                    .rope_dtype = run->c.rope_dtype,
                                    .precision = verify->precision};
    TS_TRY(ts_model_open(gpu, &params, &run->model, err));
    TS_TRY(ts_path_join(folder, "adapter_init", &path, err));
    TS_TRY(ts_model_load_lora(&run->model, path.bytes, err));
    TS_TRY(ts_pass_open(
        &run->model,
        (ts_pass_limits){.rows = run->c.max_rows, .loss_rows = run->c.max_rows, .training = true},
        &run->pass, err));
    run->pass.loss = &ts_losses[run->c.loss];
    run->pass.loss_params = run->c.loss_params;
    TS_TRY(ts_optimiser_open(&run->pass, &run->optimiser, err));
    TS_TRY(ts_reduce_open(&run->pass, run->c.micro_count, &run->reduce, err));
out:
    ts_text_free(&path);
    return status;
}

static void close_run(struct run *run)
{
    for (uint32_t i = 0; i < run->c.micro_count && run->logits != NULL; i++) {
        free(run->logits[i]);
    }
    free(run->logits);
    free(run->losses);
    free(run->grad_norms);
    free(run->rates);
    free(run->start);
    ts_lora_tensors_free(&run->gradients);
    ts_lora_tensors_free(&run->final);
    if (run->model.gpu != NULL) {
        ts_reduce_close(&run->reduce);
        ts_optimiser_close(&run->optimiser);
        ts_pass_close(&run->pass);
    }
    ts_model_close(&run->model);
    ts_weights_close(run->weights);
    ts_case_close(&run->c);
}

ts_status ts_verify(ts_gpu *gpu, const ts_verify_params *params, ts_verify_result *out,
                    ts_error *err)
{
    ts_status status = TS_OK;
    struct run run = {.result = out};
    *out = (ts_verify_result){.passed = true};
    if (params->dump != NULL) { // an error is reported before the work, not after it
        TS_TRY(ts_file_check_writable(params->dump, err));
    }
    TS_TRY(open_run(&run, gpu, params, err));
    TS_TRY(run.pass.loss->pairs ? check_log_probabilities(&run, err) : check_logits(&run, err));
    TS_TRY(check_gradients(&run, err));
    TS_TRY(check_trajectory(&run, err));
    if (params->dump != NULL) {
        TS_TRY(dump(&run, params->dump, err));
    }
out:
    close_run(&run);
    return status;
}
