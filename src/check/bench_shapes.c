// The shape at which each kernel is timed: one sequence of 512 tokens through TinyLlama. Values go
// by the names of the scalars in kernels.def, so that most new kernels need none of their own.
#include "check/bench.h"

#include "base/memory.h"
#include "ops/attention.h"

#include <string.h>

enum { TOKENS = 512, HIDDEN = 2048, FFN = 5632, SEQUENCES = 32 };
enum { ADAPTER = 22 * 8 * (HIDDEN + HIDDEN + HIDDEN + 256) }; // q_proj and v_proj, rank 8

static const struct {
    const char *name;
    uint32_t value;
} usual[] = {
    {"rows", TOKENS},
    {"cols", HIDDEN},
    {"count", TOKENS *HIDDEN},
    {"heads", 32},
    {"kv_heads", 4},
    {"dim", 64},
    {"vocab", 32000},
    {"kv_rows", TOKENS},
    {"source_rows", TOKENS},
    {"target_rows", TOKENS},
    {"positions", TOKENS},
    {"gradient", 1},
    {"accumulate", 0},
    {"gelu", 0},
    {"partial", 0},
    {"first_id", 0},
    {"seed_low", 42},
    {"seed_high", 0},
    {"stream", 0},
    {"drop", 0x1999},
    {"quads", 0},
    {"width", 0},
    {"octets", 0},
    {"row_threads", 0},
    {"half_dim", 0},
    {"folded", 0},
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
    {"eps", 1e-5f},  {"scale", 0.125f}, {"sign", 1},       {"alpha", 1},
    {"max_norm", 1}, {"step", 5e-5f},   {"decay", 0},      {"beta1", 0.9f},
    {"rest1", 0.1f}, {"beta2", 0.999f}, {"rest2", 0.001f}, {"root_correction", 1},
};

bool ts_bench_is_product(ts_kernel kernel)
{
    return kernel == TS_KERNEL_gemm || kernel == TS_KERNEL_gemm_cm ||
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

static bool find_choice(const ts_attention_choice *choice, const char *name, uint32_t *out)
{
    const struct {
        const char *name;
        uint32_t value;
    } fields[] = {{"lanes", choice->lanes}, {"per_lane", choice->per_lane},
                  {"split", choice->split}, {"subgroup_size", choice->subgroup_size},
                  {"held", choice->held},   {"local_size", 0}}; // follows
    for (size_t i = 0; i < TS_COUNT(fields); i++) {
        if (strcmp(fields[i].name, name) == 0) {
            *out = fields[i].value;
            return true;
        }
    }
    return false;
}

ts_status ts_bench_shape(ts_kernel kernel, const ts_gpu_caps *caps, ts_dispatch *out,
                         uint32_t *shader, ts_error *err)
{
    const ts_kernel_info *info = &ts_kernels[kernel];
    const ts_attention_choice choice =
        ts_attention_choose(caps, ts_attention_has_tile(kernel) ? kernel : TS_KERNEL_attention, 64);
    uint32_t *push = out->push, *constant = out->pipeline.constants + 1;
    *shader = ts_attention_has_tile(kernel) ? choice.shader : 0;
    if (ts_bench_is_product(kernel)) {
        return ts_error_set(err, TS_ERR_UNSUPPORTED,
                            "--kernel %s: it multiplies matrices, and --only products times it",
                            info->name);
    }
    for (const ts_kernel_field *f = info->fields; f->name != NULL; f++) {
        uint32_t *place = f->kind == 'c' ? constant++ : push++;
        bool found =
            f->kind == 'f' ? find_factor(f->name, place) : find_whole(kernel, f->name, place);
        if (!found && ts_attention_has_tile(kernel) && f->kind == 'c') {
            found = find_choice(&choice, f->name, place);
        }
        if (!found) {
            return ts_error_set(err, TS_ERR_ARGUMENT, "%s: no shape for '%s' to time it at",
                                info->name, f->name);
        }
    }
    return TS_OK;
}
