// Times every kernel of the registry, except the products with the base's weights, each alone.
#include "check/bench_parts.h"

#include "base/memory.h"
#include "ops/lora.h"

#include <stdlib.h>
#include <string.h>

// Operations for each element of the kernel's first buffer. An exponential or a root counts as one;
// a kernel that is not listed counts one. Attention is counted separately.
static const double operations[TS_KERNEL_COUNT] = {[TS_KERNEL_rmsnorm] = 4,
                                                   [TS_KERNEL_rmsnorm_backward] = 8,
                                                   [TS_KERNEL_rope] = 3,
                                                   [TS_KERNEL_swiglu] = 4,
                                                   [TS_KERNEL_swiglu_backward] = 9,
                                                   [TS_KERNEL_cross_entropy] = 6,
                                                   [TS_KERNEL_dropout] = 14,
                                                   [TS_KERNEL_adamw] = 14,
                                                   [TS_KERNEL_add_rmsnorm] = 5,
                                                   [TS_KERNEL_sum_squares] = 2,
                                                   [TS_KERNEL_rope_backward] = 3,
                                                   // q, k and v at rank 8
                                                   [TS_KERNEL_lora_gradients] = 54,
                                                   [TS_KERNEL_lora_products] = 48};

// How many products of [rows, dim] and [keys, dim] attention makes, each over its causal half.
static double attention_products(ts_kernel kernel)
{
    switch (kernel) {
    case TS_KERNEL_attention:
    case TS_KERNEL_attention_rounded:
    case TS_KERNEL_attention_decode:
        return 2;
    case TS_KERNEL_attention_backward_q:
    case TS_KERNEL_attention_backward_q_rounded:
        return 3;
    case TS_KERNEL_attention_backward_kv:
    case TS_KERNEL_attention_backward_kv_rounded:
        return 4;
    default:
        return 0;
    }
}

struct timed {
    ts_kernel kernel;
    uint32_t shader;
    ts_dispatch dispatch; // views and shape
};

static uint32_t field(const struct timed *timed, const char *name)
{
    const uint32_t *push = timed->dispatch.push;
    const uint32_t *constant = timed->dispatch.pipeline.constants + 1;
    for (const ts_kernel_field *f = ts_kernels[timed->kernel].fields; f->name != NULL; f++) {
        uint32_t value = f->kind == 'c' ? *constant++ : *push++;
        if (strcmp(f->name, name) == 0) {
            return value;
        }
    }
    return 1;
}

static void record(ts_recorder *recorder, void *user)
{
    const struct timed *timed = user;
    ts_dispatch dispatch = timed->dispatch; // a copy, since recording fills in more of it
    ts_kernel_record(recorder, timed->kernel, timed->shader, &dispatch);
}

// A valid value for element i of an INDEX buffer. In decoding every sequence has an equal part of
// the cache.
static uint32_t index_value(const struct timed *timed, const char *buffer, uint32_t i)
{
    uint32_t rows = field(timed, "rows");
    bool decoding = timed->kernel == TS_KERNEL_attention_decode;
    uint32_t share = field(timed, "kv_rows") / rows;
    if (strcmp(buffer, "first") == 0) {
        return decoding ? i * share : 0;
    }
    if (strcmp(buffer, "last") == 0) {
        return decoding ? (i + 1) * share - 1 : i;
    }
    if (strcmp(buffer, "end") == 0) {
        return rows;
    }
    if (strcmp(buffer, "ids") == 0 || strcmp(buffer, "label") == 0) {
        return i * 7919u % field(timed, "vocab");
    }
    return rows - 1 - i; // rows of another tensor or positions, each once
}

// A table may have more rows than the kernel reads. It is indexed by integers.
static double touched(const struct timed *timed, const ts_kernel_buffer *buffer, uint64_t elements)
{
    return timed->kernel == TS_KERNEL_embed && buffer->type == TS_BUFFER_WEIGHT
               ? (double)field(timed, "rows") * field(timed, "cols")
               : (double)elements;
}

