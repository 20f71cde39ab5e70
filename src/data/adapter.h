// A PEFT adapter folder: adapter_config.json and adapter_model.safetensors, as
// PeftModel.from_pretrained reads them. The tensors themselves go through safetensors.h.
#ifndef TS_DATA_ADAPTER_H
#define TS_DATA_ADAPTER_H

#include "base/text.h"

// The linear layers of a transformer block, in the order in which they are computed.
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
const char *ts_module_path(ts_module module); // "self_attn.q_proj", the part of a tensor's name
                                              // that says which layer it is
// Sets *out to the TS_MODULE_BITs that a list such as "q_proj,v_proj" names; "all-linear" names
// all. TS_ERR_ARGUMENT quotes a name that is not a module.
ts_status ts_modules_parse(const char *list, uint32_t *out, ts_error *err);

// The first values of A; B is zero in either. PEFT's init_lora_weights.
typedef enum ts_lora_init {
    TS_LORA_INIT_DEFAULT,  // uniform in +-1/sqrt(in): kaiming_uniform_(a = sqrt 5)
    TS_LORA_INIT_GAUSSIAN, // normal with deviation 1/r
    TS_LORA_INIT_COUNT,
} ts_lora_init;
const char *ts_lora_init_name(ts_lora_init init); // "default", "gaussian"
ts_status ts_lora_init_parse(const char *name, ts_lora_init *out, ts_error *err);

enum { TS_ADAPTER_MAX_RANK = 4096, TS_ADAPTER_KEY_BYTES = 192 };

// Starts zeroed.
typedef struct ts_adapter_config {
    uint32_t r;
    double alpha;
    double dropout;
    bool use_rslora;  // scale alpha / sqrt(r) instead of alpha / r
    bool use_dora;    // each adapted module has a magnitude vector too
    uint32_t targets; // TS_MODULE_BIT of each adapted module
    ts_lora_init init;
    ts_text rank_pattern, alpha_pattern; // r and alpha of modules that have others
                                         // (data/module_pattern.h); empty: there are none
    ts_text base_model; // Hugging Face name or path of the base model; may be empty
} ts_adapter_config;
void ts_adapter_config_free(ts_adapter_config *config);

// The tensors of an adapted module, a letter each (ts_adapter_key): "AB" or "ABM".
const char *ts_adapter_sides(const ts_adapter_config *config);

// The rank and the scale, alpha / r or alpha / sqrt(r), of a module such as
// "model.layers.0.self_attn.q_proj".
uint32_t ts_adapter_rank(const ts_adapter_config *config, const char *module);
double ts_adapter_scale(const ts_adapter_config *config, const char *module);
// Of those modules that no pattern names.
double ts_adapter_usual_scale(const ts_adapter_config *config);

// Reads FOLDER/adapter_config.json. A field that asks for more than LoRA or DoRA (a bias,
// a pattern that module_pattern.h does not understand, an initialisation that changes the base
// model, ...) is TS_ERR_UNSUPPORTED and is named in the message. So is a field that this program
// does not know, unless its value is off (null, false, empty); such fields are listed in one
// warning. Free *out with ts_adapter_config_free.
ts_status ts_adapter_config_read(const char *folder, ts_adapter_config *out, ts_error *err);
// Appends the text of adapter_config.json: keys sorted, indented by 2.
ts_status ts_adapter_config_write(const ts_adapter_config *config, ts_text *out, ts_error *err);

// Writes the name that a tensor has in adapter_model.safetensors:
// "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight", where the module's own tensors
// start with "model.layers.0.self_attn.q_proj". `side` is 'A', of shape [r, in], 'B', of shape
// [out, r], or 'M', DoRA's magnitudes of shape [out], "....lora_magnitude_vector".
void ts_adapter_key(const char *module, char side, char out[TS_ADAPTER_KEY_BYTES]);

// Appends the README.md of an adapter folder (a Hugging Face model card). `summary` is Markdown
// that describes how the adapter was trained; it may be NULL.
ts_status ts_adapter_card_write(const ts_adapter_config *config, const char *summary, ts_text *out,
                                ts_error *err);

#endif
