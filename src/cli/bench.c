#include "check/bench.h"

#include "base/json.h"
#include "base/memory.h"
#include "check/bench_decode.h"
#include "cli/cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void show_progress(void *user, const char *what)
{
    (void)user;
    if (isatty(STDERR_FILENO) == 1) {
        fprintf(stderr, "\r%s\033[K", what);
    }
}

static void print_row(const char *name, double seconds, double flops, double peak)
{
    printf("%-44s %11.2f %9.1f %7.1f%%", name, seconds * 1e3, flops / seconds * 1e-9,
           100 * flops / seconds / peak);
}

static void print_table(const ts_gpu_caps *caps, const ts_bench_result *result)
{
    printf("%s (%s)\n%.1f GFLOP/s of f32 multiply-adds, %.1f GB/s copied (read and written), "
           "the best between the timings\n\n%-44s %11s %9s %8s %9s\n",
           caps->name, caps->driver, result->flops_per_second * 1e-9,
           result->bytes_per_second * 1e-9, "", "ms", "GFLOP/s", "of peak", "tokens/s");
    double seconds = 0, flops = 0;
    for (size_t i = 0; i < result->count; i++) {
        const ts_bench_row *row = &result->rows[i];
        bool product = row->tokens == 0;
        print_row(row->name, row->seconds, row->flops, result->flops_per_second);
        if (product) {
            seconds += row->seconds;
            flops += row->flops;
        } else {
            printf(" %9.2f", row->tokens / row->seconds);
        }
        putchar('\n');
        if (product && (i + 1 == result->count || result->rows[i + 1].tokens > 0)) {
            print_row("all products", seconds, flops, result->flops_per_second);
            putchar('\n');
        }
    }
}

// What the decoding part was asked and what it gave.
struct decoding {
    ts_bench_decode_params params;
    uint32_t sequences[TS_BENCH_DECODE_ROWS];
    ts_bench_decode_row rows[TS_BENCH_DECODE_ROWS];
};

static void print_decoding(const ts_bench_result *peaks, const struct decoding *decoding)
{
    if (decoding->params.count == 0) {
        return;
    }
    printf("%-44s %11s %9s %8s %9s\n", "decoding, a step", "ms", "GB/s", "of copy", "tokens/s");
    for (size_t i = 0; i < decoding->params.count; i++) {
        const ts_bench_decode_row *row = &decoding->rows[i];
        double rate = (double)row->weight_bytes / row->step_s;
        char name[64];
        snprintf(name, sizeof name, "%u at once, %u dispatches", row->sequences, row->dispatches);
        printf("%-44s %11.2f %9.2f %7.1f%% %9.2f\n", name, row->step_s * 1e3, rate * 1e-9,
               100 * rate / peaks->bytes_per_second, row->sequences / row->step_s);
    }
}

