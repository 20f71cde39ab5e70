#include "gpu/profile.h"

#include "base/memory.h"
#include "gpu/internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_DISPATCHES = 4096 };

ts_status ts_profile_open(ts_gpu *gpu, ts_profile *out, ts_error *err)
{
    ts_status status = TS_OK;
    *out = (ts_profile){.gpu = gpu};
    if (!(gpu->caps.timestamp_ns > 0)) {
        TS_FAIL(TS_ERR_UNSUPPORTED, "--profile: %s has no timestamps, which it is measured by",
                gpu->caps.name);
    }
    const VkQueryPoolCreateInfo info = {.sType = VK_STRUCTURE_TYPE_QUERY_POOL_CREATE_INFO,
                                        .queryType = VK_QUERY_TYPE_TIMESTAMP,
                                        .queryCount = 2 * MOST_DISPATCHES};
    TS_TRY(ts_alloc(MOST_DISPATCHES, sizeof *out->labels, &out->labels, err));
    TS_TRY(ts_gpu_check(gpu->vk.vkCreateQueryPool(gpu->device, &info, NULL, &out->queries),
                        "vkCreateQueryPool", err));
out:
    return status;
}

void ts_profile_close(ts_profile *profile)
{
    if (profile->gpu != NULL) {
        profile->gpu->vk.vkDestroyQueryPool(profile->gpu->device, profile->queries, NULL);
    }
    free(profile->labels);
    *profile = (ts_profile){0};
}

// The first of the next dispatch's two queries.
static uint32_t next_query(const ts_profile *profile)
{
    return 2 * (uint32_t)(profile->recorded % MOST_DISPATCHES);
}

static bool has_room(const ts_profile *profile)
{
    return profile->recorded - profile->collected < MOST_DISPATCHES;
}

void ts_profile_before(ts_profile *profile, VkCommandBuffer commands, const char *shader)
{
    uint32_t query = next_query(profile);
    if (has_room(profile)) {
        profile->labels[query / 2] = shader;
        profile->gpu->vk.vkCmdResetQueryPool(commands, profile->queries, query, 2);
        profile->gpu->vk.vkCmdWriteTimestamp(commands, VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT,
                                             profile->queries, query);
    }
}

void ts_profile_after(ts_profile *profile, VkCommandBuffer commands)
{
    if (has_room(profile)) {
        profile->gpu->vk.vkCmdWriteTimestamp(commands, VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT,
                                             profile->queries, next_query(profile) + 1);
        profile->recorded++;
    }
}

void ts_profile_drop(ts_profile *profile)
{
    profile->recorded = profile->collected;
}

static ts_profile_row *row_of(ts_profile *profile, const char *shader)
{
    size_t i = 0;
    while (i < profile->row_count && strcmp(profile->rows[i].shader, shader) != 0) {
        i++;
    }
    if (i == profile->row_count) {
        profile->rows[profile->row_count++].shader = shader;
    }
    return &profile->rows[i];
}

static int slowest_first(const void *a, const void *b)
{
    double x = ((const ts_profile_row *)a)->seconds, y = ((const ts_profile_row *)b)->seconds;
    return x < y ? 1 : x > y ? -1 : 0;
}

ts_status ts_profile_collect(ts_profile *profile, uint64_t recorded, ts_error *err)
{
    ts_status status = TS_OK;
    ts_gpu *gpu = profile->gpu;
    for (; profile->collected < recorded; profile->collected++) {
        uint32_t i = (uint32_t)(profile->collected % MOST_DISPATCHES);
        uint64_t ticks[2];
        TS_TRY(ts_gpu_check(gpu->vk.vkGetQueryPoolResults(
                                gpu->device, profile->queries, 2 * i, 2, sizeof ticks, ticks,
                                sizeof *ticks, VK_QUERY_RESULT_64_BIT | VK_QUERY_RESULT_WAIT_BIT),
                            "vkGetQueryPoolResults", err));
        ts_profile_row *row = row_of(profile, profile->labels[i]);
        row->dispatches++;
        row->seconds += fmax(ts_gpu_ticks_s(&gpu->caps, ticks[0], ticks[1]), 0);
    }
    qsort(profile->rows, profile->row_count, sizeof *profile->rows, slowest_first);
out:
    return status;
}
