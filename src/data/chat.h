// Conversations: how a chat template turns one into tokens, and which tokens the model is trained
// on.
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
    bool masked; // an assistant's turn that is not trained on
} ts_turn;

// The tokens of a conversation. supervised[t] says whether token t is trained on: the model would
// have written it, in an assistant's turn that is not masked. Starts zeroed. Both arrays have
// tokens.count entries.
typedef struct ts_chat_tokens {
    ts_tokens tokens;
    uint8_t *supervised;
    size_t supervised_capacity;
} ts_chat_tokens;
void ts_chat_tokens_free(ts_chat_tokens *chat);

// Appends the tokens of a conversation as the template renders it. With `ask` the text ends in the
// generation prompt, so that a model goes on with an answer. Where the content of a turn contains
// the characters of a special token, they stay plain text; *escaped (may be NULL) is increased by
// the number of such turns.
//
// An answer is trained on from the end of its prompt to the special token after the answer. The
// prompt is what the template renders for the turns before the answer, with add_generation_prompt.
// If the rendered conversation does not start with that prompt, training starts at the first
// character of the answer. A token that starts before an answer and extends into it is not trained
// on. If the template has {% generation %} blocks, exactly those are trained on, as with
// return_assistant_tokens_mask in transformers.
//
// TS_ERR_FORMAT if the template raises an error for this conversation, leaves out the text of an
// answer, or writes text of other turns into one.
ts_status ts_chat_encode(ts_chat_template *t, const ts_turn *turns, size_t count, bool ask,
                         ts_chat_tokens *out, size_t *escaped, ts_error *err);

// The same for messages in JSON and without a mask: {"messages": [...], "add_generation_prompt":
// bool, ...}. Any other key becomes a variable of the template; it is refused if the template reads
// no variable of that name. Error messages start with `name`.
ts_status ts_chat_encode_json(ts_chat_template *t, const cJSON *row, const char *name,
                              ts_tokens *out, ts_error *err);

// The text that the last conversation was rendered as; *len receives its length in bytes. Owned by
// the template and valid until the next conversation.
const char *ts_chat_rendered(const ts_chat_template *t, size_t *len);

// Sets *out to the special token that the template writes after an answer, or to TS_TOKEN_NONE if
// it writes none or cannot render a question with an answer.
ts_status ts_chat_find_end(ts_chat_template *t, uint32_t *out, ts_error *err);

// Appends a plain document: BOS where the tokenizer puts it before a text, the text (special tokens
// in it are recognised), the end token. All tokens but BOS are trained on.
ts_status ts_chat_encode_document(const ts_tokenizer *tokenizer, const char *text, size_t len,
                                  ts_chat_tokens *out, ts_error *err);

#endif
