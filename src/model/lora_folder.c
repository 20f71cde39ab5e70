// What the files of a PEFT adapter must hold to fit a model. No device is needed for it.
#include "model/lora_folder.h"

#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "data/module_pattern.h"

#include <string.h>

void ts_lora_key(const ts_model_config *model, uint32_t layer, ts_module module, char side,
                 char out[TS_ADAPTER_KEY_BYTES])
{
    char name[TS_WEIGHT_NAME_BYTES];
    ts_module_tensor(model, layer, module, name);
    ts_adapter_key(name, side, out);
}

uint32_t ts_lora_rank(const ts_model_config *model, const ts_adapter_config *adapter,
                      uint32_t layer, ts_module module)
{
    char name[TS_WEIGHT_NAME_BYTES];
    ts_module_tensor(model, layer, module, name);
    return ts_adapter_rank(adapter, name);
}

double ts_lora_scale(const ts_model_config *model, const ts_adapter_config *adapter, uint32_t layer,
                     ts_module module)
{
    char name[TS_WEIGHT_NAME_BYTES];
    ts_module_tensor(model, layer, module, name);
    return ts_adapter_scale(adapter, name);
}

static bool names_a_module(const ts_model_config *model, const ts_adapter_config *adapter,
                           const char *key, size_t len)
{
    for (uint32_t i = 0; i < model->layers * TS_MODULE_COUNT; i++) {
        const ts_module module = (ts_module)(i % TS_MODULE_COUNT);
        char name[TS_WEIGHT_NAME_BYTES];
        ts_module_tensor(model, i / TS_MODULE_COUNT, module, name);
        if (adapter->targets & TS_MODULE_BIT(module) && ts_pattern_matches(key, len, name)) {
            return true;
        }
    }
    return false;
}

bool ts_lora_unused_pattern(const ts_model_config *model, const ts_adapter_config *adapter,
                            const char *list, const char **key, size_t *len)
{
    double value;
    while ((list = ts_pattern_next(list, key, len, &value)) != NULL) {
        if (!names_a_module(model, adapter, *key, *len)) {
            return true;
        }
    }
    return false;
}

uint32_t ts_lora_shape(uint32_t r, char side, uint32_t out, uint32_t in,
                       uint64_t shape[TS_TENSOR_MAX_RANK])
{
    shape[0] = side == 'A' ? r : out;
    shape[1] = side == 'A' ? in : r;
    return side == 'M' ? 1 : 2;
}

ts_status ts_lora_check_dtype(const ts_tensor *tensor, ts_error *err)
{
    ts_dtype dtype = tensor->dtype;
    return dtype == TS_F32 || dtype == TS_F16 || dtype == TS_BF16
               ? TS_OK
               : ts_error_set(err, TS_ERR_UNSUPPORTED, "%s is %s; adapters may be F32, F16 or BF16",
                              tensor->name, ts_dtype_name(dtype));
}

// Describes, for a message, a tensor of adapter_model.safetensors that the adapter does not have.
static const char *what_is(const char *name)
{
    static const struct {
        const char *part, *what;
    } kinds[] = {
        {"lora_magnitude_vector", "a magnitude vector of DoRA that this adapter should not have"},
        {"lora_embedding_", "LoRA on the embedding"},
        {"lora_B.bias", "a bias of LoRA"},
        {"embed_tokens", "a saved embedding: the base's was resized or tuned along with it"},
        {"lm_head", "a saved lm_head: the base's was resized or tuned along with it"},
        {"modules_to_save", "a module of the base that was tuned whole"},
        {"lora_A", "LoRA on a layer or module that this adapter should not have"},
        {"lora_B", "LoRA on a layer or module that this adapter should not have"},
    };
    for (size_t i = 0; i < TS_COUNT(kinds); i++) {
        if (strstr(name, kinds[i].part) != NULL) {
            return kinds[i].what;
        }
    }
    return "no part of LoRA";
}

static bool is_in_adapter(const ts_model_config *model, const ts_adapter_config *adapter,
                          const char *name)
{
    char key[TS_ADAPTER_KEY_BYTES];
    for (uint32_t layer = 0; layer < model->layers; layer++) {
        for (ts_module module = 0; module < TS_MODULE_COUNT; module++) {
            for (const char *side = ts_adapter_sides(adapter); *side != '\0'; side++) {
                ts_lora_key(model, layer, module, *side, key);
                if (strcmp(key, name) == 0) {
                    return (adapter->targets & TS_MODULE_BIT(module)) != 0;
                }
            }
        }
    }
    return false;
}

