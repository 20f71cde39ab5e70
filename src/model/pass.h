// One pass through the model over a packed batch: the forward pass, the loss, and the backward pass
// to the adapter's gradients. Shapes in comments: N rows of the batch, M rows that bear loss, H
// hidden, F ffn, Q and KV the widths of queries and keys, V vocabulary, R LoRA rank.
#ifndef TS_MODEL_PASS_H
#define TS_MODEL_PASS_H

#include "model/batch.h"
#include "model/losses.h"
#include "model/model.h"

// How large a batch may be, and whether gradients are wanted.
typedef struct ts_pass_limits {
    uint32_t rows, loss_rows;
    bool training;
    uint32_t recompute; // the first so many layers, never the last one, compute gate and up again
                        // in the backward pass instead of keeping them
    // Logits of more rows at a time than fit into the memory of an MLP's values: lm_head is read
    // less often, and its products have tiles enough for a GPU. Not where memory is short.
    bool many_logits;
    // Nothing is stored in 16 bits, whatever the precision.
    bool f32_activations;
} ts_pass_limits;

// What the backward pass needs of one layer.
typedef struct ts_layer_state {
    ts_view x, mid;              // [N, H] the residual stream into attention and into the MLP
    ts_view rstd[TS_NORM_COUNT]; // [N, ts_config_norm_shape's parts]
    ts_view q, k, v, o; // [N, Q], [N, KV], [N, KV], [N, Q]; q and k rotated, unless they have norms
    ts_view lse;        // [N, heads]
    ts_view gate, up;   // [N, F]
    ts_view attention_out, mlp_out; // [N, H] the blocks' outputs, where they have norms
    ts_view t[TS_MODULE_COUNT];     // [N, R] x A^T of each adapted module
} ts_layer_state;

// Keys and values of several sequences, kept from pass to pass. decode.h fills and reads it.
typedef struct ts_kv_cache {
    ts_view *k, *v; // [layers] of [S, KV]; S cache rows
    uint32_t rows;  // S
    ts_view row;    // [N] INDEX: the cache row that takes each batch row's key and value
    bool attend;    // batch rows attend to cache rows first .. last, not to each other
} ts_kv_cache;

// What attention sees, [N] INDEX: row t sees keys from row first[t] on, and the key of row t is
// seen by rows before end[t].
typedef struct ts_reach {
    ts_view first, end;
} ts_reach;

// What the host writes for a batch, and what it reads back.
typedef struct ts_pass_io {
    ts_view ids, position, last; // [N] INDEX
    ts_reach whole, window;      // window: only where a layer of the model has one
    ts_view table;               // [N, H] the rows of an embedding that stays in its file
    ts_view loss_row, label;     // [M] INDEX; ts_pass_next has its tokens written to label
    ts_view weight;              // [M] of each row's loss in the gradient
    ts_view log_probability;     // [M] of the labels
    uint32_t loss_rows;          // of the batch
    ts_loss_sequences sequences; // of it, on the host
} ts_pass_io;

// Operands of products whose largest elements the kernels that write them find.
typedef enum ts_largest_slot {
    TS_LARGEST_SWIGLU,
    TS_LARGEST_DX_MLP,       // the residual stream's gradient as the MLP's backward pass takes it
    TS_LARGEST_DX_ATTENTION, // as attention's does
    TS_LARGEST_DGATE_UP,     // dgate and dup together
    TS_LARGEST_DQKV,         // dq, dk and dv together
    TS_LARGEST_SLOTS
} ts_largest_slot;

