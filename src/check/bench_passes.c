// Times whole passes of a model: forward, and a LoRA training step.
#include "check/bench_parts.h"

#include "base/memory.h"
#include "base/os.h"
#include "model/pass.h"
#include "train/optimiser.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

struct passes {
    ts_model model;
    ts_pass pass;
    ts_optimiser optimiser;
    ts_batch batch;
    double pace; // seconds per flop of the step before; 0: there was none
};

static void close_passes(struct passes *p)
{
    ts_model_close(&p->model);
    ts_batch_free(&p->batch);
}

// Sequences of `tokens` random tokens each, with a loss on all of them.
static ts_status fill_batch(struct passes *p, uint32_t sequences, uint32_t tokens, ts_error *err)
{
    ts_status status = TS_OK;
    uint32_t *ids = NULL;
    uint8_t *supervised = NULL;
    ts_batch_clear(&p->batch);
    TS_TRY(ts_alloc(tokens, sizeof *ids, &ids, err));
    TS_TRY(ts_alloc(tokens, 1, &supervised, err));
    for (uint32_t i = 0; i < tokens; i++) {
        ids[i] = i * 7919u % p->model.config.vocab;
        supervised[i] = 1;
    }
    for (uint32_t i = 0; i < sequences; i++) {
        TS_TRY(ts_batch_add(&p->batch, ids, tokens, supervised, err));
    }
out:
    free(ids);
    free(supervised);
    return status;
}

// Counts the least work that must be done. A multiply-add is two operations. Attention counts its
// causal half; its backward pass is two and a half times its forward pass. The base's weights get
// no gradient.
static void count_work(const ts_model *model, double sequences, double length,
                       ts_bench_row *forward, ts_bench_row *step)
{
    const ts_model_config *c = &model->config;
    double tokens = sequences * length;
    double weights = (double)c->vocab * c->hidden,
           bytes = (double)ts_vocabulary_bytes(&model->lm_head);
    for (ts_module module = 0; module < TS_MODULE_COUNT; module++) {
        uint32_t out, in;
        ts_module_shape(c, module, &out, &in);
        weights += (double)out * in * c->layers;
        bytes += (double)model->layers[0].linear[module].bytes * c->layers;
    }
    double turned = (double)ts_config_q_size(c) + ts_config_kv_size(c);
    // Floats for each token and layer: two norms and two additions, rope, swiglu; in the backward
    // pass two norms, rope, swiglu, and swiglu once more for down_proj's input. Then the logits.
    double there = 10.0 * c->hidden + 2 * turned + 3.0 * c->ffn;
    double back = 8.0 * c->hidden + 2 * turned + 8.0 * c->ffn;
    *forward = (ts_bench_row){.kind = TS_BENCH_PASS,
                              .product_flops = 2 * tokens * weights,
                              .flops = 2 * tokens * length * ts_config_q_size(c) * c->layers,
                              .weight_bytes = bytes,
                              .bytes = 4 * tokens * (there * c->layers + c->vocab),
                              .tokens = (uint32_t)tokens};
    *step = *forward;
    step->product_flops *= 2;
    step->weight_bytes *= 2;
    step->flops *= 3.5;
    step->bytes = 4 * tokens * ((there + back) * c->layers + 2.0 * c->vocab);
}

// Times forward and a step once each.
static ts_status run_once(struct passes *p, uint32_t number, ts_bench_row *forward,
                          ts_bench_row *step, ts_error *err)
{
    static const ts_adamw_params adamw = {0.9, 0.999, 1e-8, 0, 1};
    ts_status status = TS_OK;
    double sum, norm, started_s = ts_clock_s();
    TS_TRY(ts_pass_loss(&p->pass, &p->batch, &sum, err));
    double middle_s = ts_clock_s();
    TS_TRY(ts_pass_gradients(&p->pass, &p->batch, 1.0f / (float)forward->tokens, 0, &sum, err));
    TS_TRY(ts_optimiser_step(&p->optimiser, &adamw, 1e-5, number, &norm, err));
    forward->seconds = fmin(forward->seconds, middle_s - started_s);
    step->seconds = fmin(step->seconds, ts_clock_s() - middle_s);
out:
    return status;
}

