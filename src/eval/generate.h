// Generates a model's answers to the evaluation's prompts, greedily, and measures its loss on the
// reference answers.
#ifndef TS_EVAL_GENERATE_H
#define TS_EVAL_GENERATE_H

#include "data/chat.h"
#include "eval/metrics.h"
#include "model/model.h"

// The prompts as tokens. Starts zeroed.
typedef struct ts_questions {
    const ts_tokenizer *tokenizer; // borrowed
    size_t count;
    ts_tokens *prompts;         // [count] up to the start of the answer
    ts_chat_tokens *references; // [count] prompt and reference answer, with the loss on the answer
                                // only; empty without one
    ts_tokens end_tokens;       // each of them ends an answer
    uint32_t longest_prompt;    // tokens
    uint32_t longest_reference; // tokens, prompt included
    uint32_t max_positions;     // of the model
} ts_questions;

// Tokenises all prompts. End tokens are those of the template, the tokenizer and
// generation_config.json. A prompt that does not fit into max_positions is TS_ERR_FORMAT; the
// message names its id. Release *out with ts_questions_free.
ts_status ts_questions_make(const ts_prompts *prompts, ts_weights *model,
                            const ts_tokenizer *tokenizer, ts_chat_template *template,
                            uint32_t max_positions, ts_questions *out, ts_error *err);
void ts_questions_free(ts_questions *questions);
// Whether that token ends an answer.
bool ts_questions_ends(const ts_questions *questions, uint32_t id);
// How many positions a model needs for these prompts with answers of up to max_new_tokens.
uint32_t ts_questions_positions(const ts_questions *questions, uint32_t max_new_tokens);

typedef struct ts_answer_params {
    uint32_t max_new_tokens; // the end token counts as one
    // Called at the beginning and after every pass with the work done of `total` and how many
    // answers are complete. May be NULL.
    void (*progress)(void *user, uint64_t done, uint64_t total, size_t complete);
    // Called for every answer when it is complete; its loss is not measured yet. May be NULL.
    void (*answered)(void *user, size_t index, const ts_response *response);
    void *user;
    ts_profile *profile; // what runs on the device is timed into it; NULL: it is not
} ts_answer_params;

// One response to each prompt, in the order of the prompts, with the memory they point into. Starts
// zeroed.
typedef struct ts_answers {
    ts_response *responses; // [count]
    ts_text *texts;         // [count]
    size_t count;
} ts_answers;

// Answers all prompts as one batch, or in the largest groups whose cache the device holds. The
// adapter counts where the model has one and it is switched on. TS_ERR_STOPPED: the caller asked
// for it (base/log.h).
ts_status ts_answers_make(ts_model *model, const ts_questions *questions,
                          const ts_answer_params *params, ts_answers *out, ts_error *err);
void ts_answers_free(ts_answers *answers);

// Only the loss: *loss is the mean, in nats, over all *tokens tokens of all reference answers; 0
// tokens: no prompt has a reference.
ts_status ts_references_measure(ts_model *model, const ts_questions *questions, double *loss,
                                uint64_t *tokens, ts_error *err);

#endif
