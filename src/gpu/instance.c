// Vulkan's instance: starting the loader and its drivers, what devices they offer, and which one of
// them to take.
#include "gpu/internal.h"

#include "base/log.h"
#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MASKS_VARIABLE "TINYSFT_MASK_CAPABILITIES"
#define INSTALL_HINT                                                                               \
    "install a driver for your GPU (Debian, Ubuntu: `apt install libvulkan1 mesa-vulkan-drivers` " \
    "for AMD, Intel or a CPU; NVIDIA's own driver brings its own)"

// Vulkan with its drivers started, and what listens to the validation layer.
struct ts_gpu_instance {
    VkInstance handle;
    VkDebugUtilsMessengerEXT messenger;
    VkPhysicalDevice *devices; // as ts_gpu_list counts them
    uint32_t device_count;
};

// Starts the loader and the drivers.
static ts_status start(const ts_gpu_params *params, struct ts_gpu_instance *out, ts_error *err)
{
    if (volkInitialize() != VK_SUCCESS) {
        return ts_error_set(err, TS_ERR_DEVICE, "no Vulkan loader (libvulkan.so.1): " INSTALL_HINT);
    }
    struct ts_gpu_validation validation;
    ts_status status = ts_gpu_validation_choose(params, &validation, err);
    if (status != TS_OK) {
        return status;
    }
    const VkApplicationInfo application = {.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO,
                                           .pApplicationName = "tinysft-vk",
                                           .apiVersion = VK_API_VERSION_1_2};
    const VkInstanceCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
        .pNext = validation.chain,
        .pApplicationInfo = &application,
        .enabledLayerCount = validation.layer_count,
        .ppEnabledLayerNames = validation.layers,
        .enabledExtensionCount = validation.extension_count,
        .ppEnabledExtensionNames = validation.extensions,
    };
    VkResult result = vkCreateInstance(&info, NULL, &out->handle);
    if (result == VK_ERROR_INCOMPATIBLE_DRIVER) {
        return ts_error_set(err, TS_ERR_DEVICE, "no Vulkan driver was found: " INSTALL_HINT);
    }
    if (result != VK_SUCCESS) {
        return ts_gpu_check(result, "vkCreateInstance", err);
    }
    volkLoadInstanceOnly(out->handle);
    return validation.kind == TS_VALIDATE_NO
               ? TS_OK
               : ts_gpu_validation_listen(out->handle, &out->messenger, err);
}

static ts_status find_devices(struct ts_gpu_instance *instance, ts_error *err)
{
    ts_status status = TS_OK;
    uint32_t *count = &instance->device_count;
    TS_TRY(ts_gpu_check(vkEnumeratePhysicalDevices(instance->handle, count, NULL),
                        "vkEnumeratePhysicalDevices", err));
    if (*count == 0) {
        TS_FAIL(TS_ERR_DEVICE, "Vulkan is installed but offers no device: " INSTALL_HINT);
    }
    TS_TRY(ts_alloc(*count, sizeof *instance->devices, &instance->devices, err));
    TS_TRY(ts_gpu_check(vkEnumeratePhysicalDevices(instance->handle, count, instance->devices),
                        "vkEnumeratePhysicalDevices", err));
out:
    return status;
}

VkPhysicalDevice ts_gpu_instance_device(const struct ts_gpu_instance *instance, size_t index)
{
    return instance->devices[index];
}

void ts_gpu_instance_close(struct ts_gpu_instance *instance)
{
    if (instance == NULL) {
        return;
    }
    ts_volk_lock();
    if (instance->messenger != VK_NULL_HANDLE) {
        // Looked up here: volk has no such function where the instance loaded last has no
        // validation layer.
        PFN_vkDestroyDebugUtilsMessengerEXT destroy =
            (PFN_vkDestroyDebugUtilsMessengerEXT)vkGetInstanceProcAddr(
                instance->handle, "vkDestroyDebugUtilsMessengerEXT");
        destroy(instance->handle, instance->messenger, NULL);
    }
    if (instance->handle != VK_NULL_HANDLE) {
        vkDestroyInstance(instance->handle, NULL);
    }
    ts_volk_unlock();
    free(instance->devices);
    free(instance);
}

// ---- The choice of a device

