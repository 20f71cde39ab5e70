// Who has which micro-batches of a step, and which slice of the adapter.
#include "base/memory.h"
#include "train/exchange.h"

#include <math.h>
#include <stdlib.h>

// Where rank r's share begins: all ranks compute the same.
static uint32_t begin_of(const ts_deal *deal, uint32_t r, uint32_t micro_batches)
{
    double before = r, all = deal->ranks;
    if (deal->speeds != NULL) {
        before = all = 0;
        for (uint32_t i = 0; i < deal->ranks; i++) {
            all += deal->speeds[i];
            before += i < r ? deal->speeds[i] : 0;
        }
        return (uint32_t)ts_min_u64((uint64_t)round(micro_batches * before / all), micro_batches);
    }
    return (uint32_t)ts_ceil_div((uint64_t)micro_batches * r, deal->ranks);
}

// The largest block that begins at `first`, as the tree has it, and ends by `end`.
static uint32_t level_at(uint32_t first, uint32_t end)
{
    uint32_t level = 0;
    while ((first & ((2u << level) - 1)) == 0 && end - first >= 2u << level) {
        level++;
    }
    return level;
}

ts_status ts_deal_make(ts_deal *deal, uint32_t micro_batches, ts_error *err)
{
    ts_status status = TS_OK;
    deal->count = 0;
    if (deal->first == NULL) {
        TS_TRY(ts_alloc((size_t)deal->ranks + 1, sizeof *deal->first, &deal->first, err));
    }
    for (uint32_t r = 0; r < deal->ranks; r++) {
        deal->first[r] = begin_of(deal, r, micro_batches);
    }
    deal->first[deal->ranks] = micro_batches;
    for (uint32_t r = 0; r < deal->ranks; r++) {
        for (uint32_t at = deal->first[r]; at < deal->first[r + 1];) {
            const ts_block block = {
                .rank = r, .first = at, .level = level_at(at, deal->first[r + 1])};
            TS_TRY(ts_grow(&deal->blocks, &deal->capacity, deal->count + 1, sizeof *deal->blocks,
                           err));
            deal->blocks[deal->count++] = block;
            at += 1u << block.level;
        }
    }
out:
    return status;
}

void ts_deal_free(ts_deal *deal)
{
    free(deal->first);
    free(deal->blocks);
    *deal = (ts_deal){0};
}

void ts_slices_make(uint64_t count, uint32_t ranks, uint64_t *first)
{
    // shaders/sum_squares.comp: the pieces whose sums of squares are added up. As many of them
    // together as make a multiple of the alignment that a view needs.
    enum { PIECES = 256, ALIGNMENT = 64 };
    const uint64_t width = ts_ceil_div(count, 4 * PIECES) * 4;
    uint64_t together = 1;
    while (together * width % ALIGNMENT != 0) {
        together *= 2;
    }
    for (uint32_t r = 0; r <= ranks; r++) {
        first[r] = ts_min_u64(PIECES / together * r / ranks * together * width, count);
    }
    first[ranks] = count;
}
