#include "gpu/recorder.h"

#include "base/memory.h"
#include "gpu/internal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

// A command buffer is sent off after this many dispatches, so that the device starts while the
// host records on, and no submission grows long enough for a watchdog.
enum { DISPATCHES_PER_SUBMIT = 64, SETS_PER_POOL = 256 };

// A range of a buffer that something since the last barrier reads or writes.
struct touched {
    VkBuffer buffer;
    uint64_t begin, end;
    bool written;
};

struct ts_recorder {
    ts_gpu *gpu;
    VkCommandPool command_pool;
    VkCommandBuffer *commands; // reused from run to run
    size_t command_count, command_capacity, command_used;
    bool recording; // commands[command_used - 1] is open
    uint32_t dispatches_in_command;
    VkDescriptorPool *set_pools; // reused from run to run
    size_t pool_count, pool_capacity, pool_used;
    uint32_t sets_in_pool;
    VkFence fence;
    struct touched *touched;
    size_t touched_count, touched_capacity;
    ts_error failure; // the first since the last run; code TS_OK: none
    ts_recorder_stats stats;
    ts_profile *profile; // NULL: not profiling
};

ts_status ts_recorder_open(ts_gpu *gpu, ts_recorder **out, ts_error *err)
{
    ts_status status = TS_OK;
    ts_recorder *recorder = NULL;
    TS_TRY(ts_alloc(1, sizeof *recorder, &recorder, err));
    recorder->gpu = gpu;
    if (gpu->mirror || gpu->rehearsing) {
        goto out;
    }
    const VkCommandPoolCreateInfo pool = {.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
                                          .queueFamilyIndex = gpu->queue_family};
    TS_TRY(
        ts_gpu_check(gpu->vk.vkCreateCommandPool(gpu->device, &pool, NULL, &recorder->command_pool),
                     "vkCreateCommandPool", err));
    const VkFenceCreateInfo fence = {.sType = VK_STRUCTURE_TYPE_FENCE_CREATE_INFO};
    TS_TRY(ts_gpu_check(gpu->vk.vkCreateFence(gpu->device, &fence, NULL, &recorder->fence),
                        "vkCreateFence", err));
out:
    if (status != TS_OK) {
        ts_recorder_close(recorder);
        recorder = NULL;
    }
    *out = recorder;
    return status;
}

void ts_recorder_close(ts_recorder *recorder)
{
    if (recorder == NULL) {
        return;
    }
    ts_gpu *gpu = recorder->gpu;
    if (!gpu->mirror && !gpu->rehearsing) {
        gpu->vk.vkQueueWaitIdle(gpu->queue);
        for (size_t i = 0; i < recorder->pool_count; i++) {
            gpu->vk.vkDestroyDescriptorPool(gpu->device, recorder->set_pools[i], NULL);
        }
        gpu->vk.vkDestroyCommandPool(gpu->device, recorder->command_pool, NULL);
        gpu->vk.vkDestroyFence(gpu->device, recorder->fence, NULL);
    }
    free(recorder->commands);
    free(recorder->set_pools);
    free(recorder->touched);
    free(recorder);
}

ts_gpu *ts_recorder_gpu(const ts_recorder *recorder)
{
    return recorder->gpu;
}

ts_recorder_stats ts_recorder_statistics(const ts_recorder *recorder)
{
    return recorder->stats;
}

void ts_recorder_profile(ts_recorder *recorder, ts_profile *profile)
{
    recorder->profile = profile;
}

void ts_recorder_fail(ts_recorder *recorder, const ts_error *error)
{
    if (recorder->failure.code == TS_OK) {
        recorder->failure = *error;
    }
}

static bool failed(const ts_recorder *recorder)
{
    return recorder->failure.code != TS_OK;
}

static ts_status allocate_command_buffer(ts_recorder *recorder, ts_error *err)
{
    ts_gpu *gpu = recorder->gpu;
    ts_status status = TS_OK;
    TS_TRY(ts_grow(&recorder->commands, &recorder->command_capacity, recorder->command_count + 1,
                   sizeof *recorder->commands, err));
    const VkCommandBufferAllocateInfo info = {.sType =
                                                  VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
                                              .commandPool = recorder->command_pool,
                                              .level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
                                              .commandBufferCount = 1};
    TS_TRY(ts_gpu_check(gpu->vk.vkAllocateCommandBuffers(
                            gpu->device, &info, &recorder->commands[recorder->command_count]),
                        "vkAllocateCommandBuffers", err));
    recorder->command_count++;
out:
    return status;
}

