// config.json: every key is used, refused by its name, or named in a warning.
#include "model/config.h"

#include "base/file.h"
#include "base/memory.h"
#include "log_capture.h"
#include "tiny_llama.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#define HEADS "\"num_attention_heads\":4,\"num_key_value_heads\":2,"
#define REST                                                                                       \
    "\"intermediate_size\":10,\"num_hidden_layers\":2,\"vocab_size\":19,\"hidden_act\":\"silu\","  \
    "\"architectures\":[\"LlamaForCausalLM\"],\"model_type\":\"llama\""

static ts_status read_text(const char *text, ts_model_config *out, ts_error *err)
{
    char folder[] = "/tmp/tinysft-test-XXXXXX", path[64];
    cr_assert_not_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/config.json", folder);
    MUST(ts_file_write_plain(path, text, strlen(text), err));
    *err = (ts_error){0};
    ts_weights *weights = NULL;
    MUST(ts_weights_open(folder, &weights, err));
    ts_status status = ts_model_config_read(weights, out, err);
    ts_weights_close(weights);
    MUST(ts_folder_remove(folder, err));
    return status;
}

static ts_status read_with(const char *more, ts_model_config *out, ts_error *err)
{
    char text[2048];
    snprintf(text, sizeof text, "{\"hidden_size\":16," HEADS REST "%s%s}", more[0] ? "," : "",
             more);
    return read_text(text, out, err);
}

Test(config, rope_theta_wherever_it_stands)
{
    static const struct {
        const char *text;
        double theta;
    } cases[] = {
        {"", 10000},
        {"\"rope_theta\":500000.0", 500000},
        {"\"rope_theta\":500000,\"rope_scaling\":null", 500000},
        {"\"rope_theta\":null", 10000},
        {"\"rope_parameters\":{\"rope_theta\":500000,\"rope_type\":\"default\"}", 500000},
        {"\"rope_theta\":500000,\"rope_parameters\":{\"rope_type\":\"default\"}", 500000},
        {"\"rope_theta\":500000,\"rope_parameters\":{}", 500000},
        {"\"rope_theta\":500000,\"rope_parameters\":null", 500000},
        {"\"rope_theta\":500000,\"rope_parameters\":{\"rope_theta\":500000.0}", 500000},
        {"\"rope_scaling\":{\"rope_type\":\"default\",\"rope_theta\":500000}", 500000},
        {"\"rope_scaling\":{\"type\":\"default\",\"rope_theta\":500000}", 500000},
        {"\"rope_scaling\":{\"type\":\"default\",\"rope_type\":\"default\"},\"rope_theta\":7", 7},
        {"\"rope_scaling\":{\"rope_type\":\"default\",\"rope_theta\":7},"
         "\"rope_parameters\":{\"rope_type\":\"default\",\"rope_theta\":7}",
         7},
        {"\"rope_scaling\":{\"type\":\"linear\",\"factor\":1.0},\"rope_theta\":7", 7},
        {"\"rope_parameters\":{\"rope_theta\":7,\"partial_rotary_factor\":1.0}", 7},
    };
    for (size_t i = 0; i < TS_COUNT(cases); i++) {
        ts_model_config config;
        ts_error err = {0};
        logged_clear();
        cr_expect_eq(read_with(cases[i].text, &config, &err), TS_OK, "%s: %s", cases[i].text,
                     err.message);
        cr_expect_eq(config.rope.theta, cases[i].theta, "%s: %g", cases[i].text, config.rope.theta);
        cr_expect_eq(logged_count, 0, "%s: %s", cases[i].text, logged);
    }
}

#define LLAMA3_BLOCK(factor, low, high, original)                                                  \
    "{\"rope_type\":\"llama3\",\"factor\":" factor ",\"low_freq_factor\":" low                     \
    ",\"high_freq_factor\":" high ",\"original_max_position_embeddings\":" original "}"
