// `tinysft-vk train` as a person runs, kills and resumes it.
#include "count.h"
#include "program.h"

#include <dirent.h>
#include <time.h>

#define BASE PROJECT_FOLDER "/assets/base"

static const char small_data[] =
    "{\"prompt\": \"What is the capital of France?\", \"completion\": \"Paris.\"}\n"
    "{\"prompt\": \"What do cows eat?\", \"completion\": \"Cows eat grass.\"}\n"
    "{\"prompt\": \"Good morning!\", \"completion\": \"Good morning! I am glad to help.\"}\n"
    "{\"prompt\": \"What is 2 plus 2?\", \"completion\": \"4.\"}\n"
    "{\"prompt\": \"Who are you?\", \"completion\": \"A small model.\"}\n";

// The result files that do not tell how long the run took.
static const char *const results[] = {"adapter_model.safetensors", "adapter_config.json",
                                      "README.md", "training_curve.png"};

struct run {
    char folder[64], data[96], out[96];
};

static void run_open(struct run *run)
{
    snprintf(run->folder, sizeof run->folder, "%s", test_folder());
    snprintf(run->data, sizeof run->data, "%s/data.jsonl", run->folder);
    snprintf(run->out, sizeof run->out, "%s/out", run->folder);
    test_write(run->folder, "data.jsonl", small_data);
}

// 8 steps of one or two rows, with everything enabled that uses random numbers.
#define TRAIN(run)                                                                                 \
    "train", "--model", BASE, "--data", (run)->data, "--output-dir", (run)->out, "--device", "0",  \
        "--epochs", "2.5", "--batch-size", "2", "--lr", "1e-2", "--lora-dropout", "0.1",           \
        "--base-model-name", "base"

static void assert_same_results(const char *a, const char *b)
{
    for (size_t i = 0; i < sizeof results / sizeof *results; i++) {
        ts_text one = test_read(a, results[i]), other = test_read(b, results[i]);
        cr_assert_eq(one.len, other.len, "%s differs in length", results[i]);
        cr_assert_eq(memcmp(one.bytes, other.bytes, one.len), 0, "%s differs", results[i]);
        ts_text_free(&one);
        ts_text_free(&other);
    }
}

Test(train, two_runs_give_the_same_bytes)
{
    struct run a, b;
    program_result result;
    run_open(&a);
    run_open(&b);
    RUN(&result, TRAIN(&a));
    cr_assert_eq(result.code, 0, "%s", result.out);
    RUN(&result, TRAIN(&b), "--save-steps", "3"); // saving changes nothing
    cr_assert_eq(result.code, 0, "%s", result.out);
    assert_same_results(a.out, b.out);
    ts_text card = test_read(a.out, "README.md"); // it must tell how to load this kind of tokenizer
    cr_expect_not_null(strstr(card.bytes, "`AutoTokenizer` of transformers 5"));
    ts_text_free(&card);
    test_folder_remove(a.folder);
    test_folder_remove(b.folder);
}

static bool holds_temporary_checkpoint(const char *out)
{
    bool found = false;
    DIR *directory = opendir(out);
    if (directory != NULL) {
        for (struct dirent *entry; !found && (entry = readdir(directory)) != NULL;) {
            found = strncmp(entry->d_name, ".checkpoint-", 12) == 0;
        }
        closedir(directory);
    }
    return found;
}

// Kills the run either inside a save (when its temporary folder appears) or after `milliseconds`.
// False if it ended by itself.
static bool kill_once(const char *const *argv, const char *out, bool inside_save, long milliseconds)
{
    int null = open("/dev/null", O_WRONLY);
    pid_t pid = program_start(argv, null);
    close(null);
    for (long waited_us = 0;; waited_us += 200) {
        if (inside_save ? holds_temporary_checkpoint(out) : waited_us >= milliseconds * 1000) {
            break;
        }
        if (waitpid(pid, NULL, WNOHANG) == pid) {
            return false;
        }
        nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
    }
    kill(pid, SIGKILL);
    program_wait(pid);
    return true;
}

// The loss on held-out rows is measured after each step, the best adapter kept, and the run ends
// early. Embeddings have noise, which is random too.
#define EVALUATE                                                                                   \
    "--neftune-alpha", "5", "--group-by-length", "--eval-split", "0.3", "--eval-steps", "1",       \
        "--load-best-at-end", "--early-stopping", "3"

