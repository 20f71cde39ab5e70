// Draws awkward shapes for trials.
#include "ops/trial.h"

#include "base/memory.h"
#include "ops/attention.h"

#include <assert.h>
#include <string.h>

// Draws a value for the U32 scalar or constant called `name`.
static uint32_t scalar_value(const char *name, uint32_t *state)
{
    static const struct {
        const char *name;
        uint32_t values[8];
    } lists[] = {
        {"rows", {1, 2, 3, 17, 63, 65, 100, 129}},
        {"cols", {1, 3, 64, 65, 127, 129, 500, 1003}},
        {"vocab", {2, 5, 127, 129, 320, 1003, 2048, 4099}},
        {"count", {1, 2, 255, 256, 257, 1003, 4096, 70001}},
        {"heads", {1, 2, 3, 4, 4, 6, 8, 12}},
        {"parts", {1, 2, 1, 3, 8, 1, 2, 5}},
        {"dim", {16, 20, 32, 36, 64, 80, 96, 128}},
        {"m", {1, 2, 5, 31, 33, 64, 65, 130}},
        {"n", {1, 3, 8, 31, 64, 65, 172, 257}},
        {"k", {1, 2, 5, 8, 16, 43, 64, 259}},
        {"extra_k", {1, 7, 8, 64, 0, 0, 3, 16}},
        {"source_rows", {1, 2, 3, 7, 64, 65, 200, 300}},
        {"positions", {1, 2, 3, 7, 64, 65, 200, 300}},
        {"gradient", {0, 1, 1, 1, 1, 1, 1, 1}},
        {"accumulate", {0, 1, 0, 1, 0, 1, 0, 1}},
        {"epilogue", {0, 1, 2, 3, 1, 2, 0, 3}},
        {"finds_largest", {0, 1, 0, 1, 0, 1, 0, 1}},
        {"added", {0, 0, 0, 0, 0, 1, 2, 2}},
        {"gelu", {0, 1, 0, 1, 0, 1, 0, 1}},
        {"smoothed", {0, 1, 0, 1, 0, 1, 0, 1}},
        {"in_size", {1, 3, 8, 31, 64, 65, 172, 257}},
        {"normed", {0, 1, 0, 1, 0, 1, 0, 1}},
        {"rotated", {1, 0, 1, 1, 1, 0, 1, 1}},
        {"partial", {0, 1, 0, 1, 0, 1, 0, 1}},
        {"first_id", {0, 1, 2, 3, 0, 50, 100, 1}},
        {"tile", {4, 12, 16, 12, 16, 8, 16, 32}},
        {"layout", {0, 1, 2, 0, 1, 2, 0, 1}},
        {"threads", {0, 0, 0, 64, 64, 128, 128, 0}}, // 0: chosen for the device
        {"row_threads", {0, 0, 0, 64, 64, 128, 128, 0}},
        {"seed_low", {0, 1, 42, 43, 44, 45, 46, 0xFFFFFFFF}},
        {"seed_high", {0, 1, 0, 0, 0, 0, 0, 0xFFFFFFFF}},
        {"stream", {0, 1, 2, 3, 4, 5, 6, 7}},
        {"rank", {1, 2, 3, 4, 5, 8, 16, 7}},
        {"drop", {0, 1, 0x1000, 0x8000, 0x1999, 0x4000, 0xF000, 0xFFFF}},
    };
    for (size_t i = 0; i < TS_COUNT(lists); i++) {
        if (ts_trial_same(lists[i].name, name)) {
            return lists[i].values[ts_trial_pick(state, 8)];
        }
    }
    return TS_TRIAL_UNSET; // one that depends on others: settle() or the row itself sets it
}

static float float_value(const char *name, uint32_t *state)
{
    if (ts_trial_same(name, "eps")) {
        return 1e-5f;
    }
    if (ts_trial_same(name, "max_norm")) {
        return (float)ts_trial_pick(state, 3) * 10;
    }
    if (ts_trial_same(name, "beta1") || ts_trial_same(name, "beta2")) {
        return 0.9f;
    }
    if (ts_trial_same(name, "rest1") || ts_trial_same(name, "rest2")) {
        return 0.1f;
    }
    if (ts_trial_same(name, "step") || ts_trial_same(name, "decay")) {
        return 0.01f;
    }
    return 0.5f;
}

uint32_t *ts_trial_field(ts_trial *trial, const char *name)
{
    return ts_kernel_find_field(trial->kernel, &trial->dispatch, name);
}

