#include "model/internal.h"

#include "base/log.h"
#include "base/memory.h"
#include "model/quantise.h"
#include "model/upload.h"
#include "ops/device.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { WEIGHT_BLOCK_BYTES = 256 << 20 };

struct loader {
    ts_model *model;
    const ts_tensors *file; // NULL: random weights, all stored as `dtype`
    ts_dtype dtype;
    ts_quantise quantise;
    ts_precision precision;
    const ts_model_params *params;
    bool embedding_in_file;
    uint64_t binding_limit; // bytes of a weight; 0: any
    uint64_t range_limit;   // bytes of a range of a vocabulary; 0: any
    uint64_t done, total;   // bytes of the files
    uint64_t held;          // bytes on the device
};

static ts_dtype held_as(const struct loader *loader, const ts_weight *weight, ts_dtype stored)
{
    return ts_weight_held_as(weight, stored, loader->quantise, loader->precision);
}

// Random values as large as a linear layer's usually are, a piece at a time. Only their spread
// matters, so the cheapest generator is good enough. Weights stored in BF16 have its numbers where
// they are held in F16 too, so that a model is the same in every precision.
static ts_status fill_randomly(ts_model *model, ts_view view, ts_dtype stored, uint32_t cols,
                               ts_error *err)
{
    enum { PIECE = 1 << 20 };
    ts_status status = TS_OK;
    union {
        float *single;
        uint16_t *half;
    } values = {NULL};
    uint64_t count = ts_dtype_count(view.dtype, view.bytes), state = view.offset + count;
    bool half = view.dtype == TS_BF16 || view.dtype == TS_F16;
    float scale = sqrtf(3.0f / (float)cols) / (1 << 23);
    TS_TRY(ts_alloc(PIECE, sizeof *values.single, &values.single, err));
    for (uint64_t from = 0; from < count; from += PIECE) {
        uint64_t some = ts_min_u64(PIECE, count - from);
        for (uint64_t i = 0; i < some; i++) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            float value = scale * (float)((int32_t)(state >> 32) >> 8);
            if (half) {
                const uint16_t brain = ts_f32_to_bf16(value);
                values.half[i] = view.dtype == TS_BF16 ? brain
                                 : stored == TS_BF16   ? ts_f32_to_f16(ts_bf16_to_f32(brain))
                                                       : ts_f32_to_f16(value);
            } else {
                values.single[i] = value;
            }
        }
        if (ts_dtype_block(view.dtype) > 1) {
            TS_TRY(ts_upload_quantised(model->gpu, view, from, TS_F32, values.single, some,
                                       "a random weight", err));
            continue;
        }
        TS_TRY(ts_gpu_upload(model->gpu, ts_view_slice(view, from, some), values.single,
                             some * (half ? sizeof *values.half : sizeof *values.single), err));
    }
out:
    free(values.single);
    return status;
}

static bool is_vocabulary(const ts_weight *weight)
{
    return weight->part == TS_WEIGHT_EMBEDDING || weight->part == TS_WEIGHT_HEAD;
}

// The view that a weight is placed in, if it is neither the embedding nor lm_head.
static ts_view *view_of(ts_model *model, const ts_weight *weight)
{
    ts_layer_weights *layer = &model->layers[weight->layer];
    switch (weight->part) {
    case TS_WEIGHT_NORM:
        return &layer->norms[weight->norm];
    case TS_WEIGHT_LINEAR:
        return &layer->linear[weight->module];
    case TS_WEIGHT_BIAS:
        return &layer->biases[weight->module];
    default:
        return &model->final_norm;
    }
}

// Uploads 1 + the tensor's values, as F32.
static ts_status upload_plus_one(ts_gpu *gpu, const ts_tensor *tensor, ts_view view, ts_error *err)
{
    ts_status status = TS_OK;
    uint64_t count = ts_dtype_count(tensor->dtype, tensor->len);
    float *values = NULL;
    TS_TRY(ts_alloc(count, sizeof *values, &values, err));
    for (uint64_t i = 0; i < count; i++) {
        values[i] = 1 + (float)ts_dtype_load(tensor->dtype, tensor->bytes, i);
    }
    TS_TRY(ts_gpu_upload(gpu, view, values, count * sizeof *values, err));
out:
    free(values);
    return status;
}

