// Which device is chosen, and how much of its memory counts as free, for made-up devices.
#include "base/memory.h"
#include "device.h"
#include "gpu/internal.h"

#include <string.h>

static const uint64_t GIB = 1 << 30;

static ts_gpu_caps faked(const char *name, VkPhysicalDeviceType type)
{
    ts_gpu_caps caps = {.type = type};
    snprintf(caps.name, sizeof caps.name, "%s", name);
    return caps;
}

// The choice among `count` devices of these types; bit i of `unusable` stands for device i.
static size_t chosen_of(const VkPhysicalDeviceType *types, size_t count, unsigned unusable)
{
    ts_gpu_caps caps[8];
    ts_gpu_list list = {.caps = caps, .count = count};
    for (size_t i = 0; i < count; i++) {
        caps[i] = faked("card", types[i]);
        caps[i].unusable = unusable >> i & 1 ? "it is broken" : NULL;
    }
    MUST(ts_gpu_choose(&list, NULL, err));
    cr_assert_gt(strlen(list.reason), 0);
    return list.chosen;
}

#define OTHER VK_PHYSICAL_DEVICE_TYPE_OTHER
#define INTEGRATED VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU
#define DISCRETE VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU
#define VIRTUAL VK_PHYSICAL_DEVICE_TYPE_VIRTUAL_GPU
#define CPU VK_PHYSICAL_DEVICE_TYPE_CPU

Test(choice, takes_discrete_then_integrated_then_others_and_the_cpu_last)
{
    const VkPhysicalDeviceType rising[] = {CPU, OTHER, VIRTUAL, INTEGRATED, DISCRETE};
    for (size_t count = 1; count <= TS_COUNT(rising); count++) {
        cr_assert_eq(chosen_of(rising, count, 0), count - 1, "of the first %zu", count);
    }
    const VkPhysicalDeviceType two[] = {INTEGRATED, DISCRETE, DISCRETE, CPU};
    cr_assert_eq(chosen_of(two, TS_COUNT(two), 0), 1, "the first of equals");
    cr_assert_eq(chosen_of(two, TS_COUNT(two), 0x2), 2, "an unusable one is passed over");
    cr_assert_eq(chosen_of(two, TS_COUNT(two), 0x6), 0);
    cr_assert_eq(chosen_of(two, TS_COUNT(two), 0x7), 3, "the CPU where nothing else is left");
}

Test(choice, by_number_or_part_of_a_name)
{
    ts_gpu_caps caps[] = {faked("llvmpipe (LLVM 15)", CPU), faked("Radeon 780M", INTEGRATED),
                          faked("GeForce RTX 4090", DISCRETE), faked("GeForce 9", DISCRETE)};
    ts_gpu_list list = {.caps = caps, .count = TS_COUNT(caps)};
    ts_error error = {0};
    MUST(ts_gpu_choose(&list, "0", err));
    cr_assert_eq(list.chosen, 0);
    MUST(ts_gpu_choose(&list, "radeon", err));
    cr_assert_eq(list.chosen, 1);
    MUST(ts_gpu_choose(&list, "RTX", err));
    cr_assert_eq(list.chosen, 2);
    cr_assert_eq(ts_gpu_choose(&list, "4", &error), TS_ERR_ARGUMENT, "a number is a number");
    cr_assert_eq(ts_gpu_choose(&list, "GeForce", &error), TS_ERR_ARGUMENT);
    cr_assert_not_null(strstr(error.message, "several"), "%s", error.message);
}

// Free bytes of a device of one device-local heap; budget 0: the driver does not tell.
static uint64_t free_of(VkPhysicalDeviceType type, uint64_t heap, uint64_t budget, uint64_t usage,
                        uint64_t host, uint64_t host_free)
{
    ts_gpu_caps caps = faked("card", type);
    const VkPhysicalDeviceMemoryProperties memory = {
        .memoryHeapCount = 2,
        .memoryHeaps = {{.size = 4 * heap}, // the host's, which must not be counted
                        {.size = heap, .flags = VK_MEMORY_HEAP_DEVICE_LOCAL_BIT}}};
    const VkPhysicalDeviceMemoryBudgetPropertiesEXT told = {.heapBudget = {4 * heap, budget},
                                                            .heapUsage = {0, usage}};
    ts_gpu_weigh_memory(&memory, budget > 0 ? &told : NULL, host, host_free, &caps);
    cr_assert_eq(caps.memory_bytes, type == CPU ? host : heap);
    cr_assert_eq(caps.unified_memory, type == CPU || type == INTEGRATED);
    return caps.memory_free_bytes;
}

