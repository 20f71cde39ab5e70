// An adapter as a GGUF file, for llama-cli's --lora, llama-server and Ollama's ADAPTER.
#include "base/memory.h"
#include "data/gguf_write.h"
#include "export/gguf.h"
#include "export/gguf_parts.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_BYTES = TS_WEIGHT_NAME_BYTES + 16 };

ts_status ts_export_gguf_adapter_check(const ts_export_source *source,
                                       const ts_export_params *params, ts_error *err)
{
    ts_status status = TS_OK;
    const ts_gguf_architecture *architecture;
    if (source->adapter.r == 0) {
        TS_FAIL(TS_ERR_ARGUMENT, "--format gguf-adapter: no --adapter is named");
    }
    if (source->adapter.use_dora) {
        TS_FAIL(TS_ERR_UNSUPPORTED,
                "--format gguf-adapter: the adapter is a DoRA (use_dora), and llama.cpp's adapters "
                "have no magnitudes: export the merged model with --format gguf");
    }
    if (params->convert && params->dtype != TS_F32 && params->dtype != TS_F16) {
        TS_FAIL(TS_ERR_ARGUMENT, "--format gguf-adapter: --dtype may be f32 or f16");
    }
    TS_TRY(ts_export_find_architecture(source, &architecture, err));
    TS_TRY(ts_export_check_recipe(source->config, architecture, err));
    TS_TRY(ts_export_file_check(params, err));
out:
    return status;
}

// One side of a module's pair.
struct side {
    char side;         // 'A' or 'B'
    uint32_t head_dim; // rows go in llama.cpp's order, in heads of so many; 0: they do not
    double factor;     // of the values: see file_alpha
    const ts_tensor *tensor;
    char name[NAME_BYTES];
};

struct writing {
    const ts_export_source *source;
    const ts_export_params *params;
    const ts_gguf_architecture *architecture;
    ts_dtype dtype;
    ts_gguf_header header;
    ts_export_writer writer;
};

// The file has one alpha, and llama.cpp scales each pair by alpha / its own rank. Where a module's
// scale is another, its B is multiplied by what is missing. An alpha of 0 would mean a scale of 1.
static double file_alpha(const ts_export_source *source)
{
    const double alpha = ts_adapter_usual_scale(&source->adapter) * source->adapter.r;
    return alpha > 0 ? alpha : 1;
}

static ts_status find_side(const struct writing *w, uint32_t layer, ts_module module, char side,
                           struct side *out, ts_error *err)
{
    ts_status status = TS_OK;
    const ts_model_config *config = w->source->config;
    char key[TS_ADAPTER_KEY_BYTES], module_name[TS_WEIGHT_NAME_BYTES], full[NAME_BYTES];
    ts_lora_key(config, layer, module, side, key);
    ts_module_tensor(config, layer, module, module_name);
    snprintf(full, sizeof full, "%s.weight.lora_%c", module_name, side == 'A' ? 'a' : 'b');
    out->side = side;
    out->tensor = ts_tensors_find(w->source->adapter_file, key);
    const double scale = ts_lora_scale(config, &w->source->adapter, layer, module);
    const uint32_t r = ts_lora_rank(config, &w->source->adapter, layer, module);
    out->factor = side == 'B' ? scale * r / file_alpha(w->source) : 1;
    if (!ts_gguf_name_from_hf(w->architecture, full, out->name, sizeof out->name)) {
        TS_FAIL(TS_ERR_UNSUPPORTED, "llama.cpp's %s has no tensor like %s", w->architecture->name,
                module_name);
    }
    out->head_dim =
        side == 'B' && ts_gguf_is_permuted(w->architecture, full) ? config->head_dim : 0;
out:
    return status;
}

static ts_status add_side(struct writing *w, const struct side *side, ts_error *err)
{
    const uint64_t bytes = ts_dtype_size(w->dtype, side->tensor->shape[0] * side->tensor->shape[1]);
    uint32_t type = 0;
    ts_gguf_type_from_dtype(w->dtype, &type);
    w->writer.total += bytes;
    return ts_gguf_add_tensor(&w->header, side->name, (ts_gguf_tensor_type)type, 2,
                              side->tensor->shape, bytes, err);
}

