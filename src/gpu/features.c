// The optional features that are used where a device has them: cooperative matrices with f16 or
// bf16 operands, dot products of f16, subgroups of a size that is asked for, addresses of buffers.
// A device without any works too.
#include "gpu/internal.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

enum { INTEL = 0x8086 }; // vendors' numbers are those of PCI

bool ts_gpu_has_extension(VkPhysicalDevice physical, const char *name)
{
    uint32_t count = 0;
    bool found = false;
    vkEnumerateDeviceExtensionProperties(physical, NULL, &count, NULL);
    VkExtensionProperties *all = calloc(count > 0 ? count : 1, sizeof *all);
    if (all != NULL &&
        vkEnumerateDeviceExtensionProperties(physical, NULL, &count, all) == VK_SUCCESS) {
        for (uint32_t i = 0; i < count && !found; i++) {
            found = strcmp(all[i].extensionName, name) == 0;
        }
    }
    free(all);
    return found;
}

// Shapes that the shader can work with: operands are staged in pieces of eight 16-bit elements,
// tiles have sides of 32 or more.
static bool shape_fits(const ts_vk_matrix_properties *p)
{
    return p->KSize % 8 == 0 && 32 % p->KSize == 0 && p->MSize % 8 == 0 && 32 % p->MSize == 0 &&
           p->NSize % 8 == 0 && 32 % p->NSize == 0;
}

// The largest shape that multiplies operands of `type` into f32 sums; of equals the squarest.
static ts_matrix_shape choose_shape(const ts_vk_matrix_properties *all, uint32_t count,
                                    uint32_t type)
{
    ts_matrix_shape best = {0};
    for (uint32_t i = 0; i < count; i++) {
        const ts_vk_matrix_properties *p = &all[i];
        uint32_t size = p->MSize * p->NSize * p->KSize, best_size = best.m * best.n * best.k;
        bool usable = p->AType == type && p->BType == type && p->CType == TS_VK_COMPONENT_FLOAT32 &&
                      p->ResultType == TS_VK_COMPONENT_FLOAT32 &&
                      p->scope == TS_VK_SCOPE_SUBGROUP && !p->saturatingAccumulation;
        bool squarer = p->MSize == p->NSize && best.m != best.n;
        if (usable && shape_fits(p) && (size > best_size || (size == best_size && squarer))) {
            best = (ts_matrix_shape){p->MSize, p->NSize, p->KSize};
        }
    }
    return best;
}

static bool computes_with_matrices(VkPhysicalDevice physical)
{
    ts_vk_matrix_device_properties matrix = {
        .sType = (VkStructureType)TS_VK_TYPE_MATRIX_DEVICE_PROPERTIES};
    VkPhysicalDeviceProperties2 properties = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2, .pNext = &matrix};
    vkGetPhysicalDeviceProperties2(physical, &properties);
    return (matrix.cooperativeMatrixSupportedStages & VK_SHADER_STAGE_COMPUTE_BIT) != 0;
}

static void read_shapes(VkPhysicalDevice physical, ts_gpu_caps *caps)
{
    ts_vk_get_matrix_properties get = (ts_vk_get_matrix_properties)vkGetInstanceProcAddr(
        volkGetLoadedInstance(), "vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR");
    uint32_t count = 0;
    if (get == NULL || get(physical, &count, NULL) != VK_SUCCESS || count == 0) {
        return;
    }
    ts_vk_matrix_properties *all = calloc(count, sizeof *all);
    if (all == NULL) {
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        all[i].sType = (VkStructureType)TS_VK_TYPE_MATRIX_PROPERTIES;
    }
    if (get(physical, &count, all) == VK_SUCCESS) {
        caps->matrix_f16 = choose_shape(all, count, TS_VK_COMPONENT_FLOAT16);
        if (caps->has_bfloat16) {
            caps->matrix_bf16 = choose_shape(all, count, TS_VK_COMPONENT_BFLOAT16);
        }
    }
    caps->has_matrix_attention = caps->matrix_f16.m != 0 || caps->matrix_bf16.m != 0;
    free(all);
}

