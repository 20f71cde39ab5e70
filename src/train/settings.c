#include "train/settings.h"

#include "base/memory.h"
#include "data/module_pattern.h"

#include <string.h>

ts_train_settings ts_train_defaults(void)
{
    return (ts_train_settings){
        .rank = 8,
        .alpha = 16,
        .targets = TS_MODULE_BIT(TS_MODULE_Q) | TS_MODULE_BIT(TS_MODULE_V),
        .loss = TS_LOSS_cross_entropy,
        .loss_params = {.beta = 0.1},
        .epochs = 3,
        .batch_size = 1,
        .accumulation = 1,
        .max_length = 2048,
        .learning_rate = 5e-5,
        .schedule = TS_SCHEDULE_LINEAR,
        .adamw = {.beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .max_grad_norm = 1},
        .seed = 42,
        .logging_steps = 10,
    };
}

// Texts that are written to JSON files must be UTF-8, otherwise those files cannot be read back.
static ts_status check_texts(const ts_train_settings *s, ts_error *err)
{
    const struct {
        const char *flag, *text, *remedy;
    } texts[] = {
        {"base-model-name", s->base_model, "give another --base-model-name"},
        {"model", s->model_folder, "rename it, or give a link to it"},
        {"data", s->data, "rename it, or give a link to it"},
        {"eval-data", s->eval_data, "rename it, or give a link to it"},
        {"output-dir", s->output_dir, "choose another"},
        {"log-file", s->log_file, "choose another"},
        {"logging-dir", s->logging_dir, "choose another"},
        {"adapter", s->adapter, "rename it, or give a link to it"},
        {"chat-template", s->chat_template, "write it in UTF-8"},
    };
    for (size_t i = 0; i < TS_COUNT(texts); i++) {
        const char *text = texts[i].text != NULL ? texts[i].text : "";
        size_t len = strlen(text), valid = ts_utf8_valid_prefix(text, len);
        if (valid < len) {
            return ts_error_set(err, TS_ERR_ARGUMENT,
                                "--%s %s: byte %zu (0x%02x) is not UTF-8, and the files that tell "
                                "of the run could not be read back: %s",
                                texts[i].flag, text, valid + 1, (unsigned char)text[valid],
                                texts[i].remedy);
        }
    }
    return TS_OK;
}

void ts_train_settings_suit(ts_train_settings *settings, const ts_gpu_caps *caps)
{
    settings->memory_limit = caps->memory_free_bytes / 100 * 95;
    settings->binding_limit = ts_min_u64(caps->max_binding_bytes, caps->max_allocation_bytes);
    settings->shared_memory = caps->unified_memory;
    settings->few_logits = ts_gpu_is_cpu(caps);
    settings->f32_activations = caps->f32_activations;
}

// Flags that concern held-out rows are refused where no rows are held out.
static ts_status check_evaluation(const ts_train_settings *s, ts_error *err)
{
    const bool held_out = s->eval_data != NULL || s->eval_split > 0;
    const char *flag = s->eval_steps > 0       ? "--eval-steps"
                       : s->load_best          ? "--load-best-at-end"
                       : s->early_stopping > 0 ? "--early-stopping"
                                               : NULL;
    if (s->eval_data != NULL && s->eval_split > 0) {
        return ts_error_set(err, TS_ERR_ARGUMENT,
                            "--eval-data names the rows to measure the loss on, and --eval-split "
                            "takes them from --data: give one of them");
    }
    if (!(s->eval_split >= 0 && s->eval_split < 1)) {
        return ts_error_set(err, TS_ERR_ARGUMENT,
                            "--eval-split %g: expected a part of the rows, 0 up to, not including, "
                            "1; 0.1 holds out a tenth",
                            s->eval_split);
    }
    if (flag != NULL && !held_out) {
        return ts_error_set(err, TS_ERR_ARGUMENT,
                            "%s needs rows that are not trained on: give --eval-data FILE or "
                            "--eval-split 0.1",
                            flag);
    }
    if (s->early_stopping_threshold != 0 && s->early_stopping == 0) {
        return ts_error_set(err, TS_ERR_ARGUMENT,
                            "--early-stopping-threshold says what counts as progress for "
                            "--early-stopping N: give that too");
    }
    return TS_OK;
}

