#include "gpu/submits.h"

#include "base/memory.h"
#include "base/os.h"

// ---- Opening and closing

static ts_status open_pools(ts_gpu *gpu, ts_submit *submit, ts_error *err)
{
    ts_status status = TS_OK;
    const VkCommandPoolCreateInfo commands = {.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
                                              .queueFamilyIndex = gpu->queue_family};
    const VkDescriptorPoolSize size = {.type = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
                                       .descriptorCount = TS_SUBMIT_DISPATCHES * TS_MAX_VIEWS};
    const VkDescriptorPoolCreateInfo sets = {.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO,
                                             .maxSets = TS_SUBMIT_DISPATCHES,
                                             .poolSizeCount = 1,
                                             .pPoolSizes = &size};
    const VkQueryPoolCreateInfo clock = {.sType = VK_STRUCTURE_TYPE_QUERY_POOL_CREATE_INFO,
                                         .queryType = VK_QUERY_TYPE_TIMESTAMP,
                                         .queryCount = 2};
    TS_TRY(ts_gpu_check(gpu->vk.vkCreateCommandPool(gpu->device, &commands, NULL, &submit->pool),
                        "vkCreateCommandPool", err));
    TS_TRY(ts_gpu_check(gpu->vk.vkCreateDescriptorPool(gpu->device, &sets, NULL, &submit->sets),
                        "vkCreateDescriptorPool", err));
    if (gpu->caps.timestamp_ns > 0) {
        TS_TRY(ts_gpu_check(gpu->vk.vkCreateQueryPool(gpu->device, &clock, NULL, &submit->clock),
                            "vkCreateQueryPool", err));
    }
out:
    return status;
}

static ts_status open_submit(ts_gpu *gpu, ts_submit *submit, ts_error *err)
{
    ts_status status = TS_OK;
    TS_TRY(open_pools(gpu, submit, err));
    const VkCommandBufferAllocateInfo info = {.sType =
                                                  VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
                                              .commandPool = submit->pool,
                                              .level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
                                              .commandBufferCount = 1};
    TS_TRY(ts_gpu_check(gpu->vk.vkAllocateCommandBuffers(gpu->device, &info, &submit->commands),
                        "vkAllocateCommandBuffers", err));
    const VkFenceCreateInfo fence = {.sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO};
    TS_TRY(ts_gpu_check(gpu->vk.vkCreateFence(gpu->device, &fence, NULL, &submit->fence),
                        "vkCreateFence", err));
out:
    return status;
}

ts_status ts_submits_open(ts_gpu *gpu, ts_submits *out, ts_error *err)
{
    ts_status status = TS_OK;
    *out = (ts_submits){.gpu = gpu, .full_s = TS_PACE_FULL_S};
    for (uint32_t i = 0; i < TS_SUBMITS; i++) {
        TS_TRY(open_submit(gpu, &out->ring[i], err));
    }
out:
    if (status != TS_OK) {
        ts_submits_close(out);
    }
    return status;
}

void ts_submits_close(ts_submits *submits)
{
    ts_gpu *gpu = submits->gpu;
    if (gpu == NULL) {
        return;
    }
    gpu->vk.vkQueueWaitIdle(gpu->queue);
    for (uint32_t i = 0; i < TS_SUBMITS; i++) {
        const ts_submit *submit = &submits->ring[i];
        gpu->vk.vkDestroyCommandPool(gpu->device, submit->pool, NULL);
        gpu->vk.vkDestroyDescriptorPool(gpu->device, submit->sets, NULL);
        gpu->vk.vkDestroyQueryPool(gpu->device, submit->clock, NULL);
        gpu->vk.vkDestroyFence(gpu->device, submit->fence, NULL);
    }
    *submits = (ts_submits){0};
}

// ---- Complete ones

// Device seconds of a complete submit; negative where they are not known. Without timestamps the
// host's clock measures them where the host knows both ends. It knows the end where it was waiting
// for it. It knows the beginning where nothing else was on its way when this one was sent, or where
// it was waiting for the end of the one before.
static double measure(ts_submits *submits, const ts_submit *submit, bool waited)
{
    ts_gpu *gpu = submits->gpu;
    double now_s = ts_clock_s(), seconds = -1;
    uint64_t ticks[2];
    if (submit->clock == VK_NULL_HANDLE) {
        bool alone = submit->sent_s >= submits->seen_s;
        if (waited && (alone || submits->seen_at_once)) {
            seconds = now_s - (alone ? submit->sent_s : submits->seen_s);
        }
    } else if (gpu->vk.vkGetQueryPoolResults(gpu->device, submit->clock, 0, 2, sizeof ticks, ticks,
                                             sizeof *ticks, VK_QUERY_RESULT_64_BIT) == VK_SUCCESS) {
        seconds = ts_gpu_ticks_s(&gpu->caps, ticks[0], ticks[1]);
    }
    submits->seen_s = now_s;
    submits->seen_at_once = waited;
    return seconds;
}

static bool is_complete(const ts_submits *submits)
{
    const ts_gpu *gpu = submits->gpu;
    VkFence fence = submits->ring[submits->done % TS_SUBMITS].fence;
    return gpu->vk.vkGetFenceStatus(gpu->device, fence) == VK_SUCCESS;
}

