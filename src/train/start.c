#include "train/start.h"

#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "data/safetensors.h"
#include "model/lora_folder.h"
#include "train/checkpoint.h"

#include <string.h>

// A setting that differs from the adapter's must be the default, which nobody asked for.
static ts_status settle(const char *flag, double is, double usual, double adapter, ts_error *err)
{
    return is == usual || is == adapter
               ? TS_OK
               : ts_error_set(err, TS_ERR_ARGUMENT,
                              "%s %g: the adapter to go on with has %g: leave the flag out, or "
                              "begin a new adapter without --adapter",
                              flag, is, adapter);
}

// The same for a pattern, which nobody asked for where there is none.
static ts_status settle_pattern(const char *flag, const char **is, const ts_text *adapter,
                                ts_error *err)
{
    const char *has = adapter->len > 0 ? adapter->bytes : "";
    if (*is != NULL && strcmp(*is, "") != 0 && strcmp(*is, has) != 0) {
        return ts_error_set(err, TS_ERR_ARGUMENT,
                            "%s %s: the adapter to go on with has %s: leave the flag out, or begin "
                            "a new adapter without --adapter",
                            flag, *is, adapter->len > 0 ? has : "none");
    }
    *is = adapter->bytes;
    return TS_OK;
}

ts_status ts_start_check_patterns(const ts_model_config *model, const ts_adapter_config *adapter,
                                  ts_error *err)
{
    const char *key, *const lists[] = {adapter->rank_pattern.bytes, adapter->alpha_pattern.bytes};
    size_t len;
    for (size_t i = 0; i < TS_COUNT(lists); i++) {
        if (ts_lora_unused_pattern(model, adapter, lists[i], &key, &len)) {
            return ts_error_set(err, TS_ERR_ARGUMENT,
                                "%s: '%.*s' names none of the adapted modules (--target-modules), "
                                "whose names are like model.layers.0.self_attn.q_proj",
                                i == 0 ? "--rank-pattern" : "--alpha-pattern", (int)len, key);
        }
    }
    return TS_OK;
}

ts_status ts_start_settle(ts_train_settings *settings, ts_adapter_config *start, ts_error *err)
{
    ts_status status = TS_OK;
    const ts_train_settings usual = ts_train_defaults();
    ts_adapter_config config = {0};
    if (settings->adapter == NULL) {
        return TS_OK;
    }
    TS_TRY(ts_adapter_config_read(settings->adapter, &config, err));
    TS_TRY(settle_pattern("--rank-pattern", &settings->rank_pattern, &config.rank_pattern, err));
    TS_TRY(settle_pattern("--alpha-pattern", &settings->alpha_pattern, &config.alpha_pattern, err));
    TS_TRY(settle("--rank", settings->rank, usual.rank, config.r, err));
    TS_TRY(settle("--alpha", settings->alpha, usual.alpha, config.alpha, err));
    TS_TRY(settle("--use-rslora", settings->use_rslora, usual.use_rslora, config.use_rslora, err));
    TS_TRY(settle("--use-dora", settings->use_dora, usual.use_dora, config.use_dora, err));
    if (settings->targets != usual.targets && settings->targets != config.targets) {
        TS_FAIL(TS_ERR_ARGUMENT, "--target-modules: the adapter to go on with is on other layers: "
                                 "leave the flag out, or begin a new adapter without --adapter");
    }
    settings->rank = config.r;
    settings->alpha = config.alpha;
    settings->use_rslora = config.use_rslora;
    settings->use_dora = config.use_dora;
    settings->targets = config.targets;
    ts_log(TS_LOG_INFO, "going on with the adapter in %s: rank %u, alpha %g", settings->adapter,
           config.r, config.alpha);
    *start = config;
    config = (ts_adapter_config){0};
out:
    if (status != TS_OK) {
        ts_error_context(err, "--adapter");
    }
    ts_adapter_config_free(&config);
    return status;
}

ts_status ts_start_load(ts_model *model, const char *folder, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text path = {0};
    ts_tensors *file = NULL;
    size_t count, all;
    TS_TRY(ts_path_join(folder, "adapter_model.safetensors", &path, err));
    TS_TRY(ts_safetensors_open(path.bytes, &file, err));
    TS_TRY(ts_checkpoint_check_tensors(file, "", false, &all, err));
    TS_TRY(ts_lora_upload(model, model->lora.values, "", file, &count, err));
    if (all != count) {
        TS_FAIL(TS_ERR_FORMAT, "%s: %zu tensors, expected %zu", path.bytes, all, count);
    }
out:
    if (status != TS_OK) {
        ts_error_context(err, "--adapter");
    }
    ts_tensors_close(file);
    ts_text_free(&path);
    return status;
}
