#include "ops/tune.h"

#include "base/log.h"
#include "base/memory.h"
#include "base/os.h"
#include "ops/choices.h"
#include "ops/gemm.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SLOT = 1,                // of ts_gpu_attach; choices.c has 0
    LEAST_WEIGHTS = 1 << 20, // of n * k: smaller products take too little time to matter
    MOST_ROWS = 1024,        // measured on a GPU; more rows only mean more tiles
    MOST_ROWS_CPU = 128,
    MOST_SCRATCH_BYTES = 64 << 20,
    ROUNDS = 5,
};
static const double ENOUGH_SECONDS = 0.2; // of timing one candidate
// How many times as fast a tile must be to replace the rule's: one that gives other bits, and one
// that gives the same bits.
static const double CLEARLY = 1.15;
static const double AT_ALL = 1.03;

// What a product's fastest tile depends on. It computes c[rows, n] from a b stored as `stored`.
struct product {
    uint32_t matrix; // 0: gemm, 1: gemm_rounded in f16, 2: in bf16
    uint32_t layout, stored, rows, n, k;
};

// What is known about a product: its candidate tiles, and the seconds that each takes for
// product.rows rows (INFINITY: not known). The first is the rule's tile: the one that
// ts_gemm_choose or ts_gemm_rounded_choose chooses without measuring.
struct known {
    struct product product;
    uint32_t count;
    ts_tile tiles[TS_TILES];
    double seconds[TS_TILES];
};

// The products that this process knows already. Attached to the device.
struct settled {
    struct known *rows;
    size_t count, capacity;
    ts_tune_stats stats;
};

// A product to be measured, with its arguments for both kernels. product.matrix tells which of them
// the rule chooses.
struct subject {
    struct product product;
    struct ts_gemm_args gemm;
    struct ts_gemm_rounded_args cm; // only if product.matrix is not 0
};

static void close_settled(void *attached)
{
    struct settled *settled = attached;
    if (settled->stats.products > 0) {
        ts_log(TS_LOG_DEBUG, "measured %u products in %.1f s", settled->stats.products,
               settled->stats.seconds);
    }
    free(settled->rows);
    free(settled);
}

static struct settled *settled_of(ts_gpu *gpu)
{
    struct settled *settled = ts_gpu_attached(gpu, SLOT);
    if (settled == NULL && ts_alloc(1, sizeof *settled, &settled, NULL) == TS_OK) {
        ts_gpu_attach(gpu, SLOT, settled, close_settled);
    }
    return settled;
}

ts_tune_stats ts_tune_statistics(const ts_gpu *gpu)
{
    const struct settled *settled = ts_gpu_attached(gpu, SLOT);
    return settled != NULL ? settled->stats : (ts_tune_stats){0};
}

// ---- Which product it is

// Products with similar numbers of rows share a choice: 1, up to 8, up to 32, 64, 128, ...
static uint32_t round_rows(const ts_gpu_caps *caps, uint32_t m)
{
    uint32_t most = ts_gpu_is_cpu(caps) ? MOST_ROWS_CPU : MOST_ROWS, rows = 32;
    if (m <= 8) {
        return m == 1 ? 1 : 8;
    }
    while (rows < m && rows < most) {
        rows *= 2;
    }
    return rows;
}

static void name_product(const struct product *p, char out[TS_CHOICE_PRODUCT_BYTES])
{
    static const char *const units[] = {"f32", "f16", "bf16"}, *const layouts[] = {"NT", "NN"};
    snprintf(out, TS_CHOICE_PRODUCT_BYTES, "%s %s, b in %s, %u rows, n %u, k %u", units[p->matrix],
             layouts[p->layout], ts_dtype_name((ts_dtype)p->stored), p->rows, p->n, p->k);
}

// ---- Measuring

struct trial {
    ts_gpu *gpu;
    ts_recorder *recorder;
    ts_gpu_arena arena;
    ts_profile profile; // not open: the device has no timestamps, so the host's clock is used
    const struct subject *subject;
    ts_view a, c, largest;
};

