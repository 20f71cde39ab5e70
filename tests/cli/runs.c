// Runs that lose nothing: what `tinysft-vk train` does in a folder that holds a run already, when
// it is stopped, and when what it was made from has changed.
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

// Leaves the folder as a run does that was killed while it wrote its results.
static void unfinish(void)
{
    const char *const names[] = {"adapter_model.safetensors", "training.json"};
    for (size_t i = 0; i < 2; i++) {
        char path[256];
        snprintf(path, sizeof path, "%s/%s", out, names[i]);
        cr_assert_eq(unlink(path), 0);
    }
}

Test(runs, a_finished_one_is_not_touched)
{
    program_result result;
    ts_text before = {0}, after = {0};
    RUN(&result, TRAIN, "--max-steps", "2");
    cr_assert_eq(result.code, 0, "%s", result.out);
    list(out, &before);
    RUN(&result, TRAIN, "--max-steps", "2");
    expect(&result, TS_ERR_ARGUMENT,
           "is finished, 2 of 2 steps; --overwrite-output-dir replaces it, more --epochs goes on");
    RUN(&result, TRAIN, "--max-steps", "2", "--resume-from-checkpoint");
    expect(&result, 0, "is finished, 2 of 2 steps; nothing was touched");
    RUN(&result, TRAIN, "--max-steps", "2", "--resume-from-checkpoint", "latest");
    expect(&result, 0, "nothing was touched");
    RUN(&result, TRAIN, "--max-steps", "2", "--seed", "7", "--resume-from-checkpoint");
    expect(&result, TS_ERR_ARGUMENT, "seed 42, now it is 7");
    RUN(&result, TRAIN, "--max-steps", "1", "--resume-from-checkpoint");
    expect(&result, TS_ERR_ARGUMENT, "steps 2, now it is 1");
    list(out, &after);
    cr_assert_str_eq(before.bytes, after.bytes);
    ts_text_free(&before);
    ts_text_free(&after);
}

// With the schedule of the longer run from there on, which the record and the log tell.
Test(runs, a_finished_one_becomes_longer)
{
    program_result result;
    RUN(&result, TRAIN, "--epochs", "1", "--lr", "1e-2");
    cr_assert_eq(result.code, 0, "%s", result.out);
    RUN(&result, TRAIN, "--epochs", "2", "--lr", "1e-2");
    expect(&result, 0, "the schedule of 4 steps, 0.005 at step 3");
    expect(&result, 0, "checkpoint-2, step 2 of 4");
    RUN(&result, TRAIN, "--epochs", "3", "--lr", "1e-2", "--resume-from-checkpoint");
    expect(&result, 0, "checkpoint-4, step 4 of 6");
    cJSON *record = read_json("training.json");
    char *notes = cJSON_PrintUnformatted(ts_json_get(record, "went_on_after_steps"));
    cr_assert_str_eq(notes, "[2,4]");
    cJSON_free(notes);
    cJSON_Delete(record);
    record = read_json("trainer_state.json");
    cr_assert_eq(ts_json_get(record, "global_step")->valuedouble, 6);
    cJSON_Delete(record);
    RUN(&result, TRAIN, "--epochs", "4", "--lr", "2e-2"); // another run
    expect(&result, TS_ERR_ARGUMENT, "is finished, 6 of 6 steps");
}

Test(runs, without_its_checkpoint_a_finished_one_stays_as_it_is)
{
    program_result result;
    char checkpoint[128];
    ts_text before = {0}, after = {0};
    RUN(&result, TRAIN, "--max-steps", "2");
    snprintf(checkpoint, sizeof checkpoint, "%s/checkpoint-2", out);
    test_folder_remove(checkpoint);
    list(out, &before);
    RUN(&result, TRAIN, "--max-steps", "2", "--resume-from-checkpoint");
    expect(&result, 0, "nothing was touched");
    RUN(&result, TRAIN, "--max-steps", "4", "--resume-from-checkpoint");
    expect(&result, TS_ERR_ARGUMENT, "its last checkpoint is gone");
    RUN(&result, TRAIN, "--max-steps", "4", "--resume-from-checkpoint", "latest");
    expect(&result, TS_ERR_ARGUMENT, "its last checkpoint is gone");
    RUN(&result, TRAIN, "--max-steps", "4");
    expect(&result, TS_ERR_ARGUMENT, "its last checkpoint is gone");
    list(out, &after);
    cr_assert_str_eq(before.bytes, after.bytes);
    ts_text_free(&before);
    ts_text_free(&after);
}

