// Added tokens: where they are found in a text, and what a tokenizer's files say of them.
#include "base/file.h"
#include "log_capture.h"
#include "tiny.h"

#include <criterion/criterion.h>
#include <string.h>

static ts_tokenizer *open_edited_fixture(const char *from, const char *to)
{
    ts_text text = {0}, edited = {0};
    ts_error err = {0};
    ts_tokenizer *t = NULL;
    char *folder = make_folder();
    if (!ts_folder_exists(FIXTURE_FOLDER)) {
        cr_skip_test("needs " FIXTURE_FOLDER);
    }
    cr_assert_eq(ts_file_read(FIXTURE_FOLDER "/tokenizer.json", 1 << 24, &text, &err), TS_OK);
    const char *at = text.bytes;
    for (const char *next; (next = strstr(at, from)) != NULL; at = next + strlen(from)) {
        cr_assert_eq(ts_text_append(&edited, at, (size_t)(next - at), &err), TS_OK);
        append(&edited, to);
    }
    cr_assert_neq(at, text.bytes, "no %s", from);
    append(&edited, at);
    write_bytes(folder, "tokenizer.json", edited.bytes, edited.len);
    cr_assert_eq(open_tokenizer(folder, &t, &err), TS_OK, "%s", err.message);
    ts_text_free(&text);
    ts_text_free(&edited);
    remove_folder(folder);
    return t;
}

static void expect_ids(const ts_tokenizer *t, const char *text, const char *ids,
                       const char *decoded)
{
    ts_tokens tokens = {0};
    ts_text list = {0}, back = {0};
    ts_error err = {0};
    cr_assert_eq(ts_tokenizer_encode(t, text, strlen(text), TS_SPECIALS_AS_TOKENS, &tokens, &err),
                 TS_OK);
    for (size_t i = 0; i < tokens.count; i++) {
        cr_assert_eq(ts_text_format(&list, &err, i > 0 ? " %u" : "%u", tokens.ids[i]), TS_OK);
    }
    cr_expect_str_eq(list.bytes, ids, "'%s': %s, not %s", text, list.bytes, ids);
    cr_assert_eq(ts_tokenizer_decode(t, tokens.ids, tokens.count, false, &back, &err), TS_OK);
    cr_expect_str_eq(back.bytes, decoded, "'%s': '%s', not '%s'", text, back.bytes, decoded);
    ts_tokens_free(&tokens);
    ts_text_free(&list);
    ts_text_free(&back);
}

// Old tokenizer.json files have "normalized" special tokens. As in tokenizers 0.23.1, the U+2581
// that the normalizer adds belongs to the token.
Test(tokenizer_added, normalized_added_tokens)
{
    logged_clear();
    ts_tokenizer *t = open_edited_fixture("\"normalized\": false", "\"normalized\": true");
    cr_expect_eq(logged_count, 1);
    cr_expect(strstr(logged, "some added tokens are \"normalized\""), "%s", logged);
    expect_ids(t, "a</s>b", "263 829 29879 29958 29890", "a</s>b");
    expect_ids(t, "</s>b", "2 29890", "</s>b");
    expect_ids(t, " </s> b", "29871 2 289", " </s> b");
    expect_ids(t, "a </s>b", "263 2 29890", "a </s>b");
    expect_ids(t, "a  </s></s> b<s>", "263 29871 2 829 29879 29958 289 29966 29879 29958",
               "a  </s></s> b<s>");
    expect_ids(t, "</s>\n", "2 13", "</s>\n");
    expect_ids(t, SP "</s>", "29871 2", " </s>");
    expect_ids(t, "a</s> </s>", "263 829 29879 29958 2", "a</s> </s>");
    ts_tokenizer_close(t);
}

Test(tokenizer_added, added_tokens_that_take_white_space_along)
{
    ts_tokenizer *t = open_edited_fixture("\"lstrip\": false,\n      \"rstrip\": false",
                                          "\"lstrip\": true,\n      \"rstrip\": true");
    expect_ids(t, "a  </s>  b", "263 2 289", "a</s> b");
    expect_ids(t, "<s> \n a", "1 263", "<s> a");
    expect_ids(t, "<s>  </s>", "1 2", "<s></s>");
    expect_ids(t, "a\u00A0\u3000</s>", "263 2", "a</s>");
    expect_ids(t, " </s> ", "2", "</s>");
    ts_tokenizer_close(t);
}

