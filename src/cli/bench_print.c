#include "cli/bench_print.h"

#include "base/json.h"
#include "base/memory.h"

#include <stdio.h>

static double product_peak(const ts_bench_result *result)
{
    return result->matrix_flops_per_second > 0 ? result->matrix_flops_per_second
                                               : result->flops_per_second;
}

static void print_peaks(const ts_gpu_caps *caps, const ts_bench_result *result)
{
    printf("%s (%s)\n%.1f GFLOP/s of f32 multiply-adds\n", caps->name, caps->driver,
           result->flops_per_second * 1e-9);
    if (result->half_flops_per_second > 0) {
        printf("%.1f GFLOP/s of packed f16 multiply-adds\n", result->half_flops_per_second * 1e-9);
    }
    if (result->matrix_flops_per_second > 0) {
        printf("%.1f GFLOP/s on matrix units\n", result->matrix_flops_per_second * 1e-9);
    }
    printf("%.1f GB/s copied by a shader (%s), %.1f by vkCmdCopyBuffer, read and written counted; "
           "%.1f GB/s filled\nThe best between the timings.\n",
           result->bytes_per_second * 1e-9, result->bytes_way, result->copy_bytes_per_second * 1e-9,
           result->fill_bytes_per_second * 1e-9);
}

static void print_product(const ts_bench_result *result, const char *name, double seconds,
                          double flops)
{
    printf("%-36s %11.2f %9.1f %7.1f%%\n", name, seconds * 1e3, flops / seconds * 1e-9,
           100 * flops / seconds / product_peak(result));
}

static void print_products(const ts_bench_result *result)
{
    double seconds = 0, flops = 0;
    printf("\n%-36s %11s %9s %8s\n", "products with the weights", "ms", "GFLOP/s", "of peak");
    for (size_t i = 0; i < result->count; i++) {
        const ts_bench_row *row = &result->rows[i];
        if (row->kind == TS_BENCH_PRODUCT) {
            print_product(result, row->name, row->seconds, ts_bench_flops(row));
            seconds += row->seconds;
            flops += ts_bench_flops(row);
        }
    }
    print_product(result, "all of them", seconds, flops);
}

static void print_kernels(const ts_bench_result *result)
{
    printf("\n%-36s %11s %9s %8s %9s  %s\n", "kernels, 512 tokens", "ms", "GFLOP/s", "GB/s",
           "of bound", "bound by");
    for (size_t i = 0; i < result->count; i++) {
        const ts_bench_row *row = &result->rows[i];
        if (row->kind != TS_BENCH_KERNEL) {
            continue;
        }
        double floor_s = ts_bench_floor_s(result, row);
        printf("%-36s %11.3f %9.2f %8.2f %8.1f%%  %s\n", row->name, row->seconds * 1e3,
               ts_bench_flops(row) / row->seconds * 1e-9, row->bytes / row->seconds * 1e-9,
               100 * floor_s / row->seconds,
               floor_s > ts_bench_bytes_s(result, row) ? "arithmetic" : "memory");
    }
}

static void print_passes(const ts_bench_result *result)
{
    printf("\n%-36s %11s %9s %8s %9s %9s\n", "whole passes", "ms", "GFLOP/s", "of peak", "of floor",
           "tokens/s");
    for (size_t i = 0; i < result->count; i++) {
        const ts_bench_row *row = &result->rows[i];
        if (row->kind != TS_BENCH_PASS) {
            continue;
        }
        if (row->left_out) {
            printf("%-36s left out: it would take about %.0f s; --tokens %u asks for it\n",
                   row->name, row->seconds, row->tokens);
            continue;
        }
        double pace = ts_bench_flops(row) / row->seconds;
        printf("%-36s %11.2f %9.1f %7.1f%% %8.1f%% %9.2f\n", row->name, row->seconds * 1e3,
               pace * 1e-9, 100 * pace / product_peak(result),
               100 * ts_bench_floor_s(result, row) / row->seconds, row->tokens / row->seconds);
    }
}

static void print_decoding(const ts_bench_result *peaks, const ts_bench_decode_row *decoded,
                           size_t count)
{
    printf("\n%-36s %11s %9s %8s %9s\n", "decoding, a step", "ms", "GB/s", "of copy", "tokens/s");
    for (size_t i = 0; i < count; i++) {
        const ts_bench_decode_row *row = &decoded[i];
        double rate = (double)row->weight_bytes / row->step_s;
        char name[64];
        snprintf(name, sizeof name, "%u at once, %u dispatches", row->sequences, row->dispatches);
        printf("%-36s %11.2f %9.2f %7.1f%% %9.2f\n", name, row->step_s * 1e3, rate * 1e-9,
               100 * rate / peaks->bytes_per_second, row->sequences / row->step_s);
    }
}