Test(runs, a_checkpoint_that_is_missing_is_an_error)
{
    program_result result;
    char path[160];
    snprintf(path, sizeof path, "%s/checkpoint-7", out);
    RUN(&result, TRAIN, "--resume-from-checkpoint", path);
    expect(&result, TS_ERR_IO, "holds no checkpoint");
    RUN(&result, TRAIN, "--resume-from-checkpoint");
    expect(&result, TS_ERR_ARGUMENT, "does not exist");
    cr_assert_not(ts_file_exists(out), "a folder was made");
    RUN(&result, TRAIN, "--max-steps", "2", "--save-steps", "1");
    cr_assert_eq(result.code, 0, "%s", result.out);
    RUN(&result, TRAIN, "--max-steps", "4", "--resume-from-checkpoint", path);
    expect(&result, TS_ERR_IO, "checkpoint-2, checkpoint-1");
}

Test(runs, one_interrupted_before_its_first_checkpoint_is_told)
{
    program_result result;
    cr_assert_eq(mkdir(out, 0777), 0);
    RUN(&result, TRAIN, "--resume-from-checkpoint");
    expect(&result, TS_ERR_ARGUMENT, "ended before it saved one");
}

// The old run goes only when the new one has something to take its place.
Test(runs, one_that_is_to_be_replaced_stays_until_then)
{
    program_result result;
    ts_text before = {0}, after = {0};
    RUN(&result, TRAIN, "--max-steps", "2", "--save-steps", "1");
    list(out, &before);
    RUN(&result, TRAIN, "--overwrite-output-dir", "--max-steps", "1", "--max-memory", "1");
    cr_assert_eq(result.code, TS_ERR_MEMORY);
    list(out, &after);
    cr_assert_str_eq(before.bytes, after.bytes);
    // It diverges in its second step.
    RUN(&result, TRAIN, "--overwrite-output-dir", "--lr", "100", "--alpha", "1e6",
        "--max-grad-norm", "0", "--epochs", "9");
    expect(&result, TS_ERR_RUN, "try a lower --lr");
    cr_assert(there("checkpoint-2") && there("checkpoint-1") && there("adapter_model.safetensors"));
    cr_assert_null(strstr(result.out, "go on from it"), "that is another run's: %s", result.out);
    RUN(&result, TRAIN, "--overwrite-output-dir", "--max-steps", "3");
    cr_assert_eq(result.code, 0, "%s", result.out);
    cr_assert(there("checkpoint-3") && !there("checkpoint-2") && !there("checkpoint-1"));
    ts_text_free(&before);
    ts_text_free(&after);
}

Test(runs, damaged_higher_checkpoints_cost_no_good_one)
{
    program_result result;
    char path[160];
    RUN(&result, TRAIN, "--max-steps", "4", "--save-steps", "1");
    cr_assert_eq(result.code, 0, "%s", result.out);
    unfinish();
    for (int step = 3; step <= 4; step++) {
        snprintf(path, sizeof path, "%s/checkpoint-%d", out, step);
        test_write(path, "trainer_state.json", "{}");
    }
    RUN(&result, TRAIN, "--max-steps", "4", "--save-steps", "3", "--save-total-limit", "1",
        "--resume-from-checkpoint");
    expect(&result, 0, "going on from step 2, below checkpoint-4");
    cr_assert(there("checkpoint-4") && !there("checkpoint-3") && !there("checkpoint-2"));
    ts_error err = {0};
    snprintf(path, sizeof path, "%s/checkpoint-4/SHA256SUMS", out);
    cr_assert_eq(ts_file_exists(path), true);
    RUN(&result, TRAIN, "--max-steps", "5", "--resume-from-checkpoint");
    expect(&result, 0, "checkpoint-4, step 4 of 5"); // it is whole again
    (void)err;
}

