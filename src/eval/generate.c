#include "eval/generate.h"

#include "base/log.h"
#include "base/memory.h"
#include "model/decode.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// A pass over reference answers packs about this many rows.
enum { LOSS_ROWS = 1024 };

// ---- Questions

bool ts_questions_ends(const ts_questions *questions, uint32_t id)
{
    for (size_t i = 0; i < questions->end_tokens.count; i++) {
        if (questions->end_tokens.ids[i] == id) {
            return true;
        }
    }
    return false;
}

static ts_status add_end_token(ts_questions *questions, uint64_t id, ts_error *err)
{
    if (id >= TS_TOKEN_NONE || ts_questions_ends(questions, (uint32_t)id)) {
        return TS_OK;
    }
    return ts_tokens_push(&questions->end_tokens, (uint32_t)id, err);
}

// generation_config.json may contain one end token or a list of them.
static ts_status read_generation_config(ts_questions *questions, ts_weights *model, ts_error *err)
{
    ts_status status = TS_OK;
    const cJSON *json;
    uint64_t id;
    TS_TRY(ts_weights_read(model, TS_PART_GENERATION_CONFIG, &json, NULL, err));
    const cJSON *ends = ts_json_get(json, "eos_token_id"), *item;
    if (ts_json_uint(ends, &id)) {
        TS_TRY(add_end_token(questions, id, err));
    } else if (cJSON_IsArray(ends)) {
        cJSON_ArrayForEach(item, ends)
        {
            if (ts_json_uint(item, &id)) {
                TS_TRY(add_end_token(questions, id, err));
            }
        }
    }
out:
    return status;
}

// Tokenises a prompt and its reference answer. Answers of earlier turns are part of the prompt, so
// no loss is measured on them.
static ts_status encode_turns(ts_questions *questions, size_t index, const ts_prompt *prompt,
                              ts_chat_template *template, ts_error *err)
{
    ts_status status = TS_OK;
    size_t count = prompt->before_count;
    ts_turn *turns = NULL;
    ts_chat_tokens ask = {0}, *reference = &questions->references[index];
    TS_TRY(ts_alloc(count + 2, sizeof *turns, &turns, err));
    if (count > 0) {
        memcpy(turns, prompt->before, count * sizeof *turns);
    }
    for (size_t i = 0; i < count; i++) {
        turns[i].masked = true;
    }
    turns[count++] = (ts_turn){TS_ROLE_USER, prompt->text, strlen(prompt->text), false};
    TS_TRY(ts_chat_encode(template, turns, count, true, &ask, NULL, err));
    questions->prompts[index] = ask.tokens;
    ask.tokens = (ts_tokens){0};
    if (prompt->reference != NULL) {
        turns[count++] =
            (ts_turn){TS_ROLE_ASSISTANT, prompt->reference, strlen(prompt->reference), false};
        TS_TRY(ts_chat_encode(template, turns, count, false, reference, NULL, err));
    }
out:
    if (status != TS_OK) {
        ts_error_context(err, "prompt '%.80s'", prompt->id[0] != '\0' ? prompt->id : prompt->text);
    }
    free(turns);
    ts_chat_tokens_free(&ask);
    return status;
}

static ts_status encode(ts_questions *questions, size_t index, const ts_prompt *prompt,
                        ts_chat_template *template, ts_error *err)
{
    ts_status status = TS_OK;
    TS_TRY(encode_turns(questions, index, prompt, template, err));
    size_t asked = questions->prompts[index].count;
    size_t whole = questions->references[index].tokens.count;
    if (asked >= questions->max_positions || whole > questions->max_positions) {
        TS_FAIL(TS_ERR_FORMAT,
                "prompt '%.80s': %zu tokens, %zu with its reference answer, and the model takes "
                "%u: shorten it",
                prompt->id[0] != '\0' ? prompt->id : prompt->text, asked, whole,
                questions->max_positions);
    }
    questions->longest_prompt = (uint32_t)ts_max_u64(questions->longest_prompt, asked);
    questions->longest_reference = (uint32_t)ts_max_u64(questions->longest_reference, whole);
out:
    return status;
}

