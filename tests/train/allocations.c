// A training run in its steady state allocates nothing. On the host our own calls are counted,
// which the linker redirects to this file (tests/CMakeLists.txt). On the device everything that
// creates an object or takes memory is counted, through the device's function table. Allocations
// inside drivers and libraries cannot be counted. A new number of rows may need another pipeline,
// which is built at its first use, so the same run is done once before on this device. It saves no
// checkpoints, since a save may allocate.
#include "base/file.h"
#include "device.h"
#include "gpu/internal.h"
#include "train/trainer.h"

#include <stdlib.h>
#include <unistd.h>

static uint64_t host_count, device_count, pipeline_count;

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

#define DEVICE(counter, name, parameters, ...)                                                     \
    static VKAPI_ATTR VkResult VKAPI_CALL count_##name parameters                                  \
    {                                                                                              \
        counter++;                                                                                 \
        return real.name(__VA_ARGS__);                                                             \
    }
#define CREATE(counter, name, type, info)                                                          \
    DEVICE(counter, name,                                                                          \
           (VkDevice device, const info *from, const VkAllocationCallbacks *with, type *out),      \
           device, from, with, out)
CREATE(device_count, vkAllocateMemory, VkDeviceMemory, VkMemoryAllocateInfo)
CREATE(device_count, vkCreateBuffer, VkBuffer, VkBufferCreateInfo)
CREATE(device_count, vkCreateDescriptorPool, VkDescriptorPool, VkDescriptorPoolCreateInfo)
CREATE(device_count, vkCreateCommandPool, VkCommandPool, VkCommandPoolCreateInfo)
CREATE(device_count, vkCreateQueryPool, VkQueryPool, VkQueryPoolCreateInfo)
CREATE(device_count, vkCreateFence, VkFence, VkFenceCreateInfo)
CREATE(pipeline_count, vkCreateShaderModule, VkShaderModule, VkShaderModuleCreateInfo)
DEVICE(device_count, vkAllocateCommandBuffers,
       (VkDevice device, const VkCommandBufferAllocateInfo *from, VkCommandBuffer *out), device,
       from, out)
DEVICE(pipeline_count, vkCreateComputePipelines,
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

static uint64_t host_before, device_before, pipelines_before;

// Called when the host begins a step, numbered from 0.
void __real_ts_batches_step(ts_batches *batches, uint64_t step, uint32_t *micro_count,
                            uint64_t *supervised);
void __wrap_ts_batches_step(ts_batches *batches, uint64_t step, uint32_t *micro_count,
                            uint64_t *supervised);
void __wrap_ts_batches_step(ts_batches *batches, uint64_t step, uint32_t *micro_count,
                            uint64_t *supervised)
{
    if (step == 1) {
        host_before = host_count, device_before = device_count;
        pipelines_before = pipeline_count;
    }
    __real_ts_batches_step(batches, step, micro_count, supervised);
}

struct counts {
    uint64_t steps;
    uint64_t host, device, pipelines; // from the start of step 2 to the end of step 10
};

// Called when the results of a step have been read. By then the host has begun the next step.
static void on_progress(void *user, const ts_train_progress *progress)
{
    struct counts *counts = user;
    counts->steps = progress->step;
    if (progress->step == 10) {
        counts->host = host_count - host_before;
        counts->device = device_count - device_before;
        counts->pipelines = pipeline_count - pipelines_before;
    }
}

static struct counts train(ts_gpu *gpu)
{
    char folder[] = "/tmp/tinysft-allocations-XXXXXX";
    cr_assert_not_null(mkdtemp(folder));
    char log_file[64];
    snprintf(log_file, sizeof log_file, "%s/log.jsonl", folder);
    ts_train_settings settings = ts_train_defaults();
    settings.model_folder = PROJECT_FOLDER "/assets/base";
    settings.data = PROJECT_FOLDER "/data/dataset.json";
    settings.output_dir = folder;
    settings.max_steps = 12;
    settings.batch_size = 2;
    settings.accumulation = 2;
    settings.eval_split = 0.05;
    settings.eval_steps = 4;
    settings.logging_steps = 1;
    settings.log_file = log_file;
    settings.logging_dir = folder;
    ts_trainer trainer;
    struct counts counts = {0};
    const ts_train_callbacks callbacks = {.progress = on_progress, .user = &counts};
    MUST(ts_trainer_open(&settings, &trainer, err));
    MUST(ts_trainer_prepare_output(&trainer, err));
    MUST(ts_trainer_run(&trainer, gpu, &callbacks, err));
    ts_trainer_close(&trainer);
    MUST(ts_folder_remove(folder, err));
    cr_assert_eq(counts.steps, 12);
    return counts;
}

Test(train, steady_state_allocates_nothing, .timeout = 300)
{
    ts_gpu *gpu = test_gpu_open();
    count_on(gpu);
    for (int run = 0; run < 2; run++) {
        const struct counts counts = train(gpu);
        cr_expect_eq(counts.host, 0, "run %d: %llu allocations on the host", run,
                     (unsigned long long)counts.host);
        cr_expect_eq(counts.device, 0, "run %d: %llu objects on the device", run,
                     (unsigned long long)counts.device);
        cr_expect(run == 0 || counts.pipelines == 0, "%llu shaders and pipelines",
                  (unsigned long long)counts.pipelines);
        cr_expect(host_before > 100 && device_before > 20 && pipelines_before > 20,
                  "nothing is counted");
    }
    test_gpu_close(gpu);
}
