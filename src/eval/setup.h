// What an evaluation is of: the model, the adapter and what is known of its training. From it
// follow which prompts training saw, and the configuration that the reports show.
#ifndef TS_EVAL_SETUP_H
#define TS_EVAL_SETUP_H

#include "base/json.h"
#include "base/memory.h"
#include "data/chat.h"
#include "eval/report.h"
#include "model/model.h"

// An adapter and what is known of its training.
typedef struct ts_setup_adapter {
    const char *folder; // NULL: there is none; then the rest is not read
    const ts_adapter_config *config;
    const cJSON *training, *state; // the folder's training.json and trainer_state.json, or NULL
} ts_setup_adapter;

// What the caller fills; all of it is borrowed.
typedef struct ts_setup {
    const char *model; // as the caller named it
    const ts_model_config *config;
    ts_setup_adapter adapters[TS_MOST_ADAPTERS]; // none: the base model alone
    const char *device, *driver;
    ts_precision precision;
    ts_quantise quantised; // what was asked for
    const char *held_in;   // what linear layers are held in, by ts_quantise_describe; "": no blocks
    const ts_chat_template *template;
    uint64_t max_new_tokens;
} ts_setup;

// Warns where the adapter was made for a model of another name, or on a base quantised to something
// else. `setup` needs only `model` and `quantised`.
void ts_setup_check_adapter(const ts_setup *setup, const ts_setup_adapter *adapter);

// Sets seen[prompts->count] where training saw the prompt; what is set already stays. `data` is the
// file that training read; NULL: the one that training.json names. Where it went on with another
// adapter that one's training counts too. Warns where a file is not here or was changed, and where
// it is not known what an earlier adapter was trained on. *seen is allocated if it was NULL, and
// stays NULL if there is no file to tell by. The caller frees *seen.
ts_status ts_setup_mark_seen(const cJSON *training, const char *adapter_folder, const char *data,
                             const ts_tokenizer *tokenizer, ts_chat_template *template,
                             const ts_prompts *prompts, bool **seen, ts_error *err);

// The configuration as rows for the reports, and a title from the model's name.
enum { TS_SETUP_ROWS = 16 };
typedef struct ts_setup_text {
    const char *title;
    ts_setting rows[TS_SETUP_ROWS];
    size_t count;
} ts_setup_text;

// The shortest ends of the adapters' paths that tell them apart: "sft" and "dpo", or "a/final" and
// "b/final". Names live in `arena`.
ts_status ts_setup_name_adapters(const char *const *folders, size_t count, ts_arena *arena,
                                 const char **names, ts_error *err);

// Texts live in `arena`. `seen` is as above, or NULL.
ts_status ts_setup_describe(const ts_setup *setup, const ts_prompts *prompts, const bool *seen,
                            ts_arena *arena, ts_setup_text *out, ts_error *err);

#endif
