// A model's files through one interface: each part is read once, and errors name what is missing or
// wrong.
#include "data/weights.h"

#include "data_test.h"

Test(weights, a_part_is_read_once)
{
    char *folder = make_folder();
    ts_weights *weights = NULL;
    ts_error err = {0};
    const cJSON *config, *again, *absent;
    const char *name;
    write_text(folder, "config.json", "{\"hidden_size\":7}");
    cr_assert_eq(ts_weights_open(folder, &weights, &err), TS_OK, "%s", err.message);
    cr_expect_str_eq(ts_weights_path(weights), folder);
    cr_assert_eq(ts_weights_read(weights, TS_PART_CONFIG, &config, &name, &err), TS_OK);
    cr_expect_not_null(strstr(name, "/config.json"));
    cr_expect_eq(ts_json_get(config, "hidden_size")->valuedouble, 7);
    write_text(folder, "config.json", "no longer JSON");
    cr_assert_eq(ts_weights_read(weights, TS_PART_CONFIG, &again, NULL, &err), TS_OK);
    cr_expect_eq(again, config);
    // Only the config must be there, and what was not there is not looked for again.
    cr_assert_eq(ts_weights_read(weights, TS_PART_GENERATION_CONFIG, &absent, NULL, &err), TS_OK);
    cr_expect_null(absent);
    write_text(folder, "generation_config.json", "{}");
    cr_assert_eq(ts_weights_read(weights, TS_PART_GENERATION_CONFIG, &absent, NULL, &err), TS_OK);
    cr_expect_null(absent);
    ts_weights_close(weights);
    remove_folder(folder);
}

Test(weights, says_what_is_wrong)
{
    char *folder = make_folder(), path[256];
    ts_weights *weights = NULL;
    ts_error err = {0};
    const cJSON *part;
    const ts_tensors *tensors;
    snprintf(path, sizeof path, "%s/nothing", folder);
    cr_expect_eq(ts_weights_open(path, &weights, &err), TS_ERR_IO);
    cr_expect_not_null(strstr(err.message, "expected a folder"), "%s", err.message);
    cr_expect_null(weights);
    cr_assert_eq(ts_weights_open(folder, &weights, &err), TS_OK);
    cr_expect_eq(ts_weights_read(weights, TS_PART_CONFIG, &part, NULL, &err), TS_ERR_IO);
    cr_expect_not_null(strstr(err.message, "config.json"), "%s", err.message);
    cr_expect_eq(ts_weights_tensors(weights, &tensors, &err), TS_ERR_IO);
    cr_expect_not_null(strstr(err.message, "neither model.safetensors nor its index"), "%s",
                       err.message);
    for (int round = 0; round < 2; round++) { // the error is reported each time
        write_text(folder, "tokenizer_config.json", "[1]");
        cr_expect_eq(ts_weights_read(weights, TS_PART_TOKENIZER_CONFIG, &part, NULL, &err),
                     TS_ERR_FORMAT);
        cr_expect_not_null(strstr(err.message, "expected an object, found an array"), "%s",
                           err.message);
    }
    ts_weights_close(weights);
    remove_folder(folder);
}

// The tokenizer's hash is of its own files and no others.
Test(weights, hash_of_the_tokenizer)
{
    char *folder = make_folder(), first[TS_DIGEST_TEXT_BYTES], second[TS_DIGEST_TEXT_BYTES];
    ts_weights *weights = NULL;
    ts_error err = {0};
    write_text(folder, "tokenizer.json", "{}");
    cr_assert_eq(ts_weights_open(folder, &weights, &err), TS_OK);
    cr_assert_eq(ts_weights_hash_tokenizer(weights, first, &err), TS_OK);
    write_text(folder, "config.json", "{}");
    cr_assert_eq(ts_weights_hash_tokenizer(weights, second, &err), TS_OK);
    cr_expect_str_eq(first, second);
    write_text(folder, "added_tokens.json", "{}");
    cr_assert_eq(ts_weights_hash_tokenizer(weights, second, &err), TS_OK);
    cr_expect_str_neq(first, second);
    ts_weights_close(weights);
    remove_folder(folder);
}
