// How fast this device is, in fractions of what it can do: its own peaks first, then matrix
// products and every other kernel at TinyLlama's shapes, then whole passes of a model.
#ifndef TS_CHECK_BENCH_H
#define TS_CHECK_BENCH_H

#include "gpu/profile.h"
#include "ops/gemm.h"

typedef struct ts_bench_params {
    const char *folder;     // a model; NULL: TinyLlama's shape with random weights
    const uint32_t *tokens; // sequence lengths of the whole passes, ascending
    size_t token_count;
    uint32_t batch;                 // sequences of a pass; 0 is 1
    ts_precision precision;         // of products: one that the device offers
    bool products, kernels, passes; // which parts to run
    const char *kernel_names;       // with commas between them: only these; NULL: all
    uint32_t rounds;                // of each timing, the best counts; passes: and one more
    double shortest_s;              // of a timing: what is quicker is repeated
    double pass_limit_s;            // a longer step is left out, shorter ones have fewer rounds
    ts_profile *profile;            // where the whole passes' dispatches are timed; may be NULL
    void (*progress)(void *user, const char *what);
    void *user;
} ts_bench_params;

typedef enum ts_bench_kind { TS_BENCH_PRODUCT, TS_BENCH_KERNEL, TS_BENCH_PASS } ts_bench_kind;

// One timing, and what the run timed must do at least.
typedef struct ts_bench_row {
    ts_bench_kind kind;
    char name[64];
    double seconds;       // of one run; of a pass that was left out, as predicted
    double product_flops; // of products with the base's weights, in the precision asked for
    double flops;         // all others, in f32
    double weight_bytes;  // of a pass: the base's weights, each read once
    double bytes;         // of every other operand, read or written once each
    uint32_t tokens;      // of a pass
    bool left_out;        // a pass that would have taken too long
    // The best that the probes reached between this row's own timings; 0: it was not timed.
    double flops_per_second, bytes_per_second;
} ts_bench_row;

typedef struct ts_bench_result {
    double flops_per_second;        // f32 multiply-adds, the best that the probe reached
    double half_flops_per_second;   // packed f16; 0: this program does not use it here
    double matrix_flops_per_second; // matrix units in the precision asked for; 0: f32 was
    double bytes_per_second;  // copied by the fastest of several shaders, read and written counted
    const char *bytes_shader; // which that was
    double copy_bytes_per_second; // by vkCmdCopyBuffer, read and written counted
    double fill_bytes_per_second; // by vkCmdFillBuffer
    ts_bench_row rows[80];
    size_t count;
} ts_bench_result;

ts_status ts_bench(ts_gpu *gpu, const ts_bench_params *params, ts_bench_result *out, ts_error *err);

// The shortest that a row's run could take at the peaks measured beside it. Of a product or kernel
// the longer of arithmetic and memory; of a pass the sum over its operations: products (weights
// read once, or multiplied with), attention, and all operands of norms, rotations, activations and
// additions read and written once.
double ts_bench_lower_bound_s(const ts_bench_result *result, const ts_bench_row *row);
// Of that what its bytes alone would take.
double ts_bench_bytes_s(const ts_bench_result *result, const ts_bench_row *row);
double ts_bench_flops(const ts_bench_row *row); // all of them

// Those that multiply matrices, whose shapes ts_matmul chooses for.
bool ts_bench_is_product(ts_kernel kernel);
// The shape at which `kernel` is timed: scalars and constants of `out`, and which shader. For
// products TS_ERR_UNSUPPORTED. A scalar that has no value in the tables is TS_ERR_ARGUMENT: give it
// one in bench_shapes.c.
ts_status ts_bench_shape(ts_kernel kernel, const ts_gpu_caps *caps, ts_dispatch *out,
                         uint32_t *shader, ts_error *err);

#endif
