// A model that can generate text, as the other files of this floor see it.
#ifndef TS_API_MODEL_H
#define TS_API_MODEL_H

#include "api/internal.h"
#include "base/json.h"
#include "data/chat.h"
#include "model/model.h"

struct tinysft_model {
    tinysft_device *device;
    ts_text name, folder;      // as it was asked for, and where its files are
    ts_text adapter_folder;    // empty: there is none
    ts_adapter_config adapter; // r is 0 without one
    cJSON *training, *state;   // the adapter folder's training.json, trainer_state.json; or NULL
    ts_weights *weights;
    ts_model_config config;
    ts_tokenizer *tokenizer;
    ts_chat_template *template;
    uint32_t positions;
    ts_model model;
    ts_api_loading loading;
};

static inline ts_status ts_api_enter_model(tinysft_model *model, ts_error *err)
{
    return ts_api_enter(model != NULL ? &model->device->context : NULL, "the model", err);
}

#endif
