// The shape at which each kernel is timed: one sequence of 512 tokens through TinyLlama. Values go
// by the names of the scalars in kernels.def, so that most new kernels need none of their own.
#include "check/bench.h"

#include "base/memory.h"
#include "ops/attention.h"
#include "ops/trial.h"

#include <string.h>

enum { TOKENS = 512, HIDDEN = 2048, FFN = 5632, SEQUENCES = 32 };
enum { HEADS = 32, KV_HEADS = 4, DIM = 64, KV = KV_HEADS * DIM };
enum { ADAPTER = 22 * 8 * (HIDDEN + HIDDEN + HIDDEN + 256) }; // q_proj and v_proj, rank 8

static const struct {
    const char *name;
    uint32_t value;
} usual[] = {
    {"tile", 16},
    {"rows", TOKENS},
    {"cols", HIDDEN},
    {"count", TOKENS *HIDDEN},
    {"heads", HEADS},
    {"kv_heads", KV_HEADS},
    {"dim", DIM},
    {"vocab", 32000},
    {"kv_rows", TOKENS},
    {"source_rows", TOKENS},
    {"target_rows", TOKENS},
    {"positions", TOKENS},
    {"gradient", 1},
    {"accumulate", 0},
    {"gelu", 0},
    {"smoothed", 0},
    {"partial", 0},
    {"rotated", 1},
    {"finds_largest", 0},
    {"first_id", 0},
    {"seed_low", 42},
    {"seed_high", 0},
    {"stream", 0},
    {"drop", 0x1999},
    {"rank", 8},
    {"in_size", HIDDEN},
    {"normed", 1},
    {"layout", TS_NT},
    {"rank_quads", 0},
    {"b_quads", 0},
    {"quads", 0},
    {"width", 0},
    {"octets", 0},
    {"row_threads", 0},
    {"half_dim", 0},
    {"folded", 0},
    {"group", 0},
    {"threads", 0}, // the registry sets this and all from "quads" on
};

static const struct {
    ts_kernel kernel;
    const char *name;
    uint32_t value;
} special[] = {
    {TS_KERNEL_swiglu, "count", TOKENS *FFN},
    {TS_KERNEL_swiglu_backward, "count", TOKENS *FFN},
    {TS_KERNEL_sum_squares, "count", ADAPTER},
    {TS_KERNEL_adamw, "count", ADAPTER},
    // sequences that each have 512 tokens in the cache
    {TS_KERNEL_attention_decode, "rows", SEQUENCES},
    {TS_KERNEL_attention_decode, "kv_rows", SEQUENCES *TOKENS},
};

static const struct {
    const char *name;
    float value;
} factors[] = {
    {"eps", 1e-5f},    {"scale", 0.125f}, {"alpha", 1},           {"max_norm", 1},
    {"step", 5e-5f},   {"decay", 0},      {"beta1", 0.9f},        {"rest1", 0.1f},
    {"beta2", 0.999f}, {"rest2", 0.001f}, {"root_correction", 1}, {"smoothing", 0},
    {"scale_0", 2},    {"scale_1", 2},    {"scale_2", 2},
};

bool ts_bench_is_product(ts_kernel kernel)
{
    return kernel == TS_KERNEL_gemm || kernel == TS_KERNEL_gemm_rounded ||
           kernel == TS_KERNEL_gemm_packed;
}

static bool find_whole(ts_kernel kernel, const char *name, uint32_t *out)
{
    for (size_t i = 0; i < TS_COUNT(special); i++) {
        if (special[i].kernel == kernel && strcmp(special[i].name, name) == 0) {
            *out = special[i].value;
            return true;
        }
    }
    for (size_t i = 0; i < TS_COUNT(usual); i++) {
        if (strcmp(usual[i].name, name) == 0) {
            *out = usual[i].value;
            return true;
        }
    }
    return false;
}

// The numbers of a group of LoRA pairs: of q, k and v.
static bool find_pair(const char *name, uint32_t *out)
{
    static const struct {
        const char *name; // a digit follows
        uint32_t values[3];
    } pairs[] = {
        {"rank_", {8, 8, 8}}, {"k_", {HIDDEN, HIDDEN, HIDDEN}}, {"out_size_", {HIDDEN, KV, KV}}};
    for (size_t i = 0; i < TS_COUNT(pairs); i++) {
        const size_t length = strlen(pairs[i].name);
        if (strncmp(pairs[i].name, name, length) == 0 && name[length] >= '0' &&
            name[length] <= '2') {
            *out = pairs[i].values[name[length] - '0'];
            return true;
        }
    }
    *out = 0; // ts_trial_place_pairs sets it
    return strstr(name, "_at_") != NULL;
}

static bool find_factor(const char *name, uint32_t *out)
{
    for (size_t i = 0; i < TS_COUNT(factors); i++) {
        if (strcmp(factors[i].name, name) == 0) {
            memcpy(out, &factors[i].value, sizeof *out);
            return true;
        }
    }
    return false;
}

