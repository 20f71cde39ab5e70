#include "ops/trial.h"

#include "base/blocks.h"
#include "base/memory.h"
#include "ops/gemm.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// Divides `rows` into sequences that lie end to end. Fills in for each row the first or the last
// key row that it sees, or the end of its sequence, as the buffer's name says.
static void fill_sequences(const char *name, uint32_t *out, uint64_t rows, uint64_t kv_rows,
                           bool whole)
{
    uint64_t shift = kv_rows > rows ? kv_rows - rows : 0; // as in a cache, with earlier keys
    uint32_t fixed = 12345 + (uint32_t)rows;              // the same sequences for every buffer
    for (uint64_t begin = 0; begin < rows;) {
        uint64_t end = whole ? rows : ts_min_u64(begin + 1 + ts_trial_pick(&fixed, 70), rows);
        for (uint64_t t = begin; t < end; t++) {
            out[t] = (uint32_t)(ts_trial_same(name, "first")  ? begin + (kv_rows ? shift : 0)
                                : ts_trial_same(name, "last") ? t + shift
                                                              : end);
        }
        begin = end;
    }
}

// Gives each row a random range of keys in the cache. The ranges are independent of each other.
static void fill_ranges(const char *name, uint32_t *out, uint64_t rows, uint32_t kv_rows)
{
    uint32_t fixed = 12345 + (uint32_t)rows; // the same ranges for both buffers
    for (uint64_t t = 0; t < rows; t++) {
        uint32_t first = ts_trial_pick(&fixed, kv_rows),
                 last = first + ts_trial_pick(&fixed, kv_rows - first);
        out[t] = ts_trial_same(name, "first") ? first : last;
    }
}

static void fill_index(ts_trial *trial, const char *name, uint32_t *out, uint64_t count)
{
    const struct {
        const char *buffer, *limit;
    } limits[] = {
        {"ids", "vocab"}, {"label", "vocab"}, {"position", "positions"}, {"index", "source_rows"}};
    if (ts_trial_same(name, "first") || ts_trial_same(name, "last") || ts_trial_same(name, "end")) {
        const uint32_t *kv_rows = ts_trial_field(trial, "kv_rows");
        if (trial->kernel == TS_KERNEL_attention_decode) {
            fill_ranges(name, out, count, *kv_rows);
        } else {
            fill_sequences(name, out, count, kv_rows != NULL ? *kv_rows : 0, trial->one_sequence);
        }
        return;
    }
    if (trial->kernel == TS_KERNEL_scatter_rows) {
        for (uint64_t i = 0; i < count; i++) {
            out[i] = (uint32_t)(count - 1 - i); // distinct
        }
        return;
    }
    for (size_t l = 0; l < TS_COUNT(limits); l++) {
        const uint32_t *limit = ts_trial_field(trial, limits[l].limit);
        if (ts_trial_same(limits[l].buffer, name) && limit != NULL) {
            for (uint64_t i = 0; i < count; i++) {
                out[i] = ts_trial_pick(&trial->random, *limit);
            }
        }
    }
}

static void fill_floats(const char *name, float *out, uint64_t count, uint32_t *state)
{
    bool positive = ts_trial_same(name, "rstd") || ts_trial_same(name, "v") ||
                    ts_trial_same(name, "lse") || ts_trial_same(name, "partial") ||
                    ts_trial_same(name, "norm");
    // o and dout have the same sign in each place. So the terms of attention's delta, the sum of
    // their products, do not cancel.
    bool alike = ts_trial_same(name, "o") || ts_trial_same(name, "dout");
    for (uint64_t i = 0; i < count; i++) {
        float u = (float)ts_trial_pick(state, 1 << 20) / (1 << 19) - 1;
        out[i] = positive || alike ? 0.5f + fabsf(u) : u;
        if (alike && (uint32_t)i * 2654435761u >> 31) {
            out[i] = -out[i];
        }
        if (ts_trial_same(name, "lse")) {
            out[i] += 4; // so that probabilities are hardly above 1
        }
        if (ts_trial_same(name, "largest_a") || ts_trial_same(name, "largest_b")) {
            out[i] = 1; // no element is larger
        }
        if (ts_trial_same(name, "largest")) { // of what came before: nothing, or something large
            out[i] = i % 2 == 0 ? 0 : 2 * fabsf(u);
        }
        if (ts_trial_same(name, "squares")) {
            out[i] += 40; // of W: more than a pair takes away, so that no norm cancels
        }
    }
}

