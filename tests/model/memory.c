// The memory of a pass: tensors that are needed at the same time do not overlap, and all together
// take no more than when their places were chosen by hand.
#include "base/memory.h"
#include "base/rng.h"
#include "device.h"
#include "model/pass.h"
#include "model/placement.h"

enum { PHASES = 100, WORDS = 2, TENSORS = 60 };

static bool live_together(const ts_placement *a, const ts_placement *b)
{
    return ((a->phases[0] & b->phases[0]) | (a->phases[1] & b->phases[1])) != 0;
}

// The most floats that are needed in one phase. Sizes here are multiples of the alignment.
static uint64_t fullest_phase(const ts_placement *tensors)
{
    uint64_t most = 0;
    for (uint32_t phase = 0; phase < PHASES; phase++) {
        uint64_t sum = 0;
        for (size_t i = 0; i < TENSORS; i++) {
            sum += tensors[i].phases[phase / 64] >> phase % 64 & 1 ? tensors[i].views[0]->bytes : 0;
        }
        most = ts_max_u64(most, sum);
    }
    return most;
}

Test(memory, what_lives_together_lies_apart)
{
    ts_gpu *gpu = NULL;
    MUST(ts_gpu_open_mirror(&gpu, err));
    for (uint32_t round = 0; round < 20; round++) {
        ts_placement tensors[TENSORS];
        ts_view views[TENSORS] = {0};
        uint64_t phases[TENSORS][WORDS] = {{0}}, all = 0;
        ts_gpu_arena arena = {.gpu = gpu, .block_bytes = 1};
        for (uint32_t i = 0; i < TENSORS; i++) {
            const uint32_t at = 3 * i;
            uint32_t first = (uint32_t)(ts_random_uniform(round, at, 0) * PHASES);
            uint32_t length = (uint32_t)(ts_random_uniform(round, at, 1) * 12);
            uint64_t count = 64 + 64 * (uint64_t)(ts_random_uniform(round, at, 2) * 50);
            ts_phases_add(phases[i], first, (uint32_t)ts_min_u64(first + length, PHASES - 1));
            tensors[i] =
                (ts_placement){.views = {&views[i]}, .counts = {count}, .phases = phases[i]};
            all += count * sizeof(double); // the mirror's
        }
        MUST(ts_place(tensors, TENSORS, round, WORDS, 64 << 10, &arena, err));
        for (size_t i = 0; i < TENSORS; i++) {
            cr_assert_eq(views[i].bytes, tensors[i].counts[0] * sizeof(double));
            for (size_t j = 0; j < i; j++) {
                bool apart = views[i].buffer != views[j].buffer ||
                             views[i].offset + views[i].bytes <= views[j].offset ||
                             views[j].offset + views[j].bytes <= views[i].offset;
                cr_assert(apart || !live_together(&tensors[i], &tensors[j]),
                          "round %u: %zu lies over %zu", round, i, j);
            }
        }
        cr_assert_geq(arena.used_bytes, fullest_phase(tensors));
        cr_assert_lt(arena.used_bytes, all / 2, "round %u: nothing is shared", round);
        ts_gpu_arena_close(&arena);
    }
    ts_gpu_close(gpu);
}

// Tensors of one placement lie in their order, each at an aligned start, with nothing between.
Test(memory, side_by_side)
{
    enum { COUNT = 100, APART = 128 }; // 100 rounded up to whole steps of 64
    ts_gpu *gpu = NULL;
    ts_view views[4] = {0}, span;
    uint64_t phases[2] = {1, 1};
    uint32_t first[3];
    MUST(ts_gpu_open_mirror(&gpu, err));
    ts_gpu_arena arena = {.gpu = gpu, .block_bytes = 1};
    const ts_placement tensors[] = {{.views = {&views[3]}, .counts = {COUNT}, .phases = &phases[0]},
                                    {.views = {&views[0], &views[1], &views[2]},
                                     .counts = {COUNT, 1, COUNT},
                                     .phases = &phases[1]}};
    MUST(ts_place(tensors, 2, 0, 1, 64 << 10, &arena, err));
    cr_assert(ts_view_span(views, 3, &span, first));
    cr_expect_eq(first[0], 0);
    cr_expect_eq(first[1], APART);
    cr_expect_eq(first[2], APART + 64);
    cr_expect_eq(span.bytes, (APART + 64 + COUNT) * sizeof(double));
    cr_expect(views[3].buffer != span.buffer || views[3].offset >= span.offset + span.bytes ||
              views[3].offset + views[3].bytes <= span.offset);
    cr_expect_not(ts_view_span((ts_view[]){views[1], views[0]}, 2, &span, first), "out of order");
    ts_gpu_arena_close(&arena);
    ts_gpu_close(gpu);
}

// The bytes that passes of TinyLlama's shape took before ts_place existed. They leave out what was
// counted with the model then: the gradients, and 2 KiB for rounding; and what there was one of
// then, not three: dt. At 2048 tokens dk and dv are divided into parts (ts_attention_parts), which
// takes up to 8.3 MiB more (at 512 tokens, of q and v, 1.3 MiB); that dq, dk and dv lie side by side costs 4.3 MiB where few rows bear
// loss.
Test(memory, no_more_than_by_hand)
{
    enum { QV = TS_MODULE_BIT(TS_MODULE_Q) | TS_MODULE_BIT(TS_MODULE_V) };
    static const struct {
        ts_pass_limits limits;
        uint32_t targets;
        double dropout;
        uint64_t bytes;
    } by_hand[] = {
        {{512, 511, true, 0}, QV, 0, 924063744},
        {{512, 511, true, 0}, TS_MODULES_ALL, 0, 935241728},
        {{512, 511, true, 0}, TS_MODULES_ALL, 0.1, 946776064},
        {{2048, 2000, true, 0}, QV, 0, 3696263168},
        {{2048, 2000, true, 10}, QV, 0, 2773516288},
        {{2048, 2000, true, 21}, TS_MODULES_ALL, 0.1, 1849335808},
        {{2048, 100, true, 0}, QV, 0, 3696208896},
        {{44, 20, true, 0}, QV, 0, 80969472},
        {{100, 90, true, 3}, TS_MODULE_BIT(TS_MODULE_DOWN), 0, 173158656},
        {{1024, 32, false, 0}, 0, 0, 121795584},
        {{64, 64, false, 0}, 0, 0, 14887680},
    };
    for (size_t i = 0; i < TS_COUNT(by_hand); i++) {
        const ts_model_config *c = &ts_model_config_tinyllama;
        const ts_adapter_config adapter = {
            .r = 8, .alpha = 16, .dropout = by_hand[i].dropout, .targets = by_hand[i].targets};
        uint64_t bytes, largest, count = 0, parameters;
        MUST(ts_pass_plan(c, TS_BF16, false, adapter.targets != 0 ? &adapter : NULL,
                          TS_PRECISION_F32, by_hand[i].limits, &bytes, &largest, err));
        if (by_hand[i].limits.training) {
            ts_lora_measure(c, &adapter, &count, &parameters);
        }
        uint64_t weights = ts_align_up(by_hand[i].limits.loss_rows * sizeof(float), 256);
        bytes -=
            by_hand[i].limits.training ? 2 * by_hand[i].limits.rows * adapter.r * sizeof(float) : 0;
        bytes -= count * sizeof(float) + 2048 + weights * (by_hand[i].limits.training ? 2 : 1);
        cr_expect_leq(bytes, by_hand[i].bytes, "row %zu: %llu bytes", i, (unsigned long long)bytes);
    }
}
