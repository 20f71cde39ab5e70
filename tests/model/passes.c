// What must hold for passes whatever the numbers are: packing of sequences changes nothing,
// gradients add up, the adapter can be switched off, and plans count the memory that is then taken.
#include "tiny_llama.h"

static const tiny_llama plain = {.adapter = {.r = 3, .alpha = 6, .targets = TS_MODULES_ALL}};

// Each test runs on the mirror, where equal means equal to rounding in double, and on the device.
struct place {
    ts_gpu *gpu;
    double tolerance;
};

static void open_places(struct place places[2])
{
    places[0].tolerance = 1e-13;
    MUST(ts_gpu_open_mirror(&places[0].gpu, err));
    places[1] = (struct place){test_gpu_open(), 2e-6};
}

static void close_places(struct place places[2])
{
    ts_gpu_close(places[0].gpu);
    test_gpu_close(places[1].gpu);
}

static void read_view(ts_gpu *gpu, ts_view view, uint64_t count, double *out)
{
    float *narrow = malloc(count * sizeof *narrow);
    if (ts_gpu_is_mirror(gpu)) {
        memcpy(out, ts_view_host(view), count * sizeof *out);
    } else {
        MUST(ts_gpu_download(gpu, view, narrow, count * sizeof *narrow, err));
        for (uint64_t i = 0; i < count; i++) {
            out[i] = narrow[i];
        }
    }
    free(narrow);
}

// Gradients and losses[loss rows] of the sequences, packed into one batch or one by one.
static void train_on(ts_model *model, bool packed, double *losses, double *gradients)
{
    const ts_pass_limits limits = {.rows = TINY_ROWS, .loss_rows = TINY_ROWS, .training = true};
    ts_pass pass;
    ts_batch batch = {0};
    double sum;
    MUST(ts_pass_open(model, limits, &pass, err));
    for (uint32_t s = 0; s < TINY_SEQUENCES; s++) {
        tiny_add(&batch, s);
        if (packed && s + 1 < TINY_SEQUENCES) {
            continue;
        }
        MUST(ts_pass_gradients(&pass, &batch, 0.5f, 0, &sum, err));
        read_view(model->gpu, pass.io.log_probability, batch.loss_rows, losses);
        losses += batch.loss_rows;
        ts_batch_clear(&batch);
    }
    read_view(model->gpu, pass.gradients, model->lora.count, gradients);
    ts_batch_free(&batch);
    ts_pass_close(&pass);
}

Test(passes, packing_changes_nothing_and_gradients_gather)
{
    struct place places[2];
    open_places(places);
    for (int p = 0; p < 2; p++) {
        ts_model model;
        double together[TINY_ROWS] = {0}, apart[TINY_ROWS] = {0};
        tiny_open(places[p].gpu, &plain, &model);
        double *one = calloc(model.lora.count, sizeof *one);
        double *many = calloc(model.lora.count, sizeof *many);
        train_on(&model, true, together, one);
        train_on(&model, false, apart, many);
        double losses = tiny_distance(apart, together, TINY_ROWS);
        double gradients = tiny_distance(many, one, model.lora.count);
        cr_assert_leq(losses, places[p].tolerance, "place %d: losses differ by %.2e", p, losses);
        cr_assert_leq(gradients, 10 * places[p].tolerance, "place %d: gradients differ by %.2e", p,
                      gradients);
        cr_assert_lt(together[0], 0);
        free(one);
        free(many);
        test_model_close(&model);
    }
    close_places(places);
}

