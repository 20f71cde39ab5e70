// Models that bitsandbytes quantised to NF4, made here from the format's description.
#include "block_llama.h"
#include "nf4_levels.h"

// What config.json says of the quantisation. In the first layer, attention's scales are quantised
// too, and the MLP's are not. The second layer and lm_head are F32.
#define CLAIMS                                                                                     \
    ", \"quantization_config\": {\"quant_method\": \"bitsandbytes\", \"load_in_4bit\": true, "     \
    "\"load_in_8bit\": false, \"_load_in_4bit\": true, \"bnb_4bit_quant_type\": \"nf4\", "         \
    "\"bnb_4bit_quant_storage\": \"uint8\", \"bnb_4bit_use_double_quant\": true, "                 \
    "\"bnb_4bit_compute_dtype\": \"bfloat16\", \"llm_int8_threshold\": 6.0, "                      \
    "\"llm_int8_skip_modules\": [\"lm_head\", \"model.layers.1\"]}"

// How the files differ from what they should be.
struct mistake {
    const char *from, *to; // in each weight's description
    const char *without;   // a tensor whose name ends so is left out
    const char *config;    // in place of CLAIMS
    const char *embedding; // not NULL: the embedding is quantised too
    bool head;             // lm_head is quantised too
    float level, scale;    // not 0: in place of the first level or scale of q_proj
    const char *code;      // what a code of 4 bits is called; NULL: "nf4"
    ts_status status;
    const char *words; // in the message
};

struct maker {
    struct tiny_file file;
    const struct mistake *mistake;
    bool plain; // writes the numbers in F32 instead
};

static void add(struct maker *m, const char *name, const char *part, ts_dtype dtype, uint64_t count,
                const void *bytes)
{
    char full[TS_WEIGHT_NAME_BYTES];
    const char *without = m->mistake->without;
    snprintf(full, sizeof full, "%s%s", name, part);
    size_t len = strlen(full), end = without != NULL ? strlen(without) : 0;
    if (without == NULL || len < end || strcmp(full + len - end, without) != 0) {
        tiny_bytes(&m->file, name, part, dtype, count, bytes);
    }
}

static void add_state(struct maker *m, const char *name, const uint64_t shape[2], bool nested)
{
    const struct mistake *mistake = m->mistake;
    char text[512], part[64];
    snprintf(
        text, sizeof text,
        "{\"quant_type\": \"nf4\", \"blocksize\": 64, \"dtype\": \"bfloat16\", \"shape\": [%u, "
        "%u]%s}",
        (unsigned)shape[0], (unsigned)shape[1],
        nested ? ", \"nested_blocksize\": 256, \"nested_dtype\": \"float32\", "
                 "\"nested_offset\": 0.0625"
               : "");
    char *at = mistake->from != NULL ? strstr(text, mistake->from) : NULL;
    if (at != NULL) {
        char rest[512];
        snprintf(rest, sizeof rest, "%s", at + strlen(mistake->from));
        snprintf(at, sizeof text - (size_t)(at - text), "%s%s", mistake->to, rest);
    }
    snprintf(part, sizeof part, ".quant_state.bitsandbytes__%s",
             mistake->code != NULL ? mistake->code : "nf4");
    add(m, name, part, TS_U8, strlen(text), text);
}

enum { MOST = 64 * 64 };

