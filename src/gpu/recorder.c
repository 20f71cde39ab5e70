#include "gpu/recorder.h"

#include "base/log.h"
#include "base/memory.h"
#include "gpu/submits.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MANY_TOUCHED = 256 }; // more than a model's pass touches between two barriers

// A range of a buffer that something since the last barrier reads or writes.
struct touched {
    const ts_gpu_buffer *buffer;
    uint64_t begin, end;
    bool written;
};

// A pair of ts_recorder_derived; buffers are NULL if there is none.
enum { MOST_DERIVED = 8 };
struct derived {
    ts_view source, derived;
};

struct ts_recorder {
    ts_gpu *gpu;
    ts_gpu_arena arena; // holds the scratch memory
    ts_view scratch;    // no view until it is first asked for
    ts_view partials;   // nor this
    ts_submits submits; // zeroed, and so always empty, where nothing is sent to a device
    struct touched *touched;
    size_t touched_count, touched_capacity;
    struct derived known[MOST_DERIVED]; // ts_recorder_derived; the newest is known[newest]
    uint32_t newest;
    ts_error failure;          // the first since the last send; code TS_OK: none
    const char *failed_shader; // of that failure, where it is a shader's
    ts_recorder_stats stats;
};

ts_status ts_recorder_open(ts_gpu *gpu, ts_recorder **out, ts_error *err)
{
    ts_status status = TS_OK;
    ts_recorder *recorder = NULL;
    TS_TRY(ts_alloc(1, sizeof *recorder, &recorder, err));
    recorder->gpu = gpu;
    recorder->arena = (ts_gpu_arena){.gpu = gpu, .block_bytes = TS_SCRATCH_BYTES};
    if (!gpu->mirror && !gpu->compile_only) {
        TS_TRY(ts_submits_open(gpu, &recorder->submits, err));
        TS_TRY(ts_grow(&recorder->touched, &recorder->touched_capacity, MANY_TOUCHED,
                       sizeof *recorder->touched, err));
    }
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
    ts_submits_close(&recorder->submits);
    ts_gpu_arena_close(&recorder->arena);
    free(recorder->touched);
    free(recorder);
}

ts_view ts_recorder_scratch(ts_recorder *recorder)
{
    ts_error err = {0};
    if (recorder->scratch.buffer == NULL &&
        ts_gpu_alloc(&recorder->arena, TS_F32, TS_SCRATCH_BYTES / sizeof(float), &recorder->scratch,
                     &err) != TS_OK) {
        recorder->scratch = (ts_view){0};
    }
    return recorder->scratch;
}

ts_view ts_recorder_partials(ts_recorder *recorder)
{
    static const float zeros[TS_PARTIAL_TILES];
    ts_error err = {0};
    ts_view partials;
    if (recorder->partials.buffer == NULL &&
        ts_gpu_alloc(&recorder->arena, TS_F32, TS_PARTIALS, &partials, &err) == TS_OK &&
        ts_gpu_upload(recorder->gpu, ts_view_slice(partials, 0, TS_PARTIAL_TILES), zeros,
                      sizeof zeros, &err) == TS_OK) {
        recorder->partials = partials;
    }
    return recorder->partials;
}

ts_gpu *ts_recorder_gpu(const ts_recorder *recorder)
{
    return recorder->gpu;
}

ts_recorder_stats ts_recorder_statistics(const ts_recorder *recorder)
{
    ts_recorder_stats stats = recorder->stats;
    stats.submits = recorder->submits.sent;
    stats.busy_s = recorder->submits.busy_s;
    stats.longest_s = recorder->submits.longest_s;
    return stats;
}

void ts_recorder_profile(ts_recorder *recorder, ts_profile *profile)
{
    assert(!recorder->submits.recording && recorder->submits.done == recorder->submits.sent);
    recorder->submits.profile = profile;
}

void ts_recorder_limit(ts_recorder *recorder, double seconds)
{
    recorder->submits.full_s = seconds;
}

void ts_recorder_fail(ts_recorder *recorder, const ts_error *error)
{
    if (recorder->failure.code == TS_OK) {
        recorder->failure = *error;
    }
}

