#include "base/memory.h"
#include "base/nearest.h"
#include "base/progress.h"
#include "cli/bench_print.h"
#include "cli/cli.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void show_progress(void *user, const char *what)
{
    (void)user;
    ts_progress_note(stderr, what);
}

// Reads a list such as "128,512" as numbers of at least `least`.
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

static const char *const parts[] = {"peaks", "products", "kernels", "passes", "decode"};

static const char *choice_of_part(size_t index)
{
    return index < TS_COUNT(parts) ? parts[index] : NULL;
}

static const char *choice_of_kernel(size_t index)
{
    return index < TS_KERNEL_COUNT ? ts_kernels[index].name : NULL;
}

// TS_ERR_ARGUMENT names the first of a list that is no kernel, before anything is measured.
static ts_status check_kernels(const char *list, ts_error *err)
{
    for (const char *at = list; at != NULL && *at != '\0'; at += strspn(at, ",")) {
        size_t len = strcspn(at, ","), i = 0;
        ts_nearest search = ts_nearest_begin(at, len);
        for (; i < TS_KERNEL_COUNT; i++) {
            if (strlen(ts_kernels[i].name) == len && memcmp(ts_kernels[i].name, at, len) == 0) {
                break;
            }
            ts_nearest_offer(&search, ts_kernels[i].name);
        }
        if (i == TS_KERNEL_COUNT) {
            return ts_error_set(
                err, TS_ERR_ARGUMENT,
                "--kernel %.*s: there is no such kernel%s%s%s (--only kernels measures and "
                "names all)",
                (int)ts_min_u64(len, 64), at, search.name != NULL ? "; did you mean " : "",
                search.name != NULL ? search.name : "", search.name != NULL ? "?" : "");
        }
        at += len;
    }
    return TS_OK;
}

static ts_status choose_parts(const char *only, ts_bench_params *params,
                              ts_bench_decode_params *decode, ts_error *err)
{
    bool chosen[TS_COUNT(parts)], any = false;
    for (size_t i = 0; i < TS_COUNT(parts); i++) {
        chosen[i] = only == NULL || strcmp(only, parts[i]) == 0;
        any |= chosen[i];
    }
    if (!any) {
        return ts_error_set(err, TS_ERR_ARGUMENT,
                            "--only %s: there are peaks, products, kernels, passes and decode",
                            only);
    }
    params->products = chosen[1]; // the peaks are always measured
    params->kernels = chosen[2];
    params->passes = chosen[3];
    decode->count = chosen[4] ? decode->count : 0;
    return TS_OK;
}

// Tells what will be measured and roughly how long that takes: each timing is repeated until it
// takes shortest_s, and the device's peaks are measured in between.
static void tell_work(const ts_gpu_caps *caps, const ts_bench_params *params, bool decoding)
{
    bool cpu = ts_gpu_is_cpu(caps);
    double minutes = (params->products ? 0.5 : 0) + (params->kernels ? 1.5 : 0) +
                     (params->passes ? (cpu ? 15 : 1.5) : 0) + (decoding ? (cpu ? 3 : 0.5) : 0);
    minutes *= (double)(params->rounds + 1) / 4;
    char duration[64];
    snprintf(duration, sizeof duration, minutes <= 1 ? "a minute" : "%.0f minutes", ceil(minutes));
    ts_cli_say(stderr, "measuring %s: its peaks%s%s%s%s; about %s\n", caps->name,
               params->products ? ", products with the weights" : "",
               params->kernels ? ", kernels" : "", params->passes ? ", whole passes" : "",
               decoding ? ", decoding" : "", duration);
}

static struct {
    const char *model, *synthetic, *tokens, *only, *kernels, *at_once, *precision, *quantize;
    uint64_t batch, prompt, new_tokens, rounds;
    bool profiling, json;
    ts_gpu_params device;
} asked = {.at_once = "1,32",
           .precision = "auto",
           .batch = 1,
           .prompt = 16,
           .new_tokens = 16,
           .rounds = 3};

static const ts_flag flags[] = {
    {"model", NULL, TS_FLAG_TEXT, &asked.model, "MODEL",
     TS_CLI_MODEL_HELP ",\nfor the whole passes and decoding [TinyLlama's shape, random]"},
    {"synthetic", NULL, TS_FLAG_TEXT, &asked.synthetic, "NAME", "tinyllama: needs no model file"},
    {"tokens", NULL, TS_FLAG_TEXT, &asked.tokens, "LIST",
     "lengths of the passes\n[128,512,2048, as far as a step takes less than a minute]"},
    {"batch", NULL, TS_FLAG_UINT, &asked.batch, "N", "sequences of a pass [1]", 1, 1 << 10},
    {"only", NULL, TS_FLAG_TEXT, &asked.only, "PART",
     "peaks, products, kernels, passes or decode [all]", .choice = choice_of_part},
    {"kernel", NULL, TS_FLAG_TEXT, &asked.kernels, "LIST", "only these kernels: rmsnorm,rope",
     .choice = choice_of_kernel},
    {"sequences", NULL, TS_FLAG_TEXT, &asked.at_once, "LIST", "decoded at once [1,32]"},
    {"prompt", NULL, TS_FLAG_UINT, &asked.prompt, "N", "tokens before decoding [16]", 1, 1 << 20},
    {"new-tokens", NULL, TS_FLAG_UINT, &asked.new_tokens, "N", "to decode [16]", 1, 1 << 20},
    {"rounds", NULL, TS_FLAG_UINT, &asked.rounds, "N", "of each timing, the best counts [3]", 1,
     100},
    {"profile", NULL, TS_FLAG_SWITCH, &asked.profiling, NULL, "time the passes by shader",
     .passing = true},
    TS_CLI_QUANTIZE_FLAGS(asked.quantize),
    TS_CLI_PRODUCT_FLAGS(asked.precision, "auto", asked.device),
    TS_CLI_JSON_FLAG(&asked.json),
    TS_CLI_VERBOSE_FLAG,
};

