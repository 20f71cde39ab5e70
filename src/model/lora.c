// The adapter's tensors: their places, their initial values, and reading and writing their files.
#include "base/memory.h"
#include "base/rng.h"
#include "model/dora.h"
#include "model/internal.h"
#include "model/lora_folder.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Tensors start at multiples of this many floats, the view alignment of ts_gpu_alloc.
enum { TENSOR_ALIGNMENT = 64 };

// Returns the offset of the next tensor in the flat arrays, in floats, and moves *at past it. The
// tensors have the order of the files: by layer, then by module.
static uint64_t place_tensor(uint64_t *at, uint32_t rows, uint32_t cols)
{
    uint64_t offset = *at;
    *at += ts_align_up((uint64_t)rows * cols, TENSOR_ALIGNMENT);
    return offset;
}

typedef ts_status (*pair_visitor)(ts_model *model, uint32_t layer, ts_module module,
                                  ts_lora_pair *pair, uint32_t out, uint32_t in, void *user,
                                  ts_error *err);

static ts_status for_each_pair(ts_model *model, pair_visitor visit, void *user, ts_error *err)
{
    for (uint32_t layer = 0; layer < model->config.layers; layer++) {
        for (ts_module module = 0; module < TS_MODULE_COUNT; module++) {
            if (model->lora.config.targets & TS_MODULE_BIT(module)) {
                uint32_t rows, cols;
                ts_module_shape(&model->config, module, &rows, &cols);
                ts_status status = visit(model, layer, module,
                                         &model->lora.pairs[layer * TS_MODULE_COUNT + module], rows,
                                         cols, user, err);
                if (status != TS_OK) {
                    return status;
                }
            }
        }
    }
    return TS_OK;
}

// Of the first so many layers.
static void measure(const ts_model_config *config, const ts_adapter_config *adapter,
                    uint32_t layers, uint64_t *count, uint64_t *parameters)
{
    *count = *parameters = 0;
    for (uint32_t i = 0; i < layers * TS_MODULE_COUNT; i++) {
        const ts_module module = (ts_module)(i % TS_MODULE_COUNT);
        uint32_t out, in;
        ts_module_shape(config, module, &out, &in);
        if (adapter->targets & TS_MODULE_BIT(module)) {
            const uint32_t r = ts_lora_rank(config, adapter, i / TS_MODULE_COUNT, module);
            place_tensor(count, r, in);
            place_tensor(count, out, r);
            *parameters += (uint64_t)r * ((uint64_t)in + out);
            if (adapter->use_dora) {
                place_tensor(count, 1, out);
                *parameters += out;
            }
        }
    }
}

void ts_lora_measure(const ts_model_config *config, const ts_adapter_config *adapter,
                     uint64_t *count, uint64_t *parameters)
{
    measure(config, adapter, config->layers, count, parameters);
}

uint64_t ts_lora_begin(const ts_model_config *config, const ts_adapter_config *adapter,
                       uint32_t layer)
{
    uint64_t count, parameters;
    measure(config, adapter, layer, &count, &parameters);
    return count;
}

static ts_status slice_pair(ts_model *model, uint32_t layer, ts_module module, ts_lora_pair *pair,
                            uint32_t out, uint32_t in, void *user, ts_error *err)
{
    (void)err;
    ts_lora *lora = &model->lora;
    uint64_t *at = user, r = ts_lora_rank(&model->config, &lora->config, layer, module);
    uint64_t a = place_tensor(at, (uint32_t)r, in), b = place_tensor(at, out, (uint32_t)r);
    pair->a = ts_view_slice(lora->values, a, r * in);
    pair->b = ts_view_slice(lora->values, b, out * r);
    if (lora->config.use_dora) {
        pair->magnitude = ts_view_slice(lora->values, place_tensor(at, 1, out), out);
    }
    pair->r = (uint32_t)r;
    pair->scale = (float)ts_lora_scale(&model->config, &lora->config, layer, module);
    return TS_OK;
}

ts_status ts_lora_place(ts_model *model, ts_error *err)
{
    ts_status status = TS_OK;
    ts_lora *lora = &model->lora;
    uint64_t at = 0;
    TS_TRY(ts_alloc((size_t)model->config.layers * TS_MODULE_COUNT, sizeof *lora->pairs,
                    &lora->pairs, err));
    ts_lora_measure(&model->config, &lora->config, &lora->count, &lora->parameters);
    if (ts_gpu_alloc(&model->adapter, TS_F32, lora->count, &lora->values, err) != TS_OK) {
        return ts_error_context(err, "adapter of rank %u", lora->config.r);
    }
    TS_TRY(for_each_pair(model, slice_pair, &at, err));
    if (lora->config.use_dora) {
        TS_TRY(ts_dora_place(model, err));
    }
out:
    return status;
}

