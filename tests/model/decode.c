// Decoding from the cache against full forward passes: the tokens must be the ones that the
// logits over prompt and answer so far would have picked.
#include "model/decode.h"
#include "base/file.h"
#include "base/memory.h"
#include "opened.h"

#include <stdlib.h>
#include <string.h>

enum { SEQUENCES = 5, NEW_TOKENS = 12, LONGEST = 90 };

// Prompts of awkward lengths, and the whole sequences after decoding.
struct story {
    ts_tokens prompts[SEQUENCES], whole[SEQUENCES];
};

static void make_prompts(struct story *story, uint32_t vocab)
{
    static const uint32_t lengths[SEQUENCES] = {1, 7, LONGEST, 64, 13};
    uint32_t state = 7;
    *story = (struct story){0};
    for (int s = 0; s < SEQUENCES; s++) {
        for (uint32_t t = 0; t < lengths[s]; t++) {
            state = state * 1664525u + 1013904223u;
            uint32_t id = t == 0 ? 1 : 3 + (state >> 8) % (vocab - 3);
            MUST(ts_tokens_push(&story->prompts[s], id, err));
            MUST(ts_tokens_push(&story->whole[s], id, err));
        }
    }
}

static void free_story(struct story *story)
{
    for (int s = 0; s < SEQUENCES; s++) {
        ts_tokens_free(&story->prompts[s]);
        ts_tokens_free(&story->whole[s]);
    }
}

// Sequence s stops after NEW_TOKENS - s tokens, so that the batch shrinks and slots get gaps.
static void decode(ts_decoder *decoder, struct story *story)
{
    uint32_t slots[SEQUENCES], ids[SEQUENCES], next[SEQUENCES], active = SEQUENCES;
    MUST(ts_decoder_prompt(decoder, story->prompts, SEQUENCES, next, err));
    for (uint32_t s = 0; s < SEQUENCES; s++) {
        slots[s] = s;
    }
    for (uint32_t made = 1; active > 0; made++) {
        uint32_t kept = 0;
        for (uint32_t i = 0; i < active; i++) {
            MUST(ts_tokens_push(&story->whole[slots[i]], next[i], err));
            if (made < NEW_TOKENS - slots[i] % 3 * 4) {
                ids[kept] = next[i];
                slots[kept++] = slots[i];
            }
        }
        active = kept;
        if (active > 0) {
            MUST(ts_decoder_step(decoder, slots, ids, active, next, err));
        }
    }
}

// Every answer token is the likeliest one in a pass without a cache. If two logits differ by no
// more than rounding (`slack`), either token is right.
static void check(ts_model *model, const struct story *story, double slack)
{
    ts_pass pass;
    uint32_t vocab = model->config.vocab, rows = LONGEST + NEW_TOKENS;
    float *logits = malloc((size_t)rows * vocab * sizeof *logits);
    MUST(ts_pass_open(model, (ts_pass_limits){.rows = rows, .loss_rows = rows}, &pass, err));
    for (int s = 0; s < SEQUENCES; s++) {
        const ts_tokens *whole = &story->whole[s];
        uint32_t prompt = (uint32_t)story->prompts[s].count, count = (uint32_t)whole->count - 1;
        ts_batch batch = {0};
        MUST(ts_batch_add(&batch, whole->ids, count, NULL, err));
        for (uint32_t row = prompt - 1; row < count; row++) {
            MUST(ts_batch_ask(&batch, row, err));
        }
        MUST(ts_pass_logits(&pass, &batch, logits, err));
        for (uint32_t i = 0; i < batch.loss_rows; i++) {
            const float *row = logits + (size_t)i * vocab;
            float highest = row[0];
            for (uint32_t v = 1; v < vocab; v++) {
                highest = row[v] > highest ? row[v] : highest;
            }
            uint32_t chosen = whole->ids[prompt + i];
            cr_assert_geq(row[chosen], highest - slack, "sequence %d, token %u: %u", s, i, chosen);
        }
        ts_batch_free(&batch);
    }
    ts_pass_close(&pass);
    free(logits);
}

// `window`: 0, or that of every layer.
static void test_model(ts_gpu *gpu, const char *folder, const char *adapter, uint32_t window,
                       double slack)
{
    ts_model model;
    ts_decoder decoder;
    struct story story;
    test_model_open(gpu, folder, (ts_model_params){.positions = LONGEST + NEW_TOKENS}, &model);
    model.config.window = window;
    memset(&model.config.windowed, 0xFF, sizeof model.config.windowed);
    if (adapter != NULL) {
        MUST(ts_model_load_lora(&model, adapter, err));
    }
    const ts_decoder_limits limits = {
        .slots = SEQUENCES, .capacity = LONGEST + NEW_TOKENS, .longest_prompt = LONGEST};
    MUST(ts_decoder_open(&model, limits, &decoder, err));
    for (int enabled = 1; enabled >= (adapter != NULL ? 0 : 1); enabled--) {
        model.lora_enabled = enabled;
        make_prompts(&story, model.config.vocab);
        decode(&decoder, &story);
        check(&model, &story, slack);
        free_story(&story);
    }
    ts_decoder_close(&decoder);
    test_model_close(&model);
}

Test(decode, equals_full_passes)
{
    ts_gpu *gpu = test_gpu_open();
    test_model(gpu, PROJECT_FOLDER "/assets/base", NULL, 0, 1e-4);
    test_model(gpu, PROJECT_FOLDER "/assets/base", NULL, 10, 1e-4);
    test_gpu_close(gpu);
}

