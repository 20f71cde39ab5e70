// Every string of the reference files gives Hugging Face's ids, and the ids give Hugging Face's
// text. Encoding takes time linear in the length of a line.
#include "base/file.h"
#include "base/json.h"
#include "base/memory.h"
#include "data/tokenizer_write.h"
#include "kinds.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void expect_ids(const ts_tokens *ids, const cJSON *expected, const char *path, size_t line)
{
    size_t i = 0;
    cr_assert_eq(ids->count, (size_t)cJSON_GetArraySize(expected), "%s:%zu", path, line);
    for (const cJSON *id = expected->child; id != NULL; id = id->next, i++) {
        cr_assert_eq(ids->ids[i], (uint32_t)id->valueint, "%s:%zu, token %zu", path, line, i);
    }
}

// One row: {"text", "ids", "decoded"}. Where "text" is null, only the ids are decoded.
static void expect_row(const ts_tokenizer *t, const cJSON *row, const char *path, size_t line)
{
    ts_error err = {0};
    ts_text decoded = {0};
    ts_tokens ids = {0}, starts = {0};
    size_t text_len = 0, decoded_len = 0;
    const char *text = ts_json_string(ts_json_get(row, "text"), &text_len);
    const char *expected = ts_json_string(ts_json_get(row, "decoded"), &decoded_len);
    if (text != NULL) {
        cr_assert_eq(ts_tokenizer_encode_part(t, text, text_len, TS_SPECIALS_AS_TOKENS, true, &ids,
                                              &starts, &err),
                     TS_OK, "%s:%zu: %s", path, line, err.message);
        expect_ids(&ids, ts_json_get(row, "ids"), path, line);
        for (size_t i = 0; i < starts.count; i++) {
            cr_assert_leq(starts.ids[i], text_len, "%s:%zu", path, line);
            cr_assert(i == 0 || starts.ids[i] >= starts.ids[i - 1], "%s:%zu", path, line);
        }
    } else {
        const cJSON *id;
        cJSON_ArrayForEach(id, ts_json_get(row, "ids"))
        {
            cr_assert_eq(ts_tokens_push(&ids, (uint32_t)id->valueint, &err), TS_OK);
        }
    }
    cr_assert_eq(ts_tokenizer_decode(t, ids.ids, ids.count, false, &decoded, &err), TS_OK);
    cr_assert_eq(decoded.len, decoded_len, "%s:%zu: '%s', not '%s'", path, line, decoded.bytes,
                 expected);
    cr_assert_arr_eq(decoded.bytes, expected, decoded_len, "%s:%zu: '%s', not '%s'", path, line,
                     decoded.bytes, expected);
    ts_tokens_free(&ids);
    ts_tokens_free(&starts);
    ts_text_free(&decoded);
}

static void expect_golden(const ts_tokenizer *t, const char *path, size_t lines)
{
    ts_error err = {0};
    ts_text text = {0};
    size_t line = 0;
    cr_assert_eq(ts_file_read(path, 1 << 30, &text, &err), TS_OK, "%s", err.message);
    for (char *at = strtok(text.bytes, "\n"); at != NULL; at = strtok(NULL, "\n")) {
        cJSON *row = NULL;
        cr_assert_eq(ts_json_parse(at, strlen(at), path, &row, &err), TS_OK, "%s", err.message);
        expect_row(t, row, path, ++line);
        cJSON_Delete(row);
    }
    cr_assert_eq(line, lines, "%s: %zu lines", path, line);
    ts_text_free(&text);
}

// The tokenizer once more, written and read again. `folder` holds its tokenizer_config.json.
static ts_tokenizer *rewritten(const ts_tokenizer *t, const char *folder)
{
    ts_error err = {0};
    ts_text json = {0}, config = {0};
    char path[512];
    char *place = make_folder();
    cr_assert_eq(ts_tokenizer_write_json(t, &json, &err), TS_OK, "%s", err.message);
    write_bytes(place, "tokenizer.json", json.bytes, json.len);
    snprintf(path, sizeof path, "%s/tokenizer_config.json", folder);
    cr_assert_eq(ts_file_read(path, 1 << 24, &config, &err), TS_OK, "%s", err.message);
    write_bytes(place, "tokenizer_config.json", config.bytes, config.len);
    ts_tokenizer *again = open_tokenizer_at(place);
    cr_expect_eq(ts_tokenizer_lead(again), ts_tokenizer_lead(t));
    ts_text_free(&json);
    ts_text_free(&config);
    remove_folder(place);
    return again;
}

static void expect_rewritten(const ts_tokenizer *t, const char *folder, const char *path,
                             size_t lines)
{
    ts_tokenizer *again = rewritten(t, folder);
    expect_golden(again, path, lines);
    ts_tokenizer_close(again);
}

Test(tokenizer_golden, tinyllama_from_json)
{
    ts_tokenizer *t = open_fixture_tokenizer();
    cr_assert_eq(ts_tokenizer_vocab_size(t), 32000);
    cr_assert_eq(ts_tokenizer_bos(t), 1);
    cr_assert_eq(ts_tokenizer_lead(t), 1);
    cr_assert_eq(ts_tokenizer_eos(t), 2);
    expect_golden(t, SHARED_FOLDER "/golden/tokenizer.jsonl", 1500);
    expect_rewritten(t, FIXTURE_FOLDER, SHARED_FOLDER "/golden/tokenizer.jsonl", 1500);
    ts_tokenizer_close(t);
}

