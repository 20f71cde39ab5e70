// The forward pass of a Llama (Touvron et al. 2023), one layer after the other.
#include "model/internal.h"

#include "ops/attention.h"

#include <math.h>

struct ts_linear ts_pass_linear(const ts_pass *pass, uint32_t layer, ts_module module,
                                uint32_t rows, bool training)
{
    return (struct ts_linear){
        .model = pass->model,
        .layer = layer,
        .module = module,
        .rows = rows,
        .dropped = pass->dropped,
        .t = pass->layers[layer].t[module],
        .dt = pass->dt,
        .dropout = training ? (float)pass->model->lora.config.dropout : 0,
        .dropout_seed = pass->dropout_seed,
    };
}

static void linear(ts_pass *pass, uint32_t layer, ts_module module, uint32_t rows, bool training,
                   ts_view x, ts_view y)
{
    struct ts_linear args = ts_pass_linear(pass, layer, module, rows, training);
    ts_linear_forward(&args, x, y);
}

void ts_pass_rope(const ts_pass *pass, uint32_t rows, uint32_t heads, float sign, ts_view x)
{
    const ts_model *model = pass->model;
    uint32_t dim = model->config.head_dim;
    ts_rope(model->recorder, &(struct ts_rope_args){
                                 .x = x,
                                 .position = pass->io.position,
                                 .table = model->rope,
                                 .rows = rows,
                                 .heads = heads,
                                 .dim = dim,
                                 .positions = (uint32_t)(model->rope.bytes /
                                                         ts_dtype_bytes(model->rope.dtype) / dim),
                                 .sign = sign,
                             });
}

static void scatter(ts_pass *pass, uint32_t rows, ts_view x, ts_view cache)
{
    ts_scatter_rows(pass->model->recorder,
                    &(struct ts_scatter_rows_args){.x = x,
                                                   .index = pass->cache->row,
                                                   .y = cache,
                                                   .rows = rows,
                                                   .cols = ts_config_kv_size(&pass->model->config),
                                                   .target_rows = pass->cache->rows});
}

// o = attention of the rows to each other or, while decoding, to the cache.
static void attend(ts_pass *pass, uint32_t layer, uint32_t rows)
{
    ts_recorder *recorder = pass->model->recorder;
    const ts_model_config *config = &pass->model->config;
    const ts_layer_state *state = &pass->layers[layer];
    const ts_kv_cache *cache = pass->cache;
    float scale = 1 / sqrtf((float)config->head_dim);
    if (cache != NULL) {
        scatter(pass, rows, state->k, cache->k[layer]);
        scatter(pass, rows, state->v, cache->v[layer]);
    }
    if (cache != NULL && cache->attend) {
        ts_attention_decode(recorder, &(struct ts_attention_decode_args){
                                          .q = state->q,
                                          .k = cache->k[layer],
                                          .v = cache->v[layer],
                                          .first = pass->io.first,
                                          .last = pass->io.last,
                                          .o = state->o,
                                          .rows = rows,
                                          .kv_rows = cache->rows,
                                          .heads = config->heads,
                                          .kv_heads = config->kv_heads,
                                          .scale = scale,
                                          .dim = config->head_dim,
                                      });
        return;
    }
    const ts_attention_choice choice =
        ts_attention_choose(ts_gpu_capabilities(pass->model->gpu), config->head_dim, 2);
    ts_attention(recorder, &(struct ts_attention_args){
                               .q = state->q,
                               .k = state->k,
                               .v = state->v,
                               .first = pass->io.first,
                               .last = pass->io.last,
                               .o = state->o,
                               .lse = state->lse,
                               .rows = rows,
                               .kv_rows = rows,
                               .heads = config->heads,
                               .kv_heads = config->kv_heads,
                               .scale = scale,
                               .dim = config->head_dim,
                               .lanes = choice.lanes,
                               .per_lane = choice.per_lane,
                               .shader = choice.shader,
                           });
}

// mid = x + o_proj(attention(norm(x)))
static void attention_block(ts_pass *pass, uint32_t layer, uint32_t rows, bool training)
{
    ts_model *model = pass->model;
    const ts_model_config *config = &model->config;
    ts_layer_state *state = &pass->layers[layer];
    ts_rmsnorm(model->recorder, &(struct ts_rmsnorm_args){
                                    .x = state->x,
                                    .weight = model->layers[layer].input_norm,
                                    .y = pass->norm,
                                    .rstd = state->rstd1,
                                    .rows = rows,
                                    .cols = config->hidden,
                                    .eps = config->rms_eps,
                                });
    linear(pass, layer, TS_MODULE_Q, rows, training, pass->norm, state->q);
    linear(pass, layer, TS_MODULE_K, rows, training, pass->norm, state->k);
    linear(pass, layer, TS_MODULE_V, rows, training, pass->norm, state->v);
    ts_pass_rope(pass, rows, config->heads, 1, state->q);
    ts_pass_rope(pass, rows, config->kv_heads, 1, state->k);
    attend(pass, layer, rows);
    linear(pass, layer, TS_MODULE_O, rows, training, state->o, state->mid);
    ts_add(model->recorder,
           &(struct ts_add_args){.y = state->mid, .x = state->x, .count = rows * config->hidden});
}

// next = mid + down_proj(swiglu(norm(mid)))
static void mlp_block(ts_pass *pass, uint32_t layer, uint32_t rows, bool training, ts_view next)
{
    ts_model *model = pass->model;
    const ts_model_config *config = &model->config;
    ts_layer_state *state = &pass->layers[layer];
    ts_rmsnorm(model->recorder, &(struct ts_rmsnorm_args){
                                    .x = state->mid,
                                    .weight = model->layers[layer].post_norm,
                                    .y = pass->norm,
                                    .rstd = state->rstd2,
                                    .rows = rows,
                                    .cols = config->hidden,
                                    .eps = config->rms_eps,
                                });
    linear(pass, layer, TS_MODULE_GATE, rows, training, pass->norm, state->gate);
    linear(pass, layer, TS_MODULE_UP, rows, training, pass->norm, state->up);
    ts_swiglu(model->recorder, &(struct ts_swiglu_args){.gate = state->gate,
                                                        .up = state->up,
                                                        .y = pass->wide,
                                                        .count = rows * config->ffn});
    linear(pass, layer, TS_MODULE_DOWN, rows, training, pass->wide, next);
    ts_add(model->recorder,
           &(struct ts_add_args){.y = next, .x = state->mid, .count = rows * config->hidden});
}

void ts_pass_record_forward(ts_pass *pass, uint32_t rows, bool training)
{
    ts_model *model = pass->model;
    const ts_model_config *config = &model->config;
    bool in_file = model->embedding_in_file;
    ts_embed(model->recorder,
             &(struct ts_embed_args){.ids = pass->io.ids,
                                     .table = in_file ? pass->io.table : model->embedding,
                                     .y = pass->layers[0].x,
                                     .rows = rows,
                                     .cols = config->hidden,
                                     .vocab = in_file ? pass->limits.rows : config->vocab});
    for (uint32_t layer = 0; layer < config->layers; layer++) {
        bool is_last = layer + 1 == config->layers;
        attention_block(pass, layer, rows, training);
        mlp_block(pass, layer, rows, training, is_last ? pass->x : pass->layers[layer + 1].x);
    }
}
