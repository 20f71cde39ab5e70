// Writes a Llama in Hugging Face's layout as a GGUF file, for tests: by llama.cpp's rules, written
// down here once more, so that the reader is held against them and not against itself.
#ifndef TESTS_GGUF_MODEL_H
#define TESTS_GGUF_MODEL_H

#include "base/blocks.h"
#include "base/json.h"
#include "data/vocabulary.h"
#include "data/weights.h"
#include "gguf_file.h"

#include <stdio.h>

static inline void gguf_model_name(const char *hf, char out[128])
{
    static const char *const names[][2] = {
        {"self_attn.q_proj", "attn_q"},
        {"self_attn.k_proj", "attn_k"},
        {"self_attn.v_proj", "attn_v"},
        {"self_attn.o_proj", "attn_output"},
        {"mlp.gate_proj", "ffn_gate"},
        {"mlp.up_proj", "ffn_up"},
        {"mlp.down_proj", "ffn_down"},
        {"input_layernorm", "attn_norm"},
        {"post_attention_layernorm", "ffn_norm"},
    };
    unsigned layer = 0;
    char part[64];
    if (strcmp(hf, "model.embed_tokens.weight") == 0) {
        strcpy(out, "token_embd.weight");
    } else if (strcmp(hf, "model.norm.weight") == 0) {
        strcpy(out, "output_norm.weight");
    } else if (strcmp(hf, "lm_head.weight") == 0) {
        strcpy(out, "output.weight");
    } else {
        cr_assert_eq(sscanf(hf, "model.layers.%u.%63s", &layer, part), 2, "%s", hf);
        *strrchr(part, '.') = '\0';
        for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
            if (strcmp(part, names[i][0]) == 0) {
                snprintf(out, 128, "blk.%u.%s.weight", layer, names[i][1]);
                return;
            }
        }
        cr_assert_fail("%s", hf);
    }
}

// Elements of any type as `type`: 0 F32, 1 F16, 8 Q8_0, 30 BF16.
static inline void gguf_model_convert(ts_text *out, const ts_tensor *tensor, const void *elements,
                                      uint64_t count, uint32_t type)
{
    ts_dtype dtype = TS_F32;
    cr_assert(ts_blocks_of_gguf(type, &dtype));
    if (dtype == tensor->dtype) {
        gguf_put(out, elements, ts_dtype_size(dtype, count));
        return;
    }
    if (dtype == TS_Q8_0) {
        uint8_t block[34];
        for (uint64_t at = 0; at < count; at += 32) {
            ts_blocks_quantise(dtype, tensor->dtype,
                               (const uint8_t *)elements + at * ts_dtype_bytes(tensor->dtype), 32,
                               block + 2, block);
            gguf_put(out, block, sizeof block);
        }
        return;
    }
    for (uint64_t i = 0; i < count; i++) {
        float value = (float)ts_dtype_load(tensor->dtype, elements, i);
        uint16_t half = dtype == TS_F16 ? ts_f32_to_f16(value) : ts_f32_to_bf16(value);
        gguf_put(out, dtype == TS_F32 ? (void *)&value : (void *)&half, ts_dtype_bytes(dtype));
    }
}

// Norms are F32 whatever the rest is. Hugging Face pairs row j of a head with row j + half; the
// file has such pairs side by side.
static inline void gguf_model_tensor(gguf_file *file, const ts_tensor *tensor, uint32_t type,
                                     uint64_t head_dim)
{
    char name[128];
    ts_text bytes = {0};
    const bool matrix = tensor->rank == 2;
    const uint64_t cols = matrix ? tensor->shape[1] : tensor->shape[0];
    const uint64_t rows = matrix ? tensor->shape[0] : 1, row_bytes = tensor->len / rows;
    const bool turned = strstr(tensor->name, "q_proj") != NULL || strstr(tensor->name, "k_proj");
    type = !matrix || (type == 8 && cols % 32 != 0) ? 0 : type;
    gguf_model_name(tensor->name, name);
    for (uint64_t head = 0; head < rows; head += turned ? head_dim : 1) {
        for (uint64_t i = 0; i < (turned ? head_dim : 1); i++) {
            uint64_t from = head + (turned ? i % 2 * (head_dim / 2) + i / 2 : 0);
            gguf_model_convert(&bytes, tensor, (const uint8_t *)tensor->bytes + from * row_bytes,
                               cols, type);
        }
    }
    gguf_tensor(file, name, tensor->rank, matrix ? (const uint64_t[]){cols, rows} : &cols, type,
                bytes.bytes, bytes.len);
    ts_text_free(&bytes);
}