// Uploads `view`, which takes the tensor's elements from `first` on.
static ts_status upload_elements(struct loader *loader, const ts_weight *weight,
                                 const ts_tensor *tensor, uint64_t first, ts_view view,
                                 ts_error *err)
{
    ts_gpu *gpu = loader->model->gpu;
    const ts_status status = weight->plus_one ? upload_plus_one(gpu, tensor, view, err)
                                              : ts_upload_tensor(gpu, view, tensor, first, err);
    return status == TS_ERR_UNSUPPORTED
               ? ts_error_context(err, "%s", ts_weights_path(loader->params->weights))
               : status;
}

// Places the elements of a weight from `first` on and, with a device, fills them: from `tensor`, or
// at random where that is NULL.
static ts_status load_elements(struct loader *loader, const ts_weight *weight, ts_dtype dtype,
                               const ts_tensor *tensor, uint64_t first, uint64_t count,
                               ts_view *view, ts_error *err)
{
    ts_status status = TS_OK;
    ts_model *model = loader->model;
    if (ts_gpu_alloc(&model->weights, dtype, count, view, err) != TS_OK) {
        return ts_error_context(err, "weight %s", weight->name);
    }
    if (loader->binding_limit > 0 && view->bytes > loader->binding_limit) {
        TS_FAIL(TS_ERR_UNSUPPORTED,
                "weight %s has %.1f MiB, and a shader of this device reaches %.1f MiB of a tensor: "
                "it takes another device, or the same weights in 16 bits where they have 32",
                weight->name, (double)view->bytes / (1 << 20),
                (double)loader->binding_limit / (1 << 20));
    }
    if (model->gpu == NULL) {
        return TS_OK;
    }
    if (tensor != NULL) {
        TS_TRY(upload_elements(loader, weight, tensor, first, *view, err));
    } else if (!ts_gpu_is_compile_only(model->gpu)) {
        TS_TRY(fill_randomly(model, *view, loader->dtype, weight->cols, err));
    }
out:
    return status;
}

// Cuts the embedding or lm_head into the fewest ranges of equally many rows that can be bound. If
// these are too many, or not even TS_VOCABULARY_STEP rows can be bound, it stays one range, which
// load_elements then refuses.
static void cut_vocabulary(const struct loader *loader, const ts_weight *weight, ts_dtype dtype,
                           ts_vocabulary *out)
{
    const uint64_t limit = loader->range_limit, step = TS_VOCABULARY_STEP;
    const uint64_t step_bytes = ts_dtype_size(dtype, step * weight->cols);
    const uint64_t steps = ts_ceil_div(weight->rows, step);
    *out = (ts_vocabulary){.count = 1, .rows = weight->rows};
    if (limit == 0 || ts_dtype_size(dtype, (uint64_t)weight->rows * weight->cols) <= limit ||
        step_bytes > limit) {
        return;
    }
    const uint64_t ranges = ts_ceil_div(steps, limit / step_bytes);
    const uint64_t rows = ts_ceil_div(steps, ranges) * step;
    if (ranges <= TS_VOCABULARY_RANGES) {
        out->rows = (uint32_t)rows;
        out->count = (uint32_t)ts_ceil_div(weight->rows, rows);
    }
}

static ts_status load_vocabulary(struct loader *loader, const ts_weight *weight, ts_dtype dtype,
                                 const ts_tensor *tensor, ts_error *err)
{
    ts_status status = TS_OK;
    ts_model *model = loader->model;
    ts_vocabulary *out = weight->part == TS_WEIGHT_EMBEDDING ? &model->embedding : &model->lm_head;
    cut_vocabulary(loader, weight, dtype, out);
    for (uint32_t i = 0; i < out->count; i++) {
        const uint64_t first = (uint64_t)i * out->rows;
        const uint64_t rows = ts_min_u64(out->rows, weight->rows - first);
        TS_TRY(load_elements(loader, weight, dtype, tensor, first * weight->cols,
                             rows * weight->cols, &out->ranges[i], err));
    }
out:
    return status;
}

