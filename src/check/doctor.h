// Whether every shader that a device would use is right and worth it: each is held against its
// mirror over awkward shapes and a typical one, and timed against the general shader that could do
// its work. Verdicts are kept (ops/choices.h); ts_choices_apply has training obey them.
#ifndef TS_CHECK_DOCTOR_H
#define TS_CHECK_DOCTOR_H

#include "ops/choices.h"
#include "ops/gemm.h"

typedef struct ts_doctor_row {
    const char *shader;
    ts_verdict verdict;
    double error, tolerance; // relative; the error is the largest of all shapes, NaN if one is
    const char *fallback;    // the shader it was timed against; NULL: none, or it is not right
    double seconds, fallback_seconds; // of a typical run
    char problem[256];                // why it could not be run; empty: it ran
} ts_doctor_row;

typedef struct ts_doctor_result {
    ts_doctor_row rows[64];
    size_t count, slow, broken;
    bool lost; // the device, with the last row's shader: the rest is not judged
    bool kept; // the verdicts; there is a folder for them
} ts_doctor_result;

typedef struct ts_doctor_params {
    void (*tell)(void *user, const ts_doctor_row *row); // as each is judged; may be NULL
    void *user;
    // For tests: makes another time of what `shader` took; NULL: as it was.
    double (*retime)(const char *shader, double seconds);
} ts_doctor_params;

// Judges anew: whatever was known before is forgotten. The device must have been opened without
// ts_choices_apply, and to be closed afterwards: it leaves out what was found wanting. Errors: only
// what stands in the way of judging at all, such as no memory.
ts_status ts_doctor_check(ts_gpu *gpu, const ts_doctor_params *params, ts_doctor_result *out,
                          ts_error *err);

#endif