static inline uint32_t gguf_model_number(const cJSON *config, const char *key, uint32_t otherwise)
{
    const cJSON *value = ts_json_get(config, key);
    return cJSON_IsNumber(value) ? (uint32_t)value->valuedouble : otherwise;
}

static inline void gguf_model_config(gguf_file *file, const cJSON *config)
{
    const uint32_t hidden = gguf_model_number(config, "hidden_size", 0);
    const uint32_t heads = gguf_model_number(config, "num_attention_heads", 1);
    const uint32_t head_dim = gguf_model_number(config, "head_dim", hidden / heads);
    const cJSON *theta = ts_json_get(config, "rope_theta"), *eps;
    theta =
        theta != NULL ? theta : ts_json_get(ts_json_get(config, "rope_parameters"), "rope_theta");
    eps = ts_json_get(config, "rms_norm_eps");
    gguf_string(file, "general.architecture", "llama");
    gguf_string(file, "general.name", "test");
    gguf_u32(file, "llama.block_count", gguf_model_number(config, "num_hidden_layers", 0));
    gguf_u32(file, "llama.context_length",
             gguf_model_number(config, "max_position_embeddings", 2048));
    gguf_u32(file, "llama.embedding_length", hidden);
    gguf_u32(file, "llama.feed_forward_length", gguf_model_number(config, "intermediate_size", 0));
    gguf_u32(file, "llama.attention.head_count", heads);
    gguf_u32(file, "llama.attention.head_count_kv",
             gguf_model_number(config, "num_key_value_heads", heads));
    gguf_u32(file, "llama.attention.key_length", head_dim);
    gguf_u32(file, "llama.attention.value_length", head_dim);
    gguf_u32(file, "llama.rope.dimension_count", head_dim);
    gguf_f32(file, "llama.rope.freq_base", theta != NULL ? (float)theta->valuedouble : 10000);
    gguf_f32(file, "llama.attention.layer_norm_rms_epsilon", (float)eps->valuedouble);
}

