// Shared by the files of src/model alone.
#ifndef TS_MODEL_INTERNAL_H
#define TS_MODEL_INTERNAL_H

#include "model/pass.h"

// Places the adapter's tensors in its flat arrays. Without a device it only counts their floats.
ts_status ts_lora_place(ts_model *model, ts_error *err);

// Frees what the adapter has on the host.
void ts_lora_free(ts_lora *lora);

// The largest elements of the weights that a product in f16 must scale: the linear layers and
// lm_head where they are F32. _place takes memory for them; without a device it only counts the
// bytes. _find fills that memory.
ts_status ts_model_place_largest(ts_model *model, ts_precision precision, ts_error *err);
ts_status ts_model_find_largest(ts_model *model, ts_error *err);

// One linear layer of a pass over `rows` rows.
typedef struct ts_linear {
    ts_pass *pass;
    uint32_t layer;
    ts_module module;
    uint32_t rows;
    bool training; // apply the adapter's dropout
    // What follows from the layer's result, or NULL (ops/gemm.h): from y forward, from dx backward.
    const struct ts_swiglu_args *swiglu;
    const struct ts_swiglu_backward_args *swiglu_backward;
    ts_view addend; // [rows, out] F32, added to y as the product is made; no buffer: nothing is
    // ts_product's, forward of x and backward of dy: of all dy, in the first of several layers
    ts_view largest_a, largest_result;
} ts_linear;

// What linear layers read: x[rows, in] or, where it has not been computed, what makes it.
typedef struct ts_linear_input {
    ts_view x;
    ts_view stream, weight, rstd; // x is to be stream * rstd * weight (`rmsnorm_again`); no buffer:
                                  // x is there
} ts_linear_input;
// Computes x into its view if that has not been done.
void ts_linear_compute(const ts_linear *linear, ts_linear_input *input);
// y[rows, out] = x[rows, in] W^T + bias, where there is one. In an adapted module scale t B^T is
// added to it, where t[rows, R] = dropout(x) A^T. `count` layers read x; the pairs' first products
// come before the others, so that a device may work on all of them, and then on all the layers, at
// the same time.
void ts_linear_forward(const ts_linear *linears, uint32_t count, ts_view x, const ts_view *y);
// Adds to the gradients of the LoRA pairs of up to three layers that read x, from x and each one's
// dy[rows, out]. If `dx` is set (its buffer is not NULL), also computes the gradient of x; with
// `accumulate` it is added to dx.
void ts_linear_backward(const ts_linear *linears, uint32_t count, const ts_linear_input *x,
                        const ts_view *dy, ts_view dx, bool accumulate);

// Whether any of `modules` (TS_MODULE_BITs) has a LoRA pair.
static inline bool ts_pass_adapts(const ts_pass *pass, uint32_t modules)
{
    return pass->model->has_lora && (pass->model->lora.config.targets & modules) != 0;
}

// Whether the family has that norm.
static inline bool ts_pass_has(const ts_pass *pass, ts_norm norm)
{
    return ts_config_has_norm(&pass->model->config, norm);
}

// Which keys the rows of this layer's attention see.
static inline const ts_reach *ts_pass_reach(const ts_pass *pass, uint32_t layer)
{
    bool has_window = ts_config_window(&pass->model->config, layer) > 0;
    return has_window ? &pass->io.window : &pass->io.whole;
}

// A slot of pass->largest; no view where nothing is scaled.
static inline ts_view ts_pass_largest(const ts_pass *pass, uint32_t layer, ts_largest_slot slot)
{
    const uint64_t first = (uint64_t)layer * TS_LARGEST_SLOTS + slot;
    return pass->largest.buffer != NULL
               ? ts_view_slice(pass->largest, first * TS_LARGEST_COUNT, TS_LARGEST_COUNT)
               : (ts_view){0};
}

// Record the halves of a pass. The batch must have been uploaded.
void ts_pass_record_forward(ts_pass *pass, uint32_t rows, bool training);
void ts_pass_record_backward(ts_pass *pass, uint32_t rows);
// gathered_norm[M, H] = the final norm of the rows that bear loss.
void ts_pass_record_gather(ts_pass *pass, uint32_t rows, uint32_t loss_rows);
// logits[count, V] of the loss rows from `from` on.
void ts_pass_record_logits(ts_pass *pass, uint32_t from, uint32_t count);
// The log-probabilities of the labels of all loss rows. With `gradient`, gathered_norm is replaced
// by its gradient, that of the sum of weight * -log_probability over the rows.
void ts_pass_record_losses(ts_pass *pass, uint32_t loss_rows, bool gradient);
// dx[N, H], the gradient of the residual stream, from that of gathered_norm. It is zero in all
// other rows.
void ts_pass_record_loss_backward(ts_pass *pass, uint32_t rows, uint32_t loss_rows);
// The queries and keys that attention reads.
static inline ts_view ts_pass_q(const ts_pass *pass, uint32_t layer)
{
    return ts_pass_has(pass, TS_NORM_Q) ? pass->normed_q : pass->layers[layer].q;
}
static inline ts_view ts_pass_k(const ts_pass *pass, uint32_t layer)
{
    return ts_pass_has(pass, TS_NORM_K) ? pass->normed_k : pass->layers[layer].k;
}
// Computes these from the layer's q and k: normalises them where the family has such norms, then
// rotates them.
void ts_pass_norm_rope(const ts_pass *pass, uint32_t layer, uint32_t rows);
// How a layer rotates queries and keys: by rows of `table` [positions, head_dim / 2, 2], unless it
// does not.
typedef struct ts_rotation {
    bool rotated;
    ts_view table;
    uint32_t positions;
} ts_rotation;
ts_rotation ts_pass_rotation(const ts_pass *pass, uint32_t layer);
// Whether the gate's activation is GELU.
static inline bool ts_pass_gelu(const ts_pass *pass)
{
    return ts_family_of(pass->model->config.family)->gelu;
}

#endif
