// The inside of a chat template. template.c fills it, chat.c runs it.
#ifndef TS_DATA_TEMPLATE_PARTS_H
#define TS_DATA_TEMPLATE_PARTS_H

#include "base/json.h"
#include "base/memory.h"
#include "data/jinja/jinja.h"
#include "data/template.h"

struct ts_chat_template {
    ts_text name, text;
    ts_jinja *jinja;
    const ts_tokenizer *tokenizer;
    // Of the model's files, which keep them: tokenizer_config.json and special_tokens_map.json.
    const cJSON *config, *special_tokens; // NULL where there is none
    bool plain;
    uint32_t end; // the special token after an answer
    // Whether each warning was given; each is given once.
    bool told_no_end, told_generation;
    // Reused for all conversations.
    ts_jinja_data data;
    ts_rendering rendering, prompt;
};

// One of TS_CHAT_TEMPLATE_NAMES, or NULL.
const char *ts_chat_template_named(const char *name);

// Sets the variables in t->data that every conversation gets: bos_token and the other special
// tokens; tools and documents as none.
ts_status ts_chat_template_set_tokens(ts_chat_template *t, ts_error *err);

#endif