// Vulkan does not tell how many 32-bit registers an invocation has. NVIDIA's and AMD's have 255 or
// 256. On Intel the smallest subgroups have 128 registers of 32 bytes (Xe2: of 64), so each
// invocation has 128. On Qualcomm's GPUs each invocation of a workgroup of 256 has 128, too. For
// other vendors the smallest usual number is assumed, that of ARM's Mali.
uint32_t ts_gpu_registers(uint32_t vendor)
{
    static const struct {
        uint32_t vendor, registers;
    } known[] = {{0x10de, 255}, {0x1002, 255}, {INTEL, 128}, {0x5143, 128}};
    enum { FEWEST = 64 };
    for (size_t i = 0; i < TS_COUNT(known); i++) {
        if (known[i].vendor == vendor) {
            return known[i].registers;
        }
    }
    return FEWEST;
}

uint32_t ts_gpu_choose_subgroup(const VkPhysicalDeviceSubgroupSizeControlPropertiesEXT *sizes,
                                uint32_t vendor, uint32_t usual)
{
    if (sizes->requiredSubgroupSizeStages & VK_SHADER_STAGE_COMPUTE_BIT) {
        return vendor == INTEL ? sizes->minSubgroupSize : usual;
    }
    return sizes->minSubgroupSize == sizes->maxSubgroupSize ? sizes->minSubgroupSize : 0;
}

static bool controls_subgroups(VkPhysicalDevice physical)
{
    VkPhysicalDeviceSubgroupSizeControlFeaturesEXT control = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_FEATURES_EXT};
    VkPhysicalDeviceFeatures2 features = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2,
                                          .pNext = &control};
    if (!ts_gpu_has_extension(physical, VK_EXT_SUBGROUP_SIZE_CONTROL_EXTENSION_NAME)) {
        return false;
    }
    vkGetPhysicalDeviceFeatures2(physical, &features);
    return control.subgroupSizeControl && control.computeFullSubgroups;
}

static void read_subgroups(VkPhysicalDevice physical, ts_gpu_caps *caps)
{
    VkPhysicalDeviceSubgroupSizeControlPropertiesEXT sizes = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_PROPERTIES_EXT};
    VkPhysicalDeviceProperties2 properties = {.sType =
                                                  VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2};
    caps->has_full_subgroups = controls_subgroups(physical);
    properties.pNext = caps->has_full_subgroups ? &sizes : NULL;
    vkGetPhysicalDeviceProperties2(physical, &properties);
    const uint32_t vendor = properties.properties.vendorID;
    caps->registers = ts_gpu_is_cpu(caps) ? 0 : ts_gpu_registers(vendor);
    caps->max_subgroups = sizes.maxComputeWorkgroupSubgroups;
    if (caps->has_full_subgroups) {
        caps->full_subgroup = ts_gpu_choose_subgroup(&sizes, vendor, caps->subgroup_size);
        caps->free_broadcasts = vendor == INTEL && caps->full_subgroup != 0;
        caps->fixed_subgroup = !(sizes.requiredSubgroupSizeStages & VK_SHADER_STAGE_COMPUTE_BIT);
    } else if (!ts_gpu_has_extension(physical, VK_EXT_SUBGROUP_SIZE_CONTROL_EXTENSION_NAME)) {
        caps->full_subgroup = caps->subgroup_size; // then it is the only size, says Vulkan 1.1
    }
}

static bool reads_by_address(VkPhysicalDevice physical, const ts_gpu_caps *caps)
{
    VkPhysicalDeviceVulkan12Features core = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES};
    VkPhysicalDeviceFeatures2 features = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2,
                                          .pNext = &core};
    if (caps->api_version < VK_API_VERSION_1_2) {
        return false;
    }
    vkGetPhysicalDeviceFeatures2(physical, &features);
    return core.bufferDeviceAddress;
}

static bool multiplies_f16_pairs(VkPhysicalDevice physical)
{
    ts_vk_mixed_dot_features dots = {.sType = (VkStructureType)TS_VK_TYPE_MIXED_DOT_FEATURES};
    VkPhysicalDeviceVulkan12Features core = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES, .pNext = &dots};
    VkPhysicalDeviceFeatures2 features = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2,
                                          .pNext = &core};
    if (!ts_gpu_has_extension(physical, TS_VK_MIXED_DOT)) {
        return false;
    }
    vkGetPhysicalDeviceFeatures2(physical, &features);
    return core.shaderFloat16 && dots.shaderMixedFloatDotProductFloat16AccFloat32;
}

