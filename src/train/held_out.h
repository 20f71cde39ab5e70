// Rows held out from training, on which the loss is measured while training goes on: those of a
// file of their own, or a part of the training data. Of a loss over pairs, pairs are held out.
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
    double *sums;            // [count + 1] for the losses of batches, so that no step allocates
    bool pairs;              // rows come in twos: a chosen answer, then the rejected one
    uint64_t items;          // rows, or pairs
    uint64_t supervised;     // tokens of all rows together that bear loss
    double *reference;       // [count] of pairs: as ts_reference_measure has it; set by the caller
    float *labels;           // [supervised] of pairs: log-probabilities, while they are measured
    ts_pass_limits at_least; // what a pass must hold to run the longest row
} ts_held_out;

// What was measured.
typedef struct ts_held_out_measured {
    bool whole; // false: the caller was asked to stop before all rows were run; the rest is not set
    double loss;             // nats per supervised token, or the mean over the pairs
    double margin, accuracy; // of pairs (model/losses.h, ts_rewards), the means; else NaN
} ts_held_out_measured;

// Reads settings->eval_data, with a warning that counts the rows which training has too; or moves a
// part of the rows from `training` to *out, as settings->eval_split asks. Which ones follows from
// the seed. Rows of the same tokens go together, so that none is on both sides. So do pairs whose
// answers are the same. TS_ERR_ARGUMENT if
// nothing would be left to train on.
ts_status ts_held_out_open(const ts_train_settings *settings, const ts_tokenizer *tokenizer,
                           ts_chat_template *template, const ts_dataset_options *options,
                           ts_dataset *training, ts_held_out *out, ts_error *err);
void ts_held_out_close(ts_held_out *held_out);

// Runs all rows, by the pass's loss, to the same bits whatever the number of ranks among which the
// batches are dealt (NULL: one). Pairs are run by every rank, and the first one's numbers count.
// `batch` has room for the pass's limits.
ts_status ts_held_out_measure(const ts_held_out *held_out, ts_pass *pass, ts_batch *batch,
                              ts_ranks *ranks, ts_held_out_measured *out, ts_error *err);

#endif
