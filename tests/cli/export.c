// `tinysft-vk export` as a person runs it.
#include "program.h"

#define BASE PROJECT_FOLDER "/assets/base"

struct place {
    char folder[64], data[96], rows[96], adapter[96], out[96];
};

static void place_open(struct place *p)
{
    snprintf(p->folder, sizeof p->folder, "%s", test_folder());
    snprintf(p->data, sizeof p->data, "%s/eval.json", p->folder);
    snprintf(p->rows, sizeof p->rows, "%s/rows.jsonl", p->folder);
    snprintf(p->adapter, sizeof p->adapter, "%s/adapter", p->folder);
    snprintf(p->out, sizeof p->out, "%s/merged", p->folder);
    test_write(p->folder, "eval.json",
               "[{\"prompt\": \"What do cows eat?\", \"reference\": \"Cows eat grass.\"},"
               " {\"prompt\": \"Hi!\", \"reference\": \"Hello, how can I help?\"}]");
    test_write(p->folder, "rows.jsonl",
               "{\"prompt\": \"What do cows eat?\", \"completion\": \"Cows eat grass.\"}\n"
               "{\"prompt\": \"Good morning!\", \"completion\": \"Good morning to you.\"}\n");
}

static void train(const struct place *p, const char *rate)
{
    program_result result;
    RUN(&result, "train", "--model", BASE, "--data", p->rows, "--output-dir", p->adapter,
        "--device", "0", "--lr", rate, "--max-steps", "4", "--overwrite-output-dir");
    cr_assert_eq(result.code, 0, "%s", result.out);
}

static void assert_says(const program_result *result, const char *text)
{
    cr_assert_not_null(strstr(result->out, text), "no '%s' in: %s", text, result->out);
}

#define EXPORT(place)                                                                              \
    "export", "--model", BASE, "--adapter", (place)->adapter, "--format", "hf", "--output",        \
        (place)->out

static void read_losses(const program_result *result, double losses[3])
{
    const char *line = strstr(result->out, "loss on the reference answers: ");
    cr_assert_not_null(line, "%s", result->out);
    cr_assert_eq(sscanf(line,
                        "loss on the reference answers: base %lf, with the adapter %lf, merged %lf",
                        &losses[0], &losses[1], &losses[2]),
                 3, "%s", line);
}

// What the adapter learnt is in the merged model, which is a model like any other.
Test(export, merged)
{
    struct place p;
    program_result result;
    double losses[3];
    char shown[64];
    place_open(&p);
    train(&p, "1e-2");
    RUN(&result, EXPORT(&p), "--data", p.data, "--device", "0");
    cr_assert_eq(result.code, 0, "%s", result.out);
    read_losses(&result, losses);
    cr_expect_lt(losses[1], losses[0] - 0.5);
    cr_expect_float_eq(losses[2], losses[1], 0.02);
    cr_expect_null(strstr(result.out, "rounding"), "%s", result.out);
    RUN(&result, "eval", "--model", p.out, "--data", p.data, "--device", "0", "--max-new-tokens",
        "1", "--output-dir", p.folder);
    cr_assert_eq(result.code, 0, "%s", result.out);
    snprintf(shown, sizeof shown, "%.3f", losses[2]);
    assert_says(&result, shown); // the same loss

    RUN(&result, EXPORT(&p), "--no-loss");
    cr_assert_eq(result.code, TS_ERR_ARGUMENT, "%s", result.out);
    assert_says(&result, "is there already: --overwrite replaces it");
    RUN(&result, EXPORT(&p), "--no-loss", "--overwrite", "--max-shard-size", "2");
    cr_assert_eq(result.code, 0, "%s", result.out);
    cr_expect_null(strstr(result.out, "loss on"), "%s", result.out);
    ts_text index = test_read(p.out, "model.safetensors.index.json");
    ts_text_free(&index);
    test_folder_remove(p.folder);
}

// An adapter that moves weights by less than bfloat16 tells apart is lost in it, and is kept in
// F32.
Test(export, rounding_is_told)
{
    struct place p;
    program_result result;
    double losses[3];
    place_open(&p);
    train(&p, "1e-5");
    RUN(&result, EXPORT(&p), "--data", p.data, "--device", "0");
    cr_assert_eq(result.code, 0, "%s", result.out);
    assert_says(&result, "warning: rounding to BF16 took ");
    assert_says(&result, " % of what the adapter gained: --dtype f32 keeps it");
    RUN(&result, EXPORT(&p), "--data", p.data, "--device", "0", "--dtype", "f32", "--overwrite");
    cr_assert_eq(result.code, 0, "%s", result.out);
    cr_expect_null(strstr(result.out, "rounding"), "%s", result.out);
    read_losses(&result, losses);
    cr_expect_float_eq(losses[2], losses[1], 1e-4);
    test_folder_remove(p.folder);
}

Test(export, bad_input)
{
    struct place p;
    program_result result;
    place_open(&p);
    RUN(&result, "export", "--model", BASE, "--format", "onnx", "--output", p.out);
    cr_assert_eq(result.code, TS_ERR_ARGUMENT, "%s", result.out);
    assert_says(&result, "--format onnx: expected hf, gguf, gguf-adapter");
    RUN(&result, "export", "--model", BASE, "--format", "hf", "--output", p.out, "--dtype", "f64");
    cr_assert_eq(result.code, TS_ERR_ARGUMENT, "%s", result.out);
    RUN(&result, EXPORT(&p), "--no-loss"); // no adapter is there
    cr_assert_eq(result.code, TS_ERR_IO, "%s", result.out);
    cr_expect_not(ts_file_exists(p.out));
    test_folder_remove(p.folder);
}