uint32_t ts_trial_buffer(const ts_trial *trial, const char *name)
{
    uint32_t b = 0;
    while (!ts_trial_same(ts_kernels[trial->kernel].buffers[b].name, name)) {
        b++;
    }
    return b;
}

static uint32_t needs_of(const ts_trial *trial)
{
    return ts_kernels[trial->kernel].shaders[trial->shader].needs;
}

double ts_trial_tolerance(ts_kernel kernel, uint32_t shader)
{
    const double tolerance = ts_kernels[kernel].tolerance;
    // bf16 has three bits of precision fewer than f16
    return ts_kernels[kernel].shaders[shader].needs & TS_NEEDS_BF16_MATRICES ? 8 * tolerance
                                                                             : tolerance;
}

static void choose_gemm_rounded(const ts_gpu_caps *caps, ts_layout layout, ts_trial *trial)
{
    const uint32_t *push = trial->dispatch.push;
    struct ts_gemm_rounded_args args = {.a.dtype = trial->act[0],
                                        .b.dtype = trial->stored,
                                        .m = push[0],
                                        .n = push[1],
                                        .k = push[2],
                                        .lda = push[3],
                                        .ldb = push[4],
                                        .ldc = push[5],
                                        .extra = push[8] > 0};
    if (!ts_gemm_rounded_choose(caps, trial->shader, layout, &args)) {
        return; // the fields stay unset, and ts_trial_check_set names them
    }
    const uint32_t chosen[] = {args.layout,   args.aligned,  args.local_size,    args.tile_m,
                               args.tile_n,   args.k_step,   args.rows,          args.matrix_m,
                               args.matrix_n, args.matrix_k, args.subgroup_size, args.scaled,
                               args.extra,    args.whole};
    memcpy(trial->dispatch.pipeline.constants + 1, chosen, sizeof chosen);
    *ts_trial_field(trial, "buffers") = args.buffers;
    *ts_trial_field(trial, "split") = 0; // a trial's buffers are full of anything
}

void ts_trial_choose(const ts_gpu_caps *caps, ts_layout layout, ts_trial *trial)
{
    const uint32_t *push = trial->dispatch.push;
    if (trial->kernel == TS_KERNEL_gemm_rounded) {
        choose_gemm_rounded(caps, layout, trial);
        return;
    }
    if (trial->kernel == TS_KERNEL_gemm_packed) {
        *ts_trial_field(trial, "layout") = layout;
        *ts_trial_field(trial, "local_size") = caps->subgroup_size;
        *ts_trial_field(trial, "tile") = ts_gemm_packed_rows(caps, layout);
        return;
    }
    struct ts_gemm_args args = {.b.dtype = trial->stored,
                                .m = push[0],
                                .n = push[1],
                                .k = push[2],
                                .lda = push[3],
                                .ldb = push[4],
                                .ldc = push[5]};
    ts_gemm_choose(caps, layout, &args);
    args.extra = push[8] > 0; // trials without a pair have no memory for one
    const uint32_t chosen[] = {args.layout, args.aligned, args.local_size, args.tile_m, args.part_n,
                               args.k_step, args.rows,    args.columns,    args.tile_n, args.extra};
    memcpy(trial->dispatch.pipeline.constants + 1, chosen, sizeof chosen);
    *ts_trial_field(trial, "subgroup_size") = args.subgroup_size;
    *ts_trial_field(trial, "split") = 0;
    trial->shader = args.shader;
}

static bool is_for_few(const ts_trial *trial)
{
    return trial->kernel == TS_KERNEL_gemm &&
           (trial->shader == TS_SHADER_gemv || trial->shader == TS_SHADER_gemv_simd);
}

// Marks a shader of gemm as left out in `caps`.
static void leave_out(ts_gpu_caps *caps, uint32_t shader)
{
    ts_gpu_caps_leave_out(caps, ts_kernels[TS_KERNEL_gemm].shaders[shader].name);
}

// Whether an activation is stored in 16 bits.
static bool has_halves(const ts_trial *trial)
{
    for (size_t b = 0; b < TS_COUNT(trial->act); b++) {
        if (trial->act[b] != TS_F32) {
            return true;
        }
    }
    return false;
}

