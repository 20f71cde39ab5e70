// The inside of a chat template. template.c fills it, chat.c runs it.
#ifndef TS_DATA_TEMPLATE_PARTS_H
#define TS_DATA_TEMPLATE_PARTS_H

#include "base/json.h"
#include "base/memory.h"
#include "data/jinja/jinja.h"
#include "data/template.h"

struct ts_chat_template {
    ts_text name, text;
    ts_text folder; // the model's
    ts_jinja *jinja;
    const ts_tokenizer *tokenizer;
    cJSON *config, *special_tokens; // tokenizer_config.json, special_tokens_map.json; may be NULL
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
// The model's templates, as {name: text}; *templates is a JSON null if it has none, and the caller
// deletes it. *file receives the path that the "default" template was read from.
ts_status ts_chat_template_read(const char *folder, const cJSON *config, cJSON **templates,
                                ts_text *file, ts_error *err);

// Sets the variables in t->data that every conversation gets: bos_token and the other special
// tokens; tools and documents as none.
ts_status ts_chat_template_set_tokens(ts_chat_template *t, ts_error *err);

#endif
