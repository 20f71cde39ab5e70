#include "data/adapter.h"

#include "base/file.h"
#include "base/keys.h"
#include "base/memory.h"
#include "base/nearest.h"
#include "data/module_pattern.h"

#include <assert.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MODULE(BLOCK, NAME)                                                                        \
    {                                                                                              \
        NAME, BLOCK "." NAME                                                                       \
    }
static const struct {
    const char *name, *path;
} modules[TS_MODULE_COUNT] = {
    [TS_MODULE_Q] = MODULE("self_attn", "q_proj"), [TS_MODULE_K] = MODULE("self_attn", "k_proj"),
    [TS_MODULE_V] = MODULE("self_attn", "v_proj"), [TS_MODULE_O] = MODULE("self_attn", "o_proj"),
    [TS_MODULE_GATE] = MODULE("mlp", "gate_proj"), [TS_MODULE_UP] = MODULE("mlp", "up_proj"),
    [TS_MODULE_DOWN] = MODULE("mlp", "down_proj"),
};

const char *ts_module_name(ts_module module)
{
    return modules[module].name;
}

const char *ts_module_path(ts_module module)
{
    return modules[module].path;
}

// The TS_MODULE_BITs for name[0..len); 0 if it names no module.
static uint32_t module_bits(const char *name, size_t len)
{
    static const char all[] = "all-linear";
    if (len == strlen(all) && memcmp(name, all, len) == 0) {
        return TS_MODULES_ALL;
    }
    for (unsigned i = 0; i < TS_MODULE_COUNT; i++) {
        if (strlen(modules[i].name) == len && memcmp(modules[i].name, name, len) == 0) {
            return TS_MODULE_BIT(i);
        }
    }
    return 0;
}

// "q_proj, k_proj, ..."; valid until the thread's next call.
static const char *known_modules(void)
{
    static _Thread_local char names[160];
    size_t len = 0;
    for (unsigned i = 0; i < TS_MODULE_COUNT; i++) {
        len += (size_t)snprintf(names + len, sizeof names - len, "%s%s", i > 0 ? ", " : "",
                                modules[i].name);
    }
    return names;
}

static const char *nearest_module(const char *name, size_t len)
{
    ts_nearest search = ts_nearest_begin(name, len);
    ts_nearest_offer(&search, "all-linear");
    for (unsigned i = 0; i < TS_MODULE_COUNT; i++) {
        ts_nearest_offer(&search, modules[i].name);
    }
    return search.name;
}

ts_status ts_modules_parse(const char *list, uint32_t *out, ts_error *err)
{
    uint32_t all = 0;
    for (const char *at = list;;) {
        size_t len = strcspn(at, ", ");
        uint32_t bits = module_bits(at, len);
        if (len > 0 && bits == 0) {
            const char *nearest = nearest_module(at, len);
            return ts_error_set(err, TS_ERR_ARGUMENT,
                                "module '%.*s' is none of %s and all-linear%s%s%s",
                                (int)ts_min_u64(len, 40), at, known_modules(),
                                nearest != NULL ? "; did you mean " : "",
                                nearest != NULL ? nearest : "", nearest != NULL ? "?" : "");
        }
        all |= bits;
        at += len;
        at += strspn(at, ", ");
        if (*at == '\0') {
            break;
        }
    }
    if (all == 0) {
        return ts_error_set(err, TS_ERR_ARGUMENT, "no module to adapt; choose from %s",
                            known_modules());
    }
    *out = all;
    return TS_OK;
}

static const char *const init_names[] = {
    [TS_LORA_INIT_DEFAULT] = "default",
    [TS_LORA_INIT_GAUSSIAN] = "gaussian",
};

const char *ts_lora_init_name(ts_lora_init init)
{
    return init_names[init];
}

ts_status ts_lora_init_parse(const char *name, ts_lora_init *out, ts_error *err)
{
    for (size_t i = 0; i < TS_COUNT(init_names); i++) {
        if (strcmp(name, init_names[i]) == 0) {
            *out = (ts_lora_init)i;
            return TS_OK;
        }
    }
    return ts_error_set(err, TS_ERR_ARGUMENT,
                        "--init-lora %s: expected default (uniform) or gaussian; others change the "
                        "base's weights and are not implemented",
                        name);
}

void ts_adapter_config_free(ts_adapter_config *config)
{
    ts_text_free(&config->base_model);
    ts_text_free(&config->rank_pattern);
    ts_text_free(&config->alpha_pattern);
    *config = (ts_adapter_config){0};
}

