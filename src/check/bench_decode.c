#include "check/bench_decode.h"

#include "base/memory.h"
#include "base/os.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

struct decoding {
    const ts_bench_decode_params *params;
    ts_model model;
    ts_decoder decoder;
    ts_tokens *prompts;           // [sequences]
    uint32_t *slots, *ids, *next; // [sequences]
};

static void say(const struct decoding *d, uint32_t sequences, uint32_t round)
{
    char text[128];
    snprintf(text, sizeof text, "decoding %u at once, round %u of %u", sequences, round,
             d->params->rounds);
    if (d->params->progress != NULL) {
        d->params->progress(d->params->user, text);
    }
}

static void close_sequences(struct decoding *d)
{
    for (uint32_t i = 0; d->prompts != NULL && i < d->decoder.limits.slots; i++) {
        ts_tokens_free(&d->prompts[i]);
    }
    free(d->prompts);
    free(d->slots);
    free(d->ids);
    free(d->next);
    d->prompts = NULL;
    d->slots = d->ids = d->next = NULL;
    if (d->model.gpu != NULL) {
        ts_decoder_close(&d->decoder);
    }
}

// Opens a decoder for that many sequences, with different prompts.
static ts_status open_sequences(struct decoding *d, uint32_t sequences, ts_error *err)
{
    ts_status status = TS_OK;
    const ts_bench_decode_params *params = d->params;
    const ts_decoder_limits limits = {.slots = sequences,
                                      .capacity = params->prompt_tokens + params->new_tokens,
                                      .longest_prompt = params->prompt_tokens};
    TS_TRY(ts_decoder_open(&d->model, limits, &d->decoder, err));
    TS_TRY(ts_alloc(sequences, sizeof *d->prompts, &d->prompts, err));
    TS_TRY(ts_alloc(sequences, sizeof *d->slots, &d->slots, err));
    TS_TRY(ts_alloc(sequences, sizeof *d->ids, &d->ids, err));
    TS_TRY(ts_alloc(sequences, sizeof *d->next, &d->next, err));
    for (uint32_t i = 0; i < sequences; i++) {
        d->slots[i] = i;
        for (uint32_t t = 0; t < params->prompt_tokens; t++) {
            uint32_t id = (i * 131 + t * 7919) % d->model.config.vocab;
            TS_TRY(ts_tokens_push(&d->prompts[i], id, err));
        }
    }
out:
    return status;
}

// Decodes one more token of every sequence.
static ts_status step(struct decoding *d, uint32_t sequences, ts_error *err)
{
    uint32_t *written = d->next;
    d->next = d->ids;
    d->ids = written;
    return ts_decoder_step(&d->decoder, d->slots, d->ids, sequences, d->next, err);
}

static ts_status time_row(struct decoding *d, ts_bench_decode_row *row, ts_error *err)
{
    ts_status status = TS_OK;
    const ts_bench_decode_params *params = d->params;
    row->prompt_s = row->step_s = INFINITY;
    TS_TRY(open_sequences(d, row->sequences, err));
    for (uint32_t round = 0; round <= params->rounds; round++) {
        // The first round builds the pipelines; one step is enough for that.
        uint32_t steps = round > 0 ? params->new_tokens : 1;
        say(d, row->sequences, round);
        double started_s = ts_clock_s();
        TS_TRY(ts_decoder_prompt(&d->decoder, d->prompts, row->sequences, d->next, err));
        double prompted_s = ts_clock_s();
        uint64_t dispatches = ts_recorder_statistics(d->decoder.pass.recorder).dispatches;
        ts_recorder_profile(d->decoder.pass.recorder, round > 0 ? params->profile : NULL);
        for (uint32_t i = 0; i < steps; i++) {
            TS_TRY(step(d, row->sequences, err));
        }
        ts_recorder_profile(d->decoder.pass.recorder, NULL);
        if (round > 0) {
            row->prompt_s = fmin(row->prompt_s, prompted_s - started_s);
            row->step_s = fmin(row->step_s, (ts_clock_s() - prompted_s) / steps);
        }
        dispatches = ts_recorder_statistics(d->decoder.pass.recorder).dispatches - dispatches;
        row->dispatches = (uint32_t)(dispatches / steps);
    }
out:
    close_sequences(d);
    return status;
}

// The number of weights that a token is multiplied with, and their bytes.
static void count_weights(const ts_model *model, uint64_t *weights, uint64_t *bytes)
{
    *weights = (uint64_t)model->config.vocab * model->config.hidden;
    *bytes = ts_vocabulary_bytes(&model->lm_head);
    for (uint32_t layer = 0; layer < model->config.layers; layer++) {
        for (ts_module module = 0; module < TS_MODULE_COUNT; module++) {
            uint32_t out, in;
            ts_module_shape(&model->config, module, &out, &in);
            *weights += (uint64_t)out * in;
            *bytes += model->layers[layer].linear[module].bytes;
        }
    }
}

ts_status ts_bench_decode(ts_gpu *gpu, const ts_bench_decode_params *params,
                          ts_bench_decode_row *out, ts_error *err)
{
    ts_status status = TS_OK;
    struct decoding d = {.params = params};
    uint64_t weights, bytes;
    const ts_model_params model = {.config = params->config != NULL ? params->config
                                                                    : &ts_model_config_tinyllama,
                                   .weights = params->weights,
                                   .random_dtype = TS_BF16,
                                   .quantise = params->quantise,
                                   .positions = params->prompt_tokens + params->new_tokens,
                                   .precision = params->precision};
    assert(params->count <= TS_BENCH_DECODE_ROWS && params->prompt_tokens > 0);
    TS_TRY(ts_model_open(gpu, &model, &d.model, err));
    count_weights(&d.model, &weights, &bytes);
    for (size_t i = 0; i < params->count; i++) {
        out[i] = (ts_bench_decode_row){.sequences = params->sequences[i],
                                       .weight_bytes = bytes,
                                       .flops = 2.0 * (double)weights * params->sequences[i]};
        TS_TRY(time_row(&d, &out[i], err));
    }
out:
    ts_model_close(&d.model);
    return status;
}
