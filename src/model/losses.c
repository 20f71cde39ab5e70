#include "model/losses.h"

static void weigh_cross_entropy(const ts_loss_rows *rows, float *weight)
{
    for (uint32_t i = 0; i < rows->count; i++) {
        weight[i] = rows->scale;
    }
}

static double value_cross_entropy(const ts_loss_rows *rows)
{
    double sum = 0;
    for (uint32_t i = 0; i < rows->count; i++) {
        sum -= rows->log_probability[i];
    }
    return sum;
}

const ts_loss ts_losses[TS_LOSS_COUNT] = {
#define LOSS(name, passes) {#name, passes, weigh_##name, value_##name},
#include "model/losses.def"
#undef LOSS
};