// Finds the weight, places it and, with a device, fills it.
static ts_status load_weight(struct loader *loader, const ts_weight *weight, ts_error *err)
{
    ts_status status = TS_OK;
    ts_model *model = loader->model;
    const uint64_t count = (uint64_t)(weight->rows > 0 ? weight->rows : 1) * weight->cols;
    const ts_tensor *tensor = NULL;
    if (loader->file != NULL) {
        TS_TRY(ts_weight_find(loader->file, weight, &tensor, err));
    }
    if (tensor != NULL && model->gpu != NULL) {
        TS_TRY(ts_tensors_check_finite(loader->file, tensor, err));
    }
    const ts_dtype stored = tensor != NULL ? tensor->dtype : loader->dtype;
    const ts_dtype dtype = held_as(loader, weight, stored);
    TS_TRY(is_vocabulary(weight) ? load_vocabulary(loader, weight, dtype, tensor, err)
                                 : load_elements(loader, weight, dtype, tensor, 0, count,
                                                 view_of(model, weight), err));
    if (tensor != NULL && model->gpu != NULL) {
        ts_tensors_release(loader->file, tensor); // the host never holds a second copy
        loader->done += tensor->len;
        if (loader->params->progress != NULL) {
            loader->params->progress(loader->params->user, loader->done, loader->total);
        }
    }
out:
    return status;
}

// Leaves the embedding in its file.
static ts_status keep_in_file(struct loader *loader, const ts_weight *weight, ts_error *err)
{
    ts_status status = TS_OK;
    ts_model *model = loader->model;
    model->embedding_in_file = true;
    if (loader->file == NULL) {
        return TS_OK;
    }
    TS_TRY(ts_weight_find(loader->file, weight, &model->embedding_rows, err));
    if (model->gpu != NULL) {
        TS_TRY(ts_tensors_check_finite(loader->file, model->embedding_rows, err));
        ts_tensors_release(loader->file, model->embedding_rows);
    }
    model->embedding_dtype = model->embedding_rows->dtype;
    loader->total -= model->embedding_rows->len;
out:
    return status;
}

// What a weight takes in memory.
static uint64_t bytes_of(const struct loader *loader, const ts_weight *weight)
{
    const ts_tensor *tensor =
        loader->file != NULL ? ts_tensors_find(loader->file, weight->name) : NULL;
    const uint64_t count = (uint64_t)(weight->rows > 0 ? weight->rows : 1) * weight->cols;
    const ts_dtype stored = tensor != NULL ? tensor->dtype : loader->dtype;
    return ts_dtype_size(held_as(loader, weight, stored), count);
}

// Before the first of linear layers that read the same input: lets them lie in one buffer, so that
// their products can be one (ts_matmul_sum).
static ts_status gather(const struct loader *loader, uint32_t first, ts_error *err)
{
    enum { ALIGNMENT = 256 };
    ts_weight weight;
    uint64_t bytes = 0;
    ts_weight_describe(&loader->model->config, first, &weight);
    const bool is_first = weight.part == TS_WEIGHT_LINEAR &&
                          (weight.module == TS_MODULE_Q || weight.module == TS_MODULE_GATE);
    const ts_module last = weight.module == TS_MODULE_Q ? TS_MODULE_V : TS_MODULE_UP;
    if (!is_first) {
        return TS_OK;
    }
    for (uint32_t i = first; weight.part != TS_WEIGHT_LINEAR || weight.module <= last; i++) {
        bytes += ts_align_up(bytes_of(loader, &weight), ALIGNMENT);
        ts_weight_describe(&loader->model->config, i + 1, &weight);
    }
    return ts_gpu_arena_gather(&loader->model->weights, bytes, err);
}

