#include "data/tokenizer.h"

#include "base/file.h"
#include "base/json.h"
#include "log_capture.h"
#include "tiny.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

Test(tokenizer, merges_by_rank_then_leftmost)
{
    ts_tokenizer *t = open_tiny(&(tiny_parts){0});
    static const struct {
        const char *text, *pieces;
    } cases[] = {
        {"", ""},
        {"hello world", "[" SP "hello][" SP "world]"},
        {" hello", "[" SP "][" SP "hello]"},
        {"held", "[" SP "he][ld]"},
        {"aaa", "[" SP "aa][a]"},
        {"baaa", "[" SP "][b][aa][a]"},
        {"llld", "[" SP "][ll][ld]"},
        {"llll", "[" SP "][ll][ll]"},
        {"\xC3\xA9", "[" SP "][\xC3\xA9]"},
        {"\xC3\xA8", "[" SP "][<0xC3>][<0xA8>]"},
        {"\n\xF0\x9F\x98\x80", "[" SP "][<0x0A>][<0xF0>][<0x9F>][<0x98>][<0x80>]"},
        {"<0x0A>", "[" SP "][<0x3C>][<0x30>][<0x78>][<0x30>][<0x41>][<0x3E>]"},
        {"a</s>hello", "[" SP "][a][</s>][" SP "hello]"},
        {"</s></s>", "[</s>][</s>]"},
        {"<s>hello</s>\n", "[<s>][" SP "hello][</s>][" SP "][<0x0A>]"},
        {"</s", "[" SP "][<0x3C>][<0x2F>][<0x73>]"},
    };
    for (size_t i = 0; i < TS_COUNT(cases); i++) {
        cr_expect_str_eq(tokenise(t, cases[i].text, TS_SPECIALS_AS_TOKENS), cases[i].pieces, "%s",
                         cases[i].text);
    }
    cr_expect_str_eq(tokenise(t, "a</s>", TS_SPECIALS_AS_TEXT),
                     "[" SP "][a][<0x3C>][<0x2F>][<0x73>][<0x3E>]");
    cr_expect(ts_tokenizer_contains_special(t, "xx<s>", 5));
    cr_expect_not(ts_tokenizer_contains_special(t, "xx<s >", 6));
    cr_expect_not(ts_tokenizer_contains_special(t, NULL, 0));
    cr_expect_eq(ts_tokenizer_find(t, "</s>"), 2);
    cr_expect_eq(ts_tokenizer_find(t, "a"), TS_TOKEN_NONE);
    ts_tokenizer_close(t);
}

Test(tokenizer, merges_as_strings_or_pairs)
{
    ts_tokenizer *strings = open_tiny(&(tiny_parts){0});
    ts_tokenizer *pairs = open_tiny(&(tiny_parts){.merges_as_pairs = true});
    static const char text[] = "hello world aaaa lllo";
    char expected[256];
    snprintf(expected, sizeof expected, "%s", tokenise(strings, text, TS_SPECIALS_AS_TEXT));
    cr_expect_not_null(strstr(expected, "[" SP "hello]"));
    cr_expect_str_eq(tokenise(pairs, text, TS_SPECIALS_AS_TEXT), expected);
    ts_tokenizer_close(strings);
    ts_tokenizer_close(pairs);
}

Test(tokenizer, longest_added_token_wins)
{
    ts_tokenizer *t = open_tiny(&(tiny_parts){
        .added = ",{\"id\":300,\"content\":\"<|a\",\"special\":false},"
                 "{\"id\":301,\"content\":\"<|a|>\",\"special\":true}",
    });
    ts_text text = {0};
    ts_error err = {0};
    cr_expect_eq(ts_tokenizer_vocab_size(t), 302);
    cr_expect_str_eq(tokenise(t, "<|a|><|ab", TS_SPECIALS_AS_TOKENS), "[<|a|>][<|a][" SP "][b]");
    cr_expect_eq(ts_tokenizer_decode(t, (uint32_t[]){300, 301, 299, 9999}, 4, true, &text, &err),
                 TS_OK);
    cr_expect_str_eq(text.bytes, "<|a"); // 301 is special, nothing has the ids 299 and 9999
    ts_text_free(&text);
    ts_tokenizer_close(t);
}

