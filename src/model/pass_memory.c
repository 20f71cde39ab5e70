// The memory of a pass. The tables below say in which phases each tensor's content is needed.
// ts_place then lets tensors that share no phase share memory.
#include "model/internal.h"

#include "base/memory.h"
#include "model/lora_folder.h"
#include "model/placement.h"
#include "ops/attention.h"

#include <assert.h>
#include <stdlib.h>

enum { ACTIVATION_BLOCK_BYTES = 96 << 20 };

// The phases of a pass: four for every layer forward, three for the loss, and four for every layer
// backward.
enum phase {
    QKV,          // the first norm; queries, keys and values
    ATTEND,       // rope, attention, o_proj
    GATE_UP,      // the second norm; gate, up and swiglu
    DOWN,         // down_proj
    GATHER,       // the rows that bear loss, and the final norm of them
    LOGITS,       // chunk by chunk: logits, losses, their gradient
    LOSS_BACK,    // the final norm backward, and the gradients put back to their rows
    BACK_DOWN,    // backward from here on: down_proj, swiglu; what was not kept is computed again
    BACK_GATE_UP, // gate and up; the second norm
    BACK_ATTEND,  // o_proj, attention, rope
    BACK_QKV,     // queries, keys and values; the first norm
};
#define BIT(phase) (1u << (phase))
#define LOSS (BIT(GATHER) | BIT(LOGITS) | BIT(LOSS_BACK))
#define BACK (BIT(BACK_DOWN) | BIT(BACK_GATE_UP) | BIT(BACK_ATTEND) | BIT(BACK_QKV))
#define BLOCKS (BIT(QKV) | BIT(ATTEND) | BIT(GATE_UP) | BIT(DOWN) | BACK)
#define ALWAYS (BLOCKS | LOSS)

// The number of a phase of `layer` in the order in which they run. For the loss any layer will do.
static uint32_t when(const ts_pass *pass, uint32_t layer, enum phase phase)
{
    uint32_t layers = pass->model->config.layers;
    return phase <= DOWN        ? 4 * layer + phase
           : phase <= LOSS_BACK ? 4 * layers + phase - GATHER
                                : 4 * layers + 3 + 4 * (layers - 1 - layer) + phase - BACK_DOWN;
}

// The tensors of a pass and their lifetimes as they are gathered.
struct table {
    ts_pass *pass;
    ts_placement *tensors; // NULL: they are only counted
    size_t count;
    size_t early;     // how many of them, the first, are placed before the others
    uint64_t *phases; // a set for each tensor; one set while they are counted
    uint32_t words;   // of a set of phases
};

static uint64_t *add(struct table *table, ts_view *view, uint64_t count, ts_dtype dtype)
{
    if (table->tensors == NULL) {
        table->count++;
        return table->phases;
    }
    uint64_t *phases = table->phases + table->count * table->words;
    table->tensors[table->count++] =
        (ts_placement){.views = {view}, .counts = {count}, .phases = phases, .dtype = dtype};
    return phases;
}

// Lays a tensor of the same type and lifetime behind those added last, so that a kernel can take
// them as one (ts_view_span).
static void add_beside(struct table *table, ts_view *view, uint64_t count)
{
    ts_placement *last = table->tensors != NULL ? &table->tensors[table->count - 1] : NULL;
    uint32_t i = 0;
    while (last != NULL && last->views[i] != NULL) {
        i++;
    }
    if (last != NULL) {
        assert(i < TS_SIDE_BY_SIDE);
        last->views[i] = view;
        last->counts[i] = count;
    }
}

// ---- What belongs to one layer

// A tensor of a layer, from the phase that makes it to the last that reads it.
struct kept {
    ts_view *view;
    uint64_t count; // elements
    enum phase first, last;
    ts_dtype dtype; // F32 unless set
};

static void add_kept(struct table *table, uint32_t layer, const struct kept *kept)
{
    uint64_t *phases = add(table, kept->view, kept->count, kept->dtype);
    ts_phases_add(phases, when(table->pass, layer, kept->first),
                  when(table->pass, layer, kept->last));
}