// The constants of attention by their names: of one of the two kinds of kernels.
struct choice {
    const char *name;
    uint32_t value;
};

static bool find_choice(const struct choice *choices, size_t count, const char *name, uint32_t *out)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(choices[i].name, name) == 0) {
            *out = choices[i].value;
            return true;
        }
    }
    return false;
}

// Chooses for attention with heads of 64. Returns how many constants that sets.
static size_t choose_attention(ts_kernel kernel, const ts_gpu_caps *caps, ts_precision precision,
                               struct choice out[10], uint32_t *shader)
{
    if (ts_attention_is_rounded(kernel)) {
        ts_attention_rounded_choice c = {0};
        ts_attention_rounded_choose(caps, precision, kernel, TOKENS * HEADS, DIM, &c);
        const struct choice fields[] = {{"subgroup_size", c.subgroup_size},
                                        {"local_size", c.local_size},
                                        {"own", c.own},
                                        {"stream", c.stream},
                                        {"bands", c.bands},
                                        {"matrix_m", c.matrix_m},
                                        {"matrix_n", c.matrix_n},
                                        {"matrix_k", c.matrix_k},
                                        {"held", c.held}};
        memcpy(out, fields, sizeof fields);
        *shader = c.shader;
        return TS_COUNT(fields);
    }
    if (ts_attention_has_tile(kernel)) {
        const ts_attention_choice c = ts_attention_choose(caps, kernel, DIM);
        const struct choice fields[] = {{"lanes", c.lanes}, {"per_lane", c.per_lane},
                                        {"split", c.split}, {"subgroup_size", c.subgroup_size},
                                        {"held", c.held},   {"local_size", 0}}; // follows
        memcpy(out, fields, sizeof fields);
        *shader = c.shader;
        return TS_COUNT(fields);
    }
    *shader = 0;
    return 0;
}

// Into how many parts the gradients of keys and values are divided, as ts_attention_divide does it.
static uint32_t parts_of(ts_kernel kernel, const ts_gpu_caps *caps)
{
    const uint32_t parts = ts_attention_parts(TOKENS, HEADS, KV_HEADS, DIM, UINT64_MAX);
    return ts_gpu_is_cpu(caps)               ? 1
           : ts_attention_is_rounded(kernel) ? (uint32_t)ts_ceil_div(parts, 2)
                                             : parts;
}

ts_precision ts_bench_precision(const ts_gpu_caps *caps)
{
    return ts_precision_gains(caps, TS_PRECISION_BF16)  ? TS_PRECISION_BF16
           : ts_precision_gains(caps, TS_PRECISION_F16) ? TS_PRECISION_F16
                                                        : TS_PRECISION_F32;
}

bool ts_bench_is_timed(ts_kernel kernel, const ts_gpu_caps *caps, ts_precision precision)
{
    ts_attention_rounded_choice ignored;
    return !ts_bench_is_product(kernel) &&
           (!ts_attention_is_rounded(kernel) ||
            ts_attention_rounded_choose(caps, precision, kernel, TOKENS * HEADS, DIM, &ignored));
}

ts_status ts_bench_shape(ts_kernel kernel, const ts_gpu_caps *caps, ts_precision precision,
                         ts_dispatch *out, uint32_t *shader, ts_error *err)
{
    const ts_kernel_info *info = &ts_kernels[kernel];
    uint32_t *push = out->push, *constant = out->pipeline.constants + 1;
    struct choice choices[10];
    if (ts_bench_is_product(kernel)) {
        return ts_error_set(err, TS_ERR_UNSUPPORTED,
                            "--kernel %s: it multiplies matrices, and --only products times it",
                            info->name);
    }
    if (!ts_bench_is_timed(kernel, caps, precision)) {
        return ts_error_set(err, TS_ERR_UNSUPPORTED, "--kernel %s: %s has no matrix units for it",
                            info->name, caps->name);
    }
    const size_t count = choose_attention(kernel, caps, precision, choices, shader);
    for (const ts_kernel_field *f = info->fields; f->name != NULL; f++) {
        uint32_t *place = f->kind == 'c' ? constant++ : push++;
        // What was chosen comes first: a constant may be called as another kernel's number is.
        bool found = f->kind == 'c' && find_choice(choices, count, f->name, place);
        if (f->kind == 'u' && strcmp(f->name, "parts") == 0) {
            *place = parts_of(kernel, caps);
            found = true;
        }
        if (!found) {
            found = f->kind == 'f'
                        ? find_factor(f->name, place)
                        : find_whole(kernel, f->name, place) || find_pair(f->name, place);
        }
        if (!found) {
            return ts_error_set(err, TS_ERR_ARGUMENT, "%s: no shape for '%s' to time it at",
                                info->name, f->name);
        }
    }
    if (kernel == TS_KERNEL_lora_products || kernel == TS_KERNEL_lora_gradients) {
        ts_trial_place_pairs(kernel, out, 64, 0);
    }
    return TS_OK;
}
