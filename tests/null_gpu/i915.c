// Intel's cards as the kernel driver i915 (include/uapi/drm/i915_drm.h) presents them, as far as
// ANV asks: Skylake to Meteor Lake. Xe2 has the kernel driver xe.
#include "null_gpu.h"

#include <errno.h>
#include <string.h>

static int get_parameter(void *argument)
{
    enum {
        CHIPSET = 4,
        EXECBUF2 = 9,
        WAIT_TIMEOUT = 19,
        MMAP_VERSION = 30,
        REVISION = 32,
        SOFTPIN = 37,
        MMAP_OFFSET_VERSION = 40,
        EXEC_ASYNC = 43,
        EXEC_CAPTURE = 45,
        FENCE_ARRAY = 49,
        CONTEXT_ISOLATION,
        TIMESTAMP_FREQUENCY,
        TIMELINE_FENCES = 55, // ANV refuses a device without these
        USERPTR_PROBE,
        PROTECTED_STATUS = 58,
        FREQUENCY_HINT
    };
    struct {
        int32_t which;
        int *value;
    } *it = argument;
    switch (it->which) {
    case CHIPSET:
        *it->value = null_device->device;
        return 0;
    case REVISION:
    case FREQUENCY_HINT:
        *it->value = 0;
        return 0;
    case MMAP_OFFSET_VERSION:
        *it->value = 4;
        return 0;
    case TIMESTAMP_FREQUENCY:
        *it->value = (int)null_device->intel.clock;
        return 0;
    case PROTECTED_STATUS:
        return -ENODEV;
    case EXECBUF2:
    case WAIT_TIMEOUT:
    case MMAP_VERSION:
    case SOFTPIN:
    case EXEC_ASYNC:
    case EXEC_CAPTURE:
    case FENCE_ARRAY:
    case CONTEXT_ISOLATION:
    case TIMELINE_FENCES:
    case USERPTR_PROBE:
        *it->value = 1;
        return 0;
    default:
        return -EINVAL;
    }
}

// Sets the first `count` bits.
static void set_bits(uint8_t *bytes, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        bytes[i / 8] |= (uint8_t)(1u << i % 8);
    }
}

// Each of these writes the answer to a query into `data` of *length bytes. If *length is 0, it only
// sets *length to the size of the answer.

// All slices, subslices and execution units exist: three masks, each row of which is whole bytes.
static void query_topology(void *data, int32_t *length)
{
    const unsigned slices = null_device->intel.slices, subslices = null_device->intel.subslices,
                   units = null_device->intel.units, subslice_bytes = (subslices + 7) / 8,
                   unit_bytes = (units + 7) / 8;
    struct {
        uint16_t flags, slices, subslices, units;
        uint16_t subslice_offset, subslice_stride, unit_offset, unit_stride;
        uint8_t masks[];
    } *it = data;
    const unsigned unit_offset = 1 + slices * subslice_bytes;
    const size_t whole = sizeof *it + unit_offset + (size_t)slices * subslices * unit_bytes;
    if (*length >= (int32_t)whole) {
        memset(it, 0, whole);
        it->slices = (uint16_t)slices;
        it->subslices = (uint16_t)subslices;
        it->units = (uint16_t)units;
        it->subslice_offset = 1;
        it->subslice_stride = (uint16_t)subslice_bytes;
        it->unit_offset = (uint16_t)unit_offset;
        it->unit_stride = (uint16_t)unit_bytes;
        set_bits(it->masks, slices);
        for (unsigned i = 0; i < slices; i++) {
            set_bits(it->masks + 1 + (size_t)i * subslice_bytes, subslices);
        }
        for (unsigned i = 0; i < slices * subslices; i++) {
            set_bits(it->masks + unit_offset + (size_t)i * unit_bytes, units);
        }
    }
    *length = (int32_t)whole;
}

static void query_engines(void *data, int32_t *length)
{
    enum { RENDER, COPY, COUNT };
    struct {
        uint32_t count, unused[3];
        struct {
            uint16_t kind, instance;
            uint32_t unused;
            uint64_t flags, capabilities;
            uint16_t logical_instance, unused_also[15];
        } engines[COUNT];
    } *it = data;
    if (*length >= (int32_t)sizeof *it) {
        memset(it, 0, sizeof *it);
        it->count = COUNT;
        it->engines[0].kind = RENDER;
        it->engines[1].kind = COPY;
    }
    *length = sizeof *it;
}

