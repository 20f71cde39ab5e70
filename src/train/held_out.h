// Rows held out from training, on which the loss is measured while training goes on: those of a
// file of their own, or a part of the training data.
#ifndef TS_TRAIN_HELD_OUT_H
#define TS_TRAIN_HELD_OUT_H

#include "data/dataset.h"
#include "model/pass.h"
#include "train/settings.h"

// Starts zeroed; `count` is 0 where nothing is held out.
typedef struct ts_held_out {
    ts_dataset file;  // of settings.eval_data
    ts_example *rows; // [count] their tokens are borrowed from `file` or the training data
    size_t count;
    uint64_t supervised;     // tokens of all rows together that bear loss
    ts_pass_limits at_least; // what a pass must hold to run the longest row
} ts_held_out;

// Reads settings->eval_data, with a warning that counts the rows which training has too; or moves a
// part of the rows from `training` to *out, as settings->eval_split asks. Which ones follows from
// the seed. Rows of the same tokens go together, so that none is on both sides. TS_ERR_ARGUMENT if
// nothing would be left to train on.
ts_status ts_held_out_open(const ts_train_settings *settings, const ts_tokenizer *tokenizer,
                           ts_chat_template *template, const ts_dataset_options *options,
                           ts_dataset *training, ts_held_out *out, ts_error *err);
void ts_held_out_close(ts_held_out *held_out);

// The mean loss of the rows' supervised tokens, in nats. `batch` has room for the pass's limits.
// *whole is false if the caller was asked to stop before all rows were run; then *loss is not set.
ts_status ts_held_out_loss(const ts_held_out *held_out, ts_pass *pass, ts_batch *batch,
                           double *loss, bool *whole, ts_error *err);

#endif
