// Models and adapters as GGUF files, read back by the program's own reader. What llama.cpp makes of
// them: tools/peers/compare_export.sh.
#include "export_test.h"

#include "base/blocks.h"
#include "data/gguf.h"
#include "data/gguf_names.h"

static const ts_adapter_config all_linear = {
    .r = 4, .alpha = 8, .use_rslora = true, .targets = TS_MODULES_ALL};
static const ts_adapter_config q_and_v = {
    .r = 3, .alpha = 6, .targets = TS_MODULE_BIT(TS_MODULE_Q) | TS_MODULE_BIT(TS_MODULE_V)};

static const ts_gguf_architecture *llama(void)
{
    return ts_gguf_architecture_find("llama");
}

// The tensor of this Hugging Face name, whose shape is checked.
static const ts_gguf_tensor *find(const ts_gguf *file, const char *hf, uint64_t rows, uint64_t cols)
{
    char name[TS_GGUF_NAME_BYTES];
    cr_assert(ts_gguf_name_from_hf(llama(), hf, name, sizeof name), "%s", hf);
    const ts_gguf_tensor *tensor = ts_gguf_find_tensor(file, name);
    cr_assert_not_null(tensor, "%s", name);
    cr_assert_eq(tensor->shape[0], cols);
    cr_assert(rows == 0 ? tensor->rank == 1 : tensor->shape[1] == rows);
    return tensor;
}

// Element [row, col], by the row's place in Hugging Face's order.
static double element(const place *p, const ts_gguf_tensor *tensor, const char *hf, uint64_t row,
                      uint64_t col)
{
    const uint64_t cols = tensor->shape[0];
    if (ts_gguf_is_permuted(llama(), hf)) {
        row = ts_gguf_row(row, p->config.head_dim);
    }
    if (tensor->type != TS_GGUF_TENSOR_Q8_0) {
        ts_dtype dtype;
        cr_assert(ts_blocks_of_gguf(tensor->type, &dtype));
        return ts_dtype_load(dtype, tensor->bytes, row * cols + col);
    }
    const uint8_t *block = tensor->bytes + (row * cols + col) / 32 * 34;
    uint16_t d;
    memcpy(&d, block, sizeof d);
    return ts_f16_to_f32(d) * (int8_t)block[2 + (row * cols + col) % 32];
}

// The largest magnitude in the block of 32 that holds element `e`.
static double largest_near(const place *p, const ts_weight *weight, uint64_t e)
{
    double largest = 0;
    for (uint64_t i = e / 32 * 32; i < e / 32 * 32 + 32; i++) {
        largest =
            fmax(largest, fabs(merged_exactly(p, weight, i / weight->cols, i % weight->cols)));
    }
    return largest;
}

// Every tensor is the merged one, in the type that is wanted, up to rounding. Of the large ones a
// part of the elements is looked at.
static void check_tensors(const place *p, ts_dtype dtype)
{
    ts_gguf *file;
    MUST(ts_gguf_open(p->out, &file, err));
    cr_assert_eq(ts_gguf_tensor_count(file), ts_weight_count(&p->config));
    for (uint32_t i = 0; i < ts_weight_count(&p->config); i++) {
        ts_weight weight;
        uint32_t type;
        ts_weight_describe(&p->config, i, &weight);
        const ts_gguf_tensor *tensor = find(file, weight.name, weight.rows, weight.cols);
        cr_assert(ts_gguf_type_from_dtype(weight.rows > 0 ? dtype : TS_F32, &type));
        cr_assert_eq(tensor->type, type, "%s", weight.name);
        const uint64_t count = (uint64_t)(weight.rows > 0 ? weight.rows : 1) * weight.cols;
        for (uint64_t e = 0; e < count; e += 97) {
            const double exact = merged_exactly(p, &weight, e / weight.cols, e % weight.cols);
            const double found = element(p, tensor, weight.name, e / weight.cols, e % weight.cols);
            double most =
                half_step(weight.rows > 0 && dtype != TS_Q8_0 ? dtype : TS_F32, exact) + 1e-6;
            if (tensor->type == TS_GGUF_TENSOR_Q8_0) {
                // Half a step of its block, and what the step itself is rounded by, 127 times.
                most = largest_near(p, &weight, e) / 127 * (0.5 + 127 * 0x1p-11);
            }
            cr_assert_leq(fabs(found - exact), most, "%s[%llu]: %.9g, not %.9g", weight.name,
                          (unsigned long long)e, found, exact);
        }
    }
    ts_gguf_close(file);
}

