// A model as a GGUF file: the same tensors, configuration, tokenizer and templates as the folder it
// was made of.
#include "data/gguf_model.h"
#include "data/tokenizer_write.h"
#include "data/weights.h"

#include "../gguf_model.h"
#include "data_test.h"

#include <math.h>

#define BASE PROJECT_FOLDER "/assets/base"

static char *folder, path[256];

static void begin(void)
{
    folder = make_folder();
    snprintf(path, sizeof path, "%s/model.gguf", folder);
}

static void end(void)
{
    remove_folder(folder);
}

TestSuite(weights_gguf, .init = begin, .fini = end);

static ts_weights *open_weights(const char *at)
{
    ts_weights *weights = NULL;
    ts_error err = {0};
    cr_assert_eq(ts_weights_open(at, &weights, &err), TS_OK, "%s", err.message);
    return weights;
}

static const ts_tensors *tensors_of(ts_weights *weights)
{
    const ts_tensors *tensors = NULL;
    ts_error err = {0};
    cr_assert_eq(ts_weights_tensors(weights, &tensors, &err), TS_OK, "%s", err.message);
    return tensors;
}

// Every element of `have` is that of `want`, rounded to f16 where `have` is stored in it.
static void compare(const ts_tensor *have, const ts_tensor *want)
{
    const uint64_t cols = want->rank == 2 ? want->shape[1] : 1;
    cr_assert_not_null(have, "%s", want->name);
    cr_assert_eq(have->rank, want->rank);
    for (uint64_t row = 0; row < want->shape[0]; row++) {
        const void *from = ts_tensor_row(want, row), *to = ts_tensor_row(have, row);
        for (uint64_t i = 0; i < cols; i++) {
            double value = ts_dtype_load(want->dtype, from, i);
            double expected =
                have->dtype == TS_F16 ? ts_f16_to_f32(ts_f32_to_f16((float)value)) : value;
            cr_assert_eq(ts_dtype_load(have->dtype, to, i), expected, "%s row %llu", want->name,
                         (unsigned long long)row);
        }
    }
}

Test(weights_gguf, tensors_are_the_folders)
{
    static const uint32_t types[] = {0, 1, 30};
    for (size_t t = 0; t < 3; t++) {
        gguf_model_write(BASE, path, types[t], NULL);
        ts_weights *want = open_weights(BASE), *have = open_weights(path);
        const ts_tensors *from = tensors_of(want), *to = tensors_of(have);
        cr_assert_eq(ts_tensors_count(to), ts_tensors_count(from));
        for (size_t i = 0; i < ts_tensors_count(from); i++) {
            const ts_tensor *tensor = ts_tensors_at(from, i);
            compare(ts_tensors_find(to, tensor->name), tensor);
        }
        ts_weights_close(want);
        ts_weights_close(have);
    }
}

// Blocks stay as the file has them, and rows of q and k are found in Hugging Face's order.
Test(weights_gguf, blocks_stay_whole)
{
    ts_error err = {0};
    gguf_model_write(BASE, path, 8, NULL);
    ts_weights *want = open_weights(BASE), *have = open_weights(path);
    const ts_tensors *from = tensors_of(want), *to = tensors_of(have);
    static const char *const names[] = {"model.layers.1.self_attn.k_proj.weight",
                                        "model.layers.3.mlp.down_proj.weight",
                                        "model.embed_tokens.weight"};
    for (size_t n = 0; n < 3; n++) {
        const ts_tensor *w = ts_tensors_find(from, names[n]), *h = ts_tensors_find(to, names[n]);
        cr_assert_eq(h->dtype, TS_Q8_0);
        cr_expect_eq(ts_tensors_check_finite(to, h, &err), TS_OK);
        for (uint64_t row = 0; row < w->shape[0]; row++) {
            ts_text blocks = {0};
            gguf_model_convert(&blocks, w, ts_tensor_row(w, row), w->shape[1], 8);
            cr_assert_eq(blocks.len, ts_tensor_row_bytes(h));
            cr_assert_eq(memcmp(blocks.bytes, ts_tensor_row(h, row), blocks.len), 0, "%s row %llu",
                         names[n], (unsigned long long)row);
            ts_text_free(&blocks);
        }
    }
    ts_weights_close(want);
    ts_weights_close(have);
}

