#include "gpu/pace.h"

#include "base/memory.h"

#include <assert.h>
#include <stdlib.h>

// The rate of a pipeline that was never measured, in seconds per unit of work: a multiply-add or an
// element moved. It corresponds to moving 4-byte elements at 40 GB/s, and to a fifteenth of the
// multiply-adds that a GPU of 1 TFLOP/s makes at a third of its peak.
#define CAREFUL_RATE 1e-10
#define SMALLEST_RATE 1e-15

// One submit changes rates by no more than these factors. Its time may include what happens only
// once, such as compilation by the driver. And if one short time lowered a rate far, the next
// submit could become too long.
#define LARGEST_RISE 32
#define LARGEST_FALL 2

ts_status ts_pace_reserve(ts_pace *pace, size_t pipelines, ts_error *err)
{
    return ts_grow(&pace->rates, &pace->count, pipelines, sizeof *pace->rates, err);
}

void ts_pace_free(ts_pace *pace)
{
    free(pace->rates);
    *pace = (ts_pace){0};
}

double ts_pace_estimate(const ts_pace *pace, uint32_t pipeline, double work)
{
    assert(pipeline < pace->count);
    double rate = pace->rates[pipeline];
    return work * (rate > 0 ? rate : CAREFUL_RATE);
}

void ts_pace_add(const ts_pace *pace, ts_tally *tally, uint32_t pipeline, double work)
{
    uint32_t i = 0;
    while (i < tally->count && tally->shares[i].pipeline != pipeline) {
        i++;
    }
    assert(i < TS_TALLY_SHARES);
    if (i == tally->count) {
        tally->shares[tally->count++].pipeline = pipeline;
        tally->shares[i].work = 0;
    }
    tally->shares[i].work += work;
    tally->seconds += ts_pace_estimate(pace, pipeline, work);
}

static double clamp(double value, double low, double high)
{
    return value < low ? low : value > high ? high : value;
}

void ts_pace_learn(ts_pace *pace, const ts_tally *tally, double seconds)
{
    // By the current rates: they may have changed since the submit was recorded.
    double parts[TS_TALLY_SHARES], expected = 0, largest = 0;
    for (uint32_t i = 0; i < tally->count; i++) {
        parts[i] = ts_pace_estimate(pace, tally->shares[i].pipeline, tally->shares[i].work);
        expected += parts[i];
        largest = parts[i] > largest ? parts[i] : largest;
    }
    if (!(expected > 0)) {
        return;
    }
    double ratio = clamp(seconds / expected, 1.0 / LARGEST_FALL, LARGEST_RISE);
    for (uint32_t i = 0; i < tally->count; i++) {
        double *rate = &pace->rates[tally->shares[i].pipeline];
        double before = *rate > 0 ? *rate : CAREFUL_RATE;
        *rate = clamp(before * (1 + (ratio - 1) * parts[i] / largest), SMALLEST_RATE, 1);
    }
}