Test(tokenizer, decodes_bytes_together)
{
    ts_tokenizer *t = open_tiny(&(tiny_parts){0});
    static const struct {
        uint32_t ids[6];
        size_t count;
        const char *text;
    } cases[] = {
        {{0}, 0, ""},
        {{273, 278}, 2, "hello world"},
        {{259, 273}, 2, " hello"},
        {{3 + 0xC3, 3 + 0xA9}, 2, "\xC3\xA9"},
        {{3 + 0xC3}, 1, "\xEF\xBF\xBD"},
        {{3 + 0xC3, 260, 3 + 0xA9},
         3,
         "\xEF\xBF\xBD"
         "a\xEF\xBF\xBD"},
        {{3 + 'x', 3 + 0xC3}, 2, "\xEF\xBF\xBD\xEF\xBF\xBD"},
        {{1, 273, 2}, 3, "hello"},
        {{3 + ' ', 260}, 2, "a"},
    };
    for (size_t i = 0; i < TS_COUNT(cases); i++) {
        ts_text text = {0};
        ts_error err = {0};
        cr_assert_eq(ts_tokenizer_decode(t, cases[i].ids, cases[i].count, true, &text, &err),
                     TS_OK);
        cr_expect_str_eq(text.bytes, cases[i].text, "case %zu: %s", i, text.bytes);
        ts_text_free(&text);
    }
    ts_text text = {0};
    ts_error err = {0};
    cr_assert_eq(ts_tokenizer_decode(t, (uint32_t[]){1, 273, 2}, 3, false, &text, &err), TS_OK);
    cr_expect_str_eq(text.bytes, "<s> hello</s>");
    ts_text_free(&text);
    ts_tokenizer_close(t);
}

Test(tokenizer, refuses_invalid_utf8)
{
    ts_tokenizer *t = open_tiny(&(tiny_parts){0});
    ts_tokens tokens = {0};
    ts_error err = {0};
    cr_expect_eq(ts_tokenizer_encode(t, "ab\xFF", 3, TS_SPECIALS_AS_TOKENS, &tokens, &err),
                 TS_ERR_FORMAT);
    cr_expect_str_eq(err.message, "invalid UTF-8 at byte 2 of the text");
    cr_expect_eq(tokens.count, 0);
    ts_tokenizer_close(t);
}

// Each token starts where the one before it ends.
Test(tokenizer, starts_are_byte_offsets)
{
    static const char text[] = "hello</s> aa\xC3\xA9\xC3\xA8z";
    static const uint32_t expected[] = {0, 5, 9, 9, 12, 14, 15, 16};
    ts_tokenizer *t = open_tiny(&(tiny_parts){0});
    ts_tokens tokens = {0}, starts = {0};
    ts_error err = {0};
    cr_assert_eq(ts_tokenizer_encode_part(t, text, strlen(text), TS_SPECIALS_AS_TOKENS, true,
                                          &tokens, &starts, &err),
                 TS_OK);
    cr_expect_str_eq(spell(t, &tokens),
                     "[" SP "hello][</s>][" SP "][" SP "aa][\xC3\xA9][<0xC3>][<0xA8>][<0x7A>]");
    cr_assert_eq(starts.count, TS_COUNT(expected));
    cr_expect_arr_eq(starts.ids, expected, sizeof expected);
    ts_tokens_free(&tokens);
    ts_tokens_free(&starts);
    ts_tokenizer_close(t);
}

// Merging by its definition, to compare the heap with: search all pairs, merge the best, repeat.
static void merge_by_definition(const ts_tokenizer *t, ts_tokens *tokens)
{
    for (;;) {
        const ts_merge *best = NULL;
        size_t best_at = 0;
        for (size_t i = 0; i + 1 < tokens->count; i++) {
            const ts_merge *merge = ts_vocabulary_find_merge(t, tokens->ids[i], tokens->ids[i + 1]);
            if (merge != NULL && (best == NULL || merge->rank < best->rank)) {
                best = merge;
                best_at = i;
            }
        }
        if (best == NULL) {
            return;
        }
        tokens->ids[best_at] = best->id;
        memmove(tokens->ids + best_at + 1, tokens->ids + best_at + 2,
                (tokens->count - best_at - 2) * sizeof *tokens->ids);
        tokens->count--;
    }
}