static ts_status open_trial(struct trial *t, ts_error *err)
{
    ts_status status = TS_OK;
    const struct product *p = &t->subject->product;
    TS_TRY(ts_recorder_open(t->gpu, &t->recorder, err));
    if (ts_gpu_capabilities(t->gpu)->timestamp_ns > 0) {
        TS_TRY(ts_profile_open(t->gpu, &t->profile, err));
        ts_recorder_profile(t->recorder, &t->profile);
    }
    TS_TRY(ts_gpu_alloc(&t->arena, TS_F32, (uint64_t)p->rows * p->k, &t->a, err));
    TS_TRY(ts_gpu_alloc(&t->arena, TS_F32, (uint64_t)p->rows * p->n, &t->c, err));
    TS_TRY(ts_gpu_alloc(&t->arena, TS_F32, 256, &t->largest, err));
    ts_recorder_zero(t->recorder, t->a);
    ts_recorder_zero(t->recorder, t->largest);
    TS_TRY(ts_recorder_run(t->recorder, err));
out:
    return status;
}

static void close_trial(struct trial *t)
{
    ts_recorder_close(t->recorder);
    ts_profile_close(&t->profile);
    ts_gpu_arena_close(&t->arena);
}

static void record(struct trial *t, const ts_tile *tile)
{
    struct ts_gemm_args gemm = t->subject->gemm;
    struct ts_gemm_rounded_args cm = t->subject->cm;
    if (tile->family == TS_FAMILY_PACKED) {
        gemm.a = gemm.extra_a = gemm.extra_b = gemm.gate = gemm.up = t->a;
        gemm.c = gemm.gated = gemm.partials = t->c;
        ts_gemm_packed_run(t->recorder, &gemm, ts_recorder_scratch(t->recorder));
        return;
    }
    if (tile->family != TS_FAMILY_CM && tile->family != TS_FAMILY_DOT) {
        gemm.a = gemm.extra_a = gemm.extra_b = gemm.gate = gemm.up = t->a;
        gemm.c = gemm.gated = gemm.partials = t->c;
        ts_gemm_find_partials(t->recorder, &gemm.split, &gemm.partials);
        ts_tile_set(tile, &gemm);
        ts_gemm(t->recorder, &gemm);
        return;
    }
    cm.a = cm.extra_a = cm.extra_b = cm.gate = cm.up = t->a,
    cm.c = cm.gated = cm.largest = cm.partials = t->c;
    cm.largest_a = cm.largest_b = t->largest;
    ts_gemm_find_partials(t->recorder, &cm.split, &cm.partials);
    ts_tile_set_rounded(tile, &cm);
    if (cm.scaled & 1) {
        ts_absmax(t->recorder,
                  &(struct ts_absmax_args){.x = t->a, .largest = t->largest, .count = cm.m * cm.k});
    }
    ts_gemm_rounded(t->recorder, &cm);
}

static ts_status time_once(struct trial *t, const ts_tile *tile, double *seconds, ts_error *err)
{
    ts_status status = TS_OK;
    double started_s = ts_clock_s();
    t->profile.row_count = 0;
    memset(t->profile.rows, 0, sizeof t->profile.rows);
    record(t, tile);
    TS_TRY(ts_recorder_run(t->recorder, err));
    *seconds = ts_clock_s() - started_s;
    if (t->profile.gpu != NULL) {
        double on_device = 0;
        for (size_t i = 0; i < t->profile.row_count; i++) {
            on_device += t->profile.rows[i].seconds;
        }
        *seconds = on_device > 0 ? on_device : *seconds;
    }
out:
    return status;
}

