// The settings of a training run.
#ifndef TS_TRAIN_SETTINGS_H
#define TS_TRAIN_SETTINGS_H

#include "base/blocks.h"
#include "base/json.h"
#include "base/ranks.h"
#include "data/adapter.h"
#include "data/dataset.h"
#include "model/losses.h"
#include "ops/gemm.h"
#include "train/optimiser.h"

typedef struct ts_train_settings {
    const char *model_folder, *data, *output_dir;
    const char *eval_data;   // rows to measure the loss on during training; NULL: no such file
    double eval_split;       // the part of `data` that is held out for it instead; 0: none
    uint64_t eval_steps;     // between two measurements; 0: an epoch
    bool load_best;          // the result is the adapter with the least of these losses
    uint64_t early_stopping; // stop after so many measurements without progress; 0: never
    double early_stopping_threshold; // progress is a loss lower than the best by more than this
    const char *base_model;    // the name of the base in adapter_config.json; NULL: model_folder
    const char *chat_template; // NULL: the model's own
    const char *adapter;       // folder of an adapter to go on with; NULL: a new one
    uint32_t rank;
    double alpha, dropout;
    const char *rank_pattern, *alpha_pattern; // of modules that have others, as
                                              // data/module_pattern.h has them; NULL: none
    bool use_rslora, use_dora;
    ts_lora_init init_lora;
    double neftune_alpha; // of the noise on embeddings (NEFTune); 0: none
    ts_train_on train_on;
    bool train_empty; // train on blank answers, so that the model learns to say nothing
    uint32_t targets; // TS_MODULE_BITs
    ts_loss_kind loss;
    ts_loss_params loss_params; // of a loss over pairs
    double epochs;
    uint64_t max_steps; // 0: no limit, the epochs decide
    uint32_t batch_size, accumulation, max_length;
    bool group_by_length; // rows of about the same length come together
    double learning_rate, warmup_ratio;
    uint64_t warmup_steps; // used instead of warmup_ratio unless 0
    ts_schedule schedule;
    double min_lr_ratio; // of the cosine schedule: its floor, as a part of the peak
    uint64_t lr_cycles;  // of cosine_with_restarts; 0: one
    ts_adamw_params adamw;
    uint64_t seed;
    ts_quantise quantise;            // the types to convert the base's linear weights to
    ts_precision precision;          // of products: one that the device offers
    uint64_t save_steps, save_limit; // 0: only at the end; 0: keep all
    uint64_t logging_steps;
    const char *log_file;    // JSON lines (train/logs.h); NULL: none
    const char *logging_dir; // folder of TensorBoard's event files; NULL: none
    uint64_t memory_limit;   // device bytes; the plan recomputes and makes micro-batches smaller to
                             // stay below; 0: no limit
    uint64_t
        binding_limit;  // bytes of the largest tensor that a shader of the device reaches; 0: any
    bool few_logits;    // a CPU driver, which gains nothing from many rows of logits at a time
    bool shared_memory; // the device uses the host's memory, where the model's file is mapped
                        // already
    // Activations are not to be stored in 16 bits.
    bool f32_activations;
    const char *resume; // NULL: start anew; "latest": continue from the last checkpoint if there is
                        // one; "last": it must exist; or the folder of a checkpoint
    bool overwrite;     // start anew although the output folder has a run already
    ts_ranks *ranks;    // that train together, borrowed; NULL: this process alone
    bool balance;       // of these, the faster ones get more micro-batches
} ts_train_settings;

#define TS_RESUME_LAST "last"

// The default recipe: 3 epochs, 5e-5, rank 8, alpha 16, q_proj and v_proj, linear, seed 42, batch
// 1, clip 1.0.
ts_train_settings ts_train_defaults(void);

// Sets what follows from a device: memory_limit to nearly all of its free memory, binding_limit to
// what it can bind, few_logits, shared_memory and f32_activations.
void ts_train_settings_suit(ts_train_settings *settings, const ts_gpu_caps *caps);

// Checks what involves several flags: ranges and contradictions. TS_ERR_ARGUMENT names the flag.
ts_status ts_train_settings_check(const ts_train_settings *settings, ts_error *err);

#endif