// The last phase that reads what a forward phase makes and its backward phase reads again.
static enum phase last_read(const ts_pass *pass, enum phase first)
{
    static const enum phase back[] = {
        [QKV] = BACK_QKV, [ATTEND] = BACK_ATTEND, [GATE_UP] = BACK_GATE_UP, [DOWN] = BACK_DOWN};
    return pass->limits.training ? back[first] : first;
}

// The precision in which activations are stored. Without training they take little memory, so they
// stay exact.
static ts_precision stored_precision(const ts_pass *pass)
{
    const ts_model_config *c = &pass->model->config;
    // what ACT buffers in 16 bits need
    const bool whole = c->hidden % 8 == 0 && c->ffn % 8 == 0 && c->head_dim % 8 == 0;
    const bool exact = !pass->limits.training || pass->limits.f32_activations || !whole;
    return exact ? TS_PRECISION_F32 : pass->model->precision;
}

// How the outputs of norms in front of blocks, queries, keys, values, attention's output, gate and
// up are stored.
static ts_dtype act_dtype(const ts_pass *pass)
{
    return ts_precision_activations(stored_precision(pass));
}

// How their gradients are, and swiglu's output: a product of two numbers, which f16 may not hold.
static ts_dtype gradient_dtype(const ts_pass *pass)
{
    return ts_precision_gradients(stored_precision(pass));
}

// gate and up: kept for the backward pass, or computed again in it.
static void add_gate_up(struct table *table, uint32_t layer)
{
    const ts_pass *pass = table->pass;
    ts_layer_state *state = &pass->layers[layer];
    const uint64_t count = (uint64_t)pass->limits.rows * pass->model->config.ffn;
    uint64_t *phases = add(table, &state->gate, count, act_dtype(pass));
    add_beside(table, &state->up, count);
    uint32_t first = when(pass, layer, GATE_UP), down = when(pass, layer, DOWN);
    if (!pass->limits.training) {
        ts_phases_add(phases, first, down);
    } else if (layer >= pass->limits.recompute) {
        ts_phases_add(phases, first, when(pass, layer, BACK_GATE_UP));
    } else {
        ts_phases_add(phases, first, down);
        ts_phases_add(phases, when(pass, layer, BACK_DOWN), when(pass, layer, BACK_GATE_UP));
    }
}

// The rank of an adapted module's pair, also while a pass is only planned.
static uint32_t rank_of(const ts_pass *pass, uint32_t layer, ts_module module)
{
    const ts_model *model = pass->model;
    return model->lora.pairs != NULL
               ? ts_lora_pair_of(model, layer, module)->r
               : ts_lora_rank(&model->config, &model->lora.config, layer, module);
}

// x A^T of each adapted module, computed together with the module's output.
static void add_lora_inputs(struct table *table, uint32_t layer)
{
    static const enum phase there[TS_MODULE_COUNT] = {
        [TS_MODULE_Q] = QKV,     [TS_MODULE_K] = QKV,        [TS_MODULE_V] = QKV,
        [TS_MODULE_O] = ATTEND,  [TS_MODULE_GATE] = GATE_UP, [TS_MODULE_UP] = GATE_UP,
        [TS_MODULE_DOWN] = DOWN,
    };
    ts_pass *pass = table->pass;
    const enum phase none = BACK_QKV;
    enum phase before = none; // of the module before, those of whose input lie side by side
    for (ts_module module = 0; module < TS_MODULE_COUNT; module++) {
        ts_view *t = &pass->layers[layer].t[module];
        const enum phase first = there[module];
        if (!ts_pass_adapts(pass, TS_MODULE_BIT(module))) {
            continue;
        }
        const uint64_t count = (uint64_t)pass->limits.rows * rank_of(pass, layer, module);
        if (first == before) {
            add_beside(table, t, count);
        } else {
            add_kept(table, layer, &(struct kept){t, count, first, last_read(pass, first)});
        }
        before = first;
    }
}

