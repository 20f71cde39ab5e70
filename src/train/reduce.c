#include "train/reduce.h"

#include "ops/kernels.h"

#include <assert.h>

uint32_t ts_reduce_levels(uint64_t micro_batches)
{
    uint32_t levels = 0; // the last micro-batch is added to what is held, and never held itself
    while (micro_batches > 1 && (micro_batches - 1) >> levels > 0) {
        levels++;
    }
    return levels;
}

// Without a device it only counts bytes.
static ts_status place(ts_reduce *reduce, uint64_t count, uint64_t micro_batches, ts_error *err)
{
    ts_status status = TS_OK;
    const uint32_t levels = ts_reduce_levels(micro_batches);
    if (levels > TS_REDUCE_LEVELS) {
        TS_FAIL(TS_ERR_UNSUPPORTED, "%llu micro-batches in a step",
                (unsigned long long)micro_batches);
    }
    for (; reduce->levels < levels; reduce->levels++) {
        TS_TRY(ts_gpu_alloc(&reduce->arena, TS_F32, count, &reduce->partial[reduce->levels], err));
    }
out:
    return status;
}

ts_status ts_reduce_plan(const ts_model_config *config, const ts_adapter_config *adapter,
                         uint64_t micro_batches, uint64_t *bytes, ts_error *err)
{
    ts_reduce reduce = {0};
    uint64_t count, parameters;
    ts_lora_measure(config, adapter, &count, &parameters);
    ts_status status = place(&reduce, count, micro_batches, err);
    *bytes = reduce.arena.used_bytes;
    return status;
}

ts_status ts_reduce_open(ts_pass *pass, uint64_t micro_batches, ts_reduce *out, ts_error *err)
{
    enum { BLOCK_BYTES = 1 << 12 }; // each sum gets a block of its own
    *out =
        (ts_reduce){.pass = pass, .arena = {.gpu = pass->model->gpu, .block_bytes = BLOCK_BYTES}};
    ts_status status = place(out, pass->model->lora.count, micro_batches, err);
    if (status != TS_OK) {
        ts_reduce_close(out);
    }
    return status;
}

void ts_reduce_close(ts_reduce *reduce)
{
    ts_gpu_arena_close(&reduce->arena);
    *reduce = (ts_reduce){0};
}

void ts_reduce_record_part(ts_reduce *reduce, uint64_t first, uint64_t count, uint32_t level,
                           bool last)
{
    ts_recorder *recorder = reduce->pass->recorder;
    const ts_view sum = ts_view_slice(reduce->pass->gradients, first, count);
    for (; reduce->held >> level > 0 && (last || (reduce->held >> level & 1)); level++) {
        if (reduce->held >> level & 1) {
            const ts_view held = ts_view_slice(reduce->partial[level], first, count);
            ts_add(recorder, &(struct ts_add_args){.y = sum, .x = held, .count = (uint32_t)count});
            reduce->held &= ~(1u << level);
        }
    }
    if (!last) {
        assert(level < reduce->levels);
        ts_recorder_copy(recorder, sum, ts_view_slice(reduce->partial[level], first, count));
        ts_recorder_zero(recorder, sum);
        reduce->held |= 1u << level;
    }
}

void ts_reduce_record(ts_reduce *reduce, bool last)
{
    if (last && reduce->held == 0) {
        return; // it is the only one
    }
    ts_reduce_record_part(reduce, 0, reduce->pass->model->lora.count, 0, last);
}
