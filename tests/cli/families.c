// Models of families other than Llama, through the program. They are made from the embedded base,
// whose weights fit them too.
#include "program.h"

#include "base/file.h"

#define BASE PROJECT_FOLDER "/assets/base"

static const char data[] =
    "{\"prompt\": \"What do cows eat, and who brings it?\", \"completion\": \"Cows eat grass.\"}\n"
    "{\"prompt\": \"Good morning!\", \"completion\": \"Hi.\"}\n";

static char folder[64], model[96], data_path[96];

// `text` with the first `from` replaced.
static void replace(ts_text *text, const char *from, const char *to)
{
    ts_error err = {0};
    ts_text changed = {0};
    char *at = memmem(text->bytes, text->len, from, strlen(from));
    cr_assert_not_null(at, "no %s", from);
    size_t before = (size_t)(at - text->bytes), after = before + strlen(from);
    ts_text_append(&changed, text->bytes, before, &err);
    ts_text_append(&changed, to, strlen(to), &err);
    cr_assert_eq(ts_text_append(&changed, text->bytes + after, text->len - after, &err), TS_OK);
    ts_text_free(text);
    *text = changed;
}

// The base as a Mistral, with `more` in its config.json.
static void write_mistral(const char *more)
{
    static const char *const names[] = {"model.safetensors", "tokenizer.json",
                                        "tokenizer_config.json"};
    char path[128], to[128];
    ts_error err = {0};
    cr_assert_eq(ts_folder_make(model, &err), TS_OK);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(path, sizeof path, "%s/%s", model, names[i]);
        snprintf(to, sizeof to, "%s/%s", BASE, names[i]);
        if (!ts_file_exists(path)) {
            cr_assert_eq(symlink(to, path), 0);
        }
    }
    ts_text config = test_read(BASE, "config.json");
    replace(&config, "LlamaForCausalLM", "MistralForCausalLM");
    replace(&config, "\"llama\"", "\"mistral\"");
    replace(&config, "{", more);
    snprintf(path, sizeof path, "%s/config.json", model);
    cr_assert_eq(ts_file_write_plain(path, config.bytes, config.len, &err), TS_OK);
    ts_text_free(&config);
}

static void setup(void)
{
    snprintf(folder, sizeof folder, "%s", test_folder());
    snprintf(model, sizeof model, "%s/mistral", folder);
    snprintf(data_path, sizeof data_path, "%s/data.jsonl", folder);
    test_write(folder, "data.jsonl", data);
}

static void teardown(void)
{
    test_folder_remove(folder);
}

TestSuite(families, .init = setup, .fini = teardown, .timeout = 240);

// Trains two steps into FOLDER/NAME and returns the adapter.
static ts_text train(const char *of, const char *name)
{
    char out[128];
    program_result result;
    snprintf(out, sizeof out, "%s/%s", folder, name);
    RUN(&result, "train", "--model", of, "--data", data_path, "--output-dir", out, "--device", "0",
        "--max-steps", "2", "--lr", "1e-2", "--target-modules", "all-linear", "--base-model-name",
        "base");
    cr_assert_eq(result.code, 0, "%s", result.out);
    return test_read(out, "adapter_model.safetensors");
}

// Trains the Mistral that write_mistral wrote, and asserts whether its adapter is the Llama's.
static void expect_as_llama(const ts_text *llama, const char *name, bool same)
{
    ts_text adapter = train(model, name);
    cr_assert_eq(adapter.len, llama->len);
    cr_expect_eq(memcmp(adapter.bytes, llama->bytes, llama->len) == 0, same, "%s", name);
    ts_text_free(&adapter);
}

Test(families, a_mistral_is_a_llama_with_a_window)
{
    char out[128], reports[128];
    program_result result;
    ts_text llama = train(BASE, "llama");
    write_mistral("{\"sliding_window\": null,");
    expect_as_llama(&llama, "none", true);
    write_mistral("{"); // transformers' default of 4096, more than the base's 512 positions
    expect_as_llama(&llama, "absent", true);
    write_mistral("{\"sliding_window\": 6,");
    expect_as_llama(&llama, "window", false);

    snprintf(out, sizeof out, "%s/window", folder);
    snprintf(reports, sizeof reports, "%s/reports", folder);
    RUN(&result, "eval", "--model", model, "--adapter", out, "--device", "0", "--prompt",
        "What do cows eat?", "--max-new-tokens", "4", "--output-dir", reports);
    cr_expect_eq(result.code, 0, "%s", result.out);
    ts_text record = test_read(out, "training.json");
    cr_expect_not_null(strstr(record.bytes, "\"sliding_window\":\t6"), "%s", record.bytes);
    ts_text_free(&record);
    // Another window is another model.
    write_mistral("{\"sliding_window\": 7,");
    RUN(&result, "train", "--model", model, "--data", data_path, "--output-dir", out, "--device",
        "0", "--max-steps", "3", "--lr", "1e-2", "--target-modules", "all-linear",
        "--base-model-name", "base", "--resume-from-checkpoint");
    cr_expect_eq(result.code, TS_ERR_ARGUMENT);
    cr_expect_not_null(strstr(result.out, "the model's sliding_window 6, now it is 7"), "%s",
                       result.out);
    ts_text_free(&llama);
}
