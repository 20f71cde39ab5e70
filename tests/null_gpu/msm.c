// Qualcomm's Adreno as the kernel driver msm (include/uapi/drm/msm_drm.h) presents it, as far as
// Turnip asks.
#include "null_gpu.h"

#include <errno.h>

static int get_parameter(void *argument)
{
    enum {
        GPU_NUMBER = 1,
        TILE_BYTES,
        CHIP,
        FREQUENCY,
        TIMESTAMP,
        TILE_BASE,
        PRIORITIES,
        FAULTS = 9,
        SUSPENDS,
        ADDRESS_START = 14,
        ADDRESS_BYTES,
        HIGHEST_BANK_BIT,
        RAY_TRACING,
        SWIZZLE,
        MACROTILE,
        TRAP_BASE
    };
    struct {
        uint32_t pipe, which;
        uint64_t value;
    } *it = argument;
    switch (it->which) {
    case GPU_NUMBER:
        it->value = null_device->adreno.number;
        return 0;
    case TILE_BYTES:
        it->value = null_device->adreno.tile_bytes;
        return 0;
    case CHIP:
        it->value = null_device->adreno.chip;
        return 0;
    case TILE_BASE:
        it->value = 1 << 20;
        return 0;
    case FREQUENCY:
        it->value = 840000000;
        return 0;
    case ADDRESS_START:
        it->value = 1ull << 32;
        return 0;
    case ADDRESS_BYTES:
        it->value = 1ull << 36;
        return 0;
    case PRIORITIES:
        it->value = 1;
        return 0;
    case HIGHEST_BANK_BIT:
        it->value = 16;
        return 0;
    case SWIZZLE:
        it->value = 6;
        return 0;
    case TRAP_BASE:
        it->value = 0x1fffffffff000;
        return 0;
    case TIMESTAMP:
    case FAULTS: // any fault since the device was created would mean that it is lost
    case SUSPENDS:
    case RAY_TRACING:
    case MACROTILE:
        it->value = 0;
        return 0;
    default:
        return -EINVAL;
    }
}

static int create(void *argument)
{
    struct {
        uint64_t bytes;
        uint32_t flags, handle;
    } *it = argument;
    it->handle = null_buffer_new(it->bytes);
    return 0;
}

static int buffer_information(void *argument)
{
    enum { OFFSET, ADDRESS, SET_NAME, SET_ADDRESS = 4, SET_METADATA = 6 };
    struct {
        uint32_t handle, which;
        uint64_t value;
    } *it = argument;
    switch (it->which) {
    case OFFSET:
        it->value = null_buffer_place(it->handle);
        return it->value == 0 ? -ENOENT : 0;
    case ADDRESS:
        it->value = (1ull << 32) + null_buffer_place(it->handle);
        return 0;
    case SET_NAME:
    case SET_ADDRESS:
    case SET_METADATA:
        return 0;
    default:
        return -EINVAL;
    }
}

static int answer(unsigned number, void *argument)
{
    enum {
        GET_PARAM,
        SET_PARAM,
        GEM_NEW,
        GEM_INFO,
        GEM_CPU_PREP,
        GEM_CPU_FINI,
        GEM_SUBMIT,
        WAIT_FENCE,
        GEM_MADVISE,
        SUBMITQUEUE_NEW = 0x0a,
        SUBMITQUEUE_CLOSE,
        SUBMITQUEUE_QUERY
    };
    switch (number) {
    case GET_PARAM:
        return get_parameter(argument);
    case SET_PARAM: // none can be set, so Turnip does not manage address spaces itself
        return -EINVAL;
    case GEM_NEW:
        return create(argument);
    case GEM_INFO:
        return buffer_information(argument);
    case SUBMITQUEUE_NEW:
        ((uint32_t *)argument)[2] = 1;
        return 0;
    case GEM_CPU_PREP:
    case GEM_CPU_FINI:
    case GEM_SUBMIT:
    case WAIT_FENCE:
    case GEM_MADVISE:
    case SUBMITQUEUE_CLOSE:
    case SUBMITQUEUE_QUERY: // asks for faults: there are none
        return 0;
    default:
        return NULL_UNKNOWN;
    }
}

const struct null_kernel null_msm = {"msm", {1, 12, 0}, answer};
