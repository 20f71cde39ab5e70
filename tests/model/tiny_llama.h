// A model with random weights, small enough for finite differences, written as a Hugging Face model
// folder, a Llama unless another family is named; and batches of several sequences for it.
#ifndef TESTS_MODEL_TINY_LLAMA_H
#define TESTS_MODEL_TINY_LLAMA_H

#include "base/file.h"
#include "base/memory.h"
#include "model/pass.h"
#include "opened.h"

#include <math.h>
#include <string.h>

enum {
    TINY_HIDDEN = 12,
    TINY_FFN = 10,
    TINY_LAYERS = 2,
    TINY_VOCAB = 19,
    TINY_HEADS = 4,
    TINY_KV_HEADS = 2,
    TINY_HEAD_DIM = 4, // so that the queries are wider than the residual stream
    TINY_POSITIONS = 16,
    TINY_ROWS = 16,
};

typedef struct tiny_llama {
    bool tied;
    ts_family_id family;
    uint32_t window; // of attention; 0: config.json has none
    char more[160];  // for config.json, such as ", \"use_sliding_window\": true". No pointer, since
                     // a parameterized test runs in a process of its own
    ts_dtype dtype;
    bool embedding_in_file;
    ts_adapter_config adapter; // r = 0: none
} tiny_llama;

// Uniform in -1 .. 1 with 24 bits, which a float holds exactly.
static inline double tiny_random(uint32_t *state)
{
    *state ^= *state << 13; // xorshift32 (Marsaglia 2003)
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return (*state >> 8) * 0x1p-23 - 1;
}

// A list of tensors with their names and bytes.
struct tiny_file {
    ts_tensor tensors[128];
    char names[128][TS_WEIGHT_NAME_BYTES];
    size_t count;
    uint32_t state;
    ts_dtype dtype;
};

// Adds a tensor of values around `centre`; a vector where rows is 0.
static inline void tiny_values(struct tiny_file *file, uint32_t rows, uint32_t cols, double centre,
                               const char *name)
{
    ts_tensor *tensor = &file->tensors[file->count];
    char *full = file->names[file->count++];
    size_t count = (size_t)(rows > 0 ? rows : 1) * cols, size = ts_dtype_bytes(file->dtype);
    char *bytes = malloc(count * size);
    cr_assert_leq(file->count, TS_COUNT(file->tensors));
    snprintf(full, sizeof file->names[0], "%s", name);
    for (size_t i = 0; i < count; i++) {
        double value = tiny_random(&file->state) * (rows > 0 ? 0.6 : 0.3) + centre;
        float narrow = (float)value;
        uint16_t half = file->dtype == TS_F16 ? ts_f32_to_f16(narrow) : ts_f32_to_bf16(narrow);
        memcpy(bytes + i * size, file->dtype == TS_F32 ? (void *)&narrow : (void *)&half, size);
    }
    *tensor = (ts_tensor){.name = full,
                          .dtype = file->dtype,
                          .rank = rows > 0 ? 2 : 1,
                          .shape = {rows > 0 ? rows : cols, cols},
                          .bytes = bytes,
                          .len = count * size};
}

// Adds a vector NAME PART that holds these bytes.
static inline void tiny_bytes(struct tiny_file *file, const char *name, const char *part,
                              ts_dtype dtype, uint64_t count, const void *bytes)
{
    const size_t len = count * ts_dtype_bytes(dtype);
    void *copy = malloc(len);
    cr_assert_lt(file->count, TS_COUNT(file->tensors));
    char *full = file->names[file->count];
    snprintf(full, sizeof file->names[0], "%s%s", name, part);
    memcpy(copy, bytes, len);
    file->tensors[file->count++] = (ts_tensor){
        .name = full, .dtype = dtype, .rank = 1, .shape = {count}, .bytes = copy, .len = len};
}

// The same as tiny_values for a weight of a Llama, whose vectors are norms. `layer` may be beyond
// all layers.
static inline void tiny_tensor(struct tiny_file *file, uint32_t rows, uint32_t cols,
                               const char *name, uint32_t layer)
{
    char full[TS_WEIGHT_NAME_BYTES];
    if (layer < TINY_LAYERS) {
        snprintf(full, sizeof full, "model.layers.%u.%s.weight", layer, name);
    } else {
        snprintf(full, sizeof full, "%s.weight", name);
    }
    tiny_values(file, rows, cols, rows > 0 ? 0 : 1, full);
}

static inline void tiny_write_config(const char *folder, const tiny_llama *tiny)
{
    ts_text text = {0}, path = {0};
    char window[32] = "";
    const ts_family *family = ts_family_of(tiny->family);
    if (tiny->window > 0) {
        snprintf(window, sizeof window, ", \"sliding_window\": %u", tiny->window);
    }
    MUST(ts_text_format(
        &text, err,
        "{\"architectures\": [\"%s\"], \"model_type\": \"%s\", \"hidden_size\": %d, "
        "\"intermediate_size\": %d, \"num_hidden_layers\": %d, \"vocab_size\": %d, "
        "\"num_attention_heads\": %d, \"num_key_value_heads\": %d, \"head_dim\": %d, "
        "\"max_position_embeddings\": %d, \"rms_norm_eps\": 1e-5, \"rope_theta\": 10000.0, "
        "\"tie_word_embeddings\": %s%s%s}",
        family->architecture, family->model_type, TINY_HIDDEN, TINY_FFN, TINY_LAYERS, TINY_VOCAB,
        TINY_HEADS, TINY_KV_HEADS, TINY_HEAD_DIM, TINY_POSITIONS, tiny->tied ? "true" : "false",
        window, tiny->more));
    MUST(ts_path_join(folder, "config.json", &path, err));
    MUST(ts_file_write_plain(path.bytes, text.bytes, text.len, err));
    ts_text_free(&text);
    ts_text_free(&path);
}