// `characters` are single code points.
static void expect_definition(const ts_tokenizer *t, const char *const *characters, size_t count,
                              size_t rounds)
{
    ts_error err = {0};
    uint64_t seed = 3;
    for (size_t round = 0; round < rounds; round++) {
        ts_tokens expected = {0}, tokens = {0};
        ts_text text = {0};
        size_t len = next_random(&seed) % 48 + 1;
        cr_assert_eq(ts_tokens_push(&expected, t->space_id, &err), TS_OK);
        for (size_t i = 0; i < len; i++) {
            const char *c = characters[next_random(&seed) % count];
            append(&text, c);
            uint32_t id = ts_vocabulary_find(t, c[0] == ' ' ? SP : c, c[0] == ' ' ? 3 : strlen(c));
            for (size_t k = 0; id == TS_TOKEN_NONE && c[k] != '\0'; k++) {
                cr_assert_eq(ts_tokens_push(&expected, t->byte_ids[(unsigned char)c[k]], &err),
                             TS_OK);
            }
            if (id != TS_TOKEN_NONE) {
                cr_assert_eq(ts_tokens_push(&expected, id, &err), TS_OK);
            }
        }
        merge_by_definition(t, &expected);
        cr_assert_eq(
            ts_tokenizer_encode(t, text.bytes, text.len, TS_SPECIALS_AS_TEXT, &tokens, &err),
            TS_OK);
        cr_assert_eq(tokens.count, expected.count, "%s", text.bytes);
        cr_assert_arr_eq(tokens.ids, expected.ids, 4 * tokens.count, "%s", text.bytes);
        ts_tokens_free(&expected);
        ts_tokens_free(&tokens);
        ts_text_free(&text);
    }
}

Test(tokenizer, merging_equals_definition)
{
    static const char *const characters[] = {"a", "h", "e", "l", "o", "w", "r", "d", " ", "b", SP};
    ts_tokenizer *t = open_tiny(&(tiny_parts){0});
    expect_definition(t, characters, TS_COUNT(characters), 2000);
    ts_tokenizer_close(t);
}

// The same with a real vocabulary, whose pieces hold spaces, signs and other scripts.
Test(tokenizer, merging_equals_definition_for_tinyllama)
{
    static const char *const characters[] = {
        " ",
        " ",
        " ",
        "e",
        "t",
        "a",
        "n",
        "i",
        "s",
        "h",
        ".",
        ",",
        "(",
        ")",
        "=",
        "\t",
        "\n",
        "/",
        "*",
        "0",
        "1",
        "<",
        ">",
        "\xC3\xA9",
        "\xD0\xB0",
        "\xD0\xBD",
        "\xE4\xB8\xAD",
        "\xF0\x9F\x98\x80",
    };
    ts_tokenizer *t = open_fixture_tokenizer();
    expect_definition(t, characters, TS_COUNT(characters), 2000);
    ts_tokenizer_close(t);
}

// transformers 5 saves Llama tokenizers with Metaspace in place of the normalizer.
Test(tokenizer, metaspace_prefixes)
{
    static const struct {
        const char *scheme, *pieces, *with_space;
    } cases[] = {
        {"first", "[" SP "h][</s>][h]", "[" SP "h]"},
        {"always", "[" SP "h][</s>][" SP "h]", "[" SP "h]"},
        {"never", "[h][</s>][h]", "[" SP "h]"},
    };
    for (size_t i = 0; i < TS_COUNT(cases); i++) {
        char metaspace[200];
        snprintf(metaspace, sizeof metaspace,
                 "{\"type\":\"Metaspace\",\"replacement\":\"" SP
                 "\",\"prepend_scheme\":\"%s\",\"split\":false}",
                 cases[i].scheme);
        ts_tokenizer *t =
            open_tiny(&(tiny_parts){.normalizer = "null", .pre_tokenizer = metaspace});
        cr_expect_not(ts_tokenizer_prefixes_segments(t));
        cr_expect_str_eq(tokenise(t, "h</s>h", TS_SPECIALS_AS_TOKENS), cases[i].pieces, "%s",
                         cases[i].scheme);
        cr_expect_str_eq(tokenise(t, " h", TS_SPECIALS_AS_TOKENS), cases[i].with_space, "%s",
                         cases[i].scheme);
        ts_tokenizer_close(t);
    }
}

