// The recorder: a barrier exactly where one is needed, results in the recorded order, runs longer
// than one submission, and failures that are reported at the end of a run.
#include "base/memory.h"
#include "device.h"
#include "ops/gemm.h"

enum { COUNT = 300, VIEWS = 4 };

struct bench {
    ts_gpu *gpu;
    ts_recorder *recorder;
    ts_gpu_arena arena;
    ts_view views[VIEWS];
};

static void open_bench(struct bench *bench)
{
    float values[COUNT];
    *bench = (struct bench){.gpu = test_gpu_open()};
    bench->arena = (ts_gpu_arena){.gpu = bench->gpu, .block_bytes = 1 << 16};
    MUST(ts_recorder_open(bench->gpu, &bench->recorder, err));
    for (int v = 0; v < VIEWS; v++) {
        for (int i = 0; i < COUNT; i++) {
            values[i] = (float)(i + 1000 * v);
        }
        MUST(ts_gpu_alloc(&bench->arena, TS_F32, COUNT, &bench->views[v], err));
        MUST(ts_gpu_upload(bench->gpu, bench->views[v], values, sizeof values, err));
    }
}

static void close_bench(struct bench *bench)
{
    ts_recorder_close(bench->recorder);
    ts_gpu_arena_close(&bench->arena);
    test_gpu_close(bench->gpu);
}

static void add(struct bench *bench, ts_view y, ts_view x)
{
    ts_add(bench->recorder,
           &(struct ts_add_args){.y = y, .x = x, .count = (uint32_t)(x.bytes / sizeof(float))});
}

static uint64_t barriers(const struct bench *bench)
{
    return ts_recorder_statistics(bench->recorder).barriers;
}

static float element(struct bench *bench, int view, int index)
{
    float values[COUNT];
    MUST(ts_gpu_download(bench->gpu, bench->views[view], values, sizeof values, err));
    return values[index];
}

Test(recorder, independent_work_has_no_barrier)
{
    struct bench b;
    open_bench(&b);
    add(&b, b.views[0], b.views[2]);
    add(&b, b.views[1], b.views[2]); // both read view 2, and write to different views
    cr_assert_eq(barriers(&b), 0);
    MUST(ts_recorder_run(b.recorder, err));
    cr_assert_eq(element(&b, 0, 5), 5 + 2005);
    cr_assert_eq(element(&b, 1, 5), 1005 + 2005);
    close_bench(&b);
}

Test(recorder, parts_of_one_tensor_are_independent)
{
    struct bench b;
    open_bench(&b);
    ts_view low = ts_view_slice(b.views[0], 0, 64), high = ts_view_slice(b.views[0], 64, 64);
    add(&b, low, ts_view_slice(b.views[1], 0, 64));
    add(&b, high, ts_view_slice(b.views[1], 64, 64));
    cr_assert_eq(barriers(&b), 0);
    add(&b, b.views[0], b.views[1]); // overlaps both
    cr_assert_eq(barriers(&b), 1);
    MUST(ts_recorder_run(b.recorder, err));
    cr_assert_eq(element(&b, 0, 3), 3 + 2 * 1003);
    cr_assert_eq(element(&b, 0, 100), 100 + 2 * 1100);
    cr_assert_eq(element(&b, 0, 200), 200 + 1200);
    close_bench(&b);
}

Test(recorder, reading_what_was_written_waits)
{
    struct bench b;
    open_bench(&b);
    add(&b, b.views[0], b.views[1]);
    add(&b, b.views[2], b.views[0]); // read after write
    cr_assert_eq(barriers(&b), 1);
    MUST(ts_recorder_run(b.recorder, err));
    cr_assert_eq(element(&b, 2, 7), 2007 + 7 + 1007);
    close_bench(&b);
}

Test(recorder, writing_what_was_read_waits)
{
    struct bench b;
    open_bench(&b);
    add(&b, b.views[0], b.views[1]);
    add(&b, b.views[1], b.views[2]); // write after read
    cr_assert_eq(barriers(&b), 1);
    MUST(ts_recorder_run(b.recorder, err));
    cr_assert_eq(element(&b, 0, 7), 7 + 1007);
    cr_assert_eq(element(&b, 1, 7), 1007 + 2007);
    close_bench(&b);
}

Test(recorder, writing_what_was_written_waits)
{
    struct bench b;
    open_bench(&b);
    ts_recorder_zero(b.recorder, b.views[0]);
    ts_recorder_copy(b.recorder, b.views[1], b.views[0]); // write after write
    cr_assert_eq(barriers(&b), 1);
    ts_recorder_zero(b.recorder, b.views[2]); // apart from both
    cr_assert_eq(barriers(&b), 1);
    ts_recorder_zero(b.recorder, b.views[1]); // write after read, by transfers
    cr_assert_eq(barriers(&b), 2);
    MUST(ts_recorder_run(b.recorder, err));
    cr_assert_eq(element(&b, 0, 7), 1007);
    cr_assert_eq(element(&b, 1, 7), 0);
    close_bench(&b);
}