// Draws the types of activations: half of the time all are f32. In 16 bits a row must be a multiple
// of 8 elements.
static void settle_activations(ts_trial *trial, uint32_t *state)
{
    static const char *const sizes[] = {"count", "cols", "m", "n", "k", "dim", "in_size"};
    static const ts_dtype types[] = {TS_F32, TS_F16, TS_BF16};
    const ts_kernel_buffer *buffers = ts_kernels[trial->kernel].buffers;
    bool halves = ts_trial_pick(state, 2) != 0;
    for (uint32_t b = 0; buffers[b].name != NULL && halves; b++) {
        if (buffers[b].type == TS_BUFFER_ACT) {
            trial->act[b] = types[ts_trial_pick(state, TS_COUNT(types))];
        }
    }
    for (size_t i = 0; i < TS_COUNT(sizes) && has_halves(trial); i++) {
        uint32_t *place = ts_trial_field(trial, sizes[i]);
        if (place != NULL) {
            *place = (uint32_t)ts_align_up(*place, 8);
        }
    }
}

// Makes a product one of few rows whose k is long enough to be shared, so that the shader under
// test is chosen for it.
static void settle_few(const ts_gpu_caps *asked, ts_trial *trial, uint32_t *gap, uint32_t *state)
{
    uint32_t *push = trial->dispatch.push;
    push[0] = 1 + push[0] % (ts_gpu_is_simd(asked) ? 2 : 8);
    push[2] += 512;
    if (ts_trial_pick(state, 2) != 0) { // gemv_simd reads such rows by spans
        push[2] = (uint32_t)ts_align_up(push[2], 64), *gap = 0;
    }
}

// Makes some products in NN a sum of two or three, with steps between what lies in memory of each;
// the others have one term.
static void settle_terms(ts_trial *trial, ts_layout layout, uint32_t *state)
{
    enum { STEP = 32, GAP = 64 };
    uint32_t *push = trial->dispatch.push, *added = ts_trial_field(trial, "added");
    static const char *const names[] = {"term_1",    "term_2",    "a_1",       "a_2",
                                        "b_1",       "b_2",       "extra_k_1", "extra_k_2",
                                        "extra_a_1", "extra_a_2", "extra_b_1", "extra_b_2"};
    if (added == NULL) {
        return;
    }
    const bool able = trial->kernel == TS_KERNEL_gemm_rounded || ts_gemm_is_vec(trial->shader);
    if (!able || layout != TS_NN || ts_dtype_block(trial->stored) > 1) {
        *added = 0;
    }
    const uint32_t first = STEP * (1 + ts_trial_pick(state, 3)), last = STEP;
    const uint32_t second = *added > 1 ? STEP * (1 + ts_trial_pick(state, 2)) : last;
    const uint32_t m = push[0], n = (uint32_t)ts_align_up(push[1], 8), pair = push[8];
    const uint32_t pair_1 = pair > 0 ? 1 + ts_trial_pick(state, 9) : 0;
    const uint32_t values[] = {first,           first + second,
                               m * first + GAP, m * (first + second) + 2 * GAP,
                               n * first + GAP, n * (first + second) + 2 * GAP,
                               pair_1,          pair,
                               m * pair + 3,    m * (pair + pair_1) + 5,
                               n * pair + 3,    n * (pair + pair_1) + 5};
    for (size_t i = 0; i < TS_COUNT(names); i++) {
        *ts_trial_field(trial, names[i]) = *added > 0 ? values[i] : 0;
    }
    if (*added > 0) {
        push[2] = *added > 1 ? first + second + last : first + second;
        push[1] = n; // rows whole
        push[3] = first, push[4] = n, push[5] = n;
    }
}

