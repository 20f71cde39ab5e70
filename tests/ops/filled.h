// Tensors for tests of operations.
#ifndef TESTS_OPS_FILLED_H
#define TESTS_OPS_FILLED_H

#include "device.h"

// A tensor of `count` numbers between -1 and 1 that depend on `seed` alone.
static inline ts_view test_filled(ts_gpu_arena *arena, uint64_t count, uint32_t seed)
{
    ts_view view;
    float *values = malloc(count * sizeof *values);
    cr_assert_not_null(values);
    for (uint64_t i = 0; i < count; i++) {
        seed = seed * 1664525u + 1013904223u;
        values[i] = (float)(seed >> 8) * 0x1p-23f - 1;
    }
    MUST(ts_gpu_alloc(arena, TS_F32, count, &view, err));
    MUST(ts_gpu_upload(arena->gpu, view, values, count * sizeof *values, err));
    free(values);
    return view;
}

#endif