const char *ts_adapter_sides(const ts_adapter_config *config)
{
    return config->use_dora ? "ABM" : "AB";
}

static double scale_of(const ts_adapter_config *config, double r, double alpha)
{
    return alpha / (config->use_rslora ? sqrt(r) : r);
}

uint32_t ts_adapter_rank(const ts_adapter_config *config, const char *module)
{
    return (uint32_t)ts_pattern_value(config->rank_pattern.bytes, module, config->r);
}

double ts_adapter_scale(const ts_adapter_config *config, const char *module)
{
    return scale_of(config, ts_adapter_rank(config, module),
                    ts_pattern_value(config->alpha_pattern.bytes, module, config->alpha));
}

double ts_adapter_usual_scale(const ts_adapter_config *config)
{
    return scale_of(config, config->r, config->alpha);
}

// Reads target_modules: a list of names, or a string. PEFT takes a string as a regular expression;
// here only the plain name of a module and "all-linear" are understood.
static ts_status read_targets(const cJSON *targets, const char *path, uint32_t *out, ts_error *err)
{
    bool list = cJSON_IsArray(targets);
    *out = 0;
    if (!list && !cJSON_IsString(targets)) {
        return ts_error_set(err, TS_ERR_FORMAT,
                            "%s: key 'target_modules': expected an array of names, found %s", path,
                            ts_json_kind(targets));
    }
    for (const cJSON *entry = list ? targets->child : targets; entry != NULL;
         entry = list ? entry->next : NULL) {
        const char *name = cJSON_IsString(entry) ? entry->valuestring : "";
        uint32_t bits = module_bits(name, strlen(name));
        if (bits == 0) {
            return ts_error_set(err, TS_ERR_UNSUPPORTED,
                                "%s: key 'target_modules': '%.60s' is none of %s", path, name,
                                known_modules());
        }
        *out |= bits;
    }
    return *out != 0 ? TS_OK
                     : ts_error_set(err, TS_ERR_FORMAT, "%s: key 'target_modules' is empty", path);
}

// The keys of adapter_config.json, the fields of PEFT's LoraConfig. Everything beyond LoRA and DoRA
// must be off. So must unknown keys, since a newer PEFT may give them a meaning that changes the
// result.
static const ts_key known_keys[] = {
    {"peft_type", TS_KEY_READ},
    {"r", TS_KEY_READ},
    {"lora_alpha", TS_KEY_READ},
    {"lora_dropout", TS_KEY_READ},
    {"target_modules", TS_KEY_READ},
    {"use_rslora", TS_KEY_READ},
    {"use_dora", TS_KEY_READ},
    {"rank_pattern", TS_KEY_READ},
    {"alpha_pattern", TS_KEY_READ},
    {"base_model_name_or_path", TS_KEY_READ},
    // The other initialisations change the base's weights, so their adapter fits only that changed
    // base.
    {"init_lora_weights", TS_KEY_ONLY, "[true,false,\"gaussian\",\"default\"]",
     "convert it to plain LoRA with PEFT (save_pretrained's "
     "path_initial_model_for_weight_conversion)"},
    {"task_type", TS_KEY_ONLY, "[\"CAUSAL_LM\"]"},
    {"bias", TS_KEY_ONLY, "[\"none\"]"},
    {"modules_to_save", TS_KEY_ONLY, NULL, "modules that were tuned whole are not read"},
    {"trainable_token_indices", TS_KEY_ONLY, NULL, "tuned rows of the embedding are not read"},
    {"alora_invocation_tokens", TS_KEY_ONLY},
    {"arrow_config", TS_KEY_ONLY},
    {"corda_config", TS_KEY_ONLY},
    {"eva_config", TS_KEY_ONLY},
    {"exclude_modules", TS_KEY_ONLY},
    {"fan_in_fan_out", TS_KEY_ONLY},
    {"kasa_config", TS_KEY_ONLY},
    {"layer_replication", TS_KEY_ONLY},
    {"layers_to_transform", TS_KEY_ONLY},
    {"loftq_config", TS_KEY_ONLY},
    {"lora_bias", TS_KEY_ONLY},
    {"lora_ga_config", TS_KEY_ONLY},
    {"megatron_config", TS_KEY_ONLY},
    {"monteclora_config", TS_KEY_ONLY},
    {"target_parameters", TS_KEY_ONLY},
    {"use_bdlora", TS_KEY_ONLY},
    {"use_qalora", TS_KEY_ONLY},
    {"velora_config", TS_KEY_ONLY},
    // Without effect while the feature that they configure is off.
    {"auto_mapping", TS_KEY_READ},
    {"ensure_weight_tying", TS_KEY_READ},
    {"inference_mode", TS_KEY_READ},
    {"layers_pattern", TS_KEY_READ},
    {"megatron_core", TS_KEY_READ},
    {"peft_version", TS_KEY_READ},
    {"qalora_group_size", TS_KEY_READ},
    {"revision", TS_KEY_READ},
    {"runtime_config", TS_KEY_READ},
};