// Without a normalizer, or with one that only replaces spaces, no U+2581 belongs to the token.
Test(tokenizer_added, normalized_added_tokens_without_a_prefix)
{
    static const char *const replace = "{\"type\":\"Replace\",\"pattern\":{\"String\":\" \"},"
                                       "\"content\":\"" SP "\"}";
    ts_tokenizer *t = open_tiny(&(tiny_parts){
        .normalizer = replace,
        .added = ",{\"id\":300,\"content\":\"<a b>\",\"normalized\":true}",
    });
    cr_expect_str_eq(tokenise(t, "h<a b>h", TS_SPECIALS_AS_TOKENS), "[h][<a b>][h]");
    cr_expect_str_eq(tokenise(t, "h<a" SP "b>", TS_SPECIALS_AS_TOKENS), "[h][<a b>]");
    cr_expect_str_eq(tokenise(t, "<a b> h<ab>", TS_SPECIALS_AS_TOKENS),
                     "[<a b>][" SP "h][<0x3C>][a][b][<0x3E>]");
    ts_tokenizer_close(t);
    t = open_tiny(&(tiny_parts){
        .normalizer = "null",
        .pre_tokenizer = "{\"type\":\"Metaspace\",\"replacement\":\"" SP
                         "\",\"prepend_scheme\":\"first\",\"split\":false}",
        .added = ",{\"id\":300,\"content\":\"<a b>\",\"normalized\":true}",
    });
    cr_expect_str_eq(tokenise(t, "h<a b>h", TS_SPECIALS_AS_TOKENS), "[" SP "h][<a b>][h]");
    cr_expect_str_eq(tokenise(t, "<a" SP "b>", TS_SPECIALS_AS_TOKENS),
                     "[" SP "][<0x3C>][a][" SP "][b][<0x3E>]");
    ts_tokenizer_close(t);
}

// tokenizer_config.json takes precedence over tokenizer.json in how an added token is found.
Test(tokenizer_added, flags_of_the_configuration)
{
    char *folder = make_folder();
    ts_tokenizer *t = NULL;
    ts_error err = {0};
    const tiny_parts parts = {
        .added = ",{\"id\":300,\"content\":\"<x>\",\"normalized\":true,\"special\":true}"};
    write_text(folder, "tokenizer_config.json",
               "{\"added_tokens_decoder\":{\"300\":{\"content\":\"<x>\",\"normalized\":false},"
               "\"301\":{\"content\":\"<y>\",\"normalized\":false}}}");
    cr_assert_eq(open_tiny_in(folder, &parts, &t, &err), TS_OK, "%s", err.message);
    cr_expect_str_eq(tokenise(t, "h<x><y>", TS_SPECIALS_AS_TOKENS), "[" SP "h][<x>][<y>]");
    ts_tokenizer_close(t);
    logged_clear();
    write_text(folder, "tokenizer_config.json", "{\"eos_token\":\"<x>\",\"a_new_key\":1}");
    write_text(folder, "special_tokens_map.json", "{\"eos_token\":{\"content\":\"<s>\"}}");
    cr_assert_eq(open_tiny_in(folder, &(tiny_parts){0}, &t, &err), TS_OK, "%s", err.message);
    cr_expect_eq(ts_tokenizer_eos(t), 1);
    cr_expect(strstr(logged, "1 key without effect here: a_new_key"), "%s", logged);
    cr_expect(strstr(logged, "eos_token is '<x>' in tokenizer_config.json and '<s>' in"), "%s",
              logged);
    ts_tokenizer_close(t);
    write_text(folder, "tokenizer_config.json",
               "{\"added_tokens_decoder\":{\"7\":{\"content\":\"</s>\"}}}");
    cr_expect_eq(open_tiny_in(folder, &(tiny_parts){0}, &t, &err), TS_ERR_FORMAT);
    cr_expect(strstr(err.message, "'</s>' is 7 here and 2 in the tokenizer"), "%s", err.message);
    write_text(folder, "tokenizer_config.json", "version https://git-lfs.github.com/spec/v1\n");
    cr_expect_eq(open_tiny_in(folder, &(tiny_parts){0}, &t, &err), TS_ERR_FORMAT);
    cr_expect(strstr(err.message, "tokenizer_config.json: a git-lfs pointer"), "%s", err.message);
    write_text(folder, "tokenizer_config.json", "{\"split_special_tokens\":true}");
    cr_expect_eq(open_tiny_in(folder, &(tiny_parts){0}, &t, &err), TS_ERR_UNSUPPORTED);
    cr_expect(strstr(err.message, "split_special_tokens"), "%s", err.message);
    remove_folder(folder);
}
