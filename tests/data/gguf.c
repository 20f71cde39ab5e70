// GGUF as a container: valid files are read, and a header that claims anything untrue is refused.
#include "data/gguf.h"

#include "data/gguf_names.h"
#include "data_test.h"
#include "gguf_file.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

// Writes the bytes to a file and opens it. The folder stays for as long as *out is open: a mapping
// needs no name.
static ts_status open_bytes(const ts_text *bytes, ts_gguf **out, ts_error *err)
{
    char *folder = make_folder();
    ts_text path = {0};
    write_bytes(folder, "m.gguf", bytes->bytes, bytes->len);
    cr_assert_eq(ts_path_join(folder, "m.gguf", &path, err), TS_OK);
    ts_status status = ts_gguf_open(path.bytes, out, err);
    cr_assert_eq(*out != NULL, status == TS_OK);
    cr_assert(status == TS_OK || strstr(err->message, "m.gguf: ") != NULL, "%s", err->message);
    ts_text_free(&path);
    remove_folder(folder);
    return status;
}

static ts_status open_file(gguf_file *file, ts_gguf **out, ts_error *err)
{
    ts_text bytes = {0};
    gguf_finish(file, &bytes);
    ts_status status = open_bytes(&bytes, out, err);
    ts_text_free(&bytes);
    return status;
}

static void put_each_type(gguf_file *file)
{
    const int64_t minus = -5;
    const double real = 0.1;
    const uint8_t bools[] = {1, 0, 1};
    gguf_string(file, "general.architecture", "llama");
    for (uint32_t type = 0; type < 6; type++) { // u8 to i32, each in its own width
        char key[8];
        snprintf(key, sizeof key, "n%u", type);
        gguf_key(file, key, type);
        gguf_put(&file->values, &minus, (size_t)1 << type / 2);
    }
    gguf_f32(file, "f32", 1e-5f);
    gguf_bool(file, "yes", true);
    gguf_key(file, "u64", 10);
    gguf_put_u64(&file->values, 1ull << 40);
    gguf_key(file, "i64", 11);
    gguf_put(&file->values, &minus, 8);
    gguf_key(file, "f64", 12);
    gguf_put(&file->values, &real, 8);
    gguf_array(file, "words", 8, 3);
    gguf_put_string(&file->values, "a", 1);
    gguf_put_string(&file->values, "", 0);
    gguf_put_string(&file->values, "cde", 3);
    gguf_array(file, "bools", 7, 3);
    gguf_put(&file->values, bools, 3);
    gguf_array(file, "nested", 9, 2);
    for (uint32_t i = 0; i < 2; i++) {
        gguf_put_u32(&file->values, 5);
        gguf_put_u64(&file->values, i + 1);
        for (uint32_t j = 0; j <= i; j++) {
            gguf_put_u32(&file->values, (uint32_t)(minus + j));
        }
    }
    gguf_array(file, "none", 8, 0);
}