// Puts a quantised matrix in place of the list's last tensor.
static void quantise_last(struct maker *m, bool nested)
{
    ts_tensor was = m->file.tensors[--m->file.count];
    char name[TS_WEIGHT_NAME_BYTES];
    const uint64_t count = was.shape[0] * was.shape[1], blocks = count / 64;
    float values[MOST], absmax[MOST / 64], map[256], group, own[16];
    uint8_t data[MOST / 2], codes[MOST / 64];
    cr_assert_leq(count, MOST);
    strcpy(name, was.name);
    free((void *)(uintptr_t)was.bytes);
    for (uint64_t i = 0; i < 256; i++) {
        map[i] = (float)i / 255 - 0.25f;
    }
    group = 0.31f;
    for (uint64_t b = 0; b < blocks; b++) {
        codes[b] = (uint8_t)(128 + b * 7 % 128);
        absmax[b] = nested ? map[codes[b]] * group + 0.0625f : 0.01f * (float)(1 + b * 5 % 31);
    }
    for (uint64_t i = 0; i < count / 2; i++) { // an even element is the upper half
        data[i] = (uint8_t)(tiny_random(&m->file.state) * 128 + 128);
        values[2 * i] = nf4_levels[data[i] >> 4] * absmax[i / 32];
        values[2 * i + 1] = nf4_levels[data[i] & 15] * absmax[i / 32];
    }
    if (m->plain) {
        add(m, name, "", TS_F32, count, values);
        m->file.tensors[m->file.count - 1].rank = 2;
        memcpy(m->file.tensors[m->file.count - 1].shape, was.shape, sizeof was.shape);
        return;
    }
    memcpy(own, nf4_levels, sizeof own);
    own[0] = m->mistake->level != 0 ? m->mistake->level : own[0];
    absmax[0] = m->mistake->scale != 0 ? m->mistake->scale : absmax[0];
    add(m, name, "", TS_U8, count / 2, data);
    add(m, name, ".quant_map", TS_F32, 16, own);
    add_state(m, name, was.shape, nested);
    if (nested) {
        add(m, name, ".absmax", TS_U8, blocks, codes);
        add(m, name, ".nested_absmax", TS_F32, 1, &group);
        add(m, name, ".nested_quant_map", TS_F32, 256, map);
    } else {
        add(m, name, ".absmax", TS_F32, blocks, absmax);
    }
}