Test(gguf, merged)
{
    static const ts_dtype types[] = {TS_F32, TS_F16, TS_BF16, TS_Q8_0};
    place p;
    place_open_base(&p, &all_linear);
    MUST(ts_export_run(&p.source, &p.params, err)); // a folder, to see that a file replaces none
    ts_error error = {0};
    p.params.format = TS_EXPORT_GGUF;
    p.params.overwrite = true;
    cr_expect_eq(ts_export_run(&p.source, &p.params, &error), TS_ERR_IO, "%s", error.message);
    MUST(ts_folder_remove(p.out, err));
    for (size_t i = 0; i < TS_COUNT(types); i++) {
        p.params.convert = true;
        p.params.dtype = types[i];
        MUST(ts_export_run(&p.source, &p.params, err));
        check_tensors(&p, types[i]);
    }
    p.params.convert = false;
    MUST(ts_export_run(&p.source, &p.params, err));
    check_tensors(&p, TS_BF16); // as the base is stored
    p.params.overwrite = false;
    cr_expect_eq(ts_export_run(&p.source, &p.params, &error), TS_ERR_ARGUMENT);
    place_close(&p);
}

static void expect_uint(const ts_gguf *file, const char *key, uint64_t expected)
{
    uint64_t value;
    MUST(ts_gguf_get_uint(file, key, 0, 1 << 30, &value, err));
    cr_expect_eq(value, expected, "%s: %llu", key, (unsigned long long)value);
}

static void expect_text(const ts_gguf *file, const char *key, const char *expected)
{
    ts_text text = {0};
    MUST(ts_gguf_get_text(file, key, &text, err));
    cr_expect_str_eq(text.bytes, expected);
    ts_text_free(&text);
}

Test(gguf, metadata)
{
    place p;
    ts_gguf *file;
    double value;
    bool flag;
    place_open_base(&p, NULL);
    p.params.format = TS_EXPORT_GGUF;
    MUST(ts_export_run(&p.source, &p.params, err));
    MUST(ts_gguf_open(p.out, &file, err));
    expect_text(file, "general.architecture", "llama");
    expect_text(file, "general.type", "model");
    expect_text(file, "general.name", "tiny");
    expect_uint(file, "general.file_type", 32);
    expect_uint(file, "llama.block_count", 4);
    expect_uint(file, "llama.context_length", 512);
    expect_uint(file, "llama.embedding_length", 256);
    expect_uint(file, "llama.feed_forward_length", 704);
    expect_uint(file, "llama.attention.head_count", 8);
    expect_uint(file, "llama.attention.head_count_kv", 4);
    expect_uint(file, "llama.rope.dimension_count", 32);
    expect_uint(file, "llama.vocab_size", 2048);
    MUST(ts_gguf_get_double(file, "llama.attention.layer_norm_rms_epsilon", &value, err));
    cr_expect_eq((float)value, 1e-5f);
    MUST(ts_gguf_get_double(file, "llama.rope.freq_base", &value, err));
    cr_expect_eq(value, 10000);
    expect_uint(file, "tokenizer.ggml.bos_token_id", 1);
    expect_uint(file, "tokenizer.ggml.eos_token_id", 2);
    expect_uint(file, "tokenizer.ggml.unknown_token_id", 0);
    expect_uint(file, "tokenizer.ggml.padding_token_id", 2);
    MUST(ts_gguf_get_bool(file, "tokenizer.ggml.add_bos_token", &flag, err));
    cr_expect_not(flag); // its template writes no BOS, so it was trained without
    expect_text(file, "tokenizer.chat_template", ts_chat_template_text(p.chat_template));
    ts_gguf_close(file);
    p.params.chat_template = NULL;
    p.params.overwrite = true;
    MUST(ts_export_run(&p.source, &p.params, err));
    MUST(ts_gguf_open(p.out, &file, err));
    MUST(ts_gguf_get_bool(file, "tokenizer.ggml.add_bos_token", &flag, err));
    cr_expect(flag);
    cr_expect_null(ts_gguf_find(file, "tokenizer.chat_template"));
    ts_gguf_close(file);
    place_close(&p);
}

