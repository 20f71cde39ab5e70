// Null GPUs: a shared object that tests preload (LD_PRELOAD) so that Mesa's drivers for AMD, Intel,
// NVIDIA and Qualcomm find a card that does not exist. NULL_GPU=dg2 names the card; devices.c has
// the list. The driver enumerates the card, creates a device, allocates memory and compiles
// shaders, which is all done by the CPU. Submitted work is not run, and every fence is signalled at
// once.
//
// A driver talks to its kernel driver by ioctl on a render node. libc.c presents the node: it
// intercepts the calls that find and open files, and passes each ioctl to generic.c (requests that
// every kernel driver has) or to the file of the kernel driver. Structures are those of the
// kernel's headers (include/uapi/drm), as far as they are read here. Their layout never changes.
#ifndef NULL_GPU_H
#define NULL_GPU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// A kernel driver: amdgpu.c, i915.c, xe.c, nouveau.c, msm.c. `answer` gets the number of an ioctl,
// counted from the driver's first, and its argument. It returns 0 or -errno, and NULL_UNKNOWN for
// an ioctl that it does not know.
struct null_kernel {
    const char *name;
    int version[3];
    int (*answer)(unsigned number, void *argument);
};
extern const struct null_kernel null_i915, null_xe, null_nouveau, null_msm, null_amdgpu;

#define NULL_UNKNOWN (-ENOTTY)

// A card. Counts are those of the whole chip as sold.
struct null_device {
    const char *name;
    const struct null_kernel *kernel;
    uint16_t vendor, device; // PCI numbers; 0 for a GPU that is part of a chip and on no bus
    union {
        struct {
            uint8_t slices, subslices,
                units; // slices, subslices in a slice, execution units in a subslice
            bool own_memory;
            uint32_t clock;       // of timestamps, in Hz
            uint8_t major, minor; // version of the graphics core, reported by xe
        } intel;
        struct {
            uint16_t chipset, copy, graphics, compute; // the number, and classes of its engines
            uint8_t clusters, pairs;                   // GPCs, and TPCs: pairs of multiprocessors
        } nvidia;
        struct {
            uint8_t family, revision;       // as the kernel numbers them
            uint8_t major, minor;           // version of the graphics core
            uint8_t engines, arrays, units; // shader engines, arrays in one, compute units in one
            bool own_memory;
            uint32_t addresses; // the register GB_ADDR_CONFIG
        } amd;
        struct {
            uint32_t number, chip, tile_bytes; // 660; its revision; memory for tiles
        } adreno;
    };
};
extern const struct null_device *null_device; // the card named by NULL_GPU; NULL: none is named

// The memory of the card, and that of the host: 16 GiB each.
#define NULL_MEMORY_BYTES (16ull << 30)

// All memory is one file, and the node is that file. A buffer is a range of it, so mmap of the node
// at the buffer's offset maps the buffer. That is why mmap, dup and close need not be intercepted.

// Creates a buffer of whole pages. Returns its handle, never 0.
uint32_t null_buffer_new(uint64_t bytes);
void null_buffer_free(uint32_t handle);

// The offset of a buffer in that file, never 0, and its size. Both are 0 if no buffer has this
// handle.
uint64_t null_buffer_place(uint32_t handle);
uint64_t null_buffer_bytes(uint32_t handle);

// Answers an ioctl on the node: 0 or -errno. An unknown ioctl is reported on stderr.
int null_answer(unsigned long request, void *argument);

// The file that is the memory, created at the first call.
int null_memory_file(void);

#endif