// ---- What it was made from has changed

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

Test(runs, another_model_of_the_same_shape_is_refused_by_name)
{
    static const struct {
        const char *file, *from, *to, *words;
    } cases[] = {
        {"config.json", "\"rope_theta\": 10000", "\"rope_theta\": 20000", "the model's rope_theta"},
        {"config.json", "\"rms_norm_eps\": 1e-05", "\"rms_norm_eps\": 1e-06",
         "the model's rms_norm_eps"},
        {"tokenizer_config.json", "{", "{ ", "the tokenizer's files of"},
    };
    program_result result;
    char model[96];
    snprintf(model, sizeof model, "%s/model", folder);
    RUN(&result, TRAIN, "--max-steps", "2");
    cr_assert_eq(result.code, 0, "%s", result.out);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        copy_base(model, cases[i].file, cases[i].from, cases[i].to);
        RUN(&result, "train", "--model", model, "--data", data, "--output-dir", out, "--device",
            "0", "--max-steps", "3", "--resume-from-checkpoint");
        expect(&result, TS_ERR_ARGUMENT, cases[i].words);
    }
    copy_base(model, "", "", "");
    char path[128];
    ts_error err = {0};
    ts_text weights = test_read(model, "model.safetensors");
    weights.bytes[weights.len - 2] ^= 1; // the last number, by its last bit but eight
    snprintf(path, sizeof path, "%s/model.safetensors", model);
    cr_assert_eq(ts_file_write(path, weights.bytes, weights.len, &err), TS_OK);
    RUN(&result, "train", "--model", model, "--data", data, "--output-dir", out, "--device", "0",
        "--max-steps", "3", "--resume-from-checkpoint");
    expect(&result, TS_ERR_ARGUMENT, "the weights of");
    ts_text_free(&weights);
}

