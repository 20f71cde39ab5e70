// `tinysft-vk sweep` as a person runs, kills and repeats it.
#include "base/json.h"
#include "program.h"

#include <time.h>

#define BASE PROJECT_FOLDER "/assets/base"

static const char rows[] =
    "{\"prompt\": \"What is the capital of France?\", \"completion\": \"Paris.\"}\n"
    "{\"prompt\": \"What do cows eat?\", \"completion\": \"Cows eat grass.\"}\n"
    "{\"prompt\": \"Good morning!\", \"completion\": \"Good morning! I am glad to help.\"}\n"
    "{\"prompt\": \"What is 2 plus 2?\", \"completion\": \"4.\"}\n"
    "{\"prompt\": \"Who are you?\", \"completion\": \"A small model.\"}\n";
static const char questions[] = "{\"prompt\": \"What do cats drink?\", \"reference\": \"Milk.\", "
                                "\"facts\": \"milk\"}\n{\"prompt\": \"Hello\"}\n";

struct place {
    char folder[64], data[96], questions[96], out[96], events[96];
};

static void place_open(struct place *place)
{
    snprintf(place->folder, sizeof place->folder, "%s", test_folder());
    snprintf(place->data, sizeof place->data, "%s/data.jsonl", place->folder);
    snprintf(place->questions, sizeof place->questions, "%s/questions.jsonl", place->folder);
    snprintf(place->out, sizeof place->out, "%s/out", place->folder);
    snprintf(place->events, sizeof place->events, "%s/events", place->folder);
    test_write(place->folder, "data.jsonl", rows);
    test_write(place->folder, "questions.jsonl", questions);
}

#define SWEEP(place)                                                                               \
    "sweep", "--model", BASE, "--data", (place)->data, "--output-dir", (place)->out, "--device",   \
        "0", "--max-steps", "3", "--lr", "1e-2", "--base-model-name", "base", "--save-steps", "1"
#define GRID "--eval-split", "0.3", "--grid", "rank=2,4", "target-modules=q_proj;q_proj,v_proj"

