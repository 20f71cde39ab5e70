// What is kept on disk between runs about a device and its driver: one folder for each pair, in
// $TINYSFT_CACHE_DIR, else $XDG_CACHE_HOME/tinysft-vk, else ~/.cache/tinysft-vk. With
// TINYSFT_CACHE_DIR=off nothing is read or written. All of it can be deleted at any time, a damaged
// file stops no run, and several programs may share it.
#ifndef TS_GPU_CACHE_H
#define TS_GPU_CACHE_H

#include "gpu/gpu.h"

// The folder of this device and driver, named after all that identifies them; it need not exist.
// NULL where nothing is kept: TINYSFT_CACHE_DIR=off, no home folder, the mirror device, or a device
// that only compiles.
const char *ts_gpu_cache_folder(const ts_gpu *gpu);

// Writes bytes[0..len) as `file` in that folder, whole or not at all, and makes the folder where it
// is not there. Does nothing where nothing is kept. A failure is only logged, at debug level.
void ts_gpu_cache_write(const ts_gpu *gpu, const char *file, const void *bytes, uint64_t len);

#endif