static ts_status open_lora(ts_model *model, const ts_adapter_config *config, ts_error *err)
{
    ts_status status = TS_OK;
    float *zeros = NULL;
    model->lora.config = *config;
    model->adapter = (ts_gpu_arena){.gpu = model->gpu, .block_bytes = 1 << 20};
    TS_TRY(ts_lora_place(model, err));
    TS_TRY(ts_alloc(model->lora.count, sizeof *zeros, &zeros, err));
    TS_TRY(ts_gpu_upload(model->gpu, model->lora.values, zeros, model->lora.count * sizeof *zeros,
                         err));
    if (config->use_dora) {
        TS_TRY(ts_dora_measure(model, err));
    }
    model->has_lora = model->lora_enabled = model->lora.changed = true;
out:
    free(zeros);
    return status;
}

// One value of A as PEFT initialises it.
static float start_value(ts_lora_init init, uint32_t r, uint32_t in, uint64_t seed, uint32_t stream,
                         uint64_t i)
{
    return init == TS_LORA_INIT_GAUSSIAN
               ? ts_random_normal(seed, stream, i) / (float)r
               : 1 / sqrtf((float)in) * (2 * ts_random_uniform(seed, stream, i) - 1);
}

// Uploads the initial values of A. B stays zero.
static ts_status start_pair(ts_model *model, uint32_t layer, ts_module module, ts_lora_pair *pair,
                            uint32_t out, uint32_t in, void *user, ts_error *err)
{
    (void)out;
    ts_status status = TS_OK;
    uint64_t seed = *(const uint64_t *)user, count = (uint64_t)pair->r * in;
    uint32_t stream = layer * TS_MODULE_COUNT + module;
    float *values = NULL;
    TS_TRY(ts_alloc(count, sizeof *values, &values, err));
    for (uint64_t i = 0; i < count; i++) {
        values[i] = start_value(model->lora.config.init, pair->r, in, seed, stream, i);
    }
    TS_TRY(ts_gpu_upload(model->gpu, pair->a, values, count * sizeof *values, err));
out:
    free(values);
    return status;
}

ts_status ts_model_add_lora(ts_model *model, const ts_adapter_config *config, uint64_t seed,
                            ts_error *err)
{
    ts_status status = TS_OK;
    TS_TRY(open_lora(model, config, err));
    TS_TRY(for_each_pair(model, start_pair, &seed, err));
    if (config->use_dora) {
        TS_TRY(ts_dora_start(model, err));
    }
out:
    return status;
}

ts_view ts_lora_part(const ts_lora *lora, ts_view flat, ts_view part)
{
    uint64_t size = ts_dtype_bytes(part.dtype);
    return ts_view_slice(flat, (part.offset - lora->values.offset) / size, part.bytes / size);
}

// ---- Files

// Where one side of a pair (ts_adapter_sides) starts in a flat array, in floats.
static uint64_t offset_of_side(const ts_model *model, const ts_lora_pair *pair, char side)
{
    ts_view view = side == 'A' ? pair->a : side == 'B' ? pair->b : pair->magnitude;
    return (view.offset - model->lora.values.offset) / ts_dtype_bytes(view.dtype);
}

struct description {
    const char *prefix;
    ts_lora_tensors *out;
};

static ts_status describe_pair(ts_model *model, uint32_t layer, ts_module module,
                               ts_lora_pair *pair, uint32_t out, uint32_t in, void *user,
                               ts_error *err)
{
    (void)err;
    const struct description *description = user;
    ts_lora_tensors *list = description->out;
    for (const char *side = ts_adapter_sides(&model->lora.config); *side != '\0'; side++) {
        ts_tensor *tensor = &list->tensors[list->count];
        char key[TS_ADAPTER_KEY_BYTES], *name = list->names[list->count++];
        ts_lora_key(&model->config, layer, module, *side, key);
        snprintf(name, TS_LORA_NAME_BYTES, "%s%s", description->prefix, key);
        *tensor = (ts_tensor){.name = name, .dtype = TS_F32};
        tensor->rank = ts_lora_shape(pair->r, *side, out, in, tensor->shape);
        tensor->len = ts_tensor_elements(tensor) * sizeof(float);
        tensor->bytes = list->values + offset_of_side(model, pair, *side);
    }
    return TS_OK;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const ts_tensor *)a)->name, ((const ts_tensor *)b)->name);
}

ts_status ts_lora_download(ts_model *model, ts_view flat, const char *prefix, ts_lora_tensors *out,
                           ts_error *err)
{
    ts_status status = TS_OK;
    size_t most = (size_t)model->config.layers * TS_MODULE_COUNT *
                  strlen(ts_adapter_sides(&model->lora.config));
    *out = (ts_lora_tensors){0};
    TS_TRY(ts_alloc(model->lora.count, sizeof *out->values, &out->values, err));
    TS_TRY(ts_alloc(most, sizeof *out->tensors, &out->tensors, err));
    TS_TRY(ts_alloc(most, sizeof *out->names, &out->names, err));
    TS_TRY(ts_gpu_download(model->gpu, flat, out->values, model->lora.count * sizeof *out->values,
                           err));
    TS_TRY(for_each_pair(model, describe_pair, &(struct description){prefix, out}, err));
    qsort(out->tensors, out->count, sizeof *out->tensors, by_name);
out:
    if (status != TS_OK) {
        ts_lora_tensors_free(out);
    }
    return status;
}

