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

// Reads what is known of the adapters beside the model's own, and which prompts each one's training
// saw: those that any of them saw count as seen.
static ts_status open_adapters(tinysft_evaluation *e, const tinysft_model *model,
                               const tinysft_evaluation_params *params, ts_error *err)
{
    ts_status status = TS_OK;
    const bool own = model->adapter_folder.len > 0;
    const size_t count = params->adapter_count;
    if (count > 0 && !own) {
        TS_FAIL(TS_ERR_ARGUMENT, "adapters beside that of a model which has none");
    }
    if (count > TS_MOST_ADAPTERS - 1) {
        TS_FAIL(TS_ERR_ARGUMENT, "%zu adapters: expected at most %d side by side", count + 1,
                TS_MOST_ADAPTERS);
    }
    TS_TRY(ts_setup_mark_seen(model->training, model->adapter_folder.bytes, params->train_data,
                              model->tokenizer, model->template, &e->prompts, &e->seen, err));
    e->adapters = own ? 1 : 0;
    for (size_t i = 0; i < count; i++) {
        ts_api_adapter *other = &e->others[i];
        const char *folder = params->adapters[i];
        TS_TRY(ts_text_format(&other->folder, err, "%s", folder));
        e->adapters++;
        TS_TRY(ts_adapter_config_read(folder, &other->config, err));
        TS_TRY(ts_api_read_optional(folder, "training.json", &other->training, err));
        TS_TRY(ts_api_read_optional(folder, "trainer_state.json", &other->state, err));
        ts_setup_check_adapter(
            &(ts_setup){.model = model->name.bytes, .quantised = model->quantise},
            &(ts_setup_adapter){
                .folder = folder, .config = &other->config, .training = other->training});
        TS_TRY(ts_setup_mark_seen(other->training, folder, NULL, model->tokenizer, model->template,
                                  &e->prompts, &e->seen, err));
    }
out:
    return status;
}

