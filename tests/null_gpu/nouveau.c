// NVIDIA's cards as the kernel driver nouveau (include/uapi/drm/nouveau_drm.h) presents them, as
// far as NVK asks. Questions about the card and its engines are messages inside one ioctl, NVIF,
// whose structures are in the kernel's include/nvif.
#include "null_gpu.h"

#include <errno.h>
#include <string.h>

static int get_parameter(void *argument)
{
    enum {
        PCI_DEVICE = 4,
        CHIPSET = 11,
        GRAPH_UNITS = 13,
        TIMER = 14,
        EXEC_PUSH_MAX = 17,
        VRAM_BAR_BYTES,
        VRAM_USED, // not 0, which NVK would not expect
        HAS_TILE_MODE
    };
    struct {
        uint64_t which, value;
    } *it = argument;
    switch (it->which) {
    case PCI_DEVICE:
        it->value = null_device->device;
        return 0;
    case CHIPSET:
        it->value = null_device->nvidia.chipset;
        return 0;
    case GRAPH_UNITS:
        it->value = null_device->nvidia.clusters | null_device->nvidia.pairs << 8;
        return 0;
    case TIMER:
        it->value = 0;
        return 0;
    case EXEC_PUSH_MAX:
        it->value = 1024;
        return 0;
    case VRAM_BAR_BYTES:
        it->value = NULL_MEMORY_BYTES;
        return 0;
    case VRAM_USED:
        it->value = 64 << 20;
        return 0;
    case HAS_TILE_MODE:
        it->value = 1;
        return 0;
    default:
        return -EINVAL;
    }
}

struct message {
    uint8_t version, kind, unused[4], owner, route;
    uint64_t token, object;
    uint8_t data[];
};

static void tell_card(void *data)
{
    enum { PCIE = 3 };
    struct {
        uint8_t method_version, method, unused[6];
        uint8_t version, platform;
        uint16_t chipset;
        uint8_t revision, family, unused_also[2];
        uint64_t memory_bytes, user_bytes;
        char chip[16], name[64];
    } *it = data;
    it->platform = PCIE;
    it->chipset = null_device->nvidia.chipset;
    it->memory_bytes = NULL_MEMORY_BYTES;
    it->user_bytes = NULL_MEMORY_BYTES;
    strcpy(it->chip, null_device->name);
    strcpy(it->name, null_device->name);
}

static void tell_engines(void *data)
{
    enum { INLINE_TO_MEMORY = 0xa140, TWO_D = 0x902d };
    struct {
        uint8_t version, count, unused[6];
        struct {
            int32_t kind;
            int16_t first, last;
        } engines[];
    } *it = data;
    const uint16_t kinds[] = {null_device->nvidia.copy, null_device->nvidia.graphics,
                              null_device->nvidia.compute, INLINE_TO_MEMORY, TWO_D};
    enum { COUNT = sizeof kinds / sizeof *kinds };
    for (uint8_t i = 0; i < COUNT && i < it->count; i++) {
        it->engines[i].kind = kinds[i];
    }
    it->count = COUNT;
}

static int receive(struct message *message)
{
    enum { LIST_ENGINES = 1, NEW, DELETE, CALL };
    enum { CALL_INFO = 0 };
    switch (message->kind) {
    case LIST_ENGINES:
        tell_engines(message->data);
        return 0;
    case CALL:
        if (message->data[1] != CALL_INFO) {
            return -EINVAL;
        }
        tell_card(message->data);
        return 0;
    case NEW:
    case DELETE:
        return 0;
    default:
        return -EINVAL;
    }
}

static int create(void *argument)
{
    struct {
        uint32_t handle, domain;
        uint64_t bytes, address, map_offset;
    } *it = argument;
    it->handle = null_buffer_new(it->bytes);
    it->map_offset = null_buffer_place(it->handle);
    return 0;
}

static int answer(unsigned number, void *argument)
{
    enum {
        GETPARAM = 0x00,
        CHANNEL_ALLOC = 0x02,
        CHANNEL_FREE,
        NVIF = 0x07,
        VM_INIT = 0x10,
        VM_BIND,
        EXEC,
        GET_ZCULL_INFO,
        GEM_NEW = 0x40,
        GEM_PUSHBUF,
        GEM_CPU_PREP
    };
    switch (number) {
    case GETPARAM:
        return get_parameter(argument);
    case NVIF:
        return receive(argument);
    case GEM_NEW:
        return create(argument);
    case GET_ZCULL_INFO: // for graphics only; older kernels do not have it either
        return -EINVAL;
    case CHANNEL_ALLOC: // all are number 0
    case CHANNEL_FREE:
    case VM_INIT:
    case VM_BIND:
    case EXEC:
    case GEM_PUSHBUF:
    case GEM_CPU_PREP:
        return 0;
    default:
        return NULL_UNKNOWN;
    }
}

const struct null_kernel null_nouveau = {"nouveau", {1, 4, 0}, answer};
