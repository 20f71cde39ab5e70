#include "check/drivers.h"

#include "base/file.h"
#include "base/json.h"
#include "base/memory.h"
#include "base/os.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { INTEL = 0x8086, AMD = 0x1002, NVIDIA = 0x10de };

// ---- Manifests

static void read_manifest(const char *path, ts_driver_file *out)
{
    ts_error error = {0};
    cJSON *json = NULL;
    snprintf(out->path, sizeof out->path, "%s", path);
    if (ts_json_parse_file(path, &json, &error) != TS_OK) {
        snprintf(out->problem, sizeof out->problem, "%.255s", error.message);
        return;
    }
    const cJSON *library =
        cJSON_GetObjectItemCaseSensitive(ts_json_get(json, "ICD"), "library_path");
    if (!cJSON_IsString(library)) {
        snprintf(out->problem, sizeof out->problem, "it names no ICD.library_path");
    } else {
        char full[1024];
        const char *name = library->valuestring;
        snprintf(out->library, sizeof out->library, "%s", name);
        // A path relative to the manifest.
        bool beside = name[0] != '/' && strchr(name, '/') != NULL;
        snprintf(full, sizeof full, "%.*s%s", beside ? (int)(ts_path_name(path) - path) : 0, path,
                 name);
        void *driver = ts_os_library_open(full, out->problem, sizeof out->problem);
        if (driver != NULL) {
            ts_os_library_close(driver);
        }
    }
    cJSON_Delete(json);
}

static void add_manifest(ts_drivers *drivers, const char *path)
{
    if (drivers->file_count < TS_COUNT(drivers->files)) {
        read_manifest(path, &drivers->files[drivers->file_count++]);
    }
}

static void add_folder(ts_drivers *drivers, const char *folder)
{
    static const char ending[] = ".json";
    ts_os_names found;
    if (ts_os_list(folder, &found) != 0) {
        return;
    }
    for (size_t i = 0; i < found.count; i++) {
        char path[1024 + 256];
        size_t len = strlen(found.names[i]), end = sizeof ending - 1;
        if (len > end && strcmp(found.names[i] + len - end, ending) == 0) {
            snprintf(path, sizeof path, "%s/%s", folder, found.names[i]);
            add_manifest(drivers, path);
        }
    }
    ts_os_names_free(&found);
}

// Adds each entry of "A:B:C", with `under` appended. An entry that is not a folder is a manifest
// itself.
static void add_list(ts_drivers *drivers, const char *root, const char *list, const char *under)
{
    while (list != NULL && *list != '\0') {
        char path[1024];
        size_t len = strcspn(list, ":");
        snprintf(path, sizeof path, "%s%.*s%s", root, (int)len, list, under);
        if (ts_folder_exists(path)) {
            add_folder(drivers, path);
        } else if (len > 0 && under[0] == '\0') {
            add_manifest(drivers, path);
        }
        list += len + (list[len] == ':');
    }
}

static const char *variable_or(const char *name, const char *otherwise)
{
    const char *value = getenv(name);
    return value != NULL && value[0] != '\0' ? value : otherwise;
}

// In the loader's order: its own variables, otherwise the user's folders and then the system's.
static void find_manifests(const char *root, ts_drivers *drivers)
{
    static const char under[] = "/vulkan/icd.d";
    const char *chosen = variable_or("VK_DRIVER_FILES", variable_or("VK_ICD_FILENAMES", NULL));
    char home_config[512], home_data[512];
    drivers->by_variable = chosen != NULL;
    if (chosen != NULL) {
        add_list(drivers, "", chosen, "");
        return;
    }
    const char *home = variable_or("HOME", "/nonexistent");
    snprintf(home_config, sizeof home_config, "%s/.config", home);
    snprintf(home_data, sizeof home_data, "%s/.local/share", home);
    add_list(drivers, "", getenv("VK_ADD_DRIVER_FILES"), "");
    add_list(drivers, root, variable_or("XDG_CONFIG_HOME", home_config), under);
    add_list(drivers, root, variable_or("XDG_CONFIG_DIRS", "/etc/xdg"), under);
    add_list(drivers, root, "/etc", under);
    add_list(drivers, root, variable_or("XDG_DATA_HOME", home_data), under);
    add_list(drivers, root, variable_or("XDG_DATA_DIRS", "/usr/local/share:/usr/share"), under);
}

// ---- Render nodes

static void add_node(const char *root, const char *name, ts_drivers *drivers)
{
    char path[1024];
    ts_text vendor = {0};
    ts_render_node *node = &drivers->nodes[drivers->node_count++];
    snprintf(node->name, sizeof node->name, "%.31s", name);
    snprintf(path, sizeof path, "%s/dev/dri/%s", root, node->name);
    node->may_open = ts_os_may(path, TS_OS_MAY_READ | TS_OS_MAY_WRITE) == 0;
    snprintf(path, sizeof path, "%s/sys/class/drm/%s/device/vendor", root, node->name);
    if (ts_file_read(path, 1 << 16, &vendor, NULL) == TS_OK && vendor.len > 0) {
        node->vendor = (uint32_t)strtoul(vendor.bytes, NULL, 16);
    }
    ts_text_free(&vendor);
}