static int preference(const ts_gpu_caps *caps)
{
    if (caps->unusable != NULL) {
        return 0;
    }
    switch (caps->type) {
    case VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU:
        return 5;
    case VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU:
        return 4;
    case VK_PHYSICAL_DEVICE_TYPE_VIRTUAL_GPU:
        return 3;
    case VK_PHYSICAL_DEVICE_TYPE_CPU:
        return 1;
    default:
        return 2;
    }
}

static bool contains_folded(const char *text, const char *part)
{
    size_t len = strlen(part);
    for (; *text != '\0'; text++) {
        if (strncasecmp(text, part, len) == 0) {
            return true;
        }
    }
    return false;
}

static ts_status no_such_device(const ts_gpu_list *list, const char *wanted, size_t matches,
                                ts_error *err)
{
    char names[768] = "";
    size_t at = 0;
    for (size_t i = 0; i < list->count && at < sizeof names; i++) {
        at += (size_t)snprintf(names + at, sizeof names - at, "%s %zu: %s", i > 0 ? "," : "", i,
                               list->caps[i].name);
    }
    return ts_error_set(err, TS_ERR_ARGUMENT, "--device %s: %s; there are:%s", wanted,
                        matches > 1 ? "several devices match" : "no such device", names);
}

ts_status ts_gpu_choose(ts_gpu_list *list, const char *wanted, ts_error *err)
{
    if (wanted == NULL) {
        list->chosen = 0;
        for (size_t i = 1; i < list->count; i++) {
            if (preference(&list->caps[i]) > preference(&list->caps[list->chosen])) {
                list->chosen = i;
            }
        }
        const ts_gpu_caps *best = &list->caps[list->chosen];
        list->reason = list->count == 1      ? "the only device"
                       : ts_gpu_is_cpu(best) ? "no GPU driver was found, only the CPU"
                       : list->chosen == 0   ? "the first of the best kind"
                                             : "the best kind (discrete, then integrated)";
        return TS_OK;
    }
    size_t matches = 0, digits = strspn(wanted, "0123456789");
    for (size_t i = 0; i < list->count; i++) {
        bool match = wanted[digits] == '\0' && digits > 0
                         ? strtoul(wanted, NULL, 10) == i
                         : contains_folded(list->caps[i].name, wanted);
        if (match) {
            list->chosen = i;
            matches++;
        }
    }
    list->reason = "asked for by --device";
    return matches == 1 ? TS_OK : no_such_device(list, wanted, matches, err);
}

// ---- The list of devices

// The bits of the features to hide: those of the parameters and of the environment variable.
static ts_status find_masks(const ts_gpu_params *params, uint32_t *masks, ts_error *err)
{
    const char *variable = getenv(MASKS_VARIABLE);
    *masks = params->masks;
    if (variable != NULL && ts_gpu_masks_parse(variable, masks, err) != TS_OK) {
        return ts_error_context(err, MASKS_VARIABLE);
    }
    return TS_OK;
}

ts_status ts_gpu_enumerate(const ts_gpu_params *params, ts_gpu_list *out, ts_error *err)
{
    ts_status status = TS_OK;
    uint32_t masks = 0;
    *out = (ts_gpu_list){0};
    ts_volk_lock();
    TS_TRY(ts_alloc(1, sizeof *out->instance, &out->instance, err));
    TS_TRY(start(params, out->instance, err));
    TS_TRY(find_masks(params, &masks, err));
    TS_TRY(find_devices(out->instance, err));
    TS_TRY(ts_alloc(out->instance->device_count, sizeof *out->caps, &out->caps, err));
    out->count = out->instance->device_count;
    for (size_t i = 0; i < out->count; i++) {
        ts_gpu_read_caps(out->instance->devices[i], &out->caps[i]);
        ts_gpu_masks_apply(masks, &out->caps[i]);
    }
    TS_TRY(ts_gpu_choose(out, params->device, err));
out:
    ts_volk_unlock();
    if (status != TS_OK) {
        ts_gpu_list_close(out);
    }
    return status;
}

void ts_gpu_list_close(ts_gpu_list *list)
{
    ts_gpu_instance_close(list->instance);
    free(list->caps);
    *list = (ts_gpu_list){0};
}
