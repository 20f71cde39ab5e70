// How `bench` shows what it measured.
#ifndef TS_CLI_BENCH_PRINT_H
#define TS_CLI_BENCH_PRINT_H

#include "check/bench.h"
#include "check/bench_decode.h"

// Tables for people: each row's speed, and what part of its floor (check/bench.h) that is.
void ts_bench_print(const ts_gpu_caps *caps, const ts_bench_result *result,
                    const ts_bench_decode_row *decoded, size_t decoded_count);

// The same numbers for programs.
ts_status ts_bench_print_json(const ts_gpu_caps *caps, const ts_bench_result *result,
                              const ts_bench_decode_row *decoded, size_t decoded_count,
                              ts_error *err);

#endif
