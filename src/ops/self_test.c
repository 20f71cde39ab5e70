// Tests matrix units. Drivers have offered cooperative matrices that computed wrong results, so
// before a model uses them they multiply numbers whose product is known.
#include "base/log.h"
#include "base/memory.h"
#include "ops/attention.h"
#include "ops/ref/ref.h"
#include "ops/trial.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct trial {
    ts_gpu *gpu;
    ts_recorder *recorder;
    ts_gpu_arena arena;
    ts_rounding rounding;
    uint32_t m, n, k;
    ts_view a, b, c;
    double *a_values, *b_values, *c_values; // the mirror's
    float *narrow;                          // transfers to and from the device
    uint16_t *halves;
};

static ts_status open_trial(struct trial *t, ts_error *err)
{
    ts_status status = TS_OK;
    size_t a = (size_t)t->m * t->k, b = (size_t)t->n * t->k, c = (size_t)t->m * t->n;
    TS_TRY(ts_recorder_open(t->gpu, &t->recorder, err));
    TS_TRY(ts_gpu_alloc(&t->arena, TS_F32, 256, &t->rounding.largest_a, err));
    TS_TRY(ts_gpu_alloc(&t->arena, TS_F32, 256, &t->rounding.largest_b, err));
    TS_TRY(ts_gpu_alloc(&t->arena, TS_F32, a, &t->a, err));
    TS_TRY(ts_gpu_alloc(&t->arena, ts_precision_weights(t->rounding.precision, TS_BF16), b, &t->b,
                        err));
    TS_TRY(ts_gpu_alloc(&t->arena, TS_F32, c, &t->c, err));
    TS_TRY(ts_alloc(a, sizeof *t->a_values, &t->a_values, err));
    TS_TRY(ts_alloc(b, sizeof *t->b_values, &t->b_values, err));
    TS_TRY(ts_alloc(c, sizeof *t->c_values, &t->c_values, err));
    TS_TRY(ts_alloc(ts_max_u64(a, c), sizeof *t->narrow, &t->narrow, err));
    TS_TRY(ts_alloc(b, sizeof *t->halves, &t->halves, err));
out:
    return status;
}

static void close_trial(struct trial *t)
{
    ts_recorder_close(t->recorder);
    ts_gpu_arena_close(&t->arena);
    free(t->a_values);
    free(t->b_values);
    free(t->c_values);
    free(t->narrow);
    free(t->halves);
}

// Integers from -64 to 63, which every type holds exactly. Those of a are multiplied by `tiny`, so
// that f16 would lose them if its operands were not scaled.
static ts_status fill(struct trial *t, ts_error *err)
{
    const double tiny = 0x1p-40;
    ts_status status = TS_OK;
    size_t a = (size_t)t->m * t->k, b = (size_t)t->n * t->k;
    uint32_t state = 1;
    for (size_t i = 0; i < a; i++) {
        state = state * 1664525u + 1013904223u;
        t->a_values[i] = tiny * ((int32_t)(state >> 25) - 64);
        t->narrow[i] = (float)t->a_values[i];
    }
    for (size_t i = 0; i < b; i++) {
        state = state * 1664525u + 1013904223u;
        t->b_values[i] = (int32_t)(state >> 25) - 64;
        ts_dtype_store(t->b.dtype, t->halves, i, t->b_values[i]);
    }
    TS_TRY(ts_gpu_upload(t->gpu, t->a, t->narrow, a * sizeof *t->narrow, err));
    TS_TRY(ts_gpu_upload(t->gpu, t->b, t->halves, b * sizeof *t->halves, err));
out:
    return status;
}

static ts_status multiply(struct trial *t, ts_layout layout, double *error, ts_error *err)
{
    ts_status status = TS_OK;
    size_t count = (size_t)t->m * t->n;
    double difference = 0, norm = 0;
    ts_matmul_rounded(t->recorder, &t->rounding,
                      &(ts_product){.layout = layout,
                                    .m = t->m,
                                    .n = t->n,
                                    .k = t->k,
                                    .a = t->a,
                                    .b = t->b,
                                    .c = t->c,
                                    .alpha = 1});
    TS_TRY(ts_recorder_run(t->recorder, err));
    TS_TRY(ts_gpu_download(t->gpu, t->c, t->narrow, count * sizeof *t->narrow, err));
    ts_ref_gemm(&(struct ts_gemm_ref){.a = t->a_values,
                                      .b = t->b_values,
                                      .c = t->c_values,
                                      .m = t->m,
                                      .n = t->n,
                                      .k = t->k,
                                      .lda = t->k,
                                      .ldb = layout == TS_NT ? t->k : t->n,
                                      .ldc = t->n,
                                      .alpha = 1,
                                      .layout = layout});
    for (size_t i = 0; i < count; i++) {
        difference += pow(t->narrow[i] - t->c_values[i], 2);
        norm += pow(t->c_values[i], 2);
    }
    double off = sqrt(difference / norm);
    *error = off <= *error ? *error : off; // NaN is kept
out:
    return status;
}

