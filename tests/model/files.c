// A model's files against its config.json: everything that headers tell is checked at the start.
#include "edited.h"
#include "log_capture.h"
#include "model/layout.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static ts_status edited_read(struct edited *e, ts_model_config *config, ts_error *err)
{
    ts_weights *weights = NULL;
    edited_write(e, "model.safetensors");
    *err = (ts_error){0};
    logged_clear();
    MUST(ts_weights_open(e->folder, &weights, err));
    ts_status status = ts_model_check(weights, config, err);
    ts_weights_close(weights);
    return status;
}

Test(files, refuses_what_running_would)
{
    struct edited e;
    ts_model_config config;
    ts_error err = {0};
    edited_open(&e, false);
    cr_expect_eq(edited_read(&e, &config, &err), TS_OK, "%s", err.message);
    cr_expect_eq(logged_count, 0, "%s", logged);
    ts_tensor *up = edited_find(&e, "model.layers.1.mlp.up_proj.weight"), before = *up;
    up->shape[0]--, up->shape[1]++;
    up->len = up->shape[0] * up->shape[1] * 4;
    cr_expect_eq(edited_read(&e, &config, &err), TS_ERR_FORMAT);
    cr_expect(strstr(err.message, "layers.1.mlp.up_proj.weight': expected shape [10, 12], found"),
              "%s", err.message);
    *up = before;
    up->name = "model.layers.1.mlp.up.weight";
    cr_expect_eq(edited_read(&e, &config, &err), TS_ERR_FORMAT);
    cr_expect(strstr(err.message, "layers.1.mlp.up_proj.weight' [10, 12] is missing"), "%s",
              err.message);
    *up = before;
    up->dtype = TS_U32;
    cr_expect_eq(edited_read(&e, &config, &err), TS_ERR_UNSUPPORTED);
    cr_expect(strstr(err.message, "up_proj.weight' is U32; weights may be F32, F16, BF16, Q8_0, "),
              "%s", err.message);
    edited_close(&e);
}

Test(files, counts_tensors_that_nobody_needs)
{
    struct edited e;
    ts_model_config config;
    ts_error err = {0};
    static const float zeros[8];
    edited_open(&e, false);
    for (int i = 0; i < 2; i++) { // buffers that old transformers saved
        e.tensors[e.count++] = (ts_tensor){i == 0 ? "model.layers.0.self_attn.rotary_emb.inv_freq"
                                                  : "model.rotary_emb.inv_freq",
                                           TS_F32,
                                           1,
                                           {2},
                                           zeros,
                                           8};
    }
    cr_expect_eq(edited_read(&e, &config, &err), TS_OK, "%s", err.message);
    cr_expect_eq(logged_count, 0, "%s", logged);
    e.tensors[e.count++] =
        (ts_tensor){"model.layers.0.self_attn.q_proj.bias", TS_F32, 1, {2}, zeros, 8};
    e.tensors[e.count++] =
        (ts_tensor){"model.layers.2.mlp.up_proj.weight", TS_F32, 1, {2}, zeros, 8};
    cr_expect_eq(edited_read(&e, &config, &err), TS_OK, "%s", err.message);
    cr_expect_eq(logged_count, 1);
    cr_expect(strstr(logged, "2 tensors that a Llama of this config.json has no use for: "
                             "model.layers.0.self_attn.q_proj.bias, model.layers.2.mlp.up_proj"),
              "%s", logged);
    edited_close(&e);
}

// config.json ties lm_head, and the file has one: if it differs from the embedding, it is used.
Test(files, a_head_of_its_own_is_taken)
{
    struct edited e;
    ts_model_config config;
    ts_error err = {0};
    edited_open(&e, true);
    cr_expect_eq(edited_read(&e, &config, &err), TS_OK, "%s", err.message);
    cr_expect(config.tied);
    ts_tensor head = *edited_find(&e, "model.embed_tokens.weight");
    head.name = "lm_head.weight";
    e.tensors[e.count++] = head;
    cr_expect_eq(edited_read(&e, &config, &err), TS_OK, "%s", err.message);
    cr_expect(config.tied, "it is the embedding once more");
    cr_expect_eq(logged_count, 0, "%s", logged);

    float *other = malloc(head.len);
    memcpy(other, head.bytes, head.len);
    other[head.len / sizeof *other - 1] += 1;
    e.tensors[e.count - 1].bytes = other;
    cr_expect_eq(edited_read(&e, &config, &err), TS_OK, "%s", err.message);
    cr_expect_not(config.tied);
    cr_expect_eq(logged_count, 1);
    cr_expect(strstr(logged, "another one: that one is taken"), "%s", logged);
    e.tensors[e.count - 1].rank = 1;
    e.tensors[e.count - 1].shape[0] *= e.tensors[e.count - 1].shape[1];
    cr_expect_eq(edited_read(&e, &config, &err), TS_ERR_FORMAT);
    cr_expect(strstr(err.message, "'lm_head.weight': expected shape"), "%s", err.message);
    free(other);
    edited_close(&e);
}

// The plan counts each weight as it is stored, not all as the embedding is.
Test(files, a_plan_of_mixed_types)
{
    struct edited e;
    ts_model_config config;
    ts_error err = {0};
    uint64_t uniform, mixed, adapter;
    ts_weights *weights = NULL;
    edited_open(&e, false);
    MUST(ts_weights_open(e.folder, &weights, err));
    MUST(ts_model_config_read(weights, &config, err));
    ts_weights_close(weights);
    MUST(ts_model_plan(&config, e.original, TS_F32, (ts_quantise){0}, 16, false, 0, NULL,
                       TS_PRECISION_F32, &uniform, &adapter, err));
    ts_tensor *up = edited_find(&e, "model.layers.1.mlp.up_proj.weight");
    up->dtype = TS_F16;
    up->len /= 2;
    cr_expect_eq(edited_read(&e, &config, &err), TS_OK, "%s", err.message);
    ts_tensors *file = NULL;
    MUST(ts_safetensors_open_model(e.folder, &file, err));
    MUST(ts_model_plan(&config, file, TS_F32, (ts_quantise){0}, 16, false, 0, NULL,
                       TS_PRECISION_F32, &mixed, &adapter, err));
    cr_expect_lt(mixed, uniform);
    ts_tensors_close(file);
    edited_close(&e);
}

// transformers keeps what embeddings are multiplied by in the type of the model; llama.cpp, whose
// models read as models of float32, in f32.
Test(files, scale_of_embeddings)
{
    static const struct {
        const char *more;
        ts_dtype dtype;
        float scale;
    } cases[] = {{"", TS_F32, 3.46410162f},
                 {"", TS_BF16, 3.46875f},
                 {", \"dtype\": \"bfloat16\"", TS_BF16, 3.46875f},
                 {", \"torch_dtype\": \"float32\"", TS_BF16, 3.46410162f},
                 {", \"dtype\": \"float32\"", TS_F16, 3.46410162f}};
    ts_gpu *gpu = test_gpu_open();
    for (size_t i = 0; i < TS_COUNT(cases); i++) {
        tiny_llama tiny = {.family = TS_FAMILY_GEMMA3, .dtype = cases[i].dtype};
        ts_model model = {0};
        snprintf(tiny.more, sizeof tiny.more, "%s", cases[i].more);
        tiny_open(gpu, &tiny, &model);
        cr_expect_eq(model.embedding_scale, cases[i].scale, "%s", cases[i].more);
        test_model_close(&model);
    }
    ts_gpu_close(gpu);
}
