#include "api/evaluation.h"

#include "base/memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { USUAL_NEW_TOKENS = 64, MOST_NEW_TOKENS = 100000 };

// ---- The questions

static ts_status open_prompts(const tinysft_evaluate_params *params, ts_prompts *out, ts_error *err)
{
    if ((params->data != NULL) == (params->question_count > 0)) {
        return ts_error_set(err, TS_ERR_ARGUMENT, "expected a file of questions or texts, and %s",
                            params->data != NULL ? "got both" : "got neither");
    }
    for (size_t i = 0; i < params->question_count; i++) {
        const char *text = params->questions != NULL ? params->questions[i] : NULL;
        if (text == NULL || ts_utf8_valid_prefix(text, strlen(text)) != strlen(text)) {
            return ts_error_set(err, TS_ERR_ARGUMENT, "question %zu is %s", i + 1,
                                text == NULL ? "NULL" : "not UTF-8");
        }
    }
    return params->data != NULL
               ? ts_prompts_open(params->data, out, err)
               : ts_prompts_of_texts(params->questions, params->question_count, out, err);
}

// ---- The answers

struct asking {
    tinysft_model *model;
    const tinysft_evaluate_params *params;
    bool tuned;
};

static void show(void *user, uint64_t done, uint64_t total, size_t complete)
{
    const struct asking *asking = user;
    ts_api_context *context = &asking->model->device->context;
    if (asking->params->progress == NULL) {
        return;
    }
    ts_api_go_out(context);
    ts_api_come_back(context, asking->params->progress(asking->params->user, asking->tuned, done,
                                                       total, complete));
}

static ts_status ask(tinysft_model *model, const tinysft_evaluate_params *params,
                     const ts_questions *questions, bool tuned, uint32_t limit, ts_answers *out,
                     ts_error *err)
{
    struct asking asking = {model, params, tuned};
    const ts_answer_params wanted = {.max_new_tokens = limit, .progress = show, .user = &asking};
    model->model.lora_enabled = tuned;
    return ts_answers_make(&model->model, questions, &wanted, out, err);
}

static ts_status describe(tinysft_evaluation *e, const tinysft_model *m, uint64_t max_new_tokens,
                          ts_error *err)
{
    ts_status status = TS_OK;
    const ts_setup setup = {.model = m->name.bytes,
                            .config = &m->config,
                            .adapter_folder = m->model.has_lora ? m->adapter_folder.bytes : NULL,
                            .adapter = &m->adapter,
                            .training = m->training,
                            .state = m->state,
                            .device = m->device->info.name,
                            .driver = m->device->info.driver,
                            .precision = m->device->precision,
                            .template = m->template,
                            .max_new_tokens = max_new_tokens};
    TS_TRY(ts_setup_describe(&setup, &e->prompts, e->seen, &e->texts, &e->setup, err));
    e->all.title = e->setup.title;
    e->all.settings = e->setup.rows;
    e->all.setting_count = e->setup.count;
out:
    return status;
}

static ts_status evaluate(tinysft_evaluation *e, tinysft_model *model,
                          const tinysft_evaluate_params *params, ts_error *err)
{
    ts_status status = TS_OK;
    ts_questions questions = {0};
    uint64_t limit = ts_api_count(params->max_new_tokens, USUAL_NEW_TOKENS);
    if (limit > MOST_NEW_TOKENS) {
        TS_FAIL(TS_ERR_ARGUMENT, "--max-new-tokens %llu: expected 1 to %d",
                (unsigned long long)limit, MOST_NEW_TOKENS);
    }
    TS_TRY(open_prompts(params, &e->prompts, err));
    TS_TRY(ts_setup_mark_seen(model->training, model->adapter_folder.bytes, params->train_data,
                              model->tokenizer, model->template, &e->prompts, &e->seen, err));
    TS_TRY(ts_questions_make(&e->prompts, model->weights, model->tokenizer, model->template,
                             model->positions, &questions, err));
    TS_TRY(ask(model, params, &questions, false, (uint32_t)limit, &e->base, err));
    if (model->model.has_lora) {
        TS_TRY(ask(model, params, &questions, true, (uint32_t)limit, &e->tuned, err));
    }
    TS_TRY(describe(e, model, limit, err));
    e->all.prompts = &e->prompts;
    e->all.base = e->base.responses;
    e->all.tuned = e->tuned.responses;
    e->all.seen = e->seen;
    TS_TRY(ts_results_make(&e->all, &e->results, err));
out:
    ts_questions_free(&questions);
    return status;
}

