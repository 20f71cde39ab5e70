// A model that can generate text, as the other files of this floor see it.
#ifndef TS_API_MODEL_H
#define TS_API_MODEL_H

#include "api/cache.h"
#include "api/internal.h"
#include "base/json.h"
#include "data/chat.h"
#include "model/model.h"

struct tinysft_model {
    tinysft_device *device;
    uint32_t users;            // how many: the caller's handle and evaluations that have not run
    ts_text name, folder;      // as it was asked for, and where its files are
    ts_text adapter_folder;    // empty: there is none
    ts_adapter_config adapter; // r is 0 without one
    cJSON *training, *state;   // the adapter folder's training.json, trainer_state.json; or NULL
    ts_weights *weights;
    ts_model_config config;
    ts_tokenizer *tokenizer;
    ts_chat_template *template;
    ts_quantise quantise;
    uint32_t positions; // may grow until it is loaded, unless `positions_asked`
    bool positions_asked, loaded;
    ts_model model;         // zeroed until it is loaded
    ts_api_cache caches[2]; // of the last conversation without the adapter, and with it
    ts_profile *profile;    // what evaluations run is timed into it; NULL: it is not
    ts_api_loading loading;
};

static inline ts_status ts_api_enter_model(tinysft_model *model, ts_error *err)
{
    return ts_api_enter(model != NULL ? &model->device->context : NULL, "the model", err);
}

// FOLDER/NAME as JSON; *out stays as it is if there is no such file.
ts_status ts_api_read_optional(const char *folder, const char *name, cJSON **out, ts_error *err);
// Opens the template asked for, otherwise the one that the adapter with this training.json was
// trained with, otherwise the model's own. `asked` and `training` may be NULL.
ts_status ts_api_choose_template(ts_weights *weights, const ts_tokenizer *tokenizer,
                                 const cJSON *training, const char *asked, ts_chat_template **out,
                                 ts_error *err);

// Puts the model on the device if it is not there.
ts_status ts_api_model_load(tinysft_model *model, ts_error *err);
// Makes room for texts of so many tokens, unless the model is loaded or its user limited it.
void ts_api_model_make_room(tinysft_model *model, uint32_t positions);
// Takes the adapter away, if the model has one.
void ts_api_model_forget_adapter(tinysft_model *model);
// Puts another adapter's weights in the place of the model's own for a while; NULL: its own again.
// Whatever else the handle knows is of its own adapter.
ts_status ts_api_model_swap_adapter(tinysft_model *model, const char *folder, ts_error *err);
// Add a user and remove one; the last one's removal frees the model. Outside of any call on it.
void ts_api_model_keep(tinysft_model *model);
void ts_api_model_release(tinysft_model *model);

#endif
