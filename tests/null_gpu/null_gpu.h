// Null GPUs: a shared object that tests preload (LD_PRELOAD) so that Mesa's drivers for Intel,
// NVIDIA and Qualcomm find a card that is not there. NULL_GPU=dg2 names the card (devices.c has
// all). Such a driver enumerates, creates its device, allocates and compiles, for that is work of
// the CPU; what it submits is not run, and every fence counts as signalled.
//
// A driver speaks to its kernel by ioctl on a render node. libc.c presents the node: it answers the
// calls by which files are found and opened, and hands each ioctl to generic.c (what every kernel
// driver answers) or to the file of the kernel driver. Structures are those of the kernel's headers
// (include/uapi/drm), which promise never to change, as far as they are read here.
#ifndef NULL_GPU_H
#define NULL_GPU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// A kernel driver: i915.c, xe.c, nouveau.c, msm.c. `answer` is given an ioctl's number, counted
// from the driver's first, and its argument, and returns 0 or -errno: NULL_UNKNOWN for what it does
// not know.
struct null_kernel {
    const char *name;
    int version[3];
    int (*answer)(unsigned number, void *argument);
};
extern const struct null_kernel null_i915, null_xe, null_nouveau, null_msm;

#define NULL_UNKNOWN (-ENOTTY)

// A card. Counts are those of the whole chip as it is sold.
struct null_device {
    const char *name;
    const struct null_kernel *kernel;
    uint16_t vendor, device; // PCI's numbers; 0 where it is part of a chip and on no bus
    union {
        struct {
            uint8_t slices, subslices,
                units; // slices, subslices a slice, execution units a subslice
            bool own_memory;
            uint32_t clock;       // of timestamps, in Hz
            uint8_t major, minor; // version of the graphics core, which xe tells
        } intel;
        struct {
            uint16_t chipset, copy, graphics, compute; // the number, and classes of its engines
            uint8_t clusters, pairs;                   // GPCs, and TPCs: pairs of multiprocessors
        } nvidia;
        struct {
            uint32_t number, chip, tile_bytes; // 660; its revision; memory for tiles
        } adreno;
    };
};
extern const struct null_device *null_device; // the one that NULL_GPU names; NULL: none is named

// What a card has of memory of its own, and what its host has: 16 GiB each.
#define NULL_MEMORY_BYTES (16ull << 30)

// All memory is one file, and the node is that file: a buffer is a stretch of it, which mmap of the
// node finds by its place. So neither mmap nor dup nor close need be answered.

// A new buffer of whole pages; its handle, never 0.
uint32_t null_buffer_new(uint64_t bytes);
void null_buffer_free(uint32_t handle);

// Where a buffer begins in that file, never 0, and its size; 0 where no buffer has this handle.
uint64_t null_buffer_place(uint32_t handle);
uint64_t null_buffer_bytes(uint32_t handle);

// Answers an ioctl of the node; 0 or -errno. What is unknown is told on stderr.
int null_answer(unsigned long request, void *argument);

// The memory's file, made at the first call.
int null_memory_file(void);

#endif
