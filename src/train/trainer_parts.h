// Shared by the files of the trainer alone.
#ifndef TS_TRAIN_TRAINER_PARTS_H
#define TS_TRAIN_TRAINER_PARTS_H

#include "train/trainer.h"

ts_adapter_config ts_trainer_adapter(const ts_train_settings *settings); // without base_model

ts_learning_rate
ts_trainer_learning_rate(const ts_trainer *trainer); // the learning rates of its steps

// plan.c: chooses what fits the settings' limits and fills limits, plan and batches.micro_size.
ts_status ts_trainer_plan(ts_trainer *trainer, ts_error *err);
// Once the device has been started: plans again if its matrix units turned out to be unusable, so
// that products and activations are in f32.
ts_status ts_trainer_plan_again(ts_trainer *trainer, ts_error *err);

// together.c: what ranks that train one model agree on. With one rank none of these does anything.
// Makes micro-batches so small on all of them that each rank's plan fits.
ts_status ts_trainer_agree_plan(ts_trainer *trainer, ts_error *err);
// TS_ERR_ARGUMENT names what differs where a rank has another model, other data or settings.
ts_status ts_trainer_compare_records(const ts_trainer *trainer, ts_error *err);
// Tells all how rank 0 prepared the output, and what it resumed from.
ts_status ts_trainer_tell_output(ts_trainer *trainer, ts_error *err);
ts_status ts_trainer_tell_state(ts_trainer *trainer, ts_error *err);
ts_exchange_params ts_trainer_exchange_params(ts_trainer *trainer);
static inline bool ts_trainer_leads(const ts_trainer *trainer) // it alone writes
{
    return ts_ranks_rank(trainer->settings.ranks) == 0;
}

// loop.c: all steps from first_step on, the last checkpoint included.
ts_status ts_trainer_loop(ts_trainer *trainer, const ts_train_callbacks *callbacks, ts_error *err);

// trainer.c: writes a checkpoint of the present step. Signals are held back until it is written.
ts_status ts_trainer_save(ts_trainer *trainer, ts_error *err);

#endif
