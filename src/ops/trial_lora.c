// Draws awkward groups of LoRA pairs for trials of `lora_products` and `lora_gradients`.
#include "ops/trial.h"

#include "base/memory.h"

#include <stdio.h>

enum { PAIRS = 3 };

// Where the dispatch holds a number of pair p; NULL: the kernel has none.
static uint32_t *of_pair(ts_kernel kernel, ts_dispatch *dispatch, const char *name, uint32_t p)
{
    char full[32];
    snprintf(full, sizeof full, "%s_%u", name, p);
    return ts_kernel_find_field(kernel, dispatch, full);
}

static uint32_t value_of(ts_kernel kernel, ts_dispatch *dispatch, const char *name, uint32_t p)
{
    const uint32_t *place = of_pair(kernel, dispatch, name, p);
    return place != NULL ? *place : 0;
}

// Places pair p's matrix of `count` elements at *end of its buffer, and moves *end past it.
static void place(ts_kernel kernel, ts_dispatch *dispatch, const char *name, uint32_t p,
                  uint32_t count, uint32_t step, uint32_t *end)
{
    uint32_t *at = of_pair(kernel, dispatch, name, p);
    *at = count > 0 ? *end : 0;
    *end = (uint32_t)ts_align_up(*end + count, step);
}

void ts_trial_place_pairs(ts_kernel kernel, ts_dispatch *dispatch, uint32_t step, uint32_t first)
{
    const uint32_t rows = *ts_kernel_find_field(kernel, dispatch, "rows");
    uint32_t ends[] = {first, first, first, first};
    for (uint32_t p = 0; p < PAIRS; p++) {
        const uint32_t rank = value_of(kernel, dispatch, "rank", p);
        if (kernel == TS_KERNEL_lora_products) {
            const uint32_t k = value_of(kernel, dispatch, "k", p);
            ends[0] = *ts_kernel_find_field(kernel, dispatch, "layout") == TS_NT ? first : ends[0];
            place(kernel, dispatch, "a_at", p, rows * k, step, &ends[0]);
            place(kernel, dispatch, "b_at", p, rank * k, step, &ends[1]);
            place(kernel, dispatch, "c_at", p, rows * rank, step, &ends[2]);
        } else {
            const uint32_t out = value_of(kernel, dispatch, "out_size", p);
            const uint32_t in = *ts_kernel_find_field(kernel, dispatch, "in_size");
            place(kernel, dispatch, "dy_at", p, rows * out, step, &ends[0]);
            place(kernel, dispatch, "t_at", p, rows * rank, step, &ends[1]);
            place(kernel, dispatch, "dt_at", p, rows * rank, step, &ends[2]);
            place(kernel, dispatch, "da_at", p, rank * in, step, &ends[3]);
            place(kernel, dispatch, "db_at", p, rank * out, step, &ends[3]);
        }
    }
}

// One to three pairs of different ranks, sizes and scales, some of them, as a model's are, in whole
// quads and with gaps between. In 16 bits a row must be a multiple of 8 elements.
void ts_trial_settle_pairs(ts_trial *trial, bool halves, uint32_t *state)
{
    static const uint32_t ranks[] = {8, 5, 16, 1, 4, 2, 12, 3},
                          sizes[] = {1, 3, 8, 31, 64, 172, 259, 1027};
    const ts_kernel kernel = trial->kernel;
    ts_dispatch *dispatch = &trial->dispatch;
    const uint32_t count = 1 + ts_trial_pick(state, PAIRS);
    const bool whole = ts_trial_pick(state, 2) != 0; // quads
    const uint32_t align = halves ? 8 : whole ? 4 : 1;
    const char *size_name = kernel == TS_KERNEL_lora_products ? "k" : "out_size";
    uint32_t *in_size = ts_trial_field(trial, "in_size");
    for (uint32_t p = 0; p < PAIRS; p++) {
        const bool there = p < count;
        const uint32_t rank = ranks[ts_trial_pick(state, TS_COUNT(ranks))];
        const uint32_t size = sizes[ts_trial_pick(state, TS_COUNT(sizes))];
        const float scale = 0.5f / (float)(1 + p);
        *of_pair(kernel, dispatch, "rank", p) =
            there ? (uint32_t)ts_align_up(rank, whole ? 4 : 1) : 0;
        *of_pair(kernel, dispatch, size_name, p) = there ? (uint32_t)ts_align_up(size, align) : 0;
        memcpy(of_pair(kernel, dispatch, "scale", p), &scale, sizeof scale);
    }
    if (in_size != NULL) {
        *in_size = (uint32_t)ts_align_up(*in_size, align);
    }
    const uint32_t step = whole || halves ? 64 : 1;
    ts_trial_place_pairs(kernel, dispatch, step, ts_trial_pick(state, 2) * step);
}