// The open command buffer; begins one when none is.
static ts_status command_buffer(ts_recorder *recorder, VkCommandBuffer *out, ts_error *err)
{
    ts_status status = TS_OK;
    if (!recorder->recording) {
        if (recorder->command_used == recorder->command_count) {
            TS_TRY(allocate_command_buffer(recorder, err));
        }
        const VkCommandBufferBeginInfo begin = {
            .sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO,
            .flags = VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT};
        TS_TRY(ts_gpu_check(recorder->gpu->vk.vkBeginCommandBuffer(
                                recorder->commands[recorder->command_used], &begin),
                            "vkBeginCommandBuffer", err));
        recorder->command_used++;
        recorder->recording = true;
        recorder->dispatches_in_command = 0;
    }
    *out = recorder->commands[recorder->command_used - 1];
out:
    return status;
}

static ts_status submit(ts_recorder *recorder, VkFence fence, ts_error *err)
{
    ts_gpu *gpu = recorder->gpu;
    ts_status status = TS_OK;
    VkCommandBuffer commands = recorder->commands[recorder->command_used - 1];
    recorder->recording = false;
    TS_TRY(ts_gpu_check(gpu->vk.vkEndCommandBuffer(commands), "vkEndCommandBuffer", err));
    const VkSubmitInfo info = {.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
                               .commandBufferCount = 1,
                               .pCommandBuffers = &commands};
    TS_TRY(ts_gpu_check(gpu->vk.vkQueueSubmit(gpu->queue, 1, &info, fence), "vkQueueSubmit", err));
    recorder->stats.submits++;
out:
    return status;
}

static ts_status descriptor_set(ts_recorder *recorder, uint32_t bindings, VkDescriptorSet *out,
                                ts_error *err)
{
    ts_gpu *gpu = recorder->gpu;
    ts_status status = TS_OK;
    if (recorder->pool_used == 0 || recorder->sets_in_pool == SETS_PER_POOL) {
        if (recorder->pool_used == recorder->pool_count) {
            TS_TRY(ts_grow(&recorder->set_pools, &recorder->pool_capacity, recorder->pool_count + 1,
                           sizeof *recorder->set_pools, err));
            const VkDescriptorPoolSize size = {.type = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
                                               .descriptorCount = SETS_PER_POOL * TS_MAX_BINDINGS};
            const VkDescriptorPoolCreateInfo info = {
                .sType = VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO,
                .maxSets = SETS_PER_POOL,
                .poolSizeCount = 1,
                .pPoolSizes = &size};
            TS_TRY(ts_gpu_check(
                gpu->vk.vkCreateDescriptorPool(gpu->device, &info, NULL,
                                               &recorder->set_pools[recorder->pool_count]),
                "vkCreateDescriptorPool", err));
            recorder->pool_count++;
        }
        recorder->pool_used++;
        recorder->sets_in_pool = 0;
    }
    const VkDescriptorSetAllocateInfo info = {
        .sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO,
        .descriptorPool = recorder->set_pools[recorder->pool_used - 1],
        .descriptorSetCount = 1,
        .pSetLayouts = &gpu->set_layouts[bindings]};
    TS_TRY(ts_gpu_check(gpu->vk.vkAllocateDescriptorSets(gpu->device, &info, out),
                        "vkAllocateDescriptorSets", err));
    recorder->sets_in_pool++;
out:
    return status;
}

static bool conflicts(const ts_recorder *recorder, const ts_view *view, ts_access access)
{
    uint64_t begin = view->offset, end = view->offset + view->bytes;
    for (size_t i = 0; i < recorder->touched_count; i++) {
        const struct touched *t = &recorder->touched[i];
        if (t->buffer == view->buffer->handle && begin < t->end && t->begin < end &&
            (t->written || (access & TS_WRITE))) {
            return true;
        }
    }
    return false;
}

static ts_status remember(ts_recorder *recorder, const ts_view *view, ts_access access,
                          ts_error *err)
{
    ts_status status = ts_grow(&recorder->touched, &recorder->touched_capacity,
                               recorder->touched_count + 1, sizeof *recorder->touched, err);
    if (status == TS_OK) {
        recorder->touched[recorder->touched_count++] =
            (struct touched){.buffer = view->buffer->handle,
                             .begin = view->offset,
                             .end = view->offset + view->bytes,
                             .written = (access & TS_WRITE) != 0};
    }
    return status;
}

