#include "data/adapter.h"

#include "base/json.h"
#include "base/memory.h"
#include "data/module_pattern.h"
#include "data/safetensors.h"
#include "data_test.h"
#include "log_capture.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static ts_status read_config(const char *text, ts_adapter_config *out, ts_error *err)
{
    char *folder = make_folder();
    write_text(folder, "adapter_config.json", text);
    ts_status status = ts_adapter_config_read(folder, out, err);
    remove_folder(folder);
    return status;
}

Test(adapter, configuration_survives_a_round_trip)
{
    static const struct {
        uint32_t r, targets;
        double alpha, dropout;
        bool rslora;
        const char *base;
        ts_lora_init init;
    } cases[] = {
        {8, TS_MODULE_BIT(TS_MODULE_Q) | TS_MODULE_BIT(TS_MODULE_V), 16, 0, false, "org/name"},
        {1, TS_MODULES_ALL, 0.3, 0.05, true, "a \"quoted\" \\ path"},
        {4096, TS_MODULE_BIT(TS_MODULE_DOWN), 1e-5, 0.1, false, "", TS_LORA_INIT_GAUSSIAN},
    };
    for (size_t i = 0; i < TS_COUNT(cases); i++) {
        ts_error err = {0};
        ts_text text = {0};
        ts_adapter_config config = {.r = cases[i].r,
                                    .targets = cases[i].targets,
                                    .alpha = cases[i].alpha,
                                    .dropout = cases[i].dropout,
                                    .use_rslora = cases[i].rslora,
                                    .init = cases[i].init};
        ts_adapter_config read = {0};
        cr_assert_eq(ts_text_append(&config.base_model, cases[i].base, strlen(cases[i].base), &err),
                     TS_OK);
        cr_assert_eq(ts_adapter_config_write(&config, &text, &err), TS_OK);
        cr_assert_eq(read_config(text.bytes, &read, &err), TS_OK, "%s", err.message);
        cr_expect_eq(read.r, config.r);
        cr_expect_eq(read.targets, config.targets);
        cr_expect_eq(read.alpha, config.alpha);
        cr_expect_eq(read.dropout, config.dropout);
        cr_expect_eq(read.use_rslora, config.use_rslora);
        cr_expect_eq(read.init, config.init);
        cr_expect_not_null(strstr(text.bytes, cases[i].init == TS_LORA_INIT_GAUSSIAN
                                                  ? "\n  \"init_lora_weights\": \"gaussian\",\n"
                                                  : "\n  \"init_lora_weights\": true,\n"));
        cr_expect_str_eq(read.base_model.len > 0 ? read.base_model.bytes : "", cases[i].base);
        ts_adapter_config_free(&config);
        ts_adapter_config_free(&read);
        ts_text_free(&text);
    }
}

// Every key that LoraConfig has in all versions of PEFT, sorted, each with a value of its kind.
Test(adapter, written_configuration_has_pefts_keys)
{
    static const char *const keys[] = {
        "alpha_pattern",
        "auto_mapping",
        "base_model_name_or_path",
        "bias",
        "corda_config",
        "eva_config",
        "exclude_modules",
        "fan_in_fan_out",
        "inference_mode",
        "init_lora_weights",
        "layer_replication",
        "layers_pattern",
        "layers_to_transform",
        "loftq_config",
        "lora_alpha",
        "lora_bias",
        "lora_dropout",
        "megatron_config",
        "megatron_core",
        "modules_to_save",
        "peft_type",
        "qalora_group_size",
        "r",
        "rank_pattern",
        "revision",
        "target_modules",
        "target_parameters",
        "task_type",
        "trainable_token_indices",
        "use_dora",
        "use_qalora",
        "use_rslora",
    };
    ts_error err = {0};
    ts_text text = {0};
    cJSON *json = NULL;
    const ts_adapter_config config = {.r = 8, .alpha = 16, .targets = 1};
    cr_assert_eq(ts_adapter_config_write(&config, &text, &err), TS_OK);
    cr_assert_eq(ts_json_parse(text.bytes, text.len, "c", &json, &err), TS_OK, "%s", err.message);
    size_t i = 0;
    for (const cJSON *entry = json->child; entry != NULL; entry = entry->next, i++) {
        cr_assert_lt(i, TS_COUNT(keys));
        cr_expect_str_eq(entry->string, keys[i]);
    }
    cr_expect_eq(i, TS_COUNT(keys));
    cr_expect_not_null(strstr(text.bytes, "\n  \"lora_alpha\": 16,\n"));
    cr_expect_not_null(strstr(text.bytes, "\n  \"lora_dropout\": 0.0,\n"));
    cr_expect_not_null(strstr(text.bytes, "\n  \"target_modules\": [\n    \"q_proj\"\n  ],\n"));
    cr_expect_not_null(strstr(text.bytes, "\n  \"use_rslora\": false\n}"));
    cJSON_Delete(json);
    ts_text_free(&text);
}

