// What the files of this floor share and nobody else sees.
#ifndef TS_GPU_INTERNAL_H
#define TS_GPU_INTERNAL_H

#include "base/text.h"
#include "gpu/gpu.h"
#include "gpu/newer.h"
#include "gpu/pipeline.h"

enum { TS_MAX_BINDINGS = 10 };

struct ts_gpu {
    bool mirror; // nothing below but caps is set
    VkInstance instance;
    VkDebugUtilsMessengerEXT messenger;
    VkPhysicalDevice physical;
    VkDevice device;
    VkQueue queue;
    uint32_t queue_family;
    struct VolkDeviceTable vk; // this device's functions
    ts_gpu_caps caps;
    VkPhysicalDeviceMemoryProperties memory;

    // By number of storage buffers: one layout of a set that holds them at bindings 0, 1, ...
    VkDescriptorSetLayout set_layouts[TS_MAX_BINDINGS + 1];
    VkPipelineLayout pipeline_layouts[TS_MAX_BINDINGS + 1];
    VkPipelineCache pipeline_cache;
    ts_text cache_folder; // on disk (cache.h); empty: none
    ts_pipeline_stats pipeline_stats;
    struct ts_pipeline *pipelines; // built so far
    size_t pipeline_count, pipeline_capacity;

    uint64_t allocated_bytes; // device memory held now
};

// Turns a VkResult into a status: "vkAllocateMemory: out of device memory".
ts_status ts_gpu_check(VkResult result, const char *what, ts_error *err);

bool ts_gpu_has_extension(VkPhysicalDevice physical, const char *name);

// Optional features: reads them into `caps` (which has its api_version and subgroup_size), and
// makes of `caps` what vkCreateDevice is told; `out` must stay where it is until then.
struct ts_gpu_features {
    VkPhysicalDeviceVulkan12Features core;
    VkPhysicalDeviceSubgroupSizeControlFeaturesEXT control;
    ts_vk_matrix_features matrix;
    ts_vk_bfloat16_features bfloat16;
    const void *chain; // NULL: none is asked for
    const char *extensions[3];
    uint32_t extension_count;
};
void ts_gpu_read_features(VkPhysicalDevice physical, ts_gpu_caps *caps);
void ts_gpu_enable_features(const ts_gpu_caps *caps, struct ts_gpu_features *out);

// The pipeline cache: from disk as far as what stands there is sound, and back to it if it grew.
ts_status ts_gpu_cache_open(ts_gpu *gpu, ts_error *err);
void ts_gpu_cache_close(ts_gpu *gpu);

void ts_gpu_masks_apply(uint32_t masks, ts_gpu_caps *caps);

ts_status ts_gpu_pipelines_open(ts_gpu *gpu, ts_error *err);
void ts_gpu_pipelines_close(ts_gpu *gpu);

#endif
