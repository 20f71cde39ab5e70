#include "train/record.h"

#include "base/digest.h"
#include "base/file.h"
#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// What a key of the record means when a run is continued.
typedef enum meaning {
    PLACE,       // the path of a file, which may be moved
    SETTING,     // must be the same
    LENGTH,      // must be the same, or more once the run is finished
    FINGERPRINT, // must be the same; older versions did not write it
    ADDED,       // must be the same; missing in older versions, as if `absent`, "none", 0 or false
    NOTE,        // for information
} meaning;

typedef enum kind { TEXT, NUMBER, SWITCH, LIST, OBJECT } kind;

// All keys of a record.
static const struct known {
    const char *key;
    meaning meaning;
    kind kind;
    const char *absent; // what an ADDED text means where it is missing; NULL: "none"
} known[] = {
    {"model", PLACE, TEXT},
    {"data", PLACE, TEXT},
    {"data_sha256", SETTING, TEXT},
    {"lr_scheduler_type", SETTING, TEXT},
    {"target_modules", SETTING, LIST},
    {"use_rslora", SETTING, SWITCH},
    {"use_dora", ADDED, SWITCH},
    {"rank_pattern", ADDED, TEXT},
    {"alpha_pattern", ADDED, TEXT},
    {"train_empty", FINGERPRINT, SWITCH},
    {"group_by_length", ADDED, SWITCH},
    {"train_on", ADDED, TEXT, "assistant"},
    {"init_lora", ADDED, TEXT, "default"},
    {"rank", SETTING, NUMBER},
    {"lora_alpha", SETTING, NUMBER},
    {"lora_dropout", SETTING, NUMBER},
    {"epochs", LENGTH, NUMBER},
    {"steps", LENGTH, NUMBER},
    {"batch_size", SETTING, NUMBER},
    {"gradient_accumulation_steps", SETTING, NUMBER},
    {"max_length", SETTING, NUMBER},
    {"learning_rate", SETTING, NUMBER},
    {"min_lr_ratio", ADDED, NUMBER},
    {"lr_cycles", ADDED, NUMBER},
    {"loraplus_ratio", ADDED, NUMBER},
    {"neftune_alpha", ADDED, NUMBER},
    {"warmup_ratio", SETTING, NUMBER},
    {"warmup_steps", SETTING, NUMBER},
    {"adam_beta1", SETTING, NUMBER},
    {"adam_beta2", SETTING, NUMBER},
    {"adam_epsilon", SETTING, NUMBER},
    {"weight_decay", SETTING, NUMBER},
    {"max_grad_norm", SETTING, NUMBER},
    {"seed", SETTING, NUMBER},
    {"micro_batch_size", SETTING, NUMBER},
    {"chat_template", PLACE, TEXT}, // a name, or the file that the text is from
    {"chat_template_text", FINGERPRINT, TEXT},
    {"steps_per_epoch", SETTING, NUMBER},
    {"precision", SETTING, TEXT},
    {"quantize", ADDED, TEXT},
    {"base_held_in", NOTE, TEXT}, // follows from the model and quantize
    {"model_config", FINGERPRINT, OBJECT},
    {"tokenizer_sha256", FINGERPRINT, TEXT},
    {"weights_sha256", FINGERPRINT, TEXT},
    {"tokens_sha256", FINGERPRINT, TEXT},
    {"loss", ADDED, TEXT},
    {"beta", ADDED, NUMBER},
    {"label_smoothing", ADDED, NUMBER},
    {"adapter", PLACE, TEXT}, // that the run began with
    {"adapter_sha256", ADDED, TEXT},
    {"eval_data", PLACE, TEXT},
    {"eval_data_sha256", ADDED, TEXT},
    {"eval_split", ADDED, NUMBER},
    {"eval_steps", ADDED, NUMBER},
    {"load_best_at_end", ADDED, SWITCH},
    {"early_stopping", ADDED, NUMBER},
    {"early_stopping_threshold", ADDED, NUMBER},
    {"adapter_of_step", NOTE, NUMBER},
    {"went_on_after_steps", NOTE, LIST},
};

static const struct known *find_known(const char *key)
{
    for (size_t i = 0; i < TS_COUNT(known); i++) {
        if (strcmp(known[i].key, key) == 0) {
            return &known[i];
        }
    }
    return NULL;
}

