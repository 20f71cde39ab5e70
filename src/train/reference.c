#include "train/reference.h"

#include "base/log.h"
#include "base/memory.h"
#include "train/batches.h"

#include <stdlib.h>

ts_status ts_reference_measure(const ts_dataset *dataset, ts_pass *pass, bool adapter,
                               ts_batch *batch, double **out, ts_error *err)
{
    ts_status status = TS_OK;
    float *losses = NULL;
    const bool enabled = pass->model->lora_enabled;
    *out = NULL;
    TS_TRY(ts_alloc(dataset->count, sizeof **out, out, err));
    TS_TRY(ts_alloc(pass->limits.loss_rows, sizeof *losses, &losses, err));
    pass->model->lora_enabled = adapter;
    for (size_t next = 0; next < dataset->count;) {
        size_t first = next;
        if (ts_stop_asked()) {
            TS_FAIL(TS_ERR_STOPPED,
                    "stopped while the reference model was asked; no step was trained");
        }
        TS_TRY(ts_batches_fill(dataset->examples, dataset->count, pass, &next, batch, err));
        TS_TRY(ts_pass_losses(pass, batch, losses, err));
        for (uint32_t s = 0, row = 0; s < batch->sequences; s++) {
            for (uint32_t i = 0; i < batch->sequence_loss_rows[s]; i++) {
                (*out)[first + s] -= losses[row++];
            }
        }
    }
out:
    pass->model->lora_enabled = enabled;
    free(losses);
    return status;
}
