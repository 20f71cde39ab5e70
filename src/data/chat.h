// Conversations: how a chat template turns one into tokens, and which of them are an answer.
#ifndef TS_DATA_CHAT_H
#define TS_DATA_CHAT_H

#include "base/json.h"
#include "data/template.h"

typedef enum ts_role { TS_ROLE_SYSTEM, TS_ROLE_USER, TS_ROLE_ASSISTANT } ts_role;
const char *ts_role_name(ts_role role); // "system", "user", "assistant"

typedef struct ts_turn {
    ts_role role;
    const char *text; // valid UTF-8, not NUL-terminated
    size_t len;
    bool masked; // an assistant's turn that is not to be learnt
} ts_turn;

// Tokens of a conversation and, for each, whether it is learnt from: what the model would write in
// an assistant's turn that is not masked. Starts zeroed; both arrays have tokens.count entries.
typedef struct ts_chat_tokens {
    ts_tokens tokens;
    uint8_t *supervised;
    size_t supervised_capacity;
} ts_chat_tokens;
void ts_chat_tokens_free(ts_chat_tokens *chat);

// Appends a conversation as the template renders it. With `ask` the text ends in the generation
// prompt. Content that spells a special token stays text; *escaped (may be NULL) grows by the
// number of such turns.
//
// An answer is learnt from where the prompt for it ends to the special token behind it. The prompt
// is what the template makes of the turns before with add_generation_prompt; where the whole
// conversation does not begin like that, the answer is learnt from its own first character. A token
// that begins before an answer and reaches into it is not learnt. A template with {% generation %}
// blocks is learnt in those, as transformers' return_assistant_tokens_mask has it.
//
// TS_ERR_FORMAT where the template refuses the conversation, leaves an answer's text out, or puts
// other turns' text into it.
ts_status ts_chat_encode(ts_chat_template *t, const ts_turn *turns, size_t count, bool ask,
                         ts_chat_tokens *out, size_t *escaped, ts_error *err);

// The same for messages as people write them in JSON, without a mask: {"messages": [...],
// "add_generation_prompt": bool, ...}. Other keys are variables of the template, and refused where
// it reads none of that name. `name` starts error messages.
ts_status ts_chat_encode_json(ts_chat_template *t, const cJSON *row, const char *name,
                              ts_tokens *out, ts_error *err);

// The text that the last conversation was rendered as, and its length.
const char *ts_chat_rendered(const ts_chat_template *t, size_t *len);

// The special token that the template writes behind an answer (TS_TOKEN_NONE: none, or it refuses
// a question with its answer).
ts_status ts_chat_find_end(ts_chat_template *t, uint32_t *out, ts_error *err);

// Appends a plain document: BOS, the text with its special tokens, the end token; all but BOS are
// learnt from.
ts_status ts_chat_encode_document(const ts_tokenizer *tokenizer, const char *text, size_t len,
                                  ts_chat_tokens *out, ts_error *err);

#endif