void ts_gpu_read_features(VkPhysicalDevice physical, ts_gpu_caps *caps)
{
    VkPhysicalDeviceFeatures oldest;
    vkGetPhysicalDeviceFeatures(physical, &oldest);
    caps->has_int64 = oldest.shaderInt64;
    caps->has_addresses = ts_gpu_is_cpu(caps) && reads_by_address(physical, caps);
    if (caps->api_version < VK_API_VERSION_1_2) {
        return;
    }
    caps->has_f16_dots = caps->f16_pairs = multiplies_f16_pairs(physical);
    read_subgroups(physical, caps);
    if (!caps->has_full_subgroups || !ts_gpu_has_extension(physical, TS_VK_COOPERATIVE_MATRIX)) {
        return;
    }
    ts_vk_bfloat16_features bfloat16 = {.sType = (VkStructureType)TS_VK_TYPE_BFLOAT16_FEATURES};
    ts_vk_matrix_features matrix = {.sType = (VkStructureType)TS_VK_TYPE_MATRIX_FEATURES};
    VkPhysicalDeviceVulkan12Features core = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES, .pNext = &matrix};
    VkPhysicalDeviceFeatures2 features = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2,
                                          .pNext = &core};
    if (ts_gpu_has_extension(physical, TS_VK_BFLOAT16)) {
        matrix.pNext = &bfloat16;
    }
    vkGetPhysicalDeviceFeatures2(physical, &features);
    if (!matrix.cooperativeMatrix || !core.shaderFloat16 || !core.vulkanMemoryModel ||
        !core.vulkanMemoryModelDeviceScope) { // the last for atomics on buffers
        return;
    }
    caps->has_bfloat16 = bfloat16.shaderBFloat16Type && bfloat16.shaderBFloat16CooperativeMatrix &&
                         oldest.shaderInt16; // GLSL has a bfloat16's bits in these alone
    if (caps->full_subgroup != 0 && computes_with_matrices(physical)) {
        read_shapes(physical, caps);
    }
}

// Tells vkCreateDevice of features, whose struct has `sType` set, by the extension that has them.
static void enable(struct ts_gpu_features *out, void *features, const char *extension)
{
    ((VkBaseOutStructure *)features)->pNext = out->core.pNext;
    out->core.pNext = features;
    out->chain = &out->core;
    out->extensions[out->extension_count++] = extension;
}

void ts_gpu_enable_features(const ts_gpu_caps *caps, struct ts_gpu_features *out)
{
    bool matrices = caps->matrix_f16.m != 0 || caps->matrix_bf16.m != 0;
    *out = (struct ts_gpu_features){
        .core = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES,
                 .bufferDeviceAddress = caps->has_addresses,
                 .shaderFloat16 = matrices || caps->has_f16_dots,
                 .vulkanMemoryModel = matrices,
                 .vulkanMemoryModelDeviceScope = matrices},
        .control = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_FEATURES_EXT,
                    .subgroupSizeControl = true,
                    .computeFullSubgroups = true},
        .matrix = {.sType = (VkStructureType)TS_VK_TYPE_MATRIX_FEATURES, .cooperativeMatrix = true},
        .bfloat16 = {.sType = (VkStructureType)TS_VK_TYPE_BFLOAT16_FEATURES,
                     .shaderBFloat16Type = true,
                     .shaderBFloat16CooperativeMatrix = true},
        .mixed_dot = {.sType = (VkStructureType)TS_VK_TYPE_MIXED_DOT_FEATURES,
                      .shaderMixedFloatDotProductFloat16AccFloat32 = true}};
    out->chain = caps->has_addresses ? &out->core : NULL;
    if (caps->has_full_subgroups) {
        enable(out, &out->control, VK_EXT_SUBGROUP_SIZE_CONTROL_EXTENSION_NAME);
    }
    if (matrices) {
        enable(out, &out->matrix, TS_VK_COOPERATIVE_MATRIX);
    }
    if (matrices && caps->has_bfloat16) {
        enable(out, &out->bfloat16, TS_VK_BFLOAT16);
    }
    if (caps->has_f16_dots) {
        enable(out, &out->mixed_dot, TS_VK_MIXED_DOT);
    }
}