// The rstd of each norm, and the outputs of blocks that norms read.
static void add_norms(struct table *table, uint32_t layer)
{
    static const enum phase there[TS_NORM_COUNT] = {
        [TS_NORM_ATTENTION] = QKV, [TS_NORM_Q] = ATTEND,     [TS_NORM_K] = ATTEND,
        [TS_NORM_MLP] = GATE_UP,   [TS_NORM_MLP_OUT] = DOWN, [TS_NORM_ATTENTION_OUT] = ATTEND,
    };
    ts_pass *pass = table->pass;
    const ts_model_config *c = &pass->model->config;
    ts_layer_state *state = &pass->layers[layer];
    uint64_t n = pass->limits.rows;
    for (ts_norm norm = 0; norm < TS_NORM_COUNT; norm++) {
        const enum phase first = there[norm], last = last_read(pass, first);
        uint32_t parts, cols;
        if (!ts_config_has_norm(c, norm)) {
            continue;
        }
        ts_config_norm_shape(c, norm, &parts, &cols);
        add_kept(table, layer, &(struct kept){&state->rstd[norm], n * parts, first, last});
        if (norm == TS_NORM_ATTENTION_OUT || norm == TS_NORM_MLP_OUT) {
            ts_view *out = norm == TS_NORM_MLP_OUT ? &state->mlp_out : &state->attention_out;
            add_kept(table, layer, &(struct kept){out, n * c->hidden, first, last});
        }
    }
}

static void add_layer(struct table *table, uint32_t layer)
{
    ts_pass *pass = table->pass;
    const ts_model_config *c = &pass->model->config;
    ts_layer_state *state = &pass->layers[layer];
    bool back = pass->limits.training;
    uint64_t n = pass->limits.rows, q = ts_config_q_size(c), kv = ts_config_kv_size(c);
    const enum phase attended = last_read(pass, ATTEND);
    const ts_dtype act = act_dtype(pass);
    const struct kept rows[] = {
        {&state->q, n * q, QKV, attended, act},
        {&state->k, n * kv, QKV, attended, act},
        {&state->v, n * kv, QKV, attended, act},
        {&state->o, n * q, ATTEND, attended, act},
        {&state->lse, n * c->heads, ATTEND, attended, TS_F32},
    };
    for (size_t i = 0; i < TS_COUNT(rows); i++) {
        add_kept(table, layer, &rows[i]);
    }
    add_norms(table, layer);
    // The residual stream into a block is written by the block below, and read again when it is
    // added to the block's own output.
    bool lowest = layer == 0, highest = layer + 1 == c->layers;
    ts_phases_add(add(table, &state->x, n * c->hidden, TS_F32),
                  lowest ? 0 : when(pass, layer - 1, DOWN),
                  when(pass, layer, back ? BACK_QKV : GATE_UP));
    ts_phases_add(add(table, &state->mid, n * c->hidden, TS_F32), when(pass, layer, ATTEND),
                  back      ? when(pass, layer, BACK_GATE_UP)
                  : highest ? when(pass, layer, GATHER)
                            : when(pass, layer + 1, QKV));
    add_gate_up(table, layer);
    add_lora_inputs(table, layer);
}

// ---- What all layers use in turn, and the loss

// A tensor that every layer uses in these phases. Its content is not needed from one layer to the
// next.
struct scratch {
    ts_view *view;
    uint64_t count;  // elements; 0: there is none
    uint32_t phases; // BITs
    ts_dtype dtype;  // F32 unless set
    bool beside;     // the row before, whose phases and type are the same
};

static void add_scratch(struct table *table, const struct scratch *scratch)
{
    const ts_pass *pass = table->pass;
    uint64_t *phases = add(table, scratch->view, scratch->count, scratch->dtype);
    for (enum phase phase = QKV; phase <= BACK_QKV; phase++) {
        for (uint32_t layer = 0; layer < pass->model->config.layers; layer++) {
            if (scratch->phases & BIT(phase)) {
                uint32_t at = when(pass, layer, phase);
                ts_phases_add(phases, at, at);
            }
        }
    }
}

