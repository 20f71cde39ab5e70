// A merged model as one GGUF file: metadata, tokenizer and chat template, then the tensors.
#include "export/gguf.h"

#include "base/log.h"
#include "base/memory.h"
#include "data/chat.h"
#include "data/gguf_names.h"
#include "data/gguf_write.h"
#include "export/gguf_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// One tensor of the file.
struct entry {
    ts_weight weight;
    ts_export_form form;
    uint64_t bytes;
};

struct plan {
    const ts_gguf_architecture *architecture;
    struct entry *entries; // [count]
    uint32_t count;
    uint64_t bytes;  // of all of them
    float *divisors; // [head_dim / 2] of rope_freqs.weight; NULL: there is no such tensor
    uint64_t divisor_count;
};

static void free_plan(struct plan *plan)
{
    free(plan->entries);
    free(plan->divisors);
}

ts_status ts_export_find_architecture(const ts_export_source *source,
                                      const ts_gguf_architecture **out, ts_error *err)
{
    const ts_family *family = ts_family_of(source->config->family);
    *out = ts_gguf_architecture_of(family->model_type);
    return *out != NULL ? TS_OK
                        : ts_error_set(err, TS_ERR_UNSUPPORTED,
                                       "models of the family %s are not written as GGUF yet; "
                                       "--format hf writes them for llama.cpp's own converter",
                                       family->name);
}

// What llama.cpp's code of an architecture takes for granted, and no key of the file says.
ts_status ts_export_check_recipe(const ts_model_config *c, const ts_gguf_architecture *architecture,
                                 ts_error *err)
{
    const bool gemma = strcmp(architecture->name, "gemma3") == 0;
    const bool smollm = strcmp(architecture->name, "smollm3") == 0;
    const char *what = NULL;
    for (uint32_t layer = 0; layer < c->layers; layer++) {
        if (ts_layer_in(&c->unrotated, layer) != (smollm && (layer + 1) % 4 == 0)) {
            what = "which layers do not rotate";
        }
        if (gemma && ts_layer_in(&c->windowed, layer) != ((layer + 1) % 6 != 0)) {
            what = "which layers have a window";
        }
    }
    if (c->query_scalar != (float)c->head_dim) {
        what = "query_pre_attn_scalar";
    }
    if (c->local_rope.theta != (gemma ? 10000 : 0)) {
        what = "rope_local_base_freq";
    }
    return what == NULL ? TS_OK
                        : ts_error_set(err, TS_ERR_UNSUPPORTED,
                                       "llama.cpp's %s has a fixed %s, and this model another",
                                       architecture->name, what);
}

// ---- The tensors

// Norms and biases are F32, as llama.cpp wants them. Rows that are not whole blocks of Q8_0 are
// F16.
static ts_dtype dtype_of(const ts_export_params *params, const ts_weight *weight, ts_dtype stored)
{
    const ts_dtype wanted = params->convert               ? params->dtype
                            : ts_dtype_block(stored) == 1 ? stored
                                                          : TS_F16;
    return weight->rows == 0                            ? TS_F32
           : weight->cols % ts_dtype_block(wanted) != 0 ? TS_F16
                                                        : wanted;
}

static ts_status plan_entry(const ts_export_source *source, const ts_export_params *params,
                            struct plan *plan, uint32_t index, ts_error *err)
{
    ts_status status = TS_OK;
    struct entry *entry = &plan->entries[index];
    const ts_tensor *base;
    ts_weight_describe(source->config, index, &entry->weight);
    TS_TRY(ts_weight_find(source->tensors, &entry->weight, &base, err));
    entry->form =
        (ts_export_form){.dtype = dtype_of(params, &entry->weight, base->dtype),
                         .head_dim = ts_gguf_is_permuted(plan->architecture, entry->weight.name)
                                         ? source->config->head_dim
                                         : 0,
                         .plus_one = ts_gguf_is_plus_one(plan->architecture, entry->weight.name)};
    entry->bytes = ts_export_bytes(&entry->weight, entry->form.dtype);
    plan->bytes += entry->bytes;
out:
    return status;
}

