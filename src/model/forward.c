// The forward pass of a Llama (Touvron et al. 2023) and of families like it, one layer after the
// other. A family's norms are those that its row in families.def names.
#include "model/dora.h"
#include "model/internal.h"

#include "base/memory.h"
#include "ops/attention.h"
#include "ops/gemm.h"

#include <math.h>

ts_rotation ts_pass_rotation(const ts_pass *pass, uint32_t layer)
{
    const ts_model *model = pass->model;
    const ts_view table =
        ts_config_is_local(&model->config, layer) ? model->local_rope : model->rope;
    return (ts_rotation){.rotated = !ts_layer_in(&model->config.unrotated, layer),
                         .table = table,
                         .positions = (uint32_t)(table.bytes / ts_dtype_bytes(table.dtype) /
                                                 model->config.head_dim)};
}

// y = norm(x), [rows, parts * cols]: each part of a row is normalised like a row of its own
static void norm(const ts_pass *pass, uint32_t layer, ts_norm which, uint32_t rows, ts_view x,
                 ts_view y)
{
    const ts_model_config *config = &pass->model->config;
    uint32_t parts, cols;
    ts_config_norm_shape(config, which, &parts, &cols);
    ts_rmsnorm(pass->recorder,
               &(struct ts_rmsnorm_args){.x = x,
                                         .weight = pass->model->layers[layer].norms[which],
                                         .y = y,
                                         .rstd = pass->layers[layer].rstd[which],
                                         .rows = rows * parts,
                                         .cols = cols,
                                         .eps = config->rms_eps});
}

void ts_pass_norm_rope(const ts_pass *pass, uint32_t layer, uint32_t rows)
{
    const ts_layer_state *state = &pass->layers[layer];
    const ts_model_config *config = &pass->model->config;
    const ts_rotation rotation = ts_pass_rotation(pass, layer);
    if (ts_pass_has(pass, TS_NORM_Q)) {
        norm(pass, layer, TS_NORM_Q, rows, state->q, pass->normed_q);
        norm(pass, layer, TS_NORM_K, rows, state->k, pass->normed_k);
    }
    if (rotation.rotated) {
        ts_rope(pass->recorder, &(struct ts_rope_args){.q = ts_pass_q(pass, layer),
                                                       .k = ts_pass_k(pass, layer),
                                                       .position = pass->io.position,
                                                       .table = rotation.table,
                                                       .rows = rows,
                                                       .heads = config->heads,
                                                       .kv_heads = config->kv_heads,
                                                       .dim = config->head_dim,
                                                       .positions = rotation.positions});
    }
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
        .q = ts_pass_q(pass, layer),
        .k = cached ? cache->k[layer] : ts_pass_k(pass, layer),
        .v = cached ? cache->v[layer] : state->v,
        .first = ts_pass_reach(pass, layer)->first,
        .last = pass->io.last,
        .o = state->o,
        .lse = state->lse,
        .rows = rows,
        .kv_rows = cached ? cache->rows : rows,
        .heads = config->heads,
        .kv_heads = config->kv_heads,
        .scale = 1 / sqrtf(config->query_scalar),
        .dim = config->head_dim,
    };
    if (cache != NULL) {
        scatter(pass, rows, ts_pass_k(pass, layer), cache->k[layer]);
        scatter(pass, rows, state->v, cache->v[layer]);
    }
    if (cached) {
        ts_attend_cached(recorder, &args);
    } else {
        ts_attend_rounded(recorder, pass->rounding.precision, &args);
    }
}

// Begins the block whose norm is `which`. x holds the output of the block below. *bypass, the
// residual stream that bypassed that block, is added to it, unless that has been done (NULL).
// Returns the block's input: pass->norm = norm(x), or x itself where the family has no such norm.
static ts_view enter(ts_pass *pass, uint32_t layer, ts_norm which, uint32_t rows, ts_view x,
                     const ts_view *bypass)
{
    const ts_model_config *config = &pass->model->config;
    if (!ts_pass_has(pass, which)) {
        if (bypass != NULL) {
            ts_add(pass->recorder,
                   &(struct ts_add_args){.y = x, .x = *bypass, .count = rows * config->hidden});
        }
        return x;
    }
    if (bypass == NULL) {
        norm(pass, layer, which, rows, x, pass->norm);
    } else {
        ts_add_rmsnorm(pass->recorder, &(struct ts_add_rmsnorm_args){
                                           .y = x,
                                           .x = *bypass,
                                           .weight = pass->model->layers[layer].norms[which],
                                           .norm = pass->norm,
                                           .rstd = pass->layers[layer].rstd[which],
                                           .rows = rows,
                                           .cols = config->hidden,
                                           .eps = config->rms_eps});
    }
    return pass->norm;
}

// Computes a block's last linear layer into y. Where the family normalises that output, the layer
// writes to `apart`, and y = norm(apart). Returns what is still to be added to y: `bypass`, the
// residual stream that bypassed the block, or NULL where the layer's product has added it.
static const ts_view *leave(const ts_linear *linear, ts_norm which, ts_view x, ts_view apart,
                            ts_view y, const ts_view *bypass)
{
    ts_pass *pass = linear->pass;
    const ts_gpu_caps *caps = ts_gpu_capabilities(ts_recorder_gpu(pass->recorder));
    if (ts_pass_has(pass, which)) {
        ts_linear_forward(linear, 1, x, &apart);
        norm(pass, linear->layer, which, linear->rows, apart, y);
    } else if (ts_precision_adds(caps, pass->rounding.precision, linear->rows)) {
        ts_linear adding = *linear;
        adding.addend = *bypass;
        ts_linear_forward(&adding, 1, x, &y);
        return NULL;
    } else {
        ts_linear_forward(linear, 1, x, &y);
    }
    return bypass;
}

