// Runs that lose nothing: what `tinysft-vk train` does in a folder that has a run already, when it
// is stopped, and when its data, model or settings have changed.
#include "program.h"

#include "base/json.h"

#include <dirent.h>
#include <sys/stat.h>
#include <time.h>

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

TestSuite(runs, .init = begin, .fini = end, .timeout = 300);

#define TRAIN "train", "--model", BASE, "--data", data, "--output-dir", out, "--device", "0"

static bool there(const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", out, name);
    return ts_file_exists(path);
}

static void expect(const program_result *result, int code, const char *words)
{
    cr_assert_eq(result->code, code, "exit code %d, expected %d: %s", result->code, code,
                 result->out);
    cr_assert_not_null(strstr(result->out, words), "'%s' is not in: %s", words, result->out);
}

// Names, sizes and times of all that is in a folder, itself included.
static void list(const char *path, ts_text *text)
{
    struct stat info;
    ts_error err = {0};
    cr_assert_eq(stat(path, &info), 0);
    ts_text_format(text, &err, "%s %ld %ld.%09ld\n", path, (long)info.st_size,
                   (long)info.st_mtim.tv_sec, info.st_mtim.tv_nsec);
    if (S_ISDIR(info.st_mode)) {
        struct dirent **names;
        int count = scandir(path, &names, NULL, alphasort);
        for (int i = 0; i < count; i++) {
            char inner[512];
            snprintf(inner, sizeof inner, "%s/%s", path, names[i]->d_name);
            if (strcmp(names[i]->d_name, ".") != 0 && strcmp(names[i]->d_name, "..") != 0) {
                list(inner, text);
            }
            free(names[i]);
        }
        free(names);
    }
}

static cJSON *read_json(const char *name)
{
    cJSON *json = NULL;
    ts_error err = {0};
    ts_text text = test_read(out, name);
    cr_assert_eq(ts_json_parse(text.bytes, text.len, name, &json, &err), TS_OK, "%s", err.message);
    ts_text_free(&text);
    return json;
}

// Makes the folder look like that of a run that was killed while it wrote its results.
static void unfinish(void)
{
    const char *const names[] = {"adapter_model.safetensors", "training.json"};
    for (size_t i = 0; i < 2; i++) {
        char path[256];
        snprintf(path, sizeof path, "%s/%s", out, names[i]);
        cr_assert_eq(unlink(path), 0);
    }
}

// ---- A finished run, and all that may be asked of it. One test, because training takes a second.

// The reader of its output has closed the pipe: it trains to its end all the same.
static void train_unheard(void)
{
    int ends[2];
    const char *const argv[] = {TINYSFT_PROGRAM,   TRAIN, "--max-steps", "2",
                                "--save-steps",    "1",   "--lr",        "1e-2",
                                "--logging-steps", "1",   NULL};
    cr_assert_eq(pipe(ends), 0);
    close(ends[0]);
    pid_t pid = program_start(argv, ends[1]);
    close(ends[1]);
    cr_assert_eq(program_wait(pid), 0, "it ended with its reader");
    cr_assert(there("adapter_model.safetensors") && there("training.json"));
}

static void ask_for_the_same(void)
{
    program_result result;
    char path[160];
    RUN(&result, TRAIN, "--max-steps", "2", "--lr", "1e-2");
    expect(&result, TS_ERR_ARGUMENT,
           "is finished, 2 of 2 steps; --overwrite-output-dir replaces it, more --epochs goes on");
    RUN(&result, TRAIN, "--max-steps", "2", "--lr", "1e-2", "--resume-from-checkpoint");
    expect(&result, 0, "is finished, 2 of 2 steps; nothing was touched");
    RUN(&result, TRAIN, "--max-steps", "2", "--lr", "1e-2", "--resume-from-checkpoint", "latest");
    expect(&result, 0, "nothing was touched");
    RUN(&result, TRAIN, "--max-steps", "1", "--lr", "1e-2", "--resume-from-checkpoint");
    expect(&result, TS_ERR_ARGUMENT, "steps 2, now it is 1");
    RUN(&result, TRAIN, "--max-steps", "3", "--lr", "2e-2");
    expect(&result, TS_ERR_ARGUMENT, "is finished, 2 of 2 steps");
    RUN(&result, TRAIN, "--max-steps", "3", "--lr", "2e-2", "--resume-from-checkpoint");
    expect(&result, TS_ERR_ARGUMENT, "learning_rate 0.01, now it is 0.02");
    snprintf(path, sizeof path, "%s/checkpoint-7", out);
    RUN(&result, TRAIN, "--max-steps", "3", "--lr", "1e-2", "--resume-from-checkpoint", path);
    expect(&result, TS_ERR_IO, "checkpoint-2, checkpoint-1");
}

