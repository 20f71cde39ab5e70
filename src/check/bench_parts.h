// Internal interfaces of the benchmark (bench*.c).
#ifndef TS_CHECK_BENCH_PARTS_H
#define TS_CHECK_BENCH_PARTS_H

#include "check/bench.h"

typedef struct ts_bench_run {
    const ts_bench_params *params;
    ts_bench_result *result;
    ts_gpu *gpu;
    ts_recorder *recorder; // for everything but whole passes
    ts_gpu_arena arena;    // for the probes of the peaks
    ts_view probe, from, to;
    uint32_t iterations;  // of the arithmetic probe
    uint32_t copy_shader; // which of the copying shaders is the fastest
    uint32_t copies;      // in one submit, so that it takes long enough to be timed
} ts_bench_run;

void ts_bench_report_progress(const ts_bench_run *run, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
ts_bench_row *ts_bench_add_row(ts_bench_run *run, ts_bench_kind kind, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

// Runs what `record` records once to build its pipelines, then as often as params->rounds and
// params->shortest_s require. The best time of one run goes into `row`. The peaks are measured
// again between the timings.
ts_status ts_bench_time(ts_bench_run *run, void (*record)(ts_recorder *recorder, void *user),
                        void *user, ts_bench_row *row, ts_error *err);

ts_status ts_bench_open_peaks(ts_bench_run *run, ts_error *err);   // all peaks, once
ts_status ts_bench_repeat_peaks(ts_bench_run *run, ts_error *err); // multiply-adds and copying

ts_status ts_bench_products(ts_bench_run *run, ts_error *err);
ts_status ts_bench_kernels(ts_bench_run *run, ts_error *err);
ts_status ts_bench_passes(ts_bench_run *run, ts_error *err);

#endif