static ts_status check_alpha(const ts_adapter_config *config, const char *path, ts_error *err)
{
    double scale = ts_adapter_usual_scale(config);
    if (config->alpha >= 0 && scale <= FLT_MAX) {
        return TS_OK;
    }
    return ts_error_set(err, TS_ERR_FORMAT,
                        "%s: key 'lora_alpha': expected a number from 0 on that gives a scale "
                        "within a float's range, found %g (a scale of %g)",
                        path, config->alpha, scale);
}

static ts_status read_fields(const cJSON *json, const char *path, ts_adapter_config *out,
                             ts_error *err)
{
    ts_status status = TS_OK;
    uint64_t r = 0;
    const char *type = NULL;
    TS_TRY(ts_json_get_text(json, "peft_type", path, &type, err));
    if (strcmp(type, "LORA") != 0) {
        TS_FAIL(TS_ERR_UNSUPPORTED, "%s: key 'peft_type': '%.40s' is not supported, only LORA is",
                path, type);
    }
    TS_TRY(ts_keys_check(json, known_keys, TS_COUNT(known_keys), true, path, err));
    TS_TRY(ts_json_get_uint(json, "r", 1, TS_ADAPTER_MAX_RANK, path, &r, err));
    TS_TRY(ts_json_get_double(json, "lora_alpha", path, &out->alpha, err));
    TS_TRY(read_targets(ts_json_get(json, "target_modules"), path, &out->targets, err));
    if (ts_json_get(json, "lora_dropout") != NULL) {
        TS_TRY(ts_json_get_double(json, "lora_dropout", path, &out->dropout, err));
    }
    if (!(out->dropout >= 0 && out->dropout < 1)) {
        TS_FAIL(TS_ERR_FORMAT,
                "%s: key 'lora_dropout': expected a number from 0 to below 1, "
                "found %g",
                path, out->dropout);
    }
    if (ts_json_get(json, "use_rslora") != NULL) {
        TS_TRY(ts_json_get_bool(json, "use_rslora", path, &out->use_rslora, err));
    }
    const cJSON *dora = ts_json_get(json, "use_dora");
    if (dora != NULL && !cJSON_IsNull(dora)) {
        TS_TRY(ts_json_get_bool(json, "use_dora", path, &out->use_dora, err));
    }
    TS_TRY(ts_pattern_read(json, "rank_pattern", TS_PATTERN_RANK, path, &out->rank_pattern, err));
    TS_TRY(
        ts_pattern_read(json, "alpha_pattern", TS_PATTERN_ALPHA, path, &out->alpha_pattern, err));
    const cJSON *init = ts_json_get(json, "init_lora_weights"); // known_keys says what it may be
    if (cJSON_IsString(init)) {
        TS_TRY(ts_lora_init_parse(init->valuestring, &out->init, err));
    }
    const cJSON *base = ts_json_get(json, "base_model_name_or_path");
    if (cJSON_IsString(base)) {
        const char *name; // a name with a NUL could not be read back after writing it
        TS_TRY(ts_json_get_text(json, "base_model_name_or_path", path, &name, err));
        TS_TRY(ts_text_append(&out->base_model, name, strlen(name), err));
    }
    out->r = (uint32_t)r;
    TS_TRY(check_alpha(out, path, err));
out:
    return status;
}

ts_status ts_adapter_config_read(const char *folder, ts_adapter_config *out, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text path = {0};
    cJSON *json = NULL;
    ts_adapter_config config = {0};
    bool found;
    TS_TRY(ts_path_join(folder, "adapter_config.json", &path, err));
    TS_TRY(ts_file_find(path.bytes, &found, err));
    if (!found) {
        TS_FAIL(TS_ERR_IO,
                "%s: no adapter is here: expected a folder with adapter_config.json, as training "
                "writes it",
                folder);
    }
    TS_TRY(ts_json_parse_file(path.bytes, &json, err));
    if (!cJSON_IsObject(json)) {
        TS_FAIL(TS_ERR_FORMAT, "%s: expected an object, found %s", path.bytes, ts_json_kind(json));
    }
    TS_TRY(read_fields(json, path.bytes, &config, err));
    *out = config;
    config = (ts_adapter_config){0};
out:
    ts_adapter_config_free(&config);
    cJSON_Delete(json);
    ts_text_free(&path);
    return status;
}

