// Tensors are placed the largest first, each at the lowest place that overlaps no tensor needed at
// the same time. If that takes more memory than the fullest phase needs, other orders are tried.
#include "model/placement.h"

#include "base/memory.h"

#include <stdlib.h>

enum { ALIGNMENT = 64 }; // in floats: TS_VIEW_ALIGNMENT of ts_gpu_alloc

#define NONE SIZE_MAX

// Where a tensor was placed, in floats of its block.
struct place {
    size_t block;
    uint64_t begin, end;
    size_t next; // in the block's list
};

// A block's tensors in the order of their places.
struct block {
    size_t first;
    uint64_t end;
};

struct placing {
    const ts_placement *tensors;
    const ts_placement **order; // [count] in which they are placed
    uint32_t words;
    uint64_t block_floats;
    struct place *places; // [count]
    struct block *blocks; // [count] at most
    size_t block_count;
};

// The floats that one of a placement's tensors takes.
static uint64_t size_of_one(const ts_placement *placement, uint32_t i)
{
    const uint64_t bytes = ts_dtype_size(placement->dtype, placement->counts[i]);
    return ts_align_up(ts_ceil_div(bytes, sizeof(float)), ALIGNMENT);
}

// The floats that all of them take.
static uint64_t size_of(const ts_placement *placement)
{
    uint64_t size = 0;
    for (uint32_t i = 0; i < TS_SIDE_BY_SIDE; i++) {
        size += size_of_one(placement, i);
    }
    return size;
}

uint64_t ts_placement_bytes(const ts_placement *placement)
{
    return size_of(placement) * sizeof(float);
}

static bool live_together(const struct placing *p, size_t a, size_t b)
{
    for (uint32_t word = 0; word < p->words; word++) {
        if ((p->tensors[a].phases[word] & p->tensors[b].phases[word]) != 0) {
            return true;
        }
    }
    return false;
}

// The lowest place in the block where `tensor` overlaps none that is needed at the same time.
static uint64_t lowest_place(const struct placing *p, const struct block *block, size_t tensor)
{
    uint64_t begin = 0, size = size_of(&p->tensors[tensor]);
    for (size_t i = block->first; i != NONE; i = p->places[i].next) {
        if (!live_together(p, i, tensor)) {
            continue;
        }
        if (p->places[i].begin >= begin + size) {
            break; // there is room before this one, and all that follow begin behind it
        }
        begin = ts_max_u64(begin, p->places[i].end);
    }
    return begin;
}

static void put(struct placing *p, size_t block, size_t tensor, uint64_t begin)
{
    size_t *link = &p->blocks[block].first;
    while (*link != NONE && p->places[*link].begin < begin) {
        link = &p->places[*link].next;
    }
    uint64_t end = begin + size_of(&p->tensors[tensor]);
    p->places[tensor] = (struct place){block, begin, end, *link};
    *link = tensor;
    p->blocks[block].end = ts_max_u64(p->blocks[block].end, end);
}

// Places a tensor in the first block that has room for it, or in a new one.
static void place_one(struct placing *p, size_t tensor)
{
    uint64_t size = size_of(&p->tensors[tensor]);
    for (size_t i = 0; i < p->block_count; i++) {
        uint64_t begin = lowest_place(p, &p->blocks[i], tensor);
        if (begin + size <= ts_max_u64(p->block_floats, p->blocks[i].end)) {
            put(p, i, tensor, begin);
            return;
        }
    }
    p->blocks[p->block_count] = (struct block){.first = NONE};
    put(p, p->block_count++, tensor, 0);
}

// Places the first `count` tensors of the order anew and returns the floats that they take.
static uint64_t place_first(struct placing *p, size_t count)
{
    uint64_t floats = 0;
    p->block_count = 0;
    for (size_t i = 0; i < count; i++) {
        place_one(p, (size_t)(p->order[i] - p->tensors));
    }
    for (size_t i = 0; i < p->block_count; i++) {
        floats += p->blocks[i].end;
    }
    return floats;
}

