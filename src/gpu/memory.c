#include "gpu/memory.h"

#include "base/log.h"
#include "base/memory.h"
#include "gpu/internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { STAGING_BYTES = 16 << 20 };

ts_view ts_view_slice(ts_view view, uint64_t first, uint64_t count)
{
    uint64_t size = ts_dtype_bytes(view.dtype);
    assert((first + count) * size <= view.bytes);
    return (ts_view){.buffer = view.buffer,
                     .offset = view.offset + first * size,
                     .bytes = count * size,
                     .dtype = view.dtype};
}

bool ts_view_join(ts_view *whole, ts_view view)
{
    if (whole->buffer == NULL) {
        *whole = view;
        return true;
    }
    if (whole->buffer != view.buffer || whole->dtype != view.dtype) {
        return false;
    }
    const uint64_t begin = ts_min_u64(whole->offset, view.offset);
    const uint64_t end = ts_max_u64(whole->offset + whole->bytes, view.offset + view.bytes);
    whole->offset = begin;
    whole->bytes = end - begin;
    return true;
}

bool ts_view_span(const ts_view *views, uint32_t count, ts_view *span, uint32_t *first)
{
    *span = (ts_view){0};
    if (ts_dtype_block(views[0].dtype) > 1) {
        return false;
    }
    const uint64_t size = ts_dtype_bytes(views[0].dtype);
    for (uint32_t i = 0; i < count; i++) {
        if ((i > 0 && views[i].offset < span->offset + span->bytes) ||
            !ts_view_join(span, views[i]) || span->bytes / size > UINT32_MAX) {
            return false;
        }
        first[i] = (uint32_t)((views[i].offset - span->offset) / size);
    }
    return true;
}

ts_view ts_view_bytes(ts_view view, uint64_t first, uint64_t count)
{
    assert(first + count <= view.bytes);
    return (ts_view){
        .buffer = view.buffer, .offset = view.offset + first, .bytes = count, .dtype = TS_U8};
}

uint64_t ts_view_address(ts_view view)
{
    bool addressed = view.buffer != NULL && view.buffer->address != 0;
    return addressed ? view.buffer->address + view.offset : 0;
}

// Memory types to try, best first, no type twice: *out has room for VK_MAX_MEMORY_TYPES.
static uint32_t list_types(const ts_gpu *gpu, uint32_t allowed, ts_gpu_place place, uint32_t *out)
{
    const VkMemoryPropertyFlags host =
        VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
    const VkMemoryPropertyFlags wanted[2][3] = {
        [TS_PLACE_DEVICE] = {VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT |
                                 (gpu->caps.unified_memory ? host : 0),
                             VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT, 0},
        [TS_PLACE_HOST] = {host |
                               (gpu->caps.cached_memory ? VK_MEMORY_PROPERTY_HOST_CACHED_BIT : 0),
                           host, host},
    };
    uint32_t count = 0, listed = 0;
    for (size_t w = 0; w < 3; w++) {
        for (uint32_t i = 0; i < gpu->memory.memoryTypeCount; i++) {
            VkMemoryPropertyFlags flags = gpu->memory.memoryTypes[i].propertyFlags;
            bool fits =
                (allowed & ~listed) >> i & 1u && (flags & wanted[place][w]) == wanted[place][w];
            if (fits && !(flags & VK_MEMORY_PROPERTY_PROTECTED_BIT)) {
                out[count++] = i;
                listed |= 1u << i;
            }
        }
    }
    return count;
}

static void close_buffer(ts_gpu *gpu, ts_gpu_buffer *buffer)
{
    if (buffer == NULL) {
        return;
    }
    if (gpu->mirror || gpu->compile_only) {
        free(buffer->mapped);
        free(buffer);
        return;
    }
    gpu->vk.vkDestroyBuffer(gpu->device, buffer->handle, NULL);
    gpu->vk.vkFreeMemory(gpu->device, buffer->memory, NULL);
    if (buffer->memory != VK_NULL_HANDLE) {
        gpu->allocated_bytes -= buffer->bytes;
    }
    free(buffer);
}