#define LLAMA3(factor, low, high, original)                                                        \
    "\"rope_scaling\":" LLAMA3_BLOCK(factor, low, high, original)
#define KIND(kind) "\"rope_scaling\":{\"rope_type\":\"" kind "\",\"factor\":4.0}"

Test(config, refuses_by_name_what_would_compute_something_else)
{
    static const struct {
        const char *text;
        ts_status status;
        const char *words[2];
    } cases[] = {
        {KIND("linear"), TS_ERR_UNSUPPORTED, {"rope_scaling", "linear"}},
        {KIND("dynamic"), TS_ERR_UNSUPPORTED, {"rope_scaling", "dynamic"}},
        {KIND("yarn"), TS_ERR_UNSUPPORTED, {"rope_scaling", "yarn"}},
        {KIND("llama3"), TS_ERR_FORMAT, {"'low_freq_factor'"}},
        {LLAMA3("0.5", "1", "4", "8192"), TS_ERR_FORMAT, {"'factor': expected", "found 0.5"}},
        {LLAMA3("\"8\"", "1", "4", "8192"), TS_ERR_FORMAT, {"'factor'"}},
        {LLAMA3("8", "0", "4", "8192"), TS_ERR_FORMAT, {"'low_freq_factor' above 0"}},
        {LLAMA3("8", "4", "4", "8192"), TS_ERR_FORMAT, {"found 4 and 4"}},
        {LLAMA3("8", "1", "1e300", "8192"), TS_ERR_FORMAT, {"'high_freq_factor'"}},
        {LLAMA3("8", "1", "4", "0"), TS_ERR_FORMAT, {"'original_max_position_embeddings'"}},
        {LLAMA3("8", "1", "4", "1.5"), TS_ERR_FORMAT, {"'original_max_position_embeddings'"}},
        {LLAMA3("8", "1", "4", "8192") ",\"rope_parameters\":{\"rope_type\":\"default\"}",
         TS_ERR_FORMAT,
         {"'rope_scaling' and 'rope_parameters' ask for different kinds"}},
        {KIND("longrope"), TS_ERR_UNSUPPORTED, {"rope_scaling", "longrope"}},
        {"\"rope_scaling\":{\"type\":\"linear\",\"factor\":2}", TS_ERR_UNSUPPORTED, {"linear"}},
        {"\"rope_scaling\":{\"type\":\"linear\"}", TS_ERR_UNSUPPORTED, {"linear"}},
        {"\"rope_scaling\":{\"type\":\"dynamic\",\"factor\":1.0}", TS_ERR_UNSUPPORTED, {"dynamic"}},
        {"\"rope_parameters\":{\"rope_type\":\"llama3\",\"rope_theta\":5}",
         TS_ERR_FORMAT,
         {"'factor'"}},
        {"\"rope_parameters\":{\"type\":\"yarn\"}", TS_ERR_UNSUPPORTED, {"yarn"}},
        {"\"rope_scaling\":{\"factor\":2}", TS_ERR_FORMAT, {"no 'rope_type'"}},
        {"\"rope_scaling\":{\"type\":\"default\",\"rope_type\":\"yarn\"}",
         TS_ERR_FORMAT,
         {"rope_type is 'yarn'", "type is 'default'"}},
        {"\"rope_scaling\":\"linear\"", TS_ERR_FORMAT, {"expected an object, found a string"}},
        {"\"rope_scaling\":{\"type\":3}", TS_ERR_FORMAT, {"'type': expected a string"}},
        {"\"rope_theta\":5,\"rope_parameters\":{\"rope_theta\":6}",
         TS_ERR_FORMAT,
         {"6 in rope_parameters", "5 at the top"}},
        {"\"rope_theta\":5,\"rope_scaling\":{\"type\":\"default\",\"rope_theta\":6}",
         TS_ERR_FORMAT,
         {"6 in rope_scaling", "5 at the top"}},
        {"\"rope_scaling\":{\"type\":\"default\",\"rope_theta\":6},"
         "\"rope_parameters\":{\"rope_theta\":5}",
         TS_ERR_FORMAT,
         {"6 in rope_scaling", "5 in rope_parameters"}},
        {"\"rope_parameters\":{\"full_attention\":{\"rope_type\":\"default\",\"rope_theta\":5},"
         "\"sliding_attention\":{\"rope_type\":\"default\",\"rope_theta\":6}}",
         TS_ERR_UNSUPPORTED,
         {"rope_parameters", "one for all layers"}},
        {"\"rope_parameters\":{\"partial_rotary_factor\":0.5}",
         TS_ERR_UNSUPPORTED,
         {"partial_rotary_factor"}},
        {"\"partial_rotary_factor\":0.5", TS_ERR_UNSUPPORTED, {"partial_rotary_factor' is 0.5"}},
        {"\"rope_theta\":0", TS_ERR_FORMAT, {"'rope_theta' at the top: expected a number above 0"}},
        {"\"rope_theta\":1e300", TS_ERR_FORMAT, {"'rope_theta'"}},
        {"\"rope_theta\":\"1\"", TS_ERR_FORMAT, {"'rope_theta': expected a number"}},
        {"\"attention_bias\":true", TS_ERR_UNSUPPORTED, {"attention_bias' is true"}},
        {"\"mlp_bias\":true", TS_ERR_UNSUPPORTED, {"mlp_bias"}},
        {"\"attention_dropout\":0.1", TS_ERR_UNSUPPORTED, {"attention_dropout", "set it to 0"}},
        {"\"sliding_window\":64", TS_ERR_UNSUPPORTED, {"sliding_window' is 64"}},
        {"\"attn_logit_softcapping\":50.0", TS_ERR_UNSUPPORTED, {"attn_logit_softcapping"}},
        {"\"quantization_config\":{\"quant_method\":\"gptq\"}",
         TS_ERR_UNSUPPORTED,
         {"gptq", "unquantised weights"}},
        {"\"num_local_experts\":8", TS_ERR_UNSUPPORTED, {"num_local_experts"}},
        {"\"residual_multiplier\":0.22", TS_ERR_UNSUPPORTED, {"residual_multiplier"}},
        {"\"tie_word_embeddings\":\"yes\"", TS_ERR_FORMAT, {"tie_word_embeddings"}},
        {"\"rms_norm_eps\":-1", TS_ERR_FORMAT, {"rms_norm_eps"}},
        {"\"head_dim\":6", TS_ERR_UNSUPPORTED, {"head_dim 6"}},
        {"\"head_dim\":0", TS_ERR_FORMAT, {"head_dim"}},
    };
    for (size_t i = 0; i < TS_COUNT(cases); i++) {
        ts_model_config config;
        ts_error err = {0};
        cr_expect_eq(read_with(cases[i].text, &config, &err), cases[i].status, "%s: %s",
                     cases[i].text, err.message);
        cr_expect_not_null(strstr(err.message, "config.json: "), "%s", err.message);
        for (size_t w = 0; w < 2 && cases[i].words[w] != NULL; w++) {
            cr_expect_not_null(strstr(err.message, cases[i].words[w]), "%s: %s", cases[i].text,
                               err.message);
        }
    }
}

