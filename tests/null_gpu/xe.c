// Intel's Xe2 cards as the kernel driver xe (include/uapi/drm/xe_drm.h) presents them, as far as
// ANV asks.
#include "null_gpu.h"

#include <errno.h>
#include <string.h>

// Each of these writes the answer to a query to `data`, unless that is NULL, and returns its size
// in bytes.

static uint32_t query_engines(void *data)
{
    enum { RENDER, COPY, COUNT };
    struct {
        uint32_t count, unused;
        struct {
            uint16_t kind, instance, gt, unused;
            uint64_t unused_also[3];
        } engines[COUNT];
    } *it = data;
    if (it != NULL) {
        it->count = COUNT;
        it->engines[0].kind = RENDER;
        it->engines[1].kind = COPY;
    }
    return sizeof *it;
}

static uint32_t query_regions(void *data)
{
    struct {
        uint32_t count, unused;
        struct {
            uint16_t kind, instance;
            uint32_t page_bytes;
            uint64_t bytes, used_bytes, visible_bytes, visible_used_bytes, unused[6];
        } regions[2]; // the host's, the card's own
    } *it = data;
    const uint32_t count = null_device->intel.own_memory ? 2 : 1;
    for (uint16_t i = 0; it != NULL && i < count; i++) {
        it->count = count;
        it->regions[i].kind = i;
        it->regions[i].instance = i;
        it->regions[i].page_bytes = 65536;
        it->regions[i].bytes = NULL_MEMORY_BYTES;
        it->regions[i].visible_bytes = i == 0 ? 0 : NULL_MEMORY_BYTES;
    }
    return sizeof *it;
}

static uint32_t query_configuration(void *data)
{
    enum { DEVICE, FLAGS, ALIGNMENT, ADDRESS_BITS, PRIORITY, COUNT };
    enum { HAS_OWN_MEMORY = 1 };
    struct {
        uint32_t count, unused;
        uint64_t values[COUNT];
    } *it = data;
    if (it != NULL) {
        it->count = COUNT;
        it->values[DEVICE] = null_device->device;
        it->values[FLAGS] = null_device->intel.own_memory ? HAS_OWN_MEMORY : 0;
        it->values[ALIGNMENT] = 65536;
        it->values[ADDRESS_BITS] = 48;
        it->values[PRIORITY] = 1;
    }
    return sizeof *it;
}

// The card's parts ("GT"): only the one for graphics.
static uint32_t query_parts(void *data)
{
    struct {
        uint32_t count, unused;
        struct {
            uint16_t kind, tile, number, unused[3];
            uint32_t clock;
            uint64_t near_regions, far_regions;
            uint16_t major, minor, revision, unused_also;
            uint64_t unused_too[7];
        } parts[1];
    } *it = data;
    if (it != NULL) {
        it->count = 1;
        it->parts[0].clock = null_device->intel.clock;
        it->parts[0].near_regions = null_device->intel.own_memory ? 2 : 1;
        it->parts[0].far_regions = 1;
        it->parts[0].major = null_device->intel.major;
        it->parts[0].minor = null_device->intel.minor;
    }
    return sizeof *it;
}

// The firmware's table of the hardware: a key, the number of words that follow, the words. ANV
// needs the table to exist, and knows most of its values itself.
static uint32_t query_hardware(void *data)
{
    enum { MOST_SLICES = 1 };
    const uint32_t table[] = {MOST_SLICES, 1, 1};
    if (data != NULL) {
        memcpy(data, table, sizeof table);
    }
    return sizeof table;
}

// Masks one after the other: which subslices there are, and which execution units each has.
static uint32_t query_topology(void *data)
{
    enum {
        SUBSLICES_OF_GRAPHICS = 1,
        SUBSLICES_OF_COMPUTE,
        L3_BANKS,
        UNITS_OF_16_LANES = 5,
        COUNT = 4
    };
    struct {
        uint16_t part, kind;
        uint32_t bytes;
        uint8_t mask[8];
    } *it = data;
    const struct {
        uint16_t kind;
        uint64_t mask;
    } masks[COUNT] = {
        {SUBSLICES_OF_GRAPHICS, (1ull << null_device->intel.subslices) - 1},
        {SUBSLICES_OF_COMPUTE, (1ull << null_device->intel.subslices) - 1},
        {L3_BANKS, 0xff},
        {UNITS_OF_16_LANES, (1ull << null_device->intel.units) - 1},
    };
    for (int i = 0; it != NULL && i < COUNT; i++) {
        it[i].kind = masks[i].kind;
        it[i].bytes = sizeof it[i].mask;
        memcpy(it[i].mask, &masks[i].mask, sizeof it[i].mask);
    }
    return COUNT * sizeof *it;
}

static int query(void *argument)
{
    static uint32_t (*const queries[])(void *) = {query_engines,       query_regions,
                                                  query_configuration, query_parts,
                                                  query_hardware,      query_topology};
    struct {
        uint64_t extensions;
        uint32_t which, bytes;
        void *data;
    } *it = argument;
    if (it->which >= sizeof queries / sizeof *queries) { // versions of firmware, which ANV can lack
        return -EINVAL;
    }
    if (it->bytes == 0) {
        it->bytes = queries[it->which](NULL);
        return 0;
    }
    memset(it->data, 0, it->bytes);
    queries[it->which](it->data);
    return 0;
}

static int create(void *argument)
{
    struct {
        uint64_t extensions, bytes;
        uint32_t placement, flags, vm, handle;
    } *it = argument;
    it->handle = null_buffer_new(it->bytes);
    return 0;
}

static int map_offset(void *argument)
{
    struct {
        uint64_t extensions;
        uint32_t handle, flags;
        uint64_t offset;
    } *it = argument;
    it->offset = null_buffer_place(it->handle);
    return it->offset == 0 ? -ENOENT : 0;
}

static int create_queue(void *argument)
{
    struct {
        uint64_t extensions;
        uint16_t width, placements;
        uint32_t vm, flags, queue;
    } *it = argument;
    it->queue = 1;
    return 0;
}

// A queue has one property that can be asked for: whether it is banned because it has hung.
static int queue_property(void *argument)
{
    struct {
        uint64_t extensions;
        uint32_t queue, which;
        uint64_t value;
    } *it = argument;
    it->value = 0;
    return 0;
}

static int answer(unsigned number, void *argument)
{
    enum {
        DEVICE_QUERY,
        GEM_CREATE,
        GEM_MMAP_OFFSET,
        VM_CREATE,
        VM_DESTROY,
        VM_BIND,
        EXEC_QUEUE_CREATE,
        EXEC_QUEUE_DESTROY,
        EXEC_QUEUE_GET_PROPERTY,
        EXEC,
        WAIT_USER_FENCE
    };
    switch (number) {
    case DEVICE_QUERY:
        return query(argument);
    case GEM_CREATE:
        return create(argument);
    case GEM_MMAP_OFFSET:
        return map_offset(argument);
    case VM_CREATE:
        ((uint32_t *)argument)[3] = 1;
        return 0;
    case EXEC_QUEUE_CREATE:
        return create_queue(argument);
    case EXEC_QUEUE_GET_PROPERTY:
        return queue_property(argument);
    case VM_DESTROY:
    case VM_BIND:
    case EXEC_QUEUE_DESTROY:
    case EXEC:
    case WAIT_USER_FENCE:
        return 0;
    default:
        return NULL_UNKNOWN;
    }
}

const struct null_kernel null_xe = {"xe", {1, 1, 0}, answer};
