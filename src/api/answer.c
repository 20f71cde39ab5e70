// Answers one conversation, token by token.
#include "api/model.h"

#include "base/memory.h"
#include "eval/generate.h"
#include "eval/sampling.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { USUAL_NEW_TOKENS = 64, MOST_NEW_TOKENS = 100000 };

// Everything of one answer.
struct answering {
    tinysft_model *model;
    const tinysft_generate_params *params;
    ts_sampling sampling;
    uint32_t limit; // tokens of the answer
    ts_turn *turns;
    size_t dropped; // messages of the conversation that are left out
    ts_questions question;
    ts_api_cache *cache;
    uint32_t computed;
    ts_sampler sampler;
    ts_tokens tokens; // of the answer
    ts_tokens all;    // of the question and the answer, for the penalty
    ts_text text;     // of its first tokens
    size_t told;      // bytes of text that on_token was given
    bool ended;
};

// ---- The question

static ts_status make_turn(const tinysft_message *message, size_t index, ts_turn *out,
                           ts_error *err)
{
    static const ts_role roles[] = {[TINYSFT_USER] = TS_ROLE_USER,
                                    [TINYSFT_ASSISTANT] = TS_ROLE_ASSISTANT,
                                    [TINYSFT_SYSTEM] = TS_ROLE_SYSTEM};
    if ((size_t)message->role >= TS_COUNT(roles) || message->text == NULL) {
        return ts_error_set(err, TS_ERR_ARGUMENT, "message %zu: %s", index + 1,
                            message->text == NULL ? "its text is NULL" : "it has no known role");
    }
    size_t len = strlen(message->text), valid = ts_utf8_valid_prefix(message->text, len);
    if (valid < len) {
        return ts_error_set(err, TS_ERR_ARGUMENT, "message %zu: byte %zu is not UTF-8", index + 1,
                            valid + 1);
    }
    *out = (ts_turn){.role = roles[message->role], .text = message->text, .len = len};
    return TS_OK;
}

static ts_status make_turns(struct answering *a, ts_error *err)
{
    ts_status status = TS_OK;
    const tinysft_generate_params *p = a->params;
    if (p->messages == NULL || p->message_count == 0) {
        TS_FAIL(TS_ERR_ARGUMENT, "there is no message to answer");
    }
    TS_TRY(ts_alloc(p->message_count, sizeof *a->turns, &a->turns, err));
    for (size_t i = 0; i < p->message_count; i++) {
        TS_TRY(make_turn(&p->messages[i], i, &a->turns[i], err));
    }
    if (p->messages[p->message_count - 1].role != TINYSFT_USER) {
        TS_FAIL(TS_ERR_ARGUMENT, "the last message is not the user's");
    }
out:
    return status;
}

// The tokens of the first `count` turns. The last of them is asked, whatever its length.
static ts_status encode(struct answering *a, size_t count, ts_error *err)
{
    const tinysft_model *m = a->model;
    ts_prompt prompt = {.id = "",
                        .label = "",
                        .text = a->params->messages[a->params->message_count - 1].text,
                        .before = a->turns,
                        .before_count = count - 1};
    const ts_prompts prompts = {.items = &prompt, .count = 1};
    ts_questions_free(&a->question);
    return ts_questions_make(&prompts, m->weights, m->tokenizer, m->template, UINT32_MAX,
                             &a->question, err);
}

// Leaves out the oldest question and its answer; a system message at the beginning stays. False if
// only the last question is left.
static bool drop_oldest(struct answering *a, size_t *count)
{
    size_t from = a->turns[0].role == TS_ROLE_SYSTEM, to = from + 1;
    while (to < *count && a->turns[to].role != TS_ROLE_USER) {
        to++;
    }
    if (to >= *count) {
        return false;
    }
    memmove(a->turns + from, a->turns + to, (*count - to) * sizeof *a->turns);
    *count -= to - from;
    a->dropped += to - from;
    return true;
}