static ts_status load_weights(struct loader *loader, ts_error *err)
{
    ts_status status = TS_OK;
    ts_model *model = loader->model;
    bool in_file = loader->embedding_in_file && !model->config.tied;
    for (uint32_t i = 0; i < ts_weight_count(&model->config); i++) {
        ts_weight weight;
        ts_weight_describe(&model->config, i, &weight);
        TS_TRY(gather(loader, i, err));
        TS_TRY(weight.part == TS_WEIGHT_EMBEDDING && in_file ? keep_in_file(loader, &weight, err)
                                                             : load_weight(loader, &weight, err));
    }
    if (model->config.tied) {
        model->lm_head = model->embedding;
    }
out:
    return status;
}

static ts_status make_table(ts_model *model, const ts_rope_config *rope, uint32_t positions,
                            ts_dtype dtype, ts_view *view, ts_error *err)
{
    ts_status status = TS_OK;
    size_t count = (size_t)positions * (model->config.head_dim / 2) * 2;
    float *table = NULL;
    TS_TRY(ts_gpu_alloc(&model->weights, TS_F32, count, view, err));
    if (model->gpu == NULL) {
        goto out;
    }
    TS_TRY(ts_alloc(count, sizeof *table, &table, err));
    ts_rope_fill(rope, model->config.head_dim, positions, dtype, table);
    TS_TRY(ts_gpu_upload(model->gpu, *view, table, count * sizeof *table, err));
out:
    free(table);
    return status;
}

static ts_status make_rope(ts_model *model, uint32_t positions, ts_dtype dtype, ts_error *err)
{
    ts_status status = TS_OK;
    const ts_model_config *c = &model->config;
    TS_TRY(make_table(model, &c->rope, positions, dtype, &model->rope, err));
    if (c->local_rope.theta > 0) {
        TS_TRY(make_table(model, &c->local_rope, positions, dtype, &model->local_rope, err));
    }
out:
    return status;
}

// What embeddings are multiplied by. transformers keeps this number in the model's type, so it is
// rounded to the embedding's, unless the model is one of float32. For an embedding in blocks it
// stays f32.
static float embedding_scale(const ts_model_config *config, ts_dtype dtype)
{
    float root = sqrtf((float)config->hidden);
    if (!ts_family_of(config->family)->embedding_scaled) {
        return 1;
    }
    dtype = config->float32 ? TS_F32 : dtype;
    return dtype == TS_BF16  ? ts_bf16_to_f32(ts_f32_to_bf16(root))
           : dtype == TS_F16 ? ts_f16_to_f32(ts_f32_to_f16(root))
                             : root;
}

static void count_bytes(struct loader *loader)
{
    const ts_model_config *config = &loader->model->config;
    for (uint32_t i = 0; i < ts_weight_count(config); i++) {
        ts_weight weight;
        ts_weight_describe(config, i, &weight);
        const ts_tensor *tensor = ts_tensors_find(loader->file, weight.name);
        loader->total += tensor->len;
        loader->held +=
            ts_dtype_size(held_as(loader, &weight, tensor->dtype), ts_tensor_elements(tensor));
    }
}

static bool embedding_binds(const struct loader *loader)
{
    const ts_model_config *config = &loader->model->config;
    ts_dtype dtype = ts_embedding_dtype(config, loader->file);
    return loader->binding_limit == 0 ||
           ts_dtype_size(dtype, (uint64_t)config->vocab * config->hidden) <= loader->binding_limit;
}