// Whether the answers of `other` are answers to this evaluation's questions.
static ts_status check_base_answers(const tinysft_evaluation *e, const tinysft_evaluation *other,
                                    ts_error *err)
{
    ts_status status = ts_api_need_results(other, err);
    bool same = status == TS_OK && other->prompts.count == e->prompts.count &&
                other->max_new_tokens == e->max_new_tokens;
    for (size_t i = 0; same && i < e->prompts.count; i++) {
        same = strcmp(other->prompts.items[i].text, e->prompts.items[i].text) == 0;
    }
    if (status == TS_OK && !same) {
        status = ts_error_set(err, TS_ERR_ARGUMENT,
                              "base_answers: that evaluation asked other questions");
    }
    return status;
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
    if (params->base_answers != NULL) {
        TS_TRY(check_base_answers(e, params->base_answers, err));
        e->base_answers = params->base_answers;
    }
    TS_TRY(open_adapters(e, model, params, err));
    TS_TRY(ts_questions_make(&e->prompts, model->weights, model->tokenizer, model->template,
                             fixed ? model->positions : model->config.max_positions, &e->questions,
                             err));
    ts_api_model_make_room(model, ts_questions_positions(&e->questions, e->max_new_tokens));
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
    for (size_t i = 0; i < TS_MOST_ADAPTERS; i++) {
        ts_answers_free(&e->tuned[i]);
    }
    for (size_t i = 0; i + 1 < TS_MOST_ADAPTERS; i++) {
        ts_text_free(&e->others[i].folder);
        ts_adapter_config_free(&e->others[i].config);
        cJSON_Delete(e->others[i].training);
        cJSON_Delete(e->others[i].state);
    }
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

static ts_status ask(tinysft_evaluation *e, struct asking *asking, bool tuned, size_t adapter,
                     ts_answers *out, ts_error *err)
{
    tinysft_model *model = e->model;
    const ts_answer_params wanted = {.max_new_tokens = e->max_new_tokens,
                                     .progress = show_progress,
                                     .answered = show_answer,
                                     .user = asking,
                                     .profile = model->profile};
    asking->now = (tinysft_asked){.tuned = tuned, .adapter = adapter};
    model->model.lora_enabled = tuned;
    return ts_answers_make_together(e->ranks, &model->model, &e->questions, &wanted, out, err);
}

void ts_api_evaluation_set_ranks(tinysft_evaluation *e, ts_ranks *ranks)
{
    e->ranks = ranks;
}

static ts_status describe(tinysft_evaluation *e, ts_error *err)
{
    ts_status status = TS_OK;
    const tinysft_model *m = e->model;
    const char *folders[TS_MOST_ADAPTERS], *names[TS_MOST_ADAPTERS];
    ts_setup setup = {.model = m->name.bytes,
                      .config = &m->config,
                      .device = m->device->info.name,
                      .driver = m->device->info.driver,
                      .precision = m->model.precision,
                      .held_in = m->model.held_in.bytes,
                      .template = m->template,
                      .max_new_tokens = e->max_new_tokens};
    for (size_t i = 0; i < e->adapters; i++) {
        const ts_api_adapter *other = i > 0 ? &e->others[i - 1] : NULL;
        setup.adapters[i] =
            i == 0 ? (ts_setup_adapter){m->adapter_folder.bytes, &m->adapter, m->training, m->state}
                   : (ts_setup_adapter){other->folder.bytes, &other->config, other->training,
                                        other->state};
        folders[i] = setup.adapters[i].folder;
    }
    TS_TRY(ts_setup_name_adapters(folders, e->adapters, &e->texts, names, err));
    for (size_t i = 0; i < e->adapters; i++) {
        e->named[i] = (ts_tuned){names[i], e->tuned[i].responses};
    }
    TS_TRY(ts_setup_describe(&setup, &e->prompts, e->seen, &e->texts, &e->setup, err));
    e->all = (ts_evaluation){.title = e->setup.title,
                             .settings = e->setup.rows,
                             .setting_count = e->setup.count,
                             .prompts = &e->prompts,
                             .base = e->base_answers != NULL ? e->base_answers->all.base
                                                             : e->base.responses,
                             .tuned = e->named,
                             .tuned_count = e->adapters,
                             .seen = e->seen};
out:
    return status;
}

// Asks with each adapter in the place of the last. All are loaded once before, so that one that
// does not fit is found before an hour of answers.
static ts_status ask_adapters(tinysft_evaluation *e, struct asking *asking, ts_error *err)
{
    ts_status status = TS_OK;
    for (size_t i = 1; i < e->adapters; i++) {
        TS_TRY(ts_api_model_swap_adapter(e->model, e->others[i - 1].folder.bytes, err));
    }
    if (e->base_answers == NULL) {
        TS_TRY(ask(e, asking, false, 0, &e->base, err));
    }
    for (size_t i = 0; i < e->adapters; i++) {
        if (e->adapters > 1) {
            const char *folder = i == 0 ? NULL : e->others[i - 1].folder.bytes;
            TS_TRY(ts_api_model_swap_adapter(e->model, folder, err));
        }
        TS_TRY(ask(e, asking, true, i, &e->tuned[i], err));
    }
out:
    if (e->adapters > 1) { // the model's user shall find its own adapter
        ts_error ignored = {0};
        ts_status back =
            ts_api_model_swap_adapter(e->model, NULL, status == TS_OK ? err : &ignored);
        status = status == TS_OK ? back : status;
    }
    return status;
}

static ts_status run(tinysft_evaluation *e, tinysft_asked_callback on_asked, void *user,
                     ts_error *err)
{
    ts_status status = TS_OK;
    struct asking asking = {&e->model->device->context, on_asked, user, {0}};
    TS_TRY(ts_api_model_load(e->model, err));
    // The model may have been given an adapter since this evaluation was opened.
    e->adapters = !e->model->model.has_lora ? 0 : e->adapters > 0 ? e->adapters : 1;
    TS_TRY(ask_adapters(e, &asking, err));
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