Test(runs, edited_data_is_told_and_no_more_advised)
{
    program_result result;
    RUN(&result, TRAIN, "--max-steps", "2");
    unfinish();
    test_write(folder, "data.jsonl", "{\"prompt\": \"Hi\", \"completion\": \"Good evening!\"}\n");
    RUN(&result, TRAIN, "--max-steps", "2", "--resume-from-checkpoint");
    expect(&result, TS_ERR_ARGUMENT, "data.jsonl has changed since the run was started");
    cr_assert_null(strstr(result.out, "go on from it"), "%s", result.out);
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

// ---- Lengths and losses that lead nowhere

Test(runs, no_step_at_all_and_a_billion)
{
    program_result result;
    RUN(&result, TRAIN, "--epochs", "1e-300", "--dry-run");
    expect(&result, TS_ERR_ARGUMENT, "--epochs 1e-300");
    RUN(&result, TRAIN, "--max-steps", "1000000000", "--dry-run");
    expect(&result, 0, "1000000000 steps");
}

Test(runs, a_learning_rate_that_is_too_high_is_warned_of)
{
    program_result result;
    RUN(&result, TRAIN, "--epochs", "4", "--lr", "50");
    expect(&result, 0, "warning: step");
    expect(&result, 0, "--lr 50) is likely too high");
    RUN(&result, TRAIN, "--epochs", "3", "--overwrite-output-dir");
    cr_assert_null(strstr(result.out, "warning: step"), "%s", result.out);
}

// The same mean in trainer_state.json, in the card and on the console.
Test(runs, one_truth_about_the_loss)
{
    program_result result;
    char mean[64], card[128];
    RUN(&result, TRAIN, "--max-steps", "5", "--logging-steps", "3", "--lr", "1e-2");
    cr_assert_eq(result.code, 0, "%s", result.out);
    cJSON *state = read_json("trainer_state.json");
    const cJSON *log = ts_json_get(state, "log_history");
    cr_assert_eq(cJSON_GetArraySize(log), 3, "two intervals and the summary");
    double last = ts_json_get(cJSON_GetArrayItem(log, 1), "loss")->valuedouble;
    double first = ts_json_get(cJSON_GetArrayItem(log, 0), "loss")->valuedouble;
    snprintf(mean, sizeof mean, "loss %.4f (mean of 3)", first);
    expect(&result, 0, mean);
    snprintf(mean, sizeof mean, "loss %.4f (mean of 2)", last);
    expect(&result, 0, mean);
    snprintf(card, sizeof card,
             "%.4f in the mean of the first 3 steps, %.4f in the mean of the last 2", first, last);
    ts_text readme = test_read(out, "README.md");
    cr_assert_not_null(strstr(readme.bytes, card), "'%s' is not in: %s", card, readme.bytes);
    ts_text_free(&readme);
    cJSON_Delete(state);
}

// ---- Two at once, and signals

static pid_t start(const char *const *argv, int output)
{
    pid_t pid = program_start(argv, output);
    for (int i = 0; i < 20000 && !there("checkpoint-1"); i++) {
        cr_assert_eq(waitpid(pid, NULL, WNOHANG), 0, "it ended before its first checkpoint");
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    return pid;
}

static int open_null(void)
{
    return open("/dev/null", O_WRONLY);
}

Test(runs, two_in_one_folder)
{
    program_result result;
    char who[64];
    const char *const argv[] = {
        TINYSFT_PROGRAM,      TRAIN, "--epochs", "10000", "--save-steps", "1",
        "--save-total-limit", "1",   NULL};
    pid_t pid = start(argv, open_null());
    RUN(&result, TRAIN, "--epochs", "10000", "--resume-from-checkpoint");
    snprintf(who, sizeof who, "(process %ld on ", (long)pid);
    expect(&result, TS_ERR_ARGUMENT, who);
    RUN(&result, TRAIN, "--max-steps", "2", "--overwrite-output-dir");
    expect(&result, TS_ERR_ARGUMENT, who);
    kill(pid, SIGKILL);
    program_wait(pid);
    RUN(&result, TRAIN, "--epochs", "10000", "--max-steps", "20000", "--resume-from-checkpoint",
        "--lr", "1");
    expect(&result, TS_ERR_ARGUMENT, "learning_rate"); // and not the lock
}

static int stop_by(int number, int output)
{
    const char *const argv[] = {
        TINYSFT_PROGRAM,      TRAIN, "--epochs", "10000", "--save-steps", "1",
        "--save-total-limit", "2",   NULL};
    pid_t pid = start(argv, output);
    kill(pid, number);
    int code = program_wait(pid);
    cr_assert_not(there(".tinysft-vk.lock"));
    return code;
}

Test(runs, a_terminal_that_closes_stops_it_saved)
{
    cr_assert_eq(stop_by(SIGHUP, open_null()), 128 + SIGHUP);
}

// Nobody reads what it says any more: it goes on to its end.
Test(runs, a_reader_that_left_does_not_end_it)
{
    int ends[2];
    const char *const argv[] = {TINYSFT_PROGRAM,   TRAIN, "--epochs", "3",
                                "--logging-steps", "1",   NULL};
    cr_assert_eq(pipe(ends), 0);
    close(ends[0]);
    pid_t pid = program_start(argv, ends[1]);
    close(ends[1]);
    cr_assert_eq(program_wait(pid), 0);
    cr_assert(there("adapter_model.safetensors") && there("training.json"));
}

// A file beyond the limit of sizes is an error with a name, and what was saved before stays.
Test(runs, a_file_limit_is_an_error_and_not_the_end)
{
    program_result result;
    char command[1024], path[] = "/tmp/tinysft-output-XXXXXX";
    int file = mkstemp(path);
    snprintf(command, sizeof command,
             "ulimit -f 40; exec '%s' train --model %s --data %s --output-dir %s --device 0 "
             "--max-steps 2",
             TINYSFT_PROGRAM, BASE, data, out);
    pid_t pid = fork();
    if (pid == 0) {
        signal(SIGXFSZ, SIG_DFL);
        dup2(file, STDERR_FILENO);
        execl("/bin/sh", "sh", "-c", command, (char *)NULL);
        _exit(127);
    }
    result.code = program_wait(pid);
    ssize_t len = pread(file, result.out, sizeof result.out - 1, 0);
    result.out[len > 0 ? len : 0] = '\0';
    unlink(path);
    close(file);
    expect(&result, TS_ERR_IO, "File too large");
    cr_assert_not(there("adapter_model.safetensors"));
}
