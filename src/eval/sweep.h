// Runs of several configurations, each with several seeds: how each configuration does over its
// seeds, which is the best, and whether its lead is more than the noise between seeds.
#ifndef TS_EVAL_SWEEP_H
#define TS_EVAL_SWEEP_H

#include "base/text.h"

enum { TS_SWEEP_METRICS = 24 };

// A mean over seeds with its 95 % interval by Student's t, cut to what is possible. NaN: no value; of low and high: fewer
// than two values.
typedef struct ts_interval {
    double mean, low, high;
} ts_interval;

typedef struct ts_sweep_run {
    size_t configuration;
    uint64_t seed;
    const char *folder; // where its files are
    const char *failed; // why it has no result; NULL: it has finished
    // Filled by ts_sweep_read; NaN: not measured.
    double loss, seconds;
    double metrics[TS_SWEEP_METRICS]; // shares of the answers, 0 to 1
} ts_sweep_run;

typedef struct ts_sweep_configuration {
    size_t finished, failed; // runs
    ts_interval loss, metrics[TS_SWEEP_METRICS];
    ts_interval behind; // its loss less the best one's, seed by seed where both have finished
} ts_sweep_configuration;

// Starts zeroed. The caller fills the first part, which is borrowed.
typedef struct ts_sweep {
    const char *title;
    const char *const *axes;   // [axis_count] the settings that differ
    const char *const *values; // [configuration_count, axis_count]
    size_t axis_count, configuration_count;
    ts_sweep_run *runs; // those of one configuration in the order of their seeds
    size_t run_count;
    // What follows is filled here.
    const char *measure; // by which configurations are ordered: "loss on held-out rows"
    char metrics[TS_SWEEP_METRICS][64], keys[TS_SWEEP_METRICS][48]; // labels; their keys in JSON
    size_t metric_count;
    ts_sweep_configuration *configurations; // [configuration_count]
    size_t *order; // [configuration_count] best first; those without any result, or with a run that
                   // failed, come last
    size_t seeds;  // most runs of a configuration
} ts_sweep;

// Reads from the folders of all finished runs what training measured on held-out rows and what
// `eval` measured. The loss is that of the adapter which the folder holds. TS_ERR_FORMAT if a run
// has neither such a loss nor a loss on references.
ts_status ts_sweep_read(ts_sweep *sweep, ts_error *err);
// Compares the runs, whose numbers are set.
ts_status ts_sweep_compare(ts_sweep *sweep, ts_error *err);
void ts_sweep_free(ts_sweep *sweep);

// The configuration that is best, and the next; SIZE_MAX: there is none.
size_t ts_sweep_best(const ts_sweep *sweep);
size_t ts_sweep_second(const ts_sweep *sweep);
// Whether the best one's lead over the second is more than noise: the interval of the difference
// lies above 0. False too where one run each does not tell.
bool ts_sweep_leads(const ts_sweep *sweep);
// Appends what came out, in sentences.
ts_status ts_sweep_verdict(const ts_sweep *sweep, ts_text *out, ts_error *err);
// Appends "rank 8, lr 0.001"; "all runs" where nothing differs.
ts_status ts_sweep_name(const ts_sweep *sweep, size_t configuration, ts_text *out, ts_error *err);

// Writes sweep.json, sweep.md and sweep.png, each whole or not at all.
ts_status ts_sweep_write(const ts_sweep *sweep, const char *folder, ts_error *err);
// Their content, appended.
ts_status ts_sweep_json(const ts_sweep *sweep, ts_text *out, ts_error *err);
ts_status ts_sweep_markdown(const ts_sweep *sweep, ts_text *out, ts_error *err);
ts_status ts_sweep_png(const ts_sweep *sweep, ts_text *out, ts_error *err);

// The mean of the finite values, and its interval.
ts_interval ts_interval_make(const double *values, size_t count);
// How many standard errors the 95 % interval reaches to either side, for that many degrees of
// freedom (at least 1): 12.7, 4.30, 3.18 ...
double ts_student_reach(size_t freedom);

#endif
