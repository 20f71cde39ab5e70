// AMD's cards as the kernel driver amdgpu (include/uapi/drm/amdgpu_drm.h) presents them, as far as
// RADV asks.
#include "null_gpu.h"

#include <errno.h>
#include <string.h>

enum { FIRST_OF_RDNA = 143 }; // the family of Navi 1x and 2x

// What the kernel tells of a card (struct drm_amdgpu_info_device), as far as RDNA 3. Caches are in
// KiB.
struct card {
    uint32_t device, chip_revision, revision, pci_revision, family;
    uint32_t engines, arrays, counter_khz; // shader engines, arrays in each; clock of timestamps
    uint64_t engine_khz, memory_khz;
    uint32_t units, unused_mask, unit_mask[4][4]; // compute units; those of an engine's array
    uint32_t backend_mask, backends, contexts, pcie;
    uint64_t flags, address_begin, address_end;
    uint32_t address_alignment, fragment_bytes, page_bytes, constant_bytes;
    uint32_t memory_kind, memory_bits, video_mask, doubled_buffers;
    uint64_t geometry_buffers[4];
    uint32_t geometry_bytes[4], lanes, registers, units_of_array, cache_blocks;
    uint32_t geometry_depths[3], pcie_lanes, always_on[4][4];
    uint64_t high_begin, high_end;
    uint32_t tile_steering, unused;
    uint64_t disabled_blocks, least_engine_khz, least_memory_khz;
    uint32_t unit_cache, scalar_caches, scalar_data, scalar_code, array_cache, cache;
    uint64_t last_cache;
    uint32_t more_backends, shadow[4];
};

static void describe(struct card *card)
{
    enum { PART_OF_A_CHIP = 1, GDDR6 = 9 }; // a flag; a kind of memory
    const uint32_t units = null_device->amd.units;
    const bool rdna = null_device->amd.family >= FIRST_OF_RDNA;
    card->device = null_device->device;
    card->family = null_device->amd.family;
    card->revision = null_device->amd.revision;
    card->engines = null_device->amd.engines;
    card->arrays = null_device->amd.arrays;
    card->units = card->engines * card->arrays * units;
    card->units_of_array = units;
    for (uint32_t i = 0; i < card->engines * card->arrays && i < 16; i++) {
        // A fifth engine's masks follow the first's, of which only two arrays are used.
        const uint32_t engine = i / card->arrays, array = i % card->arrays + 2 * (engine / 4);
        card->unit_mask[engine % 4][array] = (1u << units) - 1;
        card->always_on[engine % 4][array] = (1u << units) - 1;
    }
    card->counter_khz = 100000;
    card->engine_khz = 2000000;
    card->memory_khz = 1000000;
    card->backends = 2 * card->engines;
    card->backend_mask = (1u << card->backends) - 1;
    card->contexts = 8;
    card->flags = null_device->amd.own_memory ? 0 : PART_OF_A_CHIP;
    card->address_begin = 2 << 20;
    card->address_end = 1ull << 47;
    card->high_begin = 0xffff800000000000;
    card->high_end = 0xffffffffffe00000;
    card->address_alignment = card->page_bytes = 4096;
    card->fragment_bytes = 2 << 20;
    card->memory_kind = GDDR6;
    card->memory_bits = 256;
    card->cache_blocks = 16;
    card->lanes = rdna ? 32 : 64;
    card->registers = rdna ? 1024 : 256;
    card->unit_cache = 32;
    card->scalar_caches = 1;
    card->scalar_data = 16;
    card->scalar_code = 32;
    card->array_cache = 256;
    card->cache = 6144;
}

// Of three heaps (the card's memory, what the host sees of it, the host's own) the size, what may
// be used, what is, and the largest buffer.
static void describe_heaps(uint64_t heaps[3][4])
{
    for (int i = 0; i < 3; i++) {
        heaps[i][0] = heaps[i][1] = NULL_MEMORY_BYTES;
        heaps[i][3] = NULL_MEMORY_BYTES / 4 * 3;
    }
}

