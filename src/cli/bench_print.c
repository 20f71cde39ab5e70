#include "cli/bench_print.h"

#include "base/json.h"
#include "base/memory.h"
#include "cli/cli.h"
#include "cli/table.h"

#include <stdio.h>
#include <string.h>

static double product_peak(const ts_bench_result *result)
{
    return result->product_flops_per_second > 0 ? result->product_flops_per_second
                                                : result->flops_per_second;
}

static void print_peaks(const ts_gpu_caps *caps, const ts_bench_result *result)
{
    ts_cli_say(stdout, "%s (%s)\n%.1f GFLOP/s of f32 multiply-adds\n", caps->name, caps->driver,
               result->flops_per_second * 1e-9);
    if (result->half_flops_per_second > 0) {
        ts_cli_say(stdout, "%.1f GFLOP/s of packed f16 multiply-adds\n",
                   result->half_flops_per_second * 1e-9);
    }
    if (result->product_flops_per_second > 0) {
        ts_cli_say(stdout, "%.1f GFLOP/s of products in 16 bits, by matrix units or dot products\n",
                   result->product_flops_per_second * 1e-9);
    }
    ts_cli_say(stdout,
               "%.1f GB/s copied by a shader (%s), %.1f by vkCmdCopyBuffer, read and written "
               "counted; %.1f GB/s filled\nThe best between the timings.\n",
               result->bytes_per_second * 1e-9, result->bytes_shader,
               result->copy_bytes_per_second * 1e-9, result->fill_bytes_per_second * 1e-9);
}

static void put(char cell[TS_TABLE_CELL], const char *format, double value)
{
    snprintf(cell, TS_TABLE_CELL, format, value);
}

// Prints a table's head. The first column is as wide as the longest name of a row of that kind.
static void begin_table(const ts_bench_result *result, ts_bench_kind kind, ts_column *columns,
                        size_t count)
{
    columns[0].width = (int)strlen(columns[0].head);
    for (size_t i = 0; i < result->count; i++) {
        if (result->rows[i].kind == kind) {
            ts_table_widen(&columns[0], result->rows[i].name);
        }
    }
    putchar('\n');
    ts_table_head(stdout, columns, count);
}

static void print_product(const ts_column *columns, const ts_bench_result *result, const char *name,
                          double seconds, double flops)
{
    char cells[4][TS_TABLE_CELL];
    snprintf(cells[0], sizeof cells[0], "%s", name);
    put(cells[1], "%.2f", seconds * 1e3);
    put(cells[2], "%.1f", flops / seconds * 1e-9);
    put(cells[3], "%.1f%%", 100 * flops / seconds / product_peak(result));
    ts_table_row(stdout, columns, TS_COUNT(cells), cells);
}

static void print_products(const ts_bench_result *result)
{
    ts_column columns[] = {{"products with the weights", 0, true},
                           {"ms", 10, false},
                           {"GFLOP/s", 9, false},
                           {"of peak", 8, false}};
    double seconds = 0, flops = 0;
    begin_table(result, TS_BENCH_PRODUCT, columns, TS_COUNT(columns));
    for (size_t i = 0; i < result->count; i++) {
        const ts_bench_row *row = &result->rows[i];
        if (row->kind == TS_BENCH_PRODUCT) {
            print_product(columns, result, row->name, row->seconds, ts_bench_flops(row));
            seconds += row->seconds;
            flops += ts_bench_flops(row);
        }
    }
    print_product(columns, result, "all of them", seconds, flops);
}