// Pieces of a tokenizer.json with scores: a piece that a merge makes is worth the more the earlier
// the merge comes.
static inline void gguf_model_tokenizer(gguf_file *file, const char *path, ts_weights *weights)
{
    ts_error err = {0};
    cJSON *json = NULL;
    ts_tokenizer *pieces = NULL; // to find a piece's id
    cr_assert_eq(ts_json_parse_file(path, &json, &err), TS_OK, "%s", err.message);
    cr_assert_eq(ts_tokenizer_open(weights, &pieces, &err), TS_OK, "%s", err.message);
    const size_t count = ts_tokenizer_vocab_size(pieces);
    float *scores = calloc(count, sizeof *scores), rank = 0;
    int32_t *types = calloc(count, sizeof *types);
    const cJSON *entry;
    for (size_t i = 0; i < count; i++) {
        scores[i] = -1e6f;
        types[i] = pieces->pieces[i].byte >= 0 ? 6 : 1;
    }
    cJSON_ArrayForEach(entry, ts_json_get(json, "added_tokens"))
    {
        const char *text = ts_json_get(entry, "content")->valuestring;
        types[(size_t)ts_json_get(entry, "id")->valuedouble] = strcmp(text, "<unk>") == 0 ? 2 : 3;
    }
    cJSON_ArrayForEach(entry, ts_json_get(ts_json_get(json, "model"), "merges"))
    {
        char joined[256];
        const char *left = cJSON_IsArray(entry) ? entry->child->valuestring : entry->valuestring;
        const char *space = cJSON_IsArray(entry) ? left + strlen(left) : strchr(left, ' ');
        snprintf(joined, sizeof joined, "%.*s%s", (int)(space - left), left,
                 cJSON_IsArray(entry) ? entry->child->next->valuestring : space + 1);
        uint32_t id = ts_vocabulary_find(pieces, joined, strlen(joined));
        cr_assert_lt(id, count);
        scores[id] = scores[id] == -1e6f ? rank : scores[id];
        rank -= 1;
    }
    gguf_string(file, "tokenizer.ggml.model", "llama");
    gguf_array(file, "tokenizer.ggml.tokens", 8, count);
    for (size_t i = 0; i < count; i++) {
        gguf_put_string(&file->values, pieces->pieces[i].bytes, pieces->pieces[i].len);
    }
    gguf_array(file, "tokenizer.ggml.scores", 6, count);
    gguf_put(&file->values, scores, count * sizeof *scores);
    gguf_array(file, "tokenizer.ggml.token_type", 5, count);
    gguf_put(&file->values, types, count * sizeof *types);
    gguf_u32(file, "tokenizer.ggml.bos_token_id", 1);
    gguf_u32(file, "tokenizer.ggml.eos_token_id", 2);
    gguf_u32(file, "tokenizer.ggml.unknown_token_id", 0);
    gguf_u32(file, "tokenizer.ggml.padding_token_id", 2);
    gguf_bool(file, "tokenizer.ggml.add_bos_token", true);
    free(scores);
    free(types);
    ts_tokenizer_close(pieces);
    cJSON_Delete(json);
}

// A byte-level tokenizer.json as tokenizer.ggml.model "gpt2". `eos`: text of an added token.
static inline void gguf_model_byte_level(gguf_file *file, const char *path, const char *pre,
                                         const char *eos)
{
    ts_error err = {0};
    cJSON *json = NULL;
    cr_assert_eq(ts_json_parse_file(path, &json, &err), TS_OK, "%s", err.message);
    const cJSON *model = ts_json_get(json, "model"), *added = ts_json_get(json, "added_tokens");
    const cJSON *merges = ts_json_get(model, "merges"), *entry;
    size_t count = 0, merge_count = (size_t)cJSON_GetArraySize(merges);
    const size_t most = (size_t)cJSON_GetArraySize(ts_json_get(model, "vocab")) + 4096;
    const char **texts = calloc(most, sizeof *texts);
    int32_t *types = calloc(most, sizeof *types);
    cJSON_ArrayForEach(entry, ts_json_get(model, "vocab"))
    {
        size_t id = (size_t)entry->valuedouble;
        texts[id] = entry->string;
        types[id] = 1;
        count = id >= count ? id + 1 : count;
    }
    cJSON_ArrayForEach(entry, added)
    {
        size_t id = (size_t)ts_json_get(entry, "id")->valuedouble;
        texts[id] = ts_json_get(entry, "content")->valuestring;
        types[id] = cJSON_IsTrue(ts_json_get(entry, "special")) ? 3 : 4;
        count = id >= count ? id + 1 : count;
        if (strcmp(texts[id], eos) == 0) {
            gguf_u32(file, "tokenizer.ggml.eos_token_id", (uint32_t)id);
        }
    }
    gguf_string(file, "tokenizer.ggml.model", "gpt2");
    gguf_string(file, "tokenizer.ggml.pre", pre);
    if (strcmp(pre, "qwen2") == 0) { // newer files say it
        gguf_bool(file, "tokenizer.ggml.normalizer.nfc", true);
    }
    gguf_array(file, "tokenizer.ggml.tokens", 8, count);
    for (size_t i = 0; i < count; i++) {
        cr_assert_not_null(texts[i]);
        gguf_put_string(&file->values, texts[i], strlen(texts[i]));
    }
    gguf_array(file, "tokenizer.ggml.token_type", 5, count);
    gguf_put(&file->values, types, count * sizeof *types);
    gguf_array(file, "tokenizer.ggml.merges", 8, merge_count);
    cJSON_ArrayForEach(entry, merges)
    {
        char both[1024];
        if (cJSON_IsArray(entry)) {
            snprintf(both, sizeof both, "%s %s", entry->child->valuestring,
                     entry->child->next->valuestring);
        } else {
            snprintf(both, sizeof both, "%s", entry->valuestring);
        }
        gguf_put_string(&file->values, both, strlen(both));
    }
    free(texts);
    free(types);
    cJSON_Delete(json);
}