static ts_dtype type_of(const ts_trial *trial, uint32_t b)
{
    const ts_buffer_type type = ts_kernels[trial->kernel].buffers[b].type;
    return type == TS_BUFFER_INDEX    ? TS_U32
           : type == TS_BUFFER_WEIGHT ? trial->stored
           : type == TS_BUFFER_ACT    ? trial->act[b]
                                      : TS_F32;
}

// `trial` is the caller's copy, because filling advances trial->random.
static ts_status fill_buffer(ts_trial *trial, uint32_t b, uint64_t count, ts_gpu *gpu, ts_view view,
                             ts_error *err)
{
    ts_status status = TS_OK;
    const ts_dtype type = type_of(trial, b);
    const ts_kernel_buffer *buffer = &ts_kernels[trial->kernel].buffers[b];
    float *values = NULL;
    uint16_t *halves = NULL; // also for blocks, which need less memory
    const void *bytes;
    TS_TRY(ts_alloc(count, sizeof *values, &values, err));
    TS_TRY(ts_alloc(count, sizeof *halves, &halves, err));
    bytes = values;
    if (type == TS_U32) {
        fill_index(trial, buffer->name, (uint32_t *)values, count);
    } else {
        fill_floats(buffer->name, values, count, &trial->random);
    }
    if (type == TS_F16 || type == TS_BF16) {
        for (uint64_t i = 0; i < count; i++) {
            ts_dtype_store(type, halves, i, values[i]);
            values[i] = (float)ts_dtype_load(type, halves, i);
        }
        bytes = view.dtype == type ? (const void *)halves : values;
    } else if (ts_dtype_block(type) > 1) {
        ts_blocks_draw(type, count, &trial->random, (uint8_t *)halves);
        bytes = halves;
    }
    TS_TRY(ts_gpu_upload(gpu, view, bytes,
                         bytes == values ? count * sizeof *values : ts_dtype_size(type, count),
                         err));
out:
    free(values);
    free(halves);
    return status;
}

ts_status ts_trial_open(const ts_trial *trial, ts_gpu *gpu, ts_trial_side *side, ts_error *err)
{
    ts_status status = TS_OK;
    const ts_kernel_buffer *buffers = ts_kernels[trial->kernel].buffers;
    enum { UNUSED = 8 }; // elements of a buffer that this trial has no use for
    ts_trial drawing = *trial;
    uint64_t elements[TS_MAX_VIEWS] = {0}, groups[2];
    *side = (ts_trial_side){.gpu = gpu, .arena = {.gpu = gpu, .block_bytes = 1 << 20}};
    ts_kernel_sizes(trial->kernel, &drawing.dispatch, elements, groups);
    TS_TRY(ts_recorder_open(gpu, &side->recorder, err));
    for (uint32_t b = 0; buffers[b].name != NULL; b++) {
        // The mirror keeps activations as doubles, so that it shows how the device rounded them.
        bool doubles = buffers[b].type == TS_BUFFER_ACT && ts_gpu_is_mirror(gpu);
        const uint64_t count = elements[b] > 0 ? elements[b] : UNUSED;
        TS_TRY(ts_gpu_alloc(&side->arena, doubles ? TS_F32 : type_of(trial, b), count,
                            &side->views[b], err));
        TS_TRY(fill_buffer(&drawing, b, count, gpu, side->views[b], err));
    }
out:
    return status;
}