static ts_status fill_buffer(ts_bench_run *run, ts_gpu_arena *arena, struct timed *timed,
                             uint32_t b, uint64_t elements, ts_error *err)
{
    ts_status status = TS_OK;
    const ts_kernel_buffer *buffer = &ts_kernels[timed->kernel].buffers[b];
    ts_dtype dtype = buffer->type == TS_BUFFER_INDEX    ? TS_U32
                     : buffer->type == TS_BUFFER_WEIGHT ? TS_BF16
                                                        : TS_F32;
    unsigned char *bytes = NULL;
    size_t size = ts_dtype_bytes(dtype);
    TS_TRY(ts_gpu_alloc(arena, dtype, elements, &timed->dispatch.views[b], err));
    TS_TRY(ts_alloc(elements, size, &bytes, err));
    for (uint64_t i = 0; i < elements; i++) {
        // In (0, 1), so that it is valid as a norm, under a root and in a loss.
        float value = (float)(i % 1009 + 1) / 1010;
        uint16_t half = ts_f32_to_bf16(value);
        uint32_t index = dtype == TS_U32 ? index_value(timed, buffer->name, (uint32_t)i) : 0;
        memcpy(bytes + i * size,
               dtype == TS_F32    ? (const void *)&value
               : dtype == TS_BF16 ? (const void *)&half
                                  : (const void *)&index,
               size);
    }
    TS_TRY(ts_gpu_upload(run->gpu, timed->dispatch.views[b], bytes, elements * size, err));
out:
    free(bytes);
    return status;
}

// Whether a kernel that updates a buffer does not read it: what it does not write it leaves alone.
// (The others read old values only to accumulate.)
static bool writes_alone(ts_kernel kernel)
{
    return kernel == TS_KERNEL_scatter_rows || kernel == TS_KERNEL_embed;
}

static void count_work(const struct timed *timed, const uint64_t *elements, ts_bench_row *row)
{
    const ts_kernel_info *info = &ts_kernels[timed->kernel];
    for (uint32_t b = 0; info->buffers[b].name != NULL; b++) {
        ts_access access = info->buffers[b].access;
        uint32_t times = access == TS_READ_WRITE ? 2 : 1;
        if (writes_alone(timed->kernel) || field(timed, "accumulate") == 0) {
            times = 1;
        }
        row->bytes += times * touched(timed, &info->buffers[b], elements[b]) *
                      (double)ts_dtype_bytes(timed->dispatch.views[b].dtype);
    }
    double products = attention_products(timed->kernel);
    if (products > 0) {
        double half = timed->kernel == TS_KERNEL_attention_decode ? 1 : 0.5;
        double keys = timed->kernel == TS_KERNEL_attention_decode
                          ? (double)field(timed, "kv_rows") / field(timed, "rows")
                          : field(timed, "rows");
        row->flops = 2 * products * half * field(timed, "rows") * keys * field(timed, "heads") *
                     field(timed, "dim");
    } else {
        double each = operations[timed->kernel];
        row->flops = (each > 0 ? each : 1) * (double)elements[0];
    }
}

static ts_status time_kernel(ts_bench_run *run, ts_kernel kernel, ts_error *err)
{
    ts_status status = TS_OK;
    struct timed timed = {.kernel = kernel};
    const ts_gpu_caps *caps = ts_gpu_capabilities(run->gpu);
    ts_gpu_arena arena = {.gpu = run->gpu, .block_bytes = 1 << 20};
    uint64_t elements[TS_MAX_VIEWS] = {0}, groups[2];
    TS_TRY(ts_bench_shape(kernel, caps, ts_bench_precision(caps), &timed.dispatch, &timed.shader,
                          err));
    ts_kernel_sizes(kernel, &timed.dispatch, elements, groups);
    for (uint32_t b = 0; ts_kernels[kernel].buffers[b].name != NULL; b++) {
        TS_TRY(fill_buffer(run, &arena, &timed, b, ts_max_u64(elements[b], 1), err));
    }
    ts_bench_row *row = ts_bench_add_row(run, TS_BENCH_KERNEL, "%s", ts_kernels[kernel].name);
    count_work(&timed, elements, row);
    TS_TRY(ts_bench_time(run, record, &timed, row, err));
out:
    ts_gpu_arena_close(&arena);
    return status;
}

