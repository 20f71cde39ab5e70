// A Llama whose rows are whole blocks, unlike those of the model in tiny_llama.h, and the gradients
// of an adapter on it.
#ifndef TESTS_MODEL_BLOCK_LLAMA_H
#define TESTS_MODEL_BLOCK_LLAMA_H

#include "tiny_llama.h"

#include "data/safetensors.h"

enum { HIDDEN = 64, FFN = 64, HEADS = 2, KV_HEADS = 1, HEAD_DIM = 32, TOKENS = 24 };

// Writes config.json. `more`: further keys, such as ", \"a\": 1".
static inline void write_shape(const char *folder, const char *more)
{
    char text[1200], path[96];
    int len = snprintf(
        text, sizeof text,
        "{\"architectures\": [\"LlamaForCausalLM\"], \"model_type\": \"llama\", \"hidden_act\": "
        "\"silu\", \"hidden_size\": %d, \"intermediate_size\": %d, \"num_hidden_layers\": %d, "
        "\"vocab_size\": %d, \"num_attention_heads\": %d, \"num_key_value_heads\": %d, "
        "\"head_dim\": %d, \"max_position_embeddings\": %d, \"rms_norm_eps\": 1e-5, "
        "\"rope_theta\": 10000.0, \"tie_word_embeddings\": false%s}",
        HIDDEN, FFN, TINY_LAYERS, TINY_VOCAB, HEADS, KV_HEADS, HEAD_DIM, TOKENS, more);
    snprintf(path, sizeof path, "%s/config.json", folder);
    MUST(ts_file_write_plain(path, text, (size_t)len, err));
}

static inline void list_tensors(struct tiny_file *file)
{
    enum { OUTSIDE = TINY_LAYERS, Q = HEADS * HEAD_DIM, KV = KV_HEADS * HEAD_DIM };
    tiny_tensor(file, TINY_VOCAB, HIDDEN, "model.embed_tokens", OUTSIDE);
    for (uint32_t layer = 0; layer < TINY_LAYERS; layer++) {
        tiny_tensor(file, 0, HIDDEN, "input_layernorm", layer);
        tiny_tensor(file, 0, HIDDEN, "post_attention_layernorm", layer);
        tiny_tensor(file, Q, HIDDEN, "self_attn.q_proj", layer);
        tiny_tensor(file, KV, HIDDEN, "self_attn.k_proj", layer);
        tiny_tensor(file, KV, HIDDEN, "self_attn.v_proj", layer);
        tiny_tensor(file, HIDDEN, Q, "self_attn.o_proj", layer);
        tiny_tensor(file, FFN, HIDDEN, "mlp.gate_proj", layer);
        tiny_tensor(file, FFN, HIDDEN, "mlp.up_proj", layer);
        tiny_tensor(file, HIDDEN, FFN, "mlp.down_proj", layer);
    }
    tiny_tensor(file, 0, HIDDEN, "model.norm", OUTSIDE);
    tiny_tensor(file, TINY_VOCAB, HIDDEN, "lm_head", OUTSIDE);
}

// Writes model.safetensors of the list's tensors and frees their bytes.
static inline void write_tensors(const char *folder, struct tiny_file *file)
{
    ts_text bytes = {0};
    char path[96];
    MUST(ts_safetensors_serialise(file->tensors, file->count, &bytes, err));
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    MUST(ts_file_write_plain(path, bytes.bytes, bytes.len, err));
    for (size_t i = 0; i < file->count; i++) {
        free((void *)(uintptr_t)file->tensors[i].bytes);
    }
    ts_text_free(&bytes);
}

enum { FLOATS = 4096 };

// The loss of an open model, and an adapter's gradients in the order of its flat array.
static inline double gradients_of(ts_model *model, float out[FLOATS])
{
    const ts_adapter_config adapter = {.r = 2, .alpha = 4, .targets = TS_MODULES_ALL};
    const ts_pass_limits limits = {.rows = TOKENS, .loss_rows = TOKENS, .training = true};
    float values[FLOATS];
    uint32_t ids[TOKENS], state = 5;
    uint8_t supervised[TOKENS];
    ts_pass pass;
    ts_batch batch = {0};
    double sum;
    MUST(ts_model_add_lora(model, &adapter, 42, err));
    cr_assert_leq(model->lora.count, FLOATS);
    for (uint64_t i = 0; i < model->lora.count; i++) {
        values[i] = (float)(0.2 * tiny_random(&state));
    }
    MUST(ts_gpu_upload(model->gpu, model->lora.values, values, model->lora.count * sizeof *values,
                       err));
    for (uint32_t t = 0; t < TOKENS; t++) {
        ids[t] = t * 7 % TINY_VOCAB;
        supervised[t] = t > 2;
    }
    MUST(ts_pass_open(model, limits, &pass, err));
    MUST(ts_batch_add(&batch, ids, TOKENS, supervised, err));
    MUST(ts_pass_gradients(&pass, &batch, 1, 0, &sum, err));
    memset(out, 0, FLOATS * sizeof *out);
    MUST(ts_gpu_download(model->gpu, pass.gradients, out, model->lora.count * sizeof *out, err));
    ts_batch_free(&batch);
    ts_pass_close(&pass);
    return sum;
}

// The same of the model in a folder.
static inline double gradients(ts_gpu *gpu, const char *folder, ts_quantise quantise,
                               float out[FLOATS], uint64_t *weight_bytes)
{
    const ts_model_params params = {
        .positions = TOKENS, .quantise = quantise, .embedding_in_file = true};
    ts_model model;
    test_model_open(gpu, folder, params, &model);
    const double sum = gradients_of(&model, out);
    *weight_bytes = model.weights.used_bytes;
    test_model_close(&model);
    return sum;
}

#endif