static void copy_base(const char *model, const char *name, const char *from, const char *to)
{
    const char *const names[] = {"config.json", "model.safetensors", "special_tokens_map.json",
                                 "tokenizer.json", "tokenizer_config.json"};
    ts_error err = {0};
    cr_assert_eq(ts_folder_make(model, &err), TS_OK);
    for (size_t i = 0; i < 5; i++) {
        char path[256];
        ts_text text = test_read(BASE, names[i]), changed = {0};
        const char *at =
            strcmp(names[i], name) == 0 ? memmem(text.bytes, text.len, from, strlen(from)) : NULL;
        size_t before = at != NULL ? (size_t)(at - text.bytes) : text.len;
        cr_assert(at != NULL || strcmp(names[i], name) != 0, "%s has no %s", name, from);
        ts_text_append(&changed, text.bytes, before, &err);
        if (at != NULL) {
            ts_text_append(&changed, to, strlen(to), &err);
            before += strlen(from);
            ts_text_append(&changed, text.bytes + before, text.len - before, &err);
        }
        snprintf(path, sizeof path, "%s/%s", model, names[i]);
        cr_assert_eq(ts_file_write(path, changed.bytes, changed.len, &err), TS_OK);
        ts_text_free(&text);
        ts_text_free(&changed);
    }
}

static void ask_with_another_model(void)
{
    static const struct {
        const char *file, *from, *to, *words;
    } cases[] = {
        {"config.json", "\"rope_theta\": 10000", "\"rope_theta\": 20000", "the model's rope_theta"},
        {"config.json", "\"rms_norm_eps\": 1e-05", "\"rms_norm_eps\": 1e-06",
         "the model's rms_norm_eps"},
        {"tokenizer_config.json", "{", "{ ", "the tokenizer's files of"},
        {"", "", "", "the weights of"},
    };
    program_result result;
    char model[96], path[128];
    ts_error err = {0};
    snprintf(model, sizeof model, "%s/model", folder);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        copy_base(model, cases[i].file, cases[i].from, cases[i].to);
        if (cases[i].file[0] == '\0') {
            ts_text weights = test_read(model, "model.safetensors");
            weights.bytes[weights.len - 2] ^= 1; // of the last number
            snprintf(path, sizeof path, "%s/model.safetensors", model);
            cr_assert_eq(ts_file_write(path, weights.bytes, weights.len, &err), TS_OK);
            ts_text_free(&weights);
        }
        RUN(&result, "train", "--model", model, "--data", data, "--output-dir", out, "--device",
            "0", "--max-steps", "3", "--lr", "1e-2", "--resume-from-checkpoint");
        expect(&result, TS_ERR_ARGUMENT, cases[i].words);
    }
}

static void ask_without_its_last_checkpoint(void)
{
    program_result result;
    char path[160], aside[160];
    snprintf(path, sizeof path, "%s/checkpoint-2", out);
    snprintf(aside, sizeof aside, "%s/aside", folder);
    cr_assert_eq(rename(path, aside), 0);
    RUN(&result, TRAIN, "--max-steps", "2", "--lr", "1e-2", "--resume-from-checkpoint");
    expect(&result, 0, "nothing was touched");
    RUN(&result, TRAIN, "--max-steps", "4", "--lr", "1e-2");
    expect(&result, TS_ERR_ARGUMENT, "its last checkpoint is gone");
    RUN(&result, TRAIN, "--max-steps", "4", "--lr", "1e-2", "--resume-from-checkpoint");
    expect(&result, TS_ERR_ARGUMENT, "steps 2, now it is 4"); // checkpoint-1 is not its end
    cr_assert_eq(rename(aside, path), 0);
}