bool ts_recorder_leaves_out(ts_recorder *recorder, const char *shader)
{
    if (recorder->failure.code != TS_ERR_SHADER || strcmp(recorder->failed_shader, shader) != 0) {
        return false;
    }
    ts_log(TS_LOG_WARN, "%s; another shader does its work from now on", recorder->failure.message);
    ts_gpu_leave_out(recorder->gpu, recorder->failed_shader); // `shader` may not live long enough
    recorder->failure = (ts_error){0};
    return true;
}

static bool failed(const ts_recorder *recorder)
{
    return recorder->failure.code != TS_OK;
}

static bool conflicts(const ts_recorder *recorder, const ts_view *view, ts_access access)
{
    uint64_t begin = view->offset, end = view->offset + view->bytes;
    for (size_t i = 0; i < recorder->touched_count; i++) {
        const struct touched *t = &recorder->touched[i];
        if (t->buffer == view->buffer && begin < t->end && t->begin < end &&
            (t->written || (access & TS_WRITE))) {
            return true;
        }
    }
    return false;
}

static bool same(const ts_view *a, const ts_view *b)
{
    return a->buffer == b->buffer && a->offset == b->offset && a->bytes == b->bytes;
}

void ts_recorder_derived(ts_recorder *recorder, ts_view source, ts_view derived)
{
    recorder->newest = (recorder->newest + 1) % MOST_DERIVED;
    recorder->known[recorder->newest] = (struct derived){source, derived};
}

bool ts_recorder_still_derived(const ts_recorder *recorder, ts_view source, ts_view derived)
{
    bool found = false;
    for (uint32_t i = 0; i < MOST_DERIVED; i++) {
        found |= same(&source, &recorder->known[i].source) &&
                 same(&derived, &recorder->known[i].derived);
    }
    return found && source.buffer != NULL && !failed(recorder);
}

static bool overlap(const ts_view *a, const ts_view *b)
{
    return a->buffer == b->buffer && a->offset < b->offset + b->bytes &&
           b->offset < a->offset + a->bytes;
}

// Forgets each pair of ts_recorder_derived of which `view`, if it is written now, overlaps one.
static void forget_written(ts_recorder *recorder, const ts_view *view, ts_access access)
{
    for (uint32_t i = 0; i < MOST_DERIVED && (access & TS_WRITE); i++) {
        struct derived *known = &recorder->known[i];
        if (overlap(view, &known->source) || overlap(view, &known->derived)) {
            *known = (struct derived){0};
        }
    }
}

static ts_status remember(ts_recorder *recorder, const ts_view *view, ts_access access,
                          ts_error *err)
{
    ts_status status = ts_grow(&recorder->touched, &recorder->touched_capacity,
                               recorder->touched_count + 1, sizeof *recorder->touched, err);
    if (status == TS_OK) {
        recorder->touched[recorder->touched_count++] =
            (struct touched){.buffer = view->buffer,
                             .begin = view->offset,
                             .end = view->offset + view->bytes,
                             .written = (access & TS_WRITE) != 0};
    }
    return status;
}

// Records a barrier where access to these views must wait for what was recorded before, and
// remembers the views as touched. Without commands (compile_only) barriers are only counted.
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
        if (commands != NULL) {
            recorder->gpu->vk.vkCmdPipelineBarrier(commands, stages, stages, 0, 1, &barrier, 0,
                                                   NULL, 0, NULL);
        }
        recorder->touched_count = 0;
        recorder->stats.barriers++;
    }
    for (uint32_t i = 0; i < count; i++) {
        forget_written(recorder, &views[i], access[i]);
        TS_TRY(remember(recorder, &views[i], access[i], err));
    }
out:
    return status;
}