// The same batch twice without clearing gives twice the gradient, to the bit.
Test(passes, gradients_double)
{
    ts_gpu *gpu = test_gpu_open();
    ts_model model;
    ts_pass pass;
    ts_batch batch = {0};
    double sum;
    const ts_pass_limits limits = {.rows = TINY_ROWS, .loss_rows = TINY_ROWS, .training = true};
    tiny_open(gpu, &plain, &model);
    double *once = calloc(model.lora.count, sizeof *once);
    double *twice = calloc(model.lora.count, sizeof *twice);
    MUST(ts_pass_open(&model, limits, &pass, err));
    tiny_pack(&batch);
    MUST(ts_pass_gradients(&pass, &batch, 1, 0, &sum, err));
    read_view(gpu, pass.gradients, model.lora.count, once);
    MUST(ts_pass_gradients(&pass, &batch, 1, 0, &sum, err));
    read_view(gpu, pass.gradients, model.lora.count, twice);
    for (uint64_t i = 0; i < model.lora.count; i++) {
        cr_assert_eq(twice[i], 2 * once[i]);
    }
    free(once);
    free(twice);
    ts_batch_free(&batch);
    ts_pass_close(&pass);
    test_model_close(&model);
    test_gpu_close(gpu);
}

static void all_logits(ts_model *model, float logits[TINY_ROWS * TINY_VOCAB])
{
    ts_pass pass;
    ts_batch batch = {0};
    const ts_pass_limits limits = {.rows = TINY_ROWS, .loss_rows = TINY_ROWS};
    MUST(ts_pass_open(model, limits, &pass, err));
    tiny_pack(&batch);
    memset(logits, 0, TINY_ROWS * TINY_VOCAB * sizeof *logits);
    MUST(ts_pass_logits(&pass, &batch, logits, err));
    ts_batch_free(&batch);
    ts_pass_close(&pass);
}

Test(passes, adapter_switched_off_is_the_base)
{
    ts_gpu *gpu = test_gpu_open();
    ts_model base, adapted;
    const tiny_llama bare = {0};
    static float want[TINY_ROWS * TINY_VOCAB], on[TINY_ROWS * TINY_VOCAB],
        off[TINY_ROWS * TINY_VOCAB], fresh[TINY_ROWS * TINY_VOCAB];
    tiny_open(gpu, &bare, &base);
    tiny_open(gpu, &plain, &adapted);
    all_logits(&base, want);
    all_logits(&adapted, on);
    adapted.lora_enabled = false;
    all_logits(&adapted, off);
    MUST(ts_model_add_lora(&base, &plain.adapter, 1, err)); // B is zero
    all_logits(&base, fresh);
    cr_assert_arr_eq(off, want, sizeof want, "switched off, yet not the base");
    cr_assert_arr_eq(fresh, want, sizeof want, "a fresh adapter changes the model");
    cr_assert_arr_neq(on, want, sizeof want, "the adapter does nothing");
    test_model_close(&base);
    test_model_close(&adapted);
    test_gpu_close(gpu);
}

// An adapter that is switched off takes no part in the backward pass: its gradients do not change.
Test(passes, adapter_switched_off_gets_no_gradient)
{
    ts_gpu *gpu = test_gpu_open();
    ts_model model;
    ts_pass pass;
    ts_batch batch = {0};
    double sum, *grads;
    const ts_pass_limits limits = {.rows = TINY_ROWS, .loss_rows = TINY_ROWS, .training = true};
    tiny_open(gpu, &plain, &model);
    grads = calloc(model.lora.count, sizeof *grads);
    MUST(ts_pass_open(&model, limits, &pass, err));
    tiny_pack(&batch);
    model.lora_enabled = false;
    MUST(ts_pass_gradients(&pass, &batch, 1, 0, &sum, err));
    read_view(gpu, pass.gradients, model.lora.count, grads);
    for (uint64_t i = 0; i < model.lora.count; i++) {
        cr_assert_eq(grads[i], 0);
    }
    free(grads);
    ts_batch_free(&batch);
    ts_pass_close(&pass);
    test_model_close(&model);
    test_gpu_close(gpu);
}

