#include "check/step_plan.h"

#include "base/memory.h"
#include "model/decode.h"
#include "ops/attention.h"
#include "ops/gemm.h"
#include "ops/lora.h"
#include "train/optimiser.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// ---- How often a dispatch's inner loop runs

// A scalar or a constant of a dispatch, by its name in kernels.def; 0 if the kernel has none.
static uint32_t field(const ts_dispatch *dispatch, ts_kernel kernel, const char *name)
{
    ts_dispatch *readable = (ts_dispatch *)(uintptr_t)dispatch;
    const uint32_t *place = ts_kernel_find_field(kernel, readable, name);
    return place != NULL ? *place : 0;
}

static void count(ts_step_part *part, uint64_t workgroups, uint64_t loops)
{
    part->loops += workgroups * loops;
    part->longest = ts_max_u64(part->longest, loops);
}

// Whether it is attention by tiles without matrix units.
static bool is_tiled(const ts_dispatch *dispatch, ts_kernel kernel)
{
    return ts_attention_has_tile(kernel) &&
           strcmp(dispatch->pipeline.name,
                  ts_kernels[kernel].shaders[ts_attention_tiled(kernel)].name) == 0;
}

// Rows that a workgroup of attention takes at each step of its walk.
static uint64_t stream_of(const ts_dispatch *dispatch, ts_kernel kernel)
{
    return is_tiled(dispatch, kernel) ? 4 * (uint64_t)field(dispatch, kernel, "split")
                                      : ts_max_u64(1, field(dispatch, kernel, "stream"));
}

// At each step attention by tiles walks along a head's quads and along quads of scores, of which
// TinyLlama's head of 64 has as many. How far these loops are unrolled:
// include/attention_tiles.glsl.
static uint64_t inner_of(const ts_dispatch *dispatch, ts_kernel kernel)
{
    enum { MOST_UNROLLED = 2048, TOGETHER = 8 };
    const uint64_t products = kernel == TS_KERNEL_attention              ? 2
                              : kernel == TS_KERNEL_attention_backward_q ? 3
                                                                         : 4;
    const uint64_t dim = field(dispatch, kernel, "dim");
    if (!is_tiled(dispatch, kernel)) {
        return 1;
    }
    if (field(dispatch, kernel, "held") == 0) {
        return dim / 4;
    }
    return products * field(dispatch, kernel, "per_lane") * 4 * dim <= MOST_UNROLLED
               ? 1
               : dim / 4 / TOGETHER;
}

// How the workgroups of attention walk: each takes `tile` neighbouring rows of its own and walks
// along the others, one by one or by tiles of `stream`.
struct walk {
    uint64_t kv_heads, rows, group, tile, stream;
};

static struct walk walk_of(const ts_dispatch *dispatch, ts_kernel kernel)
{
    const uint64_t lanes =
        (uint64_t)field(dispatch, kernel, "lanes") * field(dispatch, kernel, "per_lane");
    const uint32_t kv_heads = field(dispatch, kernel, "kv_heads");
    return (struct walk){.kv_heads = kv_heads,
                         .rows = field(dispatch, kernel, "rows"),
                         .group = field(dispatch, kernel, "heads") / kv_heads,
                         .tile = lanes > 0 ? lanes : field(dispatch, kernel, "own"),
                         .stream = stream_of(dispatch, kernel)};
}

// Of a causal sequence that is the whole batch: queries walk along the keys up to their last row's.
static void count_queries(ts_step_part *part, const ts_dispatch *dispatch, ts_kernel kernel)
{
    const struct walk w = walk_of(dispatch, kernel);
    const uint64_t queries = w.rows * w.group;
    for (uint64_t begin = 0; begin < queries; begin += w.tile) {
        const uint64_t last = (ts_min_u64(begin + w.tile, queries) - 1) / w.group;
        count(part, w.kv_heads, ts_ceil_div(last + 1, w.stream));
    }
}

// Keys walk along the queries of a part, from their first row's on.
static void count_keys(ts_step_part *part, const ts_dispatch *dispatch, ts_kernel kernel)
{
    const struct walk w = walk_of(dispatch, kernel);
    const uint64_t parts = field(dispatch, kernel, "parts"), queries = w.rows * w.group;
    for (uint64_t i = 0; i < parts * ts_ceil_div(w.rows, w.tile); i++) {
        const uint64_t part_from = queries / parts * (i % parts);
        const uint64_t from = ts_max_u64(i / parts * w.tile * w.group, part_from);
        const uint64_t behind = i % parts + 1 < parts ? part_from + queries / parts : queries;
        count(part, w.kv_heads, from < behind ? ts_ceil_div(behind - from, w.stream) : 0);
    }
}

static uint32_t invocations_of(const ts_dispatch *dispatch, ts_kernel kernel)
{
    static const char *const names[] = {"local_size", "threads", "row_threads"};
    for (size_t i = 0; i < TS_COUNT(names); i++) {
        const uint32_t size = field(dispatch, kernel, names[i]);
        if (size > 0) {
            return size;
        }
    }
    // The others name their size in the shader.
    return kernel == TS_KERNEL_attention_decode || kernel == TS_KERNEL_lora_products ? 64 : 128;
}