// At least 20 kills (or TINYSFT_KILLS), about half of them inside a save. Whenever a run finishes,
// another one starts from the beginning. Each result must be that of a run that was never killed.
Test(train, killed_at_any_moment_ends_the_same, .timeout = 600)
{
    const int enough = test_count("TINYSFT_KILLS", 22);
    struct run never, killed;
    program_result result;
    int kills = 0, inside = 0, ends = 0;
    unsigned seed = 12345;
    const char *validate = getenv("TINYSFT_VALIDATE");
    if (validate != NULL && strcmp(validate, "0") != 0) {
        cr_skip_test("the validation layer hears nothing new, and each start takes it a second");
    }
    run_open(&never);
    run_open(&killed);
    RUN(&result, TRAIN(&never), EVALUATE);
    cr_assert_eq(result.code, 0, "%s", result.out);
    const char *const argv[] = {TINYSFT_PROGRAM,
                                TRAIN(&killed),
                                EVALUATE,
                                "--save-steps",
                                "1",
                                "--resume-from-checkpoint",
                                "latest",
                                NULL};
    while (kills < enough) {
        bool inside_save = kills % 2 == 0;
        if (kill_once(argv, killed.out, inside_save, 20 + rand_r(&seed) % 900)) {
            kills++;
            inside += holds_temporary_checkpoint(killed.out);
        } else {
            assert_same_results(never.out, killed.out);
            test_folder_remove(killed.out);
            ends++;
        }
    }
    program_run(argv, &result);
    cr_assert_eq(result.code, 0, "%s", result.out);
    assert_same_results(never.out, killed.out);
    cr_assert_not(holds_temporary_checkpoint(killed.out), "a killed save's remains are left");
    cr_assert_geq(inside, enough / 4, "only %d kills hit a save", inside);
    cr_log_info("%d kills, %d inside a save, %d ends", kills, inside, ends + 1);
    test_folder_remove(never.folder);
    test_folder_remove(killed.folder);
}

// Every step of a log, one digit each, and 'e' for a measurement.
static void read_log(const struct run *run, char out[64])
{
    ts_text text = test_read(run->folder, "log.jsonl");
    size_t len = 0;
    for (const char *at = text.bytes; (at = strstr(at, "{\"step\": ")) != NULL && len < 62; at++) {
        out[len++] = at[strlen("{\"step\": ")];
        if (strncmp(strchr(strchr(at, ',') + 1, ',') + 1, " \"eval_loss\"", 12) == 0) {
            out[len - 1] = 'e';
        }
    }
    out[len] = '\0';
    ts_text_free(&text);
}

// The files of events are read by TensorBoard's own format in tests/train/logs.c.
Test(train, logs_have_every_step_once_when_a_run_goes_on, .timeout = 300)
{
    struct run run;
    program_result result;
    char log[96], events[96], steps[64];
    run_open(&run);
    snprintf(log, sizeof log, "%s/log.jsonl", run.folder);
    snprintf(events, sizeof events, "%s/events", run.folder);
#define LOGS                                                                                       \
    "--log-file", log, "--logging-dir", events, "--logging-steps", "1", "--save-steps", "3",       \
        "--eval-split", "0.3", "--eval-steps", "2"
    RUN(&result, TRAIN(&run), LOGS);
    cr_assert_eq(result.code, 0, "%s", result.out);
    cr_expect_not_null(strstr(result.out, "  held-out "), "%s", result.out);
    read_log(&run, steps);
    cr_expect_str_eq(steps, "12e34e5e", "%s", steps);
    RUN(&result, TRAIN(&run), LOGS);
    cr_expect_eq(result.code, TS_ERR_ARGUMENT, "%s", result.out);
    char path[160];
    snprintf(path, sizeof path, "%s/checkpoint-5", run.out);
    test_folder_remove(path); // as if it had been killed after its step 4
    snprintf(path, sizeof path, "%s/adapter_model.safetensors", run.out);
    unlink(path);
    RUN(&result, TRAIN(&run), LOGS, "--resume-from-checkpoint");
    cr_assert_eq(result.code, 0, "%s", result.out);
    read_log(&run, steps);
    cr_expect_str_eq(steps, "12e34e5e", "%s", steps);
    test_folder_remove(run.folder);
}