// Pieces and their types; a piece that merges earlier has the higher score.
Test(gguf, tokenizer)
{
    place p;
    ts_gguf *file;
    const ts_gguf_value *tokens, *types, *scores;
    place_open_base(&p, NULL);
    p.params.format = TS_EXPORT_GGUF;
    MUST(ts_export_run(&p.source, &p.params, err));
    MUST(ts_gguf_open(p.out, &file, err));
    MUST(ts_gguf_get_array(file, "tokenizer.ggml.tokens", TS_GGUF_STRING, &tokens, err));
    MUST(ts_gguf_get_array(file, "tokenizer.ggml.token_type", TS_GGUF_I32, &types, err));
    MUST(ts_gguf_get_array(file, "tokenizer.ggml.scores", TS_GGUF_F32, &scores, err));
    cr_assert(tokens->count == 2048 && types->count == 2048 && scores->count == 2048);
    uint64_t at = 0, len;
    const char *bytes;
    double last = 0;
    for (uint32_t id = 0; ts_gguf_next_string(tokens, &at, &bytes, &len); id++) {
        const char *piece = ts_tokenizer_piece(p.tokenizer, id);
        cr_assert(len == strlen(piece) && memcmp(bytes, piece, len) == 0, "%u", id);
        cr_assert_eq(ts_gguf_item(types, id), id == 0 ? 2 : id < 3 ? 3 : id < 259 ? 6 : 1);
        if (ts_gguf_item(scores, id) != 0) { // its pieces are numbered as they merge
            cr_assert_lt(ts_gguf_item(scores, id), last);
            last = ts_gguf_item(scores, id);
        }
    }
    cr_assert_eq(last, -1694); // of as many merges
    ts_gguf_close(file);
    place_close(&p);
}

// Takes the exported file as the model of the next export, which goes to FOLDER/again.
static void take_as_base(place *p, char again[96])
{
    char base[96];
    snprintf(base, sizeof base, "%s/base.gguf", p->folder);
    cr_assert_eq(rename(p->out, base), 0);
    ts_export_source_close(&p->source);
    ts_chat_template_close(p->chat_template);
    ts_tokenizer_close(p->tokenizer);
    ts_weights_close(p->weights);
    MUST(ts_weights_open(base, &p->weights, err));
    MUST(ts_model_check(p->weights, &p->config, err));
    MUST(ts_tokenizer_open(p->weights, &p->tokenizer, err));
    MUST(ts_chat_template_open(p->weights, NULL, p->tokenizer, &p->chat_template, err));
    MUST(ts_export_source_open(p->weights, &p->config, NULL, &p->source, err));
    p->params.tokenizer = p->tokenizer;
    p->params.chat_template = p->chat_template;
    snprintf(again, 96, "%s/again", p->folder);
    p->params.path = again;
}