// Python writes a float with a point or an exponent ("16.0"), which distinguishes it from an int.
static ts_status append_double(ts_text *out, double value, bool integral_allowed, ts_error *err)
{
    char text[TS_NUMBER_BYTES];
    ts_text_number(value, text);
    if (!integral_allowed && value == floor(value) && fabs(value) < 1e15) {
        snprintf(text, sizeof text, "%.1f", value);
    }
    return ts_text_append(out, text, strlen(text), err);
}

static ts_status append_targets(ts_text *out, uint32_t targets, ts_error *err)
{
    ts_status status = TS_OK;
    const char *comma = "";
    TS_TRY(ts_text_format(out, err, "  \"target_modules\": ["));
    for (unsigned i = 0; i < TS_MODULE_COUNT; i++) {
        if (targets & TS_MODULE_BIT(i)) {
            TS_TRY(ts_text_format(out, err, "%s\n    \"%s\"", comma, modules[i].name));
            comma = ",";
        }
    }
    TS_TRY(ts_text_format(out, err, "\n  ],\n"));
out:
    return status;
}

ts_status ts_adapter_config_write(const ts_adapter_config *config, ts_text *out, ts_error *err)
{
    ts_status status = TS_OK;
    TS_TRY(ts_text_format(out, err, "{\n  \"alpha_pattern\": "));
    TS_TRY(ts_pattern_write(config->alpha_pattern.bytes, out, err));
    TS_TRY(ts_text_format(out, err,
                          ",\n"
                          "  \"auto_mapping\": null,\n"
                          "  \"base_model_name_or_path\": "));
    TS_TRY(ts_json_quote(out, config->base_model.len > 0 ? config->base_model.bytes : "", err));
    TS_TRY(ts_text_format(out, err,
                          ",\n"
                          "  \"bias\": \"none\",\n"
                          "  \"corda_config\": null,\n"
                          "  \"eva_config\": null,\n"
                          "  \"exclude_modules\": null,\n"
                          "  \"fan_in_fan_out\": false,\n"
                          "  \"inference_mode\": true,\n"
                          "  \"init_lora_weights\": %s,\n"
                          "  \"layer_replication\": null,\n"
                          "  \"layers_pattern\": null,\n"
                          "  \"layers_to_transform\": null,\n"
                          "  \"loftq_config\": {},\n"
                          "  \"lora_alpha\": ",
                          config->init == TS_LORA_INIT_GAUSSIAN ? "\"gaussian\"" : "true"));
    TS_TRY(append_double(out, config->alpha, true, err));
    TS_TRY(ts_text_format(out, err, ",\n  \"lora_bias\": false,\n  \"lora_dropout\": "));
    TS_TRY(append_double(out, config->dropout, false, err));
    TS_TRY(ts_text_format(out, err,
                          ",\n"
                          "  \"megatron_config\": null,\n"
                          "  \"megatron_core\": \"megatron.core\",\n"
                          "  \"modules_to_save\": null,\n"
                          "  \"peft_type\": \"LORA\",\n"
                          "  \"qalora_group_size\": 16,\n"
                          "  \"r\": %u,\n"
                          "  \"rank_pattern\": ",
                          config->r));
    TS_TRY(ts_pattern_write(config->rank_pattern.bytes, out, err));
    TS_TRY(ts_text_format(out, err, ",\n  \"revision\": null,\n"));
    TS_TRY(append_targets(out, config->targets, err));
    TS_TRY(ts_text_format(out, err,
                          "  \"target_parameters\": null,\n"
                          "  \"task_type\": \"CAUSAL_LM\",\n"
                          "  \"trainable_token_indices\": null,\n"
                          "  \"use_dora\": %s,\n"
                          "  \"use_qalora\": false,\n"
                          "  \"use_rslora\": %s\n"
                          "}\n",
                          config->use_dora ? "true" : "false",
                          config->use_rslora ? "true" : "false"));
out:
    return status;
}