Test(gguf, reads_every_type_of_value)
{
    ts_gguf *gguf = NULL;
    ts_error err = {0};
    ts_text text = {0};
    const ts_gguf_value *array;
    uint64_t number, at = 0, len;
    double real;
    bool yes;
    const char *word;
    gguf_file file = {0};
    put_each_type(&file);
    cr_assert_eq(open_file(&file, &gguf, &err), TS_OK, "%s", err.message);
    cr_expect_eq(ts_gguf_value_count(gguf), 16);
    cr_assert_eq(ts_gguf_get_text(gguf, "general.architecture", &text, &err), TS_OK);
    cr_expect_str_eq(text.bytes, "llama");
    cr_assert_eq(ts_gguf_get_uint(gguf, "n0", 0, 255, &number, &err), TS_OK);
    cr_expect_eq(number, 251);
    cr_assert_eq(ts_gguf_get_uint(gguf, "n2", 0, 1 << 16, &number, &err), TS_OK);
    cr_expect_eq(number, 65531);
    cr_assert_eq(ts_gguf_get_uint(gguf, "u64", 0, UINT64_MAX, &number, &err), TS_OK);
    cr_expect_eq(number, 1ull << 40);
    static const char *const negative[] = {"n1", "n3", "n5", "i64"};
    for (size_t i = 0; i < 4; i++) {
        cr_assert_eq(ts_gguf_get_double(gguf, negative[i], &real, &err), TS_OK);
        cr_expect_eq(real, -5);
        cr_expect_eq(ts_gguf_get_uint(gguf, negative[i], 0, UINT64_MAX, &number, &err),
                     TS_ERR_FORMAT);
        cr_expect(strstr(err.message, "found -5") != NULL, "%s", err.message);
        err = (ts_error){0};
    }
    cr_assert_eq(ts_gguf_get_double(gguf, "f32", &real, &err), TS_OK);
    cr_expect_eq((float)real, 1e-5f);
    cr_assert_eq(ts_gguf_get_double(gguf, "f64", &real, &err), TS_OK);
    cr_expect_eq(real, 0.1);
    cr_assert_eq(ts_gguf_get_bool(gguf, "yes", &yes, &err), TS_OK);
    cr_expect(yes);
    cr_assert_eq(ts_gguf_get_array(gguf, "words", TS_GGUF_STRING, &array, &err), TS_OK);
    cr_expect_eq(array->count, 3);
    static const char *const words[] = {"a", "", "cde"};
    for (size_t i = 0; i < 3; i++) {
        cr_assert(ts_gguf_next_string(array, &at, &word, &len));
        cr_expect_eq(len, strlen(words[i]));
        cr_expect_eq(memcmp(word, words[i], len), 0);
    }
    cr_expect_not(ts_gguf_next_string(array, &at, &word, &len));
    cr_assert_eq(ts_gguf_get_array(gguf, "nested", TS_GGUF_ARRAY, &array, &err), TS_OK);
    cr_expect_eq(array->count, 2);
    cr_expect_null(ts_gguf_find(gguf, "words2"));
    ts_text_free(&text);
    ts_gguf_close(gguf);
}

Test(gguf, says_what_it_expected)
{
    static const struct {
        const char *key, *message;
    } cases[] = {
        {"missing", "key 'missing' is missing; expected a whole number"},
        {"f32", "key 'f32': expected a whole number, found f32"},
        {"words", "key 'words': expected a whole number, found array of string"},
        {"u64", "key 'u64': expected a whole number from 1 to 9, found 1099511627776"},
        {"yes", "key 'yes': expected a whole number, found bool"},
    };
    ts_gguf *gguf = NULL;
    gguf_file file = {0};
    ts_error err = {0};
    const ts_gguf_value *array;
    uint64_t number;
    put_each_type(&file);
    cr_assert_eq(open_file(&file, &gguf, &err), TS_OK, "%s", err.message);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        err = (ts_error){0};
        cr_expect_eq(ts_gguf_get_uint(gguf, cases[i].key, 1, 9, &number, &err), TS_ERR_FORMAT);
        cr_expect(strstr(err.message, cases[i].message) != NULL, "%s", err.message);
    }
    err = (ts_error){0};
    cr_expect_eq(ts_gguf_get_array(gguf, "words", TS_GGUF_F32, &array, &err), TS_ERR_FORMAT);
    cr_expect(strstr(err.message, "expected array of f32, found array of string") != NULL, "%s",
              err.message);
    ts_gguf_close(gguf);
}

Test(gguf, finds_tensors_where_they_lie)
{
    ts_gguf *gguf = NULL;
    ts_error err = {0};
    float values[96];
    for (uint32_t version = 2; version <= 3; version++) {
        gguf_file file = {.version = version, .alignment = 64};
        gguf_u32(&file, "general.alignment", 64);
        for (int i = 0; i < 96; i++) {
            values[i] = (float)i;
        }
        gguf_tensor(&file, "b", 2, (const uint64_t[]){3, 5}, 0, values, 60);
        gguf_tensor(&file, "a", 2, (const uint64_t[]){64, 2}, 8, values, 136);
        gguf_tensor(&file, "c", 1, (const uint64_t[]){7}, 30, values + 1, 14);
        cr_assert_eq(open_file(&file, &gguf, &err), TS_OK, "%s", err.message);
        cr_assert_eq(ts_gguf_tensor_count(gguf), 3);
        cr_expect_str_eq(ts_gguf_tensor_at(gguf, 0)->name, "a");
        const ts_gguf_tensor *b = ts_gguf_find_tensor(gguf, "b");
        cr_expect_eq(b->len, 60);
        cr_expect_eq(memcmp(b->bytes, values, 60), 0);
        cr_expect_eq((uintptr_t)b->bytes % 64, 0);
        cr_expect_eq(ts_gguf_find_tensor(gguf, "a")->len, 136);
        cr_expect_str_eq(ts_gguf_tensor_type_name(ts_gguf_find_tensor(gguf, "c")->type), "BF16");
        cr_expect_null(ts_gguf_find_tensor(gguf, "d"));
        ts_gguf_close(gguf);
    }
}

