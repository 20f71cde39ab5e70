// Chat templates: how turns become one text, and which of its tokens are an answer.
#ifndef TS_DATA_CHAT_H
#define TS_DATA_CHAT_H

#include "data/tokenizer.h"

typedef enum ts_role { TS_ROLE_SYSTEM, TS_ROLE_USER, TS_ROLE_ASSISTANT } ts_role;

typedef struct ts_turn {
    ts_role role;
    const char *text; // valid UTF-8, not NUL-terminated
    size_t len;
    bool masked; // an assistant's turn that is not to be learnt
} ts_turn;

// The known templates; TinyLlama's is zephyr.
typedef enum ts_chat_style {
    TS_CHAT_ZEPHYR,
    TS_CHAT_CHATML,
    TS_CHAT_LLAMA2,
    TS_CHAT_LLAMA3,
    TS_CHAT_PLAIN,
} ts_chat_style;

const char *ts_chat_style_name(ts_chat_style style);
ts_status ts_chat_style_parse(const char *name, ts_chat_style *out, ts_error *err);
// Recognises the template in the folder's tokenizer_config.json (or chat_template.jinja); an
// unknown template is refused by name, no template at all means plain.
ts_status ts_chat_style_of_model(const char *model_folder, ts_chat_style *out, ts_error *err);

// The same for the template's text; false: unknown.
bool ts_chat_style_of_template(const char *jinja, ts_chat_style *out);

// The token that ends an answer, at which generation stops.
ts_status ts_chat_end_token(const ts_tokenizer *tokenizer, ts_chat_style style, uint32_t *out,
                            ts_error *err);

// Tokens of a conversation and, for each, whether it bears loss: assistant text and the end
// token behind it do unless the turn is masked, nothing else does. Starts zeroed; both arrays have
// tokens.count entries.
typedef struct ts_chat_tokens {
    ts_tokens tokens;
    uint8_t *supervised;
    size_t supervised_capacity;
} ts_chat_tokens;
void ts_chat_tokens_free(ts_chat_tokens *chat);

// Appends a conversation. With `ask` the text ends in the generation prompt ("<|assistant|>\n").
// Content that spells a special token stays text; *escaped (may be NULL) grows by the number of
// such turns. A token that begins before an answer and reaches into it bears no loss.
ts_status ts_chat_encode(const ts_tokenizer *tokenizer, ts_chat_style style, const ts_turn *turns,
                         size_t count, bool ask, ts_chat_tokens *out, size_t *escaped,
                         ts_error *err);

// Appends a plain document: BOS, the text with its special tokens, the end token; all but BOS
// bear loss.
ts_status ts_chat_encode_document(const ts_tokenizer *tokenizer, const char *text, size_t len,
                                  ts_chat_tokens *out, ts_error *err);

#endif