// How far a workgroup of a product gets along k in a step. Only gemv has no such constant: its
// invocations take eight elements each.
static uint32_t step_of(const ts_dispatch *dispatch, ts_kernel kernel)
{
    enum { OCTET = 8 };
    const uint32_t step = field(dispatch, kernel, "k_step");
    return step > 0 ? step : OCTET * field(dispatch, kernel, "local_size");
}

// A number of pair p of a group of LoRA pairs.
static uint64_t of_pair(const ts_dispatch *dispatch, ts_kernel kernel, const char *name, int p)
{
    char full[16];
    snprintf(full, sizeof full, "%s_%d", name, p);
    return field(dispatch, kernel, full);
}

// Each workgroup of `lora_products` has four columns and eight rows of one pair's product, and gets
// 256 elements along its k in a step.
static void count_thin(ts_step_part *part, const ts_dispatch *dispatch)
{
    enum { COLUMNS = 4, ROWS = 8, STEP = 256 };
    const ts_kernel kernel = TS_KERNEL_lora_products;
    const uint64_t tall = ts_ceil_div(field(dispatch, kernel, "rows"), ROWS);
    for (int p = 0; p < TS_MOST_TOGETHER; p++) {
        count(part, tall * ts_ceil_div(of_pair(dispatch, kernel, "rank", p), COLUMNS),
              ts_ceil_div(of_pair(dispatch, kernel, "k", p), STEP));
    }
}

static void count_loops(ts_step_part *part, const ts_dispatch *dispatch, ts_kernel kernel,
                        uint64_t workgroups)
{
    enum { QUAD = 4, OCTET = 8 };
    const uint64_t threads = field(dispatch, kernel, "threads");
    switch (kernel) {
    case TS_KERNEL_gemm:
    case TS_KERNEL_gemm_rounded:
        count(part, workgroups,
              ts_ceil_div(field(dispatch, kernel, "k"),
                          step_of(dispatch, kernel) *
                              ts_max_u64(1, field(dispatch, kernel, "split"))));
        break;
    case TS_KERNEL_attention:
    case TS_KERNEL_attention_rounded:
    case TS_KERNEL_attention_backward_q:
    case TS_KERNEL_attention_backward_q_rounded:
        count_queries(part, dispatch, kernel);
        break;
    case TS_KERNEL_attention_backward_kv:
    case TS_KERNEL_attention_backward_kv_rounded:
        count_keys(part, dispatch, kernel);
        break;
    case TS_KERNEL_cross_entropy:
        count(part, workgroups, ts_ceil_div(field(dispatch, kernel, "vocab"), threads * OCTET));
        break;
    case TS_KERNEL_lora_products:
        count_thin(part, dispatch);
        break;
    case TS_KERNEL_lora_gradients: // 16 lines of four rows each
        count(part, workgroups, ts_ceil_div(field(dispatch, kernel, "rows"), 64));
        break;
    case TS_KERNEL_absmax:
    case TS_KERNEL_sum_squares:
        count(part, workgroups,
              ts_ceil_div(field(dispatch, kernel, "count"), TS_SQUARE_PIECES * threads * QUAD));
        break;
    default:
        count(part, workgroups, 1);
    }
}

// ---- The step

// Of a group of LoRA pairs, whose views hold what lies between its matrices, too.
static uint64_t bytes_of_pairs(const ts_dispatch *dispatch, ts_kernel kernel)
{
    const bool gradients = kernel == TS_KERNEL_lora_gradients;
    const uint64_t act = ts_dtype_bytes(dispatch->views[0].dtype), real = sizeof(float);
    const uint64_t rows = field(dispatch, kernel, "rows"), in = field(dispatch, kernel, "in_size");
    const bool one_a = !gradients && field(dispatch, kernel, "layout") == TS_NT;
    uint64_t bytes = gradients ? rows * in * ts_dtype_bytes(dispatch->views[2].dtype) : 0;
    for (int p = 0; p < TS_MOST_TOGETHER; p++) {
        const uint64_t rank = of_pair(dispatch, kernel, "rank", p);
        const uint64_t wide = of_pair(dispatch, kernel, gradients ? "out_size" : "k", p);
        bytes += one_a && p > 0 ? 0 : rows * wide * act; // a, or dy
        bytes += gradients ? 2 * rows * rank * real + 2 * rank * (in + wide) * real
                           : (wide + rows) * rank * real;
    }
    return bytes;
}

