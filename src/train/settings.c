#include "train/settings.h"

#include "base/file.h"
#include "base/memory.h"

#include <string.h>

ts_train_settings ts_train_defaults(void)
{
    return (ts_train_settings){
        .rank = 8,
        .alpha = 16,
        .targets = TS_MODULE_BIT(TS_MODULE_Q) | TS_MODULE_BIT(TS_MODULE_V),
        .epochs = 3,
        .batch_size = 1,
        .accumulation = 1,
        .max_length = 2048,
        .learning_rate = 5e-5,
        .schedule = TS_SCHEDULE_LINEAR,
        .adamw = {.beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .max_grad_norm = 1},
        .seed = 42,
        .logging_steps = 10,
    };
}

ts_status ts_train_settings_check(const ts_train_settings *s, ts_error *err)
{
    ts_status status = TS_OK;
    if (s->rank < 1 || s->rank > TS_ADAPTER_MAX_RANK) {
        TS_FAIL(TS_ERR_ARGUMENT, "--rank %u: expected 1 to %d", s->rank, TS_ADAPTER_MAX_RANK);
    }
    if (!(s->dropout >= 0 && s->dropout < 1)) {
        TS_FAIL(TS_ERR_ARGUMENT, "--lora-dropout %g: expected 0 up to, not including, 1",
                s->dropout);
    }
    if (s->targets == 0) {
        TS_FAIL(TS_ERR_ARGUMENT, "--target-modules: none is named");
    }
    if (!(s->epochs > 0) && s->max_steps == 0) {
        TS_FAIL(TS_ERR_ARGUMENT, "--epochs %g: expected a number above 0", s->epochs);
    }
    if (s->resume != NULL && s->overwrite) {
        TS_FAIL(TS_ERR_ARGUMENT, "--resume-from-checkpoint goes on with what is there and "
                                 "--overwrite-output-dir deletes it: give one of them");
    }
out:
    return status;
}

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

ts_status ts_train_record_make(const ts_train_settings *s, uint64_t steps, cJSON **out,
                               ts_error *err)
{
    ts_status status = TS_OK;
    char hash[65];
    cJSON *json = NULL;
    TS_TRY(hash_file(s->data, hash, err));
    json = cJSON_CreateObject();
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
        {"warmup_ratio", s->warmup_ratio},
        {"warmup_steps", (double)s->warmup_steps},
        {"adam_beta1", s->adamw.beta1},
        {"adam_beta2", s->adamw.beta2},
        {"adam_epsilon", s->adamw.eps},
        {"weight_decay", s->adamw.weight_decay},
        {"max_grad_norm", s->adamw.max_grad_norm},
        {"seed", (double)s->seed},
    };
    cJSON_AddStringToObject(json, "model", s->model_folder);
    cJSON_AddStringToObject(json, "data", s->data);
    cJSON_AddStringToObject(json, "data_sha256", hash);
    cJSON_AddStringToObject(json, "lr_scheduler_type", ts_schedule_name(s->schedule));
    cJSON_AddItemToObject(json, "target_modules", target_list(s->targets));
    cJSON_AddBoolToObject(json, "use_rslora", s->use_rslora);
    for (size_t i = 0; i < TS_COUNT(numbers); i++) {
        cJSON_AddNumberToObject(json, numbers[i].key, numbers[i].value);
    }
    *out = json;
out:
    return status;
}

ts_status ts_train_record_compare(const cJSON *before, const cJSON *now, ts_error *err)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, now)
    {
        if (strcmp(item->string, "model") == 0 || strcmp(item->string, "data") == 0) {
            continue; // folders move
        }
        const cJSON *other = ts_json_get(before, item->string);
        if (other == NULL || !cJSON_Compare(other, item, true)) {
            char *was = other != NULL ? cJSON_PrintUnformatted(other) : NULL;
            char *is = cJSON_PrintUnformatted(item);
            ts_error_set(err, TS_ERR_ARGUMENT,
                         "the run was started with %s %s, now it is %s: resume with the same "
                         "settings, or start another run in another --output-dir",
                         item->string, was != NULL ? was : "absent", is != NULL ? is : "?");
            cJSON_free(was);
            cJSON_free(is);
            return TS_ERR_ARGUMENT;
        }
    }
    return TS_OK;
}
