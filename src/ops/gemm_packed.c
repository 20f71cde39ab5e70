// Products whose a is packed first, for CPU drivers that load by shared addresses at no cost.
#include "ops/gemm.h"

#include "base/memory.h"

#include <assert.h>

enum { TILE = 16 }; // rows of a that pack_rows puts together, and least columns

// Rows that scratch holds packed.
static uint32_t rows_of_scratch(uint32_t k)
{
    return TS_SCRATCH_BYTES / sizeof(float) / k / TILE * TILE;
}

// Drivers of Vulkan 1.4 load once by an address that all lanes share; older ones do it lane by
// lane, so that even to measure would take long (Mesa 22.3: 34 to 40 times as long as gemm_simd).
bool ts_gemm_packed_suits(const ts_gpu_caps *caps)
{
    return ts_kernel_suits(caps, TS_KERNEL_gemm_packed, 0) &&
           ts_kernel_suits(caps, TS_KERNEL_pack_rows, 0) &&
           caps->api_version >= VK_MAKE_API_VERSION(0, 1, 4, 0);
}

bool ts_gemm_packed_fits(const ts_gpu_caps *caps, const struct ts_gemm_args *args)
{
    return ts_gemm_packed_suits(caps) && args->layout != TS_TN && args->k >= TILE &&
           args->lda == args->k && rows_of_scratch(args->k) > 0 &&
           args->n % caps->subgroup_size == 0 &&
           args->n / caps->subgroup_size <= caps->max_groups[1] &&
           ts_dtype_block(args->b.dtype) == 1 && (args->b.dtype == TS_F32 || args->ldb % 2 == 0);
}

// `count` rows of a view of rows of `width`, from row `first` on.
static ts_view rows_of(ts_view view, uint32_t first, uint32_t count, uint32_t width)
{
    return ts_view_slice(view, (uint64_t)first * width, (uint64_t)count * width);
}

void ts_gemm_packed_run(ts_recorder *recorder, const struct ts_gemm_args *args, ts_view scratch)
{
    const uint32_t most = rows_of_scratch(args->k);
    assert(args->ldc == args->n); // rows of c are sliced
    for (uint32_t first = 0; first < args->m; first += most) {
        const uint32_t m = (uint32_t)ts_min_u64(most, args->m - first);
        ts_pack_rows(recorder, &(struct ts_pack_rows_args){.x = rows_of(args->a, first, m, args->k),
                                                           .y = scratch,
                                                           .rows = m,
                                                           .cols = args->k});
        ts_gemm_packed(
            recorder,
            &(struct ts_gemm_packed_args){
                .a = scratch,
                .b = args->b,
                .c = rows_of(args->c, first, m, args->n),
                .extra_a = args->extra_k > 0 ? rows_of(args->extra_a, first, m, args->extra_k)
                                             : args->extra_a,
                .extra_b = args->extra_b,
                .m = m,
                .n = args->n,
                .k = args->k,
                .lda = args->k,
                .ldb = args->ldb,
                .ldc = args->ldc,
                .alpha = args->alpha,
                .accumulate = args->accumulate,
                .extra_k = args->extra_k,
                .extra_scale = args->extra_scale,
                .layout = args->layout,
                .local_size = ts_gpu_capabilities(ts_recorder_gpu(recorder))->subgroup_size,
            });
    }
}