// Sets strides and layout of a product so that the shader under test is chosen for it.
static void settle_product(ts_gpu_caps *asked, ts_trial *trial, uint32_t *state)
{
    uint32_t *push = trial->dispatch.push, layout = *ts_trial_field(trial, "layout");
    uint32_t gap = ts_trial_pick(state, 3) * 2, shader = trial->shader;
    uint32_t *epilogue = ts_trial_field(trial, "epilogue");
    if (epilogue != NULL && trial->kernel == TS_KERNEL_gemm && !ts_gemm_is_vec(trial->shader)) {
        *epilogue = TS_EPILOGUE_NONE;
    }
    if (epilogue != NULL && *epilogue == TS_EPILOGUE_ADD) {
        trial->act[ts_trial_buffer(trial, "c")] = TS_F32;
        trial->act[ts_trial_buffer(trial, "gate")] = TS_F32;
    }
    const uint32_t *finds = ts_trial_field(trial, "finds_largest");
    if (finds != NULL && *finds != 0) { // of operands that are scaled: those in F32
        trial->act[ts_trial_buffer(trial, "c")] = TS_F32;
        trial->act[ts_trial_buffer(trial, "gated")] = TS_F32;
    }
    bool gated = epilogue != NULL && *epilogue != 0;
    gap *= has_halves(trial) || gated ? 4 : 1;
    bool few = is_for_few(trial);
    if (few) {
        settle_few(asked, trial, &gap, state);
        layout = TS_NT;
    }
    if (trial->kernel == TS_KERNEL_gemm_rounded && ts_trial_pick(state, 3) == 0) { // whole tiles
        push[0] = (uint32_t)ts_align_up(push[0], 64);
        push[1] = (uint32_t)ts_align_up(push[1], 64);
        push[2] = (uint32_t)ts_align_up(push[2], 64), gap = 0;
    }
    if (gated) { // whole quads, and nothing is accumulated
        push[1] = (uint32_t)ts_align_up(push[1], 4), push[7] = 0;
    }
    if (trial->kernel == TS_KERNEL_gemm_packed) {
        layout %= TS_TN;
        push[1] = (uint32_t)ts_align_up(push[1], ts_gemm_packed_columns(asked, layout));
        push[2] += has_halves(trial) ? 32 : 31;
        gap += layout == TS_NT && push[2] % 2; // ldb must be even
    }
    if (ts_dtype_block(trial->stored) > 1) {
        uint32_t *row = layout == TS_NT ? &push[2] : &push[1];
        *row = (uint32_t)ts_align_up(*row, ts_dtype_block(trial->stored)), gap = 0;
    }
    push[3] = (layout == TS_TN ? push[0] : push[2]) + gap;
    push[4] = (layout == TS_NT ? push[2] : push[1]) + gap;
    push[5] = push[1] + gap;
    push[8] *= layout != TS_TN; // TN takes no extra pair
    settle_terms(trial, (ts_layout)layout, state);
    if (!few) { // the other shaders must take one row too
        leave_out(asked, TS_SHADER_gemv);
        leave_out(asked, TS_SHADER_gemv_simd);
    }
    asked->free_broadcasts = shader == TS_SHADER_gemm_vec_asking;
    if (shader == TS_SHADER_gemm_simd) {
        leave_out(asked, TS_SHADER_gemm_simd_wide);
    }
    ts_trial_choose(asked, (ts_layout)layout, trial);
    assert(trial->shader == shader);
    (void)shader;
}

static void set_attention(ts_trial *trial, const ts_attention_choice *choice)
{
    *ts_trial_field(trial, "lanes") = choice->lanes;
    *ts_trial_field(trial, "per_lane") = choice->per_lane;
    *ts_trial_field(trial, "split") = choice->split;
    *ts_trial_field(trial, "subgroup_size") = choice->subgroup_size;
    *ts_trial_field(trial, "held") = choice->held;
}

// For the shaders *_tiled, draws any of the tiles that this device has shared memory for, whether
// they suit its registers or not; a head of 64 often has one, a head of 32 always, in 16 KiB too.
// If none fits after all, the fields stay unset, and ts_trial_check_set names them.
static void settle_tile(const ts_gpu_caps *asked, ts_trial *trial, uint32_t *state)
{
    enum { TILES = 6, PLENTY = 1024 };
    uint32_t *dim = ts_trial_field(trial, "dim");
    const uint32_t tries[][2] = {{*dim, ts_trial_pick(state, TILES)}, {*dim, 0}, {64, 0}, {32, 0}};
    ts_gpu_caps roomy = *asked;
    roomy.registers = PLENTY;
    for (size_t i = 0; i < TS_COUNT(tries); i++) {
        ts_attention_choice choice;
        if (ts_attention_choose_tile(&roomy, trial->kernel, tries[i][0], tries[i][1], &choice)) {
            choice.held = ts_trial_pick(state, 2);
            *dim = tries[i][0];
            set_attention(trial, &choice);
            return;
        }
    }
}