static void add_scratches(struct table *table, const struct scratch *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (rows[i].count > 0 && rows[i].beside) {
            add_beside(table, rows[i].view, rows[i].count);
        } else if (rows[i].count > 0) {
            add_scratch(table, &rows[i]);
        }
    }
}

static uint32_t most_rank(const ts_pass *pass)
{
    uint32_t most = 0;
    for (uint32_t i = 0; i < pass->model->config.layers * TS_MODULE_COUNT; i++) {
        const ts_module module = (ts_module)(i % TS_MODULE_COUNT);
        if (ts_pass_adapts(pass, TS_MODULE_BIT(module))) {
            most = (uint32_t)ts_max_u64(most, rank_of(pass, i / TS_MODULE_COUNT, module));
        }
    }
    return most;
}

// As many rows of logits as fit into the memory that holds an MLP's values in f32 at other times.
// In 16 bits there is room for as many: then much else is smaller, and each chunk reads the whole
// lm_head twice. With many_logits as many as it takes to make that no longer matter, in at most
// 256 MiB. It is a multiple of 64, so that a chunk's slice of any view starts aligned.
static uint32_t choose_logit_rows(const ts_pass *pass)
{
    enum { ENOUGH_ROWS = 1024, MOST_LOGITS = (256 << 20) / sizeof(float) };
    const ts_model_config *c = &pass->model->config;
    uint64_t n = pass->limits.rows, m = pass->limits.loss_rows;
    uint64_t mlp = n * c->ffn, place = mlp - ts_min_u64(mlp, m * c->hidden);
    if (pass->limits.many_logits) {
        place = ts_max_u64(place, ts_min_u64(MOST_LOGITS, ENOUGH_ROWS * (uint64_t)c->vocab));
    }
    return (uint32_t)ts_min_u64(m, ts_max_u64(64, place / c->vocab / 64 * 64));
}

// Elements for parts of dk and dv; 0: they are computed at once. They take no more memory than
// dswiglu has at other times.
static uint64_t parts_count(const ts_pass *pass)
{
    const ts_model_config *c = &pass->model->config;
    const uint64_t n = pass->limits.rows;
    const uint64_t most = ts_dtype_size(gradient_dtype(pass), n * c->ffn) / sizeof(float);
    const uint32_t parts =
        ts_attention_parts((uint32_t)n, c->heads, c->kv_heads, c->head_dim, most);
    return ts_attention_parts_count((uint32_t)n, c->kv_heads, c->head_dim, parts);
}

// Only where queries and keys have norms do they exist twice, before and after these.
static uint64_t normed_rows(const ts_pass *pass)
{
    return ts_config_has_norm(&pass->model->config, TS_NORM_Q) ? pass->limits.rows : 0;
}

static void add_shared(struct table *table)
{
    ts_pass *pass = table->pass;
    const ts_model_config *c = &pass->model->config;
    uint64_t n = pass->limits.rows, m = pass->limits.loss_rows, h = c->hidden;
    const bool back = pass->limits.training;
    // The backward pass computes swiglu's output again only for the gradient of down_proj's pair.
    const bool again = back && ts_pass_adapts(pass, TS_MODULE_BIT(TS_MODULE_DOWN));
    const uint32_t gathered = back ? LOSS : BIT(GATHER);
    const uint64_t normed = normed_rows(pass);
    const uint32_t normed_in = BIT(ATTEND) | (back ? BIT(BACK_ATTEND) : 0);
    const ts_dtype act = act_dtype(pass);
    const struct scratch rows[] = {
        {&pass->norm, n * h,
         BIT(QKV) | BIT(GATE_UP) | (back ? BIT(BACK_DOWN) | BIT(BACK_GATE_UP) | BIT(BACK_QKV) : 0),
         act},
        {&pass->normed_q, normed * ts_config_q_size(c), normed_in, act},
        {&pass->normed_k, normed * ts_config_kv_size(c), normed_in, act},
        {&pass->swiglu, n * c->ffn, BIT(GATE_UP) | BIT(DOWN) | (again ? BIT(BACK_DOWN) : 0),
         gradient_dtype(pass)},
        {&pass->gathered, m * h, gathered},
        {&pass->gathered_rstd, m, gathered},
        {&pass->gathered_norm, m * h, gathered | BIT(LOGITS)},
        {&pass->logits, pass->logit_rows * (uint64_t)c->vocab, BIT(LOGITS)},
    };
    add_scratches(table, rows, TS_COUNT(rows));
    ts_phases_add(add(table, &pass->x, n * h, TS_F32), when(pass, c->layers - 1, DOWN),
                  when(pass, 0, GATHER));
}

