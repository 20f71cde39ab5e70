// A loss consists of its value and of a weight for each row. The device computes the same two
// things for every loss: the log-probabilities of the labels, and the gradient of the logits, which
// is weight * (softmax - one-hot) in each row.
#ifndef TS_MODEL_LOSSES_H
#define TS_MODEL_LOSSES_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// What a loss that compares answers needs to know.
typedef struct ts_loss_params {
    double beta;            // the weight of staying near the reference model; above 0
    double label_smoothing; // the share of pairs that are assumed to be labelled the wrong way; of
                            // cross-entropy, that of each label which all tokens have alike
} ts_loss_params;

// The sequences of a batch. Those of a loss over pairs come as all chosen answers, then all
// rejected ones in the same order.
typedef struct ts_loss_sequences {
    uint32_t count;
    uint32_t *loss_rows; // [count] rows of each that bear loss
    double *reference;   // [count] the sum of its labels' log-probabilities in the reference model
} ts_loss_sequences;

// The rows of a batch that bear loss, in its order.
typedef struct ts_loss_rows {
    uint32_t count;
    float scale;                  // by which the gradient of the loss is multiplied
    const float *log_probability; // [count] of the labels, in nats; NULL where it is not known yet
    const ts_loss_sequences *sequences;
    const ts_loss_params *params;
} ts_loss_rows;

typedef struct ts_loss {
    const char *name;
    uint32_t passes; // see losses.def
    bool pairs;      // it is a sum over pairs of sequences, not over rows
    // Sets weight[count]: minus the derivative of scale * loss with respect to each row's
    // log-probability. For a loss with one pass log_probability is NULL.
    void (*weigh)(const ts_loss_rows *rows, float *weight);
    // The loss of the batch, without scale: a sum over its rows or pairs, not a mean.
    double (*value)(const ts_loss_rows *rows);
} ts_loss;

typedef enum ts_loss_kind {
#define LOSS(name, passes, pairs) TS_LOSS_##name,
#include "model/losses.def"
#undef LOSS
    TS_LOSS_COUNT
} ts_loss_kind;

extern const ts_loss ts_losses[TS_LOSS_COUNT];
// Finds the loss of that name; false where there is none.
bool ts_loss_find(const char *name, ts_loss_kind *out);
// The loss that --loss names. TS_ERR_ARGUMENT lists those there are.
ts_status ts_loss_parse(const char *name, ts_loss_kind *out, ts_error *err);

// The rewards of a batch of pairs, as sums over its pairs. An answer's reward is beta times its
// gain: its log-probability minus that in the reference model (Rafailov et al. 2023).
typedef struct ts_rewards {
    uint32_t pairs, right; // right: pairs whose chosen answer has the higher reward
    double chosen, rejected;
} ts_rewards;
ts_rewards ts_loss_rewards(const ts_loss_rows *rows);

#endif
