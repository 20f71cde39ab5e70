// Arenas, and transfers to the device and back by every path.
#include "base/memory.h"
#include "device.h"
#include "gpu/internal.h"

#include <string.h>

// Tensors of awkward sizes, some larger than a block.
static void fill_arena(ts_gpu_arena *arena, ts_view views[8])
{
    static const struct {
        ts_dtype dtype;
        uint64_t count;
    } tensors[8] = {{TS_F32, 1},   {TS_BF16, 3},    {TS_F16, 129}, {TS_F32, 64},
                    {TS_U32, 777}, {TS_F32, 40000}, {TS_BF16, 1},  {TS_F32, 16384}};
    for (int i = 0; i < 8; i++) {
        MUST(ts_gpu_alloc(arena, tensors[i].dtype, tensors[i].count, &views[i], err));
        cr_assert_eq(views[i].bytes, tensors[i].count * ts_dtype_bytes(tensors[i].dtype));
        cr_assert_eq(views[i].dtype, tensors[i].dtype);
    }
}

Test(arena, counts_what_it_takes)
{
    ts_gpu *gpu = test_gpu_open();
    ts_gpu_arena counting = {0}, real = {.gpu = gpu, .block_bytes = 1 << 16};
    ts_view views[8];
    fill_arena(&counting, views);
    fill_arena(&real, views);
    cr_assert_eq(counting.used_bytes, real.used_bytes);
    cr_assert_eq(counting.block_count, 0);
    cr_assert_gt(real.block_count, 1);
    ts_gpu_arena_close(&real);
    ts_gpu_arena_close(&counting);
    cr_assert_eq(gpu->allocated_bytes, 0, "%llu bytes are still held",
                 (unsigned long long)gpu->allocated_bytes);
    test_gpu_close(gpu);
}

Test(arena, views_are_aligned_and_apart)
{
    ts_gpu *gpu = test_gpu_open();
    ts_gpu_arena arena = {.gpu = gpu, .block_bytes = 1 << 16};
    ts_view views[8];
    fill_arena(&arena, views);
    for (int i = 0; i < 8; i++) {
        cr_assert_eq(views[i].offset % ts_gpu_capabilities(gpu)->view_alignment, 0);
        cr_assert_leq(views[i].offset + ts_align_up(views[i].bytes, 4), views[i].buffer->bytes);
        for (int j = 0; j < i; j++) {
            bool apart = views[i].buffer != views[j].buffer ||
                         views[i].offset >= views[j].offset + ts_align_up(views[j].bytes, 4) ||
                         views[j].offset >= views[i].offset + ts_align_up(views[i].bytes, 4);
            cr_assert(apart, "views %d and %d overlap", i, j);
        }
    }
    ts_gpu_arena_close(&arena);
    test_gpu_close(gpu);
}

Test(arena, refuses_what_cannot_be)
{
    ts_gpu *gpu = test_gpu_open();
    ts_gpu_arena arena = {.gpu = gpu, .block_bytes = 1 << 16};
    ts_view view;
    ts_error err = {0};
    cr_assert_eq(ts_gpu_alloc(&arena, TS_F32, 0, &view, &err), TS_ERR_MEMORY);
    cr_assert_eq(ts_gpu_alloc(&arena, TS_F32, UINT64_MAX / 2, &view, &err), TS_ERR_MEMORY);
    ts_gpu_arena_close(&arena);
    test_gpu_close(gpu);
}

// Every path of a transfer: mapped memory, and with the mapping hidden the staging buffer, in one
// piece and in several.
static void round_trip(ts_gpu *gpu, ts_gpu_place place, bool staged, uint64_t count)
{
    ts_gpu_arena arena = {.gpu = gpu, .place = place, .block_bytes = 1 << 16};
    ts_view before, view, after;
    uint32_t *there = malloc(count * sizeof *there), *back = calloc(count, sizeof *back);
    uint32_t guard = 0xA5A5A5A5u, seen = 0;
    for (uint64_t i = 0; i < count; i++) {
        there[i] = (uint32_t)i * 2654435761u;
    }
    MUST(ts_gpu_alloc(&arena, TS_U32, 1, &before, err));
    MUST(ts_gpu_alloc(&arena, TS_U32, count, &view, err));
    MUST(ts_gpu_alloc(&arena, TS_U32, 1, &after, err));
    MUST(ts_gpu_upload(gpu, before, &guard, sizeof guard, err));
    MUST(ts_gpu_upload(gpu, after, &guard, sizeof guard, err));
    unsigned char *mapped = view.buffer->mapped;
    if (staged) {
        ((ts_gpu_buffer *)(uintptr_t)view.buffer)->mapped = NULL;
    }
    MUST(ts_gpu_upload(gpu, view, there, count * sizeof *there, err));
    MUST(ts_gpu_download(gpu, view, back, count * sizeof *back, err));
    ((ts_gpu_buffer *)(uintptr_t)view.buffer)->mapped = mapped;
    cr_assert_arr_eq(back, there, count * sizeof *back);
    MUST(ts_gpu_download(gpu, before, &seen, sizeof seen, err));
    cr_assert_eq(seen, guard);
    MUST(ts_gpu_download(gpu, after, &seen, sizeof seen, err));
    cr_assert_eq(seen, guard);
    free(there);
    free(back);
    ts_gpu_arena_close(&arena);
}

