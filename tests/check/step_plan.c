// What a training step would dispatch, planned without running it.
#include "check/pipelines.h"
#include "device.h"

#include "base/memory.h"

#include <string.h>

enum { TOKENS = 100, LAYERS = 22, HEADS = 32, KV_HEADS = 4, HIDDEN = 2048 };

// The parts whose shader's name begins so, added up.
static ts_step_part sum_of(ts_gpu *gpu, const ts_step_plan *plan, const char *shader)
{
    ts_step_part sum = {0};
    for (size_t i = 0; i < plan->count; i++) {
        const ts_step_part *part = &plan->parts[i];
        if (strncmp(ts_gpu_pipeline_key(gpu, i)->name, shader, strlen(shader)) == 0) {
            sum.dispatches += part->dispatches;
            sum.workgroups += part->workgroups;
            sum.loops += part->loops;
            sum.longest = ts_max_u64(sum.longest, part->longest);
            sum.bytes += part->bytes;
        }
    }
    return sum;
}

Test(step_plan, counts_what_a_step_dispatches)
{
    ts_gpu *gpu = NULL;
    ts_step_plan plan;
    ts_text listing = {0};
    MUST(ts_gpu_open(&(ts_gpu_params){.device = "0", .compile_only = true}, &gpu, err));
    MUST(ts_step_plan_make(gpu, TS_PRECISION_F32, TOKENS, &plan, err));
    cr_assert_eq(plan.count, ts_gpu_pipeline_count(gpu));
    // Each layer's norms but the first's add the residual stream; one more stands before lm_head.
    cr_assert_eq(sum_of(gpu, &plan, "add_rmsnorm").dispatches, 2 * LAYERS - 1);
    cr_assert_eq(sum_of(gpu, &plan, "swiglu_backward").dispatches, LAYERS);
    cr_assert_eq(sum_of(gpu, &plan, "attention").dispatches, 3 * LAYERS);
    cr_assert_eq(sum_of(gpu, &plan, "adamw").dispatches, 1);
    cr_assert_eq(sum_of(gpu, &plan, "absmax").dispatches, 0, "f32 scales nothing");
    const ts_step_part embed = sum_of(gpu, &plan, "embed");
    cr_assert_gt(embed.bytes, 2 * TOKENS * HIDDEN * sizeof(float), "it is read and written");
    // A query sees itself and what is before it; a key is seen by itself and what is behind it, in
    // every head of its group.
    const ts_step_part keys = sum_of(gpu, &plan, "attention_backward_kv");
    const uint64_t pairs = (uint64_t)TOKENS * (TOKENS + 1) / 2, group = HEADS / KV_HEADS;
    cr_assert_geq(keys.longest, TOKENS);
    cr_assert_geq(keys.loops * 64, LAYERS * pairs * KV_HEADS * group, "64 keys at most at a time");
    cr_assert_leq(keys.loops, LAYERS * (uint64_t)TOKENS * TOKENS * KV_HEADS * group);
    MUST(ts_gpu_pipeline_listing(gpu, 0, &listing, err));
    cr_assert_eq(listing.len, 0, "it was not asked for");
    ts_step_plan_free(&plan);
    test_gpu_close(gpu);
}

// On a GPU layers that read one input share dispatches, and what follows from a product is not one
// of its own: 10 a layer forward and 11 backward, of f32. Layer 0 gives its input no gradient.
Test(step_plan, a_gpu_shares_dispatches)
{
    ts_gpu *gpu = NULL;
    ts_step_plan plan;
    ts_gpu_params params = {.device = "0", .compile_only = true};
    MUST(ts_gpu_masks_parse("cpu-driver", &params.masks, err));
    MUST(ts_gpu_open(&params, &gpu, err));
    MUST(ts_step_plan_make(gpu, TS_PRECISION_F32, TOKENS, &plan, err));
    cr_expect_eq(sum_of(gpu, &plan, "lora_products").dispatches, 2 * LAYERS, "t, and dt");
    cr_expect_eq(sum_of(gpu, &plan, "lora_gradients").dispatches, LAYERS);
    cr_expect_eq(sum_of(gpu, &plan, "add_rmsnorm").dispatches, 0,
                 "products add the residual stream");
    cr_expect_eq(sum_of(gpu, &plan, "rmsnorm_again").dispatches, 0);
    cr_expect_eq(sum_of(gpu, &plan, "swiglu").dispatches, 0);
    // Seven forward; down's, gate and up's, o's, and q, k and v's backward; lm_head's, once each
    // way.
    cr_expect_eq(sum_of(gpu, &plan, "gemm").dispatches, 11 * LAYERS - 1 + 2);
    cr_expect_leq(sum_of(gpu, &plan, "").dispatches, 540);
    ts_step_plan_free(&plan);
    test_gpu_close(gpu);
}

// Products of few rows are gemv's, which has no k_step: 64 invocations take eight elements each.
Test(step_plan, few_tokens_have_a_step_too)
{
    ts_gpu *gpu = NULL;
    ts_step_plan plan;
    ts_gpu_params params = {.device = "0", .compile_only = true};
    MUST(ts_gpu_masks_parse("subgroup-operations", &params.masks, err)); // else gemv_simd's
    MUST(ts_gpu_open(&params, &gpu, err));
    MUST(ts_step_plan_make(gpu, TS_PRECISION_F32, 2, &plan, err));
    const ts_step_part products = sum_of(gpu, &plan, "gemv");
    cr_assert_gt(products.dispatches, 0);
    cr_assert_geq(products.loops, products.workgroups * (HIDDEN / (64 * 8)));
    ts_step_plan_free(&plan);
    test_gpu_close(gpu);
}
