// How fast this device is compared with what it could do. Measures the device's own peaks first,
// then matrix products and every other kernel at TinyLlama's shapes, then whole passes of a model.
#ifndef TS_CHECK_BENCH_H
#define TS_CHECK_BENCH_H

#include "base/blocks.h"
#include "gpu/profile.h"
#include "model/config.h"
#include "ops/gemm.h"

typedef struct ts_bench_params {
    const ts_model_config *config; // of the model; NULL: TinyLlama's shape with random weights
    ts_weights *weights;           // whose config it is
    ts_quantise quantise;          // what its linear layers are held in; zeroed: as stored
    const uint32_t *tokens;        // sequence lengths of the whole passes, ascending
    size_t token_count;
    uint32_t batch;                 // sequences in a pass; 0 means 1
    ts_precision precision;         // of products: one that the device offers
    bool products, kernels, passes; // which parts to run
    const char *kernel_names;       // separated by commas: only these; NULL: all
    uint32_t rounds;   // timings of each row, of which the fastest counts; passes get one more
    double shortest_s; // a run that is shorter than this is repeated within a timing
    // A step predicted to be longer is left out; near it there are fewer rounds.
    double pass_limit_s;
    ts_profile *profile; // collects the times of the dispatches of whole passes; may be NULL
    void (*progress)(void *user, const char *what);
    void *user;
} ts_bench_params;

typedef enum ts_bench_kind { TS_BENCH_PRODUCT, TS_BENCH_KERNEL, TS_BENCH_PASS } ts_bench_kind;

// One timing, and the least work that the timed run must do.
typedef struct ts_bench_row {
    ts_bench_kind kind;
    char name[64];
    double seconds;       // of one run; for a pass that was left out, the prediction
    double product_flops; // of products with the base's weights, in the precision asked for
    double flops;         // all others, in f32
    double weight_bytes;  // of a pass: the base's weights, each read once
    double bytes;         // of every other operand, read or written once each
    uint32_t tokens;      // of a pass
    bool left_out;        // a pass that was predicted to take too long
    // The best peaks measured between this row's own timings; 0: it was not timed.
    double flops_per_second, bytes_per_second;
} ts_bench_row;

typedef struct ts_bench_result {
    double flops_per_second;         // f32 multiply-adds, the best that the probe reached
    double half_flops_per_second;    // packed f16; 0: not used on this device
    double product_flops_per_second; // what multiplies in the precision asked for:
                                     // matrix units or dot products; 0: f32's arithmetic does
    double bytes_per_second;      // by the fastest of several shaders; bytes read and bytes written
    const char *bytes_shader;     // which shader that was
    double copy_bytes_per_second; // by vkCmdCopyBuffer; bytes read and bytes written
    double fill_bytes_per_second; // by vkCmdFillBuffer
    ts_bench_row rows[80];
    size_t count;
} ts_bench_result;

ts_status ts_bench(ts_gpu *gpu, const ts_bench_params *params, ts_bench_result *out, ts_error *err);

// A lower bound for a row's time at the peaks measured beside it. For a product or kernel it is the
// longer of the times for its arithmetic and for its memory. For a pass it is the sum over its
// operations: products (their weights read once, or multiplied), attention, and all operands of
// norms, rotations, activations and additions read and written once.
double ts_bench_lower_bound_s(const ts_bench_result *result, const ts_bench_row *row);
// The part of that bound that is for bytes.
double ts_bench_bytes_s(const ts_bench_result *result, const ts_bench_row *row);
double ts_bench_flops(const ts_bench_row *row); // all floating-point operations of the row

// Whether it multiplies matrices. ts_matmul chooses the shapes for these kernels.
bool ts_bench_is_product(ts_kernel kernel);
// Whether it is timed by itself on this device: it is no product, and for attention on matrix units
// the device has some of that precision.
bool ts_bench_is_timed(ts_kernel kernel, const ts_gpu_caps *caps, ts_precision precision);
// The precision in which attention on matrix units is timed: the best that the device offers.
ts_precision ts_bench_precision(const ts_gpu_caps *caps);
// The shape at which `kernel` is timed: fills the scalars and constants of *out and which of the
// kernel's shaders. `precision` is that of attention on matrix units; other kernels ignore it.
// TS_ERR_UNSUPPORTED where ts_bench_is_timed is false. TS_ERR_ARGUMENT names a scalar that has no
// value in bench_shapes.c; add it there.
ts_status ts_bench_shape(ts_kernel kernel, const ts_gpu_caps *caps, ts_precision precision,
                         ts_dispatch *out, uint32_t *shader, ts_error *err);

#endif
