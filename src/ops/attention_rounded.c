// Attention with rounded operands, on matrix units or without: when, and with which tiles.
#include "base/memory.h"
#include "ops/attention.h"

bool ts_attention_is_rounded(ts_kernel kernel)
{
    return kernel == TS_KERNEL_attention_rounded ||
           kernel == TS_KERNEL_attention_backward_q_rounded ||
           kernel == TS_KERNEL_attention_backward_kv_rounded;
}

// The shaders of each of the three rows.
enum { ON_F16, ON_BF16, BY_DOTS, WIDENED, NO_SHADER };

bool ts_attention_on_units(uint32_t shader)
{
    return shader == ON_F16 || shader == ON_BF16;
}

// Tiles of one of the three kernels, in 16-byte octets of shared memory, and what it keeps of the
// own tile: how many operands there are by rows, of the stream by rows and by columns, and scores
// and sums.
struct needs {
    uint32_t own, rows, columns, scores, sums;
};

static struct needs needs_of(ts_kernel kernel)
{
    switch (kernel) {
    case TS_KERNEL_attention_rounded: // queries; keys; values; scores; o
        return (struct needs){1, 1, 1, 1, 1};
    case TS_KERNEL_attention_backward_q_rounded: // queries, dout; keys, values; keys; scores,
                                                 // slopes; dq
        return (struct needs){2, 2, 1, 1, 1};
    default: // keys, values; queries, dout, twice; scores, slopes; dk, dv
        return (struct needs){2, 2, 2, 2, 2};
    }
}

// Shared memory of a workgroup, as shaders/include/attention_rounded.glsl lays it out.
static uint64_t shared_bytes(ts_kernel kernel, uint32_t dim, const ts_attention_rounded_choice *c)
{
    const struct needs n = needs_of(kernel);
    const uint64_t own = (uint64_t)n.own * c->own * (dim / 8 + 1),
                   loop = (c->held ? 0 : own) + (uint64_t)n.rows * c->stream * (dim / 8 + 1) +
                          (uint64_t)n.columns * dim * (c->stream / 8 + 1) +
                          (uint64_t)n.scores * c->own * (c->stream / 4 + 1),
                   result = (uint64_t)c->own * (dim / 4 + 1);
    const uint64_t rows_and_flags = 4 * (2 * (uint64_t)ts_max_u64(c->own, c->stream) + 16);
    return 16 * ts_max_u64(loop, ts_max_u64(own, result)) + rows_and_flags;
}

// Estimates how many 32-bit registers an invocation needs: for its sums, its scores, the own tile's
// operands where they are held, those that are multiplied, and addresses.
static uint64_t registers(const ts_gpu_caps *caps, ts_kernel kernel, uint32_t dim,
                          const ts_attention_rounded_choice *c)
{
    const struct needs n = needs_of(kernel);
    const uint64_t lanes = ts_attention_on_units(c->shader) ? caps->full_subgroup : 1,
                   part = c->own / c->bands, columns = c->local_size / lanes / c->bands;
    const uint64_t scores = kernel == TS_KERNEL_attention_rounded ? 1 : 2;
    const uint64_t sums = n.sums * part * dim / columns / lanes;
    const uint64_t held = c->held ? n.own * part * dim / 2 / lanes : 0;
    // AMD's matrix units of RDNA 3 want each operand twice in a subgroup of 32, four times in one
    // of 64.
    return sums + scores * part * c->matrix_n / lanes + held * (lanes > 32 ? 4 : 1) +
           (part + c->matrix_n) * c->matrix_k / 2 / lanes +
           (lanes > 32   ? 84
            : lanes > 16 ? 60
                         : 52);
}

static bool fits(const ts_gpu_caps *caps, ts_kernel kernel, uint32_t dim,
                 const ts_attention_rounded_choice *c)
{
    const bool units = ts_attention_on_units(c->shader);
    const uint32_t subgroups = c->local_size / caps->full_subgroup;
    const uint32_t columns = (units ? subgroups : c->local_size) / c->bands;
    const uint32_t lanes_per_row = c->local_size / c->own;
    // With few lanes to a subgroup (Intel) the loop of dq is long; this keeps its code below 64
    // KiB, and with fewer columns of subgroups more scores do not leave registers for the sums.
    if (kernel == TS_KERNEL_attention_backward_q_rounded && caps->registers > 0 &&
        caps->registers <= 128 && c->stream / columns / c->matrix_n > 1 && columns < 4) {
        return false;
    }
    return c->own % (c->bands * c->matrix_m) == 0 && c->local_size % caps->full_subgroup == 0 &&
           c->local_size % c->own == 0 && c->stream % (columns * c->matrix_n) == 0 &&
           dim % (columns * c->matrix_n) == 0 && c->stream % c->matrix_k == 0 &&
           dim % c->matrix_k == 0 && dim % 8 == 0 && lanes_per_row <= caps->full_subgroup &&
           lanes_per_row <= 32 && (lanes_per_row & (lanes_per_row - 1)) == 0 &&
           c->stream / lanes_per_row % 8 == 0 && c->local_size <= caps->max_invocations &&
           subgroups <= caps->max_subgroups && shared_bytes(kernel, dim, c) <= caps->shared_bytes &&
           (caps->registers == 0 || registers(caps, kernel, dim, c) <= caps->registers);
}