// Files that are valid but for one thing.
typedef void lie(gguf_file *file);

static void key_twice(gguf_file *file)
{
    gguf_u32(file, "a", 1);
    gguf_u32(file, "a", 1);
}
static void unknown_type(gguf_file *file)
{
    gguf_key(file, "a", 13);
    gguf_put_u64(&file->values, 0);
}
static void no_bool(gguf_file *file)
{
    gguf_key(file, "a", 7);
    gguf_put(&file->values, "\x02", 1);
}
static void long_string(gguf_file *file)
{
    gguf_key(file, "a", 8);
    gguf_put_u64(&file->values, UINT64_MAX);
}
static void long_array(gguf_file *file)
{
    gguf_array(file, "a", 10, 0x2000000000000001ull);
}
static void array_of_nothing(gguf_file *file)
{
    gguf_array(file, "a", 77, 0);
}
static void deep_array(gguf_file *file)
{
    gguf_array(file, "a", 9, 1);
    for (int i = 0; i < 20; i++) {
        gguf_put_u32(&file->values, 9);
        gguf_put_u64(&file->values, 1);
    }
}
static void broken_key(gguf_file *file)
{
    gguf_u32(file, "a\xFF", 1);
}
static void empty_key(gguf_file *file)
{
    gguf_u32(file, "", 1);
}
static void odd_alignment(gguf_file *file)
{
    gguf_u32(file, "general.alignment", 48);
}
static void no_alignment(gguf_file *file)
{
    gguf_u32(file, "general.alignment", 0);
}
static void too_many_dimensions(gguf_file *file)
{
    gguf_tensor(file, "t", 5, (const uint64_t[]){1, 1, 1, 1, 1}, 0, "abcd", 4);
}
static void no_dimensions(gguf_file *file)
{
    gguf_tensor(file, "t", 0, NULL, 0, "abcd", 4);
}
static void huge_shape(gguf_file *file)
{
    gguf_tensor(file, "t", 3, (const uint64_t[]){1ull << 32, 1ull << 31, 4}, 0, "abcd", 4);
}
static void huge_bytes(gguf_file *file)
{
    gguf_tensor(file, "t", 2, (const uint64_t[]){1ull << 32, 1ull << 30}, 0, "abcd", 4);
}
static void broken_block(gguf_file *file)
{
    gguf_tensor(file, "t", 2, (const uint64_t[]){48, 2}, 8, "abcd", 4);
}
static void unknown_tensor_type(gguf_file *file)
{
    gguf_tensor(file, "t", 1, (const uint64_t[]){1}, 4, "abcd", 4);
}
static void misaligned(gguf_file *file)
{
    gguf_put(&file->data, "abcdefgh", 8);
    gguf_tensor_entry(file, "t", 1, (const uint64_t[]){1}, 0, 4);
}
static void far_away(gguf_file *file)
{
    gguf_put(&file->data, "abcdefgh", 8);
    gguf_tensor_entry(file, "t", 1, (const uint64_t[]){1}, 0, UINT64_MAX - 31);
}
static void past_the_end(gguf_file *file)
{
    gguf_put(&file->data, "abcdefgh", 8);
    gguf_tensor_entry(file, "t", 1, (const uint64_t[]){9}, 0, 0);
}
static void overlapping(gguf_file *file)
{
    float values[16] = {0};
    gguf_put(&file->data, values, 64);
    gguf_tensor_entry(file, "t", 1, (const uint64_t[]){9}, 0, 0);
    gguf_tensor_entry(file, "s", 1, (const uint64_t[]){1}, 0, 32);
}
static void hole(gguf_file *file)
{
    float values[32] = {0};
    gguf_put(&file->data, values, 128);
    gguf_tensor_entry(file, "t", 1, (const uint64_t[]){1}, 0, 0);
    gguf_tensor_entry(file, "s", 1, (const uint64_t[]){1}, 0, 64);
}
static void tensor_twice(gguf_file *file)
{
    gguf_tensor(file, "t", 1, (const uint64_t[]){1}, 0, "abcd", 4);
    gguf_tensor(file, "t", 1, (const uint64_t[]){1}, 0, "abcd", 4);
}
static void version_one(gguf_file *file)
{
    file->version = 1;
}
static void big_endian(gguf_file *file)
{
    file->version = 3 << 24;
}