// The evaluating pass, the training pass and the logits give the same losses.
Test(passes, three_ways_to_one_loss)
{
    ts_gpu *gpu = test_gpu_open();
    ts_model model;
    ts_pass pass;
    ts_batch batch = {0};
    double trained, evaluated, by_hand = 0;
    float logits[TINY_ROWS * TINY_VOCAB];
    const ts_pass_limits limits = {.rows = TINY_ROWS, .loss_rows = TINY_ROWS, .training = true};
    tiny_open(gpu, &plain, &model);
    MUST(ts_pass_open(&model, limits, &pass, err));
    tiny_pack(&batch);
    MUST(ts_pass_gradients(&pass, &batch, 1, 0, &trained, err));
    MUST(ts_pass_loss(&pass, &batch, &evaluated, err));
    MUST(ts_pass_logits(&pass, &batch, logits, err));
    for (uint32_t i = 0; i < batch.loss_rows; i++) {
        const float *row = logits + (size_t)i * TINY_VOCAB;
        double total = 0;
        for (int v = 0; v < TINY_VOCAB; v++) {
            total += exp(row[v]);
        }
        by_hand += log(total) - row[batch.label[i]];
    }
    cr_assert_eq(trained, evaluated);
    cr_assert_leq(fabs(by_hand - evaluated), 1e-5 * by_hand);
    ts_batch_free(&batch);
    ts_pass_close(&pass);
    test_model_close(&model);
    test_gpu_close(gpu);
}

Test(passes, plans_count_what_is_taken)
{
    ts_gpu *gpu = test_gpu_open();
    const tiny_llama tinies[] = {
        plain,
        {.tied = true,
         .dtype = TS_BF16,
         .embedding_in_file = true, // asked for in vain
         .adapter = {.r = 1, .alpha = 1, .dropout = 0.5, .targets = 3}},
        {.dtype = TS_F16, .embedding_in_file = true, .adapter = {.r = 2, .targets = 64}},
        {.family = TS_FAMILY_QWEN2, .adapter = {.r = 2, .targets = 64}},
        {.family = TS_FAMILY_QWEN3, .tied = true, .adapter = {.r = 2, .targets = 5}},
        {.family = TS_FAMILY_GEMMA3, .window = 3, .adapter = {.r = 2, .targets = 127}},
        {.family = TS_FAMILY_OLMO2, .adapter = {.r = 2, .targets = 127}},
    };
    for (size_t i = 0; i < TS_COUNT(tinies); i++) {
        for (int training = 0; training < 2; training++) {
            ts_model model;
            ts_pass pass;
            uint64_t weights, adapter, activations, largest;
            const ts_pass_limits limits = {.rows = 13, .loss_rows = 7, .training = training == 1};
            const ts_adapter_config *config = &tinies[i].adapter;
            bool in_file = tinies[i].embedding_in_file;
            tiny_open(gpu, &tinies[i], &model);
            MUST(ts_pass_open(&model, limits, &pass, err));
            MUST(ts_model_plan(&model.config, NULL, tinies[i].dtype, (ts_quantise){0},
                               TINY_POSITIONS, in_file, 0, config, model.precision, &weights,
                               &adapter, err));
            MUST(ts_pass_plan(&model.config, tinies[i].dtype, in_file, config, model.precision,
                              limits, &activations, &largest, err));
            cr_assert_eq(weights, model.weights.used_bytes);
            cr_assert_eq(adapter, model.adapter.used_bytes);
            cr_assert_eq(activations, pass.device.used_bytes + pass.host.used_bytes);
            ts_pass_close(&pass);
            test_model_close(&model);
        }
    }
    test_gpu_close(gpu);
}

// The same adapter's gradients, with gate and up recomputed in so many layers.
static void recompute_in(ts_gpu *gpu, const tiny_llama *tiny, uint32_t layers, double *out)
{
    ts_model model;
    ts_pass pass;
    ts_batch batch = {0};
    double sum;
    const ts_pass_limits limits = {
        .rows = TINY_ROWS, .loss_rows = TINY_ROWS, .training = true, .recompute = layers};
    tiny_open(gpu, tiny, &model);
    MUST(ts_pass_open(&model, limits, &pass, err));
    tiny_pack(&batch);
    MUST(ts_pass_gradients(&pass, &batch, 1, 5, &sum, err));
    read_view(gpu, pass.gradients, model.lora.count, out);
    ts_batch_free(&batch);
    ts_pass_close(&pass);
    test_model_close(&model);
}

