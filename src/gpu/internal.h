// What the files of this floor share and other floors do not include.
#ifndef TS_GPU_INTERNAL_H
#define TS_GPU_INTERNAL_H

#include "base/text.h"
#include "gpu/gpu.h"
#include "gpu/newer.h"
#include "gpu/pace.h"
#include "gpu/pipeline.h"

enum {
    // Views start at multiples of this even where a device needs less. So a memory plan made
    // without a device holds for every device, and 16-byte loads are aligned. Vulkan lets no device
    // need more.
    TS_VIEW_ALIGNMENT = 256,
};

struct ts_gpu {
    bool mirror;       // nothing below but caps is set
    bool compile_only; // pipelines are built; nothing is allocated, recorded or run
    struct ts_gpu_instance *instance;
    VkPhysicalDevice physical;
    VkDevice device;
    VkQueue queue;
    uint32_t queue_family;
    struct VolkDeviceTable vk; // this device's functions
    ts_gpu_caps caps;
    VkPhysicalDeviceMemoryProperties memory;

    // By number of storage buffers: one layout of a set that holds them at bindings 0, 1, ...
    VkDescriptorSetLayout set_layouts[TS_MAX_VIEWS + 1];
    VkPipelineLayout pipeline_layouts[TS_MAX_VIEWS + 1];
    VkPipelineCache pipeline_cache;
    size_t cache_len_at_open; // in bytes, as the driver told when it had read the file; 0: no file
    ts_text cache_folder;     // on disk (cache.h); empty: none
    ts_pipeline_stats pipeline_stats;
    struct ts_pipeline *pipelines; // built so far
    size_t pipeline_count, pipeline_capacity;
    ts_pace pace;        // of the pipelines, in their order
    bool has_figures;    // ts_gpu_pipeline_figures has some
    bool keeps_listings; // ts_gpu_pipeline_listing has them
    void (*seen)(void *context, size_t pipeline, const struct ts_dispatch *dispatch);
    void *watcher; // ts_gpu_watch

    struct {
        void *thing;
        void (*close)(void *thing);
    } attached[TS_GPU_SLOTS];
    bool no_tuning;

    uint64_t allocated_bytes; // device memory held now
};

// Turns a VkResult into a status: "vkAllocateMemory: out of device memory".
ts_status ts_gpu_check(VkResult result, const char *what, ts_error *err);

// How vkCreateInstance is told to load the validation layer. It holds pointers into itself, so it
// must not move before that call.
struct ts_gpu_validation {
    ts_validation kind;
    const void *chain; // of VkInstanceCreateInfo
    const char *layers[1], *extensions[2];
    uint32_t layer_count, extension_count;
    VkValidationFeaturesEXT features;
    ts_vk_layer_setting settings[4];
    ts_vk_layer_settings all;
};
// TS_ERR_DEVICE where it is asked for and not installed.
ts_status ts_gpu_validation_choose(const ts_gpu_params *params, struct ts_gpu_validation *out,
                                   ts_error *err);
// Counts and logs the layer's messages from now on. The caller destroys *out.
ts_status ts_gpu_validation_listen(VkInstance instance, VkDebugUtilsMessengerEXT *out,
                                   ts_error *err);

// volk keeps the functions of the instance that was loaded last in global variables. Hold this lock
// while loading an instance or calling them. A device's functions are in its own table (ts_gpu.vk)
// and need no lock.
void ts_volk_lock(void);
void ts_volk_unlock(void);

// Vulkan's instance (instance.c). `index` counts as ts_gpu_list does; close takes NULL too.
VkPhysicalDevice ts_gpu_instance_device(const struct ts_gpu_instance *instance, size_t index);
void ts_gpu_instance_close(struct ts_gpu_instance *instance);

// What a device reports about itself (caps.c), with `unusable` set.
void ts_gpu_read_caps(VkPhysicalDevice physical, ts_gpu_caps *caps);
// Whether the only reason not to use it is that it has no memory: compiling pipelines needs none.
bool ts_gpu_lacks_only_memory(const ts_gpu_caps *caps);
// The first queue family that computes, or UINT32_MAX. *timestamp_bits of its counter are valid.
uint32_t ts_gpu_queue_family(VkPhysicalDevice physical, uint32_t *timestamp_bits);

// Sets list->chosen and list->reason among list->caps, as ts_gpu_enumerate promises.
ts_status ts_gpu_choose(ts_gpu_list *list, const char *wanted, ts_error *err);

// Sets the memory fields of `caps` by what the driver reports (`budget` may be NULL) and by what
// the host has. The type in `caps` must be set before.
void ts_gpu_weigh_memory(const VkPhysicalDeviceMemoryProperties *memory,
                         const VkPhysicalDeviceMemoryBudgetPropertiesEXT *budget,
                         uint64_t host_bytes, uint64_t host_free_bytes, ts_gpu_caps *caps);
void ts_gpu_read_memory(VkPhysicalDevice physical, ts_gpu_caps *caps);

// Why a device with these limits cannot be used, or NULL. Vulkan guarantees the other limits that
// are needed.
const char *ts_gpu_check_limits(const VkPhysicalDeviceLimits *limits);

// Seconds between two timestamps, whose counter may have started again at 0 in between; negative
// where they are not known.
double ts_gpu_ticks_s(const ts_gpu_caps *caps, uint64_t begin, uint64_t end);

bool ts_gpu_has_extension(VkPhysicalDevice physical, const char *name);

// The 32-bit registers of an invocation of a vendor's GPUs.
uint32_t ts_gpu_registers(uint32_t vendor);

// The subgroup size to ask for, where the device offers `sizes`: on Intel the smallest, in which an
// invocation has the most registers, and the only one of its matrix units; on others the `usual`
// one, which the driver prefers. 0: none can be relied on.
uint32_t ts_gpu_choose_subgroup(const VkPhysicalDeviceSubgroupSizeControlPropertiesEXT *sizes,
                                uint32_t vendor, uint32_t usual);

// Optional features. ts_gpu_read_features reads them into `caps`, whose type, api_version and
// subgroup_size are set before. ts_gpu_enable_features makes of `caps` what vkCreateDevice is told.
// The result holds pointers into itself, so it must not move before that call.
struct ts_gpu_features {
    VkPhysicalDeviceVulkan12Features core;
    VkPhysicalDeviceSubgroupSizeControlFeaturesEXT control;
    ts_vk_matrix_features matrix;
    ts_vk_bfloat16_features bfloat16;
    ts_vk_mixed_dot_features mixed_dot;
    VkPhysicalDevicePipelineExecutablePropertiesFeaturesKHR figures;
    const void *chain; // NULL: none is asked for
    const char *extensions[5];
    uint32_t extension_count;
};
void ts_gpu_read_features(VkPhysicalDevice physical, ts_gpu_caps *caps);
void ts_gpu_enable_features(const ts_gpu_caps *caps, struct ts_gpu_features *out);
// Adds what ts_gpu_pipeline_figures needs to `features`; false where the driver does not have it.
bool ts_gpu_enable_figures(VkPhysicalDevice physical, struct ts_gpu_features *features);

// The pipeline cache: opened with what is on disk where that is valid, and written back if it grew.
ts_status ts_gpu_cache_open(ts_gpu *gpu, ts_error *err);
void ts_gpu_cache_close(ts_gpu *gpu);

void ts_gpu_masks_apply(uint32_t masks, ts_gpu_caps *caps);

ts_status ts_gpu_pipelines_open(ts_gpu *gpu, ts_error *err);
void ts_gpu_pipelines_close(ts_gpu *gpu);

#endif