static void add_shared_backward(struct table *table)
{
    ts_pass *pass = table->pass;
    const ts_model_config *c = &pass->model->config;
    uint64_t n = pass->limits.rows, m = pass->limits.loss_rows, h = c->hidden;
    uint64_t q = ts_config_q_size(c), kv = ts_config_kv_size(c);
    const uint64_t normed = normed_rows(pass);
    const ts_dtype gradient = gradient_dtype(pass);
    const bool has_out =
        ts_config_has_norm(c, TS_NORM_ATTENTION_OUT) || ts_config_has_norm(c, TS_NORM_MLP_OUT);
    const ts_adapter_config *adapter = &pass->model->lora.config;
    uint64_t longest = ts_max_u64(c->ffn, ts_max_u64(q, h));
    const uint32_t mlp_back = BIT(BACK_DOWN) | BIT(BACK_GATE_UP);
    const uint32_t heads_back = BIT(BACK_ATTEND) | BIT(BACK_QKV);
    const uint64_t apart = act_dtype(pass) != gradient ? n * c->ffn : 0, rank = most_rank(pass);
    const struct scratch backward[] = {
        {&pass->dgathered, m * h, BIT(LOSS_BACK)},
        {&pass->dx, n * h, BIT(LOSS_BACK) | BACK},
        {&pass->dswiglu, n * c->ffn, BIT(BACK_DOWN), gradient},
        {&pass->dgate, apart, mlp_back, gradient},
        {&pass->dup, apart, mlp_back, gradient, .beside = true},
        {&pass->dout_block, has_out ? n * h : 0, BIT(BACK_DOWN) | BIT(BACK_ATTEND)},
        {&pass->dnorm, n * h, BIT(BACK_GATE_UP) | BIT(BACK_QKV), gradient},
        {&pass->dout, n * q, BIT(BACK_ATTEND), gradient},
        {&pass->delta, n * c->heads, BIT(BACK_ATTEND)},
        {&pass->dnormed_q, normed * q, heads_back, gradient},
        {&pass->dnormed_k, normed * kv, heads_back, gradient, .beside = true},
        {&pass->dq, n * q, heads_back, gradient, .beside = normed > 0},
        {&pass->dk, n * kv, heads_back, gradient, .beside = true},
        {&pass->dv, n * kv, heads_back, gradient, .beside = true},
        {&pass->parts, parts_count(pass), BIT(BACK_ATTEND)},
        {&pass->dt[0], n * rank, BACK},
        {&pass->dt[1], n * rank, BACK, .beside = true},
        {&pass->dt[2], n * rank, BACK, .beside = true},
        {&pass->dropped, adapter->dropout > 0 ? n * longest : 0, BLOCKS},
        {&pass->unscaled, adapter->use_dora ? n * longest : 0, BACK},
    };
    add_scratches(table, backward, TS_COUNT(backward));
}