Test(transfer, round_trips)
{
    static const uint64_t counts[] = {1, 3, 64, 5000, (16 << 20) / 4, (16 << 20) / 4 * 2 + 17};
    ts_gpu *gpu = test_gpu_open();
    for (size_t i = 0; i < TS_COUNT(counts); i++) {
        round_trip(gpu, TS_PLACE_DEVICE, false, counts[i]);
        round_trip(gpu, TS_PLACE_DEVICE, true, counts[i]);
        round_trip(gpu, TS_PLACE_HOST, false, counts[i]);
    }
    test_gpu_close(gpu);
}

Test(transfer, odd_halves_through_staging)
{
    ts_gpu *gpu = test_gpu_open();
    ts_gpu_arena arena = {.gpu = gpu, .block_bytes = 1 << 16};
    ts_view view;
    const uint16_t there[5] = {1, 2, 3, 4, 0xFFFF};
    uint16_t back[5] = {0};
    MUST(ts_gpu_alloc(&arena, TS_BF16, 5, &view, err));
    ((ts_gpu_buffer *)(uintptr_t)view.buffer)->mapped = NULL;
    MUST(ts_gpu_upload(gpu, view, there, sizeof there, err));
    MUST(ts_gpu_download(gpu, view, back, sizeof back, err));
    cr_assert_arr_eq(back, there, sizeof there);
    ts_gpu_arena_close(&arena);
    test_gpu_close(gpu);
}

Test(transfer, mirror_widens)
{
    ts_gpu *gpu = NULL;
    ts_view view;
    const float there[3] = {0.1f, -2, 3e30f};
    float back[3] = {0};
    MUST(ts_gpu_open_mirror(&gpu, err));
    ts_gpu_arena arena = {.gpu = gpu, .block_bytes = 1 << 10};
    MUST(ts_gpu_alloc(&arena, TS_F32, 3, &view, err));
    MUST(ts_gpu_upload(gpu, view, there, sizeof there, err));
    cr_assert_eq(((double *)ts_view_host(view))[0], (double)0.1f);
    MUST(ts_gpu_download(gpu, view, back, sizeof back, err));
    cr_assert_arr_eq(back, there, sizeof there);
    ts_gpu_arena_close(&arena);
    ts_gpu_close(gpu);
}

// Pretends to be a card with two heaps, where the first, the card's own, is soon full. Both are
// llvmpipe's memory.
static struct {
    struct VolkDeviceTable real;
    uint64_t left; // bytes of the card's own heap
    uint32_t in_own, in_other;
} card;

static VkResult VKAPI_CALL allocate_on_card(VkDevice device, const VkMemoryAllocateInfo *info,
                                            const VkAllocationCallbacks *allocator,
                                            VkDeviceMemory *out)
{
    VkMemoryAllocateInfo passed = *info;
    passed.memoryTypeIndex = 0;
    if (info->memoryTypeIndex == 0) {
        if (info->allocationSize > card.left) {
            return VK_ERROR_OUT_OF_DEVICE_MEMORY;
        }
        card.left -= info->allocationSize;
        card.in_own++;
    } else {
        card.in_other++;
    }
    return card.real.vkAllocateMemory(device, &passed, allocator, out);
}

static void VKAPI_CALL need_any_type(VkDevice device, VkBuffer buffer, VkMemoryRequirements *out)
{
    card.real.vkGetBufferMemoryRequirements(device, buffer, out);
    out->memoryTypeBits = 3;
}

Test(arena, goes_on_in_another_heap_where_one_is_full)
{
    ts_gpu *gpu = test_gpu_open();
    ts_gpu_arena arena = {.gpu = gpu, .block_bytes = 1 << 20};
    ts_view views[4];
    const VkMemoryPropertyFlags all = gpu->memory.memoryTypes[0].propertyFlags;
    gpu->memory = (VkPhysicalDeviceMemoryProperties){
        .memoryTypeCount = 2,
        .memoryTypes = {{.propertyFlags = all, .heapIndex = 0},
                        {.propertyFlags =
                             all & ~(VkMemoryPropertyFlags)VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT,
                         .heapIndex = 1}},
        .memoryHeapCount = 2,
        .memoryHeaps = {{.size = 3 << 19}, {.size = 1 << 30}}};
    card.real = gpu->vk;
    card.left = 3 << 19; // a block and a half
    gpu->vk.vkAllocateMemory = allocate_on_card;
    gpu->vk.vkGetBufferMemoryRequirements = need_any_type;
    for (size_t i = 0; i < TS_COUNT(views); i++) { // one fills a block, or half of it
        MUST(ts_gpu_alloc(&arena, TS_U32, i < 1 ? 1 << 18 : 1 << 17, &views[i], err));
    }
    cr_assert_eq(card.in_own, 2, "a whole block, then half of one: %u", card.in_own);
    cr_assert_eq(card.in_other, 1, "and the next whole one elsewhere: %u", card.in_other);
    gpu->vk = card.real;
    ts_gpu_arena_close(&arena);
    test_gpu_close(gpu);
}
