// Answers one conversation, token by token.
#include "api/model.h"

#include "base/memory.h"
#include "eval/generate.h"
#include "model/decode.h"

#include <stdlib.h>
#include <string.h>

enum { USUAL_NEW_TOKENS = 64, MOST_NEW_TOKENS = 100000 };

// Everything of one answer. The decoder has a single slot.
struct answering {
    tinysft_model *model;
    const tinysft_generate_params *params;
    ts_turn *turns;
    ts_questions question;
    ts_decoder decoder;
    ts_tokens tokens; // of the answer
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

static ts_status make_question(struct answering *a, ts_error *err)
{
    ts_status status = TS_OK;
    const tinysft_generate_params *p = a->params;
    const tinysft_model *m = a->model;
    size_t before = p->message_count - 1; // 0 messages were refused
    TS_TRY(ts_alloc(p->message_count, sizeof *a->turns, &a->turns, err));
    for (size_t i = 0; i < p->message_count; i++) {
        TS_TRY(make_turn(&p->messages[i], i, &a->turns[i], err));
    }
    if (p->messages[before].role != TINYSFT_USER) {
        TS_FAIL(TS_ERR_ARGUMENT, "the last message is not the user's");
    }
    ts_prompt prompt = {.id = "",
                        .label = "",
                        .text = p->messages[before].text,
                        .before = a->turns,
                        .before_count = before};
    const ts_prompts prompts = {.items = &prompt, .count = 1};
    TS_TRY(ts_questions_make(&prompts, m->weights, m->tokenizer, m->template, m->positions,
                             &a->question, err));
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

// Gives on_token the new text that no later token can change. Bytes at the end are held back, since
// later ones may complete their character. With `all` the rest is given too.
static ts_status tell(struct answering *a, uint32_t id, bool all, ts_error *err)
{
    const tinysft_generate_params *p = a->params;
    const ts_tokenizer *tokenizer = a->model->tokenizer;
    size_t count = a->tokens.count;
    while (!all && count > 0 && is_byte(tokenizer, a->tokens.ids[count - 1])) {
        count--;
    }
    ts_text_clear(&a->text);
    ts_status status = ts_tokenizer_decode(tokenizer, a->tokens.ids, count, true, &a->text, err);
    if (status != TS_OK || p->on_token == NULL || (all && a->text.len <= a->told)) {
        return status;
    }
    size_t from = ts_min_u64(a->told, a->text.len);
    const char *text = a->text.bytes != NULL ? a->text.bytes : "";
    ts_api_context *context = &a->model->device->context;
    ts_api_go_out(context);
    ts_api_come_back(context, p->on_token(p->user, id, text + from, a->text.len - from));
    a->told = ts_max_u64(a->told, a->text.len);
    return TS_OK;
}

static ts_status open_decoder(struct answering *a, uint32_t limit, ts_error *err)
{
    uint32_t asked = (uint32_t)a->question.prompts[0].count;
    const ts_decoder_limits limits = {
        .slots = 1,
        .capacity = (uint32_t)ts_min_u64((uint64_t)asked + limit - 1, a->model->positions),
        .longest_prompt = asked};
    return ts_decoder_open(&a->model->model, limits, &a->decoder, err);
}

static ts_status answer(struct answering *a, uint32_t limit, ts_error *err)
{
    ts_status status = TS_OK;
    uint32_t slot = 0, next;
    size_t asked = a->question.prompts[0].count;
    TS_TRY(open_decoder(a, limit, err));
    TS_TRY(ts_decoder_prompt(&a->decoder, a->question.prompts, 1, &next, err));
    for (;;) {
        a->ended = ts_questions_ends(&a->question, next);
        if (a->ended) {
            break;
        }
        TS_TRY(ts_tokens_push(&a->tokens, next, err));
        TS_TRY(tell(a, next, false, err));
        if (ts_stop_asked() || a->tokens.count == limit ||
            asked + a->tokens.count > a->decoder.limits.capacity) {
            break;
        }
        TS_TRY(ts_decoder_step(&a->decoder, &slot, &next, 1, &next, err));
    }
    TS_TRY(tell(a, next, true, err));
out:
    return status;
}

static ts_status generate(struct answering *a, tinysft_answer *out, ts_error *err)
{
    ts_status status = TS_OK;
    uint64_t limit = ts_api_count(a->params->max_new_tokens, USUAL_NEW_TOKENS);
    if (a->params->messages == NULL || a->params->message_count == 0) {
        TS_FAIL(TS_ERR_ARGUMENT, "there is no message to answer");
    }
    if (limit > MOST_NEW_TOKENS) {
        TS_FAIL(TS_ERR_ARGUMENT, "--max-new-tokens %llu: expected 1 to %d",
                (unsigned long long)limit, MOST_NEW_TOKENS);
    }
    TS_TRY(make_question(a, err));
    TS_TRY(ts_api_model_load(a->model, err));
    a->model->model.lora_enabled = a->model->model.has_lora && !a->params->without_adapter;
    TS_TRY(answer(a, (uint32_t)limit, err));
    TS_TRY(ts_text_append(&a->text, "", 0, err)); // ends in NUL even if it is empty
    *out = (tinysft_answer){.text = a->text.bytes,
                            .bytes = a->text.len,
                            .prompt_tokens = (uint32_t)a->question.prompts[0].count,
                            .tokens = (uint32_t)a->tokens.count,
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
    ts_decoder_close(&a.decoder);
    ts_questions_free(&a.question);
    ts_tokens_free(&a.tokens);
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
