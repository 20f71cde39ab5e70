// What `eval` reads before the model answers: the adapter, the model, the prompts, and which of
// them training saw.
#include "base/file.h"
#include "base/log.h"
#include "base/progress.h"
#include "cli/cli.h"
#include "cli/eval_session.h"
#include "eval/setup.h"

#include <stdlib.h>
#include <string.h>

// ---- The adapter

// FOLDER/NAME as JSON, or NULL where there is no such file.
static ts_status read_optional(const char *folder, const char *name, cJSON **out, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text path = {0};
    bool found;
    TS_TRY(ts_path_join(folder, name, &path, err));
    TS_TRY(ts_file_find(path.bytes, &found, err));
    if (found) {
        TS_TRY(ts_json_parse_file(path.bytes, out, err));
    }
out:
    ts_text_free(&path);
    return status;
}

static ts_status open_adapter(struct eval_session *s, ts_error *err)
{
    ts_status status = TS_OK;
    const char *folder = s->options->adapter;
    TS_TRY(ts_adapter_config_read(folder, &s->adapter, err));
    TS_TRY(read_optional(folder, "training.json", &s->training, err));
    TS_TRY(read_optional(folder, "trainer_state.json", &s->state, err));
    const char *trained_on = cJSON_GetStringValue(ts_json_get(s->training, "quantize"));
    const char *asked_on = s->quantise == TS_F32 ? "none" : ts_dtype_name(s->quantise);
    if (trained_on != NULL && strcmp(trained_on, asked_on) != 0) {
        ts_log(TS_LOG_WARN, "%s was trained on a base quantised to %s, and is asked on one to %s",
               folder, trained_on, asked_on);
    }
    if (s->adapter.base_model.len > 0) {
        const ts_cli_name wanted = ts_cli_last_name(s->adapter.base_model.bytes);
        const ts_cli_name given = ts_cli_last_name(s->options->model);
        if (wanted.len != given.len || memcmp(wanted.text, given.text, (size_t)given.len) != 0) {
            ts_log(TS_LOG_WARN, "%s was made for %s, and --model is %s", folder,
                   s->adapter.base_model.bytes, s->options->model);
        }
    }
out:
    return status;
}

// The chat template: the one that was asked for, else the one that the adapter was trained with,
// else the model's own.
static ts_status choose_template(struct eval_session *s, ts_error *err)
{
    const char *name = cJSON_GetStringValue(ts_json_get(s->training, "chat_template"));
    const char *text = cJSON_GetStringValue(ts_json_get(s->training, "chat_template_text"));
    if (s->options->template == NULL && name != NULL && text != NULL) {
        return ts_chat_template_open_text(s->weights, name, text, s->tokenizer, &s->template, err);
    }
    return ts_chat_template_open(s->weights,
                                 s->options->template != NULL ? s->options->template : name,
                                 s->tokenizer, &s->template, err);
}

// ---- The prompts and the model

static ts_status open_prompts(struct eval_session *s, ts_error *err)
{
    ts_status status = TS_OK;
    const struct eval_options *o = s->options;
    ts_text data = {0};
    if (o->question_count > 0 && o->data != NULL) {
        TS_FAIL(TS_ERR_ARGUMENT, "--prompt and --data: expected one of them");
    }
    if (o->question_count > 0) {
        status = ts_prompts_of_texts(o->questions, o->question_count, &s->prompts, err);
        goto out;
    }
    TS_TRY(ts_cli_find(o->data != NULL ? o->data : TS_EVAL_DATA, &data, err));
    if (o->data == NULL && !ts_file_exists(data.bytes)) {
        TS_FAIL(TS_ERR_ARGUMENT, "there is no " TS_EVAL_DATA
                                 " here: --data FILE names the prompts, --prompt TEXT asks one");
    }
    TS_TRY(ts_prompts_open(data.bytes, &s->prompts, err));
out:
    ts_text_free(&data);
    return status;
}

ts_status ts_cli_eval_open(struct eval_session *s, ts_error *err)
{
    ts_status status = TS_OK;
    const struct eval_options *o = s->options;
    ts_progress loading = {0};
    ts_precision precision = TS_PRECISION_F32;
    TS_TRY(ts_cli_choose_quantize(o->quantize, o->eight_bit, &s->quantise, err));
    if (o->adapter != NULL) {
        TS_TRY(open_adapter(s, err));
    }
    TS_TRY(ts_cli_resolve_model(o->model, o->revision, true, &s->folder, err));
    TS_TRY(ts_weights_open(s->folder.bytes, &s->weights, err));
    TS_TRY(ts_model_check(s->weights, &s->config, err)); // before a device is opened
    TS_TRY(ts_tokenizer_open(s->weights, &s->tokenizer, err));
    TS_TRY(choose_template(s, err));
    TS_TRY(open_prompts(s, err));
    TS_TRY(ts_setup_mark_seen(s->training, o->adapter, o->train_data, s->tokenizer, s->template,
                              &s->prompts, &s->seen, err));
    TS_TRY(ts_questions_make(&s->prompts, s->weights, s->tokenizer, s->template,
                             s->config.max_positions, &s->questions, err));
    TS_TRY(ts_device_open(&o->device, &s->gpu, err));
    TS_TRY(ts_device_choose_precision(s->gpu, o->precision, &precision, err));
    const ts_model_params params = {
        .config = &s->config,
        .weights = s->weights,
        .positions = ts_questions_positions(&s->questions, (uint32_t)o->max_new_tokens),
        .quantise = s->quantise,
        .precision = precision,
        .embedding_in_file = ts_gpu_capabilities(s->gpu)->unified_memory,
        .progress = ts_cli_show_loading,
        .user = &loading};
    TS_TRY(ts_model_open(s->gpu, &params, &s->model, err));
    if (o->profile) {
        TS_TRY(ts_profile_open(s->gpu, &s->profile, err));
    }
    if (o->adapter != NULL) {
        if ((status = ts_model_load_lora(&s->model, o->adapter, err)) != TS_OK) {
            ts_error_context(err, "--adapter on --model %s", o->model);
        }
    }
out:
    return status;
}

void ts_cli_eval_close(struct eval_session *s)
{
    ts_answers_free(&s->base);
    ts_answers_free(&s->tuned);
    ts_model_close(&s->model);
    ts_profile_close(&s->profile);
    ts_gpu_close(s->gpu);
    ts_questions_free(&s->questions);
    ts_prompts_close(&s->prompts);
    ts_chat_template_close(s->template);
    ts_tokenizer_close(s->tokenizer);
    ts_adapter_config_free(&s->adapter);
    cJSON_Delete(s->training);
    cJSON_Delete(s->state);
    free(s->seen);
    ts_weights_close(s->weights);
    ts_text_free(&s->folder);
    ts_arena_free(&s->arena);
}