typedef struct ts_pass {
    ts_model *model;
    ts_recorder *recorder; // the pass, and the optimiser after it, record into it
    ts_rounding rounding;  // of products with the base's weights
    ts_pass_limits limits;
    const ts_loss *loss; // whose gradient is computed: cross-entropy unless set otherwise
    ts_loss_params loss_params;
    ts_rewards rewards;       // of the batch whose loss was read last, if the loss is over pairs
    const ts_kv_cache *cache; // NULL: keys and values are not kept after a pass
    ts_gpu_arena device, host;
    uint64_t largest_bytes; // of the tensors in `device`
    ts_pass_io io;          // of the present batch
    ts_pass_io other;       // training: of the batch before, which the device may still be using
    uint32_t unread;        // batches recorded whose losses have not been read
    ts_layer_state *layers; // [layers]
    // pass_memory.c says when each of these is needed. At other times other tensors use its memory.
    ts_view x, dx;                // [N, H] the residual stream out of the last layer
    ts_view norm, dnorm;          // [N, H] the output of a norm in front of a block
    ts_view normed_q, normed_k;   // [N, Q], [N, KV] queries and keys as attention reads them, where
                                  // they have norms
    ts_view dout_block;           // [N, H] the gradient of attention_out or mlp_out
    ts_view swiglu, dswiglu;      // [N, F] swiglu's output
    ts_view dropped;              // [N, max(F, Q, H)] a LoRA input after dropout
    ts_view dq, dk, dv, dout;     // [N, Q], [N, KV], [N, KV], [N, Q]
    ts_view delta;                // [N, heads]
    ts_view parts;                // of dk and dv, one after the other (ts_attention_parts)
    ts_view dt[TS_MOST_TOGETHER]; // [N, R] of up to three modules with one input
    ts_view largest;   // [layers, TS_LARGEST_SLOTS, 256] where gradients are scaled (f16)
    ts_view unscaled;  // [N, max(F, Q, H)] with DoRA: what magnitudes multiply; its gradient
    ts_view gradients; // training: a flat array laid out as the adapter's values are
    ts_view gathered, dgathered; // [M, H] rows of x that bear loss
    ts_view gathered_norm;       // [M, H] the final norm of them, replaced chunk by chunk by its
                                 // gradient when that is computed
    ts_view gathered_rstd;       // [M]
    ts_view logits;              // [chunk, V]
    uint32_t logit_rows;         // rows of a chunk
    // The gradients of the layer's q and k, where these have norms.
    ts_view dnormed_q, dnormed_k;
    // [N, F] Gradients, where they are stored otherwise than gate and up. Else they take the places
    // of these.
    ts_view dgate, dup;
    float *host_log_probability; // [M] of the labels
    float *host_weight;          // [M] of each row in the gradient
    uint64_t dropout_seed;       // changes with every micro-batch
    // Where set, it is called whenever the gradients of a layer have been recorded: from the last
    // layer to the first. A batch without loss has none.
    void (*layer_done)(void *user, uint32_t layer);
    void *layer_user;
    float neftune_alpha; // of the noise on the embeddings while training; 0: none
} ts_pass;

// A pass that trains needs a model with an adapter.
ts_status ts_pass_open(ts_model *model, ts_pass_limits limits, ts_pass *out, ts_error *err);
void ts_pass_close(ts_pass *pass); // waits for what is on the device
// *bytes: device bytes that ts_pass_open would take for a model of this shape, its weights of that
// type, with this adapter and precision. *largest: the bytes of the largest tensor among them.
ts_status ts_pass_plan(const ts_model_config *config, ts_dtype dtype, bool embedding_in_file,
                       const ts_adapter_config *adapter, ts_precision precision,
                       ts_pass_limits limits, uint64_t *bytes, uint64_t *largest, ts_error *err);

// Cross-entropy without a gradient: *loss_sum is the sum, not the mean, over the batch's M labels
// of the negative log-probability (nats).
ts_status ts_pass_loss(ts_pass *pass, const ts_batch *batch, double *loss_sum, ts_error *err);
// The same for each label: losses[M], in nats.
ts_status ts_pass_losses(ts_pass *pass, const ts_batch *batch, float *losses, ts_error *err);

// Forward and backward: adds the gradient of gradient_scale * loss, of pass->loss, to
// pass->gradients, which are zero when a pass is opened. `dropout_seed` decides the masks where the
// adapter has dropout. *loss is that of the batch, without the scale; for cross-entropy the sum
// over its rows, in nats.
ts_status ts_pass_gradients(ts_pass *pass, const ts_batch *batch, float gradient_scale,
                            uint64_t dropout_seed, double *loss, ts_error *err);

// The same in two halves, so that the host can prepare a batch while the device runs the one
// before. Record a batch, send the recorder's work, and once it is done read the loss of the oldest
// unread batch. At most two may be unread. After a failure there is nothing left to read.
ts_status ts_pass_record_gradients(ts_pass *pass, const ts_batch *batch, float gradient_scale,
                                   uint64_t dropout_seed, ts_error *err);
ts_status ts_pass_read_loss(ts_pass *pass, double *loss, ts_error *err);

// Logits of the batch's M loss rows, in order: out[M, V].
ts_status ts_pass_logits(ts_pass *pass, const ts_batch *batch, float *out, ts_error *err);

// The likeliest token after each of the batch's M loss rows, in order: next[M]. TS_ERR_RUN if
// logits are NaN or infinite.
ts_status ts_pass_next(ts_pass *pass, const ts_batch *batch, uint32_t *next, ts_error *err);

#endif