static const cJSON *part_of(ts_weights *weights, ts_weights_part which)
{
    const cJSON *json = NULL;
    ts_error err = {0};
    cr_assert_eq(ts_weights_read(weights, which, &json, NULL, &err), TS_OK, "%s", err.message);
    return json;
}

Test(weights_gguf, configuration_is_the_folders)
{
    static const char *const numbers[] = {
        "hidden_size", "intermediate_size", "num_hidden_layers",       "num_attention_heads",
        "head_dim",    "vocab_size",        "max_position_embeddings", "num_key_value_heads",
        "rope_theta",
    };
    gguf_model_write(BASE, path, 30, NULL);
    ts_weights *want = open_weights(BASE), *have = open_weights(path);
    const cJSON *from = part_of(want, TS_PART_CONFIG), *to = part_of(have, TS_PART_CONFIG);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        const cJSON *number = ts_json_get(to, numbers[i]);
        cr_assert_not_null(number, "%s", numbers[i]);
        cr_expect_eq(number->valuedouble, ts_json_get(from, numbers[i])->valuedouble, "%s",
                     numbers[i]);
    }
    cr_expect_eq((float)ts_json_get(to, "rms_norm_eps")->valuedouble, 1e-5f);
    cr_expect(cJSON_IsTrue(ts_json_get(to, "tie_word_embeddings")));
    cr_expect_str_eq(ts_json_get(to, "model_type")->valuestring, "llama");
    cr_expect_str_eq(ts_json_get(to, "architectures")->child->valuestring, "LlamaForCausalLM");
    cr_expect_str_eq(ts_json_get(part_of(have, TS_PART_TOKENIZER_CONFIG), "eos_token")->valuestring,
                     "</s>");
    ts_weights_close(want);
    ts_weights_close(have);
}

static void more_ends(gguf_file *file)
{
    gguf_u32(file, "tokenizer.ggml.eot_token_id", 259);
    gguf_u32(file, "tokenizer.ggml.eom_token_id", UINT32_MAX);
    gguf_string(file, "tokenizer.chat_template.tool_use", "tools");
}

Test(weights_gguf, templates_and_end_tokens)
{
    ts_error err = {0};
    const cJSON *templates;
    const char *name;
    gguf_model_write(BASE, path, 30, more_ends);
    ts_weights *want = open_weights(BASE), *have = open_weights(path);
    const cJSON *ends = ts_json_get(part_of(have, TS_PART_GENERATION_CONFIG), "eos_token_id");
    cr_assert_eq(cJSON_GetArraySize(ends), 2);
    cr_expect_eq(ends->child->valuedouble, 2);
    cr_expect_eq(ends->child->next->valuedouble, 259);
    cr_assert_eq(ts_weights_templates(have, &templates, &name, &err), TS_OK);
    cr_expect_str_eq(name, path);
    cr_expect_str_eq(ts_json_get(templates, "tool_use")->valuestring, "tools");
    const char *text = ts_json_get(templates, "default")->valuestring;
    cr_assert_eq(ts_weights_templates(want, &templates, &name, &err), TS_OK);
    cr_expect_str_eq(text, ts_json_get(templates, "default")->valuestring);
    ts_weights_close(want);
    ts_weights_close(have);
}

// ---- The tokenizer

static void expect_ids(const ts_tokenizer *have, const ts_tokenizer *want, const char *text)
{
    ts_error err = {0};
    ts_tokens to = {0}, from = {0};
    cr_assert_eq(ts_tokenizer_encode(have, text, strlen(text), TS_SPECIALS_AS_TOKENS, &to, &err),
                 TS_OK);
    cr_assert_eq(ts_tokenizer_encode(want, text, strlen(text), TS_SPECIALS_AS_TOKENS, &from, &err),
                 TS_OK);
    cr_expect_eq(to.count, from.count, "%s", text);
    cr_expect(to.count != from.count || to.count == 0 ||
                  memcmp(to.ids, from.ids, to.count * sizeof *to.ids) == 0,
              "%s", text);
    ts_tokens_free(&to);
    ts_tokens_free(&from);
}