tinysft_status tinysft_evaluate(tinysft_model *model, const tinysft_evaluate_params *params,
                                tinysft_evaluation **out, tinysft_error *error)
{
    ts_error own, *err = ts_api_error(error, &own);
    tinysft_evaluation *e = NULL;
    if (params == NULL || out == NULL) {
        return ts_error_set(err, TS_ERR_ARGUMENT, "%s is NULL", params == NULL ? "params" : "out");
    }
    *out = NULL;
    ts_status status = ts_api_enter_model(model, err);
    if (status != TS_OK) {
        return status;
    }
    status = ts_alloc(1, sizeof *e, &e, err);
    if (status == TS_OK) {
        status = evaluate(e, model, params, err);
    }
    ts_api_leave(&model->device->context);
    *out = e;
    if (status != TS_OK) {
        tinysft_evaluation_close(out);
    }
    return status;
}

void tinysft_evaluation_close(tinysft_evaluation **closing)
{
    tinysft_evaluation *e = closing != NULL ? *closing : NULL;
    if (e == NULL) {
        return;
    }
    *closing = NULL;
    ts_results_free(&e->results);
    ts_answers_free(&e->base);
    ts_answers_free(&e->tuned);
    ts_prompts_close(&e->prompts);
    ts_arena_free(&e->texts);
    free(e->seen);
    free(e);
}

// ---- Results

static tinysft_rate rate_of(const ts_summary *summary, ts_metric metric)
{
    const ts_rate *rate = &summary->rates[metric];
    return (tinysft_rate){rate->yes, rate->of, rate->low, rate->high};
}

static tinysft_scores scores_of(const ts_summary *s)
{
    return (tinysft_scores){.questions = s->prompts,
                            .measured = s->measured,
                            .loss = s->loss,
                            .facts = rate_of(s, TS_METRIC_FACTS),
                            .refusals = rate_of(s, TS_METRIC_REFUSALS),
                            .over_refusals = rate_of(s, TS_METRIC_OVER_REFUSALS),
                            .length = rate_of(s, TS_METRIC_LENGTH),
                            .polite = rate_of(s, TS_METRIC_POLITE),
                            .ended = rate_of(s, TS_METRIC_STOPPED)};
}

tinysft_status tinysft_evaluation_scores(const tinysft_evaluation *e, tinysft_scores *base,
                                         tinysft_scores *tuned, tinysft_error *error)
{
    ts_error own, *err = ts_api_error(error, &own);
    if (e == NULL) {
        return ts_error_set(err, TS_ERR_ARGUMENT, "the evaluation is NULL");
    }
    if (base != NULL) {
        *base = scores_of(&e->results.held_out.base);
    }
    if (tuned != NULL) {
        *tuned = e->all.tuned != NULL ? scores_of(&e->results.held_out.tuned) : (tinysft_scores){0};
    }
    return TS_OK;
}

size_t tinysft_evaluation_count(const tinysft_evaluation *e)
{
    return e != NULL ? e->prompts.count : 0;
}

static double loss_of(const ts_response *response)
{
    return response->reference_tokens > 0 ? response->reference_loss : NAN;
}

tinysft_status tinysft_evaluation_get(const tinysft_evaluation *e, size_t index,
                                      tinysft_evaluated *out, tinysft_error *error)
{
    ts_error own, *err = ts_api_error(error, &own);
    if (e == NULL || out == NULL) {
        return ts_error_set(err, TS_ERR_ARGUMENT, "%s is NULL",
                            e == NULL ? "the evaluation" : "out");
    }
    if (index >= e->prompts.count) {
        return ts_error_set(err, TS_ERR_ARGUMENT, "question %zu: there are %zu, from 0", index,
                            e->prompts.count);
    }
    const ts_prompt *prompt = &e->prompts.items[index];
    const ts_response *base = &e->all.base[index];
    *out = (tinysft_evaluated){.question = prompt->text,
                               .id = prompt->id,
                               .reference = prompt->reference,
                               .base = base->text,
                               .base_bytes = base->len,
                               .base_loss = loss_of(base),
                               .tuned_loss = NAN,
                               .seen = e->seen != NULL && e->seen[index]};
    if (e->all.tuned != NULL) {
        const ts_response *tuned = &e->all.tuned[index];
        out->tuned = tuned->text;
        out->tuned_bytes = tuned->len;
        out->tuned_loss = loss_of(tuned);
    }
    return TS_OK;
}