Test(tokenizer_golden, tinyllama_from_sentencepiece)
{
    ts_error err = {0};
    ts_text model = {0};
    ts_tokenizer_close(open_fixture_tokenizer()); // skips where there is none
    char *folder = make_folder();
    cr_assert_eq(ts_file_read(FIXTURE_FOLDER "/tokenizer.model", 1 << 30, &model, &err), TS_OK);
    write_bytes(folder, "tokenizer.model", model.bytes, model.len);
    ts_tokenizer *t = open_tokenizer_at(folder);
    cr_assert_eq(ts_tokenizer_lead(t), 1);
    expect_golden(t, SHARED_FOLDER "/golden/tokenizer.jsonl", 1500);
    ts_tokenizer_close(t);
    ts_text_free(&model);
    remove_folder(folder);
}

// Tokenizers of released models. `lead` is the token that they put before a text; NULL: none.
static void expect_shared(const char *name, uint32_t size, const char *lead)
{
    char path[512], fixture[512];
    snprintf(path, sizeof path, SHARED_FOLDER "/fixtures/%s", name);
    if (!ts_folder_exists(path)) {
        cr_skip_test("needs " SHARED_FOLDER "/fixtures");
    }
    snprintf(fixture, sizeof fixture, "%s", path);
    ts_tokenizer *t = open_tokenizer_at(path);
    cr_expect_eq(ts_tokenizer_vocab_size(t), size, "%u", ts_tokenizer_vocab_size(t));
    cr_expect_eq(ts_tokenizer_lead(t), lead != NULL ? ts_tokenizer_find(t, lead) : TS_TOKEN_NONE);
    snprintf(path, sizeof path, SHARED_FOLDER "/golden/tokenizer_%s.jsonl", name);
    expect_golden(t, path, 700);
    expect_rewritten(t, fixture, path, 700);
    ts_tokenizer_close(t);
}

Test(tokenizer_golden, llama3)
{
    expect_shared("llama3", 128256, NULL);
}

Test(tokenizer_golden, qwen3)
{
    expect_shared("qwen3", 151669, NULL);
}

Test(tokenizer_golden, gemma3, .timeout = 60)
{
    expect_shared("gemma3", 262145, "<bos>");
}

Test(tokenizer_golden, small_ones_of_each_kind)
{
    for (size_t i = 0; i < KIND_COUNT; i++) {
        char path[512], place[512];
        ts_tokenizer *t = open_kind(kinds[i]);
        bool leads = strcmp(kinds[i], "llama3") == 0 || strcmp(kinds[i], "gemma") == 0;
        cr_expect_neq(ts_tokenizer_bos(t), TS_TOKEN_NONE);
        cr_expect_eq(ts_tokenizer_lead(t), leads ? ts_tokenizer_bos(t) : TS_TOKEN_NONE, "%s",
                     kinds[i]);
        snprintf(path, sizeof path, KINDS_FOLDER "/%s/strings.jsonl", kinds[i]);
        expect_golden(t, path, 52);
        snprintf(place, sizeof place, KINDS_FOLDER "/%s", kinds[i]);
        expect_rewritten(t, place, path, 52);
        ts_tokenizer_close(t);
    }
}

// Processor time, not wall time, because other tests run at the same time.
static double seconds_to_encode(const ts_tokenizer *t, const char *unit, size_t len, int rounds)
{
    ts_tokens tokens = {0};
    ts_error err = {0};
    char *text = malloc(len);
    size_t unit_len = strlen(unit);
    len -= len % unit_len; // whole characters
    for (size_t i = 0; i < len; i++) {
        text[i] = unit[i % unit_len];
    }
    double best = 1e9;
    for (int round = 0; round < rounds; round++) {
        tokens.count = 0;
        clock_t start = clock();
        cr_assert_eq(ts_tokenizer_encode(t, text, len, TS_SPECIALS_AS_TOKENS, &tokens, &err),
                     TS_OK);
        double seconds = (double)(clock() - start) / CLOCKS_PER_SEC;
        best = seconds < best ? seconds : best;
    }
    ts_tokens_free(&tokens);
    free(text);
    return best;
}

// One line of a megabyte: twice the text may cost less than three times as much, and all of it at
// most `most` seconds. Neither text's tokens fit a cache: beside one that did, the larger text cost
// 4 times what its length says.
static void expect_linear(const ts_tokenizer *t, const char *kind, double most)
{
    static const char *const units[] = {"the quick brown fox jumps over it, ",
                                        "a",
                                        " ",
                                        "<",
                                        "\n",
                                        "1",
                                        " \n",
                                        "' ",
                                        "e\u0301\u0327",
                                        "\u4e2d"};
    for (size_t i = 0; i < TS_COUNT(units); i++) {
        double small = seconds_to_encode(t, units[i], 500000, 3);
        double large = seconds_to_encode(t, units[i], 1000000, 3);
        cr_expect_lt(large, 3 * small + 0.02, "%s: '%s': twice the text took %.1f times as long",
                     kind, units[i], large / small);
        cr_expect_lt(large, most, "%s: '%s': %.2f s", kind, units[i], large);
    }
}

Test(tokenizer_golden, a_long_line_costs_its_length, .timeout = 120)
{
    ts_tokenizer *t = open_fixture_tokenizer();
    expect_linear(t, "tinyllama", 4);
    ts_tokenizer_close(t);
}

Test(tokenizer_golden, a_long_line_costs_its_length_in_each_kind, .timeout = 240)
{
    static const char *const differing[] = {"smollm", "qwen2", "gemma"};
    for (size_t i = 0; i < TS_COUNT(differing); i++) {
        ts_tokenizer *t = open_kind(differing[i]);
        expect_linear(t, differing[i], 4);
        ts_tokenizer_close(t);
    }
}