static void query_regions(void *data, int32_t *length)
{
    enum { SYSTEM, DEVICE };
    struct region {
        uint16_t kind, instance;
        uint32_t unused;
        uint64_t bytes, free_bytes, visible_bytes, visible_free_bytes, unused_also[6];
    };
    struct {
        uint32_t count, unused[3];
        struct region regions[];
    } *it = data;
    const uint32_t count = null_device->intel.own_memory ? 2 : 1;
    const size_t whole = sizeof *it + count * sizeof *it->regions;
    if (*length >= (int32_t)whole) {
        memset(it, 0, whole);
        it->count = count;
        for (uint32_t i = 0; i < count; i++) {
            it->regions[i] = (struct region){.kind = i == 0 ? SYSTEM : DEVICE,
                                             .bytes = NULL_MEMORY_BYTES,
                                             .free_bytes = NULL_MEMORY_BYTES,
                                             .visible_bytes = i == 0 ? 0 : NULL_MEMORY_BYTES,
                                             .visible_free_bytes = i == 0 ? 0 : NULL_MEMORY_BYTES};
        }
    }
    *length = (int32_t)whole;
}

static int query(void *argument)
{
    enum { TOPOLOGY = 1, ENGINES, PERFORMANCE, REGIONS, HARDWARE, GEOMETRY_TOPOLOGY };
    struct {
        uint32_t count, flags;
        struct {
            uint64_t which;
            int32_t length;
            uint32_t flags;
            void *data;
        } * items;
    } *it = argument;
    for (uint32_t i = 0; i < it->count; i++) {
        int32_t *length = &it->items[i].length;
        switch (it->items[i].which) {
        case TOPOLOGY:
        case GEOMETRY_TOPOLOGY:
            query_topology(it->items[i].data, length);
            break;
        case ENGINES:
            query_engines(it->items[i].data, length);
            break;
        case REGIONS:
            query_regions(it->items[i].data, length);
            break;
        default: // hardware table, counters, firmware: Mesa has its own or does not need them
            *length = -EINVAL;
        }
    }
    return 0;
}

static int context_parameter(void *argument)
{
    enum { ADDRESS_SPACE_BYTES = 3, VM = 9 };
    struct {
        uint32_t context, bytes;
        uint64_t which, value;
    } *it = argument;
    it->value = it->which == ADDRESS_SPACE_BYTES ? 1ull << 48 : it->which == VM;
    return 0;
}

static int create(void *argument)
{
    struct {
        uint64_t bytes;
        uint32_t handle;
    } *it = argument;
    it->handle = null_buffer_new(it->bytes);
    return 0;
}

// The caller's own memory as a buffer. A new buffer will do, because nothing reads its bytes.
static int create_from_user(void *argument)
{
    struct {
        uint64_t address, bytes;
        uint32_t flags, handle;
    } *it = argument;
    it->handle = null_buffer_new(it->bytes);
    return 0;
}

static int map_offset(void *argument)
{
    struct {
        uint32_t handle, unused;
        uint64_t offset;
    } *it = argument;
    it->offset = null_buffer_place(it->handle);
    return it->offset == 0 ? -ENOENT : 0;
}

static int answer(unsigned number, void *argument)
{
    enum {
        GETPARAM = 0x06,
        GEM_CREATE = 0x1b,
        GEM_SET_TILING = 0x21,
        GEM_GET_TILING,
        GEM_GET_APERTURE,
        GEM_MMAP_OFFSET,
        GEM_EXECBUFFER2 = 0x29,
        GEM_WAIT = 0x2c,
        CONTEXT_CREATE,
        CONTEXT_DESTROY,
        GEM_SET_CACHING,
        REG_READ = 0x31,
        GET_RESET_STATS,
        GEM_USERPTR,
        CONTEXT_GETPARAM,
        CONTEXT_SETPARAM,
        QUERY = 0x39,
        VM_CREATE,
        VM_DESTROY,
        GEM_CREATE_EXT
    };
    switch (number) {
    case GETPARAM:
        return get_parameter(argument);
    case GEM_CREATE:
    case GEM_CREATE_EXT:
        return create(argument);
    case GEM_USERPTR:
        return create_from_user(argument);
    case GEM_MMAP_OFFSET:
        return map_offset(argument);
    case GEM_GET_APERTURE:
        *(uint64_t *)argument = 1ull << 48;
        return 0;
    case CONTEXT_CREATE:
        *(uint32_t *)argument = 1;
        return 0;
    case CONTEXT_GETPARAM:
        return context_parameter(argument);
    case QUERY:
        return query(argument);
    case VM_CREATE:
        ((uint32_t *)argument)[3] = 1;
        return 0;
    case GEM_SET_TILING: // the kernel tiles only on cards with fence registers
    case GEM_GET_TILING:
        return -EOPNOTSUPP;
    case GEM_EXECBUFFER2:
    case GEM_WAIT:
    case CONTEXT_DESTROY:
    case CONTEXT_SETPARAM:
    case GEM_SET_CACHING:
    case REG_READ:
    case GET_RESET_STATS:
    case VM_DESTROY:
        return 0;
    default:
        return NULL_UNKNOWN;
    }
}

const struct null_kernel null_i915 = {"i915", {1, 6, 0}, answer};