Test(tokenizer, refuses_by_name_what_it_does_not_do)
{
    static const struct {
        tiny_parts parts;
        ts_status status;
        const char *message;
    } cases[] = {
        {{.model = "\"type\":\"Unigram\","}, TS_ERR_UNSUPPORTED, "model type 'Unigram'"},
        {{.model = "\"type\":\"WordPiece\","}, TS_ERR_UNSUPPORTED, "model type 'WordPiece'"},
        {{.model = ""}, TS_ERR_FORMAT, "key 'type' is missing"},
        {{.model = "\"type\":\"BPE\","}, TS_ERR_UNSUPPORTED, "without byte_fallback"},
        {{.model = "\"type\":\"BPE\",\"byte_fallback\":true,\"dropout\":0.1,"},
         TS_ERR_UNSUPPORTED,
         "key 'dropout' is 0.1"},
        {{.model = "\"type\":\"BPE\",\"byte_fallback\":true,\"ignore_merges\":true,"},
         TS_ERR_UNSUPPORTED,
         "ignore_merges"},
        {{.model = "\"type\":\"BPE\",\"byte_fallback\":true,\"end_of_word_suffix\":\"</w>\","},
         TS_ERR_UNSUPPORTED,
         "key 'end_of_word_suffix' is \"</w>\""},
        {{.normalizer = "{\"type\":\"NFKC\"}"},
         TS_ERR_UNSUPPORTED,
         "normalizer {\"type\":\"NFKC\"} is not supported"},
        {{.normalizer = "{\"type\":\"Sequence\",\"normalizers\":[]}"},
         TS_ERR_UNSUPPORTED,
         "normalizer {"},
        {{.normalizer = "null"}, TS_ERR_UNSUPPORTED, "without normalizer and pre_tokenizer"},
        {{.pre_tokenizer = "{\"type\":\"ByteLevel\"}"},
         TS_ERR_UNSUPPORTED,
         "pre_tokenizer {\"type\":\"ByteLevel\"}"},
        {{.decoder = "null"}, TS_ERR_UNSUPPORTED, "decoder null"},
        {{.decoder = "{\"type\":\"WordPiece\"}"}, TS_ERR_UNSUPPORTED, "decoder {"},
        {{.added = ",{\"id\":300,\"content\":\"x\",\"normalized\":true,\"single_word\":true}"},
         TS_ERR_UNSUPPORTED,
         "added token 'x': \"single_word\" together with \"normalized\""},
        {{.added = ",{\"id\":300,\"content\":\"x\",\"new_way\":1}"},
         TS_ERR_UNSUPPORTED,
         "added token 'x': key 'new_way' is 1"},
        {{.added = ",{\"id\":300,\"content\":\"x\",\"normalized\":true,\"rstrip\":true}"},
         TS_ERR_UNSUPPORTED,
         "added token 'x': \"rstrip\" together with \"normalized\""},
        {{.model = "\"type\":\"BPE\",\"byte_fallback\":true,\"other\":true,"},
         TS_ERR_UNSUPPORTED,
         "key 'other' is true"},
        {{.added = ",{\"id\":300,\"content\":\"\"}"}, TS_ERR_FORMAT, "token 300 is empty"},
        {{.added = ",{\"id\":260,\"content\":\"x\"}"}, TS_ERR_FORMAT, "'a' and 'x' share id 260"},
        {{.added = ",{\"id\":300,\"content\":\"a\"}"}, TS_ERR_FORMAT, "'a' has ids 260 and 300"},
        {{.added = ",{\"content\":\"x\"}"}, TS_ERR_FORMAT, "key 'id' is missing"},
        {{.added = ",{\"id\":4294967295,\"content\":\"x\"}"}, TS_ERR_FORMAT, "key 'id': expected"},
        {{.vocab = ",\"x\":4194304"}, TS_ERR_FORMAT, "token 'x' has no whole number as its id"},
        {{.vocab = ",\"x\":-1"}, TS_ERR_FORMAT, "token 'x' has no whole number as its id"},
        {{.vocab = ",\"x\":\"1\""}, TS_ERR_FORMAT, "token 'x' has no whole number as its id"},
        {{.vocab = ",\"x\":0"}, TS_ERR_FORMAT, "tokens '<unk>' and 'x' share id 0"},
        {{.merges = "{}"}, TS_ERR_FORMAT, "key 'merges': expected an array"},
        {{.merges = "[\"ab\"]"}, TS_ERR_FORMAT, "merges[0]: not two pieces"},
        {{.merges = "[\"a a\",\"a b c\"]"}, TS_ERR_FORMAT, "merges[1]: not two pieces"},
        {{.merges = "[[\"a\"]]"}, TS_ERR_FORMAT, "merges[0]: not two pieces"},
        {{.merges = "[\"q a\"]"}, TS_ERR_FORMAT, "'q' and 'a': the first is not in the vocab"},
        {{.merges = "[\"a q\"]"}, TS_ERR_FORMAT, "the second is not in the vocabulary"},
        {{.merges = "[\"a b\"]"}, TS_ERR_FORMAT, "what they form is not in the vocabulary"},
    };
    char *folder = make_folder();
    for (size_t i = 0; i < TS_COUNT(cases); i++) {
        ts_tokenizer *t = NULL;
        ts_error err = {0};
        cr_expect_eq(open_tiny_in(folder, &cases[i].parts, &t, &err), cases[i].status,
                     "case %zu: %s", i, err.message);
        cr_expect_not_null(strstr(err.message, cases[i].message), "case %zu: %s", i, err.message);
        cr_expect_not_null(strstr(err.message, "tokenizer.json: "), "%s", err.message);
    }
    remove_folder(folder);
}