// With drop_oldest the answer gets the room that it may take, or a quarter of the model's positions
// if that is less.
static ts_status make_question(struct answering *a, ts_error *err)
{
    ts_status status = TS_OK;
    size_t count = a->params->message_count, asked;
    uint32_t most = a->model->positions;
    uint64_t room = a->params->drop_oldest ? ts_min_u64(a->limit, ts_max_u64(most / 4, 1)) : 1;
    TS_TRY(make_turns(a, err));
    TS_TRY(encode(a, count, err));
    while ((asked = a->question.prompts[0].count) + room > most && a->params->drop_oldest &&
           drop_oldest(a, &count)) {
        TS_TRY(encode(a, count, err));
    }
    if (asked >= most) {
        TS_FAIL(TS_ERR_FORMAT, "the conversation has %zu tokens, but the model takes %u", asked,
                most);
    }
out:
    return status;
}

// ---- The answer

// Whether a token stands for one byte ("<0xE2>"). Several of them may make up one character.
static bool is_byte(const ts_tokenizer *tokenizer, uint32_t id)
{
    const char *piece = ts_tokenizer_piece(tokenizer, id);
    return piece != NULL && strlen(piece) == 6 && strncmp(piece, "<0x", 3) == 0 && piece[5] == '>';
}

// The length without U+FFFD at the end, which stands for bytes that are not, or not yet, a
// character.
static size_t without_broken(const ts_text *text)
{
    size_t len = text->len;
    while (len >= 3 && memcmp(text->bytes + len - 3, "\xEF\xBF\xBD", 3) == 0) {
        len -= 3;
    }
    return len;
}

// Gives on_token the new text that no later token can change. Bytes at the end are held back, since
// later ones may complete their character. With `all` the rest is given too.
static ts_status tell(struct answering *a, const tinysft_token *token, bool all, ts_error *err)
{
    const tinysft_generate_params *p = a->params;
    const ts_tokenizer *tokenizer = a->model->tokenizer;
    tinysft_token told = *token;
    size_t count = a->tokens.count;
    while (!all && count > 0 && is_byte(tokenizer, a->tokens.ids[count - 1])) {
        count--;
    }
    ts_text_clear(&a->text);
    ts_status status = ts_tokenizer_decode(tokenizer, a->tokens.ids, count, true, &a->text, err);
    if (status != TS_OK || p->on_token == NULL || (all && a->text.len <= a->told)) {
        return status;
    }
    size_t certain = all ? a->text.len : without_broken(&a->text);
    size_t from = ts_min_u64(a->told, certain);
    told.text = (a->text.bytes != NULL ? a->text.bytes : "") + from;
    told.bytes = certain - from;
    told.id = all ? TS_TOKEN_NONE : token->id;
    ts_api_context *context = &a->model->device->context;
    ts_api_go_out(context);
    ts_api_come_back(context, p->on_token(p->user, &told));
    a->told = ts_max_u64(a->told, certain);
    return TS_OK;
}

static bool needs_logits(const struct answering *a)
{
    const ts_sampling *s = &a->sampling;
    return a->params->log_probabilities || s->temperature > 0 ||
           (s->repeat_penalty > 0 && s->repeat_penalty != 1);
}

// The next token: the likeliest, as the device found it, or one chosen by the logits.
static ts_status choose(struct answering *a, uint32_t likeliest, tinysft_token *token,
                        ts_error *err)
{
    *token = (tinysft_token){.id = likeliest, .text = "", .log_probability = NAN};
    if (!needs_logits(a)) {
        return TS_OK;
    }
    return ts_sample(&a->sampler, &a->sampling, a->cache->logits, a->model->config.vocab,
                     a->all.ids, a->all.count, a->tokens.count, &token->id, &token->log_probability,
                     err);
}

static ts_status push(struct answering *a, uint32_t id, ts_error *err)
{
    ts_status status = ts_tokens_push(&a->tokens, id, err);
    return status == TS_OK ? ts_tokens_push(&a->all, id, err) : status;
}

static ts_status answer(struct answering *a, ts_error *err)
{
    ts_status status = TS_OK;
    const ts_tokens *question = &a->question.prompts[0];
    uint32_t next = TS_TOKEN_NONE, most = a->model->positions;
    tinysft_token token;
    for (size_t i = 0; i < question->count; i++) {
        TS_TRY(ts_tokens_push(&a->all, question->ids[i], err));
    }
    TS_TRY(ts_api_cache_read(a->cache, &a->model->model, question, most, needs_logits(a), &next,
                             &a->computed, err));
    for (;;) {
        TS_TRY(choose(a, next, &token, err));
        a->ended = ts_questions_ends(&a->question, token.id);
        if (a->ended) {
            break;
        }
        TS_TRY(push(a, token.id, err));
        TS_TRY(tell(a, &token, false, err));
        if (ts_stop_asked() || a->tokens.count == a->limit || a->all.count > most) {
            break;
        }
        TS_TRY(ts_api_cache_add(a->cache, token.id, most, needs_logits(a), &next, err));
    }
    TS_TRY(tell(a, &token, true, err));
out:
    return status;
}