static bool has_kind(const ts_bench_result *result, ts_bench_kind kind)
{
    for (size_t i = 0; i < result->count; i++) {
        if (result->rows[i].kind == kind) {
            return true;
        }
    }
    return false;
}

void ts_bench_print(const ts_gpu_caps *caps, const ts_bench_result *result,
                    const ts_bench_decode_row *decoded, size_t decoded_count)
{
    print_peaks(caps, result);
    if (has_kind(result, TS_BENCH_PRODUCT)) {
        print_products(result);
    }
    if (has_kind(result, TS_BENCH_KERNEL)) {
        print_kernels(result);
    }
    if (has_kind(result, TS_BENCH_PASS)) {
        print_passes(result);
    }
    if (decoded_count > 0) {
        print_decoding(result, decoded, decoded_count);
    }
}

static cJSON *rows_json(const ts_bench_result *result)
{
    static const char *const kinds[] = {"product", "kernel", "pass"};
    cJSON *rows = cJSON_CreateArray();
    for (size_t i = 0; i < result->count; i++) {
        const ts_bench_row *row = &result->rows[i];
        cJSON *item = cJSON_CreateObject();
        cJSON_AddStringToObject(item, "kind", kinds[row->kind]);
        cJSON_AddStringToObject(item, "name", row->name);
        cJSON_AddNumberToObject(item, "seconds", row->seconds);
        cJSON_AddNumberToObject(item, "flops", ts_bench_flops(row));
        cJSON_AddNumberToObject(item, "bytes", row->bytes + row->weight_bytes);
        cJSON_AddNumberToObject(item, "floor_seconds", ts_bench_floor_s(result, row));
        if (row->kind == TS_BENCH_PASS) {
            cJSON_AddNumberToObject(item, "tokens", row->tokens);
            cJSON_AddBoolToObject(item, "left_out", row->left_out);
        }
        cJSON_AddItemToArray(rows, item);
    }
    return rows;
}

static cJSON *decode_json(const ts_bench_decode_row *decoded, size_t count)
{
    cJSON *rows = cJSON_CreateArray();
    for (size_t i = 0; i < count; i++) {
        const ts_bench_decode_row *row = &decoded[i];
        cJSON *item = cJSON_CreateObject();
        cJSON_AddNumberToObject(item, "sequences", row->sequences);
        cJSON_AddNumberToObject(item, "prompt_seconds", row->prompt_s);
        cJSON_AddNumberToObject(item, "step_seconds", row->step_s);
        cJSON_AddNumberToObject(item, "tokens_per_second", row->sequences / row->step_s);
        cJSON_AddNumberToObject(item, "weight_bytes", (double)row->weight_bytes);
        cJSON_AddNumberToObject(item, "flops", row->flops);
        cJSON_AddNumberToObject(item, "dispatches", row->dispatches);
        cJSON_AddItemToArray(rows, item);
    }
    return rows;
}

ts_status ts_bench_print_json(const ts_gpu_caps *caps, const ts_bench_result *result,
                              const ts_bench_decode_row *decoded, size_t decoded_count,
                              ts_error *err)
{
    cJSON *json = cJSON_CreateObject();
    cJSON_AddStringToObject(json, "device", caps->name);
    cJSON_AddStringToObject(json, "driver", caps->driver);
    cJSON_AddNumberToObject(json, "flops_per_second", result->flops_per_second);
    cJSON_AddNumberToObject(json, "half_flops_per_second", result->half_flops_per_second);
    cJSON_AddNumberToObject(json, "matrix_flops_per_second", result->matrix_flops_per_second);
    cJSON_AddNumberToObject(json, "bytes_per_second", result->bytes_per_second);
    cJSON_AddNumberToObject(json, "copy_bytes_per_second", result->copy_bytes_per_second);
    cJSON_AddNumberToObject(json, "fill_bytes_per_second", result->fill_bytes_per_second);
    cJSON_AddItemToObject(json, "rows", rows_json(result));
    cJSON_AddItemToObject(json, "decode", decode_json(decoded, decoded_count));
    char *text = cJSON_Print(json);
    cJSON_Delete(json);
    if (text == NULL) {
        return ts_error_set(err, TS_ERR_MEMORY, "out of host memory");
    }
    puts(text);
    cJSON_free(text);
    return TS_OK;
}
