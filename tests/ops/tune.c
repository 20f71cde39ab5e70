// Tiles change no bit of a product, and the fastest is measured once and remembered.
#include "ops/tune.h"

#include "base/file.h"
#include "base/memory.h"
#include "device.h"
#include "gpu/cache.h"
#include "gpu/internal.h"
#include "ops/choices.h"
#include "ops/gemm.h"

#include <string.h>

struct place {
    ts_gpu *gpu;
    ts_gpu_arena arena;
    ts_recorder *recorder;
    ts_view a, b, c;
    ts_rounding rounding;
};

static void upload_numbers(ts_gpu *gpu, ts_view view)
{
    size_t count = view.bytes / ts_dtype_bytes(view.dtype);
    float *values = calloc(count, sizeof *values);
    uint16_t *halves = calloc(count, sizeof *halves);
    uint32_t state = (uint32_t)view.offset + 7;
    for (size_t i = 0; i < count; i++) {
        state = state * 1664525u + 1013904223u;
        values[i] = (float)(int32_t)state * 0x1p-31f;
        halves[i] = ts_f32_to_bf16(values[i]);
    }
    MUST(ts_gpu_upload(gpu, view, view.dtype == TS_F32 ? (void *)values : halves, view.bytes, err));
    free(values);
    free(halves);
}

static void open_place(struct place *p, ts_gpu *gpu, ts_dtype stored, size_t count)
{
    *p = (struct place){.gpu = gpu, .arena = {.gpu = gpu, .block_bytes = 1 << 20}};
    MUST(ts_recorder_open(gpu, &p->recorder, err));
    MUST(ts_gpu_alloc(&p->arena, TS_F32, count, &p->a, err));
    MUST(ts_gpu_alloc(&p->arena, stored, count, &p->b, err));
    MUST(ts_gpu_alloc(&p->arena, TS_F32, count, &p->c, err));
    MUST(ts_gpu_alloc(&p->arena, TS_F32, 256, &p->rounding.largest_a, err));
    MUST(ts_gpu_alloc(&p->arena, TS_F32, 256, &p->rounding.largest_b, err));
    upload_numbers(gpu, p->a);
    upload_numbers(gpu, p->b);
}

static void close_place(struct place *p)
{
    ts_recorder_close(p->recorder);
    ts_gpu_arena_close(&p->arena);
}

enum { LONG = 1024 };

// Awkward shapes: edges in all directions, fewer rows than any tile, few tiles of a long k, which a
// GPU's tiles divide. Rows are aligned in the first case and not in the second. Each case has one
// layout and type of b, because every tile is another pipeline to build.
static const struct {
    ts_dtype stored;
    ts_layout layout;
    uint32_t shapes[5][3]; // m, n, k
} cases[] = {
    {TS_BF16, TS_NT, {{70, 72, 80}, {3, 264, 8}, {130, 40, 136}, {17, 24, 40}, {33, 48, LONG}}},
    {TS_F32, TS_NN, {{65, 137, 129}, {1, 1, 1}, {33, 5, 7}, {33, 48, 39}, {33, 48, LONG}}}};

// Runs a product and returns its c, which starts out as `before`.
static float *result_of(struct place *p, const float *before, uint32_t count)
{
    float *values = calloc(count, sizeof *values);
    MUST(ts_recorder_run(p->recorder, err));
    MUST(ts_gpu_download(p->gpu, p->c, values, count * sizeof *values, err));
    MUST(ts_gpu_upload(p->gpu, p->c, before, count * sizeof *values, err));
    return values;
}

static struct ts_gemm_args gemm_args(const struct place *p, ts_layout layout, const uint32_t *shape)
{
    return (struct ts_gemm_args){.a = p->a,
                                 .b = p->b,
                                 .c = p->c,
                                 .extra_a = p->a,
                                 .extra_b = p->a,
                                 .gate = p->a,
                                 .up = p->a,
                                 .gated = p->c,
                                 .partials = p->c,
                                 .m = shape[0],
                                 .n = shape[1],
                                 .k = shape[2],
                                 .lda = layout == TS_TN ? shape[0] : shape[2],
                                 .ldb = layout == TS_NT ? shape[2] : shape[1],
                                 .ldc = shape[1],
                                 .alpha = 0.7f,
                                 .accumulate = true,
                                 .extra_k = 9,
                                 .extra_scale = 0.3f,
                                 .extra = true};
}