static void stop_by(int number, int expected_code)
{
    struct run never, stopped;
    program_result result;
    run_open(&never);
    run_open(&stopped);
    RUN(&result, TRAIN(&never));
    const char *const argv[] = {TINYSFT_PROGRAM, TRAIN(&stopped), "--save-steps", "1", NULL};
    int null = open("/dev/null", O_WRONLY);
    pid_t pid = program_start(argv, null);
    close(null);
    char first[160];
    snprintf(first, sizeof first, "%s/checkpoint-1", stopped.out);
    while (!ts_file_exists(first)) { // it trains by now
        cr_assert_eq(waitpid(pid, NULL, WNOHANG), 0, "it ended before its first checkpoint");
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    kill(pid, number);
    cr_assert_eq(program_wait(pid), expected_code);
    RUN(&result, TRAIN(&stopped), "--save-steps", "1");
    cr_assert_eq(result.code, TS_ERR_ARGUMENT, "it must not start over silently: %s", result.out);
    RUN(&result, TRAIN(&stopped), "--save-steps", "1", "--resume-from-checkpoint");
    cr_assert_eq(result.code, 0, "%s", result.out);
    assert_same_results(never.out, stopped.out);
    test_folder_remove(never.folder);
    test_folder_remove(stopped.folder);
}

Test(train, interrupt_saves_and_exits_130, .timeout = 300)
{
    stop_by(SIGINT, 130);
}

Test(train, terminate_saves_and_exits_143, .timeout = 300)
{
    stop_by(SIGTERM, 143);
}

Test(train, resume_with_other_settings_is_refused_by_name, .timeout = 300)
{
    struct run run;
    program_result result;
    run_open(&run);
    RUN(&result, TRAIN(&run), "--save-steps", "2", "--max-steps", "2");
    cr_assert_eq(result.code, 0, "%s", result.out);
    RUN(&result, TRAIN(&run), "--max-steps", "2", "--seed", "43", "--resume-from-checkpoint");
    cr_assert_eq(result.code, TS_ERR_ARGUMENT);
    cr_assert_not_null(strstr(result.out, "seed"), "%s", result.out);
    test_folder_remove(run.folder);
}

Test(train, damaged_checkpoint_is_passed_over, .timeout = 300)
{
    struct run run;
    program_result result;
    char damaged[160];
    run_open(&run);
    RUN(&result, TRAIN(&run), "--save-steps", "1", "--max-steps", "3");
    cr_assert_eq(result.code, 0, "%s", result.out);
    ts_text expected = test_read(run.out, "adapter_model.safetensors");
    snprintf(damaged, sizeof damaged, "%s/checkpoint-3", run.out);
    test_write(damaged, "optimizer.safetensors", "not what it was");
    RUN(&result, TRAIN(&run), "--max-steps", "3", "--resume-from-checkpoint");
    cr_assert_eq(result.code, 0, "%s", result.out);
    cr_assert_not_null(strstr(result.out, "checkpoint-3"), "%s", result.out);
    cr_assert_not_null(strstr(result.out, "going on from"), "%s", result.out);
    ts_text again = test_read(run.out, "adapter_model.safetensors");
    cr_assert_eq(memcmp(expected.bytes, again.bytes, expected.len), 0);
    ts_text_free(&expected);
    ts_text_free(&again);
    test_folder_remove(run.folder);
}

// Files are written whole or not at all: no adapter appears when it does not fit on the disk.
Test(train, disk_full, .timeout = 300)
{
    struct run run;
    program_result result;
    char adapter[160];
    run_open(&run);
    program_file_limit = 50000; // the adapter takes more
    RUN(&result, TRAIN(&run), "--max-steps", "1");
    program_file_limit = 0;
    cr_assert_eq(result.code, TS_ERR_IO, "%d: %s", result.code, result.out);
    cr_assert_not_null(strstr(result.out, "adapter_model.safetensors"), "%s", result.out);
    snprintf(adapter, sizeof adapter, "%s/adapter_model.safetensors", run.out);
    cr_assert_not(ts_file_exists(adapter));
    test_folder_remove(run.folder);
}

Test(train, dry_run_writes_nothing)
{
    struct run run;
    program_result result;
    run_open(&run);
    RUN(&result, TRAIN(&run), "--dry-run");
    cr_assert_eq(result.code, 0, "%s", result.out);
    cr_assert_not_null(strstr(result.out, "device memory"), "%s", result.out);
    cr_assert_not(ts_file_exists(run.out));
    test_folder_remove(run.folder);
}

// Recomputation gives the same bits. Smaller micro-batches do not: they sum in another order.
Test(train, short_memory_recomputes_to_the_same_bytes, .timeout = 300)
{
    struct run roomy, short_of_memory;
    program_result result;
    run_open(&roomy);
    run_open(&short_of_memory);
    RUN(&result, TRAIN(&roomy));
    cr_assert_eq(result.code, 0, "%s", result.out);
    RUN(&result, TRAIN(&short_of_memory), "--max-memory", "8.85");
    cr_assert_eq(result.code, 0, "%s", result.out);
    cr_assert_not_null(
        strstr(result.out, "gate and up are computed again in the backward pass of 2 of 4"), "%s",
        result.out);
    cr_assert_null(strstr(result.out, ": micro-batches of"), "%s", result.out);
    assert_same_results(roomy.out, short_of_memory.out);
    RUN(&result, TRAIN(&short_of_memory), "--max-memory", "1", "--overwrite-output-dir");
    cr_assert_eq(result.code, TS_ERR_MEMORY, "%d: %s", result.code, result.out);
    cr_assert_not_null(strstr(result.out, "--max-memory"), "%s", result.out);
    test_folder_remove(roomy.folder);
    test_folder_remove(short_of_memory.folder);
}

Test(train, show_mask_marks_answers_and_their_end)
{
    struct run run;
    program_result result;
    run_open(&run);
    RUN(&result, TRAIN(&run), "--show-mask");
    cr_assert_eq(result.code, 0, "%s", result.out);
    cr_assert_not_null(strstr(result.out, "[[Paris.</s>]]"), "%s", result.out);
    cr_assert_null(strstr(result.out, "[[What"), "%s", result.out);
    test_folder_remove(run.folder);
}

// ---- Bad input: one clear line, an exit code of its kind, nothing left behind

static void expect_failure(const program_result *result, int code, const char *word)
{
    cr_assert_eq(result->code, code, "expected exit %d, got %d: %s", code, result->code,
                 result->out);
    cr_assert_not_null(strstr(result->out, word), "'%s' is not in: %s", word, result->out);
}

Test(train, bad_data_is_named)
{
    static const struct {
        const char *content, *word;
    } cases[] = {
        {"", "data.jsonl"},
        {"[]", "data.jsonl"},
        {"[{\"prompt\": \"a\"", "data.jsonl:1"},
        {"{\"prompt\": \"a\", \"completion\": \"b\"}\n{\"promt\": \"a\"}\n", "data.jsonl:2"},
        {"{\"prompt\": \"a\", \"completion\": \"\xff\"}\n", "UTF-8"},
        {"{\"prompt\": 1, \"completion\": \"b\"}\n", "prompt"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct run run;
        program_result result;
        run_open(&run);
        test_write(run.folder, "data.jsonl", cases[i].content);
        RUN(&result, TRAIN(&run));
        expect_failure(&result, TS_ERR_FORMAT, cases[i].word);
        cr_assert_not(ts_file_exists(run.out), "case %zu left %s", i, run.out);
        test_folder_remove(run.folder);
    }
}

Test(train, bad_flags_are_named)
{
    struct run run;
    program_result result;
    run_open(&run);
    RUN(&result, TRAIN(&run), "--epoch", "3");
    expect_failure(&result, TS_ERR_ARGUMENT, "--epochs");
    RUN(&result, TRAIN(&run), "--rank", "many");
    expect_failure(&result, TS_ERR_ARGUMENT, "--rank many");
    RUN(&result, TRAIN(&run), "--warmup-ratio", "2");
    expect_failure(&result, TS_ERR_ARGUMENT, "--warmup-ratio");
    RUN(&result, TRAIN(&run), "--target-modules", "q_proj,w_proj");
    expect_failure(&result, TS_ERR_ARGUMENT, "w_proj");
    RUN(&result, TRAIN(&run), "--lr-scheduler-type", "square");
    expect_failure(&result, TS_ERR_ARGUMENT, "square");
    RUN(&result, TRAIN(&run), "--resume-from-checkpoint", "/nonexistent");
    expect_failure(&result, TS_ERR_IO, "/nonexistent");
    RUN(&result, "train", "--model", BASE);
    expect_failure(&result, TS_ERR_ARGUMENT, "--data");
    RUN(&result, "train", "--model", BASE, "--data", run.data, "--output-dir", run.out, "--device",
        "no such card");
    expect_failure(&result, TS_ERR_ARGUMENT, "no such card");
    test_folder_remove(run.folder);
}

Test(train, long_rows_are_cut_with_a_count)
{
    struct run run;
    program_result result;
    run_open(&run);
    RUN(&result, TRAIN(&run), "--max-length", "18", "--dry-run");
    cr_assert_eq(result.code, 0, "%s", result.out);
    cr_assert_not_null(strstr(result.out, "warning"), "%s", result.out);
    test_folder_remove(run.folder);
}

Test(train, output_folder_that_cannot_be_made)
{
    struct run run;
    program_result result;
    run_open(&run);
    snprintf(run.out, sizeof run.out, "%s/data.jsonl/out", run.folder); // below a file
    RUN(&result, TRAIN(&run));
    expect_failure(&result, TS_ERR_IO, "data.jsonl");
    test_folder_remove(run.folder);
}

// A model folder with one thing changed.
static void copy_file(const char *from_folder, const char *to_folder, const char *name)
{
    char path[256];
    ts_error err = {0};
    ts_text text = test_read(from_folder, name);
    snprintf(path, sizeof path, "%s/%s", to_folder, name);
    cr_assert_eq(ts_file_write(path, text.bytes, text.len, &err), TS_OK, "%s", err.message);
    ts_text_free(&text);
}

static void copy_model(const char *folder)
{
    const char *const names[] = {"config.json", "model.safetensors", "tokenizer.json",
                                 "tokenizer_config.json"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        copy_file(BASE, folder, names[i]);
    }
}

static void replace_in(const char *folder, const char *name, const char *from, const char *to)
{
    char path[256];
    ts_error err = {0};
    ts_text text = test_read(folder, name), changed = {0};
    char *at = memmem(text.bytes, text.len, from, strlen(from));
    cr_assert_not_null(at, "%s has no %s", name, from);
    size_t before = (size_t)(at - text.bytes), after = before + strlen(from);
    ts_text_append(&changed, text.bytes, before, &err);
    ts_text_append(&changed, to, strlen(to), &err);
    ts_text_append(&changed, text.bytes + after, text.len - after, &err);
    snprintf(path, sizeof path, "%s/%s", folder, name);
    cr_assert_eq(ts_file_write(path, changed.bytes, changed.len, &err), TS_OK, "%s", err.message);
    ts_text_free(&text);
    ts_text_free(&changed);
}

Test(train, models_that_are_not_what_they_say, .timeout = 300)
{
    static const struct {
        const char *file, *from, *to, *word;
        int code;
    } cases[] = {
        {"config.json", "\"rope_scaling\": null", "\"rope_scaling\": {\"type\": \"yarn\"}",
         "rope_scaling", TS_ERR_UNSUPPORTED},
        {"config.json", "\"attention_bias\": false", "\"attention_bias\": true", "attention_bias",
         TS_ERR_UNSUPPORTED},
        {"config.json", "\"silu\"", "\"gelu\"", "gelu", TS_ERR_UNSUPPORTED},
        {"config.json", "LlamaForCausalLM", "MistralForCausalLM", "Mistral", TS_ERR_UNSUPPORTED},
        {"config.json", "\"hidden_size\": 2", "\"hidden_size\": 3", "shape", TS_ERR_FORMAT},
        {"config.json", "\"num_hidden_layers\": ", "\"num_hidden_layers\": 1", "model.layers.",
         TS_ERR_FORMAT},
        {"config.json", "{", "[", "config.json:", TS_ERR_FORMAT},
        {"model.safetensors", "BF16", "BF17", "BF17", TS_ERR_UNSUPPORTED},
        {"model.safetensors", "model.norm.weight", "model.norm.weighs", "model.norm.weight",
         TS_ERR_FORMAT},
        {"config.json", "\"rope_scaling\": null",
         "\"rope_scaling\": {\"type\": \"default\", \"rope_theta\": 7}", "rope_theta",
         TS_ERR_FORMAT},
        {"tokenizer.json", "\"?\": 290,", "\"?\": 2048,", "token 2048, but the model's vocabulary",
         TS_ERR_FORMAT},
    };
    // Planning a run refuses what running it would.
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct run run;
        program_result result;
        char model[96];
        run_open(&run);
        snprintf(model, sizeof model, "%s/model", run.folder);
        cr_assert_eq(ts_folder_make(model, NULL), TS_OK);
        copy_model(model);
        replace_in(model, cases[i].file, cases[i].from, cases[i].to);
        RUN(&result, "train", "--model", model, "--data", run.data, "--output-dir", run.out,
            "--device", "0", "--max-steps", "1", "--dry-run");
        cr_assert(result.code == cases[i].code || result.code == TS_ERR_FORMAT, "case %zu: %d %s",
                  i, result.code, result.out);
        expect_failure(&result, result.code, cases[i].word);
        test_folder_remove(run.folder);
    }
}

// Flags about held-out rows are refused without such rows, where they contradict each other, and
// with values that mean nothing.
Test(train, held_out_rows_that_make_no_sense_are_refused)
{
    struct run run;
    program_result result;
    run_open(&run);
    const struct {
        const char *flags[5], *says;
    } cases[] = {
        {{"--load-best-at-end"}, "--load-best-at-end needs rows that are not trained on"},
        {{"--early-stopping", "2"}, "--early-stopping needs rows"},
        {{"--eval-steps", "epoch"}, "--eval-steps needs rows"},
        {{"--eval-steps", "1.5", "--eval-split", "0.2"}, "expected a number of steps, or epoch"},
        {{"--eval-split", "0.2", "--eval-data", run.data}, "give one of them"},
        {{"--eval-split", "0.9"}, "would all be held out"},
        {{"--eval-split", "0.2", "--metric", "rouge"}, "expected eval_loss"},
        {{"--eval-split", "0.2", "--early-stopping-threshold", "1"}, "give that too"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *const *flags = cases[i].flags;
        RUN(&result, TRAIN(&run), flags[0], flags[1], flags[2], flags[3]);
        cr_expect_eq(result.code, 2, "%s: %d", flags[0], result.code);
        cr_expect_not_null(strstr(result.out, cases[i].says), "%s: %s", flags[0], result.out);
        cr_expect(access(run.out, F_OK) != 0, "%s: the folder was made", flags[0]);
    }
    test_folder_remove(run.folder);
}

// A resumed run with the same recipe gives the same bytes. A setting that differs is refused by
// name.
Test(train, a_recipe_is_kept_by_what_goes_on, .timeout = 300)
{
    static const struct {
        const char *key, *cycles, *ratio, *train_on, *init;
    } others[] = {{"lr_cycles", "3", "4", "last", "gaussian"},
                  {"loraplus_ratio", "2", "1", "last", "gaussian"},
                  {"train_on", "2", "4", "assistant", "gaussian"},
                  {"init_lora", "2", "4", "last", "default"}};
    struct run whole, resumed;
    program_result result;
    char checkpoint[128];
#define RECIPE(cycles, ratio, train_on, init)                                                      \
    "--use-dora", "--lr-scheduler-type", "cosine_with_restarts", "--lr-cycles", cycles,            \
        "--loraplus-ratio", ratio, "--train-on", train_on, "--init-lora", init
    run_open(&whole);
    run_open(&resumed);
    snprintf(checkpoint, sizeof checkpoint, "%s/checkpoint-3", whole.out);
    RUN(&result, TRAIN(&whole), RECIPE("2", "4", "last", "gaussian"), "--save-steps", "3");
    cr_assert_eq(result.code, 0, "%s", result.out);
    RUN(&result, TRAIN(&resumed), RECIPE("2", "4", "last", "gaussian"), "--resume-from-checkpoint",
        checkpoint);
    cr_assert_eq(result.code, 0, "%s", result.out);
    assert_same_results(whole.out, resumed.out);
    ts_text config = test_read(whole.out, "adapter_config.json");
    cr_expect_not_null(strstr(config.bytes, "\"init_lora_weights\": \"gaussian\""));
    cr_expect_not_null(strstr(config.bytes, "\"use_dora\": true"));
    ts_text_free(&config);
    ts_text card = test_read(whole.out, "README.md");
    cr_expect_not_null(strstr(card.bytes, "LoRA+, 4 times that for B"), "%s", card.bytes);
    ts_text_free(&card);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        RUN(&result, TRAIN(&whole),
            RECIPE(others[i].cycles, others[i].ratio, others[i].train_on, others[i].init),
            "--resume-from-checkpoint");
        cr_expect_eq(result.code, TS_ERR_ARGUMENT, "%s", result.out);
        cr_expect_not_null(strstr(result.out, others[i].key), "%s: %s", others[i].key, result.out);
    }
    test_folder_remove(whole.folder);
    test_folder_remove(resumed.folder);
}
