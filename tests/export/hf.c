// Merged models as folders in Hugging Face's layout.
#include "export_test.h"

#include "../gguf_model.h"
#include "base/os.h"

static const ts_adapter_config all_linear = {
    .r = 3, .alpha = 6, .use_rslora = true, .targets = TS_MODULES_ALL};
static const ts_adapter_config q_and_down = {
    .r = 5, .alpha = 16, .targets = TS_MODULE_BIT(TS_MODULE_Q) | TS_MODULE_BIT(TS_MODULE_DOWN)};

// Every tensor of `folder` is the merged one, rounded once to `dtype`.
static void check_merged(const place *p, const char *folder, ts_dtype dtype)
{
    ts_tensors *file;
    MUST(ts_safetensors_open_model(folder, &file, err));
    cr_assert_eq(ts_tensors_count(file), ts_weight_count(&p->config));
    for (uint32_t i = 0; i < ts_weight_count(&p->config); i++) {
        ts_weight weight;
        ts_weight_describe(&p->config, i, &weight);
        const ts_tensor *tensor = ts_tensors_find(file, weight.name);
        cr_assert_not_null(tensor, "%s", weight.name);
        cr_assert_eq(tensor->dtype, dtype);
        for (uint64_t e = 0; e < tensor->len / ts_dtype_bytes(dtype); e++) {
            const double exact = merged_exactly(p, &weight, e / weight.cols, e % weight.cols);
            const double found = ts_dtype_load(dtype, tensor->bytes, e);
            // The sum in f32 has a rounding error, and may then round to the other neighbour.
            cr_assert_leq(fabs(found - exact), half_step(dtype, exact) + 2e-7 * (fabs(exact) + 1),
                          "%s[%llu]: %.9g, not %.9g", weight.name, (unsigned long long)e, found,
                          exact);
        }
    }
    ts_tensors_close(file);
}

Test(hf, merged_and_rounded_once)
{
    static const ts_dtype types[] = {TS_F32, TS_F16, TS_BF16};
    for (size_t from = 0; from < TS_COUNT(types); from++) {
        const tiny_llama tiny = {.tied = from == 1, .dtype = types[from]};
        place p;
        place_open(&p, &tiny, from == 2 ? &q_and_down : &all_linear);
        MUST(ts_export_run(&p.source, &p.params, err));
        check_merged(&p, p.out, types[from]); // as it is stored
        for (size_t to = 0; to < TS_COUNT(types); to++) {
            p.params.convert = p.params.overwrite = true;
            p.params.dtype = types[to];
            MUST(ts_export_run(&p.source, &p.params, err));
            check_merged(&p, p.out, types[to]);
        }
        place_close(&p);
    }
}

// PEFT's merge of DoRA: each row of the sum has its magnitude for length.
Test(hf, merged_with_magnitudes)
{
    ts_adapter_config dora = all_linear;
    const tiny_llama tiny = {.family = TS_FAMILY_QWEN2, .dtype = TS_BF16};
    place p;
    dora.use_dora = true;
    dora.rank_pattern = (ts_text){.bytes = "v_proj=2,layers.1.mlp.up_proj=7", .len = 31};
    dora.alpha_pattern = (ts_text){.bytes = "o_proj=0.5", .len = 10};
    place_open(&p, &tiny, &dora);
    MUST(ts_export_run(&p.source, &p.params, err));
    check_merged(&p, p.out, TS_BF16);
    p.params.convert = p.params.overwrite = true;
    p.params.dtype = TS_F32;
    MUST(ts_export_run(&p.source, &p.params, err));
    check_merged(&p, p.out, TS_F32);
    place_close(&p);
}

// Without an adapter every tensor keeps its bytes.
Test(hf, without_an_adapter)
{
    const tiny_llama tiny = {.dtype = TS_BF16};
    place p;
    ts_tensors *file;
    place_open(&p, &tiny, NULL);
    MUST(ts_export_run(&p.source, &p.params, err));
    MUST(ts_safetensors_open_model(p.out, &file, err));
    cr_assert_eq(ts_tensors_count(file), ts_tensors_count(p.source.tensors));
    for (size_t i = 0; i < ts_tensors_count(file); i++) {
        const ts_tensor *found = ts_tensors_at(file, i);
        const ts_tensor *base = ts_tensors_at(p.source.tensors, i);
        cr_assert_str_eq(found->name, base->name);
        cr_assert_eq(found->len, base->len);
        cr_assert_arr_eq(found->bytes, base->bytes, base->len);
    }
    ts_tensors_close(file);
    place_close(&p);
}

