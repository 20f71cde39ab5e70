// A training run from settings to a finished adapter: prepare (files read, planned, nothing on
// the device), run, close.
#ifndef TS_TRAIN_TRAINER_H
#define TS_TRAIN_TRAINER_H

#include "train/batches.h"
#include "train/exchange.h"
#include "train/held_out.h"
#include "train/history.h"
#include "train/logs.h"
#include "train/output.h"
#include "train/settings.h"

// Device bytes a run will take.
typedef struct ts_train_plan {
    uint64_t weights, adapter, activations, total; // adapter: with sums and moments
    uint64_t exchange;                             // of the host, for what other ranks send
    uint64_t parameters;                           // that are trained
    uint64_t largest;       // bytes of the largest tensor among the activations
    bool binds;             // `largest` is within settings.binding_limit
    bool fits;              // it binds, and total is within settings.memory_limit
    ts_precision precision; // that activations were counted for
} ts_train_plan;

typedef struct ts_trainer {
    ts_train_settings settings; // its strings are borrowed
    ts_model_config config;
    ts_weights *weights;       // the base's files
    const ts_tensors *tensors; // of them
    ts_tokenizer *tokenizer;
    ts_chat_template *template;
    ts_dataset dataset;   // what is trained on
    ts_held_out held_out; // what the loss is measured on during training
    ts_batches batches;
    ts_packing packing;                 // of an epoch of them
    uint64_t steps, warmup, first_step; // first_step: where a resumed run continues
    ts_pass_limits limits;
    bool embedding_in_file; // see ts_model_params
    bool few_logits;        // see ts_pass_limits
    ts_train_plan plan;
    ts_text held_in; // the base's linear layers: ts_quantise_describe
    cJSON *record;
    ts_output_plan output;
    ts_output_lock lock;
    bool made_folder; // this run made the output folder, and removes it again if it stays empty
    uint64_t saved;   // the last step of which the output folder holds a checkpoint; 0: none
    ts_adapter_config start; // of --adapter IN: owns the settings' patterns
    ts_model *base;  // set before ts_trainer_run to train on a model that is on the device already,
                     // of the same files and without an adapter; borrowed. NULL: it is loaded
    ts_model own;    // that was loaded
    ts_model *model; // what is trained: `base` or `own`; NULL before
    ts_pass pass;
    ts_reduce reduce;
    ts_optimiser optimiser;
    ts_exchange exchange; // with the other ranks, where there are any
    ts_history history;
    ts_logs logs;
    ts_batch batch;
    double *reference;   // of the dataset's examples, where the loss is over pairs (reference.h)
    ts_profile *profile; // set before ts_trainer_run to have dispatches timed; borrowed
} ts_trainer;

// Reported after each step.
typedef struct ts_train_progress {
    uint64_t step, steps; // step counts from 1
    double epoch, rate, grad_norm, tokens_per_second;
    double loss; // the mean over `loss_steps` steps: those since the last one with `log`
    uint64_t loss_steps;
    double margin, accuracy; // of the step's pairs, where the loss is over pairs; else NaN
    double held_out_loss;    // the one that was measured last; NaN: none was yet
    double seconds_left;     // at the pace since the run began
    uint64_t device_bytes;
    bool log; // a step that logging_steps asks for, or the last
} ts_train_progress;

// Reported after each measurement on the rows held out.
typedef struct ts_train_evaluation {
    uint64_t step;
    double epoch, loss;      // nats per supervised token, or the mean over the pairs
    double margin, accuracy; // of the pairs, where the loss is over pairs; else NaN
    uint64_t best_step;      // of the least loss so far
    double best_loss;
    bool stops; // training ends early here
} ts_train_evaluation;

typedef struct ts_train_callbacks {
    void (*loading)(void *user, uint64_t done, uint64_t total); // bytes of weights; may be NULL
    void (*progress)(void *user, const ts_train_progress *progress);      // may be NULL
    void (*evaluated)(void *user, const ts_train_evaluation *evaluation); // may be NULL
    // May be NULL. Writes further files of the result. The run does not count as finished before
    // this has succeeded.
    ts_status (*add_results)(void *user, const ts_trainer *trainer, ts_error *err);
    void *user;
} ts_train_callbacks;

// Reads model config, tokenizer and data, checks them, and plans.
ts_status ts_trainer_open(const ts_train_settings *settings, ts_trainer *out, ts_error *err);

// What that rank of those that train together has to do in a step, before it is known how fast they
// are.
ts_status ts_trainer_share_of(ts_trainer *trainer, uint32_t rank, ts_exchange_share *out,
                              ts_error *err);
uint32_t ts_trainer_longest_row(const ts_trainer *trainer); // in tokens, held-out rows included

// TS_ERR_MEMORY if the plan does not fit; the message says what would help.
ts_status ts_trainer_check_fit(const ts_trainer *trainer, ts_error *err);

// Decides how the run starts in the output folder (train/output.h), then makes and locks the
// folder; where several ranks train, rank 0 does. If trainer->output.finished is set afterwards,
// the requested run has finished already: nothing was touched, and there is nothing to run.
ts_status ts_trainer_prepare_output(ts_trainer *trainer, ts_error *err);

// Loads the model onto `gpu`, resumes where asked, trains, and writes the adapter. TS_ERR_STOPPED:
// the caller asked for it (base/log.h); the step was finished and a checkpoint saved.
ts_status ts_trainer_run(ts_trainer *trainer, ts_gpu *gpu, const ts_train_callbacks *callbacks,
                         ts_error *err);

void ts_trainer_close(ts_trainer *trainer);

#endif
