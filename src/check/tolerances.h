// How far a run of a reference case may be from it.
#ifndef TS_CHECK_TOLERANCES_H
#define TS_CHECK_TOLERANCES_H

#include "check/case.h"
#include "ops/gemm.h"

// Tolerances of relative errors against float64 PyTorch + PEFT. 0: not checked.
typedef struct ts_tolerances {
    double logits, gradients, first_loss, trajectory;
} ts_tolerances;

ts_tolerances ts_case_tolerances(const ts_case *c, ts_precision precision);

#endif
