// A PEFT adapter folder: adapter_config.json and adapter_model.safetensors, as
// PeftModel.from_pretrained reads them. The tensors themselves go through safetensors.h.
#ifndef TS_DATA_ADAPTER_H
#define TS_DATA_ADAPTER_H

#include "base/text.h"

// The linear layers of a Llama block, in the order in which they are computed.
typedef enum ts_module {
    TS_MODULE_Q,
    TS_MODULE_K,
    TS_MODULE_V,
    TS_MODULE_O,
    TS_MODULE_GATE,
    TS_MODULE_UP,
    TS_MODULE_DOWN,
    TS_MODULE_COUNT,
} ts_module;

#define TS_MODULE_BIT(module) (1u << (module))
#define TS_MODULES_ALL ((1u << TS_MODULE_COUNT) - 1)

const char *ts_module_name(ts_module module); // "q_proj"
const char *ts_module_path(ts_module module); // "self_attn.q_proj", as in a weight's name
// "q_proj,v_proj" or "all-linear"; TS_ERR_ARGUMENT names what is unknown.
ts_status ts_modules_parse(const char *list, uint32_t *out, ts_error *err);

enum { TS_ADAPTER_MAX_RANK = 4096, TS_ADAPTER_KEY_BYTES = 128 };

// Starts zeroed.
typedef struct ts_adapter_config {
    uint32_t r;
    double alpha;
    double dropout;
    bool use_rslora;    // scale alpha / sqrt(r) instead of alpha / r
    uint32_t targets;   // TS_MODULE_BIT of each adapted module
    ts_text base_model; // Hugging Face name or path of the base model; may be empty
} ts_adapter_config;
void ts_adapter_config_free(ts_adapter_config *config);

double ts_adapter_scale(const ts_adapter_config *config);

// Reads FOLDER/adapter_config.json. What it asks for beyond plain LoRA (a bias, DoRA, per-layer
// ranks, a start that changes the base ...) is TS_ERR_UNSUPPORTED by its key, and so is a key that
// is not known unless it is off; those are named in a warning.
ts_status ts_adapter_config_read(const char *folder, ts_adapter_config *out, ts_error *err);
// Appends the file's text: keys sorted, indent 2.
ts_status ts_adapter_config_write(const ts_adapter_config *config, ts_text *out, ts_error *err);

// The tensor's name in adapter_model.safetensors, for side 'A' [r, in] or 'B' [out, r]:
// "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight".
void ts_adapter_key(uint32_t layer, ts_module module, char side, char out[TS_ADAPTER_KEY_BYTES]);

// Appends the folder's README.md (a Hugging Face model card). `summary` is Markdown that says how
// the adapter was made; may be NULL.
ts_status ts_adapter_card_write(const ts_adapter_config *config, const char *summary, ts_text *out,
                                ts_error *err);

#endif