static ts_status check_sampling(const tinysft_sampling *s, ts_error *err)
{
    const struct {
        const char *name;
        double value, most;
    } ranges[] = {{"--repeat-penalty", s->repeat_penalty, 100},
                  {"--temperature", s->temperature, 100},
                  {"--top-p", s->top_p, 1},
                  {"--min-p", s->min_p, 1}};
    for (size_t i = 0; i < TS_COUNT(ranges); i++) {
        if (!(ranges[i].value >= 0 && ranges[i].value <= ranges[i].most)) {
            return ts_error_set(err, TS_ERR_ARGUMENT, "%s %g: expected 0 to %g", ranges[i].name,
                                ranges[i].value, ranges[i].most);
        }
    }
    return TS_OK;
}

static ts_status read_params(struct answering *a, ts_error *err)
{
    ts_status status = TS_OK;
    const tinysft_sampling *s = &a->params->sampling;
    uint64_t limit = ts_api_count(a->params->max_new_tokens, USUAL_NEW_TOKENS);
    if (limit > MOST_NEW_TOKENS) {
        TS_FAIL(TS_ERR_ARGUMENT, "--max-new-tokens %llu: expected 1 to %d",
                (unsigned long long)limit, MOST_NEW_TOKENS);
    }
    TS_TRY(check_sampling(s, err));
    a->limit = (uint32_t)limit;
    a->sampling = (ts_sampling){.repeat_penalty = s->repeat_penalty,
                                .temperature = s->temperature,
                                .top_k = s->top_k,
                                .top_p = s->top_p,
                                .min_p = s->min_p,
                                .seed = s->seed};
out:
    return status;
}

static ts_status generate(struct answering *a, tinysft_answer *out, ts_error *err)
{
    ts_status status = TS_OK;
    TS_TRY(read_params(a, err));
    TS_TRY(make_question(a, err));
    TS_TRY(ts_api_model_load(a->model, err));
    a->model->model.lora_enabled = a->model->model.has_lora && !a->params->without_adapter;
    a->cache = &a->model->caches[a->model->model.lora_enabled];
    TS_TRY(answer(a, err));
    TS_TRY(ts_text_append(&a->text, "", 0, err)); // ends in NUL even if it is empty
    *out = (tinysft_answer){.text = a->text.bytes,
                            .bytes = a->text.len,
                            .prompt_tokens = (uint32_t)a->question.prompts[0].count,
                            .tokens = (uint32_t)a->tokens.count,
                            .computed_tokens = a->computed,
                            .dropped = a->dropped,
                            .ended = a->ended};
    a->text = (ts_text){0};
out:
    return status;
}

tinysft_status tinysft_generate(tinysft_model *model, const tinysft_generate_params *params,
                                tinysft_answer *out, tinysft_error *error)
{
    ts_error own, *err = ts_api_error(error, &own);
    tinysft_answer ignored = {0};
    struct answering a = {.model = model, .params = params};
    if (out != NULL) {
        *out = (tinysft_answer){0};
    }
    if (params == NULL) {
        return ts_error_set(err, TS_ERR_ARGUMENT, "params is NULL");
    }
    ts_status status = ts_api_enter_model(model, err);
    if (status != TS_OK) {
        return status;
    }
    status = generate(&a, out != NULL ? out : &ignored, err);
    ts_questions_free(&a.question);
    ts_sampler_free(&a.sampler);
    ts_tokens_free(&a.tokens);
    ts_tokens_free(&a.all);
    ts_text_free(&a.text);
    free(a.turns);
    ts_api_leave(&model->device->context);
    tinysft_answer_free(&ignored);
    return status;
}

void tinysft_answer_free(tinysft_answer *answer)
{
    if (answer != NULL) {
        free(answer->text);
        *answer = (tinysft_answer){0};
    }
}