ts_status ts_questions_make(const ts_prompts *prompts, ts_weights *model,
                            const ts_tokenizer *tokenizer, ts_chat_template *template,
                            uint32_t max_positions, ts_questions *out, ts_error *err)
{
    ts_status status = TS_OK;
    *out = (ts_questions){
        .tokenizer = tokenizer, .count = prompts->count, .max_positions = max_positions};
    TS_TRY(add_end_token(out, ts_chat_template_end_token(template), err));
    TS_TRY(add_end_token(out, ts_tokenizer_eos(tokenizer), err));
    TS_TRY(read_generation_config(out, model, err));
    TS_TRY(ts_alloc(out->count, sizeof *out->prompts, &out->prompts, err));
    TS_TRY(ts_alloc(out->count, sizeof *out->references, &out->references, err));
    for (size_t i = 0; i < out->count; i++) {
        TS_TRY(encode(out, i, &prompts->items[i], template, err));
    }
out:
    if (status != TS_OK) {
        ts_questions_free(out);
    }
    return status;
}

void ts_questions_free(ts_questions *questions)
{
    for (size_t i = 0; i < questions->count; i++) {
        if (questions->prompts != NULL) {
            ts_tokens_free(&questions->prompts[i]);
        }
        if (questions->references != NULL) {
            ts_chat_tokens_free(&questions->references[i]);
        }
    }
    free(questions->prompts);
    free(questions->references);
    ts_tokens_free(&questions->end_tokens);
    *questions = (ts_questions){0};
}

// Tokens of the longest prompt with its answer, without the answer's last token, which is never fed
// back.
static uint32_t answer_capacity(const ts_questions *questions, uint32_t max_new_tokens)
{
    uint64_t wanted = (uint64_t)questions->longest_prompt + max_new_tokens - 1;
    return (uint32_t)ts_min_u64(wanted, questions->max_positions);
}

uint32_t ts_questions_positions(const ts_questions *questions, uint32_t max_new_tokens)
{
    // Two tokens at least, for the probability of the first one is measured behind its prompt.
    return (uint32_t)ts_max_u64(answer_capacity(questions, (uint32_t)ts_max_u64(2, max_new_tokens)),
                                questions->longest_reference);
}

// ---- Answers

// The state of answering by one model.
struct answering {
    ts_model *model;
    const ts_questions *questions;
    const ts_answer_params *params;
    ts_answers *out;
    ts_tokens *tokens; // [count] the answers
    uint32_t *first;   // [count] the likeliest first token of each, which may end it; or NULL
    ts_decoder decoder;
    uint32_t *slots, *ids, *next; // [slots of the decoder]
    uint64_t done, total;         // a prompt counts 1, each token of its answer 1, its loss 1
    size_t complete;              // answers
};

static void tell(const struct answering *a)
{
    if (a->params->progress != NULL) {
        a->params->progress(a->params->user, a->done, a->total, a->complete);
    }
}

// TS_ERR_STOPPED if the caller asked to stop.
static ts_status go_on(ts_error *err)
{
    return !ts_stop_asked() ? TS_OK
                            : ts_error_set(err, TS_ERR_STOPPED, "stopped while answers were made");
}

static void count_prompts(void *user, uint32_t count)
{
    struct answering *a = user;
    a->done += count;
    tell(a);
}