// The longer run's schedule holds from there on, and the record and the log say so.
static void make_it_longer(void)
{
    program_result result;
    RUN(&result, TRAIN, "--max-steps", "4", "--lr", "1e-2");
    expect(&result, 0, "the schedule of 4 steps, 0.005 at step 3");
    expect(&result, 0, "checkpoint-2, step 2 of 4");
    RUN(&result, TRAIN, "--max-steps", "6", "--lr", "1e-2", "--resume-from-checkpoint");
    expect(&result, 0, "checkpoint-4, step 4 of 6");
    cJSON *record = read_json("training.json");
    char *notes = cJSON_PrintUnformatted(ts_json_get(record, "went_on_after_steps"));
    cr_assert_str_eq(notes, "[2,4]");
    cJSON_free(notes);
    cJSON_Delete(record);
    record = read_json("trainer_state.json");
    cr_assert_eq(ts_json_get(record, "global_step")->valuedouble, 6);
    cJSON_Delete(record);
}

Test(runs, a_finished_one)
{
    program_result result;
    ts_text before = {0}, after = {0};
    train_unheard();
    list(out, &before);
    ask_for_the_same();
    ask_with_another_model();
    list(out, &after);
    cr_assert_str_eq(before.bytes, after.bytes);
    ask_without_its_last_checkpoint();
    make_it_longer();
    unfinish();
    test_write(folder, "data.jsonl", "{\"prompt\": \"Hi\", \"completion\": \"Good evening!\"}\n");
    RUN(&result, TRAIN, "--max-steps", "6", "--lr", "1e-2", "--resume-from-checkpoint");
    expect(&result, TS_ERR_ARGUMENT, "data.jsonl has changed since the run was started");
    cr_assert_null(strstr(result.out, "go on from it"), "no advice: %s", result.out);
    ts_text_free(&before);
    ts_text_free(&after);
}

// ---- A run that another is to replace, in one test too

static void fail_to_replace_it(void)
{
    program_result result;
    ts_text before = {0}, after = {0};
    list(out, &before);
    RUN(&result, TRAIN, "--overwrite-output-dir", "--max-steps", "1", "--max-memory", "1");
    cr_assert_eq(result.code, TS_ERR_MEMORY);
    list(out, &after);
    cr_assert_str_eq(before.bytes, after.bytes);
    // It diverges in its second step. The old run is only deleted once the new one has a
    // checkpoint.
    RUN(&result, TRAIN, "--overwrite-output-dir", "--lr", "100", "--alpha", "1e6",
        "--max-grad-norm", "0", "--epochs", "9");
    expect(&result, TS_ERR_RUN, "try a lower --lr");
    cr_assert(there("checkpoint-4") && there("checkpoint-1") &&
              there("adapter_model.safetensors") && there("run.json"));
    cr_assert_null(strstr(result.out, "go on from it"), "that is another run's: %s", result.out);
    ts_text_free(&before);
    ts_text_free(&after);
}

static void go_on_below_damaged_checkpoints(void)
{
    program_result result;
    char path[160];
    unfinish();
    for (int step = 3; step <= 4; step++) {
        snprintf(path, sizeof path, "%s/checkpoint-%d", out, step);
        test_write(path, "trainer_state.json", "{}");
    }
    RUN(&result, TRAIN, "--max-steps", "4", "--save-steps", "3", "--save-total-limit", "1",
        "--resume-from-checkpoint");
    expect(&result, 0, "going on from step 2, below checkpoint-4");
    cr_assert(there("checkpoint-4") && !there("checkpoint-3") && !there("checkpoint-2"));
    RUN(&result, TRAIN, "--max-steps", "4", "--resume-from-checkpoint");
    expect(&result, 0, "nothing was touched");
}

// It warns of the rising loss. The mean loss is the same on the terminal, in trainer_state.json and
// in the model card.
static void replace_it_with_too_high_a_rate(void)
{
    program_result result;
    char mean[64], card[128];
    RUN(&result, TRAIN, "--overwrite-output-dir", "--max-steps", "8", "--logging-steps", "5",
        "--lr", "50");
    expect(&result, 0, "--lr 50) is likely too high");
    cr_assert(there("checkpoint-8") && !there("checkpoint-4") && there("run.json"));
    cJSON *state = read_json("trainer_state.json");
    const cJSON *log = ts_json_get(state, "log_history");
    cr_assert_eq(cJSON_GetArraySize(log), 3, "two intervals and the summary");
    double last = ts_json_get(cJSON_GetArrayItem(log, 1), "loss")->valuedouble;
    double first = ts_json_get(cJSON_GetArrayItem(log, 0), "loss")->valuedouble;
    snprintf(mean, sizeof mean, "loss %.4f (mean of 5)", first);
    expect(&result, 0, mean);
    snprintf(mean, sizeof mean, "loss %.4f (mean of 3)", last);
    expect(&result, 0, mean);
    snprintf(card, sizeof card,
             "%.4f in the mean of the first 5 steps, %.4f in the mean of the last 3", first, last);
    ts_text readme = test_read(out, "README.md");
    cr_assert_not_null(strstr(readme.bytes, card), "'%s' is not in: %s", card, readme.bytes);
    ts_text_free(&readme);
    cJSON_Delete(state);
}