static ts_status bind_views(ts_gpu *gpu, ts_submit *submit, const ts_dispatch *dispatch,
                            VkPipelineLayout layout, ts_error *err)
{
    ts_status status = TS_OK;
    VkDescriptorSet set;
    VkDescriptorBufferInfo buffers[TS_MAX_VIEWS];
    VkWriteDescriptorSet writes[TS_MAX_VIEWS];
    const VkDescriptorSetAllocateInfo info = {
        .sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO,
        .descriptorPool = submit->sets,
        .descriptorSetCount = 1,
        .pSetLayouts = &gpu->set_layouts[dispatch->view_count]};
    TS_TRY(ts_gpu_check(gpu->vk.vkAllocateDescriptorSets(gpu->device, &info, &set),
                        "vkAllocateDescriptorSets", err));
    submit->set_count++;
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
    gpu->vk.vkCmdBindDescriptorSets(submit->commands, VK_PIPELINE_BIND_POINT_COMPUTE, layout, 0, 1,
                                    &set, 0, NULL);
out:
    return status;
}

// A dispatch that is being recorded, its pipeline, and that pipeline's number in the pace.
struct job {
    const ts_dispatch *dispatch;
    const ts_pipeline *pipeline;
    uint32_t number;
};

// Records the workgroups [begin, end) of dimension `split`, and all of the other dimensions.
static ts_status record_piece(ts_recorder *recorder, const struct job *job, int split,
                              uint32_t begin, uint32_t end, ts_error *err)
{
    ts_gpu *gpu = recorder->gpu;
    ts_status status = TS_OK;
    const ts_dispatch *dispatch = job->dispatch;
    ts_profile *profile = recorder->submits.profile;
    uint32_t base[3] = {0},
             count[3] = {dispatch->groups[0], dispatch->groups[1], dispatch->groups[2]};
    ts_submit *submit;
    base[split] = begin;
    count[split] = end - begin;
    double work = dispatch->work * count[split] / dispatch->groups[split];
    if (!ts_submits_has_room(&recorder->submits, ts_pace_estimate(&gpu->pace, job->number, work))) {
        TS_TRY(ts_submits_send(&recorder->submits, err));
    }
    TS_TRY(ts_submits_current(&recorder->submits, &submit, err));
    // Pieces of one dispatch write different elements and need no barrier between them. But the
    // validation layer sees only that they write the same views.
    TS_TRY(order(recorder, submit->commands, dispatch->views, dispatch->access,
                 dispatch->view_count, err));
    gpu->vk.vkCmdBindPipeline(submit->commands, VK_PIPELINE_BIND_POINT_COMPUTE,
                              job->pipeline->handle);
    TS_TRY(bind_views(gpu, submit, dispatch, job->pipeline->layout, err));
    if (dispatch->push_count > 0) {
        gpu->vk.vkCmdPushConstants(
            submit->commands, job->pipeline->layout, VK_SHADER_STAGE_COMPUTE_BIT, 0,
            dispatch->push_count * (uint32_t)sizeof(uint32_t), dispatch->push);
    }
    if (profile != NULL) {
        ts_profile_before(profile, submit->commands, dispatch->pipeline.name);
    }
    if (count[split] == dispatch->groups[split]) { // all validation layers check this call
        gpu->vk.vkCmdDispatch(submit->commands, count[0], count[1], count[2]);
    } else {
        gpu->vk.vkCmdDispatchBase(submit->commands, base[0], base[1], base[2], count[0], count[1],
                                  count[2]);
    }
    if (profile != NULL) {
        ts_profile_after(profile, submit->commands);
    }
    ts_pace_add(&gpu->pace, &submit->tally, job->number, work);
out:
    return status;
}