void ts_lora_tensors_free(ts_lora_tensors *tensors)
{
    free(tensors->values);
    free(tensors->tensors);
    free(tensors->names);
    *tensors = (ts_lora_tensors){0};
}

// A flat array that is read from a file.
struct upload {
    const ts_tensors *file;
    const char *prefix;
    float *values;
    size_t count; // tensors read
};

static ts_status read_side(const struct upload *upload, const char *key, uint32_t rank,
                           const uint64_t *shape, uint64_t offset, ts_error *err)
{
    ts_status status = TS_OK;
    char name[TS_LORA_NAME_BYTES];
    const ts_tensor *tensor;
    snprintf(name, sizeof name, "%s%s", upload->prefix, key);
    TS_TRY(ts_tensors_expect(upload->file, name, rank, shape, &tensor, err));
    TS_TRY(ts_lora_check_dtype(tensor, err));
    TS_TRY(ts_tensors_check_finite(upload->file, tensor, err));
    for (uint64_t i = 0; i < ts_tensor_elements(tensor); i++) {
        upload->values[offset + i] = (float)ts_dtype_load(tensor->dtype, tensor->bytes, i);
    }
out:
    return status;
}

static ts_status read_pair(ts_model *model, uint32_t layer, ts_module module, ts_lora_pair *pair,
                           uint32_t out, uint32_t in, void *user, ts_error *err)
{
    struct upload *upload = user;
    ts_status status = TS_OK;
    for (const char *side = ts_adapter_sides(&model->lora.config); *side != '\0'; side++) {
        char key[TS_ADAPTER_KEY_BYTES];
        uint64_t shape[TS_TENSOR_MAX_RANK];
        ts_lora_key(&model->config, layer, module, *side, key);
        const uint32_t rank = ts_lora_shape(pair->r, *side, out, in, shape);
        TS_TRY(read_side(upload, key, rank, shape, offset_of_side(model, pair, *side), err));
        upload->count++;
    }
out:
    return status;
}

ts_status ts_lora_upload(ts_model *model, ts_view flat, const char *prefix, const ts_tensors *file,
                         size_t *count, ts_error *err)
{
    ts_status status = TS_OK;
    struct upload upload = {.file = file, .prefix = prefix};
    TS_TRY(ts_alloc(model->lora.count, sizeof *upload.values, &upload.values, err));
    TS_TRY(for_each_pair(model, read_pair, &upload, err));
    TS_TRY(ts_gpu_upload(model->gpu, flat, upload.values, model->lora.count * sizeof *upload.values,
                         err));
    *count = upload.count;
    model->lora.changed = true;
out:
    free(upload.values);
    return status;
}

ts_status ts_model_save_lora(ts_model *model, ts_text *out, ts_error *err)
{
    ts_lora_tensors tensors = {0};
    ts_status status = TS_OK;
    TS_TRY(ts_lora_download(model, model->lora.values, "", &tensors, err));
    TS_TRY(ts_safetensors_serialise(tensors.tensors, tensors.count, out, err));
out:
    ts_lora_tensors_free(&tensors);
    return status;
}

void ts_lora_free(ts_lora *lora)
{
    free(lora->pairs);
    for (size_t i = 0; i < TS_COUNT(lora->patterns); i++) {
        ts_text_free(&lora->patterns[i]);
    }
    *lora = (ts_lora){0};
}

void ts_model_remove_lora(ts_model *model)
{
    ts_gpu_arena_close(&model->adapter);
    ts_lora_free(&model->lora);
    model->has_lora = model->lora_enabled = false;
}

ts_status ts_model_load_lora(ts_model *model, const char *folder, ts_error *err)
{
    ts_status status = TS_OK;
    ts_adapter_config config = {0};
    ts_tensors *file = NULL;
    size_t count;
    TS_TRY(ts_lora_open_folder(&model->config, folder, &config, &file, err));
    model->lora.patterns[0] = config.rank_pattern;
    model->lora.patterns[1] = config.alpha_pattern;
    status = open_lora(model, &config, err);
    config.rank_pattern = config.alpha_pattern = (ts_text){0};
    TS_TRY(status);
    TS_TRY(ts_lora_upload(model, model->lora.values, "", file, &count, err));
out:
    model->lora.config.base_model = (ts_text){0};
    ts_adapter_config_free(&config);
    ts_tensors_close(file);
    return status;
}