// Llama 3.1's rope, as transformers 4 and as 5 spell it, and in a file that both have written.
Test(config, rope_of_llama3)
{
#define BLOCK LLAMA3_BLOCK("32.0", "1.0", "4.0", "8192")
    static const char *const cases[] = {
        "\"rope_scaling\":" BLOCK,
        "\"rope_parameters\":" BLOCK,
        "\"rope_scaling\":" BLOCK ",\"rope_parameters\":" BLOCK,
        "\"rope_scaling\":" BLOCK ",\"rope_parameters\":{\"rope_theta\":10000}",
    };
    for (size_t i = 0; i < TS_COUNT(cases); i++) {
        ts_model_config config;
        ts_error err = {0};
        logged_clear();
        cr_expect_eq(read_with(cases[i], &config, &err), TS_OK, "%s: %s", cases[i], err.message);
        cr_expect_eq(config.rope.kind, TS_ROPE_LLAMA3, "%s", cases[i]);
        cr_expect_eq(config.rope.factor, 32);
        cr_expect_eq(config.rope.low_freq_factor, 1);
        cr_expect_eq(config.rope.high_freq_factor, 4);
        cr_expect_eq(config.rope.original_positions, 8192);
        cr_expect_eq(logged_count, 0, "%s: %s", cases[i], logged);
    }
#undef BLOCK
}

