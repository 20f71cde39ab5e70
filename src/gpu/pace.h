// How long dispatches take on this device, learned from what whole submits took. A GPU that does
// not come back for seconds is reset by its system, and one that also draws a screen must not keep
// it waiting: so no submit is to be longer than about 200 ms.
//
// The estimate is a rate a pipeline (seconds per unit of work) times the dispatch's work. What a
// submit took, against what was estimated, corrects the rates of the pipelines in it, that of the
// one with the largest part fully and the others in proportion to their parts.
#ifndef TS_GPU_PACE_H
#define TS_GPU_PACE_H

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

// A submit is sent when this much is estimated in it: a quarter of what is allowed, for estimates
// err and clocks vary.
#define TS_PACE_FULL_S 0.05
// The first submit to an idle device is shorter, so that the device starts while the host goes on
// recording; then each may be as long as what is on its way already.
#define TS_PACE_FIRST_S 0.001

enum { TS_TALLY_SHARES = 64 };

// Starts zeroed. Pipelines are counted from 0.
typedef struct ts_pace {
    double *rates; // [count] seconds per unit of work; 0: not measured yet
    size_t count;
} ts_pace;

// What one submit holds. Starts zeroed.
typedef struct ts_tally {
    struct {
        uint32_t pipeline;
        double work;
    } shares[TS_TALLY_SHARES]; // by pipeline
    uint32_t count;
    double seconds; // estimated
} ts_tally;

// Makes room for pipelines 0 .. pipelines - 1.
ts_status ts_pace_reserve(ts_pace *pace, size_t pipelines, ts_error *err);
void ts_pace_free(ts_pace *pace);

// Seconds that `work` is expected to take; of a pipeline that was never measured, what a slow
// integrated GPU would take.
double ts_pace_estimate(const ts_pace *pace, uint32_t pipeline, double work);

// Adds a dispatch to a tally that has room (count < TS_TALLY_SHARES).
void ts_pace_add(const ts_pace *pace, ts_tally *tally, uint32_t pipeline, double work);

// Corrects the rates by what the submit took.
void ts_pace_learn(ts_pace *pace, const ts_tally *tally, double seconds);

#endif
