#include "model/family.h"

#include "base/memory.h"

#include <string.h>

// Tensors as Llama calls them, with these norms in a layer.
#define TENSORS(...)                                                                               \
    {                                                                                              \
        .embedding = "model.embed_tokens", .layers = "model.layers", .norms = {__VA_ARGS__},       \
        .final_norm = "model.norm", .head = "lm_head"                                              \
    }
#define LLAMA_NORMS                                                                                \
    [TS_NORM_ATTENTION] = "input_layernorm", [TS_NORM_MLP] = "post_attention_layernorm"
#define HEAD_NORMS [TS_NORM_Q] = "self_attn.q_norm", [TS_NORM_K] = "self_attn.k_norm"

#define LLAMA_TENSORS TENSORS(LLAMA_NORMS)
#define GEMMA3_TENSORS                                                                             \
    TENSORS([TS_NORM_ATTENTION] = "input_layernorm",                                               \
            [TS_NORM_ATTENTION_OUT] = "post_attention_layernorm",                                  \
            [TS_NORM_MLP] = "pre_feedforward_layernorm",                                           \
            [TS_NORM_MLP_OUT] = "post_feedforward_layernorm", HEAD_NORMS)
#define OLMO2_TENSORS                                                                              \
    TENSORS([TS_NORM_ATTENTION_OUT] = "post_attention_layernorm",                                  \
            [TS_NORM_MLP_OUT] = "post_feedforward_layernorm", HEAD_NORMS)
#define QWEN3_TENSORS TENSORS(LLAMA_NORMS, HEAD_NORMS)

static const ts_family families[TS_FAMILY_COUNT] = {
#define FAMILY(ID, ...) [TS_FAMILY_##ID] = {__VA_ARGS__},
#include "model/families.def"
#undef FAMILY
};

// What a config.json calls the family under "architectures" or under "model_type".
static const char *name_by(const ts_family *family, bool architecture)
{
    return architecture ? family->architecture : family->model_type;
}

const ts_family *ts_family_of(ts_family_id id)
{
    return &families[id];
}

// Appends the values that a message can offer: "llama" or "mistral" or ...
static ts_status list_families(bool architecture, ts_text *out, ts_error *err)
{
    ts_status status = TS_OK;
    for (size_t i = 0; i < TS_FAMILY_COUNT; i++) {
        TS_TRY(ts_text_format(out, err, "%s\"%s\"", i > 0 ? " or " : "",
                              name_by(&families[i], architecture)));
    }
out:
    return status;
}

// Finds the family that `value` names; a value that names none is refused under `key`.
static ts_status find_by(const cJSON *value, const char *key, bool architecture, const char *name,
                         ts_family_id *out, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text list = {0};
    bool single = cJSON_IsArray(value) && cJSON_GetArraySize(value) == 1;
    const char *text = cJSON_GetStringValue(single && architecture ? value->child : value);
    for (size_t i = 0; i < TS_FAMILY_COUNT && text != NULL; i++) {
        if (strcmp(text, name_by(&families[i], architecture)) == 0) {
            *out = (ts_family_id)i;
            return TS_OK;
        }
    }
    TS_TRY(list_families(architecture, &list, err));
    status = ts_key_refuse(value, key, list.bytes, NULL, name, err);
out:
    ts_text_free(&list);
    return status;
}

ts_status ts_family_find(const cJSON *config, const char *name, ts_family_id *out, ts_error *err)
{
    ts_status status = TS_OK;
    const cJSON *type = ts_json_get(config, "model_type");
    const cJSON *architectures = ts_json_get(config, "architectures");
    bool has_type = type != NULL && !cJSON_IsNull(type);
    ts_family_id by_type = 0, by_architecture = 0;
    if (has_type) {
        TS_TRY(find_by(type, "model_type", false, name, &by_type, err));
    }
    *out = by_type;
    if (architectures == NULL || cJSON_IsNull(architectures) ||
        (cJSON_IsArray(architectures) && architectures->child == NULL)) {
        goto out;
    }
    TS_TRY(find_by(architectures, "architectures", true, name, &by_architecture, err));
    if (has_type && by_type != by_architecture) {
        TS_TRY(ts_key_refuse(architectures, "architectures", families[by_type].architecture,
                             "model_type names another family", name, err));
    }
    *out = by_architecture;
out:
    return status;
}