static ts_status time_step(ts_bench_run *run, struct passes *p, uint32_t tokens, ts_error *err)
{
    ts_status status = TS_OK;
    const ts_bench_params *params = run->params;
    uint32_t sequences = (uint32_t)ts_max_u64(1, params->batch), all = sequences * tokens;
    char length[32] = "";
    ts_bench_row work[2];
    if (sequences > 1) {
        snprintf(length, sizeof length, "%u x ", sequences);
    }
    count_work(&p->model, sequences, tokens, &work[0], &work[1]);
    double predicted_s = p->pace * ts_bench_flops(&work[1]), started_s = ts_clock_s();
    ts_bench_row *rows[2];
    for (int i = 0; i < 2; i++) {
        rows[i] = ts_bench_add_row(run, TS_BENCH_PASS, "%s, %s%u tokens",
                                   i == 0 ? "forward" : "training step", length, tokens);
        snprintf(work[i].name, sizeof work[i].name, "%s", rows[i]->name);
        *rows[i] = work[i];
        rows[i]->seconds = INFINITY;
        if (predicted_s > params->pass_limit_s) {
            rows[i]->left_out = true;
            rows[i]->seconds = p->pace * ts_bench_flops(&work[i]);
        }
    }
    if (rows[1]->left_out) {
        return TS_OK;
    }
    const ts_pass_limits limits = {.rows = all,
                                   .loss_rows = all,
                                   .training = true,
                                   .many_logits = !ts_gpu_is_cpu(ts_gpu_capabilities(run->gpu))};
    TS_TRY(fill_batch(p, sequences, tokens, err));
    TS_TRY(ts_pass_open(&p->model, limits, &p->pass, err));
    TS_TRY(ts_optimiser_open(&p->pass, &p->optimiser, err));
    ts_recorder_profile(p->pass.recorder, params->profile);
    // The first round builds pipelines and is slower. Its time counts only if it is the only round.
    for (uint32_t round = 0; round <= params->rounds; round++) {
        if (round > 0 && ts_clock_s() - started_s > params->pass_limit_s) {
            break;
        }
        ts_bench_report_progress(run, "a pass over %u tokens, round %u of %u", tokens, round,
                                 params->rounds);
        TS_TRY(ts_bench_repeat_peaks(run, err));
        TS_TRY(run_once(p, round + 1, rows[0], rows[1], err));
    }
    p->pace = rows[1]->seconds / ts_bench_flops(rows[1]);
out:
    ts_optimiser_close(&p->optimiser);
    ts_pass_close(&p->pass);
    return status;
}

ts_status ts_bench_passes(ts_bench_run *run, ts_error *err)
{
    ts_status status = TS_OK;
    const ts_bench_params *params = run->params;
    struct passes p = {0};
    uint32_t most = 0;
    const ts_adapter_config adapter = {
        .r = 8, .alpha = 16, .targets = TS_MODULE_BIT(TS_MODULE_Q) | TS_MODULE_BIT(TS_MODULE_V)};
    for (size_t i = 0; i < params->token_count; i++) {
        most = (uint32_t)ts_max_u64(most, params->tokens[i]);
    }
    const ts_model_params model = {.config = params->config != NULL ? params->config
                                                                    : &ts_model_config_tinyllama,
                                   .weights = params->weights,
                                   .random_dtype = TS_BF16,
                                   .quantise = params->quantise,
                                   .positions = most,
                                   .precision = params->precision};
    ts_bench_report_progress(run, "loading the model");
    TS_TRY(ts_model_open(run->gpu, &model, &p.model, err));
    TS_TRY(ts_model_add_lora(&p.model, &adapter, 42, err));
    for (size_t i = 0; i < params->token_count; i++) {
        TS_TRY(time_step(run, &p, params->tokens[i], err));
    }
out:
    close_passes(&p);
    return status;
}
