// A model in a GGUF file, through the program: it gives what the folder it was made from gives.
#include "../gguf_model.h"
#include "program.h"

#define BASE PROJECT_FOLDER "/assets/base"

static char folder[64], model[96], data[96];

static void begin(void)
{
    snprintf(folder, sizeof folder, "%s", test_folder());
    snprintf(model, sizeof model, "%s/model.gguf", folder);
    snprintf(data, sizeof data, "%s/data.jsonl", folder);
    test_write(folder, "data.jsonl",
               "{\"prompt\": \"What do cows eat?\", \"completion\": \"Cows eat grass.\"}\n"
               "{\"prompt\": \"Hi\", \"completion\": \"Good morning!\"}\n");
}

static void end(void)
{
    test_folder_remove(folder);
}

TestSuite(gguf, .init = begin, .fini = end, .timeout = 300);

static void expect(const program_result *result, int code, const char *words)
{
    cr_assert_eq(result->code, code, "exit code %d, expected %d: %s", result->code, code,
                 result->out);
    cr_assert_not_null(strstr(result->out, words), "'%s' is not in: %s", words, result->out);
}

// Trains the model `of` for two steps into FOLDER/`name`, and returns the adapter's file.
static ts_text train(const char *of, const char *name)
{
    char out[128];
    program_result result;
    snprintf(out, sizeof out, "%s/%s", folder, name);
    RUN(&result, "train", "--model", of, "--data", data, "--output-dir", out, "--device", "0",
        "--no-tune", "--max-steps", "2", "--lr", "1e-2", "--target-modules", "all-linear",
        "--base-model-name", "base");
    cr_assert_eq(result.code, 0, "%s", result.out);
    return test_read(out, "adapter_model.safetensors");
}

Test(gguf, trains_to_the_bits_of_the_folder_it_was_made_of)
{
    gguf_model_write(BASE, model, 30, NULL);
    ts_text want = train(BASE, "a"), have = train(model, "b");
    cr_expect_eq(have.len, want.len);
    cr_expect(have.len == want.len && memcmp(have.bytes, want.bytes, want.len) == 0);
    ts_text_free(&want);
    ts_text_free(&have);
}

Test(gguf, a_quantised_file_says_so)
{
    program_result result;
    char out[96];
    snprintf(out, sizeof out, "%s/out", folder);
    gguf_model_write(BASE, model, 8, NULL);
    RUN(&result, "train", "--model", model, "--data", data, "--dry-run", "--device", "0");
    expect(&result, 0, "(linear layers in Q8_0)");
    RUN(&result, "train", "--model", model, "--data", data, "--output-dir", out, "--device", "0",
        "--no-tune", "--max-steps", "1");
    expect(&result, 0, "ask it");
    ts_text card = test_read(out, "README.md");
    cr_expect_not_null(strstr(card.bytes, "held in Q8_0"), "%s", card.bytes);
    cr_expect_not_null(strstr(card.bytes, "model.gguf"), "%s", card.bytes);
    ts_text_free(&card);
    RUN(&result, "eval", "--model", model, "--adapter", out, "--prompt", "What do cows eat?",
        "--max-new-tokens", "4", "--device", "0", "--no-tune");
    expect(&result, 0, "Cows eat");
    RUN(&result, "train", "--model", model, "--data", data, "--dry-run", "--device", "0",
        "--quantize", "q8_0");
    expect(&result, 2, "the model's files are quantised already (model.layers.0");
}

Test(gguf, verify_takes_one_in_place_of_the_folder)
{
    static const char *const files[] = {"case.json", "golden.safetensors", "adapter_init",
                                        "adapter_final"};
    program_result result;
    char from[256], to[128];
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        snprintf(from, sizeof from, PROJECT_FOLDER "/tests/golden/tiny_tied/%s", files[i]);
        snprintf(to, sizeof to, "%s/%s", folder, files[i]);
        cr_assert_eq(symlink(from, to), 0);
    }
    snprintf(to, sizeof to, "%s/model", folder);
    gguf_model_write(PROJECT_FOLDER "/tests/golden/tiny_tied/model", to, 0, NULL);
    RUN(&result, "verify", folder, "--device", "0");
    expect(&result, 0, "all within tolerance");
}

Test(gguf, other_files_are_refused)
{
    program_result result;
    char path[128];
    test_write(folder, "other.gguf", "not what its name says");
    snprintf(path, sizeof path, "%s/other.gguf", folder);
    RUN(&result, "tokenize", "--model", path);
    expect(&result, 2, "expected a model's folder or GGUF file, not another file");
    gguf_model_write(BASE, model, 30, NULL);
    RUN(&result, "train", "--model", model, "--revision", "main", "--data", data, "--dry-run",
        "--device", "0");
    expect(&result, 2, "has no revisions");
}