// llama.cpp reads the scaling of rope_type llama3 as a tensor, with one divisor a frequency.
static ts_status plan_divisors(const ts_model_config *config, struct plan *plan, ts_error *err)
{
    ts_status status = TS_OK;
    if (config->rope.kind == TS_ROPE_DEFAULT) {
        return TS_OK;
    }
    plan->divisor_count = config->head_dim / 2;
    TS_TRY(ts_alloc(plan->divisor_count, sizeof *plan->divisors, &plan->divisors, err));
    for (uint32_t i = 0; i < plan->divisor_count; i++) {
        plan->divisors[i] = ts_rope_divisor(&config->rope, config->head_dim, i);
    }
    plan->bytes += plan->divisor_count * sizeof *plan->divisors;
out:
    return status;
}

static ts_status make_plan(const ts_export_source *source, const ts_export_params *params,
                           struct plan *plan, ts_error *err)
{
    ts_status status = TS_OK;
    TS_TRY(ts_export_find_architecture(source, &plan->architecture, err));
    TS_TRY(ts_export_check_recipe(source->config, plan->architecture, err));
    plan->count = ts_weight_count(source->config);
    TS_TRY(ts_alloc(plan->count, sizeof *plan->entries, &plan->entries, err));
    for (uint32_t i = 0; i < plan->count; i++) {
        TS_TRY(plan_entry(source, params, plan, i, err));
    }
    TS_TRY(plan_divisors(source->config, plan, err));
out:
    return status;
}

static ts_status add_tensors(const struct plan *plan, ts_gguf_header *header, ts_error *err)
{
    ts_status status = TS_OK;
    char name[TS_WEIGHT_NAME_BYTES];
    for (uint32_t i = 0; i < plan->count; i++) {
        const ts_weight *weight = &plan->entries[i].weight;
        const uint64_t matrix[] = {weight->rows, weight->cols}, vector[] = {weight->cols};
        uint32_t type;
        if (!ts_gguf_name_from_hf(plan->architecture, weight->name, name, sizeof name)) {
            TS_FAIL(TS_ERR_UNSUPPORTED, "llama.cpp's %s has no tensor like %s",
                    plan->architecture->name, weight->name);
        }
        if (!ts_gguf_type_from_dtype(plan->entries[i].form.dtype, &type)) {
            TS_FAIL(TS_ERR_UNSUPPORTED, "GGUF has no %s",
                    ts_dtype_name(plan->entries[i].form.dtype));
        }
        TS_TRY(ts_gguf_add_tensor(header, name, (ts_gguf_tensor_type)type, weight->rows > 0 ? 2 : 1,
                                  weight->rows > 0 ? matrix : vector, plan->entries[i].bytes, err));
    }
    if (plan->divisors != NULL) {
        TS_TRY(ts_gguf_add_tensor(header, TS_GGUF_ROPE_FREQS, TS_GGUF_TENSOR_F32, 1,
                                  &plan->divisor_count,
                                  plan->divisor_count * sizeof *plan->divisors, err));
    }
out:
    return status;
}

// ---- The metadata

static ts_status add_u32(ts_gguf_header *header, const struct plan *plan, const char *key,
                         uint32_t value, ts_error *err)
{
    char full[128];
    snprintf(full, sizeof full, "%s.%s", plan->architecture->name, key);
    return ts_gguf_add_u32(header, full, value, err);
}

static ts_status add_f32(ts_gguf_header *header, const struct plan *plan, const char *key,
                         float value, ts_error *err)
{
    char full[128];
    snprintf(full, sizeof full, "%s.%s", plan->architecture->name, key);
    return ts_gguf_add_f32(header, full, value, err);
}