Test(gguf, refuses_every_lie)
{
    static const struct {
        lie *lie;
        ts_status status;
        const char *message;
    } cases[] = {
        {key_twice, TS_ERR_FORMAT, "key 'a' stands twice"},
        {unknown_type, TS_ERR_FORMAT, "key 'a': its value has no type"},
        {no_bool, TS_ERR_FORMAT, "key 'a': its value has no type"},
        {long_string, TS_ERR_FORMAT, "ends inside the value of 'a'"},
        {long_array, TS_ERR_FORMAT, "ends inside the value of 'a'"},
        {array_of_nothing, TS_ERR_FORMAT, "key 'a': its value has no type"},
        {deep_array, TS_ERR_FORMAT, "key 'a': its value has no type"},
        {broken_key, TS_ERR_FORMAT, "the name of value 0 is not UTF-8"},
        {empty_key, TS_ERR_FORMAT, "value 0 has a name of 0 bytes"},
        {odd_alignment, TS_ERR_FORMAT, "48 is no power of two"},
        {no_alignment, TS_ERR_FORMAT, "expected a whole number from 1 to 65536, found 0"},
        {too_many_dimensions, TS_ERR_FORMAT, "tensor 't' has 5 dimensions"},
        {no_dimensions, TS_ERR_FORMAT, "tensor 't' has 0 dimensions"},
        {huge_shape, TS_ERR_FORMAT, "make no tensor of type F32"},
        {huge_bytes, TS_ERR_FORMAT, "make no tensor of type F32"},
        {broken_block, TS_ERR_FORMAT, "rows of 48 elements"},
        {unknown_tensor_type, TS_ERR_UNSUPPORTED, "tensor 't' has type 4"},
        {misaligned, TS_ERR_FORMAT, "tensor 't' begins at 4, which is no multiple of 32"},
        {far_away, TS_ERR_FORMAT, "is the file cut short?"},
        {past_the_end, TS_ERR_FORMAT, "tensor 't' has 36 bytes from 0 on, and the data has 32"},
        {overlapping, TS_ERR_FORMAT, "tensors 't' and 's' overlap"},
        {hole, TS_ERR_FORMAT, "60 bytes before tensor 's' belong to no tensor"},
        {tensor_twice, TS_ERR_FORMAT, "tensor 't' stands twice"},
        {version_one, TS_ERR_UNSUPPORTED, "GGUF version 1; only 2 and 3"},
        {big_endian, TS_ERR_UNSUPPORTED, "big-endian"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ts_gguf *gguf = NULL;
        ts_error err = {0};
        gguf_file file = {0};
        cases[i].lie(&file);
        cr_expect_eq(open_file(&file, &gguf, &err), cases[i].status, "%zu: %s", i, err.message);
        cr_expect(strstr(err.message, cases[i].message) != NULL, "%zu: %s", i, err.message);
        ts_gguf_close(gguf);
    }
}

// Cut anywhere, a file is refused or, where only padding is gone, read.
Test(gguf, refuses_a_file_that_is_cut_short)
{
    gguf_file file = {0};
    ts_text bytes = {0};
    put_each_type(&file);
    gguf_tensor(&file, "t", 2, (const uint64_t[]){2, 2}, 0, "0123456789abcdef", 16);
    gguf_finish(&file, &bytes);
    const size_t whole = bytes.len, padding = 16;
    for (bytes.len = 0; bytes.len < whole; bytes.len++) {
        ts_gguf *gguf = NULL;
        ts_error err = {0};
        ts_status status = open_bytes(&bytes, &gguf, &err);
        cr_expect_eq(status, bytes.len < whole - padding ? TS_ERR_FORMAT : TS_OK, "%zu: %s",
                     bytes.len, err.message);
        ts_gguf_close(gguf);
    }
    ts_text_free(&bytes);
}

// ---- Names

Test(gguf, translates_names_both_ways)
{
    static const struct {
        const char *architecture, *gguf, *hf;
    } cases[] = {
        {"llama", "token_embd.weight", "model.embed_tokens.weight"},
        {"llama", "output_norm.weight", "model.norm.weight"},
        {"llama", "output.weight", "lm_head.weight"},
        {"llama", "blk.0.attn_q.weight", "model.layers.0.self_attn.q_proj.weight"},
        {"llama", "blk.17.ffn_norm.weight", "model.layers.17.post_attention_layernorm.weight"},
        {"llama", "blk.3.ffn_down.weight.lora_a", "model.layers.3.mlp.down_proj.weight.lora_a"},
        {"qwen2", "blk.3.attn_k.bias", "model.layers.3.self_attn.k_proj.bias"},
        {"qwen3", "blk.3.attn_q_norm.weight", "model.layers.3.self_attn.q_norm.weight"},
        {"gemma3", "blk.3.ffn_norm.weight", "model.layers.3.pre_feedforward_layernorm.weight"},
        {"gemma3", "blk.3.post_attention_norm.weight",
         "model.layers.3.post_attention_layernorm.weight"},
        {"gemma3", "blk.3.post_ffw_norm.weight",
         "model.layers.3.post_feedforward_layernorm.weight"},
        {"olmo2", "blk.3.post_attention_norm.weight",
         "model.layers.3.post_attention_layernorm.weight"},
        {"olmo2", "blk.3.post_ffw_norm.weight", "model.layers.3.post_feedforward_layernorm.weight"},
        {"olmo2", "blk.3.attn_q_norm.weight", "model.layers.3.self_attn.q_norm.weight"},
    };
    char out[128];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const ts_gguf_architecture *a = ts_gguf_architecture_find(cases[i].architecture);
        cr_assert(ts_gguf_name_to_hf(a, cases[i].gguf, out, sizeof out), "%s", cases[i].gguf);
        cr_expect_str_eq(out, cases[i].hf);
        cr_assert(ts_gguf_name_from_hf(a, cases[i].hf, out, sizeof out), "%s", cases[i].hf);
        cr_expect_str_eq(out, cases[i].gguf);
        cr_expect_not(ts_gguf_name_to_hf(a, cases[i].gguf, out, 8));
    }
    static const char *const unknown[] = {"blk.0.attn_x.weight", "blk.00.attn_q.weight",
                                          "blk..attn_q.weight",  "blk.0.attn_q",
                                          "rope_freqs.weight",   "blk.0.post_ffw_norm.weight",
                                          "attn_q.weight",       "blk.0.output.weight"};
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++) {
        cr_expect_not(
            ts_gguf_name_to_hf(ts_gguf_architecture_find("llama"), unknown[i], out, sizeof out),
            "%s: %s", unknown[i], out);
    }
}

