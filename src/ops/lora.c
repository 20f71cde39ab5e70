#include "ops/lora.h"

#include "ops/gemm.h"

#include <assert.h>

bool ts_lora_is_thin(const ts_gpu_caps *caps, uint32_t side)
{
    enum { FEW = 16 }; // the wide operand is read once for 4 or 8 of them
    return side <= FEW && !ts_gpu_is_simd(caps);
}

// ---- Views that are bound as one

// Extends *whole by `view`. false: the device cannot bind so much, or `view` would begin where a
// shader that counts elements from the whole's first one, and loads quads, cannot find it.
static bool join(const ts_gpu_caps *caps, ts_view view, ts_view *whole)
{
    enum { QUAD_BYTES = 16 };
    ts_view joined = *whole;
    if (!ts_view_join(&joined, view)) {
        return false;
    }
    const bool is_first = whole->buffer == NULL;
    if (!is_first && (joined.bytes > caps->max_binding_bytes ||
                      joined.bytes / ts_dtype_bytes(joined.dtype) > UINT32_MAX ||
                      (view.offset - whole->offset) % QUAD_BYTES != 0)) {
        return false;
    }
    *whole = joined;
    return true;
}

// The element of `whole` where `view` begins.
static uint32_t element_of(ts_view whole, ts_view view)
{
    return (uint32_t)((view.offset - whole.offset) / ts_dtype_bytes(whole.dtype));
}

// The fields of a kernel's arguments that hold a number of each pair.
#define OF_PAIRS(name)                                                                             \
    {                                                                                              \
        &args.name##_0, &args.name##_1, &args.name##_2                                             \
    }

// ---- Products

// c[rows, rank] = scale a b, by the layout.
struct product {
    ts_view a, b, c;
    uint32_t rank, k;
    float scale;
};

static bool multiply_together(ts_recorder *recorder, ts_layout layout, uint32_t rows,
                              const struct product *products, uint32_t count)
{
    const ts_gpu_caps *caps = ts_gpu_capabilities(ts_recorder_gpu(recorder));
    struct ts_lora_products_args args = {.rows = rows, .layout = layout};
    uint32_t *const rank[] = OF_PAIRS(rank), *const k[] = OF_PAIRS(k),
                    *const a_at[] = OF_PAIRS(a_at), *const b_at[] = OF_PAIRS(b_at),
                    *const c_at[] = OF_PAIRS(c_at);
    float *const scale[] = OF_PAIRS(scale);
    for (uint32_t p = 0; p < count; p++) {
        if (!join(caps, products[p].a, &args.a) || !join(caps, products[p].b, &args.b) ||
            !join(caps, products[p].c, &args.c)) {
            return false;
        }
    }
    for (uint32_t p = 0; p < count; p++) {
        *rank[p] = products[p].rank;
        *k[p] = products[p].k;
        *scale[p] = products[p].scale;
        *a_at[p] = element_of(args.a, products[p].a);
        *b_at[p] = element_of(args.b, products[p].b);
        *c_at[p] = element_of(args.c, products[p].c);
    }
    ts_lora_products(recorder, &args);
    return true;
}

static void multiply(ts_recorder *recorder, ts_layout layout, uint32_t rows,
                     const struct product *products, uint32_t count)
{
    if (count > 1 && multiply_together(recorder, layout, rows, products, count)) {
        return;
    }
    for (uint32_t p = 0; p < count; p++) {
        multiply_together(recorder, layout, rows, &products[p], 1);
    }
}

void ts_lora_forward_group(ts_recorder *recorder, ts_view x, uint32_t rows, uint32_t in_size,
                           const ts_lora_group_pair *pairs, uint32_t count)
{
    struct product products[TS_MOST_TOGETHER];
    assert(count <= TS_MOST_TOGETHER);
    for (uint32_t p = 0; p < count; p++) {
        const ts_lora_group_pair *pair = &pairs[p];
        products[p] = (struct product){x, pair->a, pair->t, pair->rank, in_size, 1};
    }
    multiply(recorder, TS_NT, rows, products, count);
}

void ts_lora_backward_group(ts_recorder *recorder, uint32_t rows, const ts_lora_group_pair *pairs,
                            uint32_t count)
{
    struct product products[TS_MOST_TOGETHER];
    assert(count <= TS_MOST_TOGETHER);
    for (uint32_t p = 0; p < count; p++) {
        const ts_lora_group_pair *pair = &pairs[p];
        products[p] =
            (struct product){pair->dy, pair->b, pair->dt, pair->rank, pair->out_size, pair->scale};
    }
    multiply(recorder, TS_NN, rows, products, count);
}

// ---- Gradients

static bool add_together(ts_recorder *recorder, struct ts_lora_gradients_args args,
                         const ts_lora_group_pair *pairs, uint32_t count)
{
    const ts_gpu_caps *caps = ts_gpu_capabilities(ts_recorder_gpu(recorder));
    uint32_t *const out_size[] = OF_PAIRS(out_size), *const rank[] = OF_PAIRS(rank),
                    *const dy_at[] = OF_PAIRS(dy_at), *const t_at[] = OF_PAIRS(t_at),
                    *const dt_at[] = OF_PAIRS(dt_at), *const da_at[] = OF_PAIRS(da_at),
                    *const db_at[] = OF_PAIRS(db_at);
    float *const scale[] = OF_PAIRS(scale);
    for (uint32_t p = 0; p < count; p++) {
        const ts_lora_group_pair *pair = &pairs[p];
        if (!join(caps, pair->dy, &args.dy) || !join(caps, pair->t, &args.t) ||
            !join(caps, pair->dt, &args.dt) || !join(caps, pair->da, &args.gradients) ||
            !join(caps, pair->db, &args.gradients)) {
            return false;
        }
    }
    for (uint32_t p = 0; p < count; p++) {
        const ts_lora_group_pair *pair = &pairs[p];
        *out_size[p] = pair->out_size;
        *rank[p] = pair->rank;
        *scale[p] = pair->scale;
        *dy_at[p] = element_of(args.dy, pair->dy);
        *t_at[p] = element_of(args.t, pair->t);
        *dt_at[p] = element_of(args.dt, pair->dt);
        *da_at[p] = element_of(args.gradients, pair->da);
        *db_at[p] = element_of(args.gradients, pair->db);
    }
    ts_lora_gradients(recorder, &args);
    return true;
}

void ts_lora_gradients_group(ts_recorder *recorder, const ts_lora_input *input, uint32_t rows,
                             uint32_t in_size, const ts_lora_group_pair *pairs, uint32_t count)
{
    const bool normed = input->rstd.buffer != NULL;
    const struct ts_lora_gradients_args args = {.x = input->x,
                                                .rstd = normed ? input->rstd : input->x,
                                                .weight = normed ? input->weight : input->x,
                                                .rows = rows,
                                                .in_size = in_size,
                                                .normed = normed};
    assert(count <= TS_MOST_TOGETHER);
    if (count > 1 && add_together(recorder, args, pairs, count)) {
        return;
    }
    for (uint32_t p = 0; p < count; p++) {
        if (!add_together(recorder, args, &pairs[p], 1)) {
            ts_error err = {0};
            ts_error_set(&err, TS_ERR_UNSUPPORTED,
                         "the gradients of a LoRA pair lie too far apart to be bound as one");
            ts_recorder_fail(recorder, &err);
        }
    }
}