static void print_kernels(const ts_bench_result *result)
{
    ts_column columns[] = {{"kernels, 512 tokens", 0, true},
                           {"ms", 9, false},
                           {"GFLOP/s", 8, false},
                           {"GB/s", 7, false},
                           {"of bound", 8, false},
                           {"bound by", 10, true}};
    begin_table(result, TS_BENCH_KERNEL, columns, TS_COUNT(columns));
    for (size_t i = 0; i < result->count; i++) {
        const ts_bench_row *row = &result->rows[i];
        if (row->kind != TS_BENCH_KERNEL) {
            continue;
        }
        char cells[6][TS_TABLE_CELL];
        double floor_s = ts_bench_lower_bound_s(result, row);
        snprintf(cells[0], sizeof cells[0], "%s", row->name);
        put(cells[1], "%.3f", row->seconds * 1e3);
        put(cells[2], "%.2f", ts_bench_flops(row) / row->seconds * 1e-9);
        put(cells[3], "%.2f", row->bytes / row->seconds * 1e-9);
        put(cells[4], "%.1f%%", 100 * floor_s / row->seconds);
        snprintf(cells[5], sizeof cells[5], "%s",
                 floor_s > ts_bench_bytes_s(result, row) ? "arithmetic" : "memory");
        ts_table_row(stdout, columns, TS_COUNT(cells), cells);
    }
}

static void print_passes(const ts_bench_result *result)
{
    ts_column columns[] = {{"whole passes", 0, true}, {"ms", 9, false},
                           {"GFLOP/s", 8, false},     {"of peak", 7, false},
                           {"of floor", 8, false},    {"tokens/s", 8, false}};
    begin_table(result, TS_BENCH_PASS, columns, TS_COUNT(columns));
    for (size_t i = 0; i < result->count; i++) {
        const ts_bench_row *row = &result->rows[i];
        if (row->kind != TS_BENCH_PASS) {
            continue;
        }
        if (row->left_out) {
            ts_cli_say(stdout,
                       "%-*s  left out: it would take about %.0f s; --tokens %u asks for it\n",
                       columns[0].width, row->name, row->seconds, row->tokens);
            continue;
        }
        char cells[6][TS_TABLE_CELL];
        double pace = ts_bench_flops(row) / row->seconds;
        snprintf(cells[0], sizeof cells[0], "%s", row->name);
        put(cells[1], "%.2f", row->seconds * 1e3);
        put(cells[2], "%.1f", pace * 1e-9);
        put(cells[3], "%.1f%%", 100 * pace / product_peak(result));
        put(cells[4], "%.1f%%", 100 * ts_bench_lower_bound_s(result, row) / row->seconds);
        put(cells[5], "%.2f", row->tokens / row->seconds);
        ts_table_row(stdout, columns, TS_COUNT(cells), cells);
    }
}

static void print_decoding(const ts_bench_result *peaks, const ts_bench_decode_row *decoded,
                           size_t count)
{
    const ts_column columns[] = {{"decoding, a step", 28, true},
                                 {"ms", 10, false},
                                 {"GB/s", 8, false},
                                 {"of copy", 8, false},
                                 {"tokens/s", 9, false}};
    putchar('\n');
    ts_table_head(stdout, columns, TS_COUNT(columns));
    for (size_t i = 0; i < count; i++) {
        const ts_bench_decode_row *row = &decoded[i];
        char cells[5][TS_TABLE_CELL];
        double rate = (double)row->weight_bytes / row->step_s;
        snprintf(cells[0], sizeof cells[0], "%u at once, %u dispatches", row->sequences,
                 row->dispatches);
        put(cells[1], "%.2f", row->step_s * 1e3);
        put(cells[2], "%.2f", rate * 1e-9);
        put(cells[3], "%.1f%%", 100 * rate / peaks->bytes_per_second);
        put(cells[4], "%.2f", row->sequences / row->step_s);
        ts_table_row(stdout, columns, TS_COUNT(cells), cells);
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
        cJSON_AddNumberToObject(item, "floor_seconds", ts_bench_lower_bound_s(result, row));
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
    cJSON_AddNumberToObject(json, "product_flops_per_second", result->product_flops_per_second);
    cJSON_AddNumberToObject(json, "bytes_per_second", result->bytes_per_second);
    cJSON_AddNumberToObject(json, "copy_bytes_per_second", result->copy_bytes_per_second);
    cJSON_AddNumberToObject(json, "fill_bytes_per_second", result->fill_bytes_per_second);
    cJSON_AddItemToObject(json, "rows", rows_json(result));
    cJSON_AddItemToObject(json, "decode", decode_json(decoded, decoded_count));
    return ts_cli_print_json(json, err);
}
