#include "base/memory.h"

#include <stdalign.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ARENA_BLOCK_BYTES = 1 << 16 };

struct ts_arena_block {
    struct ts_arena_block *next;
    size_t used, size; // bytes of data[]
    alignas(max_align_t) unsigned char data[];
};

static ts_status out_of_memory(size_t count, size_t size, ts_error *err)
{
    return ts_error_set(err, TS_ERR_MEMORY, "out of host memory: %zu elements of %zu bytes", count,
                        size);
}

ts_status ts_alloc(size_t count, size_t size, void *out, ts_error *err)
{
    void *memory = NULL;
    if (size == 0 || count <= SIZE_MAX / size) {
        memory = calloc(count > 0 ? count : 1, size);
    }
    if (memory == NULL) {
        return out_of_memory(count, size, err);
    }
    memcpy(out, &memory, sizeof memory);
    return TS_OK;
}

ts_status ts_grow(void *array, size_t *capacity, size_t needed, size_t size, ts_error *err)
{
    if (needed <= *capacity) {
        return TS_OK;
    }
    size_t grown = *capacity < 8 ? 8 : *capacity;
    while (grown < needed) {
        if (grown > SIZE_MAX / 2 / size) {
            return out_of_memory(needed, size, err);
        }
        grown *= 2;
    }
    void *old;
    memcpy(&old, array, sizeof old);
    unsigned char *memory = realloc(old, grown * size);
    if (memory == NULL) {
        return out_of_memory(grown, size, err);
    }
    memset(memory + *capacity * size, 0, (grown - *capacity) * size);
    memcpy(array, &memory, sizeof memory);
    *capacity = grown;
    return TS_OK;
}

ts_status ts_arena_alloc(ts_arena *arena, size_t count, size_t size, void *out, ts_error *err)
{
    if (size != 0 && count > (SIZE_MAX - alignof(max_align_t)) / size) {
        return out_of_memory(count, size, err);
    }
    size_t bytes = ts_align_up(count * size, alignof(max_align_t));
    struct ts_arena_block *block = arena->blocks;
    if (block == NULL || block->size - block->used < bytes) {
        size_t block_bytes = ts_max_u64(bytes, ARENA_BLOCK_BYTES);
        if (block_bytes > SIZE_MAX - sizeof *block ||
            (block = calloc(1, sizeof *block + block_bytes)) == NULL) {
            return out_of_memory(count, size, err);
        }
        block->size = block_bytes;
        block->next = arena->blocks;
        arena->blocks = block;
    }
    void *memory = block->data + block->used;
    block->used += bytes;
    memcpy(out, &memory, sizeof memory);
    return TS_OK;
}

ts_status ts_arena_copy_text(ts_arena *arena, const char *text, size_t bytes, char **out,
                             ts_error *err)
{
    ts_status status = ts_arena_alloc(arena, bytes + 1, 1, out, err);
    if (status == TS_OK) {
        memcpy(*out, text, bytes);
    }
    return status;
}

ts_status ts_arena_format(ts_arena *arena, const char **out, ts_error *err, const char *pattern,
                          ...)
{
    ts_status status = TS_OK;
    char *text = NULL;
    va_list args;
    *out = NULL;
    va_start(args, pattern);
    int len = vsnprintf(NULL, 0, pattern, args);
    va_end(args);
    TS_TRY(ts_arena_alloc(arena, (size_t)len + 1, 1, &text, err));
    va_start(args, pattern);
    vsnprintf(text, (size_t)len + 1, pattern, args);
    va_end(args);
    *out = text;
out:
    return status;
}

void ts_arena_free(ts_arena *arena)
{
    while (arena->blocks != NULL) {
        struct ts_arena_block *next = arena->blocks->next;
        free(arena->blocks);
        arena->blocks = next;
    }
}
