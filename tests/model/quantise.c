// A base that is quantised while it is loaded: the device computes with exactly the values of the
// blocks, however they were made.
#include "tiny_llama.h"

#include "base/blocks.h"
#include "data/safetensors.h"

#include <math.h>

// Rows are whole blocks, unlike those of the model in tiny_llama.h.
enum { HIDDEN = 64, FFN = 64, HEADS = 2, KV_HEADS = 1, HEAD_DIM = 32, TOKENS = 12 };

static void write_shape(const char *folder)
{
    char text[640], path[96];
    int len = snprintf(
        text, sizeof text,
        "{\"architectures\": [\"LlamaForCausalLM\"], \"model_type\": \"llama\", \"hidden_act\": "
        "\"silu\", \"hidden_size\": %d, \"intermediate_size\": %d, \"num_hidden_layers\": %d, "
        "\"vocab_size\": %d, \"num_attention_heads\": %d, \"num_key_value_heads\": %d, "
        "\"head_dim\": %d, \"max_position_embeddings\": %d, \"rms_norm_eps\": 1e-5, "
        "\"rope_theta\": 10000.0, \"tie_word_embeddings\": false}",
        HIDDEN, FFN, TINY_LAYERS, TINY_VOCAB, HEADS, KV_HEADS, HEAD_DIM, TOKENS);
    snprintf(path, sizeof path, "%s/config.json", folder);
    MUST(ts_file_write_plain(path, text, (size_t)len, err));
}

static void list_tensors(struct tiny_file *file)
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

// Replaces a tensor's values by those that its blocks hold.
static void make_exact(ts_tensor *tensor, ts_dtype dtype)
{
    const uint64_t count = tensor->len / sizeof(float);
    float *values = (float *)(uintptr_t)tensor->bytes;
    uint8_t *blocks = malloc(ts_dtype_size(dtype, count));
    double *decoded = malloc(count * sizeof *decoded);
    ts_blocks_quantise(dtype, TS_F32, values, count, blocks,
                       blocks + ts_blocks_data_bytes(dtype, count));
    ts_blocks_decode(dtype, blocks, count, decoded);
    for (uint64_t i = 0; i < count; i++) {
        values[i] = (float)decoded[i];
    }
    free(blocks);
    free(decoded);
}