#define WITH(more)                                                                                 \
    "{\"peft_type\":\"LORA\",\"r\":4,\"lora_alpha\":8,\"target_modules\":[\"q_proj\"]," more "}"

Test(adapter, refuses_by_key_what_is_not_implemented)
{
    static const struct {
        const char *text;
        ts_status status;
        const char *message;
    } cases[] = {
        {"[]", TS_ERR_FORMAT, "expected an object, found an array"},
        {"{}", TS_ERR_FORMAT, "key 'peft_type' is missing"},
        {"{\"peft_type\":\"IA3\"}", TS_ERR_UNSUPPORTED, "key 'peft_type': 'IA3'"},
        {"{\"peft_type\":\"LORA\"}", TS_ERR_FORMAT, "key 'r' is missing"},
        {"{\"peft_type\":\"LORA\",\"r\":0}", TS_ERR_FORMAT, "key 'r': expected a whole number"},
        {"{\"peft_type\":\"LORA\",\"r\":4}", TS_ERR_FORMAT, "key 'lora_alpha' is missing"},
        {"{\"peft_type\":\"LORA\",\"r\":4,\"lora_alpha\":8}", TS_ERR_FORMAT,
         "key 'target_modules': expected an array of names, found nothing"},
        {"{\"peft_type\":\"LORA\",\"r\":4,\"lora_alpha\":8,\"target_modules\":[]}", TS_ERR_FORMAT,
         "key 'target_modules' is empty"},
        {"{\"peft_type\":\"LORA\",\"r\":4,\"lora_alpha\":8,\"target_modules\":[\"lm_head\"]}",
         TS_ERR_UNSUPPORTED, "key 'target_modules': 'lm_head' is none of q_proj"},
        {WITH("\"bias\":\"all\""), TS_ERR_UNSUPPORTED, "key 'bias'"},
        {WITH("\"use_dora\":1"), TS_ERR_FORMAT, "key 'use_dora': expected true or false"},
        {WITH("\"use_dora\":true"), TS_OK, ""},
        {WITH("\"use_dora\":null"), TS_OK, ""},
        {WITH("\"modules_to_save\":[\"lm_head\"]"), TS_ERR_UNSUPPORTED,
         "key 'modules_to_save' is [\"lm_head\"]"},
        {WITH("\"rank_pattern\":{\"q_proj|v_proj\":2}"), TS_ERR_UNSUPPORTED,
         "key 'rank_pattern': the pattern 'q_proj|v_proj' is a regular expression"},
        {WITH("\"alpha_pattern\":{\".*q_proj\":2}"), TS_ERR_UNSUPPORTED, "the pattern '.*q_proj'"},
        {WITH("\"rank_pattern\":{\"\":2}"), TS_ERR_UNSUPPORTED, "the pattern ''"},
        {WITH("\"rank_pattern\":[2]"), TS_ERR_FORMAT, "expected an object, found an array"},
        {WITH("\"rank_pattern\":{\"q_proj\":2.5}"), TS_ERR_FORMAT,
         "key 'rank_pattern': 'q_proj': expected a rank of 1 to 4096"},
        {WITH("\"rank_pattern\":{\"q_proj\":0}"), TS_ERR_FORMAT, "expected a rank"},
        {WITH("\"alpha_pattern\":{\"q_proj\":-1}"), TS_ERR_FORMAT,
         "'q_proj': expected a number of 0 to 1e6"},
        {WITH("\"rank_pattern\":{\"^model\\\\.layers.0.mlp.up_proj\":2},\"alpha_pattern\":null"),
         TS_OK, ""},
        {WITH("\"layers_to_transform\":[0]"), TS_ERR_UNSUPPORTED, "key 'layers_to_transform'"},
        {WITH("\"layer_replication\":[[0,1]]"), TS_ERR_UNSUPPORTED, "key 'layer_replication'"},
        {WITH("\"fan_in_fan_out\":true"), TS_ERR_UNSUPPORTED, "key 'fan_in_fan_out'"},
        {WITH("\"lora_bias\":true"), TS_ERR_UNSUPPORTED, "key 'lora_bias'"},
        {WITH("\"use_qalora\":true"), TS_ERR_UNSUPPORTED, "key 'use_qalora'"},
        {WITH("\"task_type\":\"SEQ_CLS\""), TS_ERR_UNSUPPORTED, "key 'task_type' is \"SEQ_CLS\""},
        {WITH("\"lora_dropout\":1"), TS_ERR_FORMAT, "key 'lora_dropout'"},
        {WITH("\"lora_dropout\":-0.1"), TS_ERR_FORMAT, "key 'lora_dropout'"},
        {WITH("\"base_model_name_or_path\":\"a\\u0000b\""), TS_ERR_FORMAT,
         "key 'base_model_name_or_path': this text may not hold a NUL"},
        {WITH("\"use_rslora\":1"), TS_ERR_FORMAT, "key 'use_rslora': expected true or false"},
        {WITH("\"r\":8"), TS_ERR_FORMAT, "key 'r' stands twice"},
        {WITH("\"init_lora_weights\":\"pissa_niter_4\""), TS_ERR_UNSUPPORTED,
         "key 'init_lora_weights' is \"pissa_niter_4\""},
        {WITH("\"init_lora_weights\":\"olora\""), TS_ERR_UNSUPPORTED, "\"olora\""},
        {WITH("\"init_lora_weights\":\"loftq\""), TS_ERR_UNSUPPORTED, "\"loftq\""},
        {WITH("\"init_lora_weights\":\"eva\""), TS_ERR_UNSUPPORTED, "\"eva\""},
        {WITH("\"init_lora_weights\":\"corda\""), TS_ERR_UNSUPPORTED, "\"corda\""},
        {WITH("\"init_lora_weights\":\"orthogonal\""), TS_ERR_UNSUPPORTED, "\"orthogonal\""},
        {WITH("\"init_lora_weights\":\"lora_ga\""), TS_ERR_UNSUPPORTED, "\"lora_ga\""},
        {WITH("\"init_lora_weights\":false"), TS_OK, ""},
        {WITH("\"init_lora_weights\":\"gaussian\""), TS_OK, ""},
        {WITH("\"eva_config\":{\"rho\":2}"), TS_ERR_UNSUPPORTED, "key 'eva_config'"},
        {WITH("\"loftq_config\":{\"loftq_bits\":4}"), TS_ERR_UNSUPPORTED, "key 'loftq_config'"},
        {WITH("\"some_future_key\":{\"x\":[1]}"), TS_ERR_UNSUPPORTED, "key 'some_future_key' is"},
        {WITH("\"use_new_thing\":true"), TS_ERR_UNSUPPORTED,
         "key 'use_new_thing' is true: not implemented; this key is not known here"},
        {WITH("\"new_thing\":false,\"new_config\":{},\"bias\":\"none\",\"rank_pattern\":{}"), TS_OK,
         ""},
    };
    for (size_t i = 0; i < TS_COUNT(cases); i++) {
        ts_adapter_config config = {0};
        ts_error err = {0};
        cr_expect_eq(read_config(cases[i].text, &config, &err), cases[i].status, "%s: %s",
                     cases[i].text, err.message);
        cr_expect_not_null(strstr(err.message, cases[i].message), "%s: %s", cases[i].text,
                           err.message);
        cr_expect(config.r == 0 || cases[i].status == TS_OK, "nothing is half read");
        ts_adapter_config_free(&config);
    }
}