ts_status ts_precision_test(ts_gpu *gpu, ts_precision precision, double *error, ts_error *err)
{
    // One shape for each of the two tiles that a GPU may get. Both have tiles within c and tiles
    // over its edges. A CPU driver has one tile only.
    static const uint32_t shapes[][3] = {{72, 88, 80}, {1032, 1024, 48}};
    size_t count = ts_gpu_is_cpu(ts_gpu_capabilities(gpu)) ? 1 : TS_COUNT(shapes);
    ts_status status = TS_OK;
    struct trial t = {0};
    *error = 0;
    for (size_t i = 0; i < count; i++) {
        t = (struct trial){.gpu = gpu,
                           .arena = {.gpu = gpu, .block_bytes = 1 << 20},
                           .rounding.precision = precision,
                           .m = shapes[i][0],
                           .n = shapes[i][1],
                           .k = shapes[i][2]};
        TS_TRY(open_trial(&t, err));
        TS_TRY(fill(&t, err));
        TS_TRY(multiply(&t, TS_NT, error, err));
        TS_TRY(multiply(&t, TS_NN, error, err));
        close_trial(&t);
        t = (struct trial){0};
    }
out:
    close_trial(&t);
    return status;
}

// ---- Attention

static void set(ts_trial *trial, const char *name, uint32_t value)
{
    uint32_t *place = ts_trial_field(trial, name);
    if (place != NULL) {
        *place = value;
    }
}

// One of the kernels of attention on matrix units, at a shape with tiles that are whole and tiles
// over the last row or the end of a sequence. *right: it is as near to its mirror as its row in
// kernels.def promises.
static ts_status try_attention(ts_gpu *gpu, ts_gpu *mirror_gpu, ts_trial *trial, bool *right,
                               ts_error *err)
{
    ts_status status = TS_OK;
    ts_trial_side device = {0}, mirror = {0};
    const char *buffer = NULL;
    double off = 0;
    TS_TRY(ts_trial_open(trial, gpu, &device, err));
    TS_TRY(ts_trial_open(trial, mirror_gpu, &mirror, err));
    TS_TRY(ts_trial_run(trial, &device, 1, err));
    TS_TRY(ts_trial_run(trial, &mirror, 1, err));
    TS_TRY(ts_trial_compare(trial, &device, &mirror, &off, &buffer, err));
    *right = off <= ts_trial_tolerance(trial->kernel, trial->shader);
out:
    ts_trial_close(&device);
    ts_trial_close(&mirror);
    return status;
}

// Tries one kernel with one tile, on more rows than the tile has. *right is left as it is if all is
// well.
static ts_status try_tile(ts_gpu *gpu, ts_gpu *mirror, ts_kernel kernel, uint32_t dim,
                          const ts_attention_rounded_choice *tile, bool *right, ts_error *err)
{
    enum { FEW = 50, LARGE = 128, MORE = 22, HEADS = 8, KV_HEADS = 1 };
    const float scale = 0.125f;
    const uint32_t rows = tile->own < LARGE ? FEW : tile->own + MORE;
    const char *shader = ts_kernels[kernel].shaders[tile->shader].name;
    const ts_gpu_caps *caps = ts_gpu_capabilities(gpu);
    // A large tile would have no whole one beneath it among short sequences.
    ts_trial trial = {
        .kernel = kernel, .shader = tile->shader, .one_sequence = tile->own >= LARGE, .random = 1};
    bool fine = false;
    ts_status status = TS_OK;
    set(&trial, "rows", rows);
    set(&trial, "kv_rows", rows);
    set(&trial, "heads", HEADS);
    set(&trial, "kv_heads", KV_HEADS);
    set(&trial, "parts", 1);
    memcpy(ts_trial_field(&trial, "scale"), &scale, sizeof scale);
    ts_trial_set_attention_rounded(&trial, dim, tile);
    TS_TRY(try_attention(gpu, mirror, &trial, &fine, err));
    if (!fine) {
        *right = false;
        ts_gpu_leave_out(gpu, shader);
        ts_log(
            TS_LOG_WARN,
            "%s is left out: heads of %u in tiles of %u come out wrong on %s: its driver (%s) has "
            "a bug",
            shader, dim, tile->own, caps->name, caps->driver);
    }
out:
    return status;
}

ts_status ts_attention_test(ts_gpu *gpu, ts_precision precision, uint32_t dim, bool *right,
                            ts_error *err)
{
    ts_status status = TS_OK;
    ts_gpu *mirror = NULL;
    ts_attention_rounded_choice tiles[TS_ATTENTION_TILES];
    *right = true;
    TS_TRY(ts_gpu_open_mirror(&mirror, err));
    for (int kernel = 0; kernel < TS_KERNEL_COUNT; kernel++) {
        if (!ts_attention_is_rounded((ts_kernel)kernel)) {
            continue;
        }
        const uint32_t count = ts_attention_rounded_tiles(ts_gpu_capabilities(gpu), precision,
                                                          (ts_kernel)kernel, dim, tiles);
        *right = *right && count > 0;
        for (uint32_t i = 0; i < count; i++) {
            TS_TRY(try_tile(gpu, mirror, (ts_kernel)kernel, dim, &tiles[i], right, err));
        }
    }
out:
    ts_gpu_close(mirror);
    return status;
}