Test(recorder, a_barrier_settles_all_before_it)
{
    struct bench b;
    open_bench(&b);
    add(&b, b.views[0], b.views[3]);
    add(&b, b.views[1], b.views[3]);
    add(&b, b.views[2], b.views[0]); // waits for view 0, and so for view 1
    add(&b, b.views[3], b.views[1]);
    cr_assert_eq(barriers(&b), 1);
    MUST(ts_recorder_run(b.recorder, err));
    cr_assert_eq(element(&b, 3, 7), 3007 + 1007 + 3007);
    // A new run needs no barrier at its start: the host has waited for the last run.
    add(&b, b.views[2], b.views[0]);
    cr_assert_eq(barriers(&b), 1);
    MUST(ts_recorder_run(b.recorder, err));
    close_bench(&b);
}

// A chain over several submissions and several pools of descriptor sets, run three times.
// A fact about a tensor holds until the tensor or the fact is written, or work is sent.
Test(recorder, what_was_derived_holds_until_it_is_written)
{
    struct bench b;
    open_bench(&b);
    const ts_view half = ts_view_slice(b.views[0], COUNT / 2, COUNT / 2);
    for (int written = 0; written < VIEWS; written++) {
        ts_recorder_derived(b.recorder, b.views[0], b.views[1]);
        add(&b, b.views[2], b.views[0]); // reads the tensor
        add(&b, b.views[3], b.views[1]); // reads the fact
        cr_expect(ts_recorder_still_derived(b.recorder, b.views[0], b.views[1]));
        cr_expect_not(ts_recorder_still_derived(b.recorder, half, b.views[1]));
        cr_expect_not(ts_recorder_still_derived(b.recorder, b.views[0], b.views[2]));
        add(&b, b.views[written], b.views[2]);
        cr_expect_eq(ts_recorder_still_derived(b.recorder, b.views[0], b.views[1]), written > 1);
    }
    ts_recorder_derived(b.recorder, b.views[0], b.views[1]);
    ts_recorder_zero(b.recorder, ts_view_slice(b.views[0], 0, 1)); // a part is enough
    cr_expect_not(ts_recorder_still_derived(b.recorder, b.views[0], b.views[1]));
    ts_recorder_derived(b.recorder, b.views[0], b.views[1]);
    MUST(ts_recorder_run(b.recorder, err));
    cr_expect_not(ts_recorder_still_derived(b.recorder, b.views[0], b.views[1]));
    close_bench(&b);
}

Test(recorder, long_runs_keep_their_order)
{
    enum { CHAIN = 701 };
    struct bench b;
    open_bench(&b);
    for (int run = 0; run < 3; run++) {
        float ones[COUNT];
        for (int i = 0; i < COUNT; i++) {
            ones[i] = 1;
        }
        MUST(ts_gpu_upload(b.gpu, b.views[0], ones, sizeof ones, err));
        ts_recorder_zero(b.recorder, b.views[1]);
        for (int i = 0; i < CHAIN; i++) {
            add(&b, b.views[1], b.views[0]);
        }
        MUST(ts_recorder_run(b.recorder, err));
        cr_assert_eq(element(&b, 1, 0), CHAIN);
        cr_assert_eq(element(&b, 1, COUNT - 1), CHAIN);
    }
    ts_recorder_stats stats = ts_recorder_statistics(b.recorder);
    cr_assert_eq(stats.dispatches, 3 * CHAIN);
    cr_assert_eq(stats.barriers, 3 * CHAIN);
    cr_assert_geq(stats.submits, 3 * 3); // 256 dispatches each at most
    close_bench(&b);
}

Test(recorder, an_empty_run_is_fine)
{
    struct bench b;
    open_bench(&b);
    MUST(ts_recorder_run(b.recorder, err));
    MUST(ts_recorder_run(b.recorder, err));
    close_bench(&b);
}

// A run reports its first failure, nothing recorded after that is executed, and the next run works.
Test(recorder, failures_wait_for_the_run)
{
    struct bench b;
    ts_error first = {0}, second = {0}, told = {0};
    open_bench(&b);
    ts_error_set(&first, TS_ERR_FORMAT, "the first");
    ts_error_set(&second, TS_ERR_IO, "the second");
    add(&b, b.views[0], b.views[1]);
    ts_recorder_fail(b.recorder, &first);
    ts_recorder_fail(b.recorder, &second);
    ts_recorder_zero(b.recorder, b.views[2]);
    add(&b, b.views[3], b.views[1]);
    cr_assert_eq(ts_recorder_run(b.recorder, &told), TS_ERR_FORMAT);
    cr_assert_str_eq(told.message, "the first");
    cr_assert_eq(element(&b, 2, 7), 2007);
    cr_assert_eq(element(&b, 3, 7), 3007);
    add(&b, b.views[3], b.views[1]);
    MUST(ts_recorder_run(b.recorder, err));
    cr_assert_eq(element(&b, 3, 7), 3007 + 1007);
    close_bench(&b);
}