static void find_nodes(const char *root, ts_drivers *drivers)
{
    ts_os_names found = {0};
    char path[1024];
    snprintf(path, sizeof path, "%s/dev/dri", root);
    ts_os_list(path, &found); // a machine without GPUs has no such folder
    for (size_t i = 0; i < found.count; i++) {
        if (strncmp(found.names[i], "renderD", 7) == 0 &&
            drivers->node_count < TS_COUNT(drivers->nodes)) {
            add_node(root, found.names[i], drivers);
        }
    }
    ts_os_names_free(&found);
    snprintf(path, sizeof path, "%s/proc/driver/nvidia/version", root);
    drivers->has_nvidia = ts_file_exists(path);
}

ts_status ts_drivers_find(const char *root, const ts_gpu_params *params, ts_drivers *out,
                          ts_error *err)
{
    ts_error none = {0};
    *out = (ts_drivers){0};
    find_manifests(root, out);
    find_nodes(root, out);
    if (volkInitialize() == VK_SUCCESS) {
        out->loader_version = volkGetInstanceVersion();
    }
    ts_status status = ts_gpu_enumerate(params, &out->list, &none);
    if (status == TS_ERR_DEVICE) { // no devices: no error here, since this file explains why
        snprintf(out->list_problem, sizeof out->list_problem, "%.511s", none.message);
        return TS_OK;
    }
    if (status != TS_OK) {
        *err = none;
    }
    return status;
}

void ts_drivers_close(ts_drivers *drivers)
{
    ts_gpu_list_close(&drivers->list);
}

// ---- What is missing

static const char *vendor_name(uint32_t vendor)
{
    return vendor == AMD      ? "AMD"
           : vendor == INTEL  ? "Intel"
           : vendor == NVIDIA ? "NVIDIA"
                              : "an unnamed maker";
}

static ts_status advise_files(const ts_drivers *d, ts_text *out, ts_error *err)
{
    ts_status status = TS_OK;
    if (d->file_count == 0 && d->by_variable) {
        TS_TRY(ts_text_format(out, err,
                              "VK_DRIVER_FILES or VK_ICD_FILENAMES is set and names no driver: "
                              "unset it.\n"));
    } else if (d->file_count == 0) {
        TS_TRY(ts_text_format(out, err,
                              "No Vulkan driver is installed: `apt install mesa-vulkan-drivers` "
                              "(AMD, Intel, CPU), or NVIDIA's own driver.\n"));
    }
    for (size_t i = 0; i < d->file_count; i++) {
        if (d->files[i].problem[0] != '\0') {
            TS_TRY(ts_text_format(out, err,
                                  "%s is of no use, for its library does not load: install the "
                                  "driver's package again, or what it needs.\n",
                                  ts_path_name(d->files[i].path)));
        }
    }
out:
    return status;
}

// A GPU that the kernel knows but Vulkan does not offer.
static ts_status advise_hidden(const ts_drivers *d, size_t gpus, ts_text *out, ts_error *err)
{
    ts_status status = TS_OK;
    for (size_t i = 0; i < d->node_count; i++) {
        const ts_render_node *node = &d->nodes[i];
        if (!node->may_open) {
            TS_TRY(ts_text_format(out, err,
                                  "/dev/dri/%s (%s) may not be opened by you, so its GPU does not "
                                  "show: `sudo usermod -aG render,video $USER`, then log in "
                                  "again.\n",
                                  node->name, vendor_name(node->vendor)));
        } else if (gpus == 0 && node->vendor != NVIDIA) {
            TS_TRY(ts_text_format(out, err,
                                  "/dev/dri/%s is a GPU of %s that no Vulkan driver here knows: "
                                  "`apt install mesa-vulkan-drivers`, of a newer release where "
                                  "the GPU is newer.\n",
                                  node->name, vendor_name(node->vendor)));
        }
    }
    if (gpus == 0 && d->has_nvidia) {
        TS_TRY(ts_text_format(out, err,
                              "NVIDIA's kernel module is loaded but its Vulkan driver does not "
                              "show: install its libraries of the same version (Debian: "
                              "`nvidia-vulkan-icd`, Ubuntu: `libnvidia-gl-VERSION`; a container "
                              "needs NVIDIA_DRIVER_CAPABILITIES with graphics).\n"));
    }
out:
    return status;
}

ts_status ts_drivers_advise(const ts_drivers *d, ts_text *out, ts_error *err)
{
    ts_status status = TS_OK;
    size_t gpus = 0, usable = 0;
    for (size_t i = 0; i < d->list.count; i++) {
        const ts_gpu_caps *caps = &d->list.caps[i];
        gpus += !ts_gpu_is_cpu(caps);
        usable += caps->unusable == NULL && !ts_gpu_is_cpu(caps);
        if (caps->unusable != NULL) {
            TS_TRY(
                ts_text_format(out, err, "%s cannot be used: %s.\n", caps->name, caps->unusable));
        }
    }
    if (d->loader_version == 0) {
        TS_TRY(ts_text_format(out, err,
                              "The Vulkan loader (libvulkan.so.1) is missing: "
                              "`apt install libvulkan1`.\n"));
    }
    TS_TRY(advise_files(d, out, err));
    TS_TRY(advise_hidden(d, gpus, out, err));
    if (usable == 0 && d->list.count > 0) {
        TS_TRY(ts_text_format(out, err,
                              "There is only a CPU driver: all works, many times slower than on a "
                              "GPU.\n"));
    }
out:
    return status;
}