static ts_status add_shape(const ts_model_config *c, const struct plan *plan,
                           ts_gguf_header *header, ts_error *err)
{
    ts_status status = TS_OK;
    const struct {
        const char *key;
        uint32_t value;
    } numbers[] = {{TS_GGUF_ARCH_VOCAB_SIZE, c->vocab},
                   {TS_GGUF_ARCH_CONTEXT_LENGTH, c->max_positions},
                   {TS_GGUF_ARCH_EMBEDDING_LENGTH, c->hidden},
                   {TS_GGUF_ARCH_BLOCK_COUNT, c->layers},
                   {TS_GGUF_ARCH_FEED_FORWARD_LENGTH, c->ffn},
                   {TS_GGUF_ARCH_HEAD_COUNT, c->heads},
                   {TS_GGUF_ARCH_HEAD_COUNT_KV, c->kv_heads},
                   {TS_GGUF_ARCH_KEY_LENGTH, c->head_dim},
                   {TS_GGUF_ARCH_VALUE_LENGTH, c->head_dim},
                   {TS_GGUF_ARCH_ROPE_DIMENSION_COUNT, c->head_dim}};
    for (size_t i = 0; i < TS_COUNT(numbers); i++) {
        TS_TRY(add_u32(header, plan, numbers[i].key, numbers[i].value, err));
    }
    TS_TRY(add_f32(header, plan, TS_GGUF_ARCH_RMS_EPSILON, c->rms_eps, err));
    TS_TRY(add_f32(header, plan, TS_GGUF_ARCH_ROPE_FREQ_BASE, (float)c->rope.theta, err));
    if (strcmp(plan->architecture->name, "gemma3") == 0) {
        TS_TRY(add_u32(header, plan, TS_GGUF_ARCH_SLIDING_WINDOW, c->window, err));
        TS_TRY(add_f32(header, plan, TS_GGUF_ARCH_ROPE_FREQ_BASE_SWA, (float)c->local_rope.theta,
                       err));
    } else if (c->window > 0 && c->window < c->max_positions) {
        ts_log_once(TS_LOG_WARN,
                    "llama.cpp knows no window of attention in a %s: beyond %u tokens its answers "
                    "will differ",
                    ts_family_of(c->family)->name, c->window);
    }
out:
    return status;
}

static ts_gguf_file_type file_type_of(const struct plan *plan)
{
    for (uint32_t i = 0; i < plan->count; i++) { // the type of the linear layers
        if (plan->entries[i].weight.part == TS_WEIGHT_LINEAR) {
            const ts_dtype dtype = plan->entries[i].form.dtype;
            return dtype == TS_F32    ? TS_GGUF_FILE_F32
                   : dtype == TS_BF16 ? TS_GGUF_FILE_BF16
                   : dtype == TS_Q8_0 ? TS_GGUF_FILE_Q8_0
                                      : TS_GGUF_FILE_F16;
        }
    }
    return TS_GGUF_FILE_F32;
}

static ts_status add_template(const ts_export_params *params, ts_gguf_header *header,
                              uint32_t vocab, ts_error *err)
{
    ts_status status = TS_OK;
    if (params->chat_template == NULL) {
        return TS_OK;
    }
    const uint32_t end = ts_chat_template_end_token(params->chat_template);
    TS_TRY(ts_gguf_add_text(header, TS_GGUF_KEY_CHAT_TEMPLATE,
                            ts_chat_template_text(params->chat_template), err));
    if (end < vocab && end != ts_tokenizer_eos(params->tokenizer)) { // it ends an answer too
        TS_TRY(ts_gguf_add_u32(header, TS_GGUF_KEY_EOT_ID, end, err));
    }
out:
    return status;
}

// Whether llama.cpp should put a BOS before a text. One key decides for plain texts and for
// rendered conversations. So where there is a chat template, it decides, and conversations begin as
// in training.
static ts_status find_lead(const ts_export_params *params, bool *leads, ts_error *err)
{
    static const ts_turn turn = {TS_ROLE_USER, "Hi", 2};
    const uint32_t bos = ts_tokenizer_bos(params->tokenizer);
    ts_status status = TS_OK;
    ts_chat_tokens chat = {0};
    *leads = ts_tokenizer_lead(params->tokenizer) == bos;
    if (params->chat_template != NULL) {
        TS_TRY(ts_chat_encode(params->chat_template, &turn, 1, true, &chat, NULL, err));
        *leads = chat.tokens.count > 0 && chat.tokens.ids[0] == bos;
    }
out:
    ts_chat_tokens_free(&chat);
    return status;
}

