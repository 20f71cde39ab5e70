#include "ops/kernels.h"

#include "base/blocks.h"
#include "base/memory.h"
#include "ops/ref/ref.h"
#include "ops/shaders.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

// ---- The rows as data

#define SHADER(file, needs) {#file, needs},
#define VARIANT(name, file, macro, needs) {#name, needs},
#define READ(type, name, elements) {#name, TS_BUFFER_##type, TS_READ},
#define WRITE(type, name, elements) {#name, TS_BUFFER_##type, TS_WRITE},
#define UPDATE(type, name, elements) {#name, TS_BUFFER_##type, TS_READ_WRITE},
#define U32(name) {'u', #name},
#define F32(name) {'f', #name},
#define ADDRESS(buffer) {'l', #buffer}, {'h', #buffer},
#define CONSTANT(name) {'c', #name},
#define FOLLOWS(name, value) {'c', #name},
#define KERNEL(kernel, FILES, VIEWS, SCALARS, CONSTANTS, groups, TOLERANCE)                        \
    [TS_KERNEL_##kernel] = {.name = #kernel,                                                       \
                            .shaders = {FILES{0}},                                                 \
                            .buffers = {VIEWS{0}},                                                 \
                            .fields = {SCALARS CONSTANTS{0}},                                      \
                            .tolerance = TOLERANCE},
const ts_kernel_info ts_kernels[TS_KERNEL_COUNT] = {
#include "ops/kernels.def"
};

// All of them could be left out of one device (ts_gpu_caps_leave_out).
#define KERNEL(kernel, ...) +TS_SHADERS_OF_##kernel
_Static_assert(0
#include "ops/kernels.def"
                   <= TS_GPU_MOST_LEFT_OUT,
               "more shaders than ts_gpu_caps can leave out");

ts_kernel ts_kernel_of(const char *shader)
{
    for (size_t kernel = 0; kernel < TS_KERNEL_COUNT; kernel++) {
        for (const ts_kernel_shader *it = ts_kernels[kernel].shaders; it->name != NULL; it++) {
            if (strcmp(it->name, shader) == 0) {
                return (ts_kernel)kernel;
            }
        }
    }
    return TS_KERNEL_COUNT;
}

uint32_t *ts_kernel_find_field(ts_kernel kernel, ts_dispatch *dispatch, const char *name)
{
    uint32_t *push = dispatch->push, *constant = dispatch->pipeline.constants + 1;
    for (const ts_kernel_field *f = ts_kernels[kernel].fields; f->name != NULL; f++) {
        uint32_t *place = f->kind == 'c' ? constant++ : push++;
        if (strcmp(f->name, name) == 0) {
            return place;
        }
    }
    return NULL;
}

// ---- Sizes: the rows' expressions over their own scalars, in 64 bits

#define READ(type, name, elements) *out++ = (elements);
#define WRITE(type, name, elements) *out++ = (elements);
#define UPDATE(type, name, elements) *out++ = (elements);
#define U32(name)                                                                                  \
    const uint64_t name = *push++;                                                                 \
    (void)name;
#define F32(name) push++;
#define ADDRESS(buffer) push += 2;
#define CONSTANT(name)                                                                             \
    const uint64_t name = *constant++;                                                             \
    (void)name;
#define FOLLOWS(name, value) *constant++ = (value);
#define CEIL_DIV(a, b) ts_ceil_div((a), (b))
#define MAX(a, b) ts_max_u64((a), (b))
#define GROUPS(x, y)                                                                               \
    groups[0] = (x);                                                                               \
    groups[1] = (y);
#define KERNEL(kernel, FILES, VIEWS, SCALARS, CONSTANTS, GRID, TOLERANCE)                          \
    static void sizes_of_##kernel(const uint32_t *push, uint32_t *constant, uint64_t *out,         \
                                  uint64_t groups[2])                                              \
    {                                                                                              \
        SCALARS CONSTANTS VIEWS GRID(void) push;                                                   \
        (void)constant;                                                                            \
    }
