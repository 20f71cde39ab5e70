#include "train/result.h"

#include "base/file.h"
#include "model/layout.h"
#include "train/checkpoint.h"

#include <stdio.h>

static ts_status tell_evaluations(const ts_trainer *trainer, ts_text *out, ts_error *err)
{
    const ts_evaluations *e = &trainer->history.evaluations;
    size_t best = ts_evaluations_best(e);
    if (best == SIZE_MAX) {
        return TS_OK;
    }
    const uint64_t items = trainer->held_out.items;
    ts_status status = ts_text_format(
        out, err,
        " On %llu held-out %s%s the loss was %.4f after step %llu, the "
        "least of %zu measurements, and %.4f at the end. The adapter is that of "
        "step %llu.",
        (unsigned long long)items, e->pairs ? "pair" : "example", ts_plural(items), e->loss[best],
        (unsigned long long)e->step[best], e->count, e->loss[e->count - 1],
        (unsigned long long)(trainer->settings.load_best ? e->step[best] : trainer->history.count));
    if (status == TS_OK && e->pairs) {
        size_t its = trainer->settings.load_best ? best : e->count - 1;
        status = ts_text_format(out, err,
                                " It gives the chosen answer the higher reward in %.0f %% of them, "
                                "by %.3f in the mean.",
                                100 * e->accuracy[its], e->margin[its]);
    }
    return status;
}

// The rate's schedule, and what LoRA+ makes of it.
static void describe_rate(const ts_train_settings *s, char *out, size_t size)
{
    int len = snprintf(out, size, "%s", ts_schedule_name(s->schedule));
    if (s->adamw.b_ratio != 0 && s->adamw.b_ratio != 1) {
        snprintf(out + len, size - (size_t)len, "; LoRA+, %g times that for B", s->adamw.b_ratio);
    }
}

// What the loss and its input had besides.
static ts_status tell_recipe(const ts_train_settings *s, ts_text *out, ts_error *err)
{
    ts_status status = TS_OK;
    if (s->neftune_alpha > 0) {
        TS_TRY(ts_text_format(out, err, " Embeddings had NEFTune's noise, alpha %g.",
                              s->neftune_alpha));
    }
    if (s->loss_params.label_smoothing > 0) {
        TS_TRY(ts_text_format(out, err, " Labels were smoothed by %g.",
                              s->loss_params.label_smoothing));
    }
out:
    return status;
}

// How the adapter was trained, for its model card.
static ts_status summarise(const ts_trainer *trainer, ts_text *out, ts_error *err)
{
    ts_status status = TS_OK;
    const ts_train_settings *s = &trainer->settings;
    size_t first_steps, last_steps;
    char rate[96];
    describe_rate(s, rate, sizeof rate);
    double first = ts_history_mean(&trainer->history, s->logging_steps, false, &first_steps);
    double last = ts_history_mean(&trainer->history, s->logging_steps, true, &last_steps);
    TS_TRY(ts_text_format(
        out, err,
        "Trained with tinysft-vk on %zu %s%s: %zu step%s (%g epochs) of batch %u, learning "
        "rate %g (%s), AdamW, seed %llu. Loss: %.4f in the mean of the first %zu step%s, %.4f in "
        "the mean of the last %zu.",
        (size_t)trainer->batches.items, trainer->dataset.pairs ? "pair" : "example",
        ts_plural(trainer->batches.items), trainer->history.count,
        ts_plural(trainer->history.count),
        (double)trainer->history.count / (double)trainer->batches.steps_per_epoch,
        s->batch_size * s->accumulation, s->learning_rate, rate, (unsigned long long)s->seed, first,
        first_steps, ts_plural(first_steps), last, last_steps));
    if (s->adapter != NULL) {
        const char *hash = cJSON_GetStringValue(ts_json_get(trainer->record, "adapter_sha256"));
        TS_TRY(ts_text_format(out, err,
                              " It began as the adapter `%s` (sha256 %.16s...), not anew.",
                              ts_path_name(s->adapter), hash != NULL ? hash : "?"));
    }
    if (trainer->dataset.pairs) {
        TS_TRY(
            ts_text_format(out, err,
                           " It learnt to prefer the chosen answer of each pair (%s, beta %g); "
                           "the reference was %s.",
                           ts_losses[s->loss].name, s->loss_params.beta,
                           s->adapter != NULL ? "the adapter as it was before" : "the base model"));
    }
    TS_TRY(tell_recipe(s, out, err));
    TS_TRY(tell_evaluations(trainer, out, err));
    if (trainer->held_in.len > 0) {
        TS_TRY(ts_text_format(out, err,
                              " The base model's linear layers were held in %s while it was "
                              "trained%s; it fits the same base in 16 bits too, with slightly "
                              "other answers.",
                              trainer->held_in.bytes,
                              s->quantise.linear != TS_F32 ? " (`--quantize`)" : ""));
    }
    if (ts_tokenizer_prefixes_segments(trainer->tokenizer)) {
        TS_TRY(ts_text_format(
            out, err,
            "\n\nIt was trained on the tokens of the model's own tokenizer file, which puts a "
            "space "
            "before a text that follows a special token, as transformers 4 and llama.cpp do too. "
            "`AutoTokenizer` of transformers 5 leaves that space out, so that a line break behind "
            "`</s>` is another token there; `PreTrainedTokenizerFast.from_pretrained` makes the "
            "tokens that this adapter knows."));
    }
out:
    return status;
}