static bool is_coherent(const ts_gpu *gpu, uint32_t type)
{
    return (gpu->memory.memoryTypes[type].propertyFlags & VK_MEMORY_PROPERTY_HOST_COHERENT_BIT) !=
           0;
}

// Warns once that a card's own memory was not enough.
static void warn_of_host_memory(const ts_gpu *gpu, uint32_t type)
{
    bool local = gpu->memory.memoryTypes[type].propertyFlags & VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT;
    if (!local && !gpu->caps.unified_memory) {
        ts_log_once(TS_LOG_WARN,
                    "%s has no memory left of its own: the rest lies in the host's, which is "
                    "slower; a lower --max-memory makes the run fit",
                    gpu->caps.name);
    }
}

// Allocates the buffer's memory from the best memory type, which *type receives. Where that type's
// heap is full and `any_heap` is set, types of other heaps follow: the best heap may be small, such
// as what the firmware sets aside for an integrated GPU.
static ts_status allocate(ts_gpu *gpu, ts_gpu_place place, bool any_heap, bool addressed,
                          ts_gpu_buffer *buffer, uint32_t *type, ts_error *err)
{
    uint32_t types[VK_MAX_MEMORY_TYPES];
    VkMemoryRequirements needs;
    gpu->vk.vkGetBufferMemoryRequirements(gpu->device, buffer->handle, &needs);
    const VkMemoryAllocateFlagsInfo flags = {.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_FLAGS_INFO,
                                             .flags = VK_MEMORY_ALLOCATE_DEVICE_ADDRESS_BIT};
    VkMemoryAllocateInfo allocation = {.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
                                       .pNext = addressed ? &flags : NULL,
                                       .allocationSize = needs.size};
    uint32_t count = list_types(gpu, needs.memoryTypeBits, place, types), full_heaps = 0;
    ts_status status =
        ts_error_set(err, TS_ERR_DEVICE, "the driver offers no kind of memory for buffers%s",
                     place == TS_PLACE_HOST ? " that the host reaches" : "");
    for (uint32_t i = 0; i < count; i++) {
        uint32_t heap = gpu->memory.memoryTypes[types[i]].heapIndex;
        if (full_heaps >> heap & 1u) {
            continue;
        }
        allocation.memoryTypeIndex = *type = types[i];
        status =
            ts_gpu_check(gpu->vk.vkAllocateMemory(gpu->device, &allocation, NULL, &buffer->memory),
                         "vkAllocateMemory", err);
        if (status != TS_ERR_MEMORY || !any_heap) {
            break;
        }
        full_heaps |= 1u << heap;
    }
    if (status == TS_OK && place == TS_PLACE_DEVICE) {
        warn_of_host_memory(gpu, *type);
    }
    return status;
}

// Maps memory that the host can reach, which saves a copy. What is not mapped is copied through a
// staging buffer.
static ts_status map(ts_gpu *gpu, ts_gpu_place place, uint32_t type, ts_gpu_buffer *buffer,
                     ts_error *err)
{
    void *mapped = NULL;
    if (place == TS_PLACE_DEVICE && !(gpu->caps.unified_memory && is_coherent(gpu, type))) {
        return TS_OK;
    }
    ts_status status =
        ts_gpu_check(gpu->vk.vkMapMemory(gpu->device, buffer->memory, 0, VK_WHOLE_SIZE, 0, &mapped),
                     "vkMapMemory", err);
    buffer->mapped = mapped;
    return place == TS_PLACE_DEVICE && status == TS_ERR_MEMORY ? TS_OK : status;
}