// Shards hold no more than they may, and together the same as one file.
Test(hf, shards)
{
    enum { LIMIT = 700 };
    const tiny_llama tiny = {.dtype = TS_F16};
    place p;
    char path[128];
    place_open(&p, &tiny, &all_linear);
    p.params.shard_bytes = LIMIT;
    MUST(ts_export_run(&p.source, &p.params, err));
    check_merged(&p, p.out, TS_F16);
    snprintf(path, sizeof path, "%s/model.safetensors", p.out);
    cr_expect_not(ts_file_exists(path));
    for (uint32_t shard = 1; shard <= 9; shard++) {
        ts_tensors *file;
        uint64_t bytes = 0;
        snprintf(path, sizeof path, "%s/model-%05u-of-00009.safetensors", p.out, shard);
        MUST(ts_safetensors_open(path, &file, err));
        for (size_t i = 0; i < ts_tensors_count(file); i++) {
            bytes += ts_tensors_at(file, i)->len;
        }
        cr_expect(bytes <= LIMIT || ts_tensors_count(file) == 1, "%s: %llu", path,
                  (unsigned long long)bytes);
        ts_tensors_close(file);
    }
    place_close(&p);
}

// The config tells the type that was asked for, and all else of its text stays.
Test(hf, config)
{
    const tiny_llama tiny = {.dtype = TS_BF16};
    place p;
    ts_text before = {0}, after = {0}, path = {0};
    place_open(&p, &tiny, NULL);
    MUST(ts_path_join(p.base, "config.json", &path, err));
    MUST(ts_file_read(path.bytes, 1 << 20, &before, err));
    MUST(ts_path_join(p.out, "config.json", &path, err));
    MUST(ts_export_run(&p.source, &p.params, err));
    MUST(ts_file_read(path.bytes, 1 << 20, &after, err));
    cr_expect_str_eq(after.bytes, before.bytes);
    p.params.convert = p.params.overwrite = true;
    p.params.dtype = TS_F16;
    MUST(ts_export_run(&p.source, &p.params, err));
    ts_text_clear(&after);
    MUST(ts_file_read(path.bytes, 1 << 20, &after, err));
    MUST(ts_json_set_member(&before, "torch_dtype", "\"float16\"", err));
    cr_expect_str_eq(after.bytes, before.bytes);
    ts_text_free(&before);
    ts_text_free(&after);
    ts_text_free(&path);
    place_close(&p);
}

static bool stop(void *user)
{
    return *(int *)user > 0 && --*(int *)user == 0;
}

static void expect_nothing_but(const place *p, const char *first, const char *second)
{
    ts_os_names names;
    cr_assert_eq(ts_os_list(p->folder, &names), 0);
    cr_expect_eq(names.count, 2);
    for (size_t i = 0; i < names.count; i++) {
        cr_expect(strcmp(names.names[i], first) == 0 || strcmp(names.names[i], second) == 0, "%s",
                  names.names[i]);
    }
    ts_os_names_free(&names);
}

// A stopped or failed export leaves nothing behind, and what was there before.
Test(hf, whole_or_not_at_all)
{
    const tiny_llama tiny = {.dtype = TS_F32};
    const ts_adapter_config huge = {.r = 1, .alpha = 1e7, .targets = TS_MODULES_ALL};
    place p;
    ts_error error = {0};
    int left = 9;
    ts_caller caller = {.stops = stop, .user = &left};
    place_open(&p, &tiny, &huge);
    ts_caller *outer = ts_caller_use(&caller);
    cr_expect_eq(ts_export_run(&p.source, &p.params, &error), TS_ERR_STOPPED, "%s", error.message);
    ts_caller_use(outer);
    cr_expect_eq(left, 0);
    expect_nothing_but(&p, "base", "adapter");
    char killed[96];
    snprintf(killed, sizeof killed, "%s/out.tmp-99999999/a", p.folder); // of one that was killed
    MUST(ts_folder_make(killed, err));
    p.params.convert = true;
    p.params.dtype = TS_F16;
    cr_expect_eq(ts_export_run(&p.source, &p.params, &error), TS_ERR_UNSUPPORTED);
    cr_expect_not_null(strstr(error.message, "too large for F16"), "%s", error.message);
    expect_nothing_but(&p, "base", "adapter");
    place_close(&p);
}

