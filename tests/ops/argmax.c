// The likeliest token. There is none if a logit is NaN or infinite, wherever it is in the row.
#include "base/memory.h"
#include "device.h"
#include "ops/kernels.h"

#include <math.h>
#include <stdlib.h>

enum { ROWS = 11 };

static void fill(float *logits, uint32_t vocab)
{
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    uint32_t seed = vocab;
    for (size_t i = 0; i < (size_t)ROWS * vocab; i++) {
        seed = seed * 1664525u + 1013904223u;
        logits[i] = (float)(int32_t)seed * 0x1p-20f;
    }
    for (uint32_t i = 0; i < 9; i++) { // rows 0 to 8: at the start, in the middle, at the end
        static const double places[] = {0, 0.5, 1};
        uint32_t at = (uint32_t)(places[i / 3] * (vocab - 1));
        logits[i * vocab + at] = bad[i % 3];
    }
    logits[10 * vocab + vocab - 1] = 3.4e38f; // large, but a number
}

static void run(ts_gpu *gpu, const float *logits, uint32_t vocab, uint32_t *best)
{
    ts_gpu_arena arena = {.gpu = gpu, .block_bytes = 1 << 20};
    ts_recorder *recorder;
    ts_view in, out;
    MUST(ts_recorder_open(gpu, &recorder, err));
    MUST(ts_gpu_alloc(&arena, TS_F32, (size_t)ROWS * vocab, &in, err));
    MUST(ts_gpu_alloc(&arena, TS_U32, ROWS, &out, err));
    MUST(ts_gpu_upload(gpu, in, logits, (size_t)ROWS * vocab * sizeof *logits, err));
    ts_argmax(recorder,
              &(struct ts_argmax_args){.logits = in, .best = out, .rows = ROWS, .vocab = vocab});
    MUST(ts_recorder_run(recorder, err));
    MUST(ts_gpu_download(gpu, out, best, ROWS * sizeof *best, err));
    ts_recorder_close(recorder);
    ts_gpu_arena_close(&arena);
}

Test(argmax, takes_no_token_of_a_row_that_is_not_finite)
{
    static const uint32_t vocabs[] = {1, 7, 64, 2048, 3001};
    ts_gpu *gpu = test_gpu_open(), *mirror = NULL;
    MUST(ts_gpu_open_mirror(&mirror, err));
    for (size_t i = 0; i < TS_COUNT(vocabs); i++) {
        uint32_t vocab = vocabs[i], have[ROWS], want[ROWS];
        float *logits = calloc((size_t)ROWS * vocab, sizeof *logits);
        fill(logits, vocab);
        run(gpu, logits, vocab, have);
        run(mirror, logits, vocab, want);
        for (uint32_t row = 0; row < ROWS; row++) {
            cr_expect_eq(have[row], want[row], "vocab %u, row %u: %u, not %u", vocab, row,
                         have[row], want[row]);
            cr_expect_eq(want[row] == UINT32_MAX, row < 9, "vocab %u, row %u", vocab, row);
        }
        cr_expect_eq(have[10], vocab - 1);
        free(logits);
    }
    ts_gpu_close(mirror);
    test_gpu_close(gpu);
}
