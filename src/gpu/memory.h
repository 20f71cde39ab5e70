// Device memory in arenas: a few large buffers, cut into views, freed together.
#ifndef TS_GPU_MEMORY_H
#define TS_GPU_MEMORY_H

#include "base/dtype.h"
#include "gpu/gpu.h"

// One Vulkan buffer with memory of its own.
typedef struct ts_gpu_buffer {
    VkBuffer handle;
    VkDeviceMemory memory;
    uint64_t bytes, used;  // used: given out as views
    uint64_t address;      // to shaders; 0 where the device is not asked for addresses
    unsigned char *mapped; // the host's address of it, or NULL where the host cannot reach it
} ts_gpu_buffer;

// A tensor's place on the device: part of a buffer. Views from ts_gpu_alloc do not overlap.
typedef struct ts_view {
    const ts_gpu_buffer *buffer; // NULL: no view
    uint64_t offset, bytes;
    ts_dtype dtype; // how the elements are stored; of a type with blocks, as base/blocks.h says
} ts_view;

// A view's address to shaders; 0 where the device is not asked for addresses (caps.has_addresses).
uint64_t ts_view_address(ts_view view);

// The elements [first, first + count) of a view as a view. The byte offset of `first` must be a
// multiple of the device's view_alignment. Not for types with blocks: their headers come after all
// of the data.
ts_view ts_view_slice(ts_view view, uint64_t first, uint64_t count);
// Extends *whole to the smallest view that holds `view` too. *whole begins without a buffer. false,
// and nothing is done: they lie in different buffers or are stored differently.
bool ts_view_join(ts_view *whole, ts_view view);
// One view over several that lie in this order in one buffer, whatever else lies between them:
// first[i] is where the i-th begins, in elements. false: they do not lie so, differ in type, or are
// stored in blocks.
bool ts_view_span(const ts_view *views, uint32_t count, ts_view *span, uint32_t *first);
// Bytes of a view, to upload or download a part of it.
ts_view ts_view_bytes(ts_view view, uint64_t first, uint64_t count);

typedef enum ts_gpu_place {
    TS_PLACE_DEVICE, // device-local; mapped too where memory is unified
    TS_PLACE_HOST,   // mapped, cached: what the host writes or reads every step
} ts_gpu_place;

// Starts with gpu, place and block_bytes set and the rest zero. With `gpu` NULL it allocates
// nothing and only counts bytes, so that a plan of the memory and its allocation are the same code.
typedef struct ts_gpu_arena {
    ts_gpu *gpu;
    ts_gpu_place place;
    uint64_t block_bytes; // size of new buffers; larger tensors get a buffer of their own
    ts_gpu_buffer **blocks;
    size_t block_count, block_capacity;
    uint64_t used_bytes;      // sum over all views, aligned
    ts_gpu_buffer *gathering; // ts_gpu_arena_gather: the block, until so many bytes of it are taken
    uint64_t gathering_bytes;
} ts_gpu_arena;

// A view of `count` elements (a multiple of the block's), valid until the arena is closed. Its
// content is undefined until written.
ts_status ts_gpu_alloc(ts_gpu_arena *arena, ts_dtype dtype, uint64_t count, ts_view *out,
                       ts_error *err);
// Sees to it that the tensors allocated next, `bytes` in all (each rounded up to 256), lie in one
// buffer, one behind the other.
ts_status ts_gpu_arena_gather(ts_gpu_arena *arena, uint64_t bytes, ts_error *err);
void ts_gpu_arena_close(ts_gpu_arena *arena);

// Copies `len` bytes from host to device and back, complete on return. No work that uses the view
// may be in flight.
ts_status ts_gpu_upload(ts_gpu *gpu, ts_view view, const void *bytes, uint64_t len, ts_error *err);
ts_status ts_gpu_download(ts_gpu *gpu, ts_view view, void *bytes, uint64_t len, ts_error *err);

// The host's address of a TS_PLACE_HOST view.
void *ts_view_host(ts_view view);

#endif