// The fastest time of each tile; INFINITY for one that the driver cannot build. The first run of
// each does not count, since drivers compile during it.
static ts_status time_tiles(struct trial *t, const ts_tile *tiles, uint32_t count, double *best,
                            ts_error *err)
{
    ts_status status = TS_OK;
    double seconds, spent[TS_TILES] = {0}, fastest = INFINITY;
    for (uint32_t i = 0; i < count; i++) {
        best[i] = INFINITY;
        if (time_once(t, &tiles[i], &seconds, err) != TS_OK) {
            if (i == 0) {
                return err->code;
            }
            spent[i] = INFINITY;
        }
    }
    for (uint32_t round = 0; round < ROUNDS; round++) { // in turn, so that drift affects all alike
        for (uint32_t i = 0; i < count; i++) {
            if (spent[i] >= ENOUGH_SECONDS || (round > 0 && best[i] > 2 * fastest)) {
                continue;
            }
            TS_TRY(time_once(t, &tiles[i], &seconds, err));
            spent[i] += seconds;
            best[i] = fmin(best[i], seconds);
            fastest = fmin(fastest, best[i]);
        }
    }
out:
    return status;
}

// Predicts how long a tile takes for `m` rows. A CPU runs one workgroup after another, so the time
// measured is scaled by the number of tiles. On a GPU similar numbers of rows take the same time.
static double predict(const struct known *known, uint32_t i, uint32_t m)
{
    const ts_tile *tile = &known->tiles[i];
    if (tile->family != TS_FAMILY_SIMD && tile->family != TS_FAMILY_PACKED) {
        return known->seconds[i];
    }
    return known->seconds[i] * (double)ts_ceil_div(m, tile->m) /
           (double)ts_ceil_div(known->product.rows, tile->m);
}

static bool same_bits(const ts_tile *one, const ts_tile *other)
{
    return one->family == other->family ||
           (one->family == TS_FAMILY_SIMD && other->family == TS_FAMILY_PACKED);
}

static uint32_t choose(const struct known *known, uint32_t m)
{
    uint32_t best = 0;
    const ts_tile *rule = &known->tiles[0];
    for (uint32_t i = 1; i < known->count; i++) { // among tiles that give the same bits
        if (same_bits(rule, &known->tiles[i]) && predict(known, i, m) < predict(known, best, m)) {
            best = i;
        }
    }
    if (predict(known, best, m) * AT_ALL > predict(known, 0, m)) {
        best = 0;
    }
    for (uint32_t i = 1; i < known->count; i++) { // then among the others
        if (!same_bits(rule, &known->tiles[i]) &&
            predict(known, i, m) * CLEARLY < predict(known, best, m)) {
            best = i;
        }
    }
    return best;
}

static void tell(const ts_choice *choice)
{
    char text[512] = "";
    size_t at = 0;
    for (uint32_t i = 0; i < choice->count && at < sizeof text; i++) {
        at += (size_t)snprintf(text + at, sizeof text - at, "%s %s%s %.3f ms", i > 0 ? "," : "",
                               choice->candidates[i].name, i == choice->chosen ? " (taken)" : "",
                               1e3 * choice->candidates[i].seconds);
    }
    ts_log(TS_LOG_DEBUG, "%s:%s", choice->product, text);
}

static ts_status measure(ts_gpu *gpu, const struct subject *subject, struct known *known,
                         ts_error *err)
{
    ts_status status = TS_OK;
    struct trial trial = {.gpu = gpu, .subject = subject, .arena = {.gpu = gpu}};
    ts_choice choice = {0};
    TS_TRY(open_trial(&trial, err));
    TS_TRY(time_tiles(&trial, known->tiles, known->count, known->seconds, err));
    uint32_t chosen = choose(known, known->product.rows);
    name_product(&known->product, choice.product);
    for (uint32_t i = 0; i < known->count; i++) {
        if (isfinite(known->seconds[i]) && known->seconds[i] > 0) {
            uint32_t at = choice.count++;
            choice.chosen = i == chosen ? at : choice.chosen;
            ts_tile_name(&known->tiles[i], ts_gpu_capabilities(gpu), choice.candidates[at].name);
            choice.candidates[at].seconds = known->seconds[i];
        }
    }
    if (choice.count > 0) {
        tell(&choice);
        ts_choices_keep(gpu, &choice);
    }
out:
    close_trial(&trial);
    return status;
}