// Configuration, tokenizer and template of FOLDER's model.
static inline void gguf_model_metadata(gguf_file *file, const char *folder, ts_weights *weights)
{
    ts_error err = {0};
    const cJSON *config, *templates;
    const char *name;
    ts_text json = {0};
    cr_assert_eq(ts_weights_read(weights, TS_PART_CONFIG, &config, NULL, &err), TS_OK);
    gguf_model_config(file, config);
    cr_assert_eq(ts_path_join(folder, "tokenizer.json", &json, &err), TS_OK);
    if (ts_file_exists(json.bytes)) {
        gguf_model_tokenizer(file, json.bytes, weights);
    }
    cr_assert_eq(ts_weights_templates(weights, &templates, &name, &err), TS_OK);
    if (ts_json_get(templates, "default") != NULL) {
        gguf_string(file, "tokenizer.chat_template",
                    ts_json_get(templates, "default")->valuestring);
    }
    ts_text_free(&json);
}

static inline void gguf_model_save(gguf_file *file, const char *path)
{
    ts_error err = {0};
    ts_text bytes = {0};
    gguf_finish(file, &bytes);
    cr_assert_eq(ts_file_write_plain(path, bytes.bytes, bytes.len, &err), TS_OK, "%s", err.message);
    ts_text_free(&bytes);
}

// Tensors first .. end - 1, in the order of their names, as `type`.
static inline void gguf_model_tensors(gguf_file *file, ts_weights *weights, size_t first,
                                      size_t end, uint32_t type)
{
    ts_error err = {0};
    const cJSON *config;
    const ts_tensors *tensors;
    cr_assert_eq(ts_weights_read(weights, TS_PART_CONFIG, &config, NULL, &err), TS_OK);
    cr_assert_eq(ts_weights_tensors(weights, &tensors, &err), TS_OK, "%s", err.message);
    const uint64_t head_dim =
        gguf_model_number(config, "head_dim",
                          gguf_model_number(config, "hidden_size", 0) /
                              gguf_model_number(config, "num_attention_heads", 1));
    for (size_t i = first; i < end && i < ts_tensors_count(tensors); i++) {
        gguf_model_tensor(file, ts_tensors_at(tensors, i), type, head_dim);
    }
}

// Writes FOLDER's model to `path`, its matrices as `type`, with its tokenizer and template where it
// has them. `more`, if not NULL, adds to the metadata.
static inline void gguf_model_write(const char *folder, const char *path, uint32_t type,
                                    void (*more)(gguf_file *file))
{
    ts_error err = {0};
    ts_weights *weights = NULL;
    gguf_file file = {0};
    cr_assert_eq(ts_weights_open(folder, &weights, &err), TS_OK, "%s", err.message);
    gguf_model_metadata(&file, folder, weights);
    if (more != NULL) {
        more(&file);
    }
    gguf_model_tensors(&file, weights, 0, SIZE_MAX, type);
    gguf_model_save(&file, path);
    ts_weights_close(weights);
}

#endif