Test(decode, equals_full_passes_with_an_adapter)
{
    static const char *const cases[] = {"nano",  "gqa",   "all_linear", "llama3",
                                        "qwen2", "qwen3", "gemma3"};
    ts_gpu *gpu = test_gpu_open();
    for (size_t i = 0; i < TS_COUNT(cases); i++) {
        char model[512], adapter[512];
        snprintf(model, sizeof model, SHARED_FOLDER "/golden/%s/model", cases[i]);
        snprintf(adapter, sizeof adapter, SHARED_FOLDER "/golden/%s/adapter_final", cases[i]);
        if (ts_folder_exists(model)) {
            test_model(gpu, model, adapter, 0, 1e-4);
        }
    }
    test_gpu_close(gpu);
}

Test(decode, equals_full_passes_in_double)
{
    ts_gpu *gpu = NULL;
    MUST(ts_gpu_open_mirror(&gpu, err));
    test_model(gpu, PROJECT_FOLDER "/assets/base", NULL, 0, 0);
    ts_gpu_close(gpu);
}

// More prompt tokens than one pass takes, and a decoder used twice: the same answers each time.
Test(decode, takes_prompts_in_several_passes)
{
    enum { MANY = 40, LENGTH = 50 };
    ts_gpu *gpu = test_gpu_open();
    ts_model model;
    ts_decoder decoder;
    ts_tokens prompts[MANY] = {0};
    uint32_t next[2][MANY];
    test_model_open(gpu, PROJECT_FOLDER "/assets/base", (ts_model_params){.positions = LENGTH + 1},
                    &model);
    for (uint32_t s = 0; s < MANY; s++) {
        for (uint32_t t = 0; t < LENGTH; t++) {
            MUST(ts_tokens_push(&prompts[s], 3 + (s % 20 * 31 + t * 17) % 2000, err));
        }
    }
    const ts_decoder_limits limits = {
        .slots = MANY, .capacity = LENGTH + 1, .longest_prompt = LENGTH};
    MUST(ts_decoder_open(&model, limits, &decoder, err));
    cr_assert_lt(decoder.pass.limits.rows, MANY * LENGTH);
    for (int run = 0; run < 2; run++) {
        MUST(ts_decoder_prompt(&decoder, prompts, MANY, next[run], err));
    }
    cr_assert_eq(memcmp(next[0], next[1], sizeof next[0]), 0);
    for (uint32_t s = 0; s < MANY / 2; s++) { // the second half has the same prompts
        cr_assert_eq(next[0][s], next[0][s + MANY / 2]);
    }
    for (uint32_t s = 0; s < MANY; s++) {
        ts_tokens_free(&prompts[s]);
    }
    ts_decoder_close(&decoder);
    test_model_close(&model);
    test_gpu_close(gpu);
}

// A sequence read in parts, some of it forgotten and read again, gives what one pass over all of it
// gives, also while the cache grows.
Test(decode, parts_give_what_the_whole_gives)
{
    ts_gpu *gpu = test_gpu_open();
    ts_model model;
    ts_decoder parts, whole;
    struct story story;
    test_model_open(gpu, PROJECT_FOLDER "/assets/base", (ts_model_params){.positions = LONGEST},
                    &model);
    make_prompts(&story, model.config.vocab);
    const ts_tokens *prompt = &story.prompts[2];
    const uint32_t vocab = model.config.vocab;
    float *expected = malloc(vocab * sizeof *expected), *found = malloc(vocab * sizeof *found);
    uint32_t next;
    MUST(ts_decoder_open(
        &model, (ts_decoder_limits){.slots = 1, .capacity = LONGEST, .longest_prompt = LONGEST},
        &whole, err));
    MUST(ts_decoder_open(
        &model, (ts_decoder_limits){.slots = 1, .capacity = 33, .longest_prompt = 8}, &parts, err));
    whole.logits = expected;
    MUST(ts_decoder_prompt(&whole, prompt, 1, &next, err));
    MUST(ts_decoder_append(&parts, 0, prompt->ids, 19, &next, err));
    MUST(ts_decoder_append(&parts, 0, prompt->ids + 30, 14, &next, err)); // not what comes there
    MUST(ts_decoder_grow(&parts, LONGEST, err));
    ts_decoder_cut(&parts, 0, 19);
    parts.logits = found;
    MUST(ts_decoder_append(&parts, 0, prompt->ids + 19, prompt->count - 19, &next, err));
    for (uint32_t v = 0; v < vocab; v++) {
        cr_assert_float_eq(found[v], expected[v], 1e-4, "token %u: %g, %g", v, (double)found[v],
                           (double)expected[v]);
    }
    free(expected);
    free(found);
    free_story(&story);
    ts_decoder_close(&parts);
    ts_decoder_close(&whole);
    test_model_close(&model);
    test_gpu_close(gpu);
}

// A cache is never larger than what the device can bind, and never smaller than one sequence.
Test(decode, fits_the_device)
{
    ts_gpu *gpu = test_gpu_open();
    ts_model model = {.gpu = gpu, .config = {.kv_heads = 4, .head_dim = 64, .layers = 22}};
    ts_decoder_limits limits = {.slots = 1 << 30, .capacity = 2048};
    uint64_t slot_bytes = 2048 * 256 * 4;
    uint64_t binding = ts_gpu_capabilities(gpu)->max_binding_bytes;
    uint32_t fit = ts_decoder_fit(&model, limits);
    cr_assert(fit >= 1 && fit <= ts_max_u64(1, binding / slot_bytes));
    limits.slots = 3;
    cr_assert_leq(ts_decoder_fit(&model, limits), 3);
    model.weights.used_bytes = UINT64_MAX / 2; // nothing left
    cr_assert_eq(ts_decoder_fit(&model, limits), 1);
    test_gpu_close(gpu);
}
