// Runs a reference case (a folder as in golden/: model, adapter_init, case.json,
// golden.safetensors) and compares what this device computes with float64 PyTorch + PEFT.
#ifndef TS_CHECK_VERIFY_H
#define TS_CHECK_VERIFY_H

#include "base/text.h"
#include "ops/gemm.h"

typedef struct ts_verify_params {
    const char *folder;
    ts_precision precision; // one that the device offers
    const char *dump;       // safetensors file to write with all computed values; may be NULL
} ts_verify_params;

// One quantity: its relative error (norm of the difference over the norm) and the tolerance.
typedef struct ts_verify_row {
    char name[160];
    double error, tolerance; // tolerance 0: shown, but not checked
} ts_verify_row;

typedef struct ts_verify_result {
    ts_verify_row rows[8];
    size_t count;
    bool passed; // every error within its tolerance
} ts_verify_result;

ts_status ts_verify(ts_gpu *gpu, const ts_verify_params *params, ts_verify_result *out,
                    ts_error *err);

#endif
