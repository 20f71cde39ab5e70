// The forward pass of a Llama (Touvron et al. 2023), one layer after the other.
#include "model/internal.h"

#include "ops/attention.h"

#include <math.h>

static void linear(ts_pass *pass, uint32_t layer, ts_module module, uint32_t rows, bool training,
                   ts_view x, ts_view y)
{
    ts_linear_forward(&(ts_linear){pass, layer, module, rows, training}, x, y);
}

void ts_pass_rope(const ts_pass *pass, uint32_t rows, float sign, ts_view q, ts_view k)
{
    const ts_model *model = pass->model;
    uint32_t dim = model->config.head_dim;
    ts_rope(pass->recorder, &(struct ts_rope_args){
                                .q = q,
                                .k = k,
                                .position = pass->io.position,
                                .table = model->rope,
                                .rows = rows,
                                .heads = model->config.heads,
                                .kv_heads = model->config.kv_heads,
                                .dim = dim,
                                .positions = (uint32_t)(model->rope.bytes /
                                                        ts_dtype_bytes(model->rope.dtype) / dim),
                                .sign = sign,
                            });
}

static void scatter(ts_pass *pass, uint32_t rows, ts_view x, ts_view cache)
{
    ts_scatter_rows(pass->recorder,
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
    ts_recorder *recorder = pass->recorder;
    const ts_model_config *config = &pass->model->config;
    const ts_layer_state *state = &pass->layers[layer];
    const ts_kv_cache *cache = pass->cache;
    bool cached = cache != NULL && cache->attend;
    struct ts_attention_args args = {
        .q = state->q,
        .k = cached ? cache->k[layer] : state->k,
        .v = cached ? cache->v[layer] : state->v,
        .first = ts_pass_reach(pass, layer)->first,
        .last = pass->io.last,
        .o = state->o,
        .lse = state->lse,
        .rows = rows,
        .kv_rows = cached ? cache->rows : rows,
        .heads = config->heads,
        .kv_heads = config->kv_heads,
        .scale = 1 / sqrtf((float)config->head_dim),
        .dim = config->head_dim,
    };
    if (cache != NULL) {
        scatter(pass, rows, state->k, cache->k[layer]);
        scatter(pass, rows, state->v, cache->v[layer]);
    }
    if (cached) {
        ts_attend_cached(recorder, &args);
    } else {
        ts_attend(recorder, &args);
    }
}

// x += *block, and pass->norm = norm(x). x is the output of a block, and *block the residual stream
// that bypassed it. The first norm has no block before it (NULL).
static void norm(ts_pass *pass, uint32_t rows, ts_view x, const ts_view *block, ts_view weight,
                 ts_view rstd)
{
    const ts_model_config *config = &pass->model->config;
    ts_recorder *recorder = pass->recorder;
    if (block == NULL) {
        ts_rmsnorm(recorder, &(struct ts_rmsnorm_args){.x = x,
                                                       .weight = weight,
                                                       .y = pass->norm,
                                                       .rstd = rstd,
                                                       .rows = rows,
                                                       .cols = config->hidden,
                                                       .eps = config->rms_eps});
    } else {
        ts_add_rmsnorm(recorder, &(struct ts_add_rmsnorm_args){.y = x,
                                                               .x = *block,
                                                               .weight = weight,
                                                               .norm = pass->norm,
                                                               .rstd = rstd,
                                                               .rows = rows,
                                                               .cols = config->hidden,
                                                               .eps = config->rms_eps});
    }
}

// mid = o_proj(attention(norm(x))); the MLP's norm then adds x to it. x itself is at first only the
// output of the block below. `below`, the residual stream that bypassed that block, is added here.
static void attention_block(ts_pass *pass, uint32_t layer, uint32_t rows, bool training,
                            const ts_view *below)
{
    ts_layer_state *state = &pass->layers[layer];
    norm(pass, rows, state->x, below, pass->model->layers[layer].norms[TS_NORM_ATTENTION],
         state->rstd1);
    linear(pass, layer, TS_MODULE_Q, rows, training, pass->norm, state->q);
    linear(pass, layer, TS_MODULE_K, rows, training, pass->norm, state->k);
    linear(pass, layer, TS_MODULE_V, rows, training, pass->norm, state->v);
    ts_pass_rope(pass, rows, 1, state->q, state->k);
    attend(pass, layer, rows);
    linear(pass, layer, TS_MODULE_O, rows, training, state->o, state->mid);
}

// next = down_proj(swiglu(norm(mid))); the next block's norm then adds mid to it.
static void mlp_block(ts_pass *pass, uint32_t layer, uint32_t rows, bool training, ts_view next)
{
    ts_model *model = pass->model;
    ts_layer_state *state = &pass->layers[layer];
    norm(pass, rows, state->mid, &state->x, model->layers[layer].norms[TS_NORM_MLP], state->rstd2);
    linear(pass, layer, TS_MODULE_GATE, rows, training, pass->norm, state->gate);
    linear(pass, layer, TS_MODULE_UP, rows, training, pass->norm, state->up);
    ts_swiglu(pass->recorder, &(struct ts_swiglu_args){.gate = state->gate,
                                                       .up = state->up,
                                                       .y = pass->swiglu,
                                                       .count = rows * model->config.ffn});
    linear(pass, layer, TS_MODULE_DOWN, rows, training, pass->swiglu, next);
}

void ts_pass_record_forward(ts_pass *pass, uint32_t rows, bool training)
{
    ts_model *model = pass->model;
    const ts_model_config *config = &model->config;
    bool in_file = model->embedding_in_file;
    ts_embed(pass->recorder,
             &(struct ts_embed_args){.ids = pass->io.ids,
                                     .table = in_file ? pass->io.table : model->embedding,
                                     .y = pass->layers[0].x,
                                     .rows = rows,
                                     .cols = config->hidden,
                                     .vocab = in_file ? pass->limits.rows : config->vocab});
    for (uint32_t layer = 0; layer < config->layers; layer++) {
        bool is_last = layer + 1 == config->layers;
        attention_block(pass, layer, rows, training,
                        layer > 0 ? &pass->layers[layer - 1].mid : NULL);
        mlp_block(pass, layer, rows, training, is_last ? pass->x : pass->layers[layer + 1].x);
    }
    ts_add(pass->recorder, &(struct ts_add_args){.y = pass->x,
                                                 .x = pass->layers[config->layers - 1].mid,
                                                 .count = rows * config->hidden});
}
