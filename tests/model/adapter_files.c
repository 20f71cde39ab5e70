// Files of weights and adapters with invalid values: each is refused, and the error names the
// tensor.
#include "edited.h"
#include "model/decode.h"

#include <criterion/criterion.h>

#define KEY(layer, module, side)                                                                   \
    "base_model.model.model.layers." layer "." module ".lora_" side ".weight"

static void write_adapter(struct edited *e, const char *alpha, const char *more)
{
    char text[512];
    snprintf(text, sizeof text,
             "{\"peft_type\":\"LORA\",\"r\":2,\"lora_alpha\":%s,\"target_modules\":[\"q_proj\"]%s}",
             alpha, more);
    edited_write_text(e, "adapter_config.json", text);
    edited_write(e, "adapter_model.safetensors");
}

// Loads the edited adapter into a model of the same shape.
static ts_status load(ts_gpu *gpu, struct edited *e, ts_model *model, ts_error *err)
{
    const tiny_llama tiny = {.tied = true};
    tiny_open(gpu, &tiny, model);
    *err = (ts_error){0};
    return ts_model_load_lora(model, e->folder, err);
}

static void expect_refused(ts_gpu *gpu, struct edited *e, ts_status status, const char *words)
{
    ts_model model;
    ts_error err = {0};
    cr_expect_eq(load(gpu, e, &model, &err), status, "%s: %s", words, err.message);
    cr_expect(strstr(err.message, words), "no '%s' in: %s", words, err.message);
    test_model_close(&model);
}

// An adapter for q_proj of both layers.
static void adapter_open(struct edited *e)
{
    static float values[2 * TINY_HEADS * TINY_HEAD_DIM];
    static const char *const names[] = {
        KEY("0", "self_attn.q_proj", "A"), KEY("0", "self_attn.q_proj", "B"),
        KEY("1", "self_attn.q_proj", "A"), KEY("1", "self_attn.q_proj", "B")};
    const uint64_t q = TINY_HEADS * TINY_HEAD_DIM;
    edited_start(e);
    for (size_t i = 0; i < TS_COUNT(values); i++) {
        values[i] = 1;
    }
    for (size_t i = 0; i < TS_COUNT(names); i++) {
        bool b = i % 2 == 1;
        uint64_t count = 2 * (b ? q : TINY_HIDDEN);
        e->tensors[e->count++] = (ts_tensor){.name = names[i],
                                             .rank = 2,
                                             .shape = {b ? q : 2, b ? 2 : TINY_HIDDEN},
                                             .bytes = values,
                                             .len = count * sizeof *values};
    }
}

Test(adapter_files, what_is_not_the_adapters_is_called_what_it_is)
{
    static const struct {
        const char *name, *words;
    } extras[] = {
        {"base_model.model.model.embed_tokens.weight", "is a saved embedding"},
        {"base_model.model.lm_head.weight", "is a saved lm_head"},
        {"base_model.model.model.layers.0.self_attn.q_proj.lora_magnitude_vector",
         "is a magnitude vector of DoRA"},
        {"base_model.model.model.layers.0.self_attn.q_proj.lora_B.bias", "is a bias of LoRA"},
        {"base_model.model.model.embed_tokens.lora_embedding_A", "is LoRA on the embedding"},
        {KEY("0", "mlp.up_proj", "A"), "layer or module that this adapter should not have"},
        {KEY("2", "self_attn.q_proj", "A"), "layer or module that this adapter should not have"},
        {"something", "is no part of LoRA; of 5 tensors, 4 are the adapter by"},
    };
    static const float two[2] = {1, 1};
    struct edited e;
    ts_gpu *gpu = test_gpu_open();
    adapter_open(&e);
    for (size_t i = 0; i < TS_COUNT(extras); i++) {
        e.tensors[4] = (ts_tensor){extras[i].name, TS_F32, 1, {2}, two, sizeof two};
        e.count = 5;
        write_adapter(&e, "4", "");
        expect_refused(gpu, &e, TS_ERR_UNSUPPORTED, extras[i].words);
    }
    e.count = 4;
    write_adapter(&e, "4", ",\"init_lora_weights\":\"pissa\"");
    expect_refused(gpu, &e, TS_ERR_UNSUPPORTED, "key 'init_lora_weights' is \"pissa\"");
    write_adapter(&e, "4", "");
    write_adapter(&e, "4", ",\"use_dora\":true");
    expect_refused(gpu, &e, TS_ERR_FORMAT, "layers.0.self_attn.q_proj.lora_magnitude_vector");
    write_adapter(&e, "4", "");
    edited_rename(&e, "adapter_model.safetensors", "adapter_model.bin");
    expect_refused(gpu, &e, TS_ERR_UNSUPPORTED, "adapter_model.bin: a pickle");
    write_adapter(&e, "4", "");
    ts_model model;
    ts_error err = {0};
    cr_expect_eq(load(gpu, &e, &model, &err), TS_OK, "%s", err.message);
    test_model_close(&model);
    edited_close(&e);
    test_gpu_close(gpu);
}