// A file that is read and written again stays the same, byte by byte.
Test(gguf, read_and_written_again)
{
    static const ts_dtype types[] = {TS_F32, TS_F16, TS_BF16};
    for (size_t i = 0; i < TS_COUNT(types); i++) {
        place p;
        char again[96];
        ts_map first = {0}, second = {0};
        place_open_base(&p, NULL);
        p.params.format = TS_EXPORT_GGUF;
        p.params.convert = true;
        p.params.dtype = types[i];
        MUST(ts_export_run(&p.source, &p.params, err));
        take_as_base(&p, again);
        p.params.convert = false;
        MUST(ts_export_run(&p.source, &p.params, err));
        MUST(ts_map_open(ts_weights_path(p.weights), &first, err));
        MUST(ts_map_open(again, &second, err));
        cr_expect_eq(first.len, second.len);
        cr_expect(first.len == second.len && memcmp(first.bytes, second.bytes, first.len) == 0);
        ts_map_close(&first);
        ts_map_close(&second);
        place_close(&p);
    }
}

// A base in blocks is decoded, exactly.
Test(gguf, base_in_blocks)
{
    place p;
    char again[96];
    ts_gguf *blocks, *file;
    place_open_base(&p, NULL);
    p.params.format = TS_EXPORT_GGUF;
    p.params.convert = true;
    p.params.dtype = TS_Q8_0;
    MUST(ts_export_run(&p.source, &p.params, err));
    take_as_base(&p, again);
    p.params.dtype = TS_F32;
    MUST(ts_export_run(&p.source, &p.params, err));
    MUST(ts_gguf_open(ts_weights_path(p.weights), &blocks, err));
    MUST(ts_gguf_open(again, &file, err));
    for (uint32_t i = 0; i < ts_weight_count(&p.config); i++) {
        ts_weight weight;
        ts_weight_describe(&p.config, i, &weight);
        const ts_gguf_tensor *from = find(blocks, weight.name, weight.rows, weight.cols);
        const ts_gguf_tensor *to = find(file, weight.name, weight.rows, weight.cols);
        const uint64_t count = (uint64_t)(weight.rows > 0 ? weight.rows : 1) * weight.cols;
        cr_assert_eq(to->type, TS_GGUF_TENSOR_F32);
        for (uint64_t e = 0; e < count; e += 61) {
            cr_assert_eq(element(&p, to, weight.name, e / weight.cols, e % weight.cols),
                         element(&p, from, weight.name, e / weight.cols, e % weight.cols));
        }
    }
    ts_gguf_close(blocks);
    ts_gguf_close(file);
    place_close(&p);
}

// The adapter alone: its tensors, lora_b's rows where llama.cpp has the weight's, and an alpha that
// gives the same scale by llama.cpp's rule.
static void check_adapter(const place *p, uint32_t type, double most)
{
    ts_gguf *file;
    double alpha;
    char key[TS_ADAPTER_KEY_BYTES], name[TS_WEIGHT_NAME_BYTES], hf[TS_WEIGHT_NAME_BYTES + 16];
    MUST(ts_gguf_open(p->out, &file, err));
    expect_text(file, "general.type", "adapter");
    expect_text(file, "general.architecture", "llama");
    expect_text(file, "adapter.type", "lora");
    MUST(ts_gguf_get_double(file, "adapter.lora.alpha", &alpha, err));
    cr_expect_float_eq(alpha / p->source.adapter.r, ts_adapter_usual_scale(&p->source.adapter),
                       1e-6);
    cr_assert_eq(ts_gguf_tensor_count(file), ts_tensors_count(p->source.adapter_file));
    for (uint32_t i = 0; i < p->config.layers * TS_MODULE_COUNT; i++) {
        const ts_module module = (ts_module)(i % TS_MODULE_COUNT);
        ts_module_tensor(&p->config, i / TS_MODULE_COUNT, module, name);
        for (const char *side = "AB";
             *side != '\0' && p->source.adapter.targets & TS_MODULE_BIT(module); side++) {
            ts_lora_key(&p->config, i / TS_MODULE_COUNT, module, *side, key);
            snprintf(hf, sizeof hf, "%s.weight.lora_%c", name, *side == 'A' ? 'a' : 'b');
            const ts_tensor *from = ts_tensors_find(p->source.adapter_file, key);
            const uint64_t rows = from->shape[0], cols = from->shape[1];
            const ts_gguf_tensor *tensor = find(file, hf, rows, cols);
            const uint64_t r = *side == 'A' ? rows : cols;
            const double scale =
                ts_lora_scale(&p->config, &p->source.adapter, i / TS_MODULE_COUNT, module);
            const double factor = *side == 'A' ? 1 : scale / (alpha / (double)r);
            cr_assert_eq(tensor->type, type);
            for (uint64_t e = 0; e < rows * cols; e++) {
                const char *order = *side == 'A' ? "" : hf; // lora_a's rows are the rank
                cr_assert_float_eq(element(p, tensor, order, e / cols, e % cols),
                                   factor * ts_dtype_load(from->dtype, from->bytes, e), most);
            }
        }
    }
    ts_gguf_close(file);
}