// For the shaders *_split, draws any of the ways to divide a row, not only the one that suits this
// device's registers.
static void settle_attention(ts_gpu_caps *asked, ts_trial *trial, uint32_t *state)
{
    uint32_t *dim = ts_trial_field(trial, "dim");
    const uint32_t tiled = ts_attention_tiled(trial->kernel);
    if (ts_attention_is_tiled(trial->kernel, trial->shader)) {
        settle_tile(asked, trial, state);
        return;
    }
    ts_gpu_caps_leave_out(asked, ts_kernels[trial->kernel].shaders[tiled].name);
    if (trial->shader == 0) {
        asked->subgroup_operations = 0;
    } else if (needs_of(trial) & TS_NEEDS_EIGHT_LANES) {
        *dim = *dim == 16 ? 256 : *dim; // a head of 16 is not divided
    }
    ts_attention_choice choice = ts_attention_choose(asked, trial->kernel, *dim);
    assert(choice.shader == trial->shader);
    if (needs_of(trial) & TS_NEEDS_EIGHT_LANES) {
        uint32_t invocations = choice.lanes * choice.split, split = 8 << ts_trial_pick(state, 3);
        choice.split = (uint32_t)ts_min_u64(split, choice.subgroup_size);
        choice.lanes = invocations / choice.split;
        choice.held = ts_trial_pick(state, 2);
    }
    set_attention(trial, &choice);
}

void ts_trial_set_attention_rounded(ts_trial *trial, uint32_t dim,
                                    const ts_attention_rounded_choice *c)
{
    const uint32_t chosen[] = {dim,      c->subgroup_size, c->local_size, c->own,      c->stream,
                               c->bands, c->matrix_m,      c->matrix_n,   c->matrix_k, c->held};
    memcpy(trial->dispatch.pipeline.constants + 1, chosen, sizeof chosen);
}

// With rounded operands: a head of a size that is taken, by the shader under test, and as many rows
// as it ever gets: among few, what rounding does to one of them counts too much.
static void settle_attention_rounded(ts_gpu_caps *asked, ts_trial *trial, uint32_t *state)
{
    static const uint32_t sizes[] = {32, 32, 48, 64, 80, 96, 128, 64};
    const ts_precision precision =
        needs_of(trial) & TS_NEEDS_BF16_MATRICES ? TS_PRECISION_BF16 : TS_PRECISION_F16;
    enum { FEWEST = 16 };
    uint32_t *dim = ts_trial_field(trial, "dim"), *rows = ts_trial_field(trial, "rows");
    uint32_t *kv_rows = ts_trial_field(trial, "kv_rows"), unused = 0;
    ts_attention_rounded_choice c = {0};
    const uint32_t queries = ts_trial_pick(state, 2) << 20; // for tiles of either size
    *dim = sizes[*dim % TS_COUNT(sizes)];
    if (*rows < FEWEST) {
        *rows += FEWEST;
        *(kv_rows != NULL ? kv_rows : &unused) += FEWEST;
    }
    asked->has_matrix_attention &= ts_attention_on_units(trial->shader);
    asked->f16_pairs = true;
    asked->has_f16_dots &= (needs_of(trial) & TS_NEEDS_F16_DOTS) != 0;
    const uint32_t tries[] = {*dim, 64, 32}; // a head of 32 fits in 16 KiB of shared memory
    for (size_t i = 0; i < TS_COUNT(tries); i++) {
        if (ts_attention_rounded_choose(asked, precision, trial->kernel, queries, tries[i], &c)) {
            *dim = tries[i];
            ts_trial_set_attention_rounded(trial, *dim, &c);
            return;
        }
    } // none fits: the fields stay unset, and ts_trial_check_set names them
}

static bool has_weights(ts_kernel kernel)
{
    const ts_kernel_buffer *buffer = ts_kernels[kernel].buffers;
    while (buffer->name != NULL && buffer->type != TS_BUFFER_WEIGHT) {
        buffer++;
    }
    return buffer->name != NULL;
}

// The input of a group of LoRA pairs: a norm's weights are stored as any type, and what stands for
// them without a norm has one element. A group's products are NT or NN.
static void settle_input(ts_trial *trial)
{
    const uint32_t *normed = ts_trial_field(trial, "normed");
    uint32_t *in_size = ts_trial_field(trial, "in_size"), *layout = ts_trial_field(trial, "layout");
    if (layout != NULL) {
        *layout %= TS_TN;
        return;
    }
    trial->stored = *normed ? trial->stored : TS_F32;
    *in_size = (uint32_t)ts_align_up(*in_size, ts_dtype_block(trial->stored));
}