Test(tokenizer, needs_an_end_token)
{
    char *folder = make_folder();
    ts_tokenizer *t = NULL;
    ts_error err = {0};
    cr_expect_eq(open_tokenizer(folder, &t, &err), TS_ERR_IO);
    cr_expect_not_null(strstr(err.message, "neither tokenizer.json nor tokenizer.model"));
    write_text(folder, "tokenizer_config.json", "{\"eos_token\":{\"content\":\"<end>\"}}");
    cr_expect_eq(open_tiny_in(folder, &(tiny_parts){0}, &t, &err), TS_ERR_FORMAT);
    cr_expect_not_null(strstr(err.message, "no end token '<end>'"), "%s", err.message);
    write_text(folder, "tokenizer_config.json", "{\"eos_token\":\"<s>\",\"bos_token\":null}");
    cr_assert_eq(open_tiny_in(folder, &(tiny_parts){0}, &t, &err), TS_OK, "%s", err.message);
    cr_expect_eq(ts_tokenizer_eos(t), 1);
    ts_tokenizer_close(t);
    remove_folder(folder);
}

Test(tokenizer, content_never_becomes_a_special_token)
{
    static const char text[] = "a</s>b<s> <unk></s>";
    ts_tokenizer *t = open_fixture_tokenizer();
    ts_tokens tokens = {0};
    ts_text decoded = {0};
    ts_error err = {0};
    cr_assert_eq(ts_tokenizer_encode(t, text, strlen(text), TS_SPECIALS_AS_TEXT, &tokens, &err),
                 TS_OK);
    for (size_t i = 0; i < tokens.count; i++) {
        cr_expect_gt(tokens.ids[i], 2);
    }
    cr_assert_eq(ts_tokenizer_decode(t, tokens.ids, tokens.count, true, &decoded, &err), TS_OK);
    cr_expect_str_eq(decoded.bytes, text);
    ts_tokens_free(&tokens);
    ts_text_free(&decoded);
    ts_tokenizer_close(t);
}

// Seeded damage to a valid tokenizer.json: refused or used, never a crash.
Test(tokenizer, json_survives_mutation, .timeout = 120)
{
    static const char alphabet[] = "{}[]\",:0123456789-aBE \xE2\x81";
    char *folder = make_folder();
    ts_text text = {0};
    uint64_t seed = 11;
    unsigned accepted = 0;
    tiny_json(&(tiny_parts){0}, &text);
    char *bytes = malloc(text.len);
    for (int round = 0; round < 1500; round++) {
        ts_error err = {0};
        ts_tokenizer *t = NULL;
        memcpy(bytes, text.bytes, text.len);
        for (uint64_t edits = next_random(&seed) % 2 + 1; edits > 0; edits--) {
            bytes[next_random(&seed) % text.len] =
                alphabet[next_random(&seed) % (sizeof alphabet - 1)];
        }
        write_bytes(folder, "tokenizer.json", bytes, text.len);
        if (open_tokenizer(folder, &t, &err) == TS_OK) {
            accepted++;
            tokenise(t, "hello </s> w\xC3\xA9 aaaa", TS_SPECIALS_AS_TOKENS);
            ts_tokenizer_close(t);
        }
    }
    cr_expect_gt(accepted, 20);
    cr_expect_lt(accepted, 1500);
    free(bytes);
    ts_text_free(&text);
    remove_folder(folder);
}