// Floating-point operations of the run as transformers' Trainer estimates them: 6 for each token
// and parameter, adapter included and the token embedding not.
static double estimate_flops(const ts_trainer *trainer)
{
    double parameters = (double)trainer->plan.parameters;
    for (uint32_t i = 0; i < ts_weight_count(&trainer->config); i++) {
        ts_weight weight;
        ts_weight_describe(&trainer->config, i, &weight);
        double rows = weight.rows > 0 ? weight.rows : 1;
        parameters += weight.part != TS_WEIGHT_EMBEDDING ? rows * weight.cols : 0;
    }
    return 6 * parameters * (double)trainer->history.tokens;
}

static ts_status write_state(ts_trainer *trainer, double seconds, ts_error *err)
{
    ts_status status = TS_OK;
    const ts_train_settings *s = &trainer->settings;
    ts_text text = {0}, path = {0};
    double epochs = (double)trainer->history.count / (double)trainer->batches.steps_per_epoch;
    const ts_run_summary summary = {
        .seconds = seconds,
        .samples = (uint64_t)(epochs * (double)trainer->batches.items),
        .flops = estimate_flops(trainer),
    };
    TS_TRY(ts_history_write_state(&trainer->history, s, trainer->steps,
                                  trainer->batches.steps_per_epoch, &summary, &text, err));
    TS_TRY(ts_path_join(s->output_dir, "trainer_state.json", &path, err));
    TS_TRY(ts_file_write(path.bytes, text.bytes, text.len, err));
out:
    ts_text_free(&text);
    ts_text_free(&path);
    return status;
}

static ts_status write_record(ts_trainer *trainer, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text text = {0}, path = {0};
    char *record = cJSON_Print(trainer->record);
    TS_TRY(ts_text_format(&text, err, "%s\n", record != NULL ? record : "null"));
    TS_TRY(ts_path_join(trainer->settings.output_dir, "training.json", &path, err));
    TS_TRY(ts_file_write(path.bytes, text.bytes, text.len, err));
out:
    cJSON_free(record);
    ts_text_free(&text);
    ts_text_free(&path);
    return status;
}

ts_status ts_result_write(ts_trainer *trainer, double seconds, const ts_train_callbacks *callbacks,
                          ts_error *err)
{
    ts_status status = TS_OK;
    ts_text summary = {0};
    TS_TRY(write_state(trainer, seconds, err));
    TS_TRY(summarise(trainer, &summary, err));
    TS_TRY(ts_adapter_write(trainer->model, trainer->settings.output_dir, summary.bytes,
                            ts_file_write, err));
    if (callbacks->add_results != NULL) {
        TS_TRY(callbacks->add_results(callbacks->user, trainer, err));
    }
    TS_TRY(write_record(trainer, err));
out:
    ts_text_free(&summary);
    return status;
}
