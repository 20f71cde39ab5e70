// What is kept on disk between runs about a device and its driver: one folder for each pair, in
// $TINYSFT_CACHE_DIR, else $XDG_CACHE_HOME/tinysft-vk, else ~/.cache/tinysft-vk. With
// TINYSFT_CACHE_DIR=off nothing is read or written. All of it can be deleted at any time, none of
// it can stop a run, and several programs may share it.
#ifndef TS_GPU_CACHE_H
#define TS_GPU_CACHE_H

#include "gpu/gpu.h"

// The folder of this device and driver, named after all that identifies them; it need not exist.
// NULL: nothing is kept (asked for, no home folder, or the mirror device).
const char *ts_gpu_cache_folder(const ts_gpu *gpu);

// The bytes of `file` in that folder, written whole or not at all; the folder is made. Without a
// folder nothing happens. That it failed is told to the log, at the level of details.
void ts_gpu_cache_write(const ts_gpu *gpu, const char *file, const void *bytes, uint64_t len);

#endif