Test(runs, one_that_is_to_be_replaced)
{
    program_result result;
    RUN(&result, TRAIN, "--max-steps", "4", "--save-steps", "1");
    cr_assert_eq(result.code, 0, "%s", result.out);
    cr_assert_null(strstr(result.out, "warning: step"), "%s", result.out);
    fail_to_replace_it();
    go_on_below_damaged_checkpoints();
    replace_it_with_too_high_a_rate();
}

Test(runs, nothing_to_go_on_from)
{
    program_result result;
    char path[160];
    snprintf(path, sizeof path, "%s/checkpoint-7", out);
    RUN(&result, TRAIN, "--resume-from-checkpoint", path);
    expect(&result, TS_ERR_IO, "holds no checkpoint");
    RUN(&result, TRAIN, "--resume-from-checkpoint");
    expect(&result, TS_ERR_ARGUMENT, "does not exist");
    cr_assert_not(ts_file_exists(out), "a folder was made");
    cr_assert_eq(mkdir(out, 0777), 0);
    RUN(&result, TRAIN, "--resume-from-checkpoint");
    expect(&result, TS_ERR_ARGUMENT, "ended before it saved one");
}

static pid_t start(const char *const *argv, int output)
{
    pid_t pid = program_start(argv, output);
    for (int i = 0; i < 20000 && !there("checkpoint-1"); i++) {
        cr_assert_eq(waitpid(pid, NULL, WNOHANG), 0, "it ended before its first checkpoint");
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    return pid;
}

// A second run is refused while the first one works. Closing the terminal stops the first after it
// has saved.
Test(runs, two_in_one_folder_and_a_closing_terminal)
{
    program_result result;
    char who[64];
    const char *const argv[] = {
        TINYSFT_PROGRAM,      TRAIN, "--epochs", "10000", "--save-steps", "1",
        "--save-total-limit", "2",   NULL};
    signal(SIGHUP, SIG_DFL); // nohup leaves it ignored, for the run too: it would go on for days
    pid_t pid = start(argv, open("/dev/null", O_WRONLY));
    RUN(&result, TRAIN, "--epochs", "10000", "--resume-from-checkpoint");
    snprintf(who, sizeof who, "(process %ld on ", (long)pid);
    expect(&result, TS_ERR_ARGUMENT, who);
    RUN(&result, TRAIN, "--max-steps", "2", "--overwrite-output-dir");
    expect(&result, TS_ERR_ARGUMENT, who);
    kill(pid, SIGHUP);
    cr_assert_eq(program_wait(pid), 128 + SIGHUP);
    cr_assert_not(there(".tinysft-vk.lock"));
    RUN(&result, TRAIN, "--epochs", "10000");
    expect(&result, TS_ERR_ARGUMENT, "of 20000 steps: go on with it by --resume-from-checkpoint");
}

Test(runs, names_that_no_file_could_tell_are_refused_at_the_start)
{
    program_result result;
    char odd[128];
    snprintf(odd, sizeof odd, "%s/d\xff.jsonl", folder);
    cr_assert_eq(rename(data, odd), 0);
    RUN(&result, "train", "--model", BASE, "--data", odd, "--output-dir", out, "--device", "0");
    expect(&result, TS_ERR_ARGUMENT, "is not UTF-8");
    RUN(&result, "train", "--model", BASE, "--data", data, "--output-dir", out, "--device", "0",
        "--base-model-name", "b\xc3");
    cr_assert_neq(result.code, 0, "%s", result.out);
    cr_assert_not(ts_file_exists(out));
}

Test(runs, no_step_at_all_and_a_billion)
{
    program_result result;
    RUN(&result, TRAIN, "--epochs", "1e-300", "--dry-run");
    expect(&result, TS_ERR_ARGUMENT, "--epochs 1e-300");
    RUN(&result, TRAIN, "--max-steps", "1000000000", "--dry-run");
    expect(&result, 0, "1000000000 steps");
}