Test(hf, nothing_is_overwritten_unasked)
{
    const tiny_llama tiny = {.dtype = TS_F32};
    place p;
    ts_error error = {0};
    place_open(&p, &tiny, NULL);
    MUST(ts_export_run(&p.source, &p.params, err));
    cr_expect_eq(ts_export_run(&p.source, &p.params, &error), TS_ERR_ARGUMENT);
    cr_expect_not_null(strstr(error.message, "--overwrite replaces it"), "%s", error.message);
    p.params.overwrite = true;
    MUST(ts_export_run(&p.source, &p.params, err));
    p.params.path = p.folder; // holds other things than a model
    cr_expect_eq(ts_export_run(&p.source, &p.params, &error), TS_ERR_ARGUMENT);
    cr_expect_not_null(strstr(error.message, "no model"), "%s", error.message);
    p.params.path = p.base;
    cr_expect_eq(ts_export_run(&p.source, &p.params, &error), TS_ERR_ARGUMENT);
    cr_expect_not_null(strstr(error.message, "the folder of --model"), "%s", error.message);
    check_merged(&p, p.base, TS_F32);
    place_close(&p);
}

// A GGUF model becomes the folder that it was made of: weights, ids, template, configuration.
Test(hf, of_a_gguf_file)
{
    static const char text[] = "What do cows eat? caf\xC3\xA9 \xF0\x9F\x90\x84</s>\n<|user|> 12";
    place p, base;
    char file[96], template[128];
    ts_text jinja = {0};
    ts_weights *weights = NULL;
    ts_model_config config;
    const ts_tensors *tensors;
    const cJSON *json;
    ts_tokenizer *tokenizer = NULL;
    ts_tokens want = {0}, have = {0};
    place_open_base(&base, NULL);
    place_name(&p);
    snprintf(file, sizeof file, "%s/base.gguf", p.folder);
    gguf_model_write(PROJECT_FOLDER "/assets/base", file, 30, NULL); // BF16, as it is stored
    place_open_source(&p, file, NULL);
    MUST(ts_export_run(&p.source, &p.params, err));
    MUST(ts_weights_open(p.out, &weights, err));
    MUST(ts_model_check(weights, &config, err));
    MUST(ts_weights_read(weights, TS_PART_CONFIG, &json, NULL, err));
    cr_expect_str_eq(cJSON_GetStringValue(ts_json_get(json, "torch_dtype")), "bfloat16");
    MUST(ts_weights_tensors(weights, &tensors, err));
    for (size_t i = 0; i < ts_tensors_count(base.source.tensors); i++) {
        const ts_tensor *from = ts_tensors_at(base.source.tensors, i);
        const ts_tensor *to = ts_tensors_find(tensors, from->name);
        cr_assert_not_null(to, "%s", from->name);
        for (uint64_t e = 0; e < ts_tensor_elements(from); e++) { // GGUF's norms are F32
            cr_assert_eq(ts_dtype_load(to->dtype, to->bytes, e),
                         ts_dtype_load(from->dtype, from->bytes, e), "%s", from->name);
        }
    }
    MUST(ts_tokenizer_open(weights, &tokenizer, err));
    MUST(ts_tokenizer_encode(tokenizer, text, sizeof text - 1, TS_SPECIALS_AS_TOKENS, &have, err));
    MUST(ts_tokenizer_encode(base.tokenizer, text, sizeof text - 1, TS_SPECIALS_AS_TOKENS, &want,
                             err));
    cr_assert_eq(have.count, want.count);
    cr_expect_arr_eq(have.ids, want.ids, want.count * sizeof *want.ids);
    cr_expect_eq(ts_tokenizer_lead(tokenizer), ts_tokenizer_lead(base.tokenizer));
    cr_expect_eq(ts_tokenizer_eos(tokenizer), ts_tokenizer_eos(base.tokenizer));
    snprintf(template, sizeof template, "%s/chat_template.jinja", p.out);
    MUST(ts_file_read(template, 1 << 20, &jinja, err));
    cr_expect_str_eq(jinja.bytes, ts_chat_template_text(base.chat_template));
    ts_tokens_free(&want);
    ts_tokens_free(&have);
    ts_text_free(&jinja);
    ts_tokenizer_close(tokenizer);
    ts_weights_close(weights);
    place_close(&p);
    place_close(&base);
}
