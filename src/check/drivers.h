// What this machine has of Vulkan before any device is opened: the loader, the drivers' manifests
// (ICD files) and whether their libraries load, and the kernel's render nodes. Also says in plain
// words what is missing.
#ifndef TS_CHECK_DRIVERS_H
#define TS_CHECK_DRIVERS_H

#include "base/text.h"
#include "gpu/gpu.h"

typedef struct ts_driver_file {
    char path[512];    // of the manifest
    char library[256]; // named by the manifest; empty: the manifest could not be read
    char problem[256]; // why the library does not load; empty: it loads
} ts_driver_file;

typedef struct ts_render_node {
    char name[32];   // "renderD128"
    uint32_t vendor; // PCI vendor number; 0: not known
    bool may_open;   // whether this user may read and write it
} ts_render_node;

typedef struct ts_drivers {
    uint32_t loader_version; // VK_MAKE_API_VERSION; 0: no loader
    bool by_variable;        // VK_DRIVER_FILES or VK_ICD_FILENAMES names the manifests
    ts_driver_file files[32];
    size_t file_count;
    ts_render_node nodes[16];
    size_t node_count;
    bool has_nvidia;        // the kernel has loaded NVIDIA's module
    ts_gpu_list list;       // of devices
    char list_problem[512]; // why there are no devices; empty: there are some
} ts_drivers;

// Searches under `root` for everything but the loader and the devices. "" is the machine itself;
// tests use other folders. Call ts_drivers_close even after an error.
ts_status ts_drivers_find(const char *root, const ts_gpu_params *params, ts_drivers *out,
                          ts_error *err);
void ts_drivers_close(ts_drivers *drivers);

// Appends a line for each thing that is missing or wrong, with what to do about it. Appends nothing
// if all is well.
ts_status ts_drivers_advise(const ts_drivers *drivers, ts_text *out, ts_error *err);

#endif
