// Lets tensors that are needed at different times share memory. A pass goes through numbered
// phases; each tensor has the set of phases in which its content is needed. Two tensors share
// memory only if they share no phase.
#ifndef TS_MODEL_PLACEMENT_H
#define TS_MODEL_PLACEMENT_H

#include "gpu/memory.h"

// A tensor, or several of one type and lifetime that lie side by side.
enum { TS_SIDE_BY_SIDE = 5 };
typedef struct ts_placement {
    ts_view *views[TS_SIDE_BY_SIDE];  // set by ts_place; then NULL
    uint64_t counts[TS_SIDE_BY_SIDE]; // elements
    uint64_t *phases;                 // [words] a bit a phase
    ts_dtype dtype;                   // F32 unless set: F16 or BF16
} ts_placement;

// The bytes that it takes.
uint64_t ts_placement_bytes(const ts_placement *placement);

// Takes memory from `arena` and sets every view. The arena may be one that only counts. Blocks have
// at most `block_bytes`, unless a single tensor is larger. The first `early` tensors, those that
// share most memory, are placed before the others. Several orders of them are tried, and the one
// that takes the least memory is kept.
ts_status ts_place(const ts_placement *tensors, size_t count, size_t early, uint32_t words,
                   uint64_t block_bytes, ts_gpu_arena *arena, ts_error *err);

// Adds the phases first .. last to a set.
static inline void ts_phases_add(uint64_t *phases, uint32_t first, uint32_t last)
{
    for (uint32_t phase = first; phase <= last; phase++) {
        phases[phase / 64] |= UINT64_C(1) << phase % 64;
    }
}

#endif