// What is needed in all phases: the gradients even from one pass to the next.
static void add_lasting(struct table *table)
{
    ts_pass *pass = table->pass;
    const ts_lora *lora = &pass->model->lora;
    uint64_t floats = lora->count, parameters;
    add_scratch(table, &(struct scratch){&pass->rounding.largest_a, 256, ALWAYS});
    add_scratch(table, &(struct scratch){&pass->rounding.largest_b, 256, ALWAYS});
    if (pass->limits.training && act_dtype(pass) == TS_F16) {
        const uint64_t slots = (uint64_t)TS_LARGEST_SLOTS * pass->model->config.layers;
        add_scratch(table, &(struct scratch){&pass->largest, slots * TS_LARGEST_COUNT, ALWAYS});
    }
    if (pass->limits.training) {
        if (lora->pairs == NULL) { // it is only planned
            ts_lora_measure(&pass->model->config, &lora->config, &floats, &parameters);
        }
        add_scratch(table, &(struct scratch){&pass->gradients, floats, ALWAYS});
    }
}

// ---- The whole

static void gather(struct table *table)
{
    const ts_pass *pass = table->pass;
    table->count = 0;
    add_shared(table);
    if (pass->limits.training) {
        add_shared_backward(table);
    }
    // Without training the layers' own tensors share memory too, so none need be placed first.
    table->early = pass->limits.training ? table->count : 0;
    for (uint32_t layer = 0; layer < pass->model->config.layers; layer++) {
        add_layer(table, layer);
    }
    add_lasting(table);
}

// Gathers the tensors twice: at first to count them.
static ts_status fill_table(struct table *table, ts_error *err)
{
    ts_status status = TS_OK;
    TS_TRY(ts_alloc(table->words, sizeof *table->phases, &table->phases, err));
    gather(table);
    free(table->phases);
    table->phases = NULL;
    TS_TRY(ts_alloc(table->count, sizeof *table->tensors, &table->tensors, err));
    TS_TRY(ts_alloc(table->count * table->words, sizeof *table->phases, &table->phases, err));
    gather(table);
out:
    return status;
}

static ts_status place_device(ts_pass *pass, ts_error *err)
{
    ts_status status = TS_OK;
    uint32_t layers = pass->model->config.layers;
    struct table table = {.pass = pass, .words = (8 * layers + 3) / 64 + 1};
    assert(pass->limits.recompute < layers);
    TS_TRY(ts_alloc(layers, sizeof *pass->layers, &pass->layers, err));
    pass->logit_rows = choose_logit_rows(pass);
    TS_TRY(fill_table(&table, err));
    for (size_t i = 0; i < table.count; i++) {
        pass->largest_bytes =
            ts_max_u64(pass->largest_bytes, ts_placement_bytes(&table.tensors[i]));
    }
    TS_TRY(ts_place(table.tensors, table.count, table.early, table.words, ACTIVATION_BLOCK_BYTES,
                    &pass->device, err));
out:
    free(table.tensors);
    free(table.phases);
    return status;
}

// What the host writes and reads; nothing of it shares memory.
static ts_status place_io(ts_pass *pass, ts_pass_io *io, ts_error *err)
{
    ts_status status = TS_OK;
    const ts_model *model = pass->model;
    uint64_t n = pass->limits.rows, m = pass->limits.loss_rows;
    const struct {
        ts_dtype dtype;
        ts_view *view;
        uint64_t count;
    } rows[] = {
        {TS_U32, &io->ids, n},
        {TS_U32, &io->position, n},
        {TS_U32, &io->whole.first, n},
        {TS_U32, &io->last, n},
        {TS_U32, &io->whole.end, n},
        {TS_U32, &io->loss_row, m},
        {TS_U32, &io->label, m},
        {TS_F32, &io->weight, m},
        {TS_F32, &io->log_probability, m},
        {model->embedding_dtype, &io->table,
         n * model->config.hidden}, // last, for it may be left out
    };
    for (size_t i = 0; i < TS_COUNT(rows) - !model->embedding_in_file; i++) {
        TS_TRY(ts_gpu_alloc(&pass->host, rows[i].dtype, rows[i].count, rows[i].view, err));
    }
    if (model->config.window > 0) {
        TS_TRY(ts_gpu_alloc(&pass->host, TS_U32, n, &io->window.first, err));
        TS_TRY(ts_gpu_alloc(&pass->host, TS_U32, n, &io->window.end, err));
    }
out:
    return status;
}