ts_status ts_model_open(ts_gpu *gpu, const ts_model_params *params, ts_model *out, ts_error *err)
{
    ts_status status = TS_OK;
    const ts_gpu_caps *caps = ts_gpu_capabilities(gpu);
    struct loader loader = {
        .model = out,
        .params = params,
        .dtype = params->random_dtype,
        .quantise = params->quantise,
        .precision = params->precision,
    };
    *out = (ts_model){.gpu = gpu,
                      .config = *params->config,
                      .weights = {.gpu = gpu, .block_bytes = WEIGHT_BLOCK_BYTES}};
    if (!ts_gpu_is_compile_only(gpu)) { // which binds nothing
        loader.binding_limit = ts_min_u64(caps->max_binding_bytes, caps->max_allocation_bytes);
    }
    loader.range_limit = params->range_bytes > 0 ? params->range_bytes : loader.binding_limit;
    if (params->weights != NULL) {
        TS_TRY(ts_weights_tensors(params->weights, &loader.file, err));
        count_bytes(&loader);
        loader.embedding_in_file = params->embedding_in_file || !embedding_binds(&loader);
        out->weights.block_bytes =
            ts_min_u64(WEIGHT_BLOCK_BYTES, ts_align_up(loader.held, 1 << 20));
    }
    TS_TRY(ts_alloc(out->config.layers, sizeof *out->layers, &out->layers, err));
    TS_TRY(ts_quantise_check(&out->config, loader.file, params->quantise, err));
    TS_TRY(ts_quantise_describe(&out->config, loader.file, params->quantise, &out->held_in, err));
    TS_TRY(load_weights(&loader, err));
    if (loader.file != NULL) { // else the weights may be a mixture of two versions of the file
        TS_TRY(ts_tensors_check_unchanged(loader.file, NULL, err));
    }
    ts_log(TS_LOG_DEBUG, "%u tensors of the model were put on the device",
           ts_weight_count(&out->config));
    out->files = loader.file;
    TS_TRY(make_rope(out, params->positions, params->rope_dtype, err));
    out->precision = params->precision;
    ts_device_test_attention(gpu, out->precision, out->config.head_dim);
    TS_TRY(ts_model_place_largest(out, out->precision, err));
    TS_TRY(ts_model_find_largest(out, err));
    out->embedding_scale = embedding_scale(
        &out->config,
        loader.file != NULL ? ts_embedding_dtype(&out->config, loader.file) : params->random_dtype);
out:
    if (status != TS_OK) {
        ts_model_close(out);
    }
    return status;
}

uint32_t ts_model_positions(const ts_model *model)
{
    return (uint32_t)(model->rope.bytes / sizeof(float) / model->config.head_dim);
}

void ts_model_close(ts_model *model)
{
    ts_gpu_arena_close(&model->weights);
    ts_gpu_arena_close(&model->adapter);
    free(model->layers);
    ts_lora_free(&model->lora);
    ts_text_free(&model->held_in);
    *model = (ts_model){0};
}

ts_status ts_model_plan(const ts_model_config *config, const ts_tensors *file, ts_dtype dtype,
                        ts_quantise quantise, uint32_t positions, bool embedding_in_file,
                        uint64_t binding_limit, const ts_adapter_config *adapter,
                        ts_precision precision, uint64_t *weight_bytes, uint64_t *adapter_bytes,
                        ts_error *err)
{
    ts_status status = TS_OK;
    ts_model model = {.config = *config};
    struct loader loader = {.model = &model,
                            .file = file,
                            .dtype = dtype,
                            .quantise = quantise,
                            .precision = precision,
                            .embedding_in_file = embedding_in_file,
                            .binding_limit = binding_limit,
                            .range_limit = binding_limit};
    TS_TRY(ts_alloc(config->layers, sizeof *model.layers, &model.layers, err));
    TS_TRY(ts_quantise_check(config, file, quantise, err));
    TS_TRY(load_weights(&loader, err));
    TS_TRY(make_rope(&model, positions, TS_F32, err));
    TS_TRY(ts_model_place_largest(&model, precision, err));
    *weight_bytes = model.weights.used_bytes;
    if (adapter != NULL) {
        model.lora.config = *adapter;
        TS_TRY(ts_lora_place(&model, err));
    }
    *adapter_bytes = model.adapter.used_bytes;
out:
    ts_model_close(&model);
    return status;
}
