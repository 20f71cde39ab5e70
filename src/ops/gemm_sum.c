// Sums of products in one dispatch: what several linear layers that read the same give back to it.
#include "ops/gemm.h"

#include <assert.h>

// Whether a device may bind views of so many bytes.
static bool fits(const ts_gpu_caps *caps, const ts_product *sum)
{
    return sum->a.bytes <= caps->max_binding_bytes && sum->b.bytes <= caps->max_binding_bytes &&
           sum->extra.a.bytes <= caps->max_binding_bytes &&
           sum->extra.b.bytes <= caps->max_binding_bytes;
}

// The extra pairs of those products that have one, as the first terms' pairs; the other terms' are
// empty, behind the last. false: they cannot be bound as one.
static bool join_extras(const ts_product *products, uint32_t count, ts_product_terms *terms,
                        ts_product_extra *out)
{
    ts_view a[TS_MOST_TOGETHER], b[TS_MOST_TOGETHER];
    uint32_t found = 0;
    *out = (ts_product_extra){0};
    for (uint32_t i = 0; i < count; i++) {
        const ts_product_extra *extra = &products[i].extra;
        if (extra->k == 0) {
            continue;
        }
        if (found > 0 && extra->scale != out->scale) {
            return false;
        }
        out->scale = extra->scale;
        a[found] = ts_view_slice(extra->a, 0, (uint64_t)products[i].m * extra->k);
        b[found] = extra->b;
        terms->extra_k[found++] = extra->k;
    }
    if (found == 0) {
        return true;
    }
    out->k = terms->extra_k[0];
    if (!ts_view_span(a, found, &out->a, terms->extra_a) ||
        !ts_view_span(b, found, &out->b, terms->extra_b)) {
        return false;
    }
    for (uint32_t i = found; i < count; i++) {
        terms->extra_a[i] = terms->extra_a[i - 1] + products[0].m * terms->extra_k[i - 1];
        terms->extra_b[i] = terms->extra_b[i - 1] + products[0].n * terms->extra_k[i - 1];
    }
    return true;
}

// Makes one product of several. false: their operands do not lie so that they can be.
static bool join(const ts_product *products, uint32_t count, ts_product_terms *terms,
                 ts_product *sum)
{
    ts_view a[TS_MOST_TOGETHER], b[TS_MOST_TOGETHER];
    uint32_t k = 0;
    *terms = (ts_product_terms){.count = count};
    *sum = products[0];
    for (uint32_t i = 0; i < count; i++) {
        assert(products[i].layout == TS_NN && products[i].lda == 0 && products[i].m == sum->m &&
               products[i].n == sum->n);
        a[i] = ts_view_slice(products[i].a, 0, (uint64_t)sum->m * products[i].k);
        b[i] = products[i].b;
        terms->begin[i] = k;
        k += products[i].k;
    }
    for (uint32_t i = count; i < TS_MOST_TOGETHER; i++) { // no term: it begins behind all
        terms->begin[i] = k;
    }
    sum->k = k;
    sum->lda = products[0].k;
    sum->terms = terms;
    sum->largest_b = (ts_view){0};
    return ts_view_span(a, count, &sum->a, terms->a) && ts_view_span(b, count, &sum->b, terms->b) &&
           join_extras(products, count, terms, &sum->extra);
}

void ts_matmul_sum(ts_recorder *recorder, const ts_rounding *rounding, const ts_product *products,
                   uint32_t count)
{
    ts_product_terms terms;
    ts_product sum;
    assert(count <= TS_MOST_TOGETHER);
    if (count > 1 && join(products, count, &terms, &sum) &&
        fits(ts_gpu_capabilities(ts_recorder_gpu(recorder)), &sum) &&
        ts_multiply_rounded(recorder, rounding, &sum)) {
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        ts_product product = products[i];
        product.accumulate |= i > 0;
        product.largest_a = count > 1 ? (ts_view){0} : product.largest_a;
        ts_matmul_rounded(recorder, rounding, &product);
    }
}
