// What is exported: a model's files and, maybe, an adapter's. Everything happens on the host; no
// device is needed.
#ifndef TS_EXPORT_SOURCE_H
#define TS_EXPORT_SOURCE_H

#include "model/lora_folder.h"

// Starts zeroed.
typedef struct ts_export_source {
    ts_weights *weights;           // borrowed
    const ts_model_config *config; // borrowed, as ts_model_check left it
    const ts_tensors *tensors;
    ts_adapter_config adapter; // r is 0 without one
    ts_tensors *adapter_file;
} ts_export_source;

// `adapter` is a PEFT folder; NULL: the model alone.
ts_status ts_export_source_open(ts_weights *weights, const ts_model_config *config,
                                const char *adapter, ts_export_source *out, ts_error *err);
void ts_export_source_close(ts_export_source *source);

// One weight of the model, with the adapter's product added to it: w + scale B A, in f32; with DoRA
// each row of that sum then has its magnitude for length. Starts zeroed.
typedef struct ts_merged {
    const ts_tensor *base; // [rows, cols]; a vector has one row
    uint64_t rows, cols;
    const ts_tensor *b;         // [rows, r]; NULL: the adapter leaves this weight alone
    const ts_tensor *magnitude; // [rows]; NULL: no DoRA
    float *a;                   // [r, cols]
    float *delta;               // [cols] one row of B A
    uint8_t *blocks; // one row of a base in blocks, in the device's layout; then room for the
                     // row in the file's layout (base/blocks.h)
    double *decoded; // [cols] that row, decoded
    float scale;
    uint32_t r;
} ts_merged;

// Opens one weight, to be closed with ts_merged_close. Refuses tensors with NaN or infinity.
ts_status ts_merged_open(const ts_export_source *source, const ts_weight *weight, ts_merged *out,
                         ts_error *err);
// Writes row `row` of the merged weight to out[cols].
void ts_merged_row(ts_merged *merged, uint64_t row, float *out);
// Frees *merged and lets the base's pages leave memory. TS_ERR_IO where the base's file has changed
// since it was opened.
ts_status ts_merged_close(const ts_export_source *source, ts_merged *merged, ts_error *err);

// Whether the adapter changes this weight.
bool ts_export_is_adapted(const ts_export_source *source, const ts_weight *weight);

#endif