// As re.match(rf"(.*\\.)?({key})$", name) has it in Python, for keys of a fixed length.
Test(adapter, patterns_match_as_pefts_do)
{
    static const struct {
        const char *key, *module;
        bool matches;
    } cases[] = {
        {"q_proj", "model.layers.0.self_attn.q_proj", true},
        {"self_attn.q_proj", "model.layers.0.self_attn.q_proj", true},
        {"_proj", "model.layers.0.self_attn.q_proj", false},
        {"proj", "model.layers.0.self_attn.q_proj", false},
        {"q_pro", "model.layers.0.self_attn.q_proj", false},
        {"layers.1.mlp.up_proj", "model.layers.1.mlp.up_proj", true},
        {"layers.1.mlp.up_proj", "model.layers.11.mlp.up_proj", false},
        {"1.mlp.up_proj", "model.layers.11.mlp.up_proj", false},
        {"model.layers.1.mlp.up_proj", "model.layers.1.mlp.up_proj", true},
        {"..mlp.up_proj", "model.layers.11.mlp.up_proj", false},
        {"..mlp.up_proj", "model.layers.1.mlp.up_proj", true},
        {"m.p.up_proj", "model.layers.1.mlp.up_proj", true},
        {"m\\.p.up_proj", "model.layers.1.mlp.up_proj", false},
        {"mlp\\.up_proj", "model.layers.1.mlp.up_proj", true},
        {"^model.layers.1.mlp.up_proj", "model.layers.1.mlp.up_proj", true},
        {"^layers.1.mlp.up_proj", "model.layers.1.mlp.up_proj", false},
    };
    for (size_t i = 0; i < TS_COUNT(cases); i++) {
        cr_expect_eq(ts_pattern_matches(cases[i].key, strlen(cases[i].key), cases[i].module),
                     cases[i].matches, "%s, %s", cases[i].key, cases[i].module);
    }
}

