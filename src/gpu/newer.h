// What Vulkan has gained since the headers of the oldest distribution we build on (Debian 12 has
// 1.3.239): cooperative matrices, bfloat16, dot products of f16, settings of layers. A program
// built there must use them all the same where the driver has them. So this declares what the
// registry (vk.xml) says, under names of our own, and does not depend on which headers are
// installed.
#ifndef TS_GPU_NEWER_H
#define TS_GPU_NEWER_H

#include <volk.h>

#define TS_VK_COOPERATIVE_MATRIX "VK_KHR_cooperative_matrix"
#define TS_VK_BFLOAT16 "VK_KHR_shader_bfloat16"
#define TS_VK_MIXED_DOT "VK_VALVE_shader_mixed_float_dot_product"
#define TS_VK_LAYER_SETTINGS "VK_EXT_layer_settings"

// VkStructureType: 1000000000 + 1000 * (number of the extension - 1) + place in it
enum {
    TS_VK_TYPE_BFLOAT16_FEATURES = 1000141000,
    TS_VK_TYPE_LAYER_SETTINGS = 1000496000,
    TS_VK_TYPE_MATRIX_FEATURES = 1000506000,
    TS_VK_TYPE_MATRIX_PROPERTIES = 1000506001,
    TS_VK_TYPE_MATRIX_DEVICE_PROPERTIES = 1000506002,
    TS_VK_TYPE_MIXED_DOT_FEATURES = 1000673000,
};

// VkComponentTypeKHR and VkScopeKHR, the values that are used
enum {
    TS_VK_COMPONENT_FLOAT16 = 0,
    TS_VK_COMPONENT_FLOAT32 = 1,
    TS_VK_COMPONENT_BFLOAT16 = 1000141000,
    TS_VK_SCOPE_SUBGROUP = 3,
};

// VkPhysicalDeviceCooperativeMatrixFeaturesKHR
typedef struct ts_vk_matrix_features {
    VkStructureType sType;
    void *pNext;
    VkBool32 cooperativeMatrix;
    VkBool32 cooperativeMatrixRobustBufferAccess;
} ts_vk_matrix_features;

// VkPhysicalDeviceCooperativeMatrixPropertiesKHR
typedef struct ts_vk_matrix_device_properties {
    VkStructureType sType;
    void *pNext;
    VkShaderStageFlags cooperativeMatrixSupportedStages;
} ts_vk_matrix_device_properties;

// VkCooperativeMatrixPropertiesKHR; the enums, all of them 32 bits wide, as numbers
typedef struct ts_vk_matrix_properties {
    VkStructureType sType;
    void *pNext;
    uint32_t MSize, NSize, KSize;
    uint32_t AType, BType, CType, ResultType;
    VkBool32 saturatingAccumulation;
    uint32_t scope;
} ts_vk_matrix_properties;

// vkGetPhysicalDeviceCooperativeMatrixPropertiesKHR
typedef VkResult(VKAPI_PTR *ts_vk_get_matrix_properties)(VkPhysicalDevice physical, uint32_t *count,
                                                         ts_vk_matrix_properties *properties);

// VkPhysicalDeviceShaderBfloat16FeaturesKHR
typedef struct ts_vk_bfloat16_features {
    VkStructureType sType;
    void *pNext;
    VkBool32 shaderBFloat16Type;
    VkBool32 shaderBFloat16DotProduct;
    VkBool32 shaderBFloat16CooperativeMatrix;
} ts_vk_bfloat16_features;

// VkPhysicalDeviceShaderMixedFloatDotProductFeaturesVALVE
typedef struct ts_vk_mixed_dot_features {
    VkStructureType sType;
    void *pNext;
    VkBool32 shaderMixedFloatDotProductFloat16AccFloat32;
    VkBool32 shaderMixedFloatDotProductFloat16AccFloat16;
    VkBool32 shaderMixedFloatDotProductBFloat16Acc;
    VkBool32 shaderMixedFloatDotProductFloat8AccFloat32;
} ts_vk_mixed_dot_features;

// VkLayerSettingEXT and VkLayerSettingsCreateInfoEXT
enum { TS_VK_LAYER_SETTING_BOOL32 = 0 };
typedef struct ts_vk_layer_setting {
    const char *layer, *name;
    uint32_t type, count;
    const void *values;
} ts_vk_layer_setting;
typedef struct ts_vk_layer_settings {
    VkStructureType sType;
    const void *pNext;
    uint32_t count;
    const ts_vk_layer_setting *settings;
} ts_vk_layer_settings;

#endif