bool ts_train_record_is_place(const char *key)
{
    const struct known *row = find_known(key);
    return row != NULL && row->meaning == PLACE;
}

// ---- Making

static ts_status hash_file(const char *path, char hash[65], ts_error *err)
{
    ts_status status = TS_OK;
    ts_map map = {0};
    TS_TRY(ts_map_open(path, &map, err));
    ts_sha256_hex(map.bytes, map.len, hash);
out:
    ts_map_close(&map);
    return status;
}

static cJSON *target_list(uint32_t targets)
{
    cJSON *list = cJSON_CreateArray();
    for (ts_module module = 0; module < TS_MODULE_COUNT; module++) {
        if (targets & TS_MODULE_BIT(module)) {
            cJSON_AddItemToArray(list, cJSON_CreateString(ts_module_name(module)));
        }
    }
    return list;
}

static void add_numbers(cJSON *json, const ts_train_settings *s, uint64_t steps)
{
    const struct {
        const char *key;
        double value;
    } numbers[] = {
        {"rank", s->rank},
        {"lora_alpha", s->alpha},
        {"lora_dropout", s->dropout},
        {"epochs", s->epochs},
        {"steps", (double)steps},
        {"batch_size", s->batch_size},
        {"gradient_accumulation_steps", s->accumulation},
        {"max_length", s->max_length},
        {"learning_rate", s->learning_rate},
        {"min_lr_ratio", s->min_lr_ratio},
        {"lr_cycles", (double)s->lr_cycles},
        {"loraplus_ratio", s->adamw.b_ratio == 1 ? 0 : s->adamw.b_ratio}, // 1: no LoRA+
        {"neftune_alpha", s->neftune_alpha},
        {"warmup_ratio", s->warmup_ratio},
        {"warmup_steps", (double)s->warmup_steps},
        {"adam_beta1", s->adamw.beta1},
        {"adam_beta2", s->adamw.beta2},
        {"adam_epsilon", s->adamw.eps},
        {"weight_decay", s->adamw.weight_decay},
        {"max_grad_norm", s->adamw.max_grad_norm},
        {"seed", (double)s->seed},
        {"beta", ts_losses[s->loss].pairs ? s->loss_params.beta : 0},
        {"label_smoothing", s->loss_params.label_smoothing},
        {"eval_split", s->eval_split},
        {"eval_steps", (double)s->eval_steps},
        {"early_stopping", (double)s->early_stopping},
        {"early_stopping_threshold", s->early_stopping_threshold},
    };
    for (size_t i = 0; i < TS_COUNT(numbers); i++) {
        cJSON_AddNumberToObject(json, numbers[i].key, numbers[i].value);
    }
}

static const char *or_none(const char *pattern)
{
    return pattern != NULL && *pattern != '\0' ? pattern : "none";
}

ts_status ts_train_record_make(const ts_train_settings *s, uint64_t steps, cJSON **out,
                               ts_error *err)
{
    ts_status status = TS_OK;
    char hash[65], eval_hash[65] = "none", adapter_hash[65] = "none";
    ts_text adapter = {0};
    cJSON *json = NULL;
    TS_TRY(hash_file(s->data, hash, err));
    if (s->eval_data != NULL) {
        TS_TRY(hash_file(s->eval_data, eval_hash, err));
    }
    if (s->adapter != NULL) {
        TS_TRY(ts_path_join(s->adapter, "adapter_model.safetensors", &adapter, err));
        TS_TRY(hash_file(adapter.bytes, adapter_hash, err));
    }
    json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "model", s->model_folder);
    cJSON_AddStringToObject(json, "data", s->data);
    cJSON_AddStringToObject(json, "data_sha256", hash);
    cJSON_AddStringToObject(json, "lr_scheduler_type", ts_schedule_name(s->schedule));
    cJSON_AddItemToObject(json, "target_modules", target_list(s->targets));
    cJSON_AddBoolToObject(json, "use_rslora", s->use_rslora);
    cJSON_AddBoolToObject(json, "use_dora", s->use_dora);
    cJSON_AddBoolToObject(json, "group_by_length", s->group_by_length);
    cJSON_AddStringToObject(json, "rank_pattern", or_none(s->rank_pattern));
    cJSON_AddStringToObject(json, "alpha_pattern", or_none(s->alpha_pattern));
    cJSON_AddBoolToObject(json, "train_empty", s->train_empty);
    cJSON_AddStringToObject(json, "train_on", ts_train_on_name(s->train_on));
    cJSON_AddStringToObject(json, "init_lora", ts_lora_init_name(s->init_lora));
    cJSON_AddStringToObject(json, "quantize", ts_quantise_name(s->quantise));
    if (s->eval_data != NULL) {
        cJSON_AddStringToObject(json, "eval_data", s->eval_data);
    }
    if (s->adapter != NULL) {
        cJSON_AddStringToObject(json, "adapter", s->adapter);
    }
    cJSON_AddStringToObject(json, "adapter_sha256", adapter_hash);
    cJSON_AddStringToObject(json, "loss",
                            s->loss == TS_LOSS_cross_entropy ? "none" : ts_losses[s->loss].name);
    cJSON_AddStringToObject(json, "eval_data_sha256", eval_hash);
    cJSON_AddBoolToObject(json, "load_best_at_end", s->load_best);
    add_numbers(json, s, steps);
    *out = json;