// The file must hold the adapter and nothing else: any other tensor would change the model too.
static ts_status check_nothing_else(const ts_model_config *model, const ts_adapter_config *adapter,
                                    const ts_tensors *file, size_t expected, const char *path,
                                    ts_error *err)
{
    size_t count = ts_tensors_count(file);
    for (size_t i = 0; i < count; i++) {
        const char *name = ts_tensors_at(file, i)->name;
        if (!is_in_adapter(model, adapter, name)) {
            return ts_error_set(err, TS_ERR_UNSUPPORTED,
                                "%s: tensor '%.200s' is %s; of %zu tensors, %zu are the adapter "
                                "by its adapter_config.json, and only those are read",
                                path, name, what_is(name), count, expected);
        }
    }
    return TS_OK;
}

// All tensors of every adapted module must be there, in their shapes.
static ts_status check_pairs(const ts_model_config *model, const ts_adapter_config *adapter,
                             const ts_tensors *file, const char *path, ts_error *err)
{
    ts_status status = TS_OK;
    size_t count = 0;
    for (uint32_t i = 0; i < model->layers * TS_MODULE_COUNT; i++) {
        const uint32_t layer = i / TS_MODULE_COUNT;
        const ts_module module = (ts_module)(i % TS_MODULE_COUNT);
        uint32_t rows, cols;
        ts_module_shape(model, module, &rows, &cols);
        for (const char *side = ts_adapter_sides(adapter);
             *side != '\0' && adapter->targets & TS_MODULE_BIT(module); side++) {
            char key[TS_ADAPTER_KEY_BYTES];
            uint64_t shape[TS_TENSOR_MAX_RANK];
            const ts_tensor *tensor;
            ts_lora_key(model, layer, module, *side, key);
            const uint32_t rank = ts_lora_shape(ts_lora_rank(model, adapter, layer, module), *side,
                                                rows, cols, shape);
            TS_TRY(ts_tensors_expect(file, key, rank, shape, &tensor, err));
            TS_TRY(ts_lora_check_dtype(tensor, err));
            count++;
        }
    }
    if (count != ts_tensors_count(file)) {
        status = check_nothing_else(model, adapter, file, count, path, err);
    }
out:
    return status;
}

// If there is only a pickle, the error says so: reading a pickle can run code.
static ts_status open_adapter(const char *folder, ts_text *path, ts_tensors **file, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text pickle = {0};
    bool found;
    TS_TRY(ts_path_join(folder, "adapter_model.safetensors", path, err));
    TS_TRY(ts_path_join(folder, "adapter_model.bin", &pickle, err));
    TS_TRY(ts_file_find(path->bytes, &found, err));
    if (!found && ts_file_exists(pickle.bytes)) {
        TS_FAIL(TS_ERR_UNSUPPORTED,
                "%s: a pickle, which can run code when it is read, and no adapter_model.safetensors"
                " beside it: load it with PEFT and save it again (save_pretrained writes "
                "safetensors)",
                pickle.bytes);
    }
    TS_TRY(ts_safetensors_open(path->bytes, file, err));
out:
    ts_text_free(&pickle);
    return status;
}

// PEFT takes no notice of patterns that name no module.
static void tell_unused(const ts_model_config *model, const ts_adapter_config *adapter,
                        const char *folder)
{
    const char *key, *const lists[] = {adapter->rank_pattern.bytes, adapter->alpha_pattern.bytes};
    size_t len;
    for (size_t i = 0; i < TS_COUNT(lists); i++) {
        if (ts_lora_unused_pattern(model, adapter, lists[i], &key, &len)) {
            ts_log_once(TS_LOG_WARN,
                        "%s: adapter_config.json: the %s '%.*s' names no module of the adapter: it "
                        "has no effect",
                        folder, i == 0 ? "rank_pattern" : "alpha_pattern", (int)len, key);
        }
    }
}

ts_status ts_lora_open_folder(const ts_model_config *model, const char *folder,
                              ts_adapter_config *adapter, ts_tensors **file, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text path = {0};
    TS_TRY(ts_adapter_config_read(folder, adapter, err));
    tell_unused(model, adapter, folder);
    TS_TRY(open_adapter(folder, &path, file, err));
    TS_TRY(check_pairs(model, adapter, *file, path.bytes, err));
out:
    ts_text_free(&path);
    return status;
}
