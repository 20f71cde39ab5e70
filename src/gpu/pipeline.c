#include "gpu/internal.h"

#include "base/memory.h"
#include "base/os.h"

#include <stdlib.h>
#include <string.h>

enum { PUSH_BYTES = 128 };     // every Vulkan device has this much
enum { MANY_PIPELINES = 128 }; // more than a run uses, so that no step has to grow the array

ts_status ts_gpu_pipelines_open(ts_gpu *gpu, ts_error *err)
{
    ts_status status = TS_OK;
    VkDescriptorSetLayoutBinding bindings[TS_MAX_VIEWS] = {0};
    for (uint32_t i = 0; i < TS_MAX_VIEWS; i++) {
        bindings[i] = (VkDescriptorSetLayoutBinding){
            .binding = i,
            .descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
            .descriptorCount = 1,
            .stageFlags = VK_SHADER_STAGE_COMPUTE_BIT,
        };
    }
    const VkPushConstantRange push = {.stageFlags = VK_SHADER_STAGE_COMPUTE_BIT,
                                      .size = PUSH_BYTES};
    for (uint32_t n = 0; n <= TS_MAX_VIEWS; n++) {
        const VkDescriptorSetLayoutCreateInfo set = {
            .sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO,
            .bindingCount = n,
            .pBindings = bindings};
        TS_TRY(ts_gpu_check(
            gpu->vk.vkCreateDescriptorSetLayout(gpu->device, &set, NULL, &gpu->set_layouts[n]),
            "vkCreateDescriptorSetLayout", err));
        const VkPipelineLayoutCreateInfo layout = {
            .sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO,
            .setLayoutCount = 1,
            .pSetLayouts = &gpu->set_layouts[n],
            .pushConstantRangeCount = 1,
            .pPushConstantRanges = &push};
        TS_TRY(ts_gpu_check(
            gpu->vk.vkCreatePipelineLayout(gpu->device, &layout, NULL, &gpu->pipeline_layouts[n]),
            "vkCreatePipelineLayout", err));
    }
    TS_TRY(ts_grow(&gpu->pipelines, &gpu->pipeline_capacity, MANY_PIPELINES, sizeof *gpu->pipelines,
                   err));
    TS_TRY(ts_pace_reserve(&gpu->pace, MANY_PIPELINES, err));
    TS_TRY(ts_gpu_cache_open(gpu, err));
out:
    return status;
}

void ts_gpu_pipelines_close(ts_gpu *gpu)
{
    for (size_t i = 0; i < gpu->pipeline_count; i++) {
        gpu->vk.vkDestroyPipeline(gpu->device, gpu->pipelines[i].handle, NULL);
    }
    free(gpu->pipelines);
    ts_pace_free(&gpu->pace);
    ts_gpu_cache_close(gpu);
    for (uint32_t n = 0; n <= TS_MAX_VIEWS; n++) {
        gpu->vk.vkDestroyPipelineLayout(gpu->device, gpu->pipeline_layouts[n], NULL);
        gpu->vk.vkDestroyDescriptorSetLayout(gpu->device, gpu->set_layouts[n], NULL);
    }
}

static bool same_key(const ts_pipeline_key *a, const ts_pipeline_key *b)
{
    return a->words == b->words && a->constant_count == b->constant_count &&
           a->subgroup_size == b->subgroup_size &&
           memcmp(a->constants, b->constants, a->constant_count * sizeof *a->constants) == 0;
}