out:
    ts_text_free(&adapter);
    return status;
}

// What config.json says beyond a plain Llama's attention; nothing where it is plain.
static void add_attention(cJSON *json, const ts_model_config *c)
{
    const ts_rope_config *rope = &c->rope;
    if (c->window > 0) {
        cJSON_AddNumberToObject(json, "sliding_window", c->window);
    }
    if (c->local_rope.theta > 0) {
        cJSON_AddNumberToObject(json, "rope_local_base_freq", c->local_rope.theta);
    }
    if (c->query_scalar != (float)c->head_dim) {
        cJSON_AddNumberToObject(json, "query_pre_attn_scalar", (double)c->query_scalar);
    }
    if (rope->kind == TS_ROPE_LLAMA3) {
        cJSON *block = cJSON_AddObjectToObject(json, "rope_scaling");
        cJSON_AddStringToObject(block, "rope_type", "llama3");
        cJSON_AddNumberToObject(block, "factor", rope->factor);
        cJSON_AddNumberToObject(block, "low_freq_factor", rope->low_freq_factor);
        cJSON_AddNumberToObject(block, "high_freq_factor", rope->high_freq_factor);
        cJSON_AddNumberToObject(block, "original_max_position_embeddings",
                                rope->original_positions);
    }
}

// The model's shape and constants, under the names of config.json.
static cJSON *model_object(const ts_model_config *c)
{
    char eps[32];
    cJSON *json = cJSON_CreateObject();
    snprintf(eps, sizeof eps, "%.7g", (double)c->rms_eps); // 1e-05, not the float's further digits
    const struct {
        const char *key;
        double value;
    } numbers[] = {
        {"hidden_size", c->hidden},        {"intermediate_size", c->ffn},
        {"num_hidden_layers", c->layers},  {"vocab_size", c->vocab},
        {"num_attention_heads", c->heads}, {"num_key_value_heads", c->kv_heads},
        {"head_dim", c->head_dim},         {"rms_norm_eps", strtod(eps, NULL)},
        {"rope_theta", c->rope.theta},
    };
    for (size_t i = 0; i < TS_COUNT(numbers); i++) {
        cJSON_AddNumberToObject(json, numbers[i].key, numbers[i].value);
    }
    cJSON_AddBoolToObject(json, "tie_word_embeddings", c->tied);
    add_attention(json, c);
    return json;
}

// A hash of the tokenised data and of which tokens are trained on.
static void hash_examples(const ts_dataset *dataset, char hash[TS_DIGEST_TEXT_BYTES])
{
    ts_digest digest;
    ts_digest_begin_sha256(&digest);
    for (size_t i = 0; i < dataset->count; i++) {
        const ts_example *row = &dataset->examples[i];
        ts_digest_add(&digest, &row->count, sizeof row->count);
        ts_digest_add(&digest, row->ids, row->count * sizeof *row->ids);
        ts_digest_add(&digest, row->supervised, row->count * sizeof *row->supervised);
    }
    ts_digest_end(&digest, hash);
}

