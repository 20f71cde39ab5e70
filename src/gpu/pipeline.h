// Compute pipelines, built on first use and kept.
#ifndef TS_GPU_PIPELINE_H
#define TS_GPU_PIPELINE_H

#include "base/text.h"
#include "gpu/gpu.h"

enum { TS_MAX_CONSTANTS = 21, TS_MAX_VIEWS = 12 }; // of one shader

// Which pipeline: a shader and the values of its specialisation constants 0, 1, ...
typedef struct ts_pipeline_key {
    const uint32_t *words; // SPIR-V, identified by address
    size_t word_bytes;
    const char *name;
    uint32_t binding_count;
    uint32_t subgroup_size; // all subgroups full and of this size (caps.full_subgroup); 0: the
                            // driver chooses
    uint32_t constant_count;
    uint32_t constants[TS_MAX_CONSTANTS];
} ts_pipeline_key;

typedef struct ts_pipeline {
    ts_pipeline_key key;
    VkPipeline handle;
    VkPipelineLayout layout;
} ts_pipeline;

// Finds the pipeline of this key, or builds it. TS_ERR_SHADER where the driver cannot build it. The
// device owns it; the pointer is valid until the next call.
ts_status ts_gpu_pipeline(ts_gpu *gpu, const ts_pipeline_key *key, const ts_pipeline **out,
                          ts_error *err);

// Totals since the device was opened. Drivers may leave part of the work to the first dispatch.
typedef struct ts_pipeline_stats {
    uint32_t built;
    double seconds;        // spent in the driver, building
    uint64_t cached_bytes; // of the driver's pipeline cache that were found on disk (cache.h)
} ts_pipeline_stats;
ts_pipeline_stats ts_gpu_pipeline_statistics(const ts_gpu *gpu);

// What the driver's compiler reports about a pipeline (VK_KHR_pipeline_executable_properties),
// under the driver's own names: registers, spills, shared memory, an estimate of time.
typedef struct ts_pipeline_figure {
    char name[VK_MAX_DESCRIPTION_SIZE];
    double value;
} ts_pipeline_figure;

typedef struct ts_pipeline_figures {
    ts_pipeline_figure items[48];
    size_t count; // 0: the driver reports nothing
} ts_pipeline_figures;

// The pipelines built so far, in the order of their first use, and their figures. Only a device
// opened with compile_only has figures.
size_t ts_gpu_pipeline_count(const ts_gpu *gpu);
const ts_pipeline_key *ts_gpu_pipeline_key(const ts_gpu *gpu, size_t index);
ts_status ts_gpu_pipeline_figures(ts_gpu *gpu, size_t index, ts_pipeline_figures *out,
                                  ts_error *err);
// How many invocations run a pipeline's instructions together; 0: the driver does not tell.
ts_status ts_gpu_pipeline_subgroup(ts_gpu *gpu, size_t index, uint32_t *out, ts_error *err);
// Appends the compiler's listing of a pipeline's machine code, as the driver writes it. Appends
// nothing where it gives none, or the device was opened without ts_gpu_params.listings.
ts_status ts_gpu_pipeline_listing(ts_gpu *gpu, size_t index, ts_text *out, ts_error *err);

#endif