Test(choice, free_memory_is_what_the_budget_leaves)
{
    cr_assert_eq(free_of(DISCRETE, 8 * GIB, 0, 0, 16 * GIB, GIB), 8 * GIB, "nobody tells");
    cr_assert_eq(free_of(DISCRETE, 8 * GIB, 6 * GIB, GIB, 16 * GIB, GIB), 5 * GIB);
    cr_assert_eq(free_of(DISCRETE, 8 * GIB, 6 * GIB, 7 * GIB, 16 * GIB, GIB), 0, "overdrawn");
    cr_assert_eq(free_of(DISCRETE, 8 * GIB, 60 * GIB, 0, 16 * GIB, GIB), 8 * GIB, "odd");
}

Test(choice, memory_that_is_the_hosts_is_as_free_as_the_hosts)
{
    cr_assert_eq(free_of(CPU, 2 * GIB, 0, 0, 16 * GIB, 10 * GIB), 10 * GIB);
    cr_assert_eq(free_of(INTEGRATED, 12 * GIB, 11 * GIB, 0, 16 * GIB, 3 * GIB), 3 * GIB);
    cr_assert_eq(free_of(INTEGRATED, 12 * GIB, 2 * GIB, 0, 16 * GIB, 3 * GIB), 2 * GIB);
    // Firmware may set memory aside for the GPU, which the host then does not count as its own.
    cr_assert_eq(free_of(INTEGRATED, 72 * GIB, 70 * GIB, 0, 32 * GIB, 20 * GIB), 60 * GIB);
}

Test(choice, a_device_without_memory_is_not_asked_for_any)
{
    ts_gpu_caps caps = faked("Null hardware", DISCRETE);
    VkPhysicalDeviceMemoryProperties memory = {0};
    ts_gpu_weigh_memory(&memory, NULL, GIB, GIB, &caps);
    cr_assert_eq(caps.memory_bytes, 0);
    cr_assert_eq(caps.memory_free_bytes, 0);
}

Test(choice, a_device_below_what_is_needed_is_refused_by_what_it_lacks)
{
    VkPhysicalDeviceLimits limits = {.maxPerStageDescriptorStorageBuffers = 12,
                                     .maxDescriptorSetStorageBuffers = 24,
                                     .maxPerStageResources = 128,
                                     .minStorageBufferOffsetAlignment = 256};
    cr_assert_null(ts_gpu_check_limits(&limits));
    limits.maxPerStageDescriptorStorageBuffers = 4; // the least that Vulkan allows
    cr_assert_not_null(strstr(ts_gpu_check_limits(&limits), "buffers"));
    limits.maxPerStageDescriptorStorageBuffers = 12;
    limits.minStorageBufferOffsetAlignment = 512;
    cr_assert_not_null(strstr(ts_gpu_check_limits(&limits), "256 bytes"));
}

Test(choice, a_clock_that_starts_again_still_tells_time)
{
    ts_gpu_caps caps = {.timestamp_ns = 2, .timestamp_mask = (UINT64_C(1) << 36) - 1};
    cr_assert_float_eq(ts_gpu_ticks_s(&caps, 1000, 501000), 1e-3, 1e-12);
    cr_assert_float_eq(ts_gpu_ticks_s(&caps, caps.timestamp_mask - 999, 499000), 1e-3, 1e-12);
    caps.timestamp_mask = UINT64_MAX;
    cr_assert_lt(ts_gpu_ticks_s(&caps, 2, 1), 0, "64 bits never start again");
}

Test(choice, shaders_ask_for_subgroups_of_one_size_or_rely_on_none)
{
    enum { INTEL = 0x8086, AMD = 0x1002, NVIDIA = 0x10de };
    VkPhysicalDeviceSubgroupSizeControlPropertiesEXT sizes = {.minSubgroupSize = 8,
                                                              .maxSubgroupSize = 32,
                                                              .requiredSubgroupSizeStages =
                                                                  VK_SHADER_STAGE_COMPUTE_BIT};
    cr_assert_eq(ts_gpu_choose_subgroup(&sizes, INTEL, 32),
                 8); // SIMD8, 16 or 32: the compiler's choice
    cr_assert_eq(ts_gpu_choose_subgroup(&sizes, AMD, 32), 32);
    sizes.requiredSubgroupSizeStages = VK_SHADER_STAGE_FRAGMENT_BIT;
    cr_assert_eq(ts_gpu_choose_subgroup(&sizes, INTEL, 32), 0, "it may be any of the three");
    sizes.minSubgroupSize = 32;
    cr_assert_eq(ts_gpu_choose_subgroup(&sizes, NVIDIA, 32), 32, "it can be no other");
}

Test(choice, vendors_that_are_not_known_have_the_fewest_registers)
{
    cr_assert_eq(ts_gpu_registers(0x10de), 255);
    cr_assert_eq(ts_gpu_registers(0x8086), 128);
    cr_assert_eq(ts_gpu_registers(0x13b5), 64);
    cr_assert_eq(ts_gpu_registers(0), 64);
}