// The first key that matches decides, and what was read is written again.
Test(adapter, patterns_come_back)
{
    ts_error err = {0};
    ts_text text = {0}, second = {0};
    ts_adapter_config config = {0}, again = {0};
    cr_assert_eq(read_config(WITH("\"rank_pattern\":{\"layers.1.self_attn.q_proj\":3,"
                                  "\"q_proj\":16},\"alpha_pattern\":{\"v_proj\":0.5}"),
                             &config, &err),
                 TS_OK, "%s", err.message);
    cr_expect_str_eq(config.rank_pattern.bytes, "layers.1.self_attn.q_proj=3,q_proj=16");
    cr_expect_eq(ts_adapter_rank(&config, "model.layers.1.self_attn.q_proj"), 3);
    cr_expect_eq(ts_adapter_rank(&config, "model.layers.2.self_attn.q_proj"), 16);
    cr_expect_eq(ts_adapter_rank(&config, "model.layers.2.self_attn.v_proj"), 4);
    cr_expect_eq(ts_adapter_scale(&config, "model.layers.2.self_attn.v_proj"), 0.125);
    cr_expect_eq(ts_adapter_scale(&config, "model.layers.2.self_attn.q_proj"), 0.5);
    cr_assert_eq(ts_adapter_config_write(&config, &text, &err), TS_OK);
    cr_expect_not_null(strstr(text.bytes, "\n  \"alpha_pattern\": {\n    \"v_proj\": 0.5\n  },\n"));
    cr_assert_eq(read_config(text.bytes, &again, &err), TS_OK, "%s", err.message);
    cr_assert_eq(ts_adapter_config_write(&again, &second, &err), TS_OK);
    cr_expect_str_eq(text.bytes, second.bytes);
    ts_adapter_config_free(&config);
    ts_adapter_config_free(&again);
    ts_text_free(&text);
    ts_text_free(&second);
}