static ts_status write_side(struct writing *w, const struct side *side, ts_error *err)
{
    ts_status status = TS_OK;
    const uint64_t rows = side->tensor->shape[0], cols = side->tensor->shape[1];
    const uint64_t bytes = ts_dtype_size(w->dtype, rows * cols);
    float *values = NULL;
    void *rounded = NULL;
    TS_TRY(ts_tensors_check_finite(w->source->adapter_file, side->tensor, err));
    TS_TRY(ts_alloc(rows * cols, sizeof *values, &values, err));
    TS_TRY(ts_alloc(bytes, 1, &rounded, err));
    for (uint64_t row = 0; row < rows; row++) {
        const uint64_t to = side->head_dim > 0 ? ts_gguf_row(row, side->head_dim) : row;
        for (uint64_t col = 0; col < cols; col++) {
            values[to * cols + col] =
                (float)(side->factor *
                        ts_dtype_load(side->tensor->dtype, side->tensor->bytes, row * cols + col));
        }
    }
    if (!ts_export_round(w->dtype, values, rows * cols, rounded)) {
        TS_FAIL(TS_ERR_UNSUPPORTED, "%s holds values that are too large for %s", side->name,
                ts_dtype_name(w->dtype));
    }
    TS_TRY(ts_export_add(&w->writer, rounded, bytes, err));
    TS_TRY(ts_export_pad(&w->writer, bytes, err));
out:
    free(values);
    free(rounded);
    return status;
}

// Calls `visit` for both sides of every adapted module, in the order of the layers.
static ts_status each_side(struct writing *w,
                           ts_status (*visit)(struct writing *w, const struct side *side,
                                              ts_error *err),
                           ts_error *err)
{
    ts_status status = TS_OK;
    struct side side;
    for (uint32_t layer = 0; layer < w->source->config->layers; layer++) {
        for (ts_module module = 0; module < TS_MODULE_COUNT; module++) {
            for (const char *which = "AB";
                 *which != '\0' && w->source->adapter.targets & TS_MODULE_BIT(module); which++) {
                TS_TRY(find_side(w, layer, module, *which, &side, err));
                TS_TRY(visit(w, &side, err));
            }
        }
    }
out:
    return status;
}

static ts_status make_header(struct writing *w, ts_text *out, ts_error *err)
{
    ts_status status = TS_OK;
    TS_TRY(ts_gguf_add_text(&w->header, TS_GGUF_KEY_ARCHITECTURE, w->architecture->name, err));
    TS_TRY(ts_gguf_add_text(&w->header, TS_GGUF_KEY_TYPE, "adapter", err));
    TS_TRY(ts_gguf_add_text(&w->header, TS_GGUF_KEY_NAME, w->params->name, err));
    TS_TRY(ts_gguf_add_text(&w->header, TS_GGUF_KEY_ADAPTER_TYPE, "lora", err));
    TS_TRY(
        ts_gguf_add_f32(&w->header, TS_GGUF_KEY_ADAPTER_ALPHA, (float)file_alpha(w->source), err));
    TS_TRY(ts_gguf_add_u32(&w->header, TS_GGUF_KEY_FILE_TYPE,
                           w->dtype == TS_F32 ? TS_GGUF_FILE_F32 : TS_GGUF_FILE_F16, err));
    TS_TRY(each_side(w, add_side, err));
    TS_TRY(ts_gguf_header_finish(&w->header, out, err));
out:
    return status;
}

ts_status ts_export_gguf_adapter(const ts_export_source *source, const ts_export_params *params,
                                 ts_error *err)
{
    ts_status status = TS_OK;
    ts_text header = {0};
    struct writing w = {.source = source,
                        .params = params,
                        .dtype = params->convert ? params->dtype : TS_F32,
                        .writer = {.progress = params->progress, .user = params->user}};
    TS_TRY(ts_export_find_architecture(source, &w.architecture, err));
    TS_TRY(make_header(&w, &header, err));
    TS_TRY(ts_export_check_space(params->path, header.len + w.writer.total, err));
    TS_TRY(ts_file_begin(params->path, &w.writer.file, err));
    TS_TRY(ts_file_add(&w.writer.file, header.bytes, header.len, err));
    TS_TRY(each_side(&w, write_side, err));
    TS_TRY(ts_file_end(&w.writer.file, err));
out:
    ts_file_drop(&w.writer.file);
    ts_gguf_header_free(&w.header);
    ts_text_free(&header);
    return status;
}