// The most floats that one phase needs: no order of the first `count` tensors takes less.
static uint64_t least_possible(const struct placing *p, size_t count)
{
    uint64_t most = 0;
    for (uint32_t phase = 0; phase < 64 * p->words; phase++) {
        uint64_t sum = 0;
        for (size_t i = 0; i < count; i++) {
            bool lives = p->order[i]->phases[phase / 64] >> phase % 64 & 1;
            sum += lives ? size_of(p->order[i]) : 0;
        }
        most = ts_max_u64(most, sum);
    }
    return most;
}

static void swap(const ts_placement **a, const ts_placement **b)
{
    const ts_placement *kept = *a;
    *a = *b;
    *b = kept;
}

// Swaps two of the first `count` tensors in the order again and again, and keeps each swap that
// takes no more memory. The random numbers have a fixed seed, so that every run places alike.
static void improve_order(struct placing *p, size_t count)
{
    enum { TRIES = 1000 };
    uint64_t least = least_possible(p, count), best = place_first(p, count), state = 1;
    for (int i = 0; i < TRIES && best > least; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        size_t a = (size_t)(state >> 33) % count, b = (size_t)(state >> 48) % count;
        swap(&p->order[a], &p->order[b]);
        uint64_t floats = place_first(p, count);
        if (floats <= best) {
            best = floats;
        } else {
            swap(&p->order[a], &p->order[b]);
        }
    }
}

// Orders tensors by size, the largest first, and those of one size as they were given.
static int larger_first(const void *a, const void *b)
{
    const ts_placement *x = *(const ts_placement *const *)a, *y = *(const ts_placement *const *)b;
    if (size_of(x) != size_of(y)) {
        return size_of(x) < size_of(y) ? 1 : -1;
    }
    return x < y ? -1 : x > y ? 1 : 0;
}

// Sets the views of a placement that begins at float `begin` of a block.
static void slice(const ts_placement *placement, ts_view block, uint64_t begin)
{
    const bool floats = placement->dtype == TS_F32; // or the mirror's doubles
    for (uint32_t i = 0; i < TS_SIDE_BY_SIDE && placement->views[i] != NULL; i++) {
        const uint64_t count = placement->counts[i], size = size_of_one(placement, i);
        ts_view *view = placement->views[i];
        *view = ts_view_slice(block, begin, floats ? count : size);
        if (!floats) {
            view->dtype = placement->dtype;
            view->bytes = ts_dtype_size(placement->dtype, count);
        }
        begin += size;
    }
}

static ts_status take_memory(const struct placing *p, size_t count, ts_gpu_arena *arena,
                             ts_error *err)
{
    ts_status status = TS_OK;
    ts_view *views = NULL;
    TS_TRY(ts_alloc(p->block_count + 1, sizeof *views, &views, err));
    for (size_t i = 0; i < p->block_count; i++) {
        TS_TRY(ts_gpu_alloc(arena, TS_F32, p->blocks[i].end, &views[i], err));
    }
    for (size_t i = 0; i < count; i++) {
        slice(&p->tensors[i], views[p->places[i].block], p->places[i].begin);
    }
out:
    free(views);
    return status;
}

ts_status ts_place(const ts_placement *tensors, size_t count, size_t early, uint32_t words,
                   uint64_t block_bytes, ts_gpu_arena *arena, ts_error *err)
{
    ts_status status = TS_OK;
    struct placing p = {
        .tensors = tensors, .words = words, .block_floats = block_bytes / sizeof(float)};
    TS_TRY(ts_alloc(count + 1, sizeof *p.order, &p.order, err));
    TS_TRY(ts_alloc(count + 1, sizeof *p.places, &p.places, err));
    TS_TRY(ts_alloc(count + 1, sizeof *p.blocks, &p.blocks, err));
    for (size_t i = 0; i < count; i++) {
        p.order[i] = &tensors[i];
    }
    qsort(p.order, early, sizeof *p.order, larger_first);
    qsort(p.order + early, count - early, sizeof *p.order, larger_first);
    improve_order(&p, early);
    place_first(&p, count);
    TS_TRY(take_memory(&p, count, arena, err));
out:
    free(p.order);
    free(p.places);
    free(p.blocks);
    return status;
}