// Sets the scalars that depend on others: how heads divide, strides, tiles.
static void settle(const ts_gpu_caps *caps, ts_trial *trial, uint32_t *state)
{
    const ts_kernel kernel = trial->kernel;
    uint32_t *kv_heads = ts_trial_field(trial, "kv_heads"), *rows = ts_trial_field(trial, "rows");
    uint32_t *kv_rows = ts_trial_field(trial, "kv_rows"), *dim = ts_trial_field(trial, "dim");
    uint32_t *target_rows = ts_trial_field(trial, "target_rows");
    uint32_t *cols = ts_trial_field(trial, "cols");
    settle_activations(trial, state);
    if (kv_heads != NULL) {
        uint32_t heads = *ts_trial_field(trial, "heads");
        do {
            *kv_heads = 1 + ts_trial_pick(state, heads);
        } while (heads % *kv_heads != 0);
    }
    if (kv_rows != NULL) {
        // A cache is longer than one chunk of attention_decode, and much longer than the rows.
        *kv_rows = *rows + ts_trial_pick(state, kernel == TS_KERNEL_attention_decode ? 700 : 40);
    }
    if (kernel == TS_KERNEL_attention_decode && *dim == 16) {
        *dim = 256; // the widest head: an invocation for every quad
    }
    if (target_rows != NULL) {
        *target_rows = *rows + ts_trial_pick(state, 40);
    }
    if (cols != NULL && has_weights(kernel)) {
        *cols = (uint32_t)ts_align_up(*cols, ts_dtype_block(trial->stored));
    }
    if (kernel == TS_KERNEL_lora_products || kernel == TS_KERNEL_lora_gradients) {
        settle_input(trial);
        ts_trial_settle_pairs(trial, has_halves(trial), state);
    }
    if (kernel == TS_KERNEL_embed) { // a table that is whole begins with the first row
        *ts_trial_field(trial, "first_id") *= *ts_trial_field(trial, "partial");
    }
    if ((kernel == TS_KERNEL_rope || kernel == TS_KERNEL_rope_backward) && !has_halves(trial) &&
        ts_trial_pick(state, 2)) {
        *dim = 6;
    }
    if (kernel == TS_KERNEL_gemm_packed && ts_dtype_block(trial->stored) > 1) {
        trial->stored = TS_BF16; // gemm_packed reads no blocks
    }
    // Changed so that the shader under test is chosen, whatever this device would use.
    ts_gpu_caps asked = *caps;
    memset(asked.left_out, 0, sizeof asked.left_out);
    if (ts_attention_is_rounded(kernel)) {
        settle_attention_rounded(&asked, trial, state);
        return;
    }
    if (kernel != TS_KERNEL_gemm_rounded) {
        asked.type = needs_of(trial) & TS_NEEDS_CPU ? VK_PHYSICAL_DEVICE_TYPE_CPU
                                                    : VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU;
    }
    if (ts_attention_has_tile(kernel)) {
        settle_attention(&asked, trial, state);
    }
    if (kernel == TS_KERNEL_gemm || kernel == TS_KERNEL_gemm_rounded ||
        kernel == TS_KERNEL_gemm_packed) {
        settle_product(&asked, trial, state);
    }
}

ts_status ts_trial_check_set(const ts_trial *trial, ts_error *err)
{
    ts_trial copy = *trial;
    const ts_kernel_info *info = &ts_kernels[trial->kernel];
    uint64_t elements[TS_MAX_VIEWS], groups[2];
    ts_kernel_sizes(trial->kernel, &copy.dispatch, elements, groups); // sets what follows
    for (const ts_kernel_field *f = info->fields; f->name != NULL; f++) {
        if ((f->kind == 'u' || f->kind == 'c') &&
            *ts_trial_field(&copy, f->name) == TS_TRIAL_UNSET) {
            return ts_error_set(err, TS_ERR_ARGUMENT,
                                "kernel %s: no values for '%s' to try it with, which would compare "
                                "nothing: list some in src/ops/trial_shapes.c",
                                info->name, f->name);
        }
    }
    return TS_OK;
}

ts_status ts_trial_draw(const ts_gpu_caps *caps, ts_trial *trial, ts_error *err)
{
    uint32_t *push = trial->dispatch.push, *constant = trial->dispatch.pipeline.constants + 1;
    for (const ts_kernel_field *f = ts_kernels[trial->kernel].fields; f->name != NULL; f++) {
        if (f->kind == 'f') {
            float value = float_value(f->name, &trial->random);
            memcpy(push++, &value, sizeof value);
        } else {
            *(f->kind == 'c' ? constant++ : push++) = scalar_value(f->name, &trial->random);
        }
    }
    settle(caps, trial, &trial->random);
    return ts_trial_check_set(trial, err);
}