Test(sweep, mistakes_of_the_grid_are_told_kindly)
{
    struct place place;
    program_result result;
    place_open(&place);
    static const struct {
        const char *grid, *words;
    } cases[] = {
        {"ramk=4,8", "did you mean 'rank'"},
        {"rank", "expected NAME=VALUE,VALUE"},
        {"rank=4,,8", "a value is empty"},
        {"rank=4,four", "--rank four: expected a whole number"},
        {"rank=4,0", "from 1 to"},
        {"lr=1e-4,0.0001", "the value 0.0001 is there twice"},
        {"use-rslora=true,yes", "expected true or false, found 'yes'"},
        {"lr-scheduler-type=cosine,cubic", "cubic"},
        {"target-modules=q_proj;x_proj", "x_proj"},
        {"seed=1,2", "--repeats N"},
        {"quantize=nf4;q8_0", "loaded once"},
        {"eval-split=0.1,0.2", "judged by the same rows"},
        {"train-on=all,last", "--questions alone"},
        {"output-dir=a,b", "a folder of its own"},
        {"dry-run=true,false", "no setting of a run"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        RUN(&result, SWEEP(&place), "--eval-split", "0.3", "--grid", cases[i].grid);
        cr_expect_eq(result.code, TS_ERR_ARGUMENT, "%s: %d", cases[i].grid, result.code);
        cr_expect_not_null(strstr(result.out, cases[i].words), "%s: %s", cases[i].grid, result.out);
    }
    RUN(&result, SWEEP(&place), "--eval-split", "0.3", "--grid", "rank=2,4", "lora-r=8,16");
    cr_expect(result.code == TS_ERR_ARGUMENT && strstr(result.out, "rank is there twice") != NULL);
    RUN(&result, SWEEP(&place), "--grid", "rank=2,4");
    cr_expect(result.code == TS_ERR_ARGUMENT && strstr(result.out, "--eval-split 0.1") != NULL);
    RUN(&result, SWEEP(&place), "--eval-split", "0.3");
    cr_expect(result.code == TS_ERR_ARGUMENT && strstr(result.out, "one run alone") != NULL);
    cr_expect_not(ts_file_exists(place.out), "nothing is made where nothing runs");
    test_folder_remove(place.folder);
}

static size_t count(const char *text, const char *wanted)
{
    size_t found = 0;
    for (const char *at = text; (at = strstr(at, wanted)) != NULL; at++) {
        found++;
    }
    return found;
}

static cJSON *read_sweep(const struct place *place)
{
    ts_text text = test_read(place->out, "sweep.json");
    ts_error err = {0};
    cJSON *json = NULL;
    cr_assert_eq(ts_json_parse(text.bytes, text.len, "sweep.json", &json, &err), TS_OK, "%s",
                 err.message);
    ts_text_free(&text);
    return json;
}

static const char *const folders[] = {
    "rank-2_target-modules-q_proj/seed-7",        "rank-2_target-modules-q_proj/seed-8",
    "rank-2_target-modules-q_proj+v_proj/seed-7", "rank-2_target-modules-q_proj+v_proj/seed-8",
    "rank-4_target-modules-q_proj/seed-7",        "rank-4_target-modules-q_proj/seed-8",
    "rank-4_target-modules-q_proj+v_proj/seed-7", "rank-4_target-modules-q_proj+v_proj/seed-8"};
enum { FOLDERS = sizeof folders / sizeof *folders };

static void assert_same_runs(const struct place *a, const struct place *b)
{
    for (size_t i = 0; i < FOLDERS; i++) {
        char name[128];
        snprintf(name, sizeof name, "%s/adapter_model.safetensors", folders[i]);
        ts_text one = test_read(a->out, name), other = test_read(b->out, name);
        cr_assert(one.len == other.len && memcmp(one.bytes, other.bytes, one.len) == 0, "%s", name);
        ts_text_free(&one);
        ts_text_free(&other);
    }
    cJSON *one = read_sweep(a), *other = read_sweep(b);
    cr_assert_str_eq(cJSON_GetStringValue(ts_json_get(one, "verdict")),
                     cJSON_GetStringValue(ts_json_get(other, "verdict")));
    cJSON_Delete(one);
    cJSON_Delete(other);
}

// Waits until the run's folder has a checkpoint, then kills. False if the program ended before.
static bool kill_in(const char *const *argv, const struct place *place, const char *folder)
{
    int null = open("/dev/null", O_WRONLY);
    pid_t pid = program_start(argv, null);
    close(null);
    char path[256];
    snprintf(path, sizeof path, "%s/%s/checkpoint-1", place->out, folder);
    while (!ts_file_exists(path)) {
        if (waitpid(pid, NULL, WNOHANG) == pid) {
            return false;
        }
        nanosleep(&(struct timespec){.tv_nsec = 500000}, NULL);
    }
    kill(pid, SIGKILL);
    program_wait(pid);
    return true;
}

// Killed three times, in a first, a middle and the last run, it ends as one that never was.
Test(sweep, loads_once_and_goes_on_after_kills, .timeout = 400)
{
    struct place never, killed;
    program_result result;
    place_open(&never);
    place_open(&killed);
    RUN(&result, SWEEP(&never), GRID, "--repeats", "2", "--seed", "7", "--verbose", "--logging-dir",
        never.events);
    cr_assert_eq(result.code, 0, "%s", result.out);
    cr_expect_eq(count(result.out, "were put on the device"), 1u, "%s", result.out);
    cr_expect_eq(count(result.out, "q_proj, seed ") + count(result.out, "v_proj, seed "), 8u, "%s",
                 result.out);
    cr_expect_null(strstr(result.out, "no checkpoint"), "%s", result.out);
    cr_expect_not_null(strstr(result.out, "Best: rank "), "%s", result.out);
    cJSON *json = read_sweep(&never);
    cr_expect_eq(cJSON_GetArraySize(ts_json_get(json, "configurations")), 4);
    cr_expect(cJSON_IsBool(ts_json_get(json, "lead_is_more_than_noise")));
    cJSON_Delete(json);
    for (size_t i = 0; i < FOLDERS; i++) {
        char path[256];
        snprintf(path, sizeof path, "%s/%s", never.events, folders[i]);
        cr_expect(ts_folder_exists(path), "%s", path);
        snprintf(path, sizeof path, "%s/%s/run.json", never.out, folders[i]);
        cr_expect(ts_file_exists(path), "%s", path); // repeats this run alone
    }
    const char *const argv[] = {
        TINYSFT_PROGRAM, SWEEP(&killed), GRID, "--repeats", "2", "--seed", "7", NULL};
    cr_assert(kill_in(argv, &killed, folders[0]));
    cr_assert(kill_in(argv, &killed, folders[6]));
    cr_assert(kill_in(argv, &killed, folders[7]));
    program_run(argv, &result);
    cr_assert_eq(result.code, 0, "%s", result.out);
    cr_expect_geq(count(result.out, "is left as it is"), 7u, "%s", result.out);
    assert_same_runs(&never, &killed);
    RUN(&result, SWEEP(&killed), GRID, "--repeats", "2", "--seed", "7", "--verbose");
    cr_assert_eq(result.code, 0, "%s", result.out);
    cr_expect_eq(count(result.out, "is left as it is"), 8u, "%s", result.out);
    cr_expect_eq(count(result.out, "were put on the device"), 0u, "nothing needs the base");
    RUN(&result, SWEEP(&killed), GRID, "--repeats", "2", "--seed", "7", "--weight-decay", "0.1");
    cr_expect_eq(result.code, TS_ERR_ARGUMENT, "%s", result.out);
    cr_expect_not_null(strstr(result.out, "weight_decay"), "%s", result.out);
    test_folder_remove(never.folder);
    test_folder_remove(killed.folder);
}

// Several seeds of one configuration; questions are asked once, and again where they change.
Test(sweep, repeats_show_the_spread_and_questions_the_metrics, .timeout = 300)
{
    struct place place;
    program_result result;
    place_open(&place);
#define REPEATS "--seeds", "2", "--questions", place.questions, "--max-new-tokens", "4"
    RUN(&result, SWEEP(&place), REPEATS);
    cr_assert_eq(result.code, 0, "%s", result.out);
    cr_expect_not_null(strstr(result.out, "all runs: loss on reference answers"), "%s", result.out);
    cr_expect_not_null(strstr(result.out, "over 2 seeds"), "%s", result.out);
    cJSON *json = read_sweep(&place);
    const cJSON *first = cJSON_GetArrayItem(ts_json_get(json, "configurations"), 0);
    cr_expect_not_null(ts_json_get(ts_json_get(first, "metrics"), "facts_right"));
    cJSON_Delete(json);
    RUN(&result, SWEEP(&place), REPEATS, "--verbose");
    cr_assert_eq(result.code, 0, "%s", result.out);
    cr_expect_eq(count(result.out, "were put on the device"), 0u, "%s", result.out);
    test_write(place.folder, "questions.jsonl", "{\"prompt\": \"Hi\", \"reference\": \"Hi\"}\n");
    RUN(&result, SWEEP(&place), REPEATS, "--verbose");
    cr_assert_eq(result.code, 0, "%s", result.out);
    cr_expect_eq(count(result.out, "were put on the device"), 1u, "%s", result.out);
    test_folder_remove(place.folder);
}

// Each configuration of `data` trains on its own rows, not on those of --data.
Test(sweep, each_value_of_data_is_trained_on, .timeout = 300)
{
    struct place place;
    program_result result;
    place_open(&place);
    char other[96], grid[256];
    snprintf(other, sizeof other, "%s/other.jsonl", place.folder);
    test_write(place.folder, "other.jsonl", "{\"prompt\": \"Hi\", \"completion\": \"Hello.\"}\n");
    snprintf(grid, sizeof grid, "data=%s,%s", place.data, other);
    RUN(&result, SWEEP(&place), "--grid", grid, "--questions", place.questions, "--max-new-tokens",
        "4");
    cr_assert_eq(result.code, 0, "%s", result.out);
    cJSON *json = read_sweep(&place), *configuration;
    size_t seen = 0;
    cJSON_ArrayForEach(configuration, ts_json_get(json, "configurations"))
    {
        const char *data =
            cJSON_GetStringValue(ts_json_get(ts_json_get(configuration, "values"), "data"));
        const cJSON *run = cJSON_GetArrayItem(ts_json_get(configuration, "runs"), 0);
        ts_text path = {0};
        ts_error err = {0};
        cJSON *training = NULL;
        cr_assert_eq(ts_path_join(cJSON_GetStringValue(ts_json_get(run, "folder")), "training.json",
                                  &path, &err),
                     TS_OK);
        cr_assert_eq(ts_json_parse_file(path.bytes, &training, &err), TS_OK, "%s", err.message);
        cr_expect_str_eq(cJSON_GetStringValue(ts_json_get(training, "data")), data);
        cr_expect_eq(cJSON_GetNumberValue(ts_json_get(training, "steps_per_epoch")),
                     strcmp(data, other) == 0 ? 1 : 5);
        seen += strcmp(data, other) == 0 ? 1 : 2;
        cJSON_Delete(training);
        ts_text_free(&path);
    }
    cr_expect_eq(seen, 3u);
    cr_expect_null(strstr(cJSON_GetStringValue(ts_json_get(json, "title")), " on "));
    cJSON_Delete(json);
    test_folder_remove(place.folder);
}

// A rate that is far too high ends its run, not the sweep.
Test(sweep, a_run_that_diverges_comes_last, .timeout = 300)
{
    struct place place;
    program_result result;
    place_open(&place);
    RUN(&result, SWEEP(&place), "--eval-split", "0.3", "--max-grad-norm", "0", "--target-modules",
        "all-linear", "--grid", "lr=1e-3,100", "alpha=1e6");
    cr_expect_eq(result.code, 0, "%s", result.out);
    cr_expect_not_null(strstr(result.out, "diverged"), "%s", result.out);
    cr_expect_not_null(strstr(result.out, "Best: lr 0.001"), "%s", result.out);
    cr_expect_not_null(strstr(result.out, "1 failed"), "%s", result.out);
    test_folder_remove(place.folder);
}

Test(sweep, a_dry_run_tells_every_plan)
{
    struct place place;
    program_result result;
    place_open(&place);
    RUN(&result, SWEEP(&place), GRID, "--repeats", "3", "--dry-run");
    cr_expect_eq(result.code, 0, "%s", result.out);
    cr_expect_not_null(strstr(result.out, "rank 4, target-modules q_proj,v_proj: 3 steps"), "%s",
                       result.out);
    cr_expect_not_null(strstr(result.out, "12 runs"), "%s", result.out);
    cr_expect_not(ts_file_exists(place.out));
    test_folder_remove(place.folder);
}
