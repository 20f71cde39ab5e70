// A group of LoRA pairs: one dispatch where its matrices can be bound together, one for each pair
// where they lie in buffers of their own, and the same bits.
#include "ops/lora.h"

#include "base/memory.h"
#include "filled.h"

#include <string.h>

enum { PAIRS = 3, ROWS = 19, IN = 36, MOST = 40 * 36 };

static const uint32_t ranks[PAIRS] = {8, 5, 16}, outs[PAIRS] = {24, 8, 40};

// A group in memory, and what it leaves there.
struct group {
    ts_gpu *gpu;
    ts_gpu_arena arena;
    ts_recorder *recorder;
    ts_lora_group_pair pairs[PAIRS];
    ts_lora_input input;
    float results[PAIRS][4][MOST]; // t, dt, da, db
};

// Small blocks put every tensor into a buffer of its own. The pairs do not lie in their order.
static void open_group(struct group *g, ts_gpu *gpu, uint64_t block_bytes, bool normed)
{
    static const uint32_t order[PAIRS] = {2, 0, 1};
    *g = (struct group){.gpu = gpu, .arena = {.gpu = gpu, .block_bytes = block_bytes}};
    MUST(ts_recorder_open(gpu, &g->recorder, err));
    g->input.x = test_filled(&g->arena, ROWS * IN, 100);
    if (normed) {
        g->input.rstd = test_filled(&g->arena, ROWS, 101);
        g->input.weight = test_filled(&g->arena, IN, 102);
    }
    for (uint32_t i = 0; i < PAIRS; i++) {
        const uint32_t p = order[i], rank = ranks[p], out = outs[p];
        g->pairs[p] = (ts_lora_group_pair){.a = test_filled(&g->arena, rank * IN, 7 * p),
                                           .b = test_filled(&g->arena, out * rank, 7 * p + 1),
                                           .t = test_filled(&g->arena, ROWS * rank, 7 * p + 2),
                                           .dy = test_filled(&g->arena, ROWS * out, 7 * p + 3),
                                           .dt = test_filled(&g->arena, ROWS * rank, 7 * p + 4),
                                           .da = test_filled(&g->arena, rank * IN, 7 * p + 5),
                                           .db = test_filled(&g->arena, out * rank, 7 * p + 6),
                                           .rank = rank,
                                           .out_size = out,
                                           .scale = 0.5f + (float)p};
    }
}

static void close_group(struct group *g)
{
    ts_recorder_close(g->recorder);
    ts_gpu_arena_close(&g->arena);
}

static void record_group(struct group *g)
{
    ts_lora_forward_group(g->recorder, g->input.x, ROWS, IN, g->pairs, PAIRS);
    ts_lora_backward_group(g->recorder, ROWS, g->pairs, PAIRS);
    ts_lora_gradients_group(g->recorder, &g->input, ROWS, IN, g->pairs, PAIRS);
}

// Returns how many dispatches it took.
static uint64_t run_group(struct group *g)
{
    record_group(g);
    MUST(ts_recorder_run(g->recorder, err));
    for (uint32_t p = 0; p < PAIRS; p++) {
        const ts_view views[] = {g->pairs[p].t, g->pairs[p].dt, g->pairs[p].da, g->pairs[p].db};
        for (size_t v = 0; v < TS_COUNT(views); v++) {
            MUST(ts_gpu_download(g->gpu, views[v], g->results[p][v], views[v].bytes, err));
        }
    }
    return ts_recorder_statistics(g->recorder).dispatches;
}

static struct group together, apart;

static void compare(bool normed)
{
    ts_gpu *gpu = test_gpu_open();
    open_group(&together, gpu, 1 << 20, normed);
    open_group(&apart, gpu, 1, normed);
    // A pair's da and db are bound as one, so that they have a buffer for both.
    for (uint32_t p = 0; p < PAIRS; p++) {
        const uint64_t da = ts_align_up(ranks[p] * IN, 64), db = outs[p] * ranks[p];
        const ts_view both = test_filled(&apart.arena, da + db, 0);
        const ts_view parts[] = {ts_view_slice(both, 0, ranks[p] * IN),
                                 ts_view_slice(both, da, db)};
        ts_recorder_copy(apart.recorder, apart.pairs[p].da, parts[0]);
        ts_recorder_copy(apart.recorder, apart.pairs[p].db, parts[1]);
        apart.pairs[p].da = parts[0];
        apart.pairs[p].db = parts[1];
    }
    cr_expect_eq(run_group(&together), 3);
    cr_expect_eq(run_group(&apart), 3 * PAIRS);
    for (uint32_t p = 0; p < PAIRS; p++) {
        cr_expect_arr_eq(together.results[p], apart.results[p], sizeof apart.results[p],
                         "pair %u, %s", p, normed ? "normed" : "as it is");
    }
    close_group(&together);
    close_group(&apart);
    test_gpu_close(gpu);
}

Test(lora, a_group_is_bound_together_or_pair_by_pair)
{
    compare(false);
    compare(true);
}

Test(lora, views_of_one_buffer_and_type_join)
{
    ts_gpu *gpu = NULL;
    ts_view whole = {0}, other = {0};
    MUST(ts_gpu_open_mirror(&gpu, err));
    open_group(&together, gpu, 1 << 20, false);
    cr_expect(ts_view_join(&whole, together.pairs[0].t));
    cr_expect(ts_view_join(&whole, together.pairs[2].t));
    cr_expect_eq(whole.offset, together.pairs[2].t.offset, "the lowest is pair 2's");
    cr_expect_eq(whole.offset + whole.bytes,
                 together.pairs[0].t.offset + together.pairs[0].t.bytes);
    other = whole;
    open_group(&apart, gpu, 1, false);
    cr_expect_not(ts_view_join(&other, apart.pairs[0].t), "another buffer");
    ts_view half = together.pairs[1].t;
    half.dtype = TS_F16;
    cr_expect_not(ts_view_join(&other, half), "another type");
    cr_expect_eq(other.bytes, whole.bytes);
    close_group(&apart);
    close_group(&together);
    ts_gpu_close(gpu);
}