// One of the parts that take commands: its version, and which of its rings there are.
static void describe_engine(uint32_t engine, void *out, uint32_t bytes)
{
    enum { GRAPHICS, COMPUTE, ALIGNMENT = 32 };
    const uint32_t major = null_device->amd.major, minor = null_device->amd.minor;
    const struct {
        uint32_t major, minor;
        uint64_t flags;
        uint32_t begin_alignment, size_alignment, rings, version;
    } it = {major, minor, 0, ALIGNMENT, ALIGNMENT, 1, major << 16 | minor << 8};
    if (engine == GRAPHICS || engine == COMPUTE) {
        memcpy(out, &it, bytes < sizeof it ? bytes : sizeof it);
    }
}

static int inform(void *argument)
{
    enum {
        WORKS,
        ENGINE = 0x02,
        ENGINE_COUNT,
        FIRMWARE = 0x0e,
        HEAP_SIZES = 0x14,
        REGISTERS,
        CARD,
        HEAPS = 0x19,
        VIDEO = 0x21,
        MOST_COMMANDS,
        ADDRESSES = 0x263e // the register that says how addresses are spread over memory's parts
    };
    struct {
        void *out;
        uint32_t bytes, which, about[4];
    } *it = argument;
    struct card card = {0};
    uint32_t *numbers = it->out;
    uint64_t *sizes = it->out;
    memset(it->out, 0, it->bytes);
    switch (it->which) {
    case WORKS:
    case ENGINE_COUNT:
        *numbers = 1;
        return 0;
    case ENGINE:
        describe_engine(it->about[0], it->out, it->bytes);
        return 0;
    case HEAP_SIZES:
        sizes[0] = sizes[1] = sizes[2] = NULL_MEMORY_BYTES;
        return 0;
    case REGISTERS:
        *numbers = it->about[0] == ADDRESSES ? null_device->amd.addresses : 0;
        return 0;
    case CARD:
        describe(&card);
        memcpy(it->out, &card, it->bytes < sizeof card ? it->bytes : sizeof card);
        return 0;
    case HEAPS:
        describe_heaps(it->out);
        return 0;
    case MOST_COMMANDS: // at once, of each engine
        for (uint32_t i = 0; i < it->bytes / sizeof *numbers; i++) {
            numbers[i] = 192;
        }
        return 0;
    case FIRMWARE: // its version: 0
    case VIDEO:    // no codec
        return 0;
    default:
        return -EINVAL;
    }
}

static int answer(unsigned number, void *argument)
{
    enum {
        GEM_CREATE,
        GEM_MMAP,
        CONTEXT,
        BUFFER_LIST,
        SUBMIT,
        INFO,
        GEM_WAIT_IDLE = 0x07,
        GEM_VA,
        WAIT_SUBMITTED,
        MAKE = 1 // what may be asked of CONTEXT
    };
    uint64_t *words = argument; // what is asked, and on return what is answered
    switch (number) {
    case GEM_CREATE: // bytes; the handle
        words[0] = null_buffer_new(words[0]);
        return 0;
    case GEM_MMAP: // the handle; where it is in the node's file
        words[0] = null_buffer_place((uint32_t)words[0]);
        return words[0] == 0 ? -ENOENT : 0;
    case CONTEXT: // asked to make one, its number; asked for its state, no flags: it was never
                  // reset
        words[0] = (uint32_t)words[0] == MAKE;
        return 0;
    case BUFFER_LIST: // its number
    case SUBMIT:
        words[0] = 1;
        return 0;
    case INFO:
        return inform(argument);
    case GEM_WAIT_IDLE: // 0: it is idle
    case WAIT_SUBMITTED:
        words[0] = 0;
        return 0;
    case GEM_VA:
        return 0;
    default:
        return NULL_UNKNOWN;
    }
}

const struct null_kernel null_amdgpu = {"amdgpu", {3, 61, 0}, answer};