// Orders what comes after what was recorded before, where these views make it necessary.
static ts_status order(ts_recorder *recorder, VkCommandBuffer commands, const ts_view *views,
                       const ts_access *access, uint32_t count, ts_error *err)
{
    ts_status status = TS_OK;
    bool needed = false;
    for (uint32_t i = 0; i < count && !needed; i++) {
        needed = conflicts(recorder, &views[i], access[i]);
    }
    if (needed) {
        const VkMemoryBarrier barrier = {
            .sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
            .srcAccessMask = VK_ACCESS_SHADER_WRITE_BIT | VK_ACCESS_TRANSFER_WRITE_BIT,
            .dstAccessMask = VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_SHADER_WRITE_BIT |
                             VK_ACCESS_TRANSFER_READ_BIT | VK_ACCESS_TRANSFER_WRITE_BIT};
        const VkPipelineStageFlags stages =
            VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT | VK_PIPELINE_STAGE_TRANSFER_BIT;
        recorder->gpu->vk.vkCmdPipelineBarrier(commands, stages, stages, 0, 1, &barrier, 0, NULL, 0,
                                               NULL);
        recorder->touched_count = 0;
        recorder->stats.barriers++;
    }
    for (uint32_t i = 0; i < count; i++) {
        TS_TRY(remember(recorder, &views[i], access[i], err));
    }
out:
    return status;
}

static ts_status bind_views(ts_recorder *recorder, VkCommandBuffer commands,
                            const ts_dispatch *dispatch, VkPipelineLayout layout, ts_error *err)
{
    ts_gpu *gpu = recorder->gpu;
    ts_status status = TS_OK;
    VkDescriptorSet set;
    VkDescriptorBufferInfo buffers[TS_MAX_BINDINGS];
    VkWriteDescriptorSet writes[TS_MAX_BINDINGS];
    TS_TRY(descriptor_set(recorder, dispatch->view_count, &set, err));
    for (uint32_t i = 0; i < dispatch->view_count; i++) {
        const ts_view *view = &dispatch->views[i];
        if (view->bytes > gpu->caps.max_binding_bytes) {
            TS_FAIL(TS_ERR_UNSUPPORTED,
                    "shader %s: a tensor of %llu bytes, but this device binds at most %llu",
                    dispatch->pipeline.name, (unsigned long long)view->bytes,
                    (unsigned long long)gpu->caps.max_binding_bytes);
        }
        // Ranges end on whole 4-byte words, the unit in which shaders read 16-bit weights.
        buffers[i] = (VkDescriptorBufferInfo){.buffer = view->buffer->handle,
                                              .offset = view->offset,
                                              .range = ts_align_up(view->bytes, 4)};
        writes[i] = (VkWriteDescriptorSet){.sType = VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET,
                                           .dstSet = set,
                                           .dstBinding = i,
                                           .descriptorCount = 1,
                                           .descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
                                           .pBufferInfo = &buffers[i]};
    }
    gpu->vk.vkUpdateDescriptorSets(gpu->device, dispatch->view_count, writes, 0, NULL);
    gpu->vk.vkCmdBindDescriptorSets(commands, VK_PIPELINE_BIND_POINT_COMPUTE, layout, 0, 1, &set, 0,
                                    NULL);
out:
    return status;
}

static ts_status dispatch_now(ts_recorder *recorder, const ts_dispatch *dispatch, ts_error *err)
{
    ts_gpu *gpu = recorder->gpu;
    ts_status status = TS_OK;
    VkCommandBuffer commands;
    const ts_pipeline *pipeline;
    for (uint32_t i = 0; i < 3; i++) {
        if (dispatch->groups[i] == 0 || dispatch->groups[i] > gpu->caps.max_groups[i]) {
            TS_FAIL(TS_ERR_UNSUPPORTED, "shader %s: %u workgroups in dimension %u, allowed 1 to %u",
                    dispatch->pipeline.name, dispatch->groups[i], i, gpu->caps.max_groups[i]);
        }
    }
    TS_TRY(ts_gpu_pipeline(gpu, &dispatch->pipeline, &pipeline, err));
    if (gpu->rehearsing) {
        goto out;
    }
    TS_TRY(command_buffer(recorder, &commands, err));
    TS_TRY(order(recorder, commands, dispatch->views, dispatch->access, dispatch->view_count, err));
    gpu->vk.vkCmdBindPipeline(commands, VK_PIPELINE_BIND_POINT_COMPUTE, pipeline->handle);
    TS_TRY(bind_views(recorder, commands, dispatch, pipeline->layout, err));
    if (dispatch->push_count > 0) {
        gpu->vk.vkCmdPushConstants(commands, pipeline->layout, VK_SHADER_STAGE_COMPUTE_BIT, 0,
                                   dispatch->push_count * (uint32_t)sizeof(uint32_t),
                                   dispatch->push);
    }
    if (recorder->profile != NULL) {
        ts_profile_before(recorder->profile, commands, dispatch->pipeline.name);
    }
    gpu->vk.vkCmdDispatch(commands, dispatch->groups[0], dispatch->groups[1], dispatch->groups[2]);
    if (recorder->profile != NULL) {
        ts_profile_after(recorder->profile, commands);
    }
    recorder->stats.dispatches++;
    if (++recorder->dispatches_in_command == DISPATCHES_PER_SUBMIT) {
        TS_TRY(submit(recorder, VK_NULL_HANDLE, err));
    }
out:
    return status;
}