Test(passes, recomputing_changes_no_bit)
{
    const tiny_llama tinies[] = {
        plain,
        {.adapter = {.r = 2, .alpha = 1, .dropout = 0.5, .targets = TS_MODULE_BIT(TS_MODULE_UP)}},
        {.family = TS_FAMILY_QWEN3, .adapter = {.r = 2, .alpha = 1, .targets = TS_MODULES_ALL}},
        {.family = TS_FAMILY_GEMMA3,
         .window = 3,
         .adapter = {.r = 2, .alpha = 1, .targets = TS_MODULES_ALL}},
        {.family = TS_FAMILY_OLMO2, .adapter = {.r = 2, .alpha = 1, .targets = TS_MODULES_ALL}}};
    enum { MOST = 4096 };
    static double kept[MOST], again[MOST];
    struct place places[2];
    open_places(places);
    for (size_t i = 0; i < 2 * TS_COUNT(tinies); i++) {
        recompute_in(places[i % 2].gpu, &tinies[i / 2], 0, kept);
        recompute_in(places[i % 2].gpu, &tinies[i / 2], TINY_LAYERS - 1, again);
        cr_assert_arr_eq(again, kept, sizeof kept);
        cr_assert_neq(kept[0], 0);
    }
    close_places(places);
}

// Loss and gradients of a model whose logits are made of many rows at a time, or of few.
struct logits_case {
    uint32_t rows; // at a time
    double loss;
    float gradients[4096];
};

static void make_logits(ts_gpu *gpu, bool many, struct logits_case *out)
{
    enum { TOKENS = 150 };
    static const ts_model_config shape = {.hidden = 64,
                                          .layers = 1,
                                          .heads = 4,
                                          .kv_heads = 2,
                                          .head_dim = 16,
                                          .query_scalar = 16,
                                          .ffn = 64,
                                          .vocab = 1000,
                                          .max_positions = TOKENS,
                                          .rms_eps = 1e-5f,
                                          .rope = {.theta = 10000}};
    const ts_adapter_config adapter = {
        .r = 4, .alpha = 8, .targets = TS_MODULE_BIT(TS_MODULE_Q) | TS_MODULE_BIT(TS_MODULE_DOWN)};
    const ts_model_params params = {.config = &shape, .random_dtype = TS_BF16, .positions = TOKENS};
    const ts_pass_limits limits = {
        .rows = TOKENS, .loss_rows = TOKENS, .training = true, .many_logits = many};
    ts_model model;
    ts_pass pass;
    ts_batch batch = {0};
    uint32_t ids[TOKENS];
    uint8_t supervised[TOKENS];
    for (uint32_t t = 0; t < TOKENS; t++) {
        ids[t] = t * 31 % shape.vocab;
        supervised[t] = t > 3;
    }
    MUST(ts_model_open(gpu, &params, &model, err));
    MUST(ts_model_add_lora(&model, &adapter, 42, err));
    cr_assert_leq(model.lora.count, TS_COUNT(out->gradients));
    MUST(ts_pass_open(&model, limits, &pass, err));
    MUST(ts_batch_add(&batch, ids, TOKENS, supervised, err));
    MUST(ts_pass_gradients(&pass, &batch, 1, 0, &out->loss, err));
    MUST(ts_gpu_download(gpu, pass.gradients, out->gradients,
                         model.lora.count * sizeof *out->gradients, err));
    out->rows = pass.logit_rows;
    ts_batch_free(&batch);
    ts_pass_close(&pass);
    test_model_close(&model);
}