// mid = x + o_proj(attention(norm(x))). Of x and of mid, at first, *below and the view returned may
// be lacking, the residual stream that bypassed the block (enter, leave).
static const ts_view *attention_block(ts_pass *pass, uint32_t layer, uint32_t rows, bool training,
                                      const ts_view *below)
{
    ts_layer_state *state = &pass->layers[layer];
    const ts_view x = enter(pass, layer, TS_NORM_ATTENTION, rows, state->x, below);
    const ts_linear linears[] = {{pass, layer, TS_MODULE_Q, rows, training},
                                 {pass, layer, TS_MODULE_K, rows, training},
                                 {pass, layer, TS_MODULE_V, rows, training}};
    ts_linear_forward(linears, TS_COUNT(linears), x, (ts_view[]){state->q, state->k, state->v});
    ts_pass_norm_rope(pass, layer, rows);
    attend(pass, layer, rows);
    return leave(&(ts_linear){pass, layer, TS_MODULE_O, rows, training}, TS_NORM_ATTENTION_OUT,
                 state->o, state->attention_out, state->mid, &state->x);
}

// next = mid + down_proj(swiglu(norm(mid))), and the same of mid and next.
static const ts_view *mlp_block(ts_pass *pass, uint32_t layer, uint32_t rows, bool training,
                                const ts_view *below, ts_view next)
{
    ts_model *model = pass->model;
    ts_layer_state *state = &pass->layers[layer];
    const ts_view x = enter(pass, layer, TS_NORM_MLP, rows, state->mid, below);
    const struct ts_swiglu_args swiglu = {.gate = state->gate,
                                          .up = state->up,
                                          .y = pass->swiglu,
                                          .count = rows * model->config.ffn,
                                          .gelu = ts_pass_gelu(pass)};
    const ts_view largest = ts_pass_largest(pass, layer, TS_LARGEST_SWIGLU);
    const ts_linear linears[] = {{pass, layer, TS_MODULE_GATE, rows, training},
                                 {.pass = pass,
                                  .layer = layer,
                                  .module = TS_MODULE_UP,
                                  .rows = rows,
                                  .training = training,
                                  .swiglu = &swiglu,
                                  .largest_result = largest}};
    const ts_linear down = {.pass = pass,
                            .layer = layer,
                            .module = TS_MODULE_DOWN,
                            .rows = rows,
                            .training = training,
                            .largest_a = largest};
    ts_linear_forward(linears, TS_COUNT(linears), x, (ts_view[]){state->gate, state->up});
    return leave(&down, TS_NORM_MLP_OUT, pass->swiglu, state->mlp_out, next, &state->mid);
}

// The first layer's x = the embeddings of the batch's tokens: from the table that the host filled,
// or from the embedding on the device, one range of it after the other.
static void embed(ts_pass *pass, uint32_t rows)
{
    ts_model *model = pass->model;
    const ts_model_config *config = &model->config;
    const ts_vocabulary *embedding = &model->embedding;
    struct ts_embed_args args = {.ids = pass->io.ids,
                                 .table = pass->io.table,
                                 .y = pass->layers[0].x,
                                 .rows = rows,
                                 .cols = config->hidden,
                                 .vocab = pass->limits.rows,
                                 .scale = model->embedding_scale,
                                 .partial = embedding->count > 1};
    if (model->embedding_in_file) {
        ts_embed(pass->recorder, &args);
        return;
    }
    for (uint32_t i = 0; i < embedding->count; i++) {
        args.table = embedding->ranges[i];
        args.first_id = i * embedding->rows;
        args.vocab = (uint32_t)ts_min_u64(embedding->rows, config->vocab - args.first_id);
        ts_embed(pass->recorder, &args);
    }
}

// Adds NEFTune's noise to the embeddings. Its stream is none of dropout's, which number the
// modules. transformers divides by the root of the padded length; here no sequence is padded, and
// each has its own.
static void add_noise(ts_pass *pass, uint32_t rows)
{
    ts_neftune(pass->recorder,
               &(struct ts_neftune_args){.y = pass->layers[0].x,
                                         .first = pass->io.whole.first,
                                         .end = pass->io.whole.end,
                                         .rows = rows,
                                         .cols = pass->model->config.hidden,
                                         .seed_low = (uint32_t)pass->dropout_seed,
                                         .seed_high = (uint32_t)(pass->dropout_seed >> 32),
                                         .stream = UINT32_MAX,
                                         .alpha = pass->neftune_alpha});
}

void ts_pass_record_forward(ts_pass *pass, uint32_t rows, bool training)
{
    ts_model *model = pass->model;
    const ts_model_config *config = &model->config;
    if (pass->largest.buffer != NULL) {
        ts_recorder_zero(pass->recorder, pass->largest);
    }
    if (model->lora_enabled) {
        ts_dora_refresh(model, pass->recorder);
    }
    embed(pass, rows);
    if (training && pass->neftune_alpha > 0) {
        add_noise(pass, rows);
    }
    const ts_view *lacking = NULL;
    for (uint32_t layer = 0; layer < config->layers; layer++) {
        bool is_last = layer + 1 == config->layers;
        lacking = attention_block(pass, layer, rows, training, lacking);
        lacking = mlp_block(pass, layer, rows, training, lacking,
                            is_last ? pass->x : pass->layers[layer + 1].x);
    }
    if (lacking != NULL) {
        ts_add(pass->recorder,
               &(struct ts_add_args){.y = pass->x, .x = *lacking, .count = rows * config->hidden});
    }
}