// A buffer in Vulkan's sense, with its memory.
static ts_status open_real_buffer(ts_gpu *gpu, ts_gpu_place place, bool any_heap, uint64_t bytes,
                                  ts_gpu_buffer *buffer, ts_error *err)
{
    ts_status status = TS_OK;
    bool addressed = gpu->caps.has_addresses && place == TS_PLACE_DEVICE;
    uint32_t type = 0;
    const VkBufferCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
        .size = bytes,
        .usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_TRANSFER_SRC_BIT |
                 VK_BUFFER_USAGE_TRANSFER_DST_BIT |
                 (addressed ? VK_BUFFER_USAGE_SHADER_DEVICE_ADDRESS_BIT : 0)};
    TS_TRY(ts_gpu_check(gpu->vk.vkCreateBuffer(gpu->device, &info, NULL, &buffer->handle),
                        "vkCreateBuffer", err));
    TS_TRY(allocate(gpu, place, any_heap, addressed, buffer, &type, err));
    buffer->bytes = bytes;
    gpu->allocated_bytes += bytes;
    TS_TRY(ts_gpu_check(gpu->vk.vkBindBufferMemory(gpu->device, buffer->handle, buffer->memory, 0),
                        "vkBindBufferMemory", err));
    if (addressed) {
        const VkBufferDeviceAddressInfo of = {.sType = VK_STRUCTURE_TYPE_BUFFER_DEVICE_ADDRESS_INFO,
                                              .buffer = buffer->handle};
        buffer->address = gpu->vk.vkGetBufferDeviceAddress(gpu->device, &of);
    }
    TS_TRY(map(gpu, place, type, buffer, err));
out:
    return status;
}

// any_heap: where the best memory is full, other memory is used.
static ts_status open_buffer(ts_gpu *gpu, ts_gpu_place place, bool any_heap, uint64_t bytes,
                             ts_gpu_buffer **out, ts_error *err)
{
    ts_status status = TS_OK;
    ts_gpu_buffer *buffer = NULL;
    TS_TRY(ts_alloc(1, sizeof *buffer, &buffer, err));
    if (gpu->mirror || gpu->compile_only) {
        buffer->bytes = bytes;
        if (gpu->mirror) {
            TS_TRY(ts_alloc(bytes, 1, &buffer->mapped, err));
        }
    } else {
        TS_TRY(open_real_buffer(gpu, place, any_heap, bytes, buffer, err));
    }
out:
    if (status != TS_OK) {
        const double mib = 1 << 20;
        ts_error_context(err,
                         "device memory: %.1f MiB asked for, %.1f MiB held already, %.1f MiB were "
                         "free when the run began",
                         (double)bytes / mib, (double)gpu->allocated_bytes / mib,
                         (double)gpu->caps.memory_free_bytes / mib);
        close_buffer(gpu, buffer);
        buffer = NULL;
    }
    *out = buffer;
    return status;
}

// The first block with that many bytes left: small tensors fill what large ones left of a block.
static ts_gpu_buffer *block_with(const ts_gpu_arena *arena, uint64_t bytes)
{
    for (size_t i = 0; i < arena->block_count; i++) {
        if (arena->blocks[i]->bytes - arena->blocks[i]->used >= bytes) {
            return arena->blocks[i];
        }
    }
    return NULL;
}

// Opens a block for at least `bytes`. Where the best memory has no room for a block of the usual
// size, half of it is tried, and so on down to `bytes`. Where even that does not fit, the second
// pass tries the same in all other memory.
static ts_status open_block(ts_gpu_arena *arena, uint64_t bytes, ts_gpu_buffer **out, ts_error *err)
{
    ts_status status = TS_ERR_MEMORY;
    for (int pass = 0; pass < 2 && status == TS_ERR_MEMORY; pass++) {
        uint64_t size = ts_max_u64(bytes, arena->block_bytes);
        status = open_buffer(arena->gpu, arena->place, pass > 0, size, out, err);
        while (status == TS_ERR_MEMORY && size > bytes) {
            size = ts_max_u64(bytes, ts_align_up(size / 2, TS_VIEW_ALIGNMENT));
            ts_log(TS_LOG_DEBUG, "%s; trying %.1f MiB", err->message, (double)size / (1 << 20));
            status = open_buffer(arena->gpu, arena->place, pass > 0, size, out, err);
        }
    }
    return status;
}

