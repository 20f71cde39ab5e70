// How long dispatches take on this device, estimated from the measured times of whole submits. The
// operating system resets a GPU that does not respond for seconds, and a GPU that also draws the
// screen freezes it while a submit runs. So no submit should take longer than about 200 ms.
//
// A dispatch's estimate is its work times its pipeline's rate (seconds per unit of work). When a
// submit is complete, the ratio of its measured time to its estimate corrects the rates of the
// pipelines in it: fully for the pipeline with the largest part of the estimate, for the others in
// proportion to their parts.
#ifndef TS_GPU_PACE_H
#define TS_GPU_PACE_H

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

// A submit is sent when its estimate reaches this: a quarter of what is allowed, because estimates
// err and clocks vary.
#define TS_PACE_FULL_S 0.05
// The first submit to an idle device is shorter, so that the device starts while the host goes on
// recording; after that each may be as long as the work that is on its way already.
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