Test(adapter, a_flags_pattern_is_checked)
{
    static const struct {
        const char *list, *words;
    } cases[] = {
        {"q_proj", "--rank-pattern: 'q_proj': expected a module's name, ="},
        {"q_proj=", "'q_proj='"},
        {"q_proj=4x", "'q_proj=4x'"},
        {"q_proj=0", "a rank of 1 to 4096"},
        {"q_proj=4,,v_proj=2", "a comma too many"},
        {"q_proj=4,", "a comma too many"},
        {"=4", "'' is no end of a module's name"},
        {"q*=4", "'q*' is no end of a module's name"},
    };
    for (size_t i = 0; i < TS_COUNT(cases); i++) {
        ts_error err = {0};
        cr_expect_eq(ts_pattern_check(cases[i].list, TS_PATTERN_RANK, &err), TS_ERR_ARGUMENT, "%s",
                     cases[i].list);
        cr_expect_not_null(strstr(err.message, cases[i].words), "%s", err.message);
    }
    ts_error err = {0};
    cr_expect_eq(ts_pattern_check("q_proj=4,layers.0.mlp.up_proj=1", TS_PATTERN_RANK, &err), TS_OK);
    cr_expect_eq(ts_pattern_check("q_proj=0.25", TS_PATTERN_ALPHA, &err), TS_OK);
    cr_expect_eq(ts_pattern_check(NULL, TS_PATTERN_ALPHA, &err), TS_OK);
}

// Unknown keys that are switched off: one warning names and counts them.
Test(adapter, counts_what_it_does_not_know)
{
    ts_adapter_config config = {0};
    ts_error err = {0};
    logged_clear();
    cr_assert_eq(read_config(WITH("\"new_thing\":false,\"new_config\":{},\"peft_version\":\"9\""),
                             &config, &err),
                 TS_OK, "%s", err.message);
    cr_expect_eq(logged_count, 1);
    cr_expect(strstr(logged, "2 keys without effect here: new_thing, new_config\n"), "%s", logged);
    ts_adapter_config_free(&config);
}

Test(adapter, all_linear_as_a_word)
{
    ts_adapter_config config = {0};
    ts_error err = {0};
    cr_assert_eq(read_config("{\"peft_type\":\"LORA\",\"r\":4,\"lora_alpha\":8,"
                             "\"target_modules\":\"all-linear\"}",
                             &config, &err),
                 TS_OK, "%s", err.message);
    cr_expect_eq(config.targets, TS_MODULES_ALL);
    ts_adapter_config_free(&config);
}

Test(adapter, scale)
{
    ts_adapter_config config = {.r = 16, .alpha = 8};
    cr_expect_eq(ts_adapter_usual_scale(&config), 0.5);
    config.use_rslora = true;
    cr_expect_eq(ts_adapter_usual_scale(&config), 2.0);
}

Test(adapter, modules_from_a_list)
{
    uint32_t targets = 0;
    ts_error err = {0};
    cr_expect_eq(ts_modules_parse("q_proj,v_proj", &targets, &err), TS_OK);
    cr_expect_eq(targets, TS_MODULE_BIT(TS_MODULE_Q) | TS_MODULE_BIT(TS_MODULE_V));
    cr_expect_eq(ts_modules_parse(" down_proj, gate_proj ", &targets, &err), TS_OK, "%s",
                 err.message);
    cr_expect_eq(targets, TS_MODULE_BIT(TS_MODULE_DOWN) | TS_MODULE_BIT(TS_MODULE_GATE));
    cr_expect_eq(ts_modules_parse("all-linear", &targets, &err), TS_OK);
    cr_expect_eq(targets, TS_MODULES_ALL);
    cr_expect_eq(ts_modules_parse("q_proj,x_proj", &targets, &err), TS_ERR_ARGUMENT);
    cr_expect_not_null(strstr(err.message, "'x_proj' is none of q_proj"));
    cr_expect_eq(ts_modules_parse("v_proj,qproj", &targets, &err), TS_ERR_ARGUMENT);
    cr_expect_not_null(strstr(err.message, "did you mean q_proj?"), "%s", err.message);
    cr_expect_eq(ts_modules_parse("", &targets, &err), TS_ERR_ARGUMENT);
    cr_expect_eq(targets, TS_MODULES_ALL, "unchanged on failure");
}

