// Host memory: overflow-checked sizes, allocation that reports instead of aborting, and an arena
// for what lives and dies together (a parsed file, a tokenizer).
#ifndef TS_BASE_MEMORY_H
#define TS_BASE_MEMORY_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TS_COUNT(array) (sizeof(array) / sizeof((array)[0]))

static inline uint64_t ts_min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}
static inline uint64_t ts_max_u64(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}
static inline uint64_t ts_ceil_div(uint64_t a, uint64_t b)
{
    return a / b + (a % b != 0);
}
static inline uint64_t ts_align_up(uint64_t value, uint64_t alignment)
{
    return ts_ceil_div(value, alignment) * alignment;
}

// *out = zeroed memory for `count` elements of `size` bytes; TS_ERR_MEMORY when count * size
// overflows or the system has no more. Free with free().
ts_status ts_alloc(size_t count, size_t size, void *out, ts_error *err);

// Grows *array (capacity in elements, doubling) so that it holds at least `needed` elements.
// New elements are zero. *array may start as NULL with *capacity 0.
ts_status ts_grow(void *array, size_t *capacity, size_t needed, size_t size, ts_error *err);

// Memory freed all at once. Starts zeroed.
typedef struct ts_arena {
    struct ts_arena_block *blocks;
} ts_arena;

// Zeroed memory that lives until ts_arena_free; aligned for any type.
ts_status ts_arena_alloc(ts_arena *arena, size_t count, size_t size, void *out, ts_error *err);
// A NUL-terminated copy of `bytes` bytes of text in the arena.
ts_status ts_arena_copy_text(ts_arena *arena, const char *text, size_t bytes, char **out,
                             ts_error *err);
// The same of a text of any length that printf's `pattern` makes.
ts_status ts_arena_format(ts_arena *arena, const char **out, ts_error *err, const char *pattern,
                          ...) __attribute__((format(printf, 4, 5)));
void ts_arena_free(ts_arena *arena);

#endif