// Opens a decoder for the largest groups that fit. If allocation fails although the estimate fits,
// tries smaller groups.
static ts_status open_decoder(struct answering *a, ts_error *err)
{
    ts_status status = TS_OK;
    ts_decoder_limits limits = {
        .slots = (uint32_t)a->questions->count,
        .capacity = answer_capacity(a->questions, a->params->max_new_tokens),
        .longest_prompt = a->questions->longest_prompt,
    };
    limits.slots = ts_decoder_fit(a->model, limits);
    while ((status = ts_decoder_open(a->model, limits, &a->decoder, err)) == TS_ERR_MEMORY &&
           limits.slots > 1) {
        limits.slots /= 2;
        *err = (ts_error){0};
    }
    TS_TRY(status);
    ts_recorder_profile(a->decoder.pass.recorder, a->params->profile);
    a->decoder.prompted = count_prompts;
    a->decoder.user = a;
    TS_TRY(ts_alloc(limits.slots, sizeof *a->slots, &a->slots, err));
    TS_TRY(ts_alloc(limits.slots, sizeof *a->ids, &a->ids, err));
    TS_TRY(ts_alloc(limits.slots, sizeof *a->next, &a->next, err));
out:
    return status;
}

// The answer to that question is complete: makes its text.
static ts_status complete(struct answering *a, size_t question, ts_error *err)
{
    ts_status status = TS_OK;
    const ts_tokens *tokens = &a->tokens[question];
    ts_response *response = &a->out->responses[question];
    ts_text *text = &a->out->texts[question];
    TS_TRY(
        ts_tokenizer_decode(a->questions->tokenizer, tokens->ids, tokens->count, true, text, err));
    response->text = text->bytes != NULL ? text->bytes : "";
    response->len = text->len;
    response->tokens = (uint32_t)tokens->count;
    for (size_t i = 0; i < tokens->count; i++) {
        bool special = ts_tokenizer_is_special(a->questions->tokenizer, tokens->ids[i]);
        response->special = response->special || special;
    }
    a->complete++;
    if (a->params->answered != NULL) {
        a->params->answered(a->params->user, question, response);
    }
out:
    return status;
}

// Stores the newest tokens of the `active` sequences in a->slots. Keeps the sequences that
// continue, with the tokens to feed them, and returns their number.
static ts_status take_tokens(struct answering *a, size_t group, uint32_t active, uint32_t *going_on,
                             ts_error *err)
{
    ts_status status = TS_OK;
    uint32_t kept = 0, limit = a->params->max_new_tokens;
    for (uint32_t i = 0; i < active; i++) {
        size_t question = group + a->slots[i];
        ts_tokens *answer = &a->tokens[question];
        bool stopped = ts_questions_ends(a->questions, a->next[i]);
        if (!stopped) {
            TS_TRY(ts_tokens_push(answer, a->next[i], err));
        }
        size_t length = a->questions->prompts[question].count + answer->count;
        a->out->responses[question].stopped = stopped;
        if (stopped || answer->count == limit || length > a->decoder.limits.capacity) {
            a->done += limit - answer->count + !stopped;
            TS_TRY(complete(a, question, err));
        } else {
            a->ids[kept] = a->next[i];
            a->slots[kept++] = a->slots[i];
            a->done++;
        }
    }
    *going_on = kept;
out:
    return status;
}

// Generates the complete answers of prompts group .. group + count - 1.
static ts_status answer_group(struct answering *a, size_t group, uint32_t count, ts_error *err)
{
    ts_status status = TS_OK;
    TS_TRY(ts_decoder_prompt(&a->decoder, a->questions->prompts + group, count, a->next, err));
    for (uint32_t i = 0; i < count; i++) {
        a->slots[i] = i;
        a->first[group + i] = a->next[i];
    }
    for (uint32_t active = count;;) {
        TS_TRY(take_tokens(a, group, active, &active, err));
        tell(a);
        if (active == 0) {
            break;
        }
        TS_TRY(go_on(err));
        TS_TRY(ts_decoder_step(&a->decoder, a->slots, a->ids, active, a->next, err));
    }
out:
    return status;
}

static ts_status answer_all(struct answering *a, ts_error *err)
{
    ts_status status = TS_OK;
    TS_TRY(open_decoder(a, err));
    for (size_t group = 0; group < a->questions->count; group += a->decoder.limits.slots) {
        uint64_t count = ts_min_u64(a->decoder.limits.slots, a->questions->count - group);
        TS_TRY(answer_group(a, group, (uint32_t)count, err));
    }
out:
    return status;
}