static uint32_t shader_of(const ts_gpu_caps *caps, ts_kernel kernel, ts_precision precision)
{
    static const uint32_t orders[][3] = {{NO_SHADER, NO_SHADER, NO_SHADER},
                                         [TS_PRECISION_F16] = {ON_F16, BY_DOTS, WIDENED},
                                         [TS_PRECISION_BF16] = {ON_BF16, NO_SHADER, NO_SHADER}};
    for (size_t i = 0; i < TS_COUNT(orders[precision]); i++) {
        const uint32_t shader = orders[precision][i];
        if (shader != NO_SHADER && ts_kernel_suits(caps, kernel, shader) &&
            (ts_attention_on_units(shader) ? caps->has_matrix_attention : caps->f16_pairs)) {
            return shader;
        }
    }
    return NO_SHADER;
}

// What a unit multiplies at a time: a matrix of a subgroup, or a row of an invocation.
static ts_matrix_shape matrix_of(const ts_gpu_caps *caps, uint32_t shader)
{
    const ts_matrix_shape row = {1, 4, 8};
    return shader == ON_F16 ? caps->matrix_f16 : shader == ON_BF16 ? caps->matrix_bf16 : row;
}

bool ts_attention_rounded_choose(const ts_gpu_caps *caps, ts_precision precision, ts_kernel kernel,
                                 uint32_t queries, uint32_t dim, ts_attention_rounded_choice *out)
{
    // {rows of the own tile, of a stream's tile, a subgroup's matrices one below the other, columns
    // of subgroups, held}, the best first. A large own tile reads the stream least often, but a GPU
    // must be filled. A CPU driver takes long to compile one.
    enum { LARGE = 128, ENOUGH_TILES = 512 };
    static const uint32_t of_units[][5] = {{128, 32, 2, 1, 1}, {64, 32, 1, 1, 1}, {64, 32, 1, 1, 0},
                                           {64, 32, 1, 2, 0},  {32, 64, 1, 4, 0}, {64, 16, 1, 1, 1},
                                           {64, 16, 1, 1, 0},  {64, 16, 1, 2, 0}, {64, 32, 1, 4, 0},
                                           {32, 32, 1, 1, 1},  {32, 32, 1, 1, 0}, {32, 32, 1, 2, 0},
                                           {32, 32, 1, 4, 0},  {32, 16, 1, 1, 1}, {32, 16, 1, 1, 0},
                                           {32, 16, 1, 2, 0},  {16, 16, 1, 1, 0}};
    // Of invocations: rows and columns in place of matrices and subgroups.
    static const uint32_t of_lanes[][5] = {
        {64, 32, 4, 8, 0}, {32, 32, 4, 8, 0}, {32, 16, 2, 4, 0}, {16, 16, 2, 4, 0}};
    const uint32_t shader = shader_of(caps, kernel, precision);
    const bool units = ts_attention_on_units(shader);
    const uint32_t(*const tiles)[5] = units ? of_units : of_lanes;
    const size_t count = units ? TS_COUNT(of_units) : TS_COUNT(of_lanes);
    const ts_matrix_shape matrix = matrix_of(caps, shader);
    // Small heads have little to multiply, and of odd ones a compiler with few registers keeps some
    // in memory.
    if (dim < 32 || (caps->registers > 0 && caps->registers <= 128 && dim != 64 && dim != 128)) {
        return false;
    }
    for (size_t i = ts_gpu_is_cpu(caps) ? count - 1 : 0; shader != NO_SHADER && i < count; i++) {
        const uint32_t *tile = tiles[i], bands = tile[0] / (tile[2] * matrix.m);
        const uint32_t lanes = units ? caps->full_subgroup : 1;
        const ts_attention_rounded_choice choice = {.shader = shader,
                                                    .subgroup_size = caps->full_subgroup,
                                                    .local_size = bands * tile[3] * lanes,
                                                    .own = tile[0],
                                                    .stream = tile[1],
                                                    .bands = bands,
                                                    .matrix_m = matrix.m,
                                                    .matrix_n = matrix.n,
                                                    .matrix_k = matrix.k,
                                                    .held = tile[4]};
        const bool fills = tile[0] < LARGE || queries / tile[0] >= ENOUGH_TILES;
        if (bands > 0 && fills && fits(caps, kernel, dim, &choice)) {
            *out = choice;
            return true;
        }
    }
    return false;
}

uint32_t ts_attention_rounded_tiles(const ts_gpu_caps *caps, ts_precision precision,
                                    ts_kernel kernel, uint32_t dim,
                                    ts_attention_rounded_choice out[TS_ATTENTION_TILES])
{
    static const uint32_t queries[TS_ATTENTION_TILES] = {0, UINT32_MAX};
    uint32_t count = 0;
    for (size_t i = 0; i < TS_COUNT(queries); i++) {
        if (ts_attention_rounded_choose(caps, precision, kernel, queries[i], dim, &out[count]) &&
            (count == 0 || out[1].own != out[0].own)) {
            count++;
        }
    }
    return count;
}