// Waits for the oldest submit and learns from it.
static ts_status finish_oldest(ts_submits *submits, ts_error *err)
{
    ts_gpu *gpu = submits->gpu;
    ts_status status = TS_OK;
    ts_submit *submit = &submits->ring[submits->done % TS_SUBMITS];
    bool waited = !is_complete(submits);
    TS_TRY(
        ts_gpu_check(gpu->vk.vkWaitForFences(gpu->device, 1, &submit->fence, VK_TRUE, UINT64_MAX),
                     "vkWaitForFences", err));
    double seconds = measure(submits, submit, waited);
    if (seconds >= 0) {
        ts_pace_learn(&gpu->pace, &submit->tally, seconds);
        submits->busy_s += seconds;
        submits->longest_s = seconds > submits->longest_s ? seconds : submits->longest_s;
    }
    submits->done++;
    if (submits->profile != NULL) {
        TS_TRY(ts_profile_collect(submits->profile, submit->profiled, err));
    }
out:
    return status;
}

ts_status ts_submits_wait(ts_submits *submits, uint64_t count, ts_error *err)
{
    ts_status status = TS_OK;
    while (submits->done < ts_min_u64(count, submits->sent) && status == TS_OK) {
        status = finish_oldest(submits, err);
    }
    return status;
}

void ts_submits_drop(ts_submits *submits)
{
    ts_error ignored = {0};
    if (ts_submits_wait(submits, submits->sent, &ignored) != TS_OK) {
        submits->gpu->vk.vkQueueWaitIdle(submits->gpu->queue);
        submits->done = submits->sent;
    }
    submits->recording = false;
    if (submits->profile != NULL) {
        ts_profile_drop(submits->profile);
    }
}

// ---- Recording and sending

static ts_status begin(ts_submits *submits, ts_submit *submit, ts_error *err)
{
    ts_gpu *gpu = submits->gpu;
    ts_status status = TS_OK;
    const VkCommandBufferBeginInfo info = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO,
                                           .flags = VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT};
    while (submits->done < submits->sent &&
           (submits->sent - submits->done == TS_SUBMITS || is_complete(submits))) {
        TS_TRY(finish_oldest(submits, err));
    }
    submit->tally.count = 0;
    submit->tally.seconds = 0;
    submit->set_count = 0;
    TS_TRY(ts_gpu_check(gpu->vk.vkResetDescriptorPool(gpu->device, submit->sets, 0),
                        "vkResetDescriptorPool", err));
    TS_TRY(ts_gpu_check(gpu->vk.vkResetCommandPool(gpu->device, submit->pool, 0),
                        "vkResetCommandPool", err));
    TS_TRY(ts_gpu_check(gpu->vk.vkBeginCommandBuffer(submit->commands, &info),
                        "vkBeginCommandBuffer", err));
    submits->recording = true;
    if (submit->clock != VK_NULL_HANDLE) { // taken when all earlier submits are done too
        gpu->vk.vkCmdResetQueryPool(submit->commands, submit->clock, 0, 2);
        gpu->vk.vkCmdWriteTimestamp(submit->commands, VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT,
                                    submit->clock, 0);
    }
out:
    return status;
}

ts_status ts_submits_current(ts_submits *submits, ts_submit **out, ts_error *err)
{
    *out = &submits->ring[submits->sent % TS_SUBMITS];
    return submits->recording ? TS_OK : begin(submits, *out, err);
}

bool ts_submits_has_room(const ts_submits *submits, double seconds)
{
    const ts_submit *submit = &submits->ring[submits->sent % TS_SUBMITS];
    double ahead = TS_PACE_FIRST_S;
    if (!submits->recording || submit->set_count == 0) {
        return true;
    }
    if (submit->set_count == TS_SUBMIT_DISPATCHES || submit->tally.count == TS_TALLY_SHARES) {
        return false;
    }
    for (uint64_t i = submits->done; i < submits->sent; i++) {
        ahead += submits->ring[i % TS_SUBMITS].tally.seconds;
    }
    return submit->tally.seconds < ahead && submit->tally.seconds + seconds <= submits->full_s;
}

ts_status ts_submits_send(ts_submits *submits, ts_error *err)
{
    ts_gpu *gpu = submits->gpu;
    ts_status status = TS_OK;
    ts_submit *submit = &submits->ring[submits->sent % TS_SUBMITS];
    if (!submits->recording) {
        return TS_OK;
    }
    submits->recording = false;
    const VkMemoryBarrier barrier = {.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
                                     .srcAccessMask =
                                         VK_ACCESS_SHADER_WRITE_BIT | VK_ACCESS_TRANSFER_WRITE_BIT,
                                     .dstAccessMask = VK_ACCESS_HOST_READ_BIT};
    gpu->vk.vkCmdPipelineBarrier(
        submit->commands, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT | VK_PIPELINE_STAGE_TRANSFER_BIT,
        VK_PIPELINE_STAGE_HOST_BIT, 0, 1, &barrier, 0, NULL, 0, NULL);
    if (submit->clock != VK_NULL_HANDLE) {
        gpu->vk.vkCmdWriteTimestamp(submit->commands, VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT,
                                    submit->clock, 1);
    }
    const VkSubmitInfo info = {.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
                               .commandBufferCount = 1,
                               .pCommandBuffers = &submit->commands};
    TS_TRY(ts_gpu_check(gpu->vk.vkEndCommandBuffer(submit->commands), "vkEndCommandBuffer", err));
    TS_TRY(
        ts_gpu_check(gpu->vk.vkResetFences(gpu->device, 1, &submit->fence), "vkResetFences", err));
    submit->sent_s = ts_clock_s();
    submit->profiled = submits->profile != NULL ? submits->profile->recorded : 0;
    TS_TRY(ts_gpu_check(gpu->vk.vkQueueSubmit(gpu->queue, 1, &info, submit->fence), "vkQueueSubmit",
                        err));
    submits->sent++;
out:
    return status;
}