static void key_of(uint32_t layer, ts_module module, char side, char key[TS_ADAPTER_KEY_BYTES])
{
    char name[64];
    snprintf(name, sizeof name, "model.layers.%u.%s", layer, ts_module_path(module));
    ts_adapter_key(name, side, key);
}

// An adapter that PEFT saved: its configuration can be read, and our names are exactly the names of
// its tensors.
static void expect_golden(const char *name, uint32_t layers)
{
    char folder[256], path[512], key[TS_ADAPTER_KEY_BYTES];
    ts_adapter_config config = {0};
    ts_tensors *file = NULL;
    ts_error err = {0};
    size_t count = 0;
    snprintf(folder, sizeof folder, SHARED_FOLDER "/golden/%s/adapter_final", name);
    snprintf(path, sizeof path, "%s/adapter_model.safetensors", folder);
    if (!ts_folder_exists(folder)) {
        cr_skip_test("needs the golden cases");
    }
    cr_assert_eq(ts_adapter_config_read(folder, &config, &err), TS_OK, "%s", err.message);
    cr_assert_eq(ts_safetensors_open(path, &file, &err), TS_OK, "%s", err.message);
    for (uint32_t layer = 0; layer < layers; layer++) {
        for (unsigned module = 0; module < TS_MODULE_COUNT; module++) {
            for (char side = 'A'; side <= 'B' && (config.targets & TS_MODULE_BIT(module)); side++) {
                key_of(layer, (ts_module)module, side, key);
                const ts_tensor *tensor = ts_tensors_find(file, key);
                cr_assert_not_null(tensor, "%s", key);
                cr_expect_eq(tensor->shape[side == 'B'], config.r);
                count++;
            }
        }
    }
    cr_expect_eq(count, ts_tensors_count(file));
    ts_tensors_close(file);
    ts_adapter_config_free(&config);
}

Test(adapter, names_are_those_of_pefts_tensors)
{
    expect_golden("nano", 2);
    expect_golden("gqa", 3);
    expect_golden("all_linear", 2);
}

Test(adapter, keys)
{
    char key[TS_ADAPTER_KEY_BYTES];
    key_of(0, TS_MODULE_Q, 'A', key);
    cr_expect_str_eq(key, "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight");
    key_of(21, TS_MODULE_DOWN, 'B', key);
    cr_expect_str_eq(key, "base_model.model.model.layers.21.mlp.down_proj.lora_B.weight");
}

Test(adapter, card)
{
    ts_adapter_config config = {.r = 8, .alpha = 16, .targets = 5};
    ts_text text = {0};
    ts_error err = {0};
    cr_assert_eq(ts_adapter_card_write(&config, NULL, &text, &err), TS_OK);
    cr_expect_null(strstr(text.bytes, "base_model:"), "the Hub refuses an empty one");
    ts_text_clear(&text);
    cr_assert_eq(ts_text_append(&config.base_model, "org/name", 8, &err), TS_OK);
    cr_assert_eq(ts_adapter_card_write(&config, "Trained on *x*.", &text, &err), TS_OK);
    cr_expect_eq(strstr(text.bytes, "---\nbase_model: \"org/name\"\nlibrary_name: peft\n"),
                 text.bytes);
    cr_expect_not_null(strstr(text.bytes, "q_proj, v_proj"));
    cr_expect_not_null(strstr(text.bytes, "Trained on *x*."));
    cr_expect_not_null(strstr(text.bytes, "base = \"org/name\"\ntokenizer = AutoTokenizer."));
    cr_expect_not_null(strstr(text.bytes, "model.generate("), "it says how to ask");
    cr_expect_not_null(strstr(text.bytes, "`training.json`"), "and what each file is");
    ts_text_free(&text);
    ts_adapter_config_free(&config);
}