static ts_status build(ts_gpu *gpu, const ts_pipeline_key *key, ts_pipeline *out, ts_error *err)
{
    ts_status status = TS_OK;
    VkShaderModule module = VK_NULL_HANDLE;
    VkSpecializationMapEntry entries[TS_MAX_CONSTANTS];
    for (uint32_t i = 0; i < key->constant_count; i++) {
        entries[i] = (VkSpecializationMapEntry){
            .constantID = i, .offset = i * sizeof(uint32_t), .size = sizeof(uint32_t)};
    }
    const VkSpecializationInfo constants = {.mapEntryCount = key->constant_count,
                                            .pMapEntries = entries,
                                            .dataSize = key->constant_count * sizeof(uint32_t),
                                            .pData = key->constants};
    const VkShaderModuleCreateInfo shader = {.sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO,
                                             .codeSize = key->word_bytes,
                                             .pCode = key->words};
    *out = (ts_pipeline){.key = *key, .layout = gpu->pipeline_layouts[key->binding_count]};
    TS_TRY(ts_gpu_check(gpu->vk.vkCreateShaderModule(gpu->device, &shader, NULL, &module),
                        "vkCreateShaderModule", err));
    const VkPipelineShaderStageRequiredSubgroupSizeCreateInfoEXT subgroups = {
        .sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_REQUIRED_SUBGROUP_SIZE_CREATE_INFO_EXT,
        .requiredSubgroupSize = key->subgroup_size};
    bool sized = key->subgroup_size != 0 && gpu->caps.has_full_subgroups;
    const VkComputePipelineCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO,
        .flags =
            VK_PIPELINE_CREATE_DISPATCH_BASE_BIT | // a long dispatch goes in pieces
            (gpu->has_figures ? VK_PIPELINE_CREATE_CAPTURE_STATISTICS_BIT_KHR : 0) |
            (gpu->keeps_listings ? VK_PIPELINE_CREATE_CAPTURE_INTERNAL_REPRESENTATIONS_BIT_KHR : 0),
        .stage = {.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO,
                  .pNext = sized && !gpu->caps.fixed_subgroup ? &subgroups : NULL,
                  .flags =
                      sized ? VK_PIPELINE_SHADER_STAGE_CREATE_REQUIRE_FULL_SUBGROUPS_BIT_EXT : 0,
                  .stage = VK_SHADER_STAGE_COMPUTE_BIT,
                  .module = module,
                  .pName = "main",
                  .pSpecializationInfo = &constants},
        .layout = out->layout,
    };
    TS_TRY(ts_gpu_check(gpu->vk.vkCreateComputePipelines(gpu->device, gpu->pipeline_cache, 1, &info,
                                                         NULL, &out->handle),
                        "vkCreateComputePipelines", err));
out:
    gpu->vk.vkDestroyShaderModule(gpu->device, module, NULL);
    if (status == TS_ERR_DEVICE) { // a lack of memory has a code of its own
        status = err->code = TS_ERR_SHADER;
    }
    if (status != TS_OK) {
        ts_error_context(err, "shader %s", key->name);
    }
    return status;
}

ts_status ts_gpu_pipeline(ts_gpu *gpu, const ts_pipeline_key *key, const ts_pipeline **out,
                          ts_error *err)
{
    ts_status status = TS_OK;
    for (size_t i = 0; i < gpu->pipeline_count; i++) {
        if (same_key(&gpu->pipelines[i].key, key)) {
            *out = &gpu->pipelines[i];
            return TS_OK;
        }
    }
    double started_s = ts_clock_s();
    TS_TRY(ts_grow(&gpu->pipelines, &gpu->pipeline_capacity, gpu->pipeline_count + 1,
                   sizeof *gpu->pipelines, err));
    TS_TRY(ts_pace_reserve(&gpu->pace, gpu->pipeline_count + 1, err));
    TS_TRY(build(gpu, key, &gpu->pipelines[gpu->pipeline_count], err));
    *out = &gpu->pipelines[gpu->pipeline_count++];
    gpu->pipeline_stats.built++;
    gpu->pipeline_stats.seconds += ts_clock_s() - started_s;
out:
    return status;
}

ts_pipeline_stats ts_gpu_pipeline_statistics(const ts_gpu *gpu)
{
    return gpu->pipeline_stats;
}
