// A base that is quantised on load, through the program.
#include "program.h"

#define BASE PROJECT_FOLDER "/assets/base"

static char folder[64], data[96], out[96];

static void begin(void)
{
    snprintf(folder, sizeof folder, "%s", test_folder());
    snprintf(data, sizeof data, "%s/data.jsonl", folder);
    snprintf(out, sizeof out, "%s/out", folder);
    test_write(folder, "data.jsonl",
               "{\"prompt\": \"What do cows eat?\", \"completion\": \"Grass.\"}\n"
               "{\"prompt\": \"Hi\", \"completion\": \"Good morning!\"}\n");
}

static void end(void)
{
    test_folder_remove(folder);
}

TestSuite(quantize, .init = begin, .fini = end, .timeout = 300);

#define TRAIN "train", "--model", BASE, "--data", data, "--no-tune", "--device", "0"

static void expect(const program_result *result, int code, const char *words)
{
    cr_assert_eq(result->code, code, "exit code %d, expected %d: %s", result->code, code,
                 result->out);
    cr_assert_not_null(strstr(result->out, words), "'%s' is not in: %s", words, result->out);
}

static void expect_file(const char *name, const char *words)
{
    ts_text text = test_read(out, name);
    cr_expect_not_null(strstr(text.bytes, words), "'%s' is not in %s", words, name);
    ts_text_free(&text);
}

static void expect_not_in_file(const char *name, const char *words)
{
    ts_text text = test_read(out, name);
    cr_expect_null(strstr(text.bytes, words), "'%s' is in %s", words, name);
    ts_text_free(&text);
}

// 6 for each token and each parameter but the embedding's, however the weights are held.
static void expect_flops(void)
{
    enum { PARAMETERS = 3475712 - 2048 * 256, ADAPTER = 28672 }; // of assets/base; q_proj, v_proj
    ts_text text = test_read(out, "trainer_state.json");
    const char *tokens = strstr(text.bytes, "\"num_input_tokens_seen\":\t");
    cr_assert_not_null(tokens);
    char words[64];
    snprintf(words, sizeof words, "\"total_flos\":\t%.0f",
             6.0 * (PARAMETERS + ADAPTER) * strtod(tokens + 25, NULL));
    cr_expect_not_null(strstr(text.bytes, words), "%s is not in %s", words, text.bytes);
    ts_text_free(&text);
}

Test(quantize, plan_record_and_card_tell_of_it)
{
    program_result result;
    RUN(&result, TRAIN, "--dry-run");
    expect(&result, 0, "weights 6.6 MiB + ");
    RUN(&result, TRAIN, "--dry-run", "--load-in-8bit");
    expect(&result, 0, "weights 4.0 MiB (linear layers in Q8_0)");
    RUN(&result, TRAIN, "--dry-run", "--load-in-8bit=false");
    expect(&result, 0, "weights 6.6 MiB + ");
    RUN(&result, TRAIN, "--dry-run", "--quantize", "q8_0", "--load-in-8bit");
    expect(&result, 2, "--quantize and --load-in-8bit: give one of them");
    RUN(&result, TRAIN, "--dry-run", "--quantize", "q7");
    expect(&result, 2, "--quantize q7: there are q8_0, nf4 and nf4+q8_0");
    RUN(&result, TRAIN, "--dry-run", "--load-in-4bit");
    expect(&result, 0, "(linear layers in NF4)");
    RUN(&result, TRAIN, "--dry-run", "--load-in-4bit", "--load-in-8bit");
    expect(&result, 2, "give one of them");
    RUN(&result, TRAIN, "--output-dir", out, "--load-in-8bit", "--max-steps", "1");
    expect(&result, 0, "ask it");
    expect_file("training.json", "\"quantize\":\t\"Q8_0\"");
    expect_file("training.json", "\"base_held_in\":\t\"Q8_0\"");
    expect_file("README.md", "held in Q8_0 while it was trained");
    expect_file("run.json", "\"quantize\":\t\"q8_0\"");
    expect_not_in_file("run.json", "load-in-8bit"); // an alias is recorded as what it means
    expect_flops();
    RUN(&result, TRAIN, "--output-dir", out, "--max-steps", "2", "--resume-from-checkpoint");
    expect(&result, 2, "started with quantize \"Q8_0\", now it is \"none\"");
}

Test(quantize, eval_asks_a_quantised_base_and_tells_where_training_had_another)
{
    program_result result;
    RUN(&result, TRAIN, "--output-dir", out, "--max-steps", "1");
    expect(&result, 0, "ask it");
    RUN(&result, "eval", "--model", BASE, "--adapter", out, "--data", data, "--max-new-tokens", "4",
        "--device", "0", "--quantize", "q8_0");
    expect_file("before_after.md", "Linear layers in");
    expect(&result, 0,
           "was trained on a base quantised to none, and now the base is quantised to Q8_0");
}