ts_status ts_train_record_add_model(cJSON *record, ts_weights *model, const ts_model_config *config,
                                    const ts_dataset *dataset, ts_error *err)
{
    ts_status status = TS_OK;
    char hash[TS_DIGEST_TEXT_BYTES];
    const ts_tensors *tensors;
    TS_TRY(ts_weights_tensors(model, &tensors, err));
    cJSON_AddItemToObject(record, "model_config", model_object(config));
    TS_TRY(ts_weights_hash_tokenizer(model, hash, err));
    cJSON_AddStringToObject(record, "tokenizer_sha256", hash);
    hash_examples(dataset, hash);
    cJSON_AddStringToObject(record, "tokens_sha256", hash);
    ts_tensors_fingerprint(tensors, hash);
    cJSON_AddStringToObject(record, "weights_sha256", hash);
out:
    return status;
}

// ---- Reading

static bool is_of_kind(const cJSON *value, kind expected)
{
    switch (expected) {
    case TEXT:
        return cJSON_IsString(value);
    case NUMBER:
        return cJSON_IsNumber(value);
    case SWITCH:
        return cJSON_IsBool(value);
    case LIST:
        return cJSON_IsArray(value);
    case OBJECT:
        return cJSON_IsObject(value);
    }
    return false;
}

ts_status ts_train_record_check(const cJSON *record, const char *name, ts_error *err)
{
    static const char *const kinds[] = {"a string", "a number", "true or false", "an array",
                                        "an object"};
    ts_status status = TS_OK;
    const cJSON *item;
    uint64_t number;
    if (!cJSON_IsObject(record)) {
        TS_FAIL(TS_ERR_FORMAT, "%s: expected an object, found %s", name, ts_json_kind(record));
    }
    cJSON_ArrayForEach(item, record)
    {
        const struct known *entry = find_known(item->string);
        if (entry == NULL) {
            TS_FAIL(TS_ERR_FORMAT,
                    "%s: key '%.60s' is unknown: another version of tinysft-vk wrote it, and only "
                    "that one can go on with it",
                    name, item->string);
        }
        if (!is_of_kind(item, entry->kind)) {
            TS_FAIL(TS_ERR_FORMAT, "%s: key '%s': expected %s, found %s", name, item->string,
                    kinds[entry->kind], ts_json_kind(item));
        }
    }
    TS_TRY(ts_json_get_uint(record, "steps", 1, UINT64_MAX, name, &number, err));
    TS_TRY(ts_json_get_uint(record, "steps_per_epoch", 1, UINT32_MAX, name, &number, err));
out:
    return status;
}

// ---- Comparing

static const char *text_of(const cJSON *record, const char *key)
{
    const char *text = cJSON_GetStringValue(ts_json_get(record, key));
    return text != NULL ? text : "?";
}

static ts_status differs(const char *what, const cJSON *was, const cJSON *is, ts_error *err)
{
    char *before = was != NULL ? cJSON_PrintUnformatted(was) : NULL;
    char *now = cJSON_PrintUnformatted(is);
    ts_error_set(err, TS_ERR_ARGUMENT,
                 "the run was started with %s %.200s, now it is %.200s: resume with the same "
                 "settings, or start another run in another --output-dir",
                 what, before != NULL ? before : "absent", now != NULL ? now : "?");
    cJSON_free(before);
    cJSON_free(now);
    return TS_ERR_ARGUMENT;
}

// Says in plain words which file has changed.
static ts_status file_differs(const char *key, const cJSON *before, const cJSON *now, ts_error *err)
{
    const char *model = text_of(now, "model"), *was = text_of(before, "model");
    if (strcmp(key, "data_sha256") == 0) {
        return ts_error_set(err, TS_ERR_ARGUMENT,
                            "%s has changed since the run was started: go on with the file as it "
                            "was, or start another run in another --output-dir",
                            text_of(now, "data"));
    }
    if (strcmp(key, "adapter_sha256") == 0) {
        return ts_error_set(err, TS_ERR_ARGUMENT,
                            "--adapter %s is not the adapter that the run was started with (%s): "
                            "go on with that one, or start another run in another --output-dir",
                            text_of(now, "adapter"), text_of(before, "adapter"));
    }
    if (strcmp(key, "eval_data_sha256") == 0) {
        return ts_error_set(err, TS_ERR_ARGUMENT,
                            "the rows of --eval-data (%s) are not those that the run was started "
                            "with (%s): go on with those, or start another run in another "
                            "--output-dir",
                            text_of(now, "eval_data"), text_of(before, "eval_data"));
    }
    if (strcmp(key, "chat_template_text") == 0) {
        return ts_error_set(err, TS_ERR_ARGUMENT,
                            "the chat template (%s) is not the one that the run was started with "
                            "(%s): go on with that one, or start another run in another "
                            "--output-dir",
                            text_of(now, "chat_template"), text_of(before, "chat_template"));
    }
    if (strcmp(key, "tokens_sha256") == 0) {
        return ts_error_set(err, TS_ERR_ARGUMENT,
                            "%s no longer becomes the tokens that the run was started with: the "
                            "tokenizer, the chat template or tinysft-vk has changed",
                            text_of(now, "data"));
    }
    return ts_error_set(err, TS_ERR_ARGUMENT,
                        "the %s of %s %s not those that the run was started with (model %s): go "
                        "on with that model, or start another run in another --output-dir",
                        strcmp(key, "weights_sha256") == 0 ? "weights" : "tokenizer's files", model,
                        "are", was);
}

