// training.json: what it may hold, and what must be the same for a run to continue.
#include "train/record.h"

#include "run_folder.h"
#include "train/trainer.h"

TestSuite(record, .init = folder_make, .fini = folder_remove);

static cJSON *parse(const char *text)
{
    cJSON *json = NULL;
    MUST(ts_json_parse(text, strlen(text), "record", &json, err));
    return json;
}

static const char valid[] =
    "{\"steps\": 28, \"steps_per_epoch\": 14, \"epochs\": 2, \"seed\": 42, "
    "\"data\": \"rows.json\", \"data_sha256\": \"aa\", "
    "\"tokenizer_sha256\": \"bb\", \"weights_sha256\": \"cc\", "
    "\"train_empty\": false, \"chat_template\": \"here\", \"chat_template_text\": \"dd\", "
    "\"model_config\": {\"rope_theta\": 10000}}";

// The record of a real run has no key that the reader does not know.
Test(record, of_a_run_passes_its_own_check)
{
    static const char row[] = "{\"prompt\": \"Hi\", \"completion\": \"Good morning!\"}\n";
    char data[256];
    ts_trainer trainer;
    ts_train_settings settings = ts_train_defaults();
    put("data.jsonl", row, strlen(row));
    snprintf(data, sizeof data, "%s", path_of("data.jsonl"));
    settings.model_folder = PROJECT_FOLDER "/assets/base";
    settings.data = data;
    settings.output_dir = folder;
    MUST(ts_trainer_open(&settings, &trainer, err));
    MUST(ts_train_record_check(trainer.record, "record", err));
    cr_assert_not_null(ts_json_get(trainer.record, "weights_sha256"));
    ts_trainer_close(&trainer);
}

Test(record, what_it_does_not_know_it_refuses)
{
    static const struct {
        const char *text, *word;
    } cases[] = {
        {"{\"steps\": 1, \"steps_per_epoch\": 1, \"optimizer\": \"lion\"}", "'optimizer'"},
        {"{\"steps\": 1, \"steps_per_epoch\": 1, \"seed\": \"42\"}", "'seed'"},
        {"{\"steps\": 1, \"steps_per_epoch\": 1, \"model_config\": 3}", "'model_config'"},
        {"{\"steps\": 1}", "'steps_per_epoch'"},
        {"{\"steps\": 0.5, \"steps_per_epoch\": 1}", "'steps'"},
        {"[]", "an object"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ts_error err = {0};
        cJSON *json = parse(cases[i].text);
        cr_assert_eq(ts_train_record_check(json, "record", &err), TS_ERR_FORMAT, "case %zu", i);
        cr_assert_not_null(strstr(err.message, cases[i].word), "%s", err.message);
        cJSON_Delete(json);
    }
}

static ts_status compare(const char *from, const char *to, uint64_t done,
                         ts_train_difference *difference, ts_error *err)
{
    char text[sizeof valid + 64];
    const char *at = strstr(valid, from);
    cr_assert_not_null(at);
    snprintf(text, sizeof text, "%.*s%s%s", (int)(at - valid), valid, to, at + strlen(from));
    cJSON *before = parse(valid), *now = parse(text);
    ts_status status = ts_train_record_compare(before, now, done, difference, err);
    cJSON_Delete(before);
    cJSON_Delete(now);
    return status;
}

Test(record, a_difference_is_told_in_plain_words)
{
    static const struct {
        const char *from, *to, *words;
    } cases[] = {
        {"\"seed\": 42", "\"seed\": 43", "started with seed 42, now it is 43"},
        {"\"aa\"", "\"ab\"", "rows.json has changed since the run was started"},
        {"\"bb\"", "\"ab\"", "the tokenizer's files of"},
        {"\"cc\"", "\"ab\"", "the weights of"},
        {"\"dd\"", "\"ab\"", "the chat template (here) is not the one"},
        {"\"train_empty\": false", "\"train_empty\": true", "train_empty false, now it is true"},
        {"10000", "500000", "the model's rope_theta 10000, now it is 500000"},
        {"\"steps\": 28", "\"steps\": 20", "steps 28, now it is 20"},
        {"\"seed\"", "\"min_lr_ratio\": 0.1, \"seed\"", "min_lr_ratio absent, now it is 0.1"},
        {"\"seed\"", "\"loraplus_ratio\": 16, \"seed\"", "loraplus_ratio absent, now it is 16"},
        {"\"seed\"", "\"lr_cycles\": 3, \"seed\"", "lr_cycles absent, now it is 3"},
        {"\"seed\"", "\"train_on\": \"last\", \"seed\"", "train_on absent, now it is \"last\""},
        {"\"seed\"", "\"init_lora\": \"gaussian\", \"seed\"", "init_lora absent, now it is"},
        {"\"seed\"", "\"quantize\": \"Q8_0\", \"seed\"", "quantize absent, now it is \"Q8_0\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ts_error err = {0};
        cr_assert_eq(compare(cases[i].from, cases[i].to, 28, NULL, &err), TS_ERR_ARGUMENT);
        cr_assert_not_null(strstr(err.message, cases[i].words), "%s", err.message);
    }
}

Test(record, a_finished_run_alone_becomes_longer)
{
    ts_train_difference difference = {0};
    ts_error err = {0};
    cr_assert_eq(compare("\"steps\": 28", "\"steps\": 56", 28, &difference, &err), TS_OK);
    cr_assert(difference.longer && !difference.unfingerprinted);
    cr_assert_eq(compare("\"steps\": 28", "\"steps\": 56", 14, NULL, &err), TS_ERR_ARGUMENT);
    cr_assert_eq(
        compare("\"data\": \"rows.json\"", "\"data\": \"moved.json\"", 28, &difference, &err),
        TS_OK, "paths may differ");
    cr_assert_not(difference.longer);
}

Test(record, one_of_an_older_version_is_taken_and_told)
{
    ts_train_difference difference = {0};
    ts_error err = {0};
    cJSON *before = parse("{\"seed\": 42}"),
          *now = parse("{\"seed\": 42, \"train_on\": \"assistant\", \"init_lora\": \"default\", "
                       "\"lr_cycles\": 0, "
                       "\"weights_sha256\": \"a\"}");
    cr_assert_eq(ts_train_record_compare(before, now, 1, &difference, &err), TS_OK);
    cr_assert(difference.unfingerprinted);
    cJSON_Delete(before);
    cJSON_Delete(now);
}
