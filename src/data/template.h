// A model's chat template: where it comes from, and what it is given besides the conversation.
#ifndef TS_DATA_TEMPLATE_H
#define TS_DATA_TEMPLATE_H

#include "data/tokenizer.h"

typedef struct ts_chat_template ts_chat_template;

// `chosen`: NULL for the model's own, read as transformers reads it: chat_template.jinja and
// additional_chat_templates/*.jinja, else tokenizer_config.json's chat_template, else
// chat_template.json's; of several the one called "default". A model without a template gets
// "plain", with a word. Otherwise the name of one of the model's templates; one of
// TS_CHAT_TEMPLATE_NAMES; a template's text (it holds "{{" or "{%"); or a file, of Jinja or a
// tokenizer_config.json. The tokenizer must outlive the template.
ts_status ts_chat_template_open(const char *model_folder, const char *chosen,
                                const ts_tokenizer *tokenizer, ts_chat_template **out,
                                ts_error *err);
// The same from a text and the name it goes by, as a run's record has them.
ts_status ts_chat_template_open_text(const char *model_folder, const char *name, const char *text,
                                     const ts_tokenizer *tokenizer, ts_chat_template **out,
                                     ts_error *err);
void ts_chat_template_close(ts_chat_template *t);

#define TS_CHAT_TEMPLATE_NAMES "zephyr, chatml, llama-2, llama-3, plain"

// What people call it: a name, or the file it was read from.
const char *ts_chat_template_name(const ts_chat_template *t);
// Its Jinja text, from which ts_chat_template_open makes the same template again.
const char *ts_chat_template_text(const ts_chat_template *t);
// Whether it is "plain", under which a text without turns may be learnt as it stands.
bool ts_chat_template_is_plain(const ts_chat_template *t);
// The special token that it writes behind an answer, at which generation stops; TS_TOKEN_NONE
// where it writes none.
uint32_t ts_chat_template_end_token(const ts_chat_template *t);

#endif
