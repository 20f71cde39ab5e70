// What there is of Vulkan on this machine before any device is opened: the loader, the drivers'
// manifests (ICD files) and whether the libraries that they name load, the kernel's render nodes;
// and what is missing, in plain words.
#ifndef TS_CHECK_DRIVERS_H
#define TS_CHECK_DRIVERS_H

#include "base/text.h"
#include "gpu/gpu.h"

typedef struct ts_driver_file {
    char path[512];    // of the manifest
    char library[256]; // that it names; empty: it could not be read
    char problem[256]; // why the library does not load; empty: it does
} ts_driver_file;

typedef struct ts_render_node {
    char name[32];   // "renderD128"
    uint32_t vendor; // PCI's; 0: not known
    bool may_open;   // this user, to read and write
} ts_render_node;

typedef struct ts_drivers {
    uint32_t loader_version; // VK_MAKE_API_VERSION; 0: no loader
    bool by_variable;        // VK_DRIVER_FILES or VK_ICD_FILENAMES says which manifests
    ts_driver_file files[32];
    size_t file_count;
    ts_render_node nodes[16];
    size_t node_count;
    bool has_nvidia;        // the kernel has NVIDIA's module
    ts_gpu_list list;       // of devices
    char list_problem[512]; // why there is none; empty: there are
} ts_drivers;

// Looks under `root` ("" is the machine itself; tests have others) for everything but the loader
// and the devices. Close it in any case.
ts_status ts_drivers_find(const char *root, const ts_gpu_params *params, ts_drivers *out,
                          ts_error *err);
void ts_drivers_close(ts_drivers *drivers);

// Appends a line for each thing that is missing or wrong and what to do about it; nothing where all
// is well.
ts_status ts_drivers_advise(const ts_drivers *drivers, ts_text *out, ts_error *err);

#endif