// Numbers of heads that do not divide are an error in the file, found before anything is computed
// from them.
Test(config, heads_that_do_not_divide_the_hidden_size)
{
    static const char *const cases[] = {
        "{\"hidden_size\":16,\"num_attention_heads\":32," REST "}",
        "{\"hidden_size\":16,\"num_attention_heads\":3," REST "}",
    };
    ts_model_config config;
    ts_error err = {0};
    for (size_t i = 0; i < TS_COUNT(cases); i++) {
        cr_expect_eq(read_text(cases[i], &config, &err), TS_ERR_FORMAT, "%s", err.message);
        cr_expect_not_null(strstr(err.message, "do not divide a hidden_size of 16"), "%s",
                           err.message);
    }
    cr_expect_eq(read_text("{\"hidden_size\":16,\"num_attention_heads\":4,"
                           "\"num_key_value_heads\":3," REST "}",
                           &config, &err),
                 TS_ERR_FORMAT);
    cr_expect_eq(read_text("{\"hidden_size\":12,\"num_attention_heads\":8,\"head_dim\":8,"
                           "\"num_key_value_heads\":2," REST "}",
                           &config, &err),
                 TS_OK, "%s", err.message);
    cr_expect_eq(read_text("[]", &config, &err), TS_ERR_FORMAT);
}

Test(config, counts_what_it_does_not_know)
{
    ts_model_config config;
    ts_error err = {0};
    logged_clear();
    cr_expect_eq(read_with("\"pretraining_tp\":2,\"use_cache\":false,\"torch_dtype\":\"float16\","
                           "\"sliding_window\":null,\"transformers_version\":\"4.31.0\","
                           "\"initializer_range\":0.02,\"attention_dropout\":0.0,"
                           "\"sliding_window\":4096",
                           &config, &err),
                 TS_ERR_FORMAT, "a key stands twice");
    cr_expect_eq(read_with("\"pretraining_tp\":2,\"use_cache\":false,\"torch_dtype\":\"float16\","
                           "\"attention_dropout\":0.0,\"sliding_window\":4096",
                           &config, &err),
                 TS_OK, "%s", err.message);
    cr_expect_eq(logged_count, 0, "%s", logged);
    cr_expect_eq(read_with("\"brand_new\":3,\"auto_map\":{\"AutoModel\":\"x.Y\"},\"other\":null,"
                           "\"rope_scaling\":{\"type\":\"default\",\"factor\":8,\"beta\":1}",
                           &config, &err),
                 TS_OK, "%s", err.message);
    cr_expect_eq(logged_count, 2, "%s", logged);
    cr_expect_not_null(strstr(logged, "3 keys without effect here: brand_new, auto_map, other\n"),
                       "%s", logged);
    cr_expect_not_null(strstr(logged, "2 keys without effect here: factor, beta\n"), "%s", logged);
}

#define SMOLLM3 "\"model_type\":\"smollm3\""
#define GEMMA3 "\"model_type\":\"gemma3_text\",\"sliding_window\":512"
#define QWEN2 "\"model_type\":\"qwen2\",\"num_key_value_heads\":8"