// ---- Losses

// Where the reference begins in its tokens, or their number if it has none.
static size_t reference_start(const ts_chat_tokens *reference)
{
    size_t t = 0;
    while (t < reference->tokens.count && !reference->supervised[t]) {
        t++;
    }
    return t;
}

// Whether the likeliest first token of a question is known, and is not that of its reference. Then
// its probability is measured apart.
static bool asks_first(const struct answering *a, size_t i)
{
    const ts_chat_tokens *reference = &a->questions->references[i];
    size_t start = reference_start(reference);
    return a->first != NULL && start < reference->tokens.count &&
           a->first[i] != reference->tokens.ids[start];
}

// The rows that the losses of a question take.
static size_t loss_rows(const struct answering *a, size_t i)
{
    return a->questions->references[i].tokens.count +
           (asks_first(a, i) ? a->questions->prompts[i].count + 1 : 0);
}

// The reference, and, where it begins otherwise, the prompt with the likeliest first token.
static ts_status add_losses(struct answering *a, size_t i, ts_batch *batch, ts_error *err)
{
    ts_status status = TS_OK;
    const ts_chat_tokens *reference = &a->questions->references[i];
    ts_tokens *prompt = &a->questions->prompts[i];
    uint8_t *supervised = NULL;
    if (reference->tokens.count > 0) {
        TS_TRY(ts_batch_add(batch, reference->tokens.ids, (uint32_t)reference->tokens.count,
                            reference->supervised, err));
    }
    if (asks_first(a, i)) {
        TS_TRY(ts_alloc(prompt->count + 1, sizeof *supervised, &supervised, err));
        supervised[prompt->count] = 1;
        TS_TRY(ts_tokens_push(prompt, a->first[i], err));
        status = ts_batch_add(batch, prompt->ids, (uint32_t)prompt->count, supervised, err);
        prompt->count--;
    }
out:
    free(supervised);
    return status;
}

// Adds the losses of a packed batch to the prompts from .. to - 1.
static ts_status spread_losses(const struct answering *a, size_t from, size_t to,
                               const float *losses, ts_error *err)
{
    for (size_t i = from; i < to; i++) {
        const ts_chat_tokens *reference = &a->questions->references[i];
        ts_response *response = &a->out->responses[i];
        double sum = 0, first = reference->tokens.count > 0 ? losses[0] : 0;
        for (size_t t = 1; t < reference->tokens.count; t++) {
            if (reference->supervised[t]) {
                sum += *losses++;
                response->reference_tokens++;
            }
        }
        if (response->reference_tokens > 0) {
            response->reference_loss = sum / response->reference_tokens;
            response->first_right = a->first != NULL && !asks_first(a, i);
        }
        first = asks_first(a, i) ? *losses++ : first;
        if (a->first != NULL && response->reference_tokens > 0) {
            response->first_probability = exp(-first);
        }
        if (!isfinite(response->reference_loss) || !isfinite(first)) {
            return ts_error_set(err, TS_ERR_RUN,
                                "prompt %zu: the loss on its reference answer is %g: the model's "
                                "weights, or the adapter's scale (lora_alpha / r), are so large "
                                "that numbers overflow",
                                i + 1, response->reference_loss);
        }
    }
    return TS_OK;
}

// The rows of a pass that takes every question, and as many of them at once as LOSS_ROWS allows.
static uint32_t rows_for_losses(const struct answering *a)
{
    uint64_t most = 0, all = 0;
    for (size_t i = 0; i < a->questions->count; i++) {
        most = ts_max_u64(most, loss_rows(a, i));
        all += loss_rows(a, i);
    }
    return (uint32_t)ts_max_u64(most, ts_min_u64(LOSS_ROWS, all));
}