static void write_model(char folder[32], const struct mistake *mistake, bool plain)
{
    enum { OUTSIDE = TINY_LAYERS, Q = HEADS * HEAD_DIM, KV = KV_HEADS * HEAD_DIM };
    static const struct {
        uint32_t rows, cols;
        const char *name;
    } linear[] = {{Q, HIDDEN, "self_attn.q_proj"},  {KV, HIDDEN, "self_attn.k_proj"},
                  {KV, HIDDEN, "self_attn.v_proj"}, {HIDDEN, Q, "self_attn.o_proj"},
                  {FFN, HIDDEN, "mlp.gate_proj"},   {FFN, HIDDEN, "mlp.up_proj"},
                  {HIDDEN, FFN, "mlp.down_proj"}};
    struct maker m = {
        .file = {.state = 20261128u, .dtype = TS_F32}, .mistake = mistake, .plain = plain};
    strcpy(folder, "/tmp/tinysft-test-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    tiny_tensor(&m.file, TINY_VOCAB, HIDDEN, "model.embed_tokens", OUTSIDE);
    if (mistake->embedding != NULL) {
        quantise_last(&m, false);
    }
    for (uint32_t layer = 0; layer < TINY_LAYERS; layer++) {
        tiny_tensor(&m.file, 0, HIDDEN, "input_layernorm", layer);
        tiny_tensor(&m.file, 0, HIDDEN, "post_attention_layernorm", layer);
        for (size_t i = 0; i < TS_COUNT(linear); i++) {
            tiny_tensor(&m.file, linear[i].rows, linear[i].cols, linear[i].name, layer);
            if (layer == 0) {
                quantise_last(&m, i < 4);
            }
        }
    }
    tiny_tensor(&m.file, 0, HIDDEN, "model.norm", OUTSIDE);
    tiny_tensor(&m.file, TINY_VOCAB, HIDDEN, "lm_head", OUTSIDE);
    if (mistake->head) {
        quantise_last(&m, true);
    }
    write_tensors(folder, &m.file);
    write_shape(folder, plain ? "" : mistake->config != NULL ? mistake->config : CLAIMS);
}

static void check_numbers(const struct mistake *m)
{
    static float wanted[FLOATS], got[FLOATS];
    const ts_quantise none = {0};
    ts_gpu *gpu = test_gpu_open();
    char quantised[32], plain[32];
    uint64_t narrow, wide;
    write_model(quantised, m, false);
    write_model(plain, m, true);
    const double loss = gradients(gpu, plain, none, wanted, &wide);
    cr_expect_eq(gradients(gpu, quantised, none, got, &narrow), loss);
    cr_expect_arr_eq(got, wanted, sizeof wanted);
    cr_expect_lt(narrow, wide);
    MUST(ts_folder_remove(quantised, err));
    MUST(ts_folder_remove(plain, err));
    test_gpu_close(gpu);
}

Test(bitsandbytes, nf4_computes_as_the_numbers_that_it_stands_for)
{
    check_numbers(&(struct mistake){0});
}

Test(bitsandbytes, lm_head_may_be_quantised_too)
{
    check_numbers(&(struct mistake){
        .head = true,
        .config = ", \"quantization_config\": {\"quant_method\": \"bitsandbytes\", "
                  "\"load_in_4bit\": true, \"bnb_4bit_quant_type\": \"nf4\", "
                  "\"llm_int8_skip_modules\": [\"model.layers.1\"]}"});
}

static const struct mistake mistakes[] = {
    {.from = "nf4", .to = "fp4", .status = TS_ERR_UNSUPPORTED, .words = "\"fp4\""},
    {.from = "64", .to = "128", .status = TS_ERR_UNSUPPORTED, .words = "'blocksize' is 128"},
    {.from = "256", .to = "64", .status = TS_ERR_UNSUPPORTED, .words = "'nested_blocksize' is 64"},
    {.from = "float32", .to = "half", .status = TS_ERR_UNSUPPORTED, .words = "'nested_dtype'"},
    {.from = "dtype", .to = "hue", .status = TS_ERR_UNSUPPORTED, .words = "'hue'"},
    {.from = ", \"nested_offset\": 0.0625",
     .to = "",
     .status = TS_ERR_FORMAT,
     .words = "nested_offset go"},
    {.from = "\"blocksize\": 64, ",
     .to = "",
     .status = TS_ERR_FORMAT,
     .words = "blocksize is missing"},
    {.from = "[",
     .to = "[9007199254740991, 9007199254740991, ",
     .status = TS_ERR_FORMAT,
     .words = ": the description of 'model.layers.0.mlp.down_proj.weight': shape: "
              "expected two whole numbers"},
    {.from = "[64",
     .to = "[4294967295",
     .status = TS_ERR_FORMAT,
     .words = "of U8 for 'model.layers.0.mlp.down_proj.weight' of [4294967295, 64]"},
    {.from = ", 64]",
     .to = ", 32]",
     .status = TS_ERR_UNSUPPORTED,
     .words = ": 'model.layers.0.mlp.down_proj.weight' has rows of 32, which are "
              "not whole blocks of 64"},
    {.from = "{", .to = "[", .status = TS_ERR_FORMAT, .words = "bitsandbytes__nf4"},
    {.from = "{\"quant_type\": \"nf4\", \"blocksize\": 64, \"dtype\": \"bfloat16\", \"shape\": "
             "[64, 64]}",
     .to = "7",
     .status = TS_ERR_FORMAT,
     .words = ": model.layers.0.mlp.down_proj.weight.quant_state."
              "bitsandbytes__nf4: expected an object, found a number"},
    {.without = "down_proj.weight.absmax", .status = TS_ERR_FORMAT, .words = "absmax' is missing"},
    {.without = "q_proj.weight.nested_absmax",
     .status = TS_ERR_FORMAT,
     .words = "nested_absmax' is missing"},
    {.without = "q_proj.weight.nested_quant_map",
     .status = TS_ERR_FORMAT,
     .words = "nested_quant_map' is missing"},
    {.without = "q_proj.weight", .status = TS_ERR_FORMAT, .words = "q_proj.weight' is missing"},
    {.without = "q_proj.weight.quant_state.bitsandbytes__nf4",
     .status = TS_ERR_FORMAT,
     .words = "expected shape [64, 64], found [2048]"},
    {.level = -0.9f, .status = TS_ERR_UNSUPPORTED, .words = "level 0 is -0.899999976, NF4's is -1"},
    {.scale = INFINITY,
     .status = TS_ERR_FORMAT,
     .words = "1 of its 64 blocks have a scale that is NaN or infinite"},
    {.code = "fp4", .status = TS_ERR_UNSUPPORTED, .words = "is in bitsandbytes' fp4"},
    {.embedding = "",
     .config = "",
     .status = TS_ERR_UNSUPPORTED,
     .words = "embed_tokens.weight is in bitsandbytes' NF4"},
    {.config = ", \"quantization_config\": {\"quant_method\": \"gptq\", \"bits\": 4}",
     .status = TS_ERR_UNSUPPORTED,
     .words = "\"gptq\""},
    {.config =
         ", \"quantization_config\": {\"quant_method\": \"bitsandbytes\", \"load_in_8bit\": true}",
     .status = TS_ERR_UNSUPPORTED,
     .words = "'load_in_8bit' is true"},
    {.config =
         ", \"quantization_config\": {\"quant_method\": \"bitsandbytes\", \"load_in_4bit\": true}",
     .status = TS_ERR_UNSUPPORTED,
     .words = "it is fp4"},
    {.config = ", \"quantization_config\": {\"quant_method\": \"bitsandbytes\", \"load_in_4bit\": "
               "true, \"bnb_4bit_quant_type\": \"fp4\"}",
     .status = TS_ERR_UNSUPPORTED,
     .words = "\"fp4\""},
    {.config = ", \"quantization_config\": {\"quant_method\": \"bitsandbytes\"}",
     .status = TS_ERR_UNSUPPORTED,
     .words = "only bitsandbytes' load_in_4bit"},
    {.config = ", \"quantization_config\": 7",
     .status = TS_ERR_FORMAT,
     .words = "expected an object"},
    {.config = ", \"quantization_config\": {\"quant_method\": \"bitsandbytes\", \"load_in_4bit\": "
               "true, \"bnb_4bit_quant_type\": \"nf4\", \"llm_int8_skip_modules\": [\"mlp\"]}",
     .status = TS_ERR_FORMAT,
     .words = "says that it is not"},
    {.config = ", \"quantization_config\": {\"quant_method\": \"bitsandbytes\", \"load_in_4bit\": "
               "true, \"bnb_4bit_quant_type\": \"nf4\", \"llm_int8_skip_modules\": [7]}",
     .status = TS_ERR_FORMAT,
     .words = "expected strings"},
    {.config = ", \"quantization_config\": {\"quant_method\": \"bitsandbytes\", \"load_in_4bit\": "
               "true, \"bnb_4bit_quant_type\": \"nf4\", \"llm_int8_skip_modules\": \"x\"}",
     .status = TS_ERR_FORMAT,
     .words = "expected an array"},
};

Test(bitsandbytes, what_files_claim_is_checked)
{
    ts_gpu *gpu = test_gpu_open();
    const ts_model_params params = {.positions = TOKENS};
    for (size_t i = 0; i < TS_COUNT(mistakes); i++) {
        ts_model model;
        ts_error err = {0};
        char folder[32];
        write_model(folder, &mistakes[i], false);
        const ts_status status = test_model_try(gpu, folder, params, &model, &err);
        cr_expect_eq(status, mistakes[i].status, "%zu: %s", i, err.message);
        cr_expect_not_null(strstr(err.message, mistakes[i].words), "'%s' is not in: %s",
                           mistakes[i].words, err.message);
        const char *named = strstr(err.message, folder);
        cr_expect(named == NULL || strstr(named + 1, folder) == NULL, "twice: %s", err.message);
        MUST(ts_folder_remove(folder, err));
    }
    test_gpu_close(gpu);
}

Test(bitsandbytes, weights_are_not_quantised_twice)
{
    ts_gpu *gpu = test_gpu_open();
    const ts_model_params params = {.positions = TOKENS, .quantise = {TS_Q8_0, TS_Q8_0}};
    const struct mistake no_mistake = {0};
    ts_model model;
    ts_error err = {0};
    char folder[32];
    write_model(folder, &no_mistake, false);
    cr_expect_eq(test_model_try(gpu, folder, params, &model, &err), TS_ERR_ARGUMENT);
    cr_expect_not_null(strstr(err.message, "q_proj.weight is NF4): leave it out"), "%s",
                       err.message);
    MUST(ts_folder_remove(folder, err));
    test_gpu_close(gpu);
}