// The keys that a family's config may leave out, and configs that name no family, or two.
Test(config, families)
{
    static const char shape[] = "\"hidden_size\":64,\"intermediate_size\":10,\"vocab_size\":19,"
                                "\"num_hidden_layers\":2,\"num_attention_heads\":16";
    static const struct {
        const char *more;
        ts_family_id family;
        uint32_t kv_heads, window;
    } fine[] = {
        {"", TS_FAMILY_LLAMA, 16, 0},
        {"\"model_type\":null,\"architectures\":null", TS_FAMILY_LLAMA, 16, 0},
        {"\"model_type\":\"mistral\"", TS_FAMILY_MISTRAL, 8, 4096},
        {"\"architectures\":[\"MistralForCausalLM\"]", TS_FAMILY_MISTRAL, 8, 4096},
        {"\"model_type\":\"mistral\",\"num_key_value_heads\":null", TS_FAMILY_MISTRAL, 16, 4096},
        {"\"model_type\":\"mistral\",\"sliding_window\":null", TS_FAMILY_MISTRAL, 8, 0},
        {"\"model_type\":\"mistral\",\"sliding_window\":3", TS_FAMILY_MISTRAL, 8, 3},
        {"\"model_type\":\"mistral\",\"max_position_embeddings\":64", TS_FAMILY_MISTRAL, 8, 0},
        {"\"model_type\":\"llama\",\"sliding_window\":3,\"use_sliding_window\":false",
         TS_FAMILY_LLAMA, 16, 0},
        {"\"model_type\":\"qwen2\",\"num_key_value_heads\":8", TS_FAMILY_QWEN2, 8, 0},
        {"\"model_type\":\"qwen2\",\"num_key_value_heads\":null", TS_FAMILY_QWEN2, 16, 0},
        {QWEN2 ",\"sliding_window\":7", TS_FAMILY_QWEN2, 8, 0},
        {QWEN2 ",\"sliding_window\":7,\"use_sliding_window\":false", TS_FAMILY_QWEN2, 8, 0},
        {QWEN2 ",\"sliding_window\":7,\"use_sliding_window\":true", TS_FAMILY_QWEN2, 8,
         0}, // from layer 28 on
        {QWEN2 ",\"sliding_window\":7,\"use_sliding_window\":true,\"max_window_layers\":1",
         TS_FAMILY_QWEN2, 8, 7},
        {QWEN2 ",\"use_sliding_window\":true,\"max_window_layers\":0", TS_FAMILY_QWEN2, 8, 4096},
        {QWEN2 ",\"sliding_window\":null,\"use_sliding_window\":true,\"max_window_layers\":0",
         TS_FAMILY_QWEN2, 8, 0},
        {QWEN2 ",\"sliding_window\":7,\"use_sliding_window\":true,"
               "\"layer_types\":[\"sliding_attention\",\"full_attention\"]",
         TS_FAMILY_QWEN2, 8, 7},
        {QWEN2 ",\"layer_types\":[\"full_attention\",\"full_attention\"]", TS_FAMILY_QWEN2, 8, 0},
        {"\"model_type\":\"qwen3\",\"num_key_value_heads\":null", TS_FAMILY_QWEN3, 16, 0},
        {"\"model_type\":\"smollm3\",\"sliding_window\":null,\"use_sliding_window\":false",
         TS_FAMILY_SMOLLM3, 4, 0},
        {"\"model_type\":\"gemma3_text\"", TS_FAMILY_GEMMA3, 4, 4096},
        {"\"model_type\":\"olmo2\"", TS_FAMILY_OLMO2, 16, 0},
        {GEMMA3 ",\"hidden_activation\":\"gelu_pytorch_tanh\"", TS_FAMILY_GEMMA3, 4, 512},
        {GEMMA3 ",\"max_position_embeddings\":512", TS_FAMILY_GEMMA3, 4, 0},
        {GEMMA3 ",\"sliding_window_pattern\":1", TS_FAMILY_GEMMA3, 4, 0},
        {GEMMA3 ",\"layer_types\":[\"full_attention\",\"full_attention\"]", TS_FAMILY_GEMMA3, 4, 0},
        {GEMMA3 ",\"attn_logit_softcapping\":null,\"final_logit_softcapping\":null,"
                "\"use_bidirectional_attention\":false,\"cache_implementation\":\"hybrid\"",
         TS_FAMILY_GEMMA3, 4, 512},
    };
    static const struct {
        const char *more;
        ts_status status;
        const char *words;
    } wrong[] = {
        {"\"model_type\":\"gpt2\"", TS_ERR_UNSUPPORTED,
         "'model_type' is \"gpt2\": not implemented, only \"llama\" or \"mistral\" or "},
        {"\"architectures\":[\"GPT2LMHeadModel\"]", TS_ERR_UNSUPPORTED, "'architectures' is ["},
        {"\"architectures\":[\"LlamaForCausalLM\",\"MistralForCausalLM\"]", TS_ERR_UNSUPPORTED,
         "'architectures' is ["},
        {"\"model_type\":\"llama\",\"architectures\":[\"MistralForCausalLM\"]", TS_ERR_UNSUPPORTED,
         "model_type names another family"},
        {"\"model_type\":\"mistral\",\"sliding_window\":0", TS_ERR_FORMAT, "'sliding_window'"},
        {"\"model_type\":\"mistral\",\"sliding_window\":1.5", TS_ERR_FORMAT, "'sliding_window'"},
        {"\"model_type\":\"mistral\",\"attention_bias\":true", TS_ERR_UNSUPPORTED,
         "attention_bias"},
        {QWEN2 ",\"use_sliding_window\":1", TS_ERR_FORMAT, "expected true or false"},
        {QWEN2 ",\"layer_types\":[\"full_attention\"]", TS_ERR_FORMAT, "each of 2 layers"},
        {QWEN2 ",\"layer_types\":\"full_attention\"", TS_ERR_FORMAT, "each of 2 layers"},
        {QWEN2 ",\"layer_types\":[\"full_attention\",\"linear_attention\"]", TS_ERR_UNSUPPORTED,
         "'layer_types' is \"linear_attention\""},
        {QWEN2 ",\"layer_types\":[\"full_attention\",\"sliding_attention\"]", TS_ERR_FORMAT,
         "gives layer 1 a sliding window, and the window is switched off"},
        {QWEN2 ",\"use_sliding_window\":true,\"max_window_layers\":-1", TS_ERR_FORMAT,
         "'max_window_layers'"},
        {QWEN2 ",\"hidden_act\":\"gelu\"", TS_ERR_UNSUPPORTED, "hidden_act"},
        {SMOLLM3 ",\"use_sliding_window\":true", TS_ERR_UNSUPPORTED, "use_sliding_window' is true"},
        {SMOLLM3 ",\"no_rope_layers\":[1]", TS_ERR_FORMAT, "each of 2 layers"},
        {SMOLLM3 ",\"no_rope_layers\":[1,2]", TS_ERR_FORMAT, "0 or 1 for layer 1"},
        {SMOLLM3 ",\"no_rope_layer_interval\":0", TS_ERR_FORMAT, "no_rope_layer_interval"},
        {QWEN2 ",\"no_rope_layers\":[1,0]", TS_ERR_UNSUPPORTED, "no_rope_layers"},
        {GEMMA3 ",\"final_logit_softcapping\":30.0", TS_ERR_UNSUPPORTED, "final_logit_softcapping"},
        {GEMMA3 ",\"attn_logit_softcapping\":50.0", TS_ERR_UNSUPPORTED, "attn_logit_softcapping"},
        {GEMMA3 ",\"hidden_activation\":\"gelu\"", TS_ERR_UNSUPPORTED, "hidden_activation"},
        {GEMMA3 ",\"use_bidirectional_attention\":true", TS_ERR_UNSUPPORTED, "bidirectional"},
        {GEMMA3 ",\"query_pre_attn_scalar\":0", TS_ERR_FORMAT, "query_pre_attn_scalar"},
        {GEMMA3 ",\"query_pre_attn_scalar\":\"x\"", TS_ERR_FORMAT, "query_pre_attn_scalar"},
        {GEMMA3 ",\"sliding_window_pattern\":0", TS_ERR_FORMAT, "sliding_window_pattern"},
        {GEMMA3 ",\"rope_local_base_freq\":-1", TS_ERR_FORMAT,
         "'rope_local_base_freq' at the top: expected a number above 0"},
        {GEMMA3 ",\"rope_parameters\":{\"rope_theta\":5}", TS_ERR_UNSUPPORTED, "rope_theta"},
        {GEMMA3 ",\"rope_theta\":5,\"rope_parameters\":{\"full_attention\":{\"rope_theta\":6}}",
         TS_ERR_FORMAT, "6 in rope_parameters and 5 at the top"},
        {GEMMA3 ",\"rope_scaling\":{\"rope_type\":\"linear\",\"factor\":8.0}", TS_ERR_UNSUPPORTED,
         "linear"},
        {QWEN2 ",\"query_pre_attn_scalar\":256", TS_ERR_UNSUPPORTED, "query_pre_attn_scalar"},
        {"\"model_type\":\"gemma3_text\",\"sliding_window\":null", TS_ERR_FORMAT,
         "'sliding_window' is null, and there are layers that have one"},
        {"\"model_type\":\"gemma3\"", TS_ERR_UNSUPPORTED, "'model_type' is \"gemma3\""},
    };
    ts_model_config config;
    ts_error err = {0};
    char text[512];
    for (size_t i = 0; i < TS_COUNT(fine); i++) {
        snprintf(text, sizeof text, "{%s%s%s}", shape, fine[i].more[0] ? "," : "", fine[i].more);
        cr_expect_eq(read_text(text, &config, &err), TS_OK, "%s: %s", text, err.message);
        cr_expect_eq(config.family, fine[i].family, "%s", text);
        cr_expect_eq(config.kv_heads, fine[i].kv_heads, "%s", text);
        cr_expect_eq(config.window, fine[i].window, "%s", text);
    }
    for (size_t i = 0; i < TS_COUNT(wrong); i++) {
        snprintf(text, sizeof text, "{%s,%s}", shape, wrong[i].more);
        cr_expect_eq(read_text(text, &config, &err), wrong[i].status, "%s: %s", text, err.message);
        cr_expect_not_null(strstr(err.message, wrong[i].words), "%s", err.message);
    }
    snprintf(text, sizeof text, "{%s,\"model_type\":\"qwen3\"}", shape);
    cr_expect_eq(read_text(text, &config, &err), TS_ERR_FORMAT); // 32 key-value heads for 16
    snprintf(text, sizeof text, "{%s,\"model_type\":\"qwen3\",\"num_key_value_heads\":2}", shape);
    cr_expect_eq(read_text(text, &config, &err), TS_OK, "%s", err.message);
    cr_expect_eq(config.head_dim, 128);
    // A window in one of the two layers.
    snprintf(text, sizeof text,
             "{%s," QWEN2 ",\"use_sliding_window\":true,\"max_window_layers\":1}", shape);
    cr_expect_eq(read_text(text, &config, &err), TS_OK, "%s", err.message);
    cr_expect_eq(ts_config_window(&config, 0), 0);
    cr_expect_eq(ts_config_window(&config, 1), 4096);
    // Not a key of this family: transformers uses the window whatever the key says.
    logged_clear();
    snprintf(text, sizeof text, "{%s,\"model_type\":\"mistral\",\"use_sliding_window\":false}",
             shape);
    cr_expect_eq(read_text(text, &config, &err), TS_OK, "%s", err.message);
    cr_expect_eq(config.window, 4096);
    cr_expect_not_null(strstr(logged, "use_sliding_window"), "%s", logged);
}