// Compares all tiles for `caps` with the one that the rule chooses, bit by bit. Returns how many of
// them were packed.
static uint32_t check_gemm(struct place *p, const ts_gpu_caps *caps, ts_layout layout,
                           const uint32_t *shape, const float *before)
{
    uint32_t packed = 0;
    ts_tile tiles[TS_TILES];
    char name[TS_TILE_NAME_BYTES];
    struct ts_gemm_args args = gemm_args(p, layout, shape);
    uint32_t bytes = shape[0] * shape[1] * (uint32_t)sizeof(float);
    ts_gemm_choose(caps, layout, &args);
    cr_expect_eq(args.split > 1, shape[2] == LONG && !ts_gpu_is_cpu(caps));
    ts_gemm_find_partials(p->recorder, &args.split, &args.partials);
    ts_gemm(p->recorder, &args);
    float *first = result_of(p, before, shape[0] * shape[1]);
    args.m = 1000; // all tiles, those for many rows too
    uint32_t count = ts_tile_candidates(caps, &args, tiles);
    args.m = shape[0];
    cr_assert_geq(count, 3);
    for (uint32_t i = 0; i < count; i++) {
        ts_tile_name(&tiles[i], caps, name);
        if (tiles[i].family == TS_FAMILY_PACKED) {
            ts_gemm_packed_run(p->recorder, &args, ts_recorder_scratch(p->recorder));
            packed++;
        } else {
            ts_tile_set(&tiles[i], &args);
            ts_gemm(p->recorder, &args);
        }
        float *other = result_of(p, before, shape[0] * shape[1]);
        cr_expect_eq(memcmp(first, other, bytes), 0, "%s: layout %d, %u x %u x %u", name, layout,
                     shape[0], shape[1], shape[2]);
        free(other);
    }
    free(first);
    return packed;
}

Test(tune, tiles_change_no_bit, .timeout = 600)
{
    ts_gpu *gpu = test_gpu_open();
    ts_gpu_caps caps[2] = {*ts_gpu_capabilities(gpu), *ts_gpu_capabilities(gpu)};
    size_t families = ts_gpu_is_simd(&caps[0]) ? 2 : 1;
    caps[1].type = VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU; // a CPU driver runs a GPU's shader too
    static float before[1 << 16];
    uint32_t packed = 0;
    for (size_t i = 0; i < TS_COUNT(before); i++) {
        before[i] = (float)i / 3;
    }
    for (size_t c = 0; c < TS_COUNT(cases); c++) {
        struct place p;
        open_place(&p, gpu, cases[c].stored, TS_COUNT(before));
        MUST(ts_gpu_upload(gpu, p.c, before, sizeof before, err));
        for (size_t s = 0; s < TS_COUNT(cases[c].shapes); s++) {
            for (size_t f = 0; f < families; f++) {
                packed += check_gemm(&p, &caps[f], cases[c].layout, cases[c].shapes[s], before);
            }
        }
        close_place(&p);
    }
    bool offered = families == 2 && caps[0].has_addresses && caps[0].has_int64 &&
                   caps[0].api_version >= VK_MAKE_API_VERSION(0, 1, 4, 0);
    // Packed tiles are offered for shapes whose n is whole tiles and whose k is at least 32.
    cr_assert_eq(packed, offered ? 6 : 0);
    test_gpu_close(gpu);
}

static void check_gemm_rounded(struct place *p, const ts_gpu_caps *caps, ts_precision precision,
                               ts_layout layout, const uint32_t *shape, const float *before)
{
    ts_tile tiles[TS_TILES];
    char name[TS_TILE_NAME_BYTES];
    const struct ts_gemm_args same = gemm_args(p, layout, shape);
    struct ts_gemm_rounded_args args = {.a = p->a,
                                        .b = p->b,
                                        .c = p->c,
                                        .largest_a = p->rounding.largest_a,
                                        .largest_b = p->rounding.largest_b,
                                        .extra_a = p->a,
                                        .extra_b = p->a,
                                        .gate = p->a,
                                        .up = p->a,
                                        .gated = p->c,
                                        .largest = p->c,
                                        .partials = p->c,
                                        .m = same.m,
                                        .n = same.n,
                                        .k = same.k,
                                        .lda = same.lda,
                                        .ldb = same.ldb,
                                        .ldc = same.ldc,
                                        .alpha = 0.7f,
                                        .accumulate = true,
                                        .extra_k = same.extra_k,
                                        .extra_scale = same.extra_scale,
                                        .extra = true};
    uint32_t bytes = shape[0] * shape[1] * (uint32_t)sizeof(float);
    ts_gemm_rounded_choose(caps, ts_precision_shader(caps, precision), layout, &args);
    cr_expect_eq(args.split > 1, shape[2] == LONG);
    ts_gemm_find_partials(p->recorder, &args.split, &args.partials);
    ts_gemm_rounded(p->recorder, &args);
    float *first = result_of(p, before, shape[0] * shape[1]);
    args.m = 1000;
    uint32_t count = ts_tile_candidates_rounded(caps, &args, tiles);
    args.m = shape[0];
    for (uint32_t i = 0; i < count; i++) {
        ts_tile_name(&tiles[i], caps, name);
        ts_tile_set_rounded(&tiles[i], &args);
        cr_expect_eq(args.whole, shape[0] == 128, "%s", name);
        ts_gemm_rounded(p->recorder, &args);
        float *other = result_of(p, before, shape[0] * shape[1]);
        cr_expect_eq(memcmp(first, other, bytes), 0, "%s: layout %d, %u x %u x %u", name, layout,
                     shape[0], shape[1], shape[2]);
        free(other);
    }
    free(first);
}