// With fewer rows most of a tile is empty.
static bool is_worth_it(uint32_t rows, uint32_t heads, uint32_t kv_heads)
{
    return rows >= 16 && rows * (heads / kv_heads) >= 32;
}

#define TILE(choice)                                                                               \
    .subgroup_size = (choice).subgroup_size, .local_size = (choice).local_size,                    \
    .own = (choice).own, .stream = (choice).stream, .bands = (choice).bands,                       \
    .matrix_m = (choice).matrix_m, .matrix_n = (choice).matrix_n, .matrix_k = (choice).matrix_k,   \
    .held = (choice).held, .shader = (choice).shader

// Chooses for the sizes in `args`, those of any of the three vector kernels.
#define CHOSEN(recorder, precision, kernel, args, choice)                                          \
    (is_worth_it((args)->rows, (args)->heads, (args)->kv_heads) &&                                 \
     ts_attention_rounded_choose(ts_gpu_capabilities(ts_recorder_gpu(recorder)), precision,        \
                                 kernel, (args)->rows * (args)->heads, (args)->dim, choice))

// Whether the kernel's shader was built, and so has done the work.
static bool done(ts_recorder *recorder, ts_kernel kernel, const ts_attention_rounded_choice *choice)
{
    return !ts_recorder_leaves_out(recorder, ts_kernels[kernel].shaders[choice->shader].name);
}

void ts_attend_rounded(ts_recorder *recorder, ts_precision precision,
                       struct ts_attention_args *args)
{
    const ts_kernel kernel = TS_KERNEL_attention_rounded;
    ts_attention_rounded_choice choice;
    if (CHOSEN(recorder, precision, kernel, args, &choice)) {
        ts_attention_rounded(recorder,
                             &(struct ts_attention_rounded_args){.q = args->q,
                                                                 .k = args->k,
                                                                 .v = args->v,
                                                                 .first = args->first,
                                                                 .last = args->last,
                                                                 .o = args->o,
                                                                 .lse = args->lse,
                                                                 .rows = args->rows,
                                                                 .kv_rows = args->kv_rows,
                                                                 .heads = args->heads,
                                                                 .kv_heads = args->kv_heads,
                                                                 .scale = args->scale,
                                                                 .dim = args->dim,
                                                                 TILE(choice)});
        if (done(recorder, kernel, &choice)) {
            return;
        }
    }
    ts_attend(recorder, args);
}

void ts_attend_backward_q_rounded(ts_recorder *recorder, ts_precision precision,
                                  struct ts_attention_backward_q_args *args)
{
    const ts_kernel kernel = TS_KERNEL_attention_backward_q_rounded;
    ts_attention_rounded_choice choice;
    if (CHOSEN(recorder, precision, kernel, args, &choice)) {
        ts_attention_backward_q_rounded(
            recorder, &(struct ts_attention_backward_q_rounded_args){.q = args->q,
                                                                     .k = args->k,
                                                                     .v = args->v,
                                                                     .dout = args->dout,
                                                                     .lse = args->lse,
                                                                     .o = args->o,
                                                                     .first = args->first,
                                                                     .dq = args->dq,
                                                                     .delta = args->delta,
                                                                     .rows = args->rows,
                                                                     .heads = args->heads,
                                                                     .kv_heads = args->kv_heads,
                                                                     .scale = args->scale,
                                                                     .dim = args->dim,
                                                                     TILE(choice)});
        if (done(recorder, kernel, &choice)) {
            return;
        }
    }
    ts_attend_backward_q(recorder, args);
}

void ts_attend_backward_kv_rounded(ts_recorder *recorder, ts_precision precision,
                                   struct ts_attention_backward_kv_args *args, ts_view scratch)
{
    const ts_kernel kernel = TS_KERNEL_attention_backward_kv_rounded;
    ts_attention_rounded_choice choice;
    if (CHOSEN(recorder, precision, kernel, args, &choice)) {
        struct ts_attention_backward_kv_args divided = *args;
        // A step is of a whole tile of queries, so half as many parts suffice.
        ts_attention_divide(&divided, scratch, 2);
        ts_attention_backward_kv_rounded(
            recorder, &(struct ts_attention_backward_kv_rounded_args){.q = args->q,
                                                                      .k = args->k,
                                                                      .v = args->v,
                                                                      .dout = args->dout,
                                                                      .lse = args->lse,
                                                                      .delta = args->delta,
                                                                      .end = args->end,
                                                                      .dk = divided.dk,
                                                                      .dv = divided.dv,
                                                                      .rows = args->rows,
                                                                      .heads = args->heads,
                                                                      .kv_heads = args->kv_heads,
                                                                      .scale = args->scale,
                                                                      .parts = divided.parts,
                                                                      .dim = args->dim,
                                                                      TILE(choice)});
        if (done(recorder, kernel, &choice)) {
            *args = divided;
            return;
        }
    }
    ts_attend_backward_kv(recorder, args, scratch);
}
