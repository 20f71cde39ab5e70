#include "train/reduce.h"

// Several ranks would send what the pass has recorded, wait for it, exchange gradients through the
// host and upload the sum; the update is recorded only after that. For bytes that do not depend on
// how many ranks there are, each micro-batch then keeps its gradient apart, and they are summed in
// a binary tree by the micro-batch's index.
ts_status ts_reduce(ts_ranks ranks, ts_pass *pass, ts_error *err)
{
    (void)pass;
    if (ranks.count == 1) {
        return TS_OK;
    }
    return ts_error_set(err, TS_ERR_UNSUPPORTED,
                        "%u ranks: training on several devices is not implemented", ranks.count);
}