Test(tune, tiles_of_matrix_units_change_no_bit, .timeout = 600)
{
    ts_gpu *gpu = test_gpu_open();
    ts_gpu_caps caps = *ts_gpu_capabilities(gpu);
    static float before[1 << 16];
    bool any = false;
    caps.type = VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU; // all tiles, of which a CPU gets one
    for (ts_precision precision = TS_PRECISION_F16; precision <= TS_PRECISION_BF16; precision++) {
        struct place p;
        if (!ts_precision_offered(&caps, precision)) {
            continue;
        }
        any = true;
        open_place(&p, gpu, TS_BF16, TS_COUNT(before));
        MUST(ts_gpu_upload(gpu, p.c, before, sizeof before, err));
        ts_absmax(p.recorder, &(struct ts_absmax_args){.x = p.a,
                                                       .largest = p.rounding.largest_a,
                                                       .count = TS_COUNT(before)});
        // Tiles that reach over an edge, whole ones, of which nothing is tested, and a divided k.
        check_gemm_rounded(&p, &caps, precision, TS_NT, (const uint32_t[]){70, 72, 80}, before);
        check_gemm_rounded(&p, &caps, precision, TS_NN, (const uint32_t[]){128, 128, 64}, before);
        check_gemm_rounded(&p, &caps, precision, TS_NT, (const uint32_t[]){40, 48, LONG}, before);
        close_place(&p);
    }
    test_gpu_close(gpu);
    if (!any) {
        cr_skip_test("this device has no matrix units");
    }
}

// A product large enough to be measured, into values the caller frees.
static float *multiply_large(ts_gpu *gpu, ts_tune_stats *stats)
{
    enum { ROWS = 40, N = 1024, K = 1024 };
    static const float before[ROWS * N];
    struct place p;
    open_place(&p, gpu, TS_BF16, N * K);
    for (int again = 0; again < 2; again++) {
        ts_matmul(p.recorder, &(ts_product){.layout = TS_NT,
                                            .m = ROWS,
                                            .n = N,
                                            .k = K,
                                            .a = p.a,
                                            .b = p.b,
                                            .c = p.c,
                                            .alpha = 1,
                                            .extra = {p.a, p.a, 8, 2}});
    }
    float *c = result_of(&p, before, ROWS * N);
    *stats = ts_tune_statistics(gpu);
    close_place(&p);
    return c;
}

static void make_root(char root[64])
{
    snprintf(root, 64, "/tmp/tinysft-tune-XXXXXX");
    cr_assert_not_null(mkdtemp(root));
    setenv("TINYSFT_CACHE_DIR", root, 1);
}

