#include "train/reduce.h"

// Not implemented for several ranks. Each would send what the pass has recorded, wait for it,
// exchange gradients through the host and upload the sum, and only then record the update. To give
// the same bytes with any number of ranks, the gradient of each micro-batch would be kept apart,
// and all would be summed in a binary tree by the micro-batch's index.
ts_status ts_reduce(ts_ranks ranks, ts_pass *pass, ts_error *err)
{
    (void)pass;
    if (ranks.count == 1) {
        return TS_OK;
    }
    return ts_error_set(err, TS_ERR_UNSUPPORTED,
                        "%u ranks: training on several devices is not implemented", ranks.count);
}