Test(adapter_files, numbers_that_are_none)
{
    static float half[2 * TINY_HIDDEN] = {NAN};
    static uint16_t halves[2 * TINY_HIDDEN] = {[3] = 0x7C00};
    struct edited e;
    ts_gpu *gpu = test_gpu_open();
    adapter_open(&e);
    const ts_tensor before = e.tensors[2];
    e.tensors[2].bytes = half;
    write_adapter(&e, "4", "");
    expect_refused(gpu, &e, TS_ERR_FORMAT,
                   "layers.1.self_attn.q_proj.lora_A.weight': 1 of its 24 values are NaN or "
                   "infinite, the first at [0, 0]");
    e.tensors[2].bytes = halves;
    e.tensors[2].dtype = TS_F16;
    e.tensors[2].len /= 2;
    write_adapter(&e, "4", "");
    expect_refused(gpu, &e, TS_ERR_FORMAT, "the first at [0, 3]");
    e.tensors[2] = before;
    write_adapter(&e, "1e300", "");
    expect_refused(gpu, &e, TS_ERR_FORMAT, "key 'lora_alpha': expected a number from 0 on");
    write_adapter(&e, "-1", "");
    expect_refused(gpu, &e, TS_ERR_FORMAT, "key 'lora_alpha'");
    write_adapter(&e, "NaN", "");
    expect_refused(gpu, &e, TS_ERR_FORMAT, "adapter_config.json:1:");
    edited_close(&e);
    test_gpu_close(gpu);
}

// A scale that is finite, but so large that the logits overflow: no token is returned.
Test(adapter_files, logits_that_are_none_give_no_token)
{
    struct edited e;
    ts_gpu *gpu = test_gpu_open();
    ts_model model;
    ts_decoder decoder;
    ts_tokens prompt = {0};
    ts_error err = {0};
    uint32_t next[1];
    adapter_open(&e);
    write_adapter(&e, "6e38", "");
    cr_assert_eq(load(gpu, &e, &model, &err), TS_OK, "%s", err.message);
    MUST(ts_decoder_open(&model,
                         (ts_decoder_limits){.slots = 1, .capacity = 8, .longest_prompt = 4},
                         &decoder, err));
    MUST(ts_tokens_push(&prompt, 1, err));
    MUST(ts_tokens_push(&prompt, 2, err));
    cr_expect_eq(ts_decoder_prompt(&decoder, &prompt, 1, next, &err), TS_ERR_RUN);
    cr_expect(strstr(err.message, "logits are NaN or infinite"), "%s", err.message);
    model.lora_enabled = false; // the base itself is sound
    MUST(ts_decoder_prompt(&decoder, &prompt, 1, next, err));
    ts_tokens_free(&prompt);
    ts_decoder_close(&decoder);
    test_model_close(&model);
    edited_close(&e);
    test_gpu_close(gpu);
}

// The same for the base's weights, whether a tensor is uploaded or stays in its file.
Test(adapter_files, base_weights_that_are_none)
{
    struct edited e;
    ts_gpu *gpu = test_gpu_open();
    static const char *const names[] = {"model.embed_tokens.weight",
                                        "model.layers.1.mlp.up_proj.weight", "model.norm.weight"};
    edited_open(&e, false);
    for (int i = 0; i < 6; i++) {
        ts_tensor *tensor = edited_find(&e, names[i % 3]), before = *tensor;
        ts_model model;
        ts_error err = {0};
        float *values = malloc(tensor->len);
        memcpy(values, tensor->bytes, tensor->len);
        values[tensor->len / sizeof *values - 1] = i % 2 ? INFINITY : NAN;
        tensor->bytes = values;
        edited_write(&e, "model.safetensors");
        const ts_model_params params = {.positions = TINY_POSITIONS, .embedding_in_file = i >= 3};
        cr_expect_eq(test_model_try(gpu, e.folder, params, &model, &err), TS_ERR_FORMAT);
        cr_expect(strstr(err.message, names[i % 3]) && strstr(err.message, "NaN or infinite"), "%s",
                  err.message);
        *tensor = before;
        free(values);
    }
    edited_close(&e);
    test_gpu_close(gpu);
}
