// What a training run is asked to do.
#ifndef TS_TRAIN_SETTINGS_H
#define TS_TRAIN_SETTINGS_H

#include "base/json.h"
#include "data/adapter.h"
#include "ops/gemm.h"
#include "train/optimiser.h"

typedef struct ts_train_settings {
    const char *model_folder, *data, *output_dir;
    const char *base_model;    // what adapter_config.json calls the base; NULL: model_folder
    const char *chat_template; // NULL: recognised from the model's files
    uint32_t rank;
    double alpha, dropout;
    bool use_rslora;
    bool train_empty; // blank answers are learnt: to say nothing
    uint32_t targets; // TS_MODULE_BITs
    double epochs;
    uint64_t max_steps; // 0: as many as the epochs have
    uint32_t batch_size, accumulation, max_length;
    double learning_rate, warmup_ratio;
    uint64_t warmup_steps; // wins over warmup_ratio where not 0
    ts_schedule schedule;
    ts_adamw_params adamw;
    uint64_t seed;
    ts_precision precision;          // of products: one that the device offers
    uint64_t save_steps, save_limit; // 0: no checkpoints on the way; keep all
    uint64_t logging_steps;
    uint64_t memory_limit; // device bytes to stay below, by recomputation and smaller
                           // micro-batches; 0: no limit
    bool shared_memory;    // the device's memory is the host's: what a file holds need not be there
    const char *resume;    // NULL; "latest": the last checkpoint, where there is one; "last": it
                           // must be there; or a checkpoint's folder
    bool overwrite;        // start anew in an output folder that holds a run already
} ts_train_settings;

#define TS_RESUME_LAST "last"

// The mission's recipe: 3 epochs, 5e-5, rank 8, alpha 16, q_proj and v_proj, linear, seed 42,
// batch 1, clip 1.0.
ts_train_settings ts_train_defaults(void);

// Checks what no single flag can: ranges, contradictions. TS_ERR_ARGUMENT names the flag.
ts_status ts_train_settings_check(const ts_train_settings *settings, ts_error *err);

#endif
