// The Khronos validation layer: switching it on in whichever way its version understands, and
// counting what it says.
#include "gpu/internal.h"

#include "base/log.h"
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

#define LAYER "VK_LAYER_KHRONOS_validation"

static uint64_t messages; // of this process

uint64_t ts_gpu_validation_messages(void)
{
    return messages;
}

// Whether a message is about the layer itself. GPU-assisted validation reports which of its checks
// (of ray tracing, of mesh shaders) it leaves out because the device lacks the feature, and that a
// shader with many loads is slow with its checks.
static bool is_about_itself(const char *id)
{
    return strcmp(id, "WARNING-Setting-Limit-Adjusted") == 0 ||
           strcmp(id, "WARNING-GPU-Assisted-Validation") == 0 ||
           strcmp(id, "GPUAV-Compile-time-general-buffer") == 0;
}

static VKAPI_ATTR VkBool32 VKAPI_CALL on_message(VkDebugUtilsMessageSeverityFlagBitsEXT severity,
                                                 VkDebugUtilsMessageTypeFlagsEXT types,
                                                 const VkDebugUtilsMessengerCallbackDataEXT *data,
                                                 void *user)
{
    (void)severity, (void)types, (void)user;
    const char *id = data->pMessageIdName != NULL ? data->pMessageIdName : "";
    if (is_about_itself(id)) {
        return VK_FALSE;
    }
    messages++;
    ts_log(TS_LOG_WARN, "validation: %s: %s", id, data->pMessage);
    return VK_FALSE;
}

static bool is_installed(void)
{
    VkLayerProperties layers[64];
    uint32_t count = TS_COUNT(layers);
    vkEnumerateInstanceLayerProperties(&count, layers);
    for (uint32_t i = 0; i < count; i++) {
        if (strcmp(layers[i].layerName, LAYER) == 0) {
            return true;
        }
    }
    return false;
}

// Newer layers are configured by settings. Older ones would complain of the unknown structure.
static bool takes_settings(void)
{
    VkExtensionProperties extensions[64];
    uint32_t count = TS_COUNT(extensions);
    vkEnumerateInstanceExtensionProperties(LAYER, &count, extensions);
    for (uint32_t i = 0; i < count; i++) {
        if (strcmp(extensions[i].extensionName, TS_VK_LAYER_SETTINGS) == 0) {
            return true;
        }
    }
    return false;
}

static ts_validation wanted(const ts_gpu_params *params)
{
    const char *variable = getenv("TINYSFT_VALIDATE");
    return variable != NULL && strcmp(variable, "gpu") == 0 ? TS_VALIDATE_GPU
           : variable != NULL && strcmp(variable, "1") == 0 ? TS_VALIDATE_SYNC
           : params->validate                               ? TS_VALIDATE_SYNC
                                                            : TS_VALIDATE_NO;
}

static void set_features(bool gpu, struct ts_gpu_validation *out)
{
    static const VkValidationFeatureEnableEXT enabled[] = {
        VK_VALIDATION_FEATURE_ENABLE_SYNCHRONIZATION_VALIDATION_EXT,
        VK_VALIDATION_FEATURE_ENABLE_GPU_ASSISTED_EXT};
    out->features = (VkValidationFeaturesEXT){.sType = VK_STRUCTURE_TYPE_VALIDATION_FEATURES_EXT,
                                              .enabledValidationFeatureCount = gpu ? 2 : 1,
                                              .pEnabledValidationFeatures = enabled};
    out->chain = &out->features;
}

// Since 1.3.290 synchronisation validation looks at what shaders access only where it is told to;
// otherwise it finds no hazard between two dispatches. GPU-assisted validation runs without the
// other checks.
static void set_settings(bool gpu, struct ts_gpu_validation *out)
{
    static const VkBool32 values[] = {VK_FALSE, VK_TRUE};
    const struct {
        const char *name;
        bool on;
    } wishes[] = {{"validate_core", !gpu},
                  {"validate_sync", !gpu},
                  {"syncval_shader_accesses_heuristic", !gpu},
                  {"gpuav_enable", gpu}};
    for (size_t i = 0; i < TS_COUNT(wishes); i++) {
        out->settings[i] = (ts_vk_layer_setting){.layer = LAYER,
                                                 .name = wishes[i].name,
                                                 .type = TS_VK_LAYER_SETTING_BOOL32,
                                                 .count = 1,
                                                 .values = &values[wishes[i].on]};
    }
    out->all = (ts_vk_layer_settings){.sType = (VkStructureType)TS_VK_TYPE_LAYER_SETTINGS,
                                      .count = TS_COUNT(wishes),
                                      .settings = out->settings};
    out->extensions[out->extension_count++] = TS_VK_LAYER_SETTINGS;
    out->chain = &out->all;
}

ts_status ts_gpu_validation_choose(const ts_gpu_params *params, struct ts_gpu_validation *out,
                                   ts_error *err)
{
    *out = (struct ts_gpu_validation){.kind = wanted(params), .layers = {LAYER}};
    if (out->kind == TS_VALIDATE_NO) {
        return TS_OK;
    }
    if (!is_installed()) {
        return ts_error_set(err, TS_ERR_DEVICE,
                            "validation was asked for, but the layer " LAYER
                            " is not installed (Debian: `apt install vulkan-validationlayers`)");
    }
    out->layer_count = 1;
    out->extensions[out->extension_count++] = VK_EXT_DEBUG_UTILS_EXTENSION_NAME;
    (takes_settings() ? set_settings : set_features)(out->kind == TS_VALIDATE_GPU, out);
    return TS_OK;
}

ts_status ts_gpu_validation_listen(VkInstance instance, VkDebugUtilsMessengerEXT *out,
                                   ts_error *err)
{
    const VkDebugUtilsMessengerCreateInfoEXT info = {
        .sType = VK_STRUCTURE_TYPE_DEBUG_UTILS_MESSENGER_CREATE_INFO_EXT,
        .messageSeverity = VK_DEBUG_UTILS_MESSAGE_SEVERITY_WARNING_BIT_EXT |
                           VK_DEBUG_UTILS_MESSAGE_SEVERITY_ERROR_BIT_EXT,
        .messageType = VK_DEBUG_UTILS_MESSAGE_TYPE_VALIDATION_BIT_EXT |
                       VK_DEBUG_UTILS_MESSAGE_TYPE_PERFORMANCE_BIT_EXT,
        .pfnUserCallback = on_message,
    };
    return ts_gpu_check(vkCreateDebugUtilsMessengerEXT(instance, &info, NULL, out),
                        "vkCreateDebugUtilsMessengerEXT", err);
}
