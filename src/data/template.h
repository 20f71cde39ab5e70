// A model's chat template: where it is read from, and which variables it gets besides the
// conversation.
#ifndef TS_DATA_TEMPLATE_H
#define TS_DATA_TEMPLATE_H

#include "data/tokenizer.h"
#include "data/weights.h"

typedef struct ts_chat_template ts_chat_template;

// Opens a chat template. `chosen` NULL means the model's own, searched for as transformers does:
// chat_template.jinja and additional_chat_templates/*.jinja, else chat_template in
// tokenizer_config.json, else chat_template.json. If there are several, it is the one called
// "default". A model without a template gets "plain", and a warning. Otherwise `chosen` is the name
// of one of the model's templates, one of TS_CHAT_TEMPLATE_NAMES, the text of a template
// (recognised by "{{" or "{%"), or the path of a file: Jinja, or a tokenizer_config.json. `model`
// may be NULL if `chosen` needs none. Model and tokenizer must outlive the template. Release *out
// with ts_chat_template_close.
ts_status ts_chat_template_open(ts_weights *model, const char *chosen,
                                const ts_tokenizer *tokenizer, ts_chat_template **out,
                                ts_error *err);
// The same from the text and the name that a run recorded.
ts_status ts_chat_template_open_text(ts_weights *model, const char *name, const char *text,
                                     const ts_tokenizer *tokenizer, ts_chat_template **out,
                                     ts_error *err);
void ts_chat_template_close(ts_chat_template *t);

#define TS_CHAT_TEMPLATE_NAMES "zephyr, chatml, llama-2, llama-3, plain"

// For messages: its name, or the file it was read from.
const char *ts_chat_template_name(const ts_chat_template *t);
// Its Jinja text. ts_chat_template_open makes the same template from it.
const char *ts_chat_template_text(const ts_chat_template *t);
// Whether it is "plain". With "plain" a text without turns may be trained on as a whole.
bool ts_chat_template_is_plain(const ts_chat_template *t);
// The special token that the template writes after an answer. Generation stops at it. TS_TOKEN_NONE
// if it writes none.
uint32_t ts_chat_template_end_token(const ts_chat_template *t);

#endif