// ---- Settling

static const struct known *find_settled(const struct settled *settled,
                                        const struct product *product)
{
    for (size_t i = 0; i < settled->count; i++) {
        if (memcmp(&settled->rows[i].product, product, sizeof *product) == 0) {
            return &settled->rows[i];
        }
    }
    return NULL;
}

// Takes the times from an earlier run. false: there are none, or they are not of these tiles.
static bool recall(ts_gpu *gpu, struct known *known)
{
    char product[TS_CHOICE_PRODUCT_BYTES], name[TS_TILE_NAME_BYTES];
    name_product(&known->product, product);
    const ts_choice *choice = ts_choices_find(gpu, product);
    uint32_t found = 0;
    for (uint32_t i = 0; choice != NULL && i < known->count; i++) {
        ts_tile_name(&known->tiles[i], ts_gpu_capabilities(gpu), name);
        for (uint32_t j = 0; j < choice->count; j++) {
            if (strcmp(name, choice->candidates[j].name) == 0) {
                known->seconds[i] = choice->candidates[j].seconds;
                found++;
            }
        }
    }
    return choice != NULL && found == choice->count && isfinite(known->seconds[0]);
}

// Lists the candidate tiles of a subject, whose arguments have the rule's tile. For gemm_rounded
// the first two of gemm are candidates too.
static void list_tiles(const ts_gpu_caps *caps, const struct subject *subject, struct known *known)
{
    if (subject->product.matrix == 0) {
        known->count = ts_tile_candidates(caps, &subject->gemm, known->tiles);
    } else {
        ts_tile others[TS_TILES];
        known->count = ts_tile_candidates_rounded(caps, &subject->cm, known->tiles);
        uint32_t other_count = ts_tile_candidates(caps, &subject->gemm, others);
        for (uint32_t i = 0; i < other_count && i < 2 && known->count < TS_TILES; i++) {
            known->tiles[known->count++] = others[i];
        }
    }
    for (uint32_t i = 0; i < known->count; i++) {
        known->seconds[i] = INFINITY;
    }
}

// Finds the times of a product's tiles: from an earlier run, or by measuring. NULL: out of memory.
static const struct known *settle(ts_gpu *gpu, struct settled *settled,
                                  const struct subject *subject)
{
    ts_error err = {0};
    if (ts_grow(&settled->rows, &settled->capacity, settled->count + 1, sizeof *settled->rows,
                NULL) != TS_OK) {
        return NULL;
    }
    struct known *known = &settled->rows[settled->count++];
    known->product = subject->product;
    list_tiles(ts_gpu_capabilities(gpu), subject, known);
    if (known->count > 1 && !recall(gpu, known)) {
        if (settled->stats.products++ == 0) {
            ts_log(TS_LOG_INFO, "measuring which tiles suit this device best; it remembers them");
        }
        double started_s = ts_clock_s();
        if (measure(gpu, subject, known, &err) != TS_OK) {
            ts_log(TS_LOG_DEBUG, "a product keeps the rule's tile: %s", err.message);
            known->count = 1;
        }
        settled->stats.seconds += ts_clock_s() - started_s;
    }
    return known;
}

static bool is_worth_it(const ts_gpu *gpu, uint32_t layout, uint32_t n, uint32_t k)
{
    return ts_gpu_may_tune(gpu) && layout != TS_TN && (uint64_t)n * k >= LEAST_WEIGHTS;
}

