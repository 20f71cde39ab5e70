#include "check/bench_parts.h"

#include "base/memory.h"
#include "base/os.h"

#include <assert.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>

void ts_bench_report_progress(const ts_bench_run *run, const char *format, ...)
{
    char text[128];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (run->params->progress != NULL) {
        run->params->progress(run->params->user, text);
    }
}

ts_bench_row *ts_bench_add_row(ts_bench_run *run, ts_bench_kind kind, const char *format, ...)
{
    assert(run->result->count < TS_COUNT(run->result->rows));
    ts_bench_row *row = &run->result->rows[run->result->count++];
    va_list args;
    va_start(args, format);
    vsnprintf(row->name, sizeof row->name, format, args);
    va_end(args);
    row->kind = kind;
    return row;
}

ts_status ts_bench_time(ts_bench_run *run, void (*record)(ts_recorder *recorder, void *user),
                        void *user, ts_bench_row *row, ts_error *err)
{
    ts_status status = TS_OK;
    double shortest_s = run->params->shortest_s;
    uint32_t times = 1;
    ts_bench_result *peaks = run->result;
    const double flops = peaks->flops_per_second, bytes = peaks->bytes_per_second;
    // From here on they are the peaks of this row alone.
    peaks->flops_per_second = peaks->bytes_per_second = 0;
    row->seconds = INFINITY;
    for (uint32_t round = 0; round <= run->params->rounds; round++) {
        TS_TRY(ts_bench_repeat_peaks(run, err));
        double started_s = ts_clock_s();
        for (uint32_t i = 0; i < times; i++) {
            record(run->recorder, user);
        }
        TS_TRY(ts_recorder_run(run->recorder, err));
        double seconds = (ts_clock_s() - started_s) / times;
        if (round > 0) { // the first round built the pipeline
            row->seconds = fmin(row->seconds, seconds);
        }
        times = seconds < shortest_s ? (uint32_t)ceil(shortest_s / seconds) : 1;
    }
out:
    row->flops_per_second = peaks->flops_per_second;
    row->bytes_per_second = peaks->bytes_per_second;
    peaks->flops_per_second = fmax(flops, peaks->flops_per_second);
    peaks->bytes_per_second = fmax(bytes, peaks->bytes_per_second);
    return status;
}

double ts_bench_flops(const ts_bench_row *row)
{
    return row->product_flops + row->flops;
}

static double bytes_peak(const ts_bench_result *result, const ts_bench_row *row)
{
    return row->bytes_per_second > 0 ? row->bytes_per_second : result->bytes_per_second;
}

double ts_bench_bytes_s(const ts_bench_result *result, const ts_bench_row *row)
{
    return row->bytes / bytes_peak(result, row);
}

double ts_bench_lower_bound_s(const ts_bench_result *result, const ts_bench_row *row)
{
    double flops_peak =
        row->flops_per_second > 0 ? row->flops_per_second : result->flops_per_second;
    double product_peak =
        result->product_flops_per_second > 0 ? result->product_flops_per_second : flops_peak;
    double products_s = row->product_flops / product_peak;
    double others_s = row->flops / flops_peak;
    double bytes_s = ts_bench_bytes_s(result, row);
    double weights_s = row->weight_bytes / bytes_peak(result, row);
    return row->kind == TS_BENCH_PASS ? fmax(products_s, weights_s) + others_s + bytes_s
                                      : fmax(products_s + others_s, bytes_s);
}

ts_status ts_bench(ts_gpu *gpu, const ts_bench_params *params, ts_bench_result *out, ts_error *err)
{
    ts_status status = TS_OK;
    ts_bench_run run = {
        .params = params, .result = out, .gpu = gpu, .arena = {.gpu = gpu, .block_bytes = 1 << 20}};
    *out = (ts_bench_result){0};
    TS_TRY(ts_recorder_open(gpu, &run.recorder, err));
    TS_TRY(ts_bench_open_peaks(&run, err));
    if (params->products) {
        TS_TRY(ts_bench_products(&run, err));
    }
    if (params->kernels) {
        TS_TRY(ts_bench_kernels(&run, err));
    }
    if (params->passes) {
        TS_TRY(ts_bench_passes(&run, err));
    }
out:
    ts_recorder_close(run.recorder);
    ts_gpu_arena_close(&run.arena);
    return status;
}