static ts_status measure_losses(struct answering *a, ts_error *err)
{
    ts_status status = TS_OK;
    const ts_questions *q = a->questions;
    ts_pass pass = {0};
    ts_batch batch = {0};
    float *losses = NULL;
    uint32_t rows = rows_for_losses(a);
    if (rows == 0) { // no prompt has a reference
        a->done += q->count;
        tell(a);
        return TS_OK;
    }
    TS_TRY(ts_pass_open(a->model, (ts_pass_limits){.rows = rows, .loss_rows = rows}, &pass, err));
    ts_recorder_profile(pass.recorder, a->params->profile);
    TS_TRY(ts_alloc(rows + 1, sizeof *losses, &losses, err));
    for (size_t i = 0, from = 0; i < q->count; i++) {
        TS_TRY(go_on(err));
        TS_TRY(add_losses(a, i, &batch, err));
        if (i + 1 < q->count && batch.rows + loss_rows(a, i + 1) <= rows) {
            continue;
        }
        if (batch.rows > 0) {
            TS_TRY(ts_pass_losses(&pass, &batch, losses, err));
            TS_TRY(spread_losses(a, from, i + 1, losses, err));
            ts_batch_clear(&batch);
        }
        a->done += i + 1 - from;
        tell(a);
        from = i + 1;
    }
out:
    free(losses);
    ts_batch_free(&batch);
    ts_pass_close(&pass);
    return status;
}

ts_status ts_references_measure(ts_model *model, const ts_questions *questions, double *loss,
                                uint64_t *tokens, ts_error *err)
{
    ts_status status = TS_OK;
    const ts_answer_params params = {0};
    ts_answers answers = {.count = questions->count};
    struct answering a = {
        .model = model, .questions = questions, .params = &params, .out = &answers};
    *loss = 0;
    *tokens = 0;
    TS_TRY(ts_alloc(answers.count, sizeof *answers.responses, &answers.responses, err));
    TS_TRY(measure_losses(&a, err));
    for (size_t i = 0; i < answers.count; i++) {
        const ts_response *response = &answers.responses[i];
        *loss += response->reference_loss * response->reference_tokens;
        *tokens += response->reference_tokens;
    }
    *loss = *tokens > 0 ? *loss / (double)*tokens : 0;
out:
    ts_answers_free(&answers);
    return status;
}

ts_status ts_answers_make(ts_model *model, const ts_questions *questions,
                          const ts_answer_params *params, ts_answers *out, ts_error *err)
{
    ts_status status = TS_OK;
    struct answering a = {.model = model, .questions = questions, .params = params, .out = out};
    a.total = questions->count * ((uint64_t)params->max_new_tokens + 2);
    *out = (ts_answers){.count = questions->count};
    TS_TRY(ts_alloc(out->count, sizeof *out->responses, &out->responses, err));
    TS_TRY(ts_alloc(out->count, sizeof *out->texts, &out->texts, err));
    TS_TRY(ts_alloc(out->count, sizeof *a.tokens, &a.tokens, err));
    TS_TRY(ts_alloc(out->count, sizeof *a.first, &a.first, err));
    tell(&a);
    TS_TRY(answer_all(&a, err));
    ts_decoder_close(&a.decoder); // frees memory for the losses
    TS_TRY(measure_losses(&a, err));
out:
    ts_decoder_close(&a.decoder);
    for (size_t i = 0; i < questions->count && a.tokens != NULL; i++) {
        ts_tokens_free(&a.tokens[i]);
    }
    free(a.tokens);
    free(a.first);
    free(a.slots);
    free(a.ids);
    free(a.next);
    if (status != TS_OK) {
        ts_answers_free(out);
    }
    return status;
}

void ts_answers_free(ts_answers *answers)
{
    for (size_t i = 0; i < answers->count && answers->texts != NULL; i++) {
        ts_text_free(&answers->texts[i]);
    }
    free(answers->texts);
    free(answers->responses);
    *answers = (ts_answers){0};
}