static ts_status place(ts_pass *pass, ts_error *err)
{
    ts_status status = TS_OK;
    TS_TRY(place_io(pass, &pass->io, err));
    if (pass->limits.training) {
        TS_TRY(place_io(pass, &pass->other, err));
    }
    TS_TRY(place_device(pass, err));
out:
    return status;
}

// Room for as many sequences as rows.
static ts_status alloc_sequences(ts_loss_sequences *sequences, uint32_t rows, ts_error *err)
{
    ts_status status = ts_alloc(rows, sizeof *sequences->loss_rows, &sequences->loss_rows, err);
    return status == TS_OK
               ? ts_alloc(rows, sizeof *sequences->reference, &sequences->reference, err)
               : status;
}

static void free_sequences(ts_loss_sequences *sequences)
{
    free(sequences->loss_rows);
    free(sequences->reference);
}

ts_status ts_pass_open(ts_model *model, ts_pass_limits limits, ts_pass *out, ts_error *err)
{
    ts_status status = TS_OK;
    *out = (ts_pass){
        .model = model,
        .limits = limits,
        .loss = &ts_losses[TS_LOSS_cross_entropy],
        .device = {.gpu = model->gpu, .block_bytes = 1 << 16}, // ts_place asks for whole blocks
        .host = {.gpu = model->gpu, .place = TS_PLACE_HOST, .block_bytes = 1 << 16},
    };
    out->rounding.precision = model->precision;
    out->limits.f32_activations |= ts_gpu_capabilities(model->gpu)->f32_activations;
    TS_TRY(place(out, err));
    TS_TRY(ts_recorder_open(model->gpu, &out->recorder, err));
    if (limits.training) {
        ts_recorder_zero(out->recorder, out->gradients);
        TS_TRY(ts_recorder_run(out->recorder, err));
        TS_TRY(alloc_sequences(&out->io.sequences, limits.rows, err));
        TS_TRY(alloc_sequences(&out->other.sequences, limits.rows, err));
    }
    TS_TRY(ts_alloc(limits.loss_rows, sizeof *out->host_weight, &out->host_weight, err));
    TS_TRY(ts_alloc(limits.loss_rows, sizeof *out->host_log_probability, &out->host_log_probability,
                    err));
out:
    if (status != TS_OK) {
        ts_error_context(err, "activations of %u tokens", limits.rows);
        ts_pass_close(out);
    }
    return status;
}

void ts_pass_close(ts_pass *pass)
{
    ts_recorder_close(pass->recorder);
    ts_gpu_arena_close(&pass->device);
    ts_gpu_arena_close(&pass->host);
    free_sequences(&pass->io.sequences);
    free_sequences(&pass->other.sequences);
    free(pass->layers);
    free(pass->host_weight);
    free(pass->host_log_probability);
    *pass = (ts_pass){0};
}

ts_status ts_pass_plan(const ts_model_config *config, ts_dtype dtype, bool embedding_in_file,
                       const ts_adapter_config *adapter, ts_precision precision,
                       ts_pass_limits limits, uint64_t *bytes, uint64_t *largest, ts_error *err)
{
    ts_model model = {.config = *config,
                      .precision = precision,
                      .has_lora = adapter != NULL,
                      .embedding_in_file = embedding_in_file && !config->tied,
                      .embedding_dtype = dtype};
    if (adapter != NULL) {
        model.lora.config = *adapter;
    }
    ts_pass pass = {.model = &model, .limits = limits};
    ts_status status = place(&pass, err);
    *bytes = pass.device.used_bytes + pass.host.used_bytes;
    *largest = pass.largest_bytes;
    free(pass.layers);
    return status;
}
