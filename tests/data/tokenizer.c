#include "data/tokenizer.h"

#include "base/file.h"
#include "base/json.h"
#include "base/progress.h"
#include "data_test.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Our JSON refuses \u0000, which some reference strings hold: it stands in the parsed text as
// U+E000 (which no reference string uses) and becomes a zero byte here. Returns the new length.
static size_t restore_zeros(char *text)
{
    size_t len = 0;
    for (const char *c = text; *c != '\0';) {
        bool zero = strncmp(c, "\xEE\x80\x80", 3) == 0;
        text[len++] = zero ? '\0' : *c;
        c += zero ? 3 : 1;
    }
    return len;
}

static void hide_zeros(char *line)
{
    for (char *zero = line; (zero = strstr(zero, "\\u0000")) != NULL;) {
        memcpy(zero, "\\uE000", 6);
    }
}

// Every string of the reference file gives Hugging Face's ids, and its ids their text.
static void expect_golden(const ts_tokenizer *t)
{
    ts_error err = {0};
    ts_text text = {0}, decoded = {0};
    ts_tokens ids = {0};
    size_t lines = 0;
    cr_assert_eq(ts_file_read(SHARED_FOLDER "/golden/tokenizer.jsonl", 1 << 30, &text, &err), TS_OK,
                 "%s", err.message);
    for (char *line = strtok(text.bytes, "\n"); line != NULL; line = strtok(NULL, "\n"), lines++) {
        cJSON *row = NULL;
        hide_zeros(line);
        cr_assert_eq(ts_json_parse(line, strlen(line), "golden", &row, &err), TS_OK, "%s",
                     err.message);
        char *input = ts_json_get(row, "text")->valuestring;
        char *output = ts_json_get(row, "decoded")->valuestring;
        size_t input_len = restore_zeros(input), output_len = restore_zeros(output);
        const cJSON *expected = ts_json_get(row, "ids");
        ids.count = 0;
        ts_text_clear(&decoded);
        cr_assert_eq(ts_tokenizer_encode(t, input, input_len, TS_SPECIALS_AS_TOKENS, &ids, &err),
                     TS_OK, "%s", err.message);
        cr_assert_eq(ids.count, (size_t)cJSON_GetArraySize(expected), "line %zu", lines + 1);
        size_t i = 0;
        for (const cJSON *id = expected->child; id != NULL; id = id->next, i++) {
            cr_assert_eq(ids.ids[i], (uint32_t)id->valueint, "line %zu, token %zu", lines + 1, i);
        }
        cr_assert_eq(ts_tokenizer_decode(t, ids.ids, ids.count, false, &decoded, &err), TS_OK);
        cr_assert_eq(decoded.len, output_len, "line %zu", lines + 1);
        cr_assert_arr_eq(decoded.bytes, output, output_len, "line %zu", lines + 1);
        cJSON_Delete(row);
    }
    cr_assert_eq(lines, 1500);
    ts_tokens_free(&ids);
    ts_text_free(&text);
    ts_text_free(&decoded);
}

Test(tokenizer, golden_from_json)
{
    ts_tokenizer *t = open_fixture_tokenizer();
    cr_assert_eq(ts_tokenizer_vocab_size(t), 32000);
    cr_assert_eq(ts_tokenizer_bos(t), 1);
    cr_assert_eq(ts_tokenizer_eos(t), 2);
    expect_golden(t);
    ts_tokenizer_close(t);
}

Test(tokenizer, golden_from_sentencepiece)
{
    ts_error err = {0};
    ts_text model = {0};
    ts_tokenizer *t = open_fixture_tokenizer();
    ts_tokenizer_close(t);
    char *folder = make_folder();
    cr_assert_eq(ts_file_read(FIXTURE_FOLDER "/tokenizer.model", 1 << 30, &model, &err), TS_OK);
    write_bytes(folder, "tokenizer.model", model.bytes, model.len);
    cr_assert_eq(ts_tokenizer_open(folder, &t, &err), TS_OK, "%s", err.message);
    expect_golden(t);
    ts_tokenizer_close(t);
    ts_text_free(&model);
    remove_folder(folder);
}
