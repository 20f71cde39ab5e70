// A window of attention, as Mistral has: what a row sees through it, and what it does not.
#include "tiny_llama.h"

enum { TOKENS = 9, WINDOW = 3, REACH = TINY_LAYERS * (WINDOW - 1) }; // rows back that count

static void logits_of(ts_model *model, const uint32_t *ids, float *logits)
{
    ts_pass pass;
    ts_batch batch = {0};
    MUST(ts_pass_open(model, (ts_pass_limits){.rows = TINY_ROWS, .loss_rows = TINY_ROWS}, &pass,
                      err));
    MUST(ts_batch_add(&batch, ids, 2, NULL, err)); // so that the sequence does not start at row 0
    MUST(ts_batch_add(&batch, ids, TOKENS, NULL, err));
    for (uint32_t t = 0; t < TOKENS; t++) {
        MUST(ts_batch_ask(&batch, 2 + t, err));
    }
    MUST(ts_pass_logits(&pass, &batch, logits, err));
    ts_batch_free(&batch);
    ts_pass_close(&pass);
}

// Another token at one place changes only the rows that see it through the windows of two layers;
// the others keep their bits.
Test(window, hides_what_lies_before_it)
{
    const tiny_llama windowed = {.family = TS_FAMILY_MISTRAL, .window = WINDOW};
    static float before[TOKENS * TINY_VOCAB], after[TOKENS * TINY_VOCAB];
    uint32_t ids[TOKENS] = {3, 7, 4, 9, 11, 5, 8, 2, 6};
    ts_gpu *gpu = test_gpu_open();
    ts_model model;
    tiny_open(gpu, &windowed, &model);
    logits_of(&model, ids, before);
    for (uint32_t at = 0; at < TOKENS; at++) {
        uint32_t kept = ids[at];
        ids[at] = 13;
        logits_of(&model, ids, after);
        ids[at] = kept;
        for (uint32_t t = 0; t < TOKENS; t++) {
            bool seen = t >= at && t - at <= REACH;
            bool same = memcmp(before + t * TINY_VOCAB, after + t * TINY_VOCAB,
                               TINY_VOCAB * sizeof *before) == 0;
            cr_expect_neq(same, seen, "row %u and token %u", t, at);
        }
    }
    test_model_close(&model);
    test_gpu_close(gpu);
}

// A window as wide as the sequence, or wider, is the same as none.
Test(window, that_covers_all_is_none)
{
    static float plain[TOKENS * TINY_VOCAB], covered[TOKENS * TINY_VOCAB];
    static const uint32_t ids[TOKENS] = {3, 7, 4, 9, 11, 5, 8, 2, 6};
    ts_gpu *gpu = test_gpu_open();
    ts_model model;
    tiny_open(gpu, &(tiny_llama){0}, &model);
    logits_of(&model, ids, plain);
    test_model_close(&model);
    for (uint32_t window = TOKENS; window < TINY_POSITIONS; window += TOKENS / 2) {
        tiny_open(gpu, &(tiny_llama){.family = TS_FAMILY_MISTRAL, .window = window}, &model);
        cr_assert_eq(model.config.window, window);
        logits_of(&model, ids, covered);
        cr_expect_eq(memcmp(plain, covered, sizeof plain), 0, "%u", window);
        test_model_close(&model);
    }
    test_gpu_close(gpu);
}