Test(weights_gguf, tokenizer_gives_the_same_ids)
{
    static const char *const texts[] = {
        "",
        "What do cows eat?",
        "  two  spaces ",
        "<s>system</s>\nH\xC3\xA9llo \xF0\x9F\x99\x82",
        "a</s></s>b",
        "Horses eat hay, and cows eat grass.",
    };
    ts_error err = {0};
    ts_tokenizer *have = NULL, *want = NULL;
    gguf_model_write(BASE, path, 30, NULL);
    cr_assert_eq(open_tokenizer(path, &have, &err), TS_OK, "%s", err.message);
    cr_assert_eq(open_tokenizer(BASE, &want, &err), TS_OK, "%s", err.message);
    cr_expect_eq(ts_tokenizer_vocab_size(have), ts_tokenizer_vocab_size(want));
    cr_expect_eq(ts_tokenizer_bos(have), 1);
    cr_expect_eq(ts_tokenizer_eos(have), 2);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        expect_ids(have, want, texts[i]);
    }
    ts_tokenizer_close(have);
    ts_tokenizer_close(want);
}

// Expects the ids of a golden file in ../shared/golden.
static void expect_golden_ids(const ts_tokenizer *have, const char *golden, size_t least)
{
    ts_error err = {0};
    ts_text lines = {0};
    char name[256];
    snprintf(name, sizeof name, SHARED_FOLDER "/golden/%s", golden);
    cr_assert_eq(ts_file_read(name, 1 << 24, &lines, &err), TS_OK, "%s", err.message);
    size_t rows = 0;
    for (size_t at = 0; at < lines.len; rows++) {
        const char *end = memchr(lines.bytes + at, '\n', lines.len - at);
        cJSON *row = NULL;
        ts_tokens ids = {0};
        const char *text;
        size_t len;
        cr_assert_eq(
            ts_json_parse(lines.bytes + at, (size_t)(end - lines.bytes) - at, "row", &row, &err),
            TS_OK, "%s", err.message);
        cr_assert_eq(ts_json_get_string(row, "text", "row", &text, &len, &err), TS_OK);
        cr_assert_eq(ts_tokenizer_encode(have, text, len, TS_SPECIALS_AS_TOKENS, &ids, &err), TS_OK,
                     "%s", err.message);
        const cJSON *id = ts_json_get(row, "ids")->child;
        for (size_t i = 0; i < ids.count; i++, id = id->next) {
            cr_assert_not_null(id, "%s", text);
            cr_assert_eq(ids.ids[i], id->valuedouble, "%s", text);
        }
        cr_assert_null(id, "%s", text);
        ts_tokens_free(&ids);
        cJSON_Delete(row);
        at = (size_t)(end - lines.bytes) + 1;
    }
    cr_expect_geq(rows, least);
    ts_text_free(&lines);
}

// Opens what `file` holds as a tokenizer, then the tokenizer.json that is made of it, and expects
// the ids of both.
static void expect_golden(gguf_file *file, const char *golden, size_t least)
{
    ts_error err = {0};
    ts_text bytes = {0}, json = {0};
    ts_tokenizer *have = NULL, *again = NULL;
    char *place = make_folder();
    gguf_finish(file, &bytes);
    write_bytes(folder, "model.gguf", bytes.bytes, bytes.len);
    cr_assert_eq(open_tokenizer(path, &have, &err), TS_OK, "%s", err.message);
    expect_golden_ids(have, golden, least);
    cr_assert_eq(ts_tokenizer_write_json(have, &json, &err), TS_OK, "%s", err.message);
    write_bytes(place, "tokenizer.json", json.bytes, json.len);
    ts_text_clear(&json);
    cr_assert_eq(ts_text_format(&json, &err, "{\"eos_token\": \"%s\"}",
                                ts_tokenizer_piece(have, ts_tokenizer_eos(have))),
                 TS_OK);
    write_bytes(place, "tokenizer_config.json", json.bytes, json.len);
    cr_assert_eq(open_tokenizer(place, &again, &err), TS_OK, "%s", err.message);
    expect_golden_ids(again, golden, least);
    cr_expect_eq(ts_tokenizer_lead(again), ts_tokenizer_lead(have));
    ts_text_free(&bytes);
    ts_text_free(&json);
    ts_tokenizer_close(have);
    ts_tokenizer_close(again);
    remove_folder(place);
}