Test(gguf, knows_what_each_architecture_does)
{
    const ts_gguf_architecture *llama = ts_gguf_architecture_find("llama");
    cr_expect_str_eq(llama->model_type, "llama");
    cr_expect_str_eq(ts_gguf_architecture_of("mistral")->name, "llama");
    cr_expect_null(ts_gguf_architecture_find("mamba"));
    cr_expect_null(ts_gguf_architecture_of("mamba"));
    cr_expect(ts_gguf_is_permuted(llama, "model.layers.0.self_attn.q_proj.weight"));
    cr_expect_not(ts_gguf_is_permuted(llama, "model.layers.0.self_attn.v_proj.weight"));
    const ts_gguf_architecture *qwen = ts_gguf_architecture_find("qwen3");
    cr_expect_not(ts_gguf_is_permuted(qwen, "model.layers.0.self_attn.q_proj.weight"));
    const ts_gguf_architecture *gemma = ts_gguf_architecture_find("gemma3");
    cr_expect(ts_gguf_is_plus_one(gemma, "model.layers.0.self_attn.q_norm.weight"));
    cr_expect(ts_gguf_is_plus_one(gemma, "model.norm.weight"));
    cr_expect_not(ts_gguf_is_plus_one(gemma, "model.embed_tokens.weight"));
    cr_expect_not(ts_gguf_is_plus_one(llama, "model.norm.weight"));
    cr_expect_null(ts_gguf_architecture_name(6));
    // Row h*64+32s+j of Hugging Face's is the file's row h*64+2j+s.
    cr_expect_eq(ts_gguf_row(64 + 32 + 5, 64), 64 + 11);
    cr_expect_eq(ts_gguf_row(5, 64), 10);
    for (uint64_t row = 0; row < 192; row++) {
        cr_expect_eq(ts_gguf_row_to_hf(ts_gguf_row(row, 64), 64), row);
    }
}