Test(gguf, adapter)
{
    ts_adapter_config patterns = all_linear;
    patterns.rank_pattern = (ts_text){.bytes = "v_proj=2,layers.1.mlp.up_proj=5", .len = 31};
    patterns.alpha_pattern = (ts_text){.bytes = "o_proj=3", .len = 8};
    const ts_adapter_config *const adapters[] = {&all_linear, &q_and_v, &patterns};
    for (size_t i = 0; i < TS_COUNT(adapters); i++) {
        place p;
        place_open_base(&p, adapters[i]);
        p.params.format = TS_EXPORT_GGUF_ADAPTER;
        MUST(ts_export_run(&p.source, &p.params, err));
        check_adapter(&p, TS_GGUF_TENSOR_F32, adapters[i] == &patterns ? 1e-7 : 0);
        p.params.convert = p.params.overwrite = true;
        p.params.dtype = TS_F16;
        MUST(ts_export_run(&p.source, &p.params, err));
        check_adapter(&p, TS_GGUF_TENSOR_F16, 1e-4);
        place_close(&p);
    }
}

static void expect_refused(place *p, ts_status code, const char *message)
{
    ts_error error = {0};
    cr_expect_eq(ts_export_run(&p->source, &p->params, &error), code, "%s", error.message);
    cr_expect_not_null(strstr(error.message, message), "%s", error.message);
    cr_expect_not(ts_file_exists(p->out));
}

static bool stop(void *user)
{
    return --*(int *)user == 0;
}

Test(gguf, refusals)
{
    place p;
    place_open_base(&p, NULL);
    p.params.format = TS_EXPORT_GGUF_ADAPTER;
    expect_refused(&p, TS_ERR_ARGUMENT, "no --adapter");
    place_close(&p);
    ts_adapter_config dora = q_and_v;
    dora.use_dora = true;
    place_open_base(&p, &dora);
    p.params.format = TS_EXPORT_GGUF_ADAPTER;
    expect_refused(&p, TS_ERR_UNSUPPORTED, "the adapter is a DoRA (use_dora)");
    place_close(&p);
    place_open_base(&p, &q_and_v);
    p.params.convert = true;
    p.params.dtype = TS_Q8_0;
    expect_refused(&p, TS_ERR_ARGUMENT, "--format hf: --dtype may be f32, f16 or bf16");
    p.params.format = TS_EXPORT_GGUF_ADAPTER;
    expect_refused(&p, TS_ERR_ARGUMENT, "--dtype may be f32 or f16");
    p.params.format = TS_EXPORT_GGUF;
    int left = 5;
    ts_caller caller = {.stops = stop, .user = &left};
    ts_caller *outer = ts_caller_use(&caller);
    expect_refused(&p, TS_ERR_STOPPED, "stopped");
    ts_caller_use(outer);
    place_close(&p);
}
