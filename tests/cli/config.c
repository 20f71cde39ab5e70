// --config FILE: a run's flags as JSON, and the file with which a finished run can be repeated.
#include "base/memory.h"
#include "program.h"

#include <tinysft/status.h>

#define BASE PROJECT_FOLDER "/assets/base"

static const char rows[] =
    "{\"prompt\": \"What is the capital of France?\", \"completion\": \"Paris.\"}\n"
    "{\"prompt\": \"What do cows eat?\", \"completion\": \"Cows eat grass.\"}\n";

struct place {
    char folder[64], data[96], out[96], again[96], config[96];
};

static void place_open(struct place *p)
{
    snprintf(p->folder, sizeof p->folder, "%s", test_folder());
    snprintf(p->data, sizeof p->data, "%s/data.jsonl", p->folder);
    snprintf(p->out, sizeof p->out, "%s/out", p->folder);
    snprintf(p->again, sizeof p->again, "%s/again", p->folder);
    snprintf(p->config, sizeof p->config, "%s/config.json", p->folder);
    test_write(p->folder, "data.jsonl", rows);
}

static void check_has(const program_result *result, const char *part)
{
    cr_assert_not_null(strstr(result->out, part), "no \"%s\" in:\n%s", part, result->out);
}

Test(config, a_run_leaves_what_repeats_it, .timeout = 300)
{
    struct place p;
    program_result result;
    char run[128];
    place_open(&p);
    RUN(&result, "train", "--model", BASE, "--data", p.data, "--output-dir", p.out, "--device", "0",
        "--max-steps", "2", "--lr", "3e-3", "--lora-r", "4", "--target-modules", "q_proj,o_proj",
        "--use-rslora", "--mask-capability", "timestamps");
    cr_assert_eq(result.code, 0, "%s", result.out);
    check_has(&result, "run.json");
    snprintf(run, sizeof run, "%s/run.json", p.out);
    RUN(&result, "train", "--config", run, "--output-dir", p.again);
    cr_assert_eq(result.code, 0, "%s", result.out);
    ts_text one = test_read(p.out, "adapter_model.safetensors");
    ts_text other = test_read(p.again, "adapter_model.safetensors");
    cr_assert_eq(one.len, other.len);
    cr_assert_eq(memcmp(one.bytes, other.bytes, one.len), 0);
    ts_text_free(&one);
    ts_text_free(&other);
    one = test_read(p.out, "run.json");
    cr_assert_not_null(strstr(one.bytes, "\"lr\""), "%s", one.bytes);
    ts_text_free(&one);
    test_folder_remove(p.folder);
}

Test(config, the_command_line_wins)
{
    struct place p;
    program_result result;
    place_open(&p);
    test_write(p.folder, "config.json",
               "{\"model\": \"" BASE "\", \"learning_rate\": 1e-3, \"num-train-epochs\": 7,"
               " \"target_modules\": [\"q_proj\", \"o_proj\"], \"dry_run\": true,"
               " \"lr_scheduler_type\": \"cosine\", \"batch-size\": 2, \"show-mask\": false}");
    RUN(&result, "train", "--config", p.config, "--data", p.data, "--output-dir", p.out);
    cr_assert_eq(result.code, 0, "%s", result.out);
    check_has(&result, "7 steps");
    check_has(&result, "lr 0.001, cosine");
    cr_assert_not(ts_folder_exists(p.out));
    RUN(&result, "train", "--config", p.config, "--data", p.data, "--output-dir", p.out, "--lr",
        "0.5", "--epochs=2");
    cr_assert_eq(result.code, 0, "%s", result.out);
    check_has(&result, "2 steps");
    check_has(&result, "lr 0.5, cosine");
    RUN(&result, "train", "--data", p.data, "--output-dir", p.out, "--config", p.config,
        "--dry-run=false", "--max-steps", "1", "--device", "no such device");
    cr_assert_neq(result.code, 0, "it must not be a dry run: %s", result.out);
    test_folder_remove(p.folder);
}

Test(config, what_is_wrong_is_named)
{
    static const struct {
        const char *content, *word;
    } cases[] = {
        {"{\"learning_rte\": 1}", "key 'learning_rte': `tinysft-vk train` has no such flag; "
                                  "did you mean 'learning-rate'?"},
        {"{\"xylophone\": 1}", "key 'xylophone': `tinysft-vk train` has no such flag"},
        {"{\"lr\": \"much\"}", "key 'lr': expected a number, found a string"},
        {"{\"rank\": 2.5}", "key 'rank': --rank 2.5: expected a whole number"},
        {"{\"rank\": -1}", "key 'rank': --rank -1: expected a whole number from 1"},
        {"{\"epochs\": null}", "key 'epochs': expected a number, found null"},
        {"{\"use-rslora\": \"yes\"}", "key 'use-rslora': expected true or false, found a string"},
        {"{\"data\": 5}", "key 'data': expected a string, found a number"},
        {"{\"data\": [\"a\", \"b\"]}", "key 'data': expected a string, found a"},
        {"{\"target_modules\": [1]}", "key 'target_modules': expected a list of strings"},
        {"{\"lr\": 1, \"learning-rate\": 1}",
         "this is --lr, which the file has under another name too"},
        {"{\"config\": \"a.json\"}", "key 'config': a file of flags may not name another one"},
        {"[1]", "expected an object of flags"},
        {"{\"lr\": }", "config.json:1:"},
    };
    struct place p;
    program_result result;
    place_open(&p);
    for (size_t i = 0; i < TS_COUNT(cases); i++) {
        test_write(p.folder, "config.json", cases[i].content);
        RUN(&result, "train", "--config", p.config, "--model", BASE, "--data", p.data,
            "--output-dir", p.out);
        cr_assert(result.code == TS_ERR_ARGUMENT || result.code == TS_ERR_FORMAT, "case %zu: %d %s",
                  i, result.code, result.out);
        check_has(&result, p.config);
        check_has(&result, cases[i].word);
        cr_assert_not(ts_folder_exists(p.out));
    }
    RUN(&result, "train", "--config", "/nonexistent.json");
    cr_assert_eq(result.code, TS_ERR_IO, "%s", result.out);
    RUN(&result, "train", "--config");
    cr_assert_eq(result.code, TS_ERR_ARGUMENT, "%s", result.out);
    check_has(&result, "--config needs a value");
    test_folder_remove(p.folder);
}