static cJSON *decode_json(const struct decoding *decoding)
{
    cJSON *rows = cJSON_CreateArray();
    for (size_t i = 0; i < decoding->params.count; i++) {
        const ts_bench_decode_row *row = &decoding->rows[i];
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

static ts_status print_json(const ts_gpu_caps *caps, const ts_bench_result *result,
                            const struct decoding *decoding, ts_error *err)
{
    cJSON *json = cJSON_CreateObject(), *rows = cJSON_CreateArray();
    cJSON_AddStringToObject(json, "device", caps->name);
    cJSON_AddStringToObject(json, "driver", caps->driver);
    cJSON_AddNumberToObject(json, "flops_per_second", result->flops_per_second);
    cJSON_AddNumberToObject(json, "bytes_per_second", result->bytes_per_second);
    cJSON_AddItemToObject(json, "rows", rows);
    for (size_t i = 0; i < result->count; i++) {
        const ts_bench_row *row = &result->rows[i];
        cJSON *item = cJSON_CreateObject();
        cJSON_AddStringToObject(item, "name", row->name);
        cJSON_AddNumberToObject(item, "seconds", row->seconds);
        cJSON_AddNumberToObject(item, "flops", row->flops);
        cJSON_AddNumberToObject(item, "tokens", row->tokens);
        cJSON_AddItemToArray(rows, item);
    }
    cJSON_AddItemToObject(json, "decode", decode_json(decoding));
    char *text = cJSON_Print(json);
    cJSON_Delete(json);
    if (text == NULL) {
        return ts_error_set(err, TS_ERR_MEMORY, "out of host memory");
    }
    puts(text);
    cJSON_free(text);
    return TS_OK;
}

// "128,512" as numbers of at least `least`.
static ts_status parse_numbers(const char *flag, const char *list, uint32_t least, uint32_t *out,
                               size_t most, size_t *count, ts_error *err)
{
    for (*count = 0; *list != '\0' && *count < most; (*count)++) {
        char *end;
        unsigned long value = strtoul(list, &end, 10);
        if (end == list || (*end != ',' && *end != '\0') || value < least || value > 1 << 20) {
            return ts_error_set(err, TS_ERR_ARGUMENT,
                                "--%s: expected numbers like 128,512, at least %u, found '%s'",
                                flag, least, list);
        }
        out[*count] = (uint32_t)value;
        list = *end == ',' ? end + 1 : end;
    }
    return TS_OK;
}

static int run(int argc, char **argv)
{
    ts_status status = TS_OK;
    ts_error error = {0}, *err = &error;
    ts_gpu_params device = {0};
    ts_bench_params params = {.progress = show_progress};
    ts_bench_result result;
    ts_gpu *gpu = NULL;
    ts_profile profile = {0};
    bool profiling = false;
    const char *tokens = "128,512", *at_once = "1,32";
    const char *only = NULL, *synthetic = NULL, *precision = "auto";
    uint32_t lengths[8];
    uint64_t rounds = 3, prompt = 16, new_tokens = 16;
    struct decoding decoding = {.params = {.progress = show_progress}};
    bool json = false;
    const ts_flag flags[] = {
        {"model", NULL, TS_FLAG_TEXT, &params.folder, "DIR",
         "a Llama for the whole passes [TinyLlama's shape, random]"},
        {"synthetic", NULL, TS_FLAG_TEXT, &synthetic, "NAME", "tinyllama: needs no model file"},
        {"tokens", NULL, TS_FLAG_TEXT, &tokens, "LIST", "lengths of the passes [128,512]"},
        {"only", NULL, TS_FLAG_TEXT, &only, "PART", "products, passes or decode [all]"},
        {"sequences", NULL, TS_FLAG_TEXT, &at_once, "LIST", "decoded at once [1,32]"},
        {"prompt", NULL, TS_FLAG_UINT, &prompt, "N", "tokens before decoding [16]", 1, 1 << 20},
        {"new-tokens", NULL, TS_FLAG_UINT, &new_tokens, "N", "to decode [16]", 1, 1 << 20},
        {"rounds", NULL, TS_FLAG_UINT, &rounds, "N", "of each timing, the best counts [3]", 1, 100},
        {"profile", NULL, TS_FLAG_SWITCH, &profiling, NULL, "time the passes by shader"},
        {"precision", NULL, TS_FLAG_TEXT, &precision, "P", TS_CLI_PRECISION_HELP " [auto]"},
        {"json", NULL, TS_FLAG_SWITCH, &json, NULL, "for programs instead of people"},
        {"device", NULL, TS_FLAG_TEXT, &device.device, "N", "number or part of the name"},
        TS_CLI_MASK_FLAG(&device.masks),
        {"verbose", NULL, TS_FLAG_SWITCH, &ts_cli_verbose, NULL, "say more"},
    };
    if (ts_flags_ask_help(argc, argv)) {
        ts_flags_print_help(&ts_command_bench, flags, TS_COUNT(flags));
        return 0;
    }
    TS_TRY(ts_flags_parse(flags, TS_COUNT(flags), argc, argv, NULL, err));
    TS_TRY(
        parse_numbers("tokens", tokens, 2, lengths, TS_COUNT(lengths), &params.token_count, err));
    TS_TRY(parse_numbers("sequences", at_once, 1, decoding.sequences, TS_COUNT(decoding.sequences),
                         &decoding.params.count, err));
    if (only != NULL && strcmp(only, "products") != 0 && strcmp(only, "passes") != 0 &&
        strcmp(only, "decode") != 0) {
        TS_FAIL(TS_ERR_ARGUMENT, "--only %s: there are products, passes and decode", only);
    }
    if (synthetic != NULL && strcmp(synthetic, "tinyllama") != 0) {
        TS_FAIL(TS_ERR_ARGUMENT, "--synthetic %s: there is only tinyllama", synthetic);
    }
    params.tokens = lengths;
    params.rounds = (uint32_t)rounds;
    params.products = only == NULL || strcmp(only, "products") == 0;
    params.passes = only == NULL || strcmp(only, "passes") == 0;
    TS_TRY(ts_gpu_open(&device, &gpu, err));
    TS_TRY(ts_cli_choose_precision(precision, gpu, &params.precision, err));
    if (profiling) {
        TS_TRY(ts_profile_open(gpu, &profile, err));
        params.profile = &profile;
    }
    TS_TRY(ts_bench(gpu, &params, &result, err));
    if (only == NULL || strcmp(only, "decode") == 0) {
        decoding.params.folder = params.folder;
        decoding.params.precision = params.precision;
        decoding.params.sequences = decoding.sequences;
        decoding.params.prompt_tokens = (uint32_t)prompt;
        decoding.params.new_tokens = (uint32_t)new_tokens;
        decoding.params.rounds = params.rounds;
        decoding.params.profile = params.profile;
        TS_TRY(ts_bench_decode(gpu, &decoding.params, decoding.rows, err));
    } else {
        decoding.params.count = 0;
    }
    show_progress(NULL, "");
    if (json) {
        TS_TRY(print_json(ts_gpu_capabilities(gpu), &result, &decoding, err));
    } else {
        print_table(ts_gpu_capabilities(gpu), &result);
        print_decoding(&result, &decoding);
    }
    if (profiling) {
        ts_cli_print_profile(&profile);
    }
out:
    ts_profile_close(&profile);
    ts_gpu_close(gpu);
    return status == TS_OK ? 0 : ts_cli_fail(err);
}

const ts_command ts_command_bench = {
    .name = "bench",
    .summary = "measure this device: its peaks, and what part of them is reached",
    .usage = "[flags]",
    .run = run,
};