// Workgroups do not depend on each other, so a dispatch in pieces writes the same bytes. Where it
// has several workgroups along y it is split along y: x may be one half of a folded grid
// (shaders/include/grid.glsl).
static ts_status dispatch_now(ts_recorder *recorder, const ts_dispatch *dispatch, ts_error *err)
{
    ts_gpu *gpu = recorder->gpu;
    ts_status status = TS_OK;
    struct job job = {.dispatch = dispatch};
    for (uint32_t i = 0; i < 3; i++) {
        if (dispatch->groups[i] == 0 || dispatch->groups[i] > gpu->caps.max_groups[i]) {
            TS_FAIL(TS_ERR_UNSUPPORTED, "shader %s: %u workgroups in dimension %u, allowed 1 to %u",
                    dispatch->pipeline.name, dispatch->groups[i], i, gpu->caps.max_groups[i]);
        }
    }
    recorder->failed_shader = dispatch->pipeline.name;
    TS_TRY(ts_gpu_pipeline(gpu, &dispatch->pipeline, &job.pipeline, err));
    if (gpu->compile_only) {
        TS_TRY(order(recorder, NULL, dispatch->views, dispatch->access, dispatch->view_count, err));
        if (gpu->seen != NULL) {
            gpu->seen(gpu->watcher, (size_t)(job.pipeline - gpu->pipelines), dispatch);
        }
        goto out;
    }
    job.number = (uint32_t)(job.pipeline - gpu->pipelines);
    int split = dispatch->groups[1] > 1 ? 1 : 0;
    double seconds = ts_pace_estimate(&gpu->pace, job.number, dispatch->work);
    double wanted = fmin(ceil(seconds / recorder->submits.full_s), dispatch->groups[split]);
    uint64_t pieces = wanted > 1 ? (uint64_t)wanted : 1, count = dispatch->groups[split];
    for (uint64_t i = 0; i < pieces; i++) {
        TS_TRY(record_piece(recorder, &job, split, (uint32_t)(count * i / pieces),
                            (uint32_t)(count * (i + 1) / pieces), err));
    }
    recorder->stats.dispatches++;
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
    ts_submit *submit;
    if (failed(recorder) || recorder->gpu->compile_only) {
        return;
    }
    if (ts_submits_current(&recorder->submits, &submit, &err) != TS_OK ||
        order(recorder, submit->commands, (ts_view[]){from, to}, (ts_access[]){TS_READ, TS_WRITE},
              2, &err) != TS_OK) {
        ts_recorder_fail(recorder, &err);
        return;
    }
    const VkBufferCopy region = {
        .srcOffset = from.offset, .dstOffset = to.offset, .size = from.bytes};
    recorder->gpu->vk.vkCmdCopyBuffer(submit->commands, from.buffer->handle, to.buffer->handle, 1,
                                      &region);
}

void ts_recorder_zero(ts_recorder *recorder, ts_view view)
{
    ts_error err = {0};
    if (recorder->gpu->mirror) {
        memset(ts_view_host(view), 0, view.bytes);
        return;
    }
    ts_submit *submit = NULL;
    const bool sends = !recorder->gpu->compile_only;
    if (failed(recorder)) {
        return;
    }
    if ((sends && ts_submits_current(&recorder->submits, &submit, &err) != TS_OK) ||
        order(recorder, sends ? submit->commands : NULL, &view, (ts_access[]){TS_WRITE}, 1, &err) !=
            TS_OK) {
        ts_recorder_fail(recorder, &err);
        return;
    }
    if (!sends) {
        return;
    }
    recorder->gpu->vk.vkCmdFillBuffer(submit->commands, view.buffer->handle, view.offset,
                                      ts_align_up(view.bytes, 4), 0);
}

ts_status ts_recorder_send(ts_recorder *recorder, uint64_t *ticket, ts_error *err)
{
    ts_status status = TS_OK;
    memset(recorder->known, 0, sizeof recorder->known);
    if (failed(recorder)) {
        *err = recorder->failure;
        status = err->code;
    } else {
        status = ts_submits_send(&recorder->submits, err);
    }
    if (status != TS_OK) {
        ts_submits_drop(&recorder->submits);
        recorder->touched_count = 0;
        recorder->failure = (ts_error){0};
    }
    *ticket = recorder->submits.sent;
    return status;
}

ts_status ts_recorder_wait(ts_recorder *recorder, uint64_t ticket, ts_error *err)
{
    ts_submits *submits = &recorder->submits;
    ts_status status = ts_submits_wait(submits, ticket, err);
    if (status != TS_OK) {
        ts_submits_drop(submits);
    }
    if (submits->done == submits->sent && !submits->recording) {
        recorder->touched_count = 0; // the host has waited for it all
    }
    return status;
}

ts_status ts_recorder_run(ts_recorder *recorder, ts_error *err)
{
    uint64_t ticket;
    ts_status status = ts_recorder_send(recorder, &ticket, err);
    return status == TS_OK ? ts_recorder_wait(recorder, ticket, err) : status;
}