// Writes a model's folder in F32. `exact`: linear layers and lm_head are values that these types
// hold exactly. `largest` != 0: one weight of down_proj has that value.
static void write_model(char folder[32], ts_quantise exact, float largest)
{
    struct tiny_file file = {.state = 20261128u, .dtype = TS_F32};
    ts_text bytes = {0};
    char path[96];
    strcpy(folder, "/tmp/tinysft-test-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    list_tensors(&file);
    for (size_t i = 0; i < file.count; i++) {
        ts_tensor *t = &file.tensors[i];
        const ts_dtype dtype = strstr(t->name, "_proj") != NULL     ? exact.linear
                               : strstr(t->name, "lm_head") != NULL ? exact.head
                                                                    : TS_F32;
        if (dtype != TS_F32) {
            make_exact(t, dtype);
        }
        if (largest != 0 && strstr(t->name, "1.mlp.down_proj") != NULL) {
            ((float *)(uintptr_t)t->bytes)[77] = largest;
        }
    }
    MUST(ts_safetensors_serialise(file.tensors, file.count, &bytes, err));
    snprintf(path, sizeof path, "%s/model.safetensors", folder);
    MUST(ts_file_write_plain(path, bytes.bytes, bytes.len, err));
    write_shape(folder);
    for (size_t i = 0; i < file.count; i++) {
        free((void *)(uintptr_t)file.tensors[i].bytes);
    }
    ts_text_free(&bytes);
}

enum { FLOATS = 4096 };

// The loss, and the adapter's gradients in the order of its flat array.
static double gradients(ts_gpu *gpu, const char *folder, ts_quantise quantise, float out[FLOATS],
                        uint64_t *weight_bytes)
{
    const ts_adapter_config adapter = {.r = 2, .alpha = 4, .targets = TS_MODULES_ALL};
    const ts_model_params params = {
        .positions = TOKENS, .quantise = quantise, .embedding_in_file = true};
    const ts_pass_limits limits = {.rows = TOKENS, .loss_rows = TOKENS, .training = true};
    float values[FLOATS];
    uint32_t ids[TOKENS], state = 5;
    uint8_t supervised[TOKENS];
    ts_model model;
    ts_pass pass;
    ts_batch batch = {0};
    double sum;
    test_model_open(gpu, folder, params, &model);
    MUST(ts_model_add_lora(&model, &adapter, 42, err));
    cr_assert_leq(model.lora.count, FLOATS);
    for (uint64_t i = 0; i < model.lora.count; i++) {
        values[i] = (float)(0.2 * tiny_random(&state));
    }
    MUST(ts_gpu_upload(gpu, model.lora.values, values, model.lora.count * sizeof *values, err));
    for (uint32_t t = 0; t < TOKENS; t++) {
        ids[t] = t * 7 % TINY_VOCAB;
        supervised[t] = t > 2;
    }
    MUST(ts_pass_open(&model, limits, &pass, err));
    MUST(ts_batch_add(&batch, ids, TOKENS, supervised, err));
    MUST(ts_pass_gradients(&pass, &batch, 1, 0, &sum, err));
    memset(out, 0, FLOATS * sizeof *out);
    MUST(ts_gpu_download(gpu, pass.gradients, out, model.lora.count * sizeof *out, err));
    *weight_bytes = model.weights.used_bytes;
    ts_batch_free(&batch);
    ts_pass_close(&pass);
    test_model_close(&model);
    return sum;
}

// Three bases give the same bits forward and backward: f32 weights that blocks hold exactly, blocks
// made of those, and blocks made of the weights before they were rounded. The mirror agrees.
static void check_offer(const char *name, double smaller)
{
    const ts_quantise none = {0};
    ts_quantise asked;
    static float plain[FLOATS], held[FLOATS], rounded[FLOATS], mirrored[FLOATS];
    ts_gpu *gpu = test_gpu_open(), *mirror;
    char exact[32], original[32];
    uint64_t wide, narrow, same;
    MUST(ts_quantise_parse(name, &asked, err));
    write_model(exact, asked, 0);
    write_model(original, none, 0);
    MUST(ts_gpu_open_mirror(&mirror, err));
    double loss = gradients(gpu, exact, none, plain, &wide);
    cr_expect_eq(gradients(gpu, exact, asked, held, &narrow), loss);
    cr_expect_eq(gradients(gpu, original, asked, rounded, &same), loss);
    cr_expect_arr_eq(held, plain, sizeof plain);
    cr_expect_arr_eq(rounded, plain, sizeof plain);
    cr_expect_neq(gradients(gpu, original, none, held, &wide), loss, "nothing was rounded");
    cr_expect_eq(narrow, same);
    cr_expect_lt((double)narrow, smaller * (double)wide);
    cr_expect_float_eq(gradients(mirror, original, asked, mirrored, &same), loss, 1e-5 * loss);
    double difference = 0, norm = 0;
    for (int i = 0; i < FLOATS; i++) {
        difference += pow((double)mirrored[i] - (double)plain[i], 2);
        norm += pow((double)plain[i], 2);
    }
    cr_expect_lt(sqrt(difference), 1e-5 * sqrt(norm));
    ts_gpu_close(mirror);
    test_gpu_close(gpu);
    MUST(ts_folder_remove(exact, err));
    MUST(ts_folder_remove(original, err));
}

Test(quantise, blocks_compute_as_the_numbers_they_hold)
{
    check_offer("q8_0", 0.4);
    check_offer("nf4", 0.4);
    check_offer("nf4+q8_0", 0.3);
}

Test(quantise, what_blocks_cannot_hold_is_refused_by_name)
{
    ts_gpu *gpu = test_gpu_open();
    ts_model model;
    ts_error err = {0};
    char folder[32];
    write_model(folder, (ts_quantise){0}, 1e7f);
    const ts_model_params params = {.positions = TOKENS, .quantise = {TS_Q8_0, TS_Q8_0}};
    cr_expect_eq(test_model_try(gpu, folder, params, &model, &err), TS_ERR_UNSUPPORTED);
    cr_expect_not_null(strstr(err.message, "layers.1.mlp.down_proj.weight holds 1e+07"), "%s",
                       err.message);
    MUST(ts_folder_remove(folder, err));
    strcpy(folder, "/tmp/tinysft-test-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    tiny_write(folder, &(tiny_llama){0}); // rows of 12, 16 and 10
    cr_expect_eq(test_model_try(gpu, folder, params, &model, &err), TS_ERR_UNSUPPORTED);
    cr_expect_not_null(strstr(err.message, "nothing of this model can be quantised to Q8_0"), "%s",
                       err.message);
    MUST(ts_folder_remove(folder, err));
    test_gpu_close(gpu);
}