static inline void tiny_write(const char *folder, const tiny_llama *tiny)
{
    struct tiny_file file = {.state = 20240607u, .dtype = tiny->dtype};
    ts_weights *weights = NULL;
    ts_model_config config;
    ts_text bytes = {0}, path = {0};
    tiny_write_config(folder, tiny);
    MUST(ts_weights_open(folder, &weights, err));
    MUST(ts_model_config_read(weights, &config, err));
    ts_weights_close(weights);
    for (uint32_t i = 0; i < ts_weight_count(&config); i++) {
        ts_weight weight;
        ts_weight_describe(&config, i, &weight);
        bool norm = weight.part == TS_WEIGHT_NORM || weight.part == TS_WEIGHT_FINAL_NORM;
        tiny_values(&file, weight.rows, weight.cols, norm ? 1 : 0, weight.name);
    }
    MUST(ts_safetensors_serialise(file.tensors, file.count, &bytes, err));
    MUST(ts_path_join(folder, "model.safetensors", &path, err));
    MUST(ts_file_write_plain(path.bytes, bytes.bytes, bytes.len, err));
    for (size_t i = 0; i < file.count; i++) {
        free((void *)(uintptr_t)file.tensors[i].bytes);
    }
    ts_text_free(&bytes);
    ts_text_free(&path);
}

// All tensors of every pair are random, DoRA's magnitudes around 1. With B = 0, as training starts,
// the gradient of A would be zero.
static inline void tiny_fill_adapter(ts_model *model)
{
    float *values = calloc(model->lora.count, sizeof *values);
    uint32_t state = 77;
    for (size_t p = 0; p < (size_t)TINY_LAYERS * TS_MODULE_COUNT; p++) {
        const ts_lora_pair *pair = &model->lora.pairs[p];
        const ts_view sides[] = {pair->a, pair->b, pair->magnitude};
        for (int s = 0; s < 3 && sides[s].bytes > 0; s++) {
            uint64_t size = ts_dtype_bytes(sides[s].dtype);
            uint64_t first = (sides[s].offset - model->lora.values.offset) / size;
            for (uint64_t i = 0; i < sides[s].bytes / size; i++) {
                values[first + i] = (float)(0.5 * tiny_random(&state) + (s == 2));
            }
        }
    }
    MUST(ts_gpu_upload(model->gpu, model->lora.values, values, model->lora.count * sizeof *values,
                       err));
    model->lora.changed = true;
    free(values);
}

// The model on `gpu`, with its adapter where it has one.
static inline void tiny_open(ts_gpu *gpu, const tiny_llama *tiny, ts_model *model)
{
    char folder[] = "/tmp/tinysft-test-XXXXXX";
    cr_assert_not_null(mkdtemp(folder));
    tiny_write(folder, tiny);
    const ts_model_params params = {.positions = TINY_POSITIONS,
                                    .embedding_in_file = tiny->embedding_in_file};
    test_model_open(gpu, folder, params, model);
    MUST(ts_folder_remove(folder, err));
    if (tiny->adapter.r > 0) {
        MUST(ts_model_add_lora(model, &tiny->adapter, 42, err));
        tiny_fill_adapter(model);
    }
}

// Appends sequence `which` to the batch. They have 5, 1, 7 and 3 tokens.
enum { TINY_SEQUENCES = 4 };
static inline void tiny_add(ts_batch *batch, uint32_t which)
{
    static const uint32_t lengths[TINY_SEQUENCES] = {5, 1, 7, 3};
    uint32_t ids[8], state = 99 + 7919 * which;
    uint8_t supervised[8];
    for (uint32_t t = 0; t < lengths[which]; t++) {
        ids[t] = (uint32_t)((tiny_random(&state) + 1) / 2 * TINY_VOCAB);
        supervised[t] = t >= 2 && t != 4; // a prompt first, and one unsupervised token later
    }
    MUST(ts_batch_add(batch, ids, lengths[which], supervised, err));
}

static inline void tiny_pack(ts_batch *batch)
{
    for (uint32_t s = 0; s < TINY_SEQUENCES; s++) {
        tiny_add(batch, s);
    }
}

static inline double tiny_distance(const double *have, const double *want, size_t count)
{
    double difference = 0, norm = 0;
    for (size_t i = 0; i < count; i++) {
        difference += (have[i] - want[i]) * (have[i] - want[i]);
        norm += want[i] * want[i];
    }
    return sqrt(difference) / (norm > 0 ? sqrt(norm) : 1);
}

#endif