// What is to be measured, and what was.
struct work {
    ts_bench_params params;
    ts_bench_decode_params decode;
    uint32_t lengths[8], sequences[TS_BENCH_DECODE_ROWS];
    ts_bench_result result;
    ts_bench_decode_row decoded[TS_BENCH_DECODE_ROWS];
    ts_profile profile;
};

// Turns the flags' values into parameters.
static ts_status settle(struct work *work, ts_error *err)
{
    ts_status status = TS_OK;
    ts_bench_params *params = &work->params;
    ts_bench_decode_params *decode = &work->decode;
    const char *tokens = asked.tokens != NULL ? asked.tokens : "128,512,2048";
    bool kernels = asked.only == NULL && asked.kernels != NULL;
    TS_TRY(parse_numbers("tokens", tokens, 2, work->lengths, TS_COUNT(work->lengths),
                         &params->token_count, err));
    TS_TRY(parse_numbers("sequences", asked.at_once, 1, work->sequences, TS_COUNT(work->sequences),
                         &decode->count, err));
    TS_TRY(choose_parts(kernels ? "kernels" : asked.only, params, decode, err));
    if (asked.synthetic != NULL && strcmp(asked.synthetic, "tinyllama") != 0) {
        TS_FAIL(TS_ERR_ARGUMENT, "--synthetic %s: there is only tinyllama", asked.synthetic);
    }
    TS_TRY(ts_cli_choose_quantize(asked.quantize, &params->quantise, err));
    TS_TRY(check_kernels(asked.kernels, err));
    params->kernel_names = asked.kernels;
    params->tokens = work->lengths;
    params->batch = (uint32_t)asked.batch;
    params->pass_limit_s = asked.tokens != NULL ? INFINITY : 60;
    params->shortest_s = 0.15;
    params->rounds = decode->rounds = (uint32_t)asked.rounds;
    params->progress = decode->progress = show_progress;
    decode->sequences = work->sequences;
    decode->prompt_tokens = (uint32_t)asked.prompt;
    decode->new_tokens = (uint32_t)asked.new_tokens;
out:
    return status;
}

static ts_status measure(ts_gpu *gpu, struct work *work, ts_error *err)
{
    ts_status status = TS_OK;
    ts_bench_params *params = &work->params;
    ts_bench_decode_params *decode = &work->decode;
    if (asked.profiling) {
        TS_TRY(ts_profile_open(gpu, &work->profile, err));
        params->profile = decode->profile = &work->profile;
    }
    decode->config = params->config;
    decode->quantise = params->quantise;
    decode->weights = params->weights;
    decode->precision = params->precision;
    tell_work(ts_gpu_capabilities(gpu), params, decode->count > 0);
    TS_TRY(ts_bench(gpu, params, &work->result, err));
    if (decode->count > 0) {
        TS_TRY(ts_bench_decode(gpu, decode, work->decoded, err));
    }
out:
    ts_progress_clear();
    return status;
}

static ts_status print(const ts_gpu_caps *caps, const struct work *work, ts_error *err)
{
    ts_status status = TS_OK;
    size_t decoded = work->decode.count;
    if (asked.json) {
        status = ts_bench_print_json(caps, &work->result, work->decoded, decoded, err);
    } else {
        ts_bench_print(caps, &work->result, work->decoded, decoded);
    }
    if (status == TS_OK && asked.profiling) {
        ts_cli_print_profile(&work->profile);
    }
    return status;
}

static int run(int argc, char **argv)
{
    struct work work = {0};
    ts_status status = TS_OK;
    ts_error error = {0}, *err = &error;
    ts_text folder = {0};
    ts_model_config config;
    ts_gpu *gpu = NULL;
    TS_TRY(ts_flags_parse(&ts_command_bench, argc, argv, err));
    TS_TRY(settle(&work, err));
    if (asked.model != NULL) {
        TS_TRY(ts_cli_resolve_model(asked.model, NULL, true, &folder, err));
        TS_TRY(ts_weights_open(folder.bytes, &work.params.weights, err));
        TS_TRY(ts_model_check(work.params.weights, &config, err));
        work.params.config = &config;
    }
    TS_TRY(ts_device_open(&asked.device, &gpu, err));
    TS_TRY(ts_device_choose_precision(gpu, asked.precision, &work.params.precision, err));
    TS_TRY(measure(gpu, &work, err));
    TS_TRY(print(ts_gpu_capabilities(gpu), &work, err));
out:
    ts_profile_close(&work.profile);
    ts_gpu_close(gpu);
    ts_weights_close(work.params.weights);
    ts_text_free(&folder);
    return status == TS_OK ? 0 : ts_cli_fail(&ts_command_bench, err);
}

const ts_command ts_command_bench = {
    .name = "bench",
    .summary = "measure this device: its peaks, and what part of them is reached",
    .usage = "[flags]",
    .needs_less = "smaller --tokens, --batch or --sequences need less memory, and --only leaves "
                  "parts out; or take another --device",
    .flags = flags,
    .flag_count = TS_COUNT(flags),
    .run = run,
};