void ts_recorder_dispatch(ts_recorder *recorder, const ts_dispatch *dispatch)
{
    ts_error err = {0};
    if (recorder->gpu->mirror) {
        dispatch->mirror(dispatch);
        return;
    }
    if (!failed(recorder) && dispatch_now(recorder, dispatch, &err) != TS_OK) {
        ts_recorder_fail(recorder, &err);
    }
}

void ts_recorder_copy(ts_recorder *recorder, ts_view from, ts_view to)
{
    assert(from.bytes == to.bytes);
    ts_error err = {0};
    if (recorder->gpu->mirror) {
        memmove(ts_view_host(to), ts_view_host(from), from.bytes);
        return;
    }
    VkCommandBuffer commands;
    if (failed(recorder) || recorder->gpu->rehearsing) {
        return;
    }
    if (command_buffer(recorder, &commands, &err) != TS_OK ||
        order(recorder, commands, (ts_view[]){from, to}, (ts_access[]){TS_READ, TS_WRITE}, 2,
              &err) != TS_OK) {
        ts_recorder_fail(recorder, &err);
        return;
    }
    const VkBufferCopy region = {
        .srcOffset = from.offset, .dstOffset = to.offset, .size = from.bytes};
    recorder->gpu->vk.vkCmdCopyBuffer(commands, from.buffer->handle, to.buffer->handle, 1, &region);
}

void ts_recorder_zero(ts_recorder *recorder, ts_view view)
{
    ts_error err = {0};
    if (recorder->gpu->mirror) {
        memset(ts_view_host(view), 0, view.bytes);
        return;
    }
    VkCommandBuffer commands;
    if (failed(recorder) || recorder->gpu->rehearsing) {
        return;
    }
    if (command_buffer(recorder, &commands, &err) != TS_OK ||
        order(recorder, commands, &view, (ts_access[]){TS_WRITE}, 1, &err) != TS_OK) {
        ts_recorder_fail(recorder, &err);
        return;
    }
    recorder->gpu->vk.vkCmdFillBuffer(commands, view.buffer->handle, view.offset,
                                      ts_align_up(view.bytes, 4), 0);
}

// Makes what the device wrote visible to the host, sends the last commands and waits.
static ts_status finish(ts_recorder *recorder, ts_error *err)
{
    ts_gpu *gpu = recorder->gpu;
    ts_status status = TS_OK;
    VkCommandBuffer commands;
    TS_TRY(command_buffer(recorder, &commands, err));
    const VkMemoryBarrier barrier = {.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
                                     .srcAccessMask =
                                         VK_ACCESS_SHADER_WRITE_BIT | VK_ACCESS_TRANSFER_WRITE_BIT,
                                     .dstAccessMask = VK_ACCESS_HOST_READ_BIT};
    gpu->vk.vkCmdPipelineBarrier(
        commands, VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT | VK_PIPELINE_STAGE_TRANSFER_BIT,
        VK_PIPELINE_STAGE_HOST_BIT, 0, 1, &barrier, 0, NULL, 0, NULL);
    TS_TRY(submit(recorder, recorder->fence, err));
    TS_TRY(
        ts_gpu_check(gpu->vk.vkWaitForFences(gpu->device, 1, &recorder->fence, VK_TRUE, UINT64_MAX),
                     "vkWaitForFences", err));
    TS_TRY(ts_gpu_check(gpu->vk.vkResetFences(gpu->device, 1, &recorder->fence), "vkResetFences",
                        err));
out:
    return status;
}

ts_status ts_recorder_run(ts_recorder *recorder, ts_error *err)
{
    ts_gpu *gpu = recorder->gpu;
    ts_status status = TS_OK;
    if (gpu->mirror) {
        return TS_OK;
    }
    if (failed(recorder)) {
        *err = recorder->failure;
        status = err->code;
    }
    if (gpu->rehearsing) {
        recorder->failure = (ts_error){0};
        return status;
    }
    if (status != TS_OK) {
        gpu->vk.vkQueueWaitIdle(gpu->queue); // what was sent before the failure
    } else {
        status = finish(recorder, err);
        if (status == TS_OK && recorder->profile != NULL) {
            status = ts_profile_collect(recorder->profile, err);
        }
    }
    recorder->failure = (ts_error){0};
    recorder->recording = false;
    recorder->command_used = 0;
    recorder->pool_used = 0;
    recorder->touched_count = 0;
    for (size_t i = 0; i < recorder->pool_count; i++) {
        gpu->vk.vkResetDescriptorPool(gpu->device, recorder->set_pools[i], 0);
    }
    gpu->vk.vkResetCommandPool(gpu->device, recorder->command_pool, 0);
    return status;
}