// ---- LoRA's own products, which are narrow and always in f32

struct thin {
    ts_product product;
    const char *name;
};

static void record_thin(ts_recorder *recorder, void *user)
{
    ts_matmul(recorder, &((const struct thin *)user)->product);
}

static ts_status time_thin(ts_bench_run *run, struct thin *thin, ts_error *err)
{
    ts_status status = TS_OK;
    ts_gpu_arena arena = {.gpu = run->gpu, .block_bytes = 1 << 20};
    ts_product *p = &thin->product;
    const uint64_t a = (uint64_t)p->m * p->k, b = (uint64_t)p->k * p->n, c = (uint64_t)p->m * p->n;
    TS_TRY(ts_gpu_alloc(&arena, TS_F32, a, &p->a, err));
    TS_TRY(ts_gpu_alloc(&arena, TS_F32, b, &p->b, err));
    TS_TRY(ts_gpu_alloc(&arena, TS_F32, c, &p->c, err));
    ts_recorder_copy(run->recorder, ts_view_slice(run->from, 0, a), p->a);
    ts_recorder_copy(run->recorder, ts_view_slice(run->from, 0, b), p->b);
    ts_recorder_zero(run->recorder, p->c);
    TS_TRY(ts_recorder_run(run->recorder, err));
    ts_bench_row *row = ts_bench_add_row(run, TS_BENCH_KERNEL, "gemm, %s", thin->name);
    row->flops = 2.0 * p->m * p->n * p->k;
    row->bytes = 4.0 * (double)(a + b + (p->accumulate ? 2 : 1) * c);
    TS_TRY(ts_bench_time(run, record_thin, thin, row, err));
out:
    ts_gpu_arena_close(&arena);
    return status;
}

// Whether `name` is in `list`, whose names are separated by commas. Without a list every name is.
static bool is_listed(const char *list, const char *name)
{
    size_t length = strlen(name);
    for (const char *at = list; at != NULL; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL) {
        if (strcspn(at, ",") == length && strncmp(at, name, length) == 0) {
            return true;
        }
    }
    return list == NULL;
}

ts_status ts_bench_kernels(ts_bench_run *run, ts_error *err)
{
    ts_status status = TS_OK;
    const char *list = run->params->kernel_names;
    const ts_gpu_caps *caps = ts_gpu_capabilities(run->gpu);
    const size_t before = run->result->count;
    struct thin thin[] = {
        {{TS_NT, 512, 8, 2048, .alpha = 1}, "t = x A^T"},
        {{TS_NN, 512, 8, 2048, .alpha = 1}, "dt = dy B"},
        {{TS_TN, 2048, 8, 512, .alpha = 1, .accumulate = true}, "dB += dy^T t"},
        {{TS_TN, 8, 2048, 512, .alpha = 1, .accumulate = true}, "dA += dt^T x"},
    };
    // Where they have kernels of their own, gemm does not compute them.
    const bool by_gemm = is_listed(list, "gemm") && !ts_lora_is_thin(caps, thin[0].product.n);
    for (size_t i = 0; i < TS_COUNT(thin) && by_gemm; i++) {
        ts_bench_report_progress(run, "gemm, %s", thin[i].name);
        TS_TRY(time_thin(run, &thin[i], err));
    }
    for (int kernel = 0; kernel < TS_KERNEL_COUNT; kernel++) {
        if (ts_bench_is_timed((ts_kernel)kernel, caps, ts_bench_precision(caps)) &&
            is_listed(list, ts_kernels[kernel].name)) {
            ts_bench_report_progress(run, "%s", ts_kernels[kernel].name);
            TS_TRY(time_kernel(run, (ts_kernel)kernel, err));
        }
    }
    if (run->result->count == before) {
        TS_FAIL(
            TS_ERR_ARGUMENT,
            "--kernel %s: nothing there is timed by itself; --only products times what multiplies",
            list);
    }
out:
    return status;
}