static ts_status make_header(const ts_export_source *source, const ts_export_params *params,
                             const struct plan *plan, ts_text *out, ts_error *err)
{
    ts_status status = TS_OK;
    ts_gguf_header header = {0};
    const uint32_t vocab = source->config->vocab;
    bool leads;
    TS_TRY(find_lead(params, &leads, err));
    TS_TRY(ts_gguf_add_text(&header, TS_GGUF_KEY_ARCHITECTURE, plan->architecture->name, err));
    TS_TRY(ts_gguf_add_text(&header, TS_GGUF_KEY_TYPE, "model", err));
    TS_TRY(ts_gguf_add_text(&header, TS_GGUF_KEY_NAME, params->name, err));
    TS_TRY(ts_gguf_add_u32(&header, TS_GGUF_KEY_FILE_TYPE, file_type_of(plan), err));
    TS_TRY(ts_gguf_add_u32(&header, TS_GGUF_KEY_QUANTIZATION_VERSION, 2, err));
    TS_TRY(add_shape(source->config, plan, &header, err));
    TS_TRY(ts_gguf_add_tokenizer(&header, source->weights, params->tokenizer, vocab, leads, err));
    TS_TRY(add_template(params, &header, vocab, err));
    TS_TRY(add_tensors(plan, &header, err));
    TS_TRY(ts_gguf_header_finish(&header, out, err));
out:
    ts_gguf_header_free(&header);
    return status;
}

// ---- The file

ts_status ts_export_pad(ts_export_writer *writer, uint64_t len, ts_error *err)
{
    static const char zeros[TS_GGUF_ALIGNMENT];
    return ts_file_add(&writer->file, zeros, ts_gguf_padding(len), err);
}

ts_status ts_export_file_check(const ts_export_params *params, ts_error *err)
{
    ts_status status = TS_OK;
    bool found;
    TS_TRY(ts_file_check_writable(params->path, err));
    TS_TRY(ts_export_check_replaced(params, "--output ", params->path, &found, err));
out:
    return status;
}

ts_status ts_export_gguf_check(const ts_export_source *source, const ts_export_params *params,
                               ts_error *err)
{
    ts_status status = TS_OK;
    struct plan plan = {0};
    TS_TRY(ts_export_file_check(params, err));
    TS_TRY(make_plan(source, params, &plan, err));
out:
    free_plan(&plan);
    return status;
}

static ts_status write_file(const ts_export_source *source, const ts_export_params *params,
                            const struct plan *plan, const ts_text *header,
                            ts_export_writer *writer, ts_error *err)
{
    ts_status status = TS_OK;
    TS_TRY(ts_file_begin(params->path, &writer->file, err));
    TS_TRY(ts_file_add(&writer->file, header->bytes, header->len, err));
    for (uint32_t i = 0; i < plan->count; i++) {
        const struct entry *entry = &plan->entries[i];
        TS_TRY(ts_export_write(writer, source, &entry->weight, &entry->form, err));
        TS_TRY(ts_export_pad(writer, entry->bytes, err));
    }
    if (plan->divisors != NULL) {
        const uint64_t bytes = plan->divisor_count * sizeof *plan->divisors;
        TS_TRY(ts_export_add(writer, plan->divisors, bytes, err));
        TS_TRY(ts_export_pad(writer, bytes, err));
    }
    TS_TRY(ts_file_end(&writer->file, err));
out:
    ts_file_drop(&writer->file);
    return status;
}

ts_status ts_export_gguf(const ts_export_source *source, const ts_export_params *params,
                         ts_error *err)
{
    ts_status status = TS_OK;
    struct plan plan = {0};
    ts_text header = {0};
    ts_export_writer writer = {.progress = params->progress, .user = params->user};
    TS_TRY(make_plan(source, params, &plan, err));
    TS_TRY(make_header(source, params, &plan, &header, err));
    writer.total = plan.bytes;
    TS_TRY(ts_export_check_space(params->path, header.len + plan.bytes, err));
    TS_TRY(write_file(source, params, &plan, &header, &writer, err));
out:
    free_plan(&plan);
    ts_text_free(&header);
    return status;
}
