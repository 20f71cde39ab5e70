// A training run in its steady state allocates nothing. Counted are our own calls on the host,
// which the linker sends through here (tests/CMakeLists.txt), and on the device everything that
// makes an object or takes memory, through the device's function table. What drivers and libraries
// take for themselves cannot be counted. The run saves nothing on its way, for a save may allocate.
#include "base/file.h"
#include "device.h"
#include "gpu/internal.h"
#include "train/trainer.h"

#include <stdlib.h>
#include <unistd.h>

static uint64_t host_count, device_count;

#define HOST(result, name, parameters, ...)                                                        \
    result __real_##name parameters;                                                               \
    result __wrap_##name parameters;                                                               \
    result __wrap_##name parameters                                                                \
    {                                                                                              \
        host_count++;                                                                              \
        return __real_##name(__VA_ARGS__);                                                         \
    }
HOST(void *, malloc, (size_t bytes), bytes)
HOST(void *, calloc, (size_t count, size_t bytes), count, bytes)
HOST(void *, realloc, (void *old, size_t bytes), old, bytes)
HOST(char *, strdup, (const char *text), text)
HOST(char *, strndup, (const char *text, size_t most), text, most)

static struct VolkDeviceTable real;

#define DEVICE(name, parameters, ...)                                                              \
    static VKAPI_ATTR VkResult VKAPI_CALL count_##name parameters                                  \
    {                                                                                              \
        device_count++;                                                                            \
        return real.name(__VA_ARGS__);                                                             \
    }
#define CREATE(name, type, info)                                                                   \
    DEVICE(name,                                                                                   \
           (VkDevice device, const info *from, const VkAllocationCallbacks *with, type *out),      \
           device, from, with, out)
CREATE(vkAllocateMemory, VkDeviceMemory, VkMemoryAllocateInfo)
CREATE(vkCreateBuffer, VkBuffer, VkBufferCreateInfo)
CREATE(vkCreateDescriptorPool, VkDescriptorPool, VkDescriptorPoolCreateInfo)
CREATE(vkCreateCommandPool, VkCommandPool, VkCommandPoolCreateInfo)
CREATE(vkCreateQueryPool, VkQueryPool, VkQueryPoolCreateInfo)
CREATE(vkCreateFence, VkFence, VkFenceCreateInfo)
CREATE(vkCreateShaderModule, VkShaderModule, VkShaderModuleCreateInfo)
DEVICE(vkAllocateCommandBuffers,
       (VkDevice device, const VkCommandBufferAllocateInfo *from, VkCommandBuffer *out), device,
       from, out)
DEVICE(vkCreateComputePipelines,
       (VkDevice device, VkPipelineCache cache, uint32_t count,
        const VkComputePipelineCreateInfo *from, const VkAllocationCallbacks *with,
        VkPipeline *out),
       device, cache, count, from, with, out)

static void count_on(ts_gpu *gpu)
{
    real = gpu->vk;
    gpu->vk.vkAllocateMemory = count_vkAllocateMemory;
    gpu->vk.vkCreateBuffer = count_vkCreateBuffer;
    gpu->vk.vkCreateDescriptorPool = count_vkCreateDescriptorPool;
    gpu->vk.vkCreateCommandPool = count_vkCreateCommandPool;
    gpu->vk.vkCreateQueryPool = count_vkCreateQueryPool;
    gpu->vk.vkCreateFence = count_vkCreateFence;
    gpu->vk.vkCreateShaderModule = count_vkCreateShaderModule;
    gpu->vk.vkAllocateCommandBuffers = count_vkAllocateCommandBuffers;
    gpu->vk.vkCreateComputePipelines = count_vkCreateComputePipelines;
}

struct counts {
    uint64_t host[2], device[2]; // after steps 1 and 10
    uint64_t steps;
};

// The host is a step ahead by then: between the two calls it prepares and records steps 3 to 11,
// and the device runs 2 to 10.
static void on_progress(void *user, const ts_train_progress *progress)
{
    struct counts *counts = user;
    counts->steps = progress->step;
    if (progress->step == 1 || progress->step == 10) {
        counts->host[progress->step == 10] = host_count;
        counts->device[progress->step == 10] = device_count;
    }
}

Test(train, steady_state_allocates_nothing, .timeout = 300)
{
    char folder[] = "/tmp/tinysft-allocations-XXXXXX";
    cr_assert_not_null(mkdtemp(folder));
    ts_train_settings settings = ts_train_defaults();
    settings.model_folder = PROJECT_FOLDER "/assets/base";
    settings.data = PROJECT_FOLDER "/data/dataset.json";
    settings.output_dir = folder;
    settings.max_steps = 12;
    settings.batch_size = 2;
    settings.accumulation = 2;
    ts_gpu *gpu = test_gpu_open();
    ts_trainer trainer;
    struct counts counts = {0};
    const ts_train_callbacks callbacks = {.progress = on_progress, .user = &counts};
    count_on(gpu);
    MUST(ts_trainer_open(&settings, &trainer, err));
    MUST(ts_trainer_prepare_output(&trainer, err));
    MUST(ts_trainer_run(&trainer, gpu, &callbacks, err));
    cr_assert_eq(counts.steps, 12);
    cr_assert_gt(counts.host[0], 100, "nothing is counted");
    cr_assert_gt(counts.device[0], 20, "nothing is counted");
    cr_assert_eq(counts.host[1] - counts.host[0], 0, "%llu allocations on the host",
                 (unsigned long long)(counts.host[1] - counts.host[0]));
    cr_assert_eq(counts.device[1] - counts.device[0], 0, "%llu objects on the device",
                 (unsigned long long)(counts.device[1] - counts.device[0]));
    ts_trainer_close(&trainer);
    test_gpu_close(gpu);
    MUST(ts_folder_remove(folder, err));
}