Test(recorder, too_many_workgroups_are_refused)
{
    struct bench b;
    ts_error told = {0};
    open_bench(&b);
    ts_recorder_dispatch(b.recorder,
                         &(ts_dispatch){.pipeline = {.name = "any"}, .groups = {1, UINT32_MAX, 1}});
    cr_assert_eq(ts_recorder_run(b.recorder, &told), TS_ERR_UNSUPPORTED);
    cr_assert_not_null(strstr(told.message, "shader any: 4294967295 workgroups in dimension 1"));
    close_bench(&b);
}

// With almost no time allowed every dispatch is split, in the end into single workgroups, and the
// bytes are the same.
Test(recorder, pieces_make_the_whole)
{
    enum { M = 100, N = 150, K = 40 };
    struct bench b;
    ts_view a, w, c[2];
    static float values[2][M * N], have[2][M * N];
    open_bench(&b);
    for (int i = 0; i < M * N; i++) {
        values[0][i] = (float)(i % 17) - 8;
        values[1][i] = (float)(i % 23) / 8;
    }
    MUST(ts_gpu_alloc(&b.arena, TS_F32, M * K, &a, err));
    MUST(ts_gpu_alloc(&b.arena, TS_F32, N * K, &w, err));
    MUST(ts_gpu_upload(b.gpu, a, values[0], M * K * sizeof(float), err));
    MUST(ts_gpu_upload(b.gpu, w, values[1], N * K * sizeof(float), err));
    uint64_t submits = 0;
    for (int i = 0; i < 2; i++) {
        MUST(ts_gpu_alloc(&b.arena, TS_F32, M * N, &c[i], err));
        ts_recorder_limit(b.recorder, i == 0 ? 10 : 1e-12);
        submits = ts_recorder_statistics(b.recorder).submits;
        ts_matmul(b.recorder, &(ts_product){.layout = TS_NT,
                                            .m = M,
                                            .n = N,
                                            .k = K,
                                            .a = a,
                                            .b = w,
                                            .c = c[i],
                                            .alpha = 1,
                                            .extra = {w, a, 8, 0.5f}});
        add(&b, ts_view_slice(c[i], 0, 64 * K), ts_view_slice(a, 0, 64 * K)); // one dimension
        MUST(ts_recorder_run(b.recorder, err));
        submits = ts_recorder_statistics(b.recorder).submits - submits;
        cr_assert(i == 0 ? submits <= 2 : submits > 4, "%d submits", (int)submits);
        MUST(ts_gpu_download(b.gpu, c[i], have[i], sizeof have[i], err));
    }
    cr_assert_arr_eq(have[0], have[1], sizeof have[0]);
    close_bench(&b);
}

// Work that is sent and not waited for stays in order, even if it is more than the ring holds. A
// ticket tells when a result may be read.
Test(recorder, the_host_works_ahead)
{
    enum { AHEAD = 20 };
    struct bench b;
    uint64_t tickets[AHEAD];
    open_bench(&b);
    ts_recorder_zero(b.recorder, b.views[1]);
    for (int i = 0; i < AHEAD; i++) {
        add(&b, b.views[1], b.views[2]);
        MUST(ts_recorder_send(b.recorder, &tickets[i], err));
        cr_assert(i == 0 || tickets[i] > tickets[i - 1]);
    }
    uint64_t nothing_new;
    MUST(ts_recorder_send(b.recorder, &nothing_new, err));
    cr_assert_eq(nothing_new, tickets[AHEAD - 1]);
    MUST(ts_recorder_wait(b.recorder, tickets[0], err));
    MUST(ts_recorder_wait(b.recorder, nothing_new, err));
    cr_assert_eq(element(&b, 1, 7), AHEAD * 2007.0f);
    cr_assert_eq(barriers(&b), AHEAD); // one before each addition, across submits too
    ts_recorder_stats stats = ts_recorder_statistics(b.recorder);
    cr_assert_eq(stats.submits, AHEAD);
    // Without timestamps a submit's time is known only where the host waited for its end.
    bool has_clock = ts_gpu_capabilities(b.gpu)->timestamp_ns > 0;
    cr_assert(stats.longest_s <= stats.busy_s && (stats.longest_s > 0 || !has_clock));
    close_bench(&b);
}