#include "ops/kernels.def"

// ---- Mirrors: a dispatch turned into arrays of double

// The values of a view as doubles. If the view holds doubles, as the mirror device's tensors do,
// these are its own memory; otherwise a converted copy, which is also stored in *copy to be freed.
static double *widened(const ts_view *view, double **copy)
{
    if (view->dtype == TS_F64) {
        return ts_view_host(*view);
    }
    uint64_t count = ts_dtype_count(view->dtype, view->bytes);
    double *values = malloc(count * sizeof *values);
    if (values == NULL) {
        abort(); // acceptable, since the mirror device is only for comparing small tensors
    }
    ts_blocks_decode(view->dtype, ts_view_host(*view), count, values);
    return *copy = values;
}

// Whether view i is one before it again: given for a buffer that this dispatch has no use for.
static bool stands_in(const ts_dispatch *dispatch, uint32_t i)
{
    const ts_view *view = &dispatch->views[i];
    bool found = false;
    for (uint32_t j = 0; j < i; j++) {
        const ts_view *other = &dispatch->views[j];
        found |= (dispatch->access[j] & TS_WRITE) && other->buffer == view->buffer &&
                 other->offset == view->offset && other->bytes == view->bytes;
    }
    return found;
}

// Rounds what a mirror wrote into copies of activations to the types that they are stored as. Only
// activations are written in other types than double. Frees the copies.
static void narrow(const ts_dispatch *dispatch, double *copies[TS_MAX_VIEWS])
{
    for (uint32_t i = 0; i < dispatch->view_count; i++) {
        const ts_view *view = &dispatch->views[i];
        if (copies[i] != NULL && (dispatch->access[i] & TS_WRITE) && !stands_in(dispatch, i)) {
            uint64_t count = ts_dtype_count(view->dtype, view->bytes);
            for (uint64_t e = 0; e < count; e++) {
                ts_dtype_store(view->dtype, ts_view_host(*view), e, copies[i][e]);
            }
        }
        free(copies[i]);
    }
}