// What differs from layer to layer: windows and rotary bases in Gemma 3, and in SmolLM3 whether a
// layer rotates at all.
Test(config, layers)
{
    static const char shape[] = "\"hidden_size\":64,\"intermediate_size\":10,\"vocab_size\":19,"
                                "\"num_hidden_layers\":7,\"num_attention_heads\":4,"
                                "\"max_position_embeddings\":1000";
    static const struct {
        const char *more, *windowed, *unrotated; // 1: the layer is
        double theta, local_theta, query_scalar;
    } cases[] = {
        {SMOLLM3, "0000000", "0001000", 2e6, 0, 16},
        {SMOLLM3 ",\"rope_theta\":5000000.0,\"no_rope_layer_interval\":3", "0000000", "0010010",
         5e6, 0, 16},
        {SMOLLM3 ",\"no_rope_layers\":[1,1,0,1,1,0,1,0,0],\"no_rope_layer_interval\":2", "0000000",
         "0010010", 2e6, 0, 16},
        {GEMMA3, "1111101", "0000000", 1e6, 1e4, 256},
        {GEMMA3 ",\"sliding_window_pattern\":3,\"_sliding_window_pattern\":2,\"rope_theta\":7,"
                "\"rope_local_base_freq\":8,\"query_pre_attn_scalar\":168",
         "1101101", "0000000", 7, 8, 168},
        {GEMMA3 ",\"_sliding_window_pattern\":2", "1010101", "0000000", 1e6, 1e4, 256},
        {GEMMA3 ",\"sliding_window_pattern\":6,\"layer_types\":[\"full_attention\","
                "\"sliding_attention\",\"full_attention\",\"full_attention\",\"full_attention\","
                "\"full_attention\",\"full_attention\"]",
         "0100000", "0000000", 1e6, 1e4, 256},
        {GEMMA3 ",\"rope_parameters\":{\"full_attention\":{\"rope_type\":\"default\","
                "\"rope_theta\":7.0},\"rope_theta\":null,\"rope_type\":\"default\","
                "\"sliding_attention\":{\"rope_type\":\"default\",\"rope_theta\":8.0}}",
         "1111101", "0000000", 7, 8, 256},
        {GEMMA3 ",\"rope_theta\":7,\"rope_parameters\":{\"full_attention\":"
                "{\"rope_type\":\"default\"}}",
         "1111101", "0000000", 7, 1e4, 256},
    };
    for (size_t i = 0; i < TS_COUNT(cases); i++) {
        ts_model_config config;
        ts_error err = {0};
        char text[1024];
        logged_clear();
        snprintf(text, sizeof text, "{%s,%s}", shape, cases[i].more);
        cr_assert_eq(read_text(text, &config, &err), TS_OK, "%s: %s", text, err.message);
        cr_expect_eq(logged_count, 0, "%s: %s", text, logged);
        for (uint32_t layer = 0; layer < config.layers; layer++) {
            bool windowed = cases[i].windowed[layer] == '1';
            cr_expect_eq(ts_config_window(&config, layer), windowed ? 512 : 0, "%s: %u", text,
                         layer);
            cr_expect_eq(ts_config_is_local(&config, layer), windowed, "%s: %u", text, layer);
            cr_expect_eq(ts_layer_in(&config.unrotated, layer), cases[i].unrotated[layer] == '1',
                         "%s: %u", text, layer);
        }
        cr_expect_eq(config.rope.theta, cases[i].theta, "%s: %g", text, config.rope.theta);
        cr_expect_eq(config.local_rope.theta, cases[i].local_theta, "%s", text);
        cr_expect_eq(config.query_scalar, cases[i].query_scalar, "%s", text);
        cr_expect(config.tied, "%s", text);
    }
}
