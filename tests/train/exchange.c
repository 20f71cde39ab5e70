// Which micro-batches and which slice each rank has.
#include "train/exchange.h"
#include "base/memory.h"

#include <criterion/criterion.h>
#include <stdlib.h>

// Whether first .. first + 2^level - 1 are one part of the tree: the first of two halves of a part,
// or the second (see tests/train/reduce.c).
static bool is_part(uint64_t first, uint64_t count, uint64_t from, uint64_t size)
{
    uint64_t half = 1;
    if (from == first && size == count) {
        return true;
    }
    if (count == 1) {
        return false;
    }
    while (2 * half < count) {
        half *= 2;
    }
    return from + size <= first + half ? is_part(first, half, from, size)
                                       : is_part(first + half, count - half, from, size);
}

static void check_deal(uint32_t micro_batches, uint32_t ranks, const double *speeds)
{
    ts_error err = {0};
    ts_deal deal = {.ranks = ranks, .speeds = speeds};
    cr_assert_eq(ts_deal_make(&deal, micro_batches, &err), TS_OK, "%s", err.message);
    cr_assert_eq(deal.first[0], 0);
    cr_assert_eq(deal.first[ranks], micro_batches);
    uint64_t at = 0;
    for (size_t b = 0; b < deal.count; b++) { // in order, without gaps, each of one rank
        const ts_block *block = &deal.blocks[b];
        const uint64_t size = 1u << block->level;
        cr_assert_eq(block->first, at);
        cr_assert(block->first >= deal.first[block->rank] &&
                  at + size <= deal.first[block->rank + 1]);
        cr_assert(is_part(0, micro_batches, block->first, size), "%u micro-batches: %u, %llu",
                  micro_batches, block->first, (unsigned long long)size);
        at += size;
    }
    cr_assert_eq(at, micro_batches);
    ts_deal_free(&deal);
}

Test(exchange, blocks_are_parts_of_the_tree)
{
    static const double speeds[] = {1, 3.5, 0.25, 2, 2, 1, 1, 7};
    for (uint32_t ranks = 1; ranks <= 8; ranks++) {
        for (uint32_t micro_batches = 1; micro_batches <= 40; micro_batches++) {
            check_deal(micro_batches, ranks, NULL);
            check_deal(micro_batches, ranks, speeds);
        }
    }
    check_deal(65536, 1024, NULL);
}

Test(exchange, shares_are_equal_or_as_speeds)
{
    ts_error err = {0};
    static const double speeds[] = {1, 3};
    ts_deal equal = {.ranks = 3}, fast = {.ranks = 2, .speeds = speeds};
    cr_assert_eq(ts_deal_make(&equal, 8, &err), TS_OK);
    cr_expect(equal.first[1] == 3 && equal.first[2] == 6);
    cr_assert_eq(ts_deal_make(&equal, 2, &err), TS_OK); // the last rank has none
    cr_expect(equal.first[1] == 1 && equal.first[2] == 2);
    cr_assert_eq(ts_deal_make(&fast, 8, &err), TS_OK);
    cr_expect_eq(fast.first[1], 2);
    ts_deal_free(&equal);
    ts_deal_free(&fast);
}

// Slices end at whole pieces of sum_squares, where a view may begin.
Test(exchange, slices_are_whole_pieces)
{
    static const uint64_t counts[] = {64, 1024, 4096, 28672, 1126400, 12615680, 262144 * 7};
    uint64_t first[1025];
    for (size_t i = 0; i < TS_COUNT(counts); i++) {
        const uint64_t width = ts_ceil_div(counts[i], 1024) * 4; // shaders/sum_squares.comp
        for (uint32_t ranks = 1; ranks <= 1024; ranks = ranks < 9 ? ranks + 1 : 2 * ranks) {
            ts_slices_make(counts[i], ranks, first);
            cr_assert(first[0] == 0 && first[ranks] == counts[i]);
            for (uint32_t r = 0; r < ranks; r++) {
                cr_assert_leq(first[r], first[r + 1]);
                cr_assert(first[r] == counts[i] || (first[r] % width == 0 && first[r] % 64 == 0),
                          "%llu floats, slice %u of %u begins at %llu",
                          (unsigned long long)counts[i], r, ranks, (unsigned long long)first[r]);
            }
        }
    }
    ts_slices_make(1126400, 4, first); // r 8 on q and v of TinyLlama: the ranks have equal shares
    cr_expect_eq(first[1], 281600);
}