// How many rows to measure: fewer if a and c would need more than MOST_SCRATCH_BYTES.
static uint32_t rows_of(const ts_gpu *gpu, uint32_t m, uint32_t n, uint32_t k)
{
    uint64_t most = MOST_SCRATCH_BYTES / sizeof(float) / ((uint64_t)n + k);
    uint32_t rows = round_rows(ts_gpu_capabilities(gpu), m);
    while (rows > most && rows > 1) {
        rows /= 2;
    }
    return rows;
}

static struct ts_gemm_args dense(const ts_gpu_caps *caps, const struct product *p, ts_view b)
{
    struct ts_gemm_args args = {.b = b,
                                .m = p->rows,
                                .n = p->n,
                                .k = p->k,
                                .lda = p->k,
                                .ldb = p->layout == TS_NT ? p->k : p->n,
                                .ldc = p->n,
                                .alpha = 1};
    ts_gemm_choose(caps, (ts_layout)p->layout, &args);
    return args;
}

bool ts_tune_gemm(ts_recorder *recorder, struct ts_gemm_args *args)
{
    ts_gpu *gpu = ts_recorder_gpu(recorder);
    struct settled *settled;
    if (args->shader == TS_SHADER_gemv || args->shader == TS_SHADER_gemv_simd ||
        !is_worth_it(gpu, args->layout, args->n, args->k) || (settled = settled_of(gpu)) == NULL) {
        return true;
    }
    struct subject subject = {.product = {.layout = args->layout,
                                          .stored = args->b.dtype,
                                          .rows = rows_of(gpu, args->m, args->n, args->k),
                                          .n = args->n,
                                          .k = args->k}};
    const struct known *known = find_settled(settled, &subject.product);
    if (known == NULL) {
        subject.gemm = dense(ts_gpu_capabilities(gpu), &subject.product, args->b);
        known = settle(gpu, settled, &subject);
    }
    const ts_tile *tile = known != NULL ? &known->tiles[choose(known, args->m)] : NULL;
    if (tile != NULL && tile->family != TS_FAMILY_PACKED) {
        ts_tile_set(tile, args);
    }
    return tile == NULL || tile->family != TS_FAMILY_PACKED;
}

bool ts_tune_gemm_rounded(ts_recorder *recorder, struct ts_gemm_rounded_args *args)
{
    ts_gpu *gpu = ts_recorder_gpu(recorder);
    const ts_gpu_caps *caps = ts_gpu_capabilities(gpu);
    struct settled *settled;
    if (!is_worth_it(gpu, args->layout, args->n, args->k) || (settled = settled_of(gpu)) == NULL) {
        return true;
    }
    const bool bf16 = ts_precision_of(args->shader) == TS_PRECISION_BF16;
    struct subject subject = {.product = {.matrix = bf16 ? 2 : 1,
                                          .layout = args->layout,
                                          .stored = args->b.dtype,
                                          .rows = rows_of(gpu, args->m, args->n, args->k),
                                          .n = args->n,
                                          .k = args->k}};
    const struct known *known = find_settled(settled, &subject.product);
    if (known == NULL) {
        subject.gemm = dense(caps, &subject.product, args->b);
        subject.cm = *args;
        subject.cm.m = subject.product.rows;
        subject.cm.extra = subject.cm.extra_k = 0; // 1 % of the work; the tiles are the same
        subject.cm.epilogue = subject.cm.finds_largest = 0; // nor does it matter what follows
        subject.cm.added = 0;
        subject.cm.lda = subject.cm.k;
        if (!ts_gemm_rounded_choose(caps, args->shader, (ts_layout)args->layout, &subject.cm)) {
            return true; // that of `args` stays
        }
        known = settle(gpu, settled, &subject);
    }
    const ts_tile *tile = known != NULL ? &known->tiles[choose(known, args->m)] : NULL;
    const bool rounds =
        tile != NULL && (tile->family == TS_FAMILY_CM || tile->family == TS_FAMILY_DOT);
    if (rounds) {
        ts_tile_set_rounded(tile, args);
    }
    return tile == NULL || rounds;
}
