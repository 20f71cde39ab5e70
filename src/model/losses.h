// A loss consists of its value and of a weight for each row. The device computes the same two
// things for every loss: the log-probabilities of the labels, and the gradient of the logits, which
// is weight * (softmax - one-hot) in each row.
#ifndef TS_MODEL_LOSSES_H
#define TS_MODEL_LOSSES_H

#include <stddef.h>
#include <stdint.h>

// The rows of a batch that bear loss, in its order.
typedef struct ts_loss_rows {
    uint32_t count;
    float scale;                  // by which the gradient of the loss is multiplied
    const float *log_probability; // [count] of the labels, in nats; NULL where it is not known yet
} ts_loss_rows;

typedef struct ts_loss {
    const char *name;
    uint32_t passes; // see losses.def
    // Sets weight[count]: minus the derivative of scale * loss with respect to each row's
    // log-probability. For a loss with one pass log_probability is NULL.
    void (*weigh)(const ts_loss_rows *rows, float *weight);
    // The loss of the batch, without scale: a sum over its rows, not a mean.
    double (*value)(const ts_loss_rows *rows);
} ts_loss;

typedef enum ts_loss_kind {
#define LOSS(name, passes) TS_LOSS_##name,
#include "model/losses.def"
#undef LOSS
    TS_LOSS_COUNT
} ts_loss_kind;

extern const ts_loss ts_losses[TS_LOSS_COUNT];

#endif