// A block with so many bytes left, opened if there is none.
static ts_status find_block(ts_gpu_arena *arena, uint64_t bytes, ts_gpu_buffer **out, ts_error *err)
{
    ts_status status = TS_OK;
    *out = block_with(arena, bytes);
    if (*out == NULL) {
        TS_TRY(ts_grow(&arena->blocks, &arena->block_capacity, arena->block_count + 1,
                       sizeof *arena->blocks, err));
        TS_TRY(open_block(arena, bytes, out, err));
        arena->blocks[arena->block_count++] = *out;
    }
out:
    return status;
}

ts_status ts_gpu_arena_gather(ts_gpu_arena *arena, uint64_t bytes, ts_error *err)
{
    ts_status status = TS_OK;
    if (arena->gpu != NULL) {
        TS_TRY(find_block(arena, bytes, &arena->gathering, err));
        arena->gathering_bytes = bytes;
    }
out:
    return status;
}

ts_status ts_gpu_alloc(ts_gpu_arena *arena, ts_dtype dtype, uint64_t count, ts_view *out,
                       ts_error *err)
{
    ts_status status = TS_OK;
    if (arena->gpu != NULL && arena->gpu->mirror && dtype == TS_F32) {
        dtype = TS_F64;
    }
    enum { MOST_BYTES = 8 }; // of an element
    if (count == 0 || count > (UINT64_MAX - TS_VIEW_ALIGNMENT) / MOST_BYTES) {
        TS_FAIL(TS_ERR_MEMORY, "a tensor of %llu elements is beyond what can be addressed",
                (unsigned long long)count);
    }
    *out = (ts_view){.bytes = ts_dtype_size(dtype, count), .dtype = dtype};
    uint64_t bytes = ts_align_up(out->bytes, TS_VIEW_ALIGNMENT);
    if (arena->gpu != NULL) {
        ts_gpu_buffer *block = arena->gathering;
        if (arena->gathering_bytes >= bytes) {
            arena->gathering_bytes -= bytes;
        } else {
            arena->gathering_bytes = 0;
            TS_TRY(find_block(arena, bytes, &block, err));
        }
        out->buffer = block;
        out->offset = block->used;
        block->used += bytes;
    }
    arena->used_bytes += bytes;
out:
    return status;
}

void ts_gpu_arena_close(ts_gpu_arena *arena)
{
    for (size_t i = 0; i < arena->block_count; i++) {
        close_buffer(arena->gpu, arena->blocks[i]);
    }
    free(arena->blocks);
    *arena = (ts_gpu_arena){0};
}

// One copy between two buffers, waited for. Used only while loading and saving.
static ts_status copy_now(ts_gpu *gpu, VkBuffer from, uint64_t from_offset, VkBuffer to,
                          uint64_t to_offset, uint64_t bytes, ts_error *err)
{
    ts_status status = TS_OK;
    VkCommandPool pool = VK_NULL_HANDLE;
    VkCommandBuffer commands;
    const VkCommandPoolCreateInfo pool_info = {.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
                                               .queueFamilyIndex = gpu->queue_family};
    TS_TRY(ts_gpu_check(gpu->vk.vkCreateCommandPool(gpu->device, &pool_info, NULL, &pool),
                        "vkCreateCommandPool", err));
    const VkCommandBufferAllocateInfo allocate = {
        .sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
        .commandPool = pool,
        .level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
        .commandBufferCount = 1};
    TS_TRY(ts_gpu_check(gpu->vk.vkAllocateCommandBuffers(gpu->device, &allocate, &commands),
                        "vkAllocateCommandBuffers", err));
    const VkCommandBufferBeginInfo begin = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO};
    const VkBufferCopy region = {.srcOffset = from_offset, .dstOffset = to_offset, .size = bytes};
    TS_TRY(
        ts_gpu_check(gpu->vk.vkBeginCommandBuffer(commands, &begin), "vkBeginCommandBuffer", err));
    gpu->vk.vkCmdCopyBuffer(commands, from, to, 1, &region);
    // Without this barrier the host might not see what was copied, even after waiting for the copy.
    const VkMemoryBarrier barrier = {.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
                                     .srcAccessMask = VK_ACCESS_TRANSFER_WRITE_BIT,
                                     .dstAccessMask = VK_ACCESS_HOST_READ_BIT};
    gpu->vk.vkCmdPipelineBarrier(commands, VK_PIPELINE_STAGE_TRANSFER_BIT,
                                 VK_PIPELINE_STAGE_HOST_BIT, 0, 1, &barrier, 0, NULL, 0, NULL);
    TS_TRY(ts_gpu_check(gpu->vk.vkEndCommandBuffer(commands), "vkEndCommandBuffer", err));
    const VkSubmitInfo submit = {.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
                                 .commandBufferCount = 1,
                                 .pCommandBuffers = &commands};
    TS_TRY(ts_gpu_check(gpu->vk.vkQueueSubmit(gpu->queue, 1, &submit, VK_NULL_HANDLE),
                        "vkQueueSubmit", err));
    TS_TRY(ts_gpu_check(gpu->vk.vkQueueWaitIdle(gpu->queue), "vkQueueWaitIdle", err));