// Bytes that a dispatch reads and writes, each element once. A result that is not added to what was
// there is not read, and a buffer of one element is only there because its binding needs one.
static uint64_t bytes_of(const ts_dispatch *dispatch, ts_kernel kernel)
{
    const uint32_t *adds =
        ts_kernel_find_field(kernel, (ts_dispatch *)(uintptr_t)dispatch, "accumulate");
    const bool reads_result = adds == NULL || *adds != 0;
    ts_dispatch copy = *dispatch;
    uint64_t elements[TS_MAX_VIEWS] = {0}, groups[2], bytes = 0;
    if (kernel == TS_KERNEL_lora_products || kernel == TS_KERNEL_lora_gradients) {
        return bytes_of_pairs(dispatch, kernel);
    }
    ts_kernel_sizes(kernel, &copy, elements, groups);
    for (uint32_t i = 0; i < dispatch->view_count; i++) {
        const uint64_t once = ts_dtype_size(dispatch->views[i].dtype, elements[i]);
        bytes += dispatch->access[i] == TS_READ_WRITE && reads_result ? 2 * once : once;
    }
    return bytes;
}

struct planner {
    ts_step_plan *plan;
    ts_error failure; // the first
};

static void see(void *context, size_t pipeline, const ts_dispatch *dispatch)
{
    struct planner *planner = context;
    ts_step_plan *plan = planner->plan;
    const ts_kernel kernel = ts_kernel_of(dispatch->pipeline.name);
    if (planner->failure.code != TS_OK ||
        ts_grow(&plan->parts, &plan->capacity, pipeline + 1, sizeof *plan->parts,
                &planner->failure) != TS_OK) {
        return;
    }
    while (plan->count <= pipeline) {
        plan->parts[plan->count++] = (ts_step_part){0};
    }
    ts_step_part *part = &plan->parts[pipeline];
    const uint64_t workgroups =
        (uint64_t)dispatch->groups[0] * dispatch->groups[1] * dispatch->groups[2];
    part->dispatches++;
    part->workgroups += workgroups;
    part->invocations = invocations_of(dispatch, kernel);
    ts_step_part one = {0};
    count_loops(&one, dispatch, kernel, workgroups);
    part->loops += one.loops;
    part->serial += one.longest;
    part->inner = inner_of(dispatch, kernel);
    part->longest = ts_max_u64(part->longest, one.longest);
    part->bytes += bytes_of(dispatch, kernel);
}

static ts_status step(ts_model *model, ts_batch *batch, uint32_t tokens, uint64_t *barriers,
                      ts_error *err)
{
    static const ts_adamw_params adamw = {0.9, 0.999, 1e-8, 0, 1};
    ts_status status = TS_OK;
    ts_pass pass = {0};
    ts_optimiser optimiser = {0};
    double sum, norm;
    const ts_pass_limits limits = {.rows = tokens,
                                   .loss_rows = tokens,
                                   .training = true,
                                   .many_logits = !ts_gpu_is_cpu(ts_gpu_capabilities(model->gpu))};
    TS_TRY(ts_pass_open(model, limits, &pass, err));
    TS_TRY(ts_optimiser_open(&pass, &optimiser, err));
    TS_TRY(ts_pass_gradients(&pass, batch, 1, 0, &sum, err));
    TS_TRY(ts_optimiser_step(&optimiser, &adamw, 1e-5, 1, &norm, err));
    *barriers = ts_recorder_statistics(pass.recorder).barriers;
out:
    ts_optimiser_close(&optimiser);
    ts_pass_close(&pass);
    return status;
}

static ts_status add_row(ts_batch *batch, uint32_t tokens, ts_error *err)
{
    ts_status status = TS_OK;
    uint32_t *ids = NULL;
    uint8_t *supervised = NULL;
    TS_TRY(ts_alloc(tokens, sizeof *ids, &ids, err));
    TS_TRY(ts_alloc(tokens, sizeof *supervised, &supervised, err));
    memset(supervised, 1, tokens);
    TS_TRY(ts_batch_add(batch, ids, tokens, supervised, err));
out:
    free(ids);
    free(supervised);
    return status;
}

ts_status ts_step_plan_make(ts_gpu *gpu, ts_precision precision, uint32_t tokens, ts_step_plan *out,
                            ts_error *err)
{
    ts_status status = TS_OK;
    ts_model model = {0};
    ts_batch batch = {0};
    struct planner planner = {.plan = out};
    const ts_adapter_config adapter = {
        .r = 8, .alpha = 16, .targets = TS_MODULE_BIT(TS_MODULE_Q) | TS_MODULE_BIT(TS_MODULE_V)};
    const ts_model_params params = {.config = &ts_model_config_tinyllama,
                                    .random_dtype = TS_BF16,
                                    .positions = tokens,
                                    .precision = precision};
    *out = (ts_step_plan){0};
    TS_TRY(ts_model_open(gpu, &params, &model, err));
    TS_TRY(ts_model_add_lora(&model, &adapter, 42, err));
    TS_TRY(add_row(&batch, tokens, err));
    ts_gpu_watch(gpu, see, &planner);
    TS_TRY(step(&model, &batch, tokens, &out->barriers, err));
    if (planner.failure.code != TS_OK) {
        *err = planner.failure;
        status = err->code;
    }
out:
    ts_gpu_watch(gpu, NULL, NULL);
    ts_batch_free(&batch);
    ts_model_close(&model);
    return status;
}

void ts_step_plan_free(ts_step_plan *plan)
{
    free(plan->parts);
    *plan = (ts_step_plan){0};
}