Test(passes, logits_of_more_rows_change_no_bit)
{
    static struct logits_case few, many;
    ts_gpu *gpu = test_gpu_open();
    make_logits(gpu, false, &few);
    make_logits(gpu, true, &many);
    cr_assert_eq(few.rows, 64, "three times");
    cr_assert_eq(many.rows, 150, "all at once");
    cr_assert_eq(many.loss, few.loss);
    cr_assert_arr_eq(many.gradients, few.gradients, sizeof few.gradients);
    test_gpu_close(gpu);
}

// At most 1,024 rows, in at most 256 MiB.
Test(passes, memory_for_more_logits_is_bounded)
{
    static const struct {
        uint32_t vocab, rows;
    } cases[] = {{32000, 1024}, {262144, 256}, {2000000, 64}};
    for (size_t i = 0; i < TS_COUNT(cases); i++) {
        uint64_t bytes[2], largest[2];
        ts_model_config shape = ts_model_config_tinyllama;
        shape.layers = 1, shape.ffn = 64, shape.vocab = cases[i].vocab;
        for (int many = 0; many < 2; many++) {
            const ts_pass_limits limits = {
                .rows = 2048, .loss_rows = 2048, .training = true, .many_logits = many == 1};
            MUST(ts_pass_plan(&shape, TS_BF16, true, &plain.adapter, TS_PRECISION_F32, limits,
                              &bytes[many], &largest[many], err));
        }
        const uint64_t row = cases[i].vocab * sizeof(float);
        cr_expect_eq(largest[1], cases[i].rows * row, "%u", cases[i].vocab);
        cr_expect_leq(bytes[1], bytes[0] + (cases[i].rows - 64) * row);
    }
}

static void losses_of(ts_gpu *gpu, const tiny_llama *tiny, double out[TINY_ROWS])
{
    ts_model model;
    ts_pass pass;
    ts_batch batch = {0};
    double sum;
    tiny_open(gpu, tiny, &model);
    MUST(ts_pass_open(&model, (ts_pass_limits){.rows = TINY_ROWS, .loss_rows = TINY_ROWS}, &pass,
                      err));
    tiny_pack(&batch);
    MUST(ts_pass_loss(&pass, &batch, &sum, err));
    read_view(gpu, pass.io.log_probability, batch.loss_rows, out);
    ts_batch_free(&batch);
    ts_pass_close(&pass);
    test_model_close(&model);
}

Test(passes, embedding_in_its_file_changes_no_bit)
{
    struct place places[2];
    open_places(places);
    for (ts_dtype dtype = TS_F32; dtype <= TS_BF16; dtype++) {
        for (int p = 0; p < 2; p++) {
            double on_device[TINY_ROWS] = {0}, in_file[TINY_ROWS] = {0};
            losses_of(places[p].gpu, &(tiny_llama){.dtype = dtype}, on_device);
            losses_of(places[p].gpu, &(tiny_llama){.dtype = dtype, .embedding_in_file = true},
                      in_file);
            cr_assert_arr_eq(in_file, on_device, sizeof in_file);
            cr_assert_neq(in_file[0], 0);
        }
    }
    close_places(places);
}

Test(passes, foreign_tokens_are_refused)
{
    ts_gpu *gpu = test_gpu_open();
    ts_model model;
    ts_pass pass;
    ts_batch batch = {0};
    ts_error error = {0};
    double sum;
    const uint32_t ids[] = {1, TINY_VOCAB, 2};
    const uint8_t supervised[] = {0, 1, 1};
    tiny_open(gpu, &plain, &model);
    MUST(ts_pass_open(&model, (ts_pass_limits){.rows = 8, .loss_rows = 8}, &pass, err));
    MUST(ts_batch_add(&batch, ids, 3, supervised, err));
    cr_assert_eq(ts_pass_loss(&pass, &batch, &sum, &error), TS_ERR_FORMAT);
    cr_assert_not_null(strstr(error.message, "token 19, but the model's vocabulary has 19"));
    ts_batch_free(&batch);
    ts_pass_close(&pass);
    test_model_close(&model);
    test_gpu_close(gpu);
}