// TinyLlama's vocabulary, by scores that follow from the order of its merges.
Test(weights_gguf, tokenizer_of_tinyllama_gives_hugging_faces_ids)
{
    gguf_file file = {0};
    if (!ts_folder_exists(FIXTURE_FOLDER)) {
        cr_skip_test("needs " FIXTURE_FOLDER);
    }
    ts_weights *want = open_weights(FIXTURE_FOLDER);
    gguf_model_tokenizer(&file, FIXTURE_FOLDER "/tokenizer.json", want);
    ts_weights_close(want);
    expect_golden(&file, "tokenizer.jsonl", 1500);
}

Test(weights_gguf, byte_level_tokenizers_give_hugging_faces_ids)
{
    static const struct {
        const char *name, *pre, *eos, *golden;
    } cases[] = {
        {"llama3", "llama-bpe", "<|end_of_text|>", "tokenizer_llama3.jsonl"},
        {"qwen3", "qwen2", "<|im_end|>", "tokenizer_qwen3.jsonl"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        gguf_file file = {0};
        char json[256];
        snprintf(json, sizeof json, SHARED_FOLDER "/fixtures/%s/tokenizer.json", cases[i].name);
        if (!ts_file_exists(json)) {
            cr_skip_test("needs %s", json);
        }
        gguf_model_byte_level(&file, json, cases[i].pre, cases[i].eos);
        expect_golden(&file, cases[i].golden, 700);
    }
}

// ---- Refusals

static void begin_llama(gguf_file *file)
{
    gguf_string(file, "general.architecture", "llama");
    gguf_u32(file, "llama.block_count", 1);
    gguf_u32(file, "llama.context_length", 64);
    gguf_u32(file, "llama.embedding_length", 32);
    gguf_u32(file, "llama.feed_forward_length", 32);
    gguf_u32(file, "llama.attention.head_count", 2);
}

static void embedding_of(gguf_file *file, uint32_t type)
{
    static const uint8_t bytes[4096];
    gguf_tensor(file, "token_embd.weight", 2, (const uint64_t[]){256, 4}, type, bytes,
                type == 11 ? 440 : 4096);
}

// Divisors as llama.cpp's converter makes them of rope_type llama3, low 1, high 4.
static void llama3_divisors(gguf_file *file, double factor, double original)
{
    float divisors[32];
    gguf_string(file, "general.architecture", "llama");
    gguf_u32(file, "llama.block_count", 1);
    gguf_u32(file, "llama.embedding_length", 128);
    gguf_u32(file, "llama.attention.head_count", 2);
    gguf_f32(file, "llama.rope.freq_base", 500000);
    for (int i = 0; i < 32; i++) {
        double length = 2 * 3.141592653589793 * pow(500000, i / 32.0);
        double smooth = (original / length - 1) / 3;
        divisors[i] = length < original / 4 ? 1
                      : length > original   ? (float)factor
                                            : (float)(1 / ((1 - smooth) / factor + smooth));
    }
    gguf_tensor(file, "token_embd.weight", 2, (const uint64_t[]){1, 1}, 0, "abcd", 4);
    gguf_tensor(file, "rope_freqs.weight", 1, (const uint64_t[]){32}, 0, divisors, sizeof divisors);
}

static ts_weights *open_made(gguf_file *file)
{
    ts_text bytes = {0};
    gguf_finish(file, &bytes);
    write_bytes(folder, "model.gguf", bytes.bytes, bytes.len);
    ts_text_free(&bytes);
    return open_weights(path);
}

static double number_of(const cJSON *json, const char *key)
{
    const cJSON *number = ts_json_get(json, key);
    cr_assert(cJSON_IsNumber(number), "%s", key);
    return number->valuedouble;
}

Test(weights_gguf, finds_the_numbers_of_llama3s_rope)
{
    static const double numbers[][2] = {{8, 8192}, {32, 8192}, {4, 1024}};
    for (size_t i = 0; i < 3; i++) {
        gguf_file file = {0};
        llama3_divisors(&file, numbers[i][0], numbers[i][1]);
        ts_weights *weights = open_made(&file);
        const cJSON *rope = ts_json_get(part_of(weights, TS_PART_CONFIG), "rope_scaling");
        cr_expect_str_eq(ts_json_get(rope, "rope_type")->valuestring, "llama3");
        cr_expect_eq(number_of(rope, "factor"), numbers[i][0]);
        cr_expect_eq(number_of(rope, "low_freq_factor"), 1);
        cr_expect_eq(number_of(rope, "high_freq_factor"), 4);
        cr_expect_eq(number_of(rope, "original_max_position_embeddings"), numbers[i][1]);
        ts_weights_close(weights);
    }
}

Test(weights_gguf, tells_what_llama_cpp_knows_of_gemma3)
{
    static const float norm[32] = {1.5f, 0.25f, 3};
    gguf_file file = {0};
    const uint8_t windows[3] = {1, 1, 0};
    gguf_string(&file, "general.architecture", "gemma3");
    gguf_u32(&file, "gemma3.block_count", 3);
    gguf_u32(&file, "gemma3.embedding_length", 32);
    gguf_u32(&file, "gemma3.attention.head_count", 2);
    gguf_u32(&file, "gemma3.attention.key_length", 8);
    gguf_u32(&file, "gemma3.attention.sliding_window", 4);
    gguf_array(&file, "gemma3.attention.sliding_window_pattern", 7, 3);
    gguf_put(&file.values, windows, 3);
    gguf_tensor(&file, "token_embd.weight", 2, (const uint64_t[]){1, 1}, 0, "abcd", 4);
    gguf_tensor(&file, "blk.0.post_ffw_norm.weight", 1, (const uint64_t[]){32}, 0, norm,
                sizeof norm);
    ts_weights *weights = open_made(&file);
    const cJSON *config = part_of(weights, TS_PART_CONFIG);
    cr_expect_str_eq(ts_json_get(config, "model_type")->valuestring, "gemma3_text");
    cr_expect_eq(number_of(config, "query_pre_attn_scalar"), 8);
    cr_expect_str_eq(ts_json_get(config, "dtype")->valuestring, "float32");
    cr_expect_eq(number_of(config, "rope_local_base_freq"), 10000);
    cr_expect_eq(number_of(config, "num_key_value_heads"), 2);
    const cJSON *types = ts_json_get(config, "layer_types");
    cr_assert_eq(cJSON_GetArraySize(types), 3);
    cr_expect_str_eq(types->child->valuestring, "sliding_attention");
    cr_expect_str_eq(types->child->next->next->valuestring, "full_attention");
    const ts_tensor *tensor =
        ts_tensors_find(tensors_of(weights), "model.layers.0.post_feedforward_layernorm.weight");
    cr_assert_not_null(tensor);
    cr_expect_eq(ts_dtype_load(TS_F32, tensor->bytes, 0), 0.5);
    cr_expect_eq(ts_dtype_load(TS_F32, tensor->bytes, 1), -0.75);
    ts_weights_close(weights);
}

static void other_architecture(gguf_file *file)
{
    gguf_string(file, "general.architecture", "mamba");
}
static void adapter(gguf_file *file)
{
    gguf_string(file, "general.type", "adapter");
    begin_llama(file);
}
static void no_heads(gguf_file *file)
{
    gguf_string(file, "general.architecture", "llama");
    gguf_u32(file, "llama.embedding_length", 32);
}
static void experts(gguf_file *file)
{
    begin_llama(file);
    gguf_u32(file, "llama.expert_count", 8);
    embedding_of(file, 0);
}
static void half_rotates(gguf_file *file)
{
    begin_llama(file);
    gguf_u32(file, "llama.rope.dimension_count", 8);
}
static void layers_differ(gguf_file *file)
{
    gguf_string(file, "general.architecture", "llama");
    gguf_u32(file, "llama.embedding_length", 32);
    gguf_array(file, "llama.attention.head_count", 4, 2);
    gguf_put_u32(&file->values, 2);
    gguf_put_u32(&file->values, 4);
}
static void no_embedding(gguf_file *file)
{
    begin_llama(file);
}
static void odd_divisors(gguf_file *file)
{
    static const float divisors[8] = {1, 1, 1, 2, 3, 4, 4, 4};
    begin_llama(file);
    embedding_of(file, 0);
    gguf_tensor(file, "rope_freqs.weight", 1, (const uint64_t[]){8}, 0, divisors, 32);
}

Test(weights_gguf, refuses_what_a_configuration_cannot_say)
{
    static const struct {
        void (*make)(gguf_file *file);
        ts_status status;
        const char *message;
    } cases[] = {
        {other_architecture, TS_ERR_UNSUPPORTED,
         "architecture 'mamba' is not implemented; these are: llama, qwen2"},
        {adapter, TS_ERR_UNSUPPORTED, "is 'adapter', expected 'model'"},
        {no_heads, TS_ERR_FORMAT, "llama.*: key 'attention.head_count'"},
        {experts, TS_ERR_UNSUPPORTED, "llama.*: key 'expert_count' is 8: not implemented"},
        {half_rotates, TS_ERR_UNSUPPORTED, "keys have 16 elements, values 16, of which 8 rotate"},
        {layers_differ, TS_ERR_FORMAT, "key 'attention.head_count': expected a whole number"},
        {no_embedding, TS_ERR_FORMAT, "has no matrix token_embd.weight"},
        {odd_divisors, TS_ERR_UNSUPPORTED, "'rope_freqs.weight' divides the rotary frequencies"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        gguf_file file = {0};
        ts_text bytes = {0};
        ts_error err = {0};
        const cJSON *config;
        cases[i].make(&file);
        gguf_finish(&file, &bytes);
        write_bytes(folder, "model.gguf", bytes.bytes, bytes.len);
        ts_text_free(&bytes);
        ts_weights *weights = open_weights(path);
        cr_expect_eq(ts_weights_read(weights, TS_PART_CONFIG, &config, NULL, &err), cases[i].status,
                     "%zu: %s", i, err.message);
        cr_expect_not_null(strstr(err.message, cases[i].message), "%zu: %s", i, err.message);
        ts_weights_close(weights);
    }
}

static void type_q3_k(gguf_file *file)
{
    begin_llama(file);
    embedding_of(file, 11);
}
static void long_factors(gguf_file *file)
{
    begin_llama(file);
    gguf_tensor(file, "rope_factors_long.weight", 1, (const uint64_t[]){1}, 0, "abcd", 4);
}
static void no_whole_heads(gguf_file *file)
{
    static const float rows[32 * 24];
    begin_llama(file);
    gguf_tensor(file, "blk.0.attn_q.weight", 2, (const uint64_t[]){32, 24}, 0, rows, sizeof rows);
}

Test(weights_gguf, refuses_tensors_by_name)
{
    static const struct {
        void (*make)(gguf_file *file);
        ts_status status;
        const char *message;
    } cases[] = {
        {type_q3_k, TS_ERR_UNSUPPORTED,
         "tensor 'token_embd.weight' is Q3_K, which is not implemented; these are: F32, F16"},
        {long_factors, TS_ERR_UNSUPPORTED, "tensor 'rope_factors_long.weight' is not implemented"},
        {no_whole_heads, TS_ERR_FORMAT,
         "'blk.0.attn_q.weight': 24 rows, expected whole heads of 16"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        gguf_file file = {0};
        ts_text bytes = {0};
        ts_error err = {0};
        const ts_tensors *tensors;
        cases[i].make(&file);
        gguf_finish(&file, &bytes);
        write_bytes(folder, "model.gguf", bytes.bytes, bytes.len);
        ts_text_free(&bytes);
        ts_weights *weights = open_weights(path);
        cr_expect_eq(ts_weights_tensors(weights, &tensors, &err), cases[i].status, "%zu: %s", i,
                     err.message);
        cr_expect_not_null(strstr(err.message, cases[i].message), "%zu: %s", i, err.message);
        ts_weights_close(weights);
    }
}

// Tokens "a" and "b" with these numbers of scores and types.
static void tokens_of(gguf_file *file, const char *model, const char *second, uint64_t scores,
                      int32_t type)
{
    const float none[2] = {0};
    gguf_string(file, "tokenizer.ggml.model", model);
    gguf_array(file, "tokenizer.ggml.tokens", 8, 2);
    gguf_put_string(&file->values, "a", 1);
    gguf_put_string(&file->values, second, strlen(second));
    gguf_array(file, "tokenizer.ggml.scores", 6, scores);
    gguf_put(&file->values, none, scores * sizeof *none);
    gguf_array(file, "tokenizer.ggml.token_type", 5, 2);
    gguf_put(&file->values, (const int32_t[]){1, type}, 8);
}

Test(weights_gguf, refuses_tokenizers_by_what_is_wrong)
{
    static const struct {
        const char *model, *second, *flag;
        uint64_t scores;
        int32_t type;
        ts_status status;
        const char *message;
    } cases[] = {
        {"gpt2", "b", NULL, 2, 1, TS_ERR_FORMAT, "key 'tokenizer.ggml.pre' is missing"},
        {"t5", "b", NULL, 2, 1, TS_ERR_UNSUPPORTED, "a tokenizer of model 't5' is not implemented"},
        {"llama", "b", NULL, 1, 1, TS_ERR_FORMAT, "2 tokens and 1 scores"},
        {"llama", "b", NULL, 2, 9, TS_ERR_FORMAT, "token 1 has type 9; expected 1 to 6"},
        {"llama", "", NULL, 2, 1, TS_ERR_FORMAT, "token 1 is not UTF-8 text of 1 to"},
        {"llama", "\xFF", NULL, 2, 1, TS_ERR_FORMAT, "token 1 is not UTF-8 text of 1 to"},
        {"llama", "a", NULL, 2, 1, TS_ERR_FORMAT, "token 'a' stands twice"},
        {"llama", "b", "tokenizer.ggml.remove_extra_whitespaces", 2, 1, TS_ERR_UNSUPPORTED,
         "key 'remove_extra_whitespaces' is true: not implemented"},
        {"llama", "b", "tokenizer.ggml.normalizer.nfc", 2, 1, TS_ERR_UNSUPPORTED,
         "key 'tokenizer.ggml.normalizer.nfc' is true: not implemented"},
        {"llama", "b", "tokenizer.ggml.normalizer.lowercase", 2, 1, TS_ERR_UNSUPPORTED,
         "key 'normalizer.lowercase' is true: not implemented"},
        {"llama", "b", NULL, 2, 1, TS_ERR_UNSUPPORTED, "lacks <0x00>"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        gguf_file file = {0};
        ts_text bytes = {0};
        ts_error err = {0};
        ts_tokenizer *tokenizer = NULL;
        tokens_of(&file, cases[i].model, cases[i].second, cases[i].scores, cases[i].type);
        gguf_u32(&file, "tokenizer.ggml.eos_token_id", 1);
        if (cases[i].flag != NULL) {
            gguf_bool(&file, cases[i].flag, true);
        }
        gguf_finish(&file, &bytes);
        write_bytes(folder, "model.gguf", bytes.bytes, bytes.len);
        ts_text_free(&bytes);
        cr_expect_eq(open_tokenizer(path, &tokenizer, &err), cases[i].status, "%zu: %s", i,
                     err.message);
        cr_expect_not_null(strstr(err.message, cases[i].message), "%zu: %s", i, err.message);
        ts_tokenizer_close(tokenizer);
    }
}
