// Checks every shader that a device would use. Each is compared with its CPU mirror at awkward
// shapes and at a typical one, and timed against the general shader that could replace it. The
// verdicts are stored (ops/choices.h), and ts_choices_apply makes later runs obey them.
#ifndef TS_CHECK_DOCTOR_H
#define TS_CHECK_DOCTOR_H

#include "ops/choices.h"
#include "ops/gemm.h"

typedef struct ts_doctor_row {
    const char *shader;
    ts_verdict verdict;
    double error, tolerance; // relative; the largest error of all shapes, NaN if one is
    // The shader it was timed against; NULL: there is none, or it is not right.
    const char *fallback;
    double seconds, fallback_seconds; // of a run at the typical shape
    char problem[256];                // why it could not be run; empty: it ran
} ts_doctor_row;

typedef struct ts_doctor_result {
    ts_doctor_row rows[64];
    size_t count, slow, broken;
    bool lost; // the device was lost with the last row's shader; the others were not checked
    bool kept; // the verdicts were stored; false: there is no folder for them
} ts_doctor_result;

typedef struct ts_doctor_params {
    void (*tell)(void *user, const ts_doctor_row *row); // called for each row; may be NULL
    void *user;
    // For tests: returns the time to use in place of the measured one. NULL: the measured one.
    double (*retime)(const char *shader, double seconds);
} ts_doctor_params;

// Checks all shaders anew and forgets earlier verdicts. The device must have been opened without
// ts_choices_apply. It must be closed afterwards, since shaders that failed are left out of it. An
// error means that checking was impossible, for example for lack of memory; a bad shader is no
// error.
ts_status ts_doctor_check(ts_gpu *gpu, const ts_doctor_params *params, ts_doctor_result *out,
                          ts_error *err);

#endif
