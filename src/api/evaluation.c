#include "api/evaluation.h"

#include "api/inside.h"
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

enum { USUAL_NEW_TOKENS = 64, MOST_NEW_TOKENS = 100000 };

// ---- The questions

static ts_status open_prompts(const tinysft_evaluation_params *params, ts_prompts *out,
                              ts_error *err)
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

// A model that is not loaded yet makes room for the questions, unless its user limited it.
static void make_room(tinysft_model *model, const tinysft_evaluation *e)
{
    if (!model->loaded && !model->positions_asked) {
        model->positions = (uint32_t)ts_max_u64(
            model->positions, ts_questions_positions(&e->questions, e->max_new_tokens));
    }
}

static ts_status open_evaluation(tinysft_evaluation *e, tinysft_model *model,
                                 const tinysft_evaluation_params *params, ts_error *err)
{
    ts_status status = TS_OK;
    uint64_t limit = ts_api_count(params->max_new_tokens, USUAL_NEW_TOKENS);
    bool fixed = model->loaded || model->positions_asked;
    if (limit > MOST_NEW_TOKENS) {
        TS_FAIL(TS_ERR_ARGUMENT, "--max-new-tokens %llu: expected 1 to %d",
                (unsigned long long)limit, MOST_NEW_TOKENS);
    }
    e->max_new_tokens = (uint32_t)limit;
    TS_TRY(open_prompts(params, &e->prompts, err));
    TS_TRY(ts_setup_mark_seen(model->training, model->adapter_folder.bytes, params->train_data,
                              model->tokenizer, model->template, &e->prompts, &e->seen, err));
    TS_TRY(ts_questions_make(&e->prompts, model->weights, model->tokenizer, model->template,
                             fixed ? model->positions : model->config.max_positions, &e->questions,
                             err));
    make_room(model, e);
out:
    return status;
}

tinysft_status tinysft_evaluation_open(tinysft_model *model,
                                       const tinysft_evaluation_params *params,
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
        e->model = model;
        ts_api_model_keep(model);
        status = open_evaluation(e, model, params, err);
    }
    ts_api_leave(&model->device->context);
    *out = e;
    if (status != TS_OK) {
        tinysft_evaluation_close(out);
    }
    return status;
}

static void release_model(tinysft_evaluation *e)
{
    ts_questions_free(&e->questions);
    if (e->model != NULL) {
        ts_api_model_release(e->model);
        e->model = NULL;
    }
}

void tinysft_evaluation_close(tinysft_evaluation **closing)
{
    tinysft_evaluation *e = closing != NULL ? *closing : NULL;
    if (e == NULL || (e->model != NULL && e->model->device->context.inside)) {
        return; // a callback must not close what its own call uses
    }
    *closing = NULL;
    release_model(e);
    ts_results_free(&e->results);
    ts_answers_free(&e->base);
    ts_answers_free(&e->tuned);
    ts_prompts_close(&e->prompts);
    ts_arena_free(&e->texts);
    free(e->seen);
    free(e);
}

size_t tinysft_evaluation_count(const tinysft_evaluation *e)
{
    return e != NULL ? e->prompts.count : 0;
}

// ---- The answers

struct asking {
    ts_api_context *context;
    tinysft_asked_callback tell;
    void *user;
    tinysft_asked now;
};

static void tell(struct asking *asking)
{
    if (asking->tell != NULL) {
        ts_api_go_out(asking->context);
        ts_api_come_back(asking->context, asking->tell(asking->user, &asking->now));
    }
}

static void show_progress(void *user, uint64_t done, uint64_t total, size_t complete)
{
    struct asking *asking = user;
    asking->now.done = done;
    asking->now.total = total;
    asking->now.complete = complete;
    tell(asking);
}

static void show_answer(void *user, size_t index, const ts_response *response)
{
    struct asking *asking = user;
    asking->now.complete++;
    asking->now.index = index;
    asking->now.answer = response->text;
    asking->now.answer_bytes = response->len;
    tell(asking);
    asking->now.index = asking->now.answer_bytes = 0;
    asking->now.answer = NULL;
}

static ts_status ask(tinysft_evaluation *e, struct asking *asking, bool tuned, ts_answers *out,
                     ts_error *err)
{
    tinysft_model *model = e->model;
    const ts_answer_params wanted = {.max_new_tokens = e->max_new_tokens,
                                     .progress = show_progress,
                                     .answered = show_answer,
                                     .user = asking,
                                     .profile = model->profile};
    asking->now = (tinysft_asked){.tuned = tuned};
    model->model.lora_enabled = tuned;
    return ts_answers_make(&model->model, &e->questions, &wanted, out, err);
}

static ts_status describe(tinysft_evaluation *e, ts_error *err)
{
    ts_status status = TS_OK;
    const tinysft_model *m = e->model;
    const ts_setup setup = {.model = m->name.bytes,
                            .config = &m->config,
                            .adapter_folder = m->model.has_lora ? m->adapter_folder.bytes : NULL,
                            .adapter = &m->adapter,
                            .training = m->training,
                            .state = m->state,
                            .device = m->device->info.name,
                            .driver = m->device->info.driver,
                            .precision = m->model.precision,
                            .held_in = m->model.held_in.bytes,
                            .template = m->template,
                            .max_new_tokens = e->max_new_tokens};
    TS_TRY(ts_setup_describe(&setup, &e->prompts, e->seen, &e->texts, &e->setup, err));
    e->all = (ts_evaluation){.title = e->setup.title,
                             .settings = e->setup.rows,
                             .setting_count = e->setup.count,
                             .prompts = &e->prompts,
                             .base = e->base.responses,
                             .tuned = e->tuned.responses,
                             .seen = e->seen};
out:
    return status;
}

static ts_status run(tinysft_evaluation *e, tinysft_asked_callback on_asked, void *user,
                     ts_error *err)
{
    ts_status status = TS_OK;
    struct asking asking = {&e->model->device->context, on_asked, user, {0}};
    TS_TRY(ts_api_model_load(e->model, err));
    TS_TRY(ask(e, &asking, false, &e->base, err));
    if (e->model->model.has_lora) {
        TS_TRY(ask(e, &asking, true, &e->tuned, err));
    }
    TS_TRY(describe(e, err));
    TS_TRY(ts_results_make(&e->all, &e->results, err));
    e->finished = true;
out:
    return status;
}

tinysft_status tinysft_evaluation_run(tinysft_evaluation *e, tinysft_asked_callback on_asked,
                                      void *user, tinysft_error *error)
{
    ts_error own, *err = ts_api_error(error, &own);
    if (e == NULL || e->model == NULL) {
        return ts_error_set(err, TS_ERR_ARGUMENT, "the evaluation %s",
                            e == NULL ? "is NULL" : "has run already: open another");
    }
    ts_api_context *context = &e->model->device->context;
    ts_status status = ts_api_enter(context, "the model", err);
    if (status != TS_OK) {
        return status;
    }
    status = run(e, on_asked, user, err);
    ts_api_leave(context);
    release_model(e);
    return status;
}

ts_status ts_api_profile_model(tinysft_model *model, ts_profile *profile, ts_error *err)
{
    ts_status status = ts_api_device_start(model->device, err);
    if (status == TS_OK) {
        status = ts_profile_open(model->device->gpu, profile, err);
    }
    model->profile = status == TS_OK ? profile : NULL;
    return status;
}
