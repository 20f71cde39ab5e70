// What the files of this floor share and nobody else sees.
#ifndef TS_MODEL_INTERNAL_H
#define TS_MODEL_INTERNAL_H

#include "model/pass.h"

// Places the adapter's tensors in its flat arrays; with no device it only counts.
ts_status ts_lora_place(ts_model *model, ts_error *err);

// One linear layer of a pass over `rows` rows.
typedef struct ts_linear {
    ts_pass *pass;
    uint32_t layer;
    ts_module module;
    uint32_t rows;
    bool training; // dropout where the adapter has some
} ts_linear;
// y[rows, out] = x[rows, in] W^T, and where the module is adapted + scale t B^T with t[rows, R] =
// dropout(x) A^T.
void ts_linear_forward(const ts_linear *linear, ts_view x, ts_view y);
// From dy: adds to the pair's gradients; with `dx` set (buffer not NULL) also dx = or += dy W ....
void ts_linear_backward(const ts_linear *linear, ts_view x, ts_view dy, ts_view dx,
                        bool accumulate);

// Whether any of `modules` (TS_MODULE_BITs) has a LoRA pair.
static inline bool ts_pass_adapts(const ts_pass *pass, uint32_t modules)
{
    return pass->model->has_lora && (pass->model->lora.config.targets & modules) != 0;
}

// What the layer's attention sees.
static inline const ts_reach *ts_pass_reach(const ts_pass *pass, uint32_t layer)
{
    bool has_window = ts_config_window(&pass->model->config, layer) > 0;
    return has_window ? &pass->io.window : &pass->io.whole;
}

// The halves of a pass, on rows that were uploaded already.
void ts_pass_record_forward(ts_pass *pass, uint32_t rows, bool training);
void ts_pass_record_backward(ts_pass *pass, uint32_t rows);
// gathered_norm = the final norm of the rows that bear loss, and of them alone.
void ts_pass_record_gather(ts_pass *pass, uint32_t rows, uint32_t loss_rows);
// logits[count, V] of the loss rows from `from` on.
void ts_pass_record_logits(ts_pass *pass, uint32_t from, uint32_t count);
// The log-probabilities of the labels of all loss rows; with `gradient` gathered_norm becomes the
// gradient of the sum of weight * -log_probability.
void ts_pass_record_losses(ts_pass *pass, uint32_t loss_rows, bool gradient);
// dx of the residual stream from it.
void ts_pass_record_loss_backward(ts_pass *pass, uint32_t rows, uint32_t loss_rows);
// Turns the heads of q [rows, heads, head_dim] and k [rows, kv_heads, head_dim] by their rows'
// positions; sign -1 turns back.
void ts_pass_rope(const ts_pass *pass, uint32_t rows, float sign, ts_view q, ts_view k);

#endif