static ts_status compare_model(const cJSON *was, const cJSON *is, ts_error *err)
{
    char what[96];
    const cJSON *item;
    cJSON_ArrayForEach(item, is)
    {
        const cJSON *other = ts_json_get(was, item->string);
        if (other == NULL || !cJSON_Compare(other, item, true)) {
            snprintf(what, sizeof what, "the model's %s", item->string);
            return differs(what, other, item, err);
        }
    }
    cJSON_ArrayForEach(item, was)
    {
        if (ts_json_get(is, item->string) == NULL) { // recorded only where the model has it
            char *text = cJSON_PrintUnformatted(item);
            ts_error_set(err, TS_ERR_ARGUMENT,
                         "the run was started with the model's %s %.200s, now it has none: go "
                         "on with that model, or start another run in another --output-dir",
                         item->string, text != NULL ? text : "?");
            cJSON_free(text);
            return TS_ERR_ARGUMENT;
        }
    }
    return TS_OK;
}

// What a key stands for that older versions did not write.
static bool is_absent(const struct known *entry, const cJSON *item)
{
    const char *absent = entry->absent != NULL ? entry->absent : "none";
    return cJSON_IsString(item)   ? strcmp(item->valuestring, absent) == 0
           : cJSON_IsNumber(item) ? item->valuedouble == 0
                                  : cJSON_IsFalse(item);
}

static ts_status compare_item(const cJSON *before, const cJSON *now, const cJSON *item,
                              bool may_grow, ts_train_difference *difference, ts_error *err)
{
    const struct known *entry = find_known(item->string);
    const cJSON *other = ts_json_get(before, item->string);
    meaning role = entry != NULL ? entry->meaning : SETTING;
    if (role == PLACE || role == NOTE || (other != NULL && cJSON_Compare(other, item, true))) {
        return TS_OK;
    }
    if (role == ADDED && other == NULL && is_absent(entry, item)) {
        return TS_OK;
    }
    if (role == FINGERPRINT && other == NULL) {
        difference->unfingerprinted = true;
        return TS_OK;
    }
    if (role == LENGTH && may_grow) {
        difference->longer = true;
        return TS_OK;
    }
    if (entry != NULL && entry->kind == OBJECT) {
        return compare_model(other, item, err);
    }
    return strstr(item->string, "_sha256") != NULL || (role == FINGERPRINT && entry->kind == TEXT)
               ? file_differs(item->string, before, now, err)
               : differs(item->string, other, item, err);
}

ts_status ts_train_record_compare(const cJSON *before, const cJSON *now, uint64_t done,
                                  ts_train_difference *difference, ts_error *err)
{
    ts_status status = TS_OK;
    const cJSON *item;
    uint64_t had = 0, has = 0;
    ts_train_difference found = {0};
    // More steps change the schedule, so only a run that has finished may become longer.
    bool may_grow = ts_json_uint(ts_json_get(before, "steps"), &had) &&
                    ts_json_uint(ts_json_get(now, "steps"), &has) && done == had && has > had;
    cJSON_ArrayForEach(item, now)
    {
        TS_TRY(compare_item(before, now, item, may_grow, &found, err));
    }
    if (difference != NULL) {
        *difference = found;
    }
out:
    return status;
}