// Flags that only one schedule has.
static ts_status check_schedule(const ts_train_settings *s, ts_error *err)
{
    if (s->min_lr_ratio != 0 && s->schedule != TS_SCHEDULE_COSINE) {
        return ts_error_set(
            err, TS_ERR_ARGUMENT,
            "--min-lr-ratio is the floor of --lr-scheduler-type cosine; %s has none",
            ts_schedule_name(s->schedule));
    }
    if (s->lr_cycles != 0 && s->schedule != TS_SCHEDULE_COSINE_WITH_RESTARTS) {
        return ts_error_set(err, TS_ERR_ARGUMENT,
                            "--lr-cycles counts the cosines of --lr-scheduler-type "
                            "cosine_with_restarts; %s has none",
                            ts_schedule_name(s->schedule));
    }
    return TS_OK;
}

static ts_status check_loss(const ts_train_settings *s, ts_error *err)
{
    const bool pairs = ts_losses[s->loss].pairs;
    if (pairs && !(s->loss_params.beta > 0)) {
        return ts_error_set(err, TS_ERR_ARGUMENT, "--beta %g: expected a number above 0",
                            s->loss_params.beta);
    }
    const double smoothing = s->loss_params.label_smoothing, most = pairs ? 0.5 : 1;
    if (!(smoothing >= 0 && smoothing < most) || (smoothing > 0 && s->loss == TS_LOSS_ipo)) {
        return ts_error_set(err, TS_ERR_ARGUMENT,
                            "--label-smoothing %g: expected 0 up to, not including, 1 or, with "
                            "--loss dpo, 0.5; --loss ipo has none",
                            smoothing);
    }
    if (pairs && s->train_on != TS_TRAIN_ON_ASSISTANT) {
        return ts_error_set(err, TS_ERR_ARGUMENT,
                            "--train-on %s: --loss %s learns where the answers of a pair part, and "
                            "nothing else: leave --train-on out",
                            ts_train_on_name(s->train_on), ts_losses[s->loss].name);
    }
    return TS_OK;
}

ts_status ts_train_settings_check(const ts_train_settings *s, ts_error *err)
{
    ts_status status = TS_OK;
    TS_TRY(check_texts(s, err));
    if (s->rank < 1 || s->rank > TS_ADAPTER_MAX_RANK) {
        TS_FAIL(TS_ERR_ARGUMENT, "--rank %u: expected 1 to %d", s->rank, TS_ADAPTER_MAX_RANK);
    }
    if (!(s->dropout >= 0 && s->dropout < 1)) {
        TS_FAIL(TS_ERR_ARGUMENT, "--lora-dropout %g: expected 0 up to, not including, 1",
                s->dropout);
    }
    if (s->targets == 0) {
        TS_FAIL(TS_ERR_ARGUMENT, "--target-modules: none is named");
    }
    if (!(s->epochs > 0) && s->max_steps == 0) {
        TS_FAIL(TS_ERR_ARGUMENT, "--epochs %g: expected a number above 0", s->epochs);
    }
    if (s->resume != NULL && s->overwrite) {
        TS_FAIL(TS_ERR_ARGUMENT, "--resume-from-checkpoint goes on with what is there and "
                                 "--overwrite-output-dir deletes it: give one of them");
    }
    TS_TRY(ts_pattern_check(s->rank_pattern, TS_PATTERN_RANK, err));
    TS_TRY(ts_pattern_check(s->alpha_pattern, TS_PATTERN_ALPHA, err));
    TS_TRY(check_schedule(s, err));
    TS_TRY(check_loss(s, err));
    TS_TRY(check_evaluation(s, err));
out:
    return status;
}
