// A small model with random weights and an adapter for it, as folders, and what is exported from
// them.
#ifndef TESTS_EXPORT_EXPORT_TEST_H
#define TESTS_EXPORT_EXPORT_TEST_H

#include "base/log.h"
#include "export/export.h"
#include "model/tiny_llama.h"

#include <criterion/criterion.h>
#include <unistd.h>

typedef struct place {
    char folder[32], base[64], adapter[64], out[64];
    ts_weights *weights;
    ts_model_config config;
    ts_export_source source;
    ts_tokenizer *tokenizer;         // from place_open_base only
    ts_chat_template *chat_template; // likewise
    ts_export_params params;
} place;

// Writes an adapter folder with random pairs on every targeted module.
static inline void write_adapter(const place *p, const ts_adapter_config *config)
{
    enum { MOST = 8 * TS_MODULE_COUNT * 3 };
    ts_tensor tensors[MOST];
    char keys[MOST][TS_ADAPTER_KEY_BYTES];
    uint32_t count = 0, state = 7;
    ts_text text = {0}, bytes = {0}, path = {0};
    MUST(ts_folder_make(p->adapter, err));
    for (uint32_t i = 0; i < p->config.layers * TS_MODULE_COUNT; i++) {
        const ts_module module = (ts_module)(i % TS_MODULE_COUNT);
        uint32_t rows, cols;
        ts_module_shape(&p->config, module, &rows, &cols);
        for (const char *side = ts_adapter_sides(config);
             *side != '\0' && config->targets & TS_MODULE_BIT(module); side++) {
            ts_tensor *tensor = &tensors[count];
            ts_lora_key(&p->config, i / TS_MODULE_COUNT, module, *side, keys[count]);
            *tensor = (ts_tensor){.name = keys[count++], .dtype = TS_F32};
            const uint32_t r = ts_lora_rank(&p->config, config, i / TS_MODULE_COUNT, module);
            tensor->rank = ts_lora_shape(r, *side, rows, cols, tensor->shape);
            const uint64_t elements = ts_tensor_elements(tensor);
            float *values = calloc(elements, sizeof *values);
            for (uint64_t e = 0; e < elements; e++) {
                values[e] = (float)(0.2 * tiny_random(&state));
            }
            tensor->bytes = values;
            tensor->len = elements * sizeof *values;
        }
    }
    MUST(ts_adapter_config_write(config, &text, err));
    MUST(ts_path_join(p->adapter, "adapter_config.json", &path, err));
    MUST(ts_file_write_plain(path.bytes, text.bytes, text.len, err));
    MUST(ts_safetensors_serialise(tensors, count, &bytes, err));
    MUST(ts_path_join(p->adapter, "adapter_model.safetensors", &path, err));
    MUST(ts_file_write_plain(path.bytes, bytes.bytes, bytes.len, err));
    for (uint32_t i = 0; i < count; i++) {
        free((void *)(uintptr_t)tensors[i].bytes);
    }
    ts_text_free(&text);
    ts_text_free(&bytes);
    ts_text_free(&path);
}

static inline void place_open_source(place *p, const char *base, const ts_adapter_config *adapter)
{
    MUST(ts_weights_open(base, &p->weights, err));
    MUST(ts_model_check(p->weights, &p->config, err));
    if (adapter != NULL) {
        write_adapter(p, adapter);
    }
    MUST(ts_export_source_open(p->weights, &p->config, adapter != NULL ? p->adapter : NULL,
                               &p->source, err));
    p->params = (ts_export_params){.path = p->out, .shard_bytes = 1 << 30, .name = "tiny"};
}

static inline void place_name(place *p)
{
    *p = (place){.folder = "/tmp/tinysft-test-XXXXXX"};
    cr_assert_not_null(mkdtemp(p->folder));
    snprintf(p->base, sizeof p->base, "%s/base", p->folder);
    snprintf(p->adapter, sizeof p->adapter, "%s/adapter", p->folder);
    snprintf(p->out, sizeof p->out, "%s/out", p->folder);
}

// `adapter` NULL: none.
static inline void place_open(place *p, const tiny_llama *tiny, const ts_adapter_config *adapter)
{
    place_name(p);
    MUST(ts_folder_make(p->base, err));
    tiny_write(p->base, tiny);
    place_open_source(p, p->base, adapter);
}

// The embedded model, which has a tokenizer and a chat template.
static inline void place_open_base(place *p, const ts_adapter_config *adapter)
{
    place_name(p);
    place_open_source(p, PROJECT_FOLDER "/assets/base", adapter);
    MUST(ts_tokenizer_open(p->weights, &p->tokenizer, err));
    MUST(ts_chat_template_open(p->weights, NULL, p->tokenizer, &p->chat_template, err));
    p->params.tokenizer = p->tokenizer;
    p->params.chat_template = p->chat_template;
}

static inline void place_close(place *p)
{
    ts_export_source_close(&p->source);
    ts_chat_template_close(p->chat_template);
    ts_tokenizer_close(p->tokenizer);
    ts_weights_close(p->weights);
    MUST(ts_folder_remove(p->folder, err));
}

// Element [row, col] of w + scale B A, in double, from the folders alone.
static inline double sum_exactly(const place *p, const ts_weight *weight, uint64_t row,
                                 uint64_t col)
{
    const ts_tensor *base = ts_tensors_find(p->source.tensors, weight->name);
    double value = ts_dtype_load(base->dtype, base->bytes, row * weight->cols + col);
    if (!ts_export_is_adapted(&p->source, weight)) {
        return value;
    }
    char key[TS_ADAPTER_KEY_BYTES];
    const uint32_t r = ts_lora_rank(&p->config, &p->source.adapter, weight->layer, weight->module);
    const float *a, *b;
    ts_lora_key(&p->config, weight->layer, weight->module, 'A', key);
    a = ts_tensors_find(p->source.adapter_file, key)->bytes;
    ts_lora_key(&p->config, weight->layer, weight->module, 'B', key);
    b = ts_tensors_find(p->source.adapter_file, key)->bytes;
    double sum = 0;
    for (uint32_t j = 0; j < r; j++) {
        sum += (double)b[row * r + j] * a[j * weight->cols + col];
    }
    return value +
           ts_lora_scale(&p->config, &p->source.adapter, weight->layer, weight->module) * sum;
}

// Element [row, col] of a weight merged: of that sum or, with DoRA, of the sum with its magnitudes.
static inline double merged_exactly(const place *p, const ts_weight *weight, uint64_t row,
                                    uint64_t col)
{
    char key[TS_ADAPTER_KEY_BYTES];
    double squares = 0, value = sum_exactly(p, weight, row, col);
    if (!ts_export_is_adapted(&p->source, weight) || !p->source.adapter.use_dora) {
        return value;
    }
    for (uint64_t i = 0; i < weight->cols; i++) {
        const double other = sum_exactly(p, weight, row, i);
        squares += other * other;
    }
    ts_lora_key(&p->config, weight->layer, weight->module, 'M', key);
    const float *magnitude = ts_tensors_find(p->source.adapter_file, key)->bytes;
    return (double)magnitude[row] / sqrt(squares) * value;
}

// Half of the last bit of `value` in this type, which is the largest error of rounding to it.
static inline double half_step(ts_dtype dtype, double value)
{
    int exponent;
    frexp(value, &exponent);
    const int bits = dtype == TS_F32 ? 24 : dtype == TS_F16 ? 11 : 8;
    const int least = dtype == TS_F16 ? -13 : -125; // below it numbers are subnormal
    return ldexp(0.5, (exponent > least ? exponent : least) - bits);
}

#endif