static double float_of(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

#define VALUES_F32 widened(view, copy)
#define VALUES_WEIGHT widened(view, copy)
#define VALUES_ACT widened(view, copy)
#define VALUES_INDEX ts_view_host(*view)
#define READ(type, name, elements)                                                                 \
    ref.name = VALUES_##type;                                                                      \
    view++, copy++;
#define WRITE(type, name, elements) READ(type, name, elements)
#define UPDATE(type, name, elements) READ(type, name, elements)
#define U32(name) ref.name = *push++;
#define F32(name) ref.name = float_of(*push++);
#define ADDRESS(buffer) push += 2;
#define CONSTANT(name) ref.name = *constant++;
#define FOLLOWS(name, value) constant++;
#define KERNEL(kernel, FILES, VIEWS, SCALARS, CONSTANTS, GRID, TOLERANCE)                          \
    static void mirror_##kernel(const ts_dispatch *dispatch)                                       \
    {                                                                                              \
        double *copies[TS_MAX_VIEWS] = {0}, **copy = copies;                                       \
        const ts_view *view = dispatch->views;                                                     \
        const uint32_t *push = dispatch->push, *constant = dispatch->pipeline.constants + 1;       \
        struct ts_##kernel##_ref ref;                                                              \
        VIEWS SCALARS CONSTANTS ts_ref_##kernel(&ref);                                             \
        (void)push, (void)constant, (void)copy;                                                    \
        narrow(dispatch, copies);                                                                  \
    }
#include "ops/kernels.def"

static const struct {
    void (*sizes)(const uint32_t *push, uint32_t *constant, uint64_t *out, uint64_t groups[2]);
    void (*mirror)(const ts_dispatch *dispatch);
} functions[TS_KERNEL_COUNT] = {
#define KERNEL(kernel, ...) {sizes_of_##kernel, mirror_##kernel},
#include "ops/kernels.def"
};

void ts_kernel_sizes(ts_kernel kernel, ts_dispatch *dispatch, uint64_t elements[TS_MAX_VIEWS],
                     uint64_t groups[2])
{
    functions[kernel].sizes(dispatch->push, dispatch->pipeline.constants + 1, elements, groups);
}

// ---- Recording

static const struct ts_shader *find_shader(const char *name)
{
    const struct ts_shader *shader = ts_shader_table;
    while (shader->name != NULL && strcmp(shader->name, name) != 0) {
        shader++;
    }
    assert(shader->name != NULL);
    return shader;
}

// Splits a grid that is too wide in x into rows along y; shaders/include/grid.glsl undoes it.
static void fold(const ts_gpu *gpu, const uint64_t groups[2], uint32_t out[3])
{
    uint64_t x = groups[0], y = groups[1], limit = ts_gpu_capabilities(gpu)->max_groups[0];
    if (y == 1 && x > limit) {
        y = ts_ceil_div(x, limit);
        x = ts_ceil_div(x, y);
    }
    out[0] = (uint32_t)ts_min_u64(x, UINT32_MAX);
    out[1] = (uint32_t)ts_min_u64(y, UINT32_MAX);
    out[2] = 1;
}

// The work that a dispatch's time depends on: multiply-adds of the kernels that multiply, otherwise
// elements read and written.
static double work_of(ts_kernel kernel, const ts_dispatch *dispatch,
                      const uint64_t elements[TS_MAX_VIEWS])
{
    const uint32_t *push = dispatch->push;
    double moved = 0, multiplied = 0;
    switch (kernel) {
    case TS_KERNEL_gemm:
    case TS_KERNEL_gemm_rounded:
    case TS_KERNEL_gemm_packed: // m n (k + extra_k)
        return (double)push[0] * push[1] * ((double)push[2] + push[8]);
    case TS_KERNEL_attention:
    case TS_KERNEL_attention_rounded:
    case TS_KERNEL_attention_backward_q:
    case TS_KERNEL_attention_backward_q_rounded:
    case TS_KERNEL_attention_backward_kv:
    case TS_KERNEL_attention_backward_kv_rounded: // each row of q with at most as many rows of k
        return (double)elements[0] * push[0];
    case TS_KERNEL_lora_products: // rows rank k, of each pair
        for (uint32_t p = 0; p < 3; p++) {
            multiplied += (double)push[0] * push[1 + p] * push[4 + p];
        }
        return multiplied;
    case TS_KERNEL_lora_gradients: // rows rank (out_size + in_size)
        for (uint32_t p = 0; p < 3; p++) {
            multiplied += (double)push[0] * push[5 + p] * ((double)push[2 + p] + push[1]);
        }
        return multiplied;
    default:
        for (uint32_t i = 0; i < dispatch->view_count; i++) {
            moved += (double)elements[i];
        }
        return moved;
    }
}

// Sets a workgroup's size if the caller left it 0. Results depend on it only through the order in
// which a row is summed. On a CPU driver a subgroup is one vector, and workgroups run one after
// another. There a kernel that walks along a row gets one subgroup, which reads the row from end to
// end. A kernel that keeps a row in registers gets 64 invocations: with fewer, each would have more
// quads, and LLVM already needs a second to unroll 64 of them.
static void set_workgroup(const ts_gpu_caps *caps, const char *name, uint32_t *size)
{
    bool walks = strcmp(name, "threads") == 0, keeps = strcmp(name, "row_threads") == 0;
    if ((walks || keeps) && *size == 0) {
        *size = !ts_gpu_is_simd(caps) ? 128 : keeps ? 64 : caps->subgroup_size;
    }
}

static uint64_t address_of(const ts_kernel_info *info, const ts_dispatch *dispatch,
                           const char *buffer)
{
    uint32_t i = 0;
    while (strcmp(info->buffers[i].name, buffer) != 0) {
        i++;
    }
    return ts_view_address(dispatch->views[i]);
}

#define BUG "a mistake of this program, please report it: "
// Whether buffer i of a row may be stored as `dtype`. F64 is what the mirror device has for F32. A
// buffer of one element is not read: it is there because every binding needs a buffer.
static ts_status check_type(const ts_kernel_info *info, uint32_t i, ts_dtype dtype,
                            uint64_t elements, ts_error *err)
{
    const ts_kernel_buffer *buffer = &info->buffers[i];
    const bool whole = dtype == TS_F32 || dtype == TS_F64,
               half = dtype == TS_F16 || dtype == TS_BF16;
    if (buffer->type == TS_BUFFER_F32 && !whole && elements > 1) {
        return ts_error_set(err, TS_ERR_RUN, BUG "kernel %s: %s is %s, not F32", info->name,
                            buffer->name, ts_dtype_name(dtype));
    }
    if (buffer->type == TS_BUFFER_ACT && !whole && !half) {
        return ts_error_set(err, TS_ERR_RUN, BUG "kernel %s: %s is %s, not F32, F16 or BF16",
                            info->name, buffer->name, ts_dtype_name(dtype));
    }
    if (buffer->type == TS_BUFFER_ACT && half && elements % 8 != 0) {
        return ts_error_set(
            err, TS_ERR_RUN,
            BUG "kernel %s: %s in %s has %llu elements, which are not rows of eights", info->name,
            buffer->name, ts_dtype_name(dtype), (unsigned long long)elements);
    }
    return TS_OK;
}

// A dispatch that reads or writes outside its tensors is a bug in this program. A device need not
// report it, so every build checks for it here.
static ts_status check_views(const ts_kernel_info *info, const ts_dispatch *dispatch,
                             const uint64_t elements[TS_MAX_VIEWS], ts_error *err)
{
    ts_status status = TS_OK;
    const ts_view *weight = NULL;
    for (uint32_t i = 0; i < dispatch->view_count; i++) {
        const ts_view *view = &dispatch->views[i];
        const char *name = info->buffers[i].name;
        if (view->buffer == NULL) {
            return ts_error_set(err, TS_ERR_RUN, BUG "kernel %s: no tensor for %s", info->name,
                                name);
        }
        const uint64_t there = ts_dtype_count(view->dtype, view->bytes);
        TS_TRY(check_type(info, i, view->dtype, elements[i], err));
        if (elements[i] > there) {
            return ts_error_set(
                err, TS_ERR_RUN, BUG "kernel %s: %s has %llu elements, but %llu are touched",
                info->name, name, (unsigned long long)there, (unsigned long long)elements[i]);
        }
        if (info->buffers[i].type == TS_BUFFER_WEIGHT) {
            if (weight != NULL && weight->dtype != view->dtype) {
                return ts_error_set(err, TS_ERR_RUN, BUG "kernel %s: %s is %s, other weights %s",
                                    info->name, name, ts_dtype_name(view->dtype),
                                    ts_dtype_name(weight->dtype));
            }
            weight = view;
        }
    }
out:
    return status;
}

// Where a buffer's type stands in specialisation constant 0 (shaders/include/stored.glsl).
static uint32_t stored_shift(ts_buffer_type type, uint32_t i)
{
    return type == TS_BUFFER_ACT ? 8 + 2 * i : 0;
}

ts_dtype ts_kernel_stored(ts_buffer_type type, uint32_t i, uint32_t constant)
{
    return (ts_dtype)(constant >> stored_shift(type, i) & (type == TS_BUFFER_ACT ? 3 : 0xFF));
}

static uint32_t stored_as(const ts_kernel_info *info, const ts_dispatch *dispatch)
{
    uint32_t stored = 0;
    _Static_assert(TS_F32 < 4 && TS_F16 < 4 && TS_BF16 < 4, "a binding has two bits for its type");
    for (uint32_t i = 0; info->buffers[i].name != NULL; i++) {
        const ts_dtype dtype = dispatch->views[i].dtype;
        const ts_buffer_type type = info->buffers[i].type;
        bool told = type == TS_BUFFER_WEIGHT || type == TS_BUFFER_ACT;
        if (told && dtype != TS_F64 && ts_kernel_stored(type, i, stored) == 0) {
            stored |= (uint32_t)dtype << stored_shift(type, i);
        }
    }
    return stored;
}

void ts_kernel_record(ts_recorder *recorder, ts_kernel kernel, uint32_t shader,
                      ts_dispatch *dispatch)
{
    ts_error err = {0};
    const ts_kernel_info *info = &ts_kernels[kernel];
    const struct ts_shader *code = find_shader(info->shaders[shader].name);
    uint64_t elements[TS_MAX_VIEWS], groups[2];
    uint32_t count = 0, constants = 1;
    for (; info->buffers[count].name != NULL; count++) {
        dispatch->access[count] = info->buffers[count].access;
    }
    dispatch->pipeline.constants[0] = stored_as(info, dispatch);
    dispatch->view_count = count;
    dispatch->push_count = 0;
    for (const ts_kernel_field *field = info->fields; field->name != NULL; field++) {
        if (field->kind == 'c' && strcmp(field->name, "subgroup_size") == 0) {
            const uint32_t size = dispatch->pipeline.constants[constants];
            dispatch->pipeline.subgroup_size = size > 1 ? size : 0;
        }
        if (field->kind == 'c') {
            set_workgroup(ts_gpu_capabilities(ts_recorder_gpu(recorder)), field->name,
                          &dispatch->pipeline.constants[constants]);
        }
        if (field->kind == 'l' || field->kind == 'h') {
            uint64_t address = address_of(info, dispatch, field->name);
            dispatch->push[dispatch->push_count] =
                (uint32_t)(field->kind == 'l' ? address : address >> 32);
        }
        *(field->kind == 'c' ? &constants : &dispatch->push_count) += 1;
    }
    dispatch->pipeline.words = code->words;
    dispatch->pipeline.word_bytes = code->bytes;
    dispatch->pipeline.name = code->name;
    dispatch->pipeline.binding_count = count;
    dispatch->pipeline.constant_count = constants;
    ts_kernel_sizes(kernel, dispatch, elements, groups);
    if (check_views(info, dispatch, elements, &err) != TS_OK) {
        ts_recorder_fail(recorder, &err);
        return;
    }
    fold(ts_recorder_gpu(recorder), groups, dispatch->groups);
    dispatch->work = work_of(kernel, dispatch, elements);
    dispatch->mirror = functions[kernel].mirror;
    ts_recorder_dispatch(recorder, dispatch);
}

static uint32_t bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

#define READ(type, name, elements) *view++ = args->name;
#define WRITE(type, name, elements) *view++ = args->name;
#define UPDATE(type, name, elements) *view++ = args->name;
#define U32(name) *push++ = args->name;
#define F32(name) *push++ = bits_of(args->name);
#define ADDRESS(buffer) push += 2; // ts_kernel_record fills it in
#define CONSTANT(name) *constant++ = args->name;
#define FOLLOWS(name, value) constant++;
#define KERNEL(kernel, FILES, VIEWS, SCALARS, CONSTANTS, GRID, TOLERANCE)                          \
    void ts_##kernel(ts_recorder *recorder, const struct ts_##kernel##_args *args)                 \
    {                                                                                              \
        ts_dispatch dispatch = {0};                                                                \
        ts_view *view = dispatch.views;                                                            \
        uint32_t *push = dispatch.push, *constant = dispatch.pipeline.constants + 1;               \
        VIEWS SCALARS CONSTANTS(void) view, (void)push, (void)constant;                            \
        ts_kernel_record(recorder, TS_KERNEL_##kernel, args->shader, &dispatch);                   \
    }
#include "ops/kernels.def"