void ts_adapter_key(const char *module, char side, char out[TS_ADAPTER_KEY_BYTES])
{
    assert(side == 'A' || side == 'B' || side == 'M');
    if (side == 'M') {
        snprintf(out, TS_ADAPTER_KEY_BYTES, "base_model.model.%s.lora_magnitude_vector", module);
    } else {
        snprintf(out, TS_ADAPTER_KEY_BYTES, "base_model.model.%s.lora_%c.weight", module, side);
    }
}

// The section that shows how to load the adapter and ask it a question.
static ts_status write_use(const char *base, ts_text *out, ts_error *err)
{
    ts_status status = TS_OK;
    TS_TRY(ts_text_format(out, err,
                          "\n## Use\n\n```python\nfrom peft import PeftModel\n"
                          "from transformers import AutoModelForCausalLM, AutoTokenizer\n\n"
                          "base = "));
    TS_TRY(ts_json_quote(out, base, err));
    TS_TRY(ts_text_format(
        out, err,
        "\ntokenizer = AutoTokenizer.from_pretrained(base)\n"
        "model = AutoModelForCausalLM.from_pretrained(base)\n"
        "model = PeftModel.from_pretrained(model, \"path/to/this/folder\")\n\n"
        "turns = [{\"role\": \"user\", \"content\": \"Your question?\"}]\n"
        "inputs = tokenizer.apply_chat_template(turns, add_generation_prompt=True,\n"
        "                                       return_tensors=\"pt\", return_dict=True)\n"
        "answer = model.generate(**inputs, max_new_tokens=64, do_sample=False)\n"
        "print(tokenizer.decode(answer[0, inputs[\"input_ids\"].shape[1]:], "
        "skip_special_tokens=True))\n"
        "```\n\nOr without Python: `tinysft-vk eval --model BASE --adapter path/to/this/folder "
        "--prompt \"Your question?\"`.\n\n"
        "## Files\n\n"
        "`adapter_model.safetensors` and `adapter_config.json` are the adapter. `training.json` "
        "says what was trained on what (every setting, the data's name and hash, the chat "
        "template): a resumed run is held against it, and the evaluation learns from it which "
        "prompts training saw. `trainer_state.json` holds loss, learning rate and gradient norm by "
        "step, `training_curve.png` draws them.\n"));
out:
    return status;
}

ts_status ts_adapter_card_write(const ts_adapter_config *config, const char *summary, ts_text *out,
                                ts_error *err)
{
    ts_status status = TS_OK;
    const char *base = config->base_model.len > 0 ? config->base_model.bytes : "";
    const char *separator = "";
    TS_TRY(ts_text_format(out, err, "---\n"));
    if (base[0] != '\0') {
        TS_TRY(ts_text_format(out, err, "base_model: "));
        TS_TRY(ts_json_quote(out, base, err)); // every JSON string is a YAML string too
        TS_TRY(ts_text_format(out, err, "\n"));
    }
    TS_TRY(ts_text_format(out, err,
                          "library_name: peft\npipeline_tag: text-generation\n"
                          "tags:\n- lora\n- tinysft-vk\n---\n\n"
                          "# %s adapter for %s\n\n"
                          "| | |\n|---|---|\n| rank | %u |\n| alpha | %g |\n| scale | %s |\n"
                          "| dropout | %g |\n| modules | ",
                          config->use_dora ? "DoRA" : "LoRA",
                          base[0] != '\0' ? base : "a base model without a name", config->r,
                          config->alpha, config->use_rslora ? "alpha / sqrt(rank)" : "alpha / rank",
                          config->dropout));
    for (unsigned i = 0; i < TS_MODULE_COUNT; i++) {
        if (config->targets & TS_MODULE_BIT(i)) {
            TS_TRY(ts_text_format(out, err, "%s%s", separator, modules[i].name));
            separator = ", ";
        }
    }
    if (config->rank_pattern.len > 0) {
        TS_TRY(ts_text_format(out, err, " |\n| other ranks | %s", config->rank_pattern.bytes));
    }
    if (config->alpha_pattern.len > 0) {
        TS_TRY(ts_text_format(out, err, " |\n| other alphas | %s", config->alpha_pattern.bytes));
    }
    TS_TRY(ts_text_format(out, err, " |\n%s%s%s", summary != NULL ? "\n" : "",
                          summary != NULL ? summary : "", summary != NULL ? "\n" : ""));
    TS_TRY(write_use(base, out, err));
out:
    return status;
}