out:
    gpu->vk.vkDestroyCommandPool(gpu->device, pool, NULL);
    return status;
}

// Moves bytes through a staging buffer, STAGING_BYTES at a time.
static ts_status transfer(ts_gpu *gpu, ts_view view, void *bytes, uint64_t len, bool upload,
                          ts_error *err)
{
    ts_status status = TS_OK;
    ts_gpu_buffer *staging = NULL;
    TS_TRY(open_buffer(gpu, TS_PLACE_HOST, true, ts_min_u64(len, STAGING_BYTES), &staging, err));
    for (uint64_t at = 0; at < len; at += staging->bytes) {
        uint64_t piece = ts_min_u64(len - at, staging->bytes);
        unsigned char *host = (unsigned char *)bytes + at;
        if (upload) {
            memcpy(staging->mapped, host, piece);
            TS_TRY(copy_now(gpu, staging->handle, 0, view.buffer->handle, view.offset + at, piece,
                            err));
        } else {
            TS_TRY(copy_now(gpu, view.buffer->handle, view.offset + at, staging->handle, 0, piece,
                            err));
            memcpy(host, staging->mapped, piece);
        }
    }
out:
    close_buffer(gpu, staging);
    return status;
}

ts_status ts_gpu_upload(ts_gpu *gpu, ts_view view, const void *bytes, uint64_t len, ts_error *err)
{
    if (view.dtype == TS_F64) { // the mirror device stores F32 tensors as doubles
        double *to = ts_view_host(view);
        for (uint64_t i = 0; i < len / sizeof(float); i++) {
            to[i] = ((const float *)bytes)[i];
        }
        return TS_OK;
    }
    assert(len <= view.bytes);
    if (gpu->compile_only) {
        return TS_OK;
    }
    if (view.buffer->mapped != NULL) {
        memcpy(view.buffer->mapped + view.offset, bytes, len);
        return TS_OK;
    }
    return transfer(gpu, view, (void *)(uintptr_t)bytes, len, true, err);
}

ts_status ts_gpu_download(ts_gpu *gpu, ts_view view, void *bytes, uint64_t len, ts_error *err)
{
    if (view.dtype == TS_F64) {
        const double *from = ts_view_host(view);
        for (uint64_t i = 0; i < len / sizeof(float); i++) {
            ((float *)bytes)[i] = (float)from[i];
        }
        return TS_OK;
    }
    assert(len <= view.bytes);
    if (gpu->compile_only) {
        memset(bytes, 0, len);
        return TS_OK;
    }
    if (view.buffer->mapped != NULL) {
        memcpy(bytes, view.buffer->mapped + view.offset, len);
        return TS_OK;
    }
    return transfer(gpu, view, bytes, len, false, err);
}

void *ts_view_host(ts_view view)
{
    assert(view.buffer->mapped != NULL);
    return view.buffer->mapped + view.offset;
}