Test(tune, measures_once_and_remembers, .timeout = 120)
{
    char root[64];
    ts_tune_stats stats;
    enum { BYTES = 40 * 1024 * sizeof(float) };
    static const char *const product = "f32 NT, b in BF16, 64 rows, n 1024, k 1024";
    make_root(root);
    setenv("TINYSFT_TUNE", "off", 1);
    ts_gpu *gpu = test_gpu_open();
    cr_assert_not(ts_gpu_may_tune(gpu));
    float *plain = multiply_large(gpu, &stats);
    cr_assert_eq(stats.products, 0);
    test_gpu_close(gpu);
    unsetenv("TINYSFT_TUNE");
    for (int start = 0; start < 2; start++) {
        gpu = test_gpu_open();
        float *tuned = multiply_large(gpu, &stats);
        cr_assert_eq(stats.products, start == 0 ? 1 : 0);
        cr_assert_eq(memcmp(plain, tuned, BYTES), 0);
        const ts_choice *choice = ts_choices_find(gpu, product);
        cr_assert_not_null(choice);
        cr_assert_geq(choice->count, 2);
        free(tuned);
        test_gpu_close(gpu);
    }
    // A tile that this program does not have is measured anew.
    gpu = test_gpu_open();
    ts_choice wrong = {.count = 1, .candidates = {{"simd 3x3", 1e-9}}};
    snprintf(wrong.product, sizeof wrong.product, "%s", product);
    ts_choices_keep(gpu, &wrong);
    float *tuned = multiply_large(gpu, &stats);
    cr_assert_eq(stats.products, 1);
    cr_assert_eq(memcmp(plain, tuned, BYTES), 0);
    cr_assert_str_neq(ts_choices_find(gpu, product)->candidates[0].name, "simd 3x3");
    test_gpu_close(gpu);
    free(tuned);
    free(plain);
    MUST(ts_folder_remove(root, err));
}

// Measures the large product with a cache of its own. Returns the values, and the choice in *found.
static float *measure_large(char root[64], ts_choice *found)
{
    ts_tune_stats stats;
    make_root(root);
    ts_gpu *gpu = test_gpu_open();
    float *values = multiply_large(gpu, &stats);
    *found = *ts_choices_find(gpu, "f32 NT, b in BF16, 64 rows, n 1024, k 1024");
    test_gpu_close(gpu);
    return values;
}

// The stored choice decides: whichever tile it names as the fastest is run, and no bit changes.
Test(tune, believes_what_is_remembered, .timeout = 120)
{
    char root[64];
    ts_tune_stats stats;
    ts_gpu *gpu;
    ts_choice choice;
    float *first = measure_large(root, &choice);
    for (uint32_t i = 0; i < choice.count; i++) {
        gpu = test_gpu_open();
        for (uint32_t j = 0; j < choice.count; j++) {
            choice.candidates[j].seconds = i == j ? 1e-6 : 1;
        }
        choice.chosen = i;
        ts_choices_keep(gpu, &choice);
        uint32_t before = ts_gpu_pipeline_statistics(gpu).built;
        float *other = multiply_large(gpu, &stats);
        uint32_t pipelines = strncmp(choice.candidates[i].name, "packed", 6) == 0 ? 2 : 1;
        cr_assert_eq(ts_gpu_pipeline_statistics(gpu).built, before + pipelines,
                     "one tile, none measured");
        cr_assert_eq(stats.products, 0);
        cr_assert_eq(memcmp(first, other, 40 * 1024 * sizeof(float)), 0, "%s",
                     choice.candidates[i].name);
        free(other);
        test_gpu_close(gpu);
    }
    free(first);
    MUST(ts_folder_remove(root, err));
}

static PFN_vkCreateComputePipelines really_build;
static uint32_t builds;

static VkResult VKAPI_CALL refuse_the_second(VkDevice device, VkPipelineCache cache, uint32_t count,
                                             const VkComputePipelineCreateInfo *infos,
                                             const VkAllocationCallbacks *allocator,
                                             VkPipeline *out)
{
    return ++builds == 2 ? VK_ERROR_UNKNOWN
                         : really_build(device, cache, count, infos, allocator, out);
}

// If gemm_packed is chosen and the driver cannot build it, gemm_simd gives the same bits instead.
Test(tune, packed_gives_way, .timeout = 120)
{
    char root[64];
    ts_tune_stats stats;
    bool any = false;
    ts_gpu *gpu;
    ts_choice choice;
    float *first = measure_large(root, &choice);
    for (uint32_t i = 0; i < choice.count; i++) {
        bool packed = strncmp(choice.candidates[i].name, "packed", 6) == 0;
        choice.candidates[i].seconds = packed ? 1e-6 : 1;
        any |= packed;
    }
    if (any) {
        gpu = test_gpu_open();
        ts_choices_keep(gpu, &choice);
        really_build = gpu->vk.vkCreateComputePipelines;
        gpu->vk.vkCreateComputePipelines = refuse_the_second; // pack_rows is the first
        float *other = multiply_large(gpu, &stats);
        cr_assert(ts_gpu_leaves_out(ts_gpu_capabilities(gpu), "gemm_packed"));
        cr_assert_eq(memcmp(first, other, 40 * 1024 * sizeof(float)), 0);
        free(other);
        test_gpu_close(gpu);
    }
    free(first);
    MUST(ts_folder_remove(root, err));
    if (!any) {
        cr_skip_test("this device has no use for gemm_packed");
    }
}