void ts_trial_close(ts_trial_side *side)
{
    ts_recorder_close(side->recorder);
    ts_gpu_arena_close(&side->arena);
    *side = (ts_trial_side){0};
}

ts_status ts_trial_run(const ts_trial *trial, ts_trial_side *side, uint32_t times, ts_error *err)
{
    for (uint32_t i = 0; i < times; i++) {
        ts_dispatch dispatch = trial->dispatch; // recording fills in more of it
        memcpy(dispatch.views, side->views, sizeof dispatch.views);
        ts_kernel_record(side->recorder, trial->kernel, trial->shader, &dispatch);
    }
    return ts_recorder_run(side->recorder, err);
}

// How far rounding to a type may move a number near `value`: half of a step.
static double half_step(ts_dtype type, double value)
{
    int exponent, bits = type == TS_F16 ? 11 : 8;
    if (type != TS_F16 && type != TS_BF16) {
        return 0;
    }
    frexp(value, &exponent);
    return ldexp(1, (type == TS_F16 && exponent < -13 ? -13 : exponent) - bits - 1);
}

// The type that the device rounded a factor of a buffer's elements to, which the mirror does not:
// what swiglu makes of a product's c is made of c as it is stored. F32: there is none.
static ts_dtype rounded_factor(const ts_trial *trial, const char *buffer)
{
    ts_trial copy = *trial;
    const uint32_t *epilogue = ts_trial_field(&copy, "epilogue");
    return epilogue != NULL && *epilogue == TS_EPILOGUE_SWIGLU && ts_trial_same(buffer, "gated")
               ? trial->act[ts_trial_buffer(trial, "c")]
               : TS_F32;
}

// The device's values are of `type`, the mirror's double; in an INDEX buffer both are uint32_t. A
// factor of them may have been rounded to the type `factor`.
static double relative_error(ts_dtype type, ts_dtype factor, const void *got, const void *expected,
                             uint64_t count)
{
    double difference = 0, norm = 0;
    bool index = type == TS_U32;
    for (uint64_t i = 0; i < count; i++) {
        double want = index ? ((const uint32_t *)expected)[i] : ((const double *)expected)[i];
        double have = index ? ((const uint32_t *)got)[i] : ts_dtype_load(type, got, i);
        // A step is twice as large, relative to the number, at the lower end of a power of two.
        double off = fabs(have - want),
               allowed = half_step(type, want) + 2 * half_step(factor, want);
        off = off <= allowed ? 0 : off - allowed; // NaN is kept
        difference += off * off;
        norm += want * want;
    }
    return sqrt(difference) / (norm > 0 ? sqrt(norm) : 1);
}

ts_status ts_trial_compare(const ts_trial *trial, const ts_trial_side *device,
                           const ts_trial_side *mirror, double *error, const char **buffer,
                           ts_error *err)
{
    ts_status status = TS_OK;
    const ts_kernel_info *info = &ts_kernels[trial->kernel];
    uint64_t elements[TS_MAX_VIEWS] = {0}, groups[2];
    float *got = NULL;
    *error = -1;
    ts_dispatch shape = trial->dispatch;
    ts_kernel_sizes(trial->kernel, &shape, elements, groups);
    for (uint32_t b = 0; info->buffers[b].name != NULL; b++) {
        if (!(info->buffers[b].access & TS_WRITE) || elements[b] == 0) {
            continue;
        }
        TS_TRY(ts_alloc(elements[b], sizeof *got, &got, err));
        const ts_dtype type = type_of(trial, b);
        TS_TRY(ts_gpu_download(device->gpu, device->views[b], got, ts_dtype_size(type, elements[b]),
                               err));
        double off = relative_error(type, rounded_factor(trial, info->buffers[b].name), got,
                                    ts_view_host(mirror->views[b]), elements[b]);
        free(got);
        got = NULL;
        if (!isnan(*error) && !(off <= *error)) { // NaN is kept
            *error = off;
            *buffer = info->buffers[b].name;
        }
    }
out:
    free(got);
    return status;
}
