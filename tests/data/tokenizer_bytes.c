// Byte-level BPE: its alphabet, how a text is split into words, the normal form, and what is
// refused in a file. tokenizer_golden.c tests the ids.
#include "base/memory.h"
#include "data/byte_level.h"
#include "data/split.h"
#include "data/unicode.h"
#include "kinds.h"
#include "log_capture.h"
#include "tiny.h"

#include <criterion/criterion.h>
#include <string.h>

Test(tokenizer_bytes, each_byte_has_its_character)
{
    bool seen[512] = {false};
    for (int byte = 0; byte < 256; byte++) {
        char character[4];
        size_t taken, len = ts_byte_spell((unsigned char)byte, character);
        int32_t c = ts_utf8_decode(character, len, &taken);
        cr_assert_eq(taken, len);
        cr_assert(c > ' ' && c < 512 && !seen[c], "byte %d: U+%04X", byte, (unsigned)c);
        seen[c] = true;
        cr_expect_eq(ts_byte_of(c), byte);
    }
    cr_expect_eq(ts_byte_of(0x120), ' ');
    cr_expect_eq(ts_byte_of(0x10A), '\n');
    static const int32_t others[] = {-1, 0, ' ', 0x7F, 0xA0, 0xAD, 0x144, 0x2581, 0x10FFFF};
    for (size_t i = 0; i < TS_COUNT(others); i++) {
        cr_expect_eq(ts_byte_of(others[i]), -1, "U+%04X", (unsigned)others[i]);
    }
}

// As Unicode recommends it (chapter 3, "U+FFFD Substitution of Maximal Subparts"), and as Rust and
// Python do it.
Test(tokenizer_bytes, broken_characters_are_replaced)
{
    static const struct {
        const char *bytes;
        size_t len;
        const char *text;
    } cases[] = {
        {"", 0, ""},
        {"abc\xC3\xA9", 5, "abc\xC3\xA9"},
        {"\xF0\x80\x80"
         "a",
         4, "???a"},
        {"\xE4\xB8"
         "a",
         3, "?a"},
        {"\xF0\x9F\x98", 3, "?"},
        {"\xC3", 1, "?"},
        {"\xC0\xAF", 2, "??"},
        {"\xED\xA0\x80", 3, "???"},
        {"\xF4\x90\x80\x80", 4, "????"},
        {"a\x80\xBF"
         "b",
         4, "a??b"},
        {"\xE0\x80", 2, "??"},
        {"\xF5\x80", 2, "??"},
        {"\xE2\x82\xE2\x82\xAC", 5, "?\xE2\x82\xAC"},
    };
    for (size_t i = 0; i < TS_COUNT(cases); i++) {
        ts_text out = {0}, expected = {0};
        ts_error err = {0};
        append(&expected, "");
        for (const char *c = cases[i].text; *c != '\0'; c++) {
            char one[] = {*c, '\0'};
            append(&expected, *c == '?' ? "\xEF\xBF\xBD" : one);
        }
        append(&out, "");
        cr_assert_eq(ts_byte_append_text(cases[i].bytes, cases[i].len, &out, &err), TS_OK);
        cr_expect_str_eq(out.bytes, expected.bytes, "case %zu: %s", i, out.bytes);
        ts_text_free(&out);
        ts_text_free(&expected);
    }
}

// The words in brackets.
static const char *words(ts_splitter splitter, const char *text)
{
    static char out[1024];
    size_t used = 0;
    for (size_t at = 0, end; text[at] != '\0'; at = end) {
        end = ts_split_next(splitter, text, at, strlen(text));
        cr_assert_gt(end, at);
        used +=
            (size_t)snprintf(out + used, sizeof out - used, "[%.*s]", (int)(end - at), text + at);
    }
    return out;
}

// By Hugging Face's tokenizers 0.23.1.
Test(tokenizer_bytes, words_of_each_splitter)
{
    static const struct {
        const char *text, *words[TS_SPLIT_COUNT]; // gpt2, llama3, qwen2, smollm
    } cases[] = {
        {"it's IT'S they'Re",
         {"[it]['s][ IT]['][S][ they]['][Re]", "[it]['s][ IT]['S][ they]['Re]",
          "[it]['s][ IT]['S][ they]['Re]", "[it]['s][ IT]['][S][ they]['][Re]"}},
        {"a  b   1234 $x",
         {"[a][ ][ b][  ][ 1234][ $][x]", "[a][ ][ b][  ][ ][123][4][ $][x]",
          "[a][ ][ b][  ][ ][1][2][3][4][ $][x]", "[a][ ][ b][   ][1][2][3][4][ $][x]"}},
        {"x.\n\n y\t\n  z",
         {"[x][.][\n\n][ y][\t\n ][ z]", "[x][.\n\n][ y][\t\n][ ][ z]",
          "[x][.\n\n][ y][\t\n][ ][ z]", "[x][.][\n\n][ y][\t\n ][ z]"}},
        {"\xC2\xBDx\xD9\xA1\xD9\xA2 (a) ",
         {"[\xC2\xBD][x][\xD9\xA1\xD9\xA2][ (][a][)][ ]",
          "[\xC2\xBD][x][\xD9\xA1\xD9\xA2][ (][a][)][ ]",
          "[\xC2\xBD][x][\xD9\xA1][\xD9\xA2][ (][a][)][ ]",
          "[\xC2\xBD][x][\xD9\xA1][\xD9\xA2][ (][a][)][ ]"}},
    };
    for (size_t i = 0; i < TS_COUNT(cases); i++) {
        for (ts_splitter s = 0; s < TS_SPLIT_COUNT; s++) {
            cr_expect_str_eq(words(s, cases[i].text), cases[i].words[s], "%s: %s",
                             ts_splitter_name(s, s == TS_SPLIT_LLAMA3), words(s, cases[i].text));
        }
    }
}

Test(tokenizer_bytes, splitters_have_the_names_of_gguf)
{
    static const struct {
        const char *name;
        ts_splitter splitter;
        bool ignores;
    } names[] = {{"llama-bpe", TS_SPLIT_LLAMA3, true},
                 {"dbrx", TS_SPLIT_LLAMA3, false},
                 {"qwen2", TS_SPLIT_QWEN2, false},
                 {"smollm", TS_SPLIT_SMOLLM, false},
                 {"gpt-2", TS_SPLIT_GPT2, false}};
    ts_splitter found;
    bool ignores;
    for (size_t i = 0; i < TS_COUNT(names); i++) {
        cr_expect(ts_splitter_find(names[i].name, &found, &ignores));
        cr_expect(found == names[i].splitter && ignores == names[i].ignores, "%s", names[i].name);
        cr_expect_str_eq(ts_splitter_name(found, ignores), names[i].name);
    }
    cr_expect(ts_splitter_find("llama-v3", &found, &ignores) && ignores);
    cr_expect(ts_splitter_find("smaug-bpe", &found, &ignores) && !ignores);
    cr_expect_null(ts_splitter_name(TS_SPLIT_GPT2, true));
    cr_expect_not(ts_splitter_find("deepseek-llm", &found, &ignores));
    cr_expect_not(ts_splitter_find("", &found, &ignores));
    ts_tokenizer t = {.prefix = TS_PREFIX_EACH, .normalizes = true};
    cr_expect_not(ts_vocabulary_be_byte_level(&t, "default"));
    cr_expect_not(t.byte_level);
    cr_expect(ts_vocabulary_be_byte_level(&t, "llama-bpe"));
    cr_expect(t.byte_level && t.ignore_merges && !t.nfc && t.prefix == TS_PREFIX_NEVER);
    cr_expect(ts_vocabulary_be_byte_level(&t, "dbrx") && !t.ignore_merges);
    cr_expect(ts_vocabulary_be_byte_level(&t, "qwen2"));
    cr_expect(t.byte_level && !t.ignore_merges && t.nfc && t.splitter == TS_SPLIT_QWEN2);
}

Test(tokenizer_bytes, normal_form_and_where_it_comes_from)
{
    static const struct {
        const char *text, *form;
        uint32_t origins[16]; // of each byte
    } cases[] = {
        {"ab", "ab", {0, 1}},
        {"xe\xCC\x81y", "x\xC3\xA9y", {0, 1, 1, 4}},
        {"e\xCC\xA7\xCC\x81", "\xC8\xA9\xCC\x81", {0, 0, 0, 0}},
        {"e\xCC\x81\xCC\xA7", "\xC8\xA9\xCC\x81", {0, 0, 0, 0}},
        {"\xE1\x84\x80\xE1\x85\xA1\xE1\x86\xA8", "\xEA\xB0\x81", {0, 0, 0}}, // Hangul
        {"-\xE2\x84\xAB", "-\xC3\x85", {0, 0, 0}},                           // U+212B
        {"\xE0\xA5\x98", "\xE0\xA4\x95\xE0\xA4\xBC", {0, 0, 0, 0, 0, 0}},    // U+0958
        {"\xCC\x81z", "\xCC\x81z", {0, 0, 2}},                               // a mark alone
        // U+0898 came with Unicode 14 and is a character like any other.
        {"\xE0\xA2\x98\xCC\xA7", "\xE0\xA2\x98\xCC\xA7", {0, 1, 2, 3, 3}},
    };
    for (size_t i = 0; i < TS_COUNT(cases); i++) {
        ts_text out = {0};
        ts_tokens origins = {0};
        ts_error err = {0};
        const char *text = cases[i].text;
        cr_assert_eq(ts_nfc_append(text, strlen(text), &out, &origins, &err), TS_OK);
        cr_expect_str_eq(out.bytes, cases[i].form, "case %zu: %s", i, out.bytes);
        cr_assert_eq(origins.count, out.len);
        cr_expect_arr_eq(origins.ids, cases[i].origins, 4 * out.len, "case %zu", i);
        cr_expect(ts_nfc_may_change(text, strlen(text)) || strcmp(out.bytes, text) == 0);
        ts_text_free(&out);
        ts_tokens_free(&origins);
    }
    cr_expect_not(ts_nfc_may_change("Gr\xC3\xB6\xC3\x9F"
                                    "e \xE4\xBD\xA0",
                                    9));
}

// Starts are offsets in the text that was given, not in its normal form.
Test(tokenizer_bytes, starts_are_those_of_the_text)
{
    static const char text[] = "q e\xCC\x81 x<|end|>e\xCC\x81z";
    ts_tokenizer *t = open_kind("qwen2");
    ts_tokens tokens = {0}, starts = {0};
    ts_error err = {0};
    cr_assert_eq(ts_tokenizer_encode_part(t, text, strlen(text), TS_SPECIALS_AS_TOKENS, true,
                                          &tokens, &starts, &err),
                 TS_OK);
    for (size_t i = 0; i < tokens.count; i++) {
        ts_text one = {0};
        cr_assert_eq(ts_tokenizer_decode(t, tokens.ids + i, 1, false, &one, &err), TS_OK);
        char first = text[starts.ids[i]];
        cr_expect(one.bytes[0] == first || first == 'e' || first == ' ', "%zu: '%s' at %u", i,
                  one.bytes, starts.ids[i]);
        cr_expect_neq((unsigned char)first & 0xC0, 0x80, "%zu: inside a character", i);
        ts_text_free(&one);
    }
    cr_expect_eq(starts.ids[0], 0);
    cr_expect_eq(starts.ids[starts.count - 1], strlen(text) - 1);
    ts_tokens_free(&tokens);
    ts_tokens_free(&starts);
    ts_tokenizer_close(t);
}

Test(tokenizer_bytes, refuses_by_name_what_it_does_not_do)
{
    static const struct {
        const char *kind, *from, *to;
        ts_status status;
        const char *message;
    } cases[] = {
        {"llama3", "{1,3}", "{1,2}", TS_ERR_UNSUPPORTED, "p{N}{1,2}"},
        {"qwen2", "(?i:'s", "(?i:'z", TS_ERR_UNSUPPORTED, "pre_tokenizer {\"type\":\"Sequence\""},
        {"llama3", "\"Isolated\"", "\"Removed\"", TS_ERR_UNSUPPORTED, "pre_tokenizer {"},
        {"llama3", "\"invert\":false", "\"invert\":true", TS_ERR_UNSUPPORTED, "pre_tokenizer {"},
        {"gpt2", "\"ByteLevel\",\"add_prefix_space\":false",
         "\"ByteLevel\",\"add_prefix_space\":true", TS_ERR_UNSUPPORTED,
         "pre_tokenizer {\"type\":\"ByteLevel\",\"add_prefix_space\":true"},
        {"smollm", "\"individual_digits\":true", "\"individual_digits\":false", TS_ERR_UNSUPPORTED,
         "pre_tokenizer {"},
        {"smollm", "\"Digits\"", "\"Punctuation\"", TS_ERR_UNSUPPORTED, "\"type\":\"Punctuation\""},
        {"qwen2", "\"NFC\"", "\"NFC\",\"version\":9", TS_ERR_UNSUPPORTED, "\"version\":9"},
        {"llama3", "\"invert\":false", "\"invert\":false,\"limit\":3", TS_ERR_UNSUPPORTED,
         "pre_tokenizer {"},
        {"qwen2", "\"NFC\"", "\"NFKC\"", TS_ERR_UNSUPPORTED, "normalizer {\"type\":\"NFKC\"}"},
        {"gpt2", "\"decoder\":{\"type\":\"ByteLevel\"", "\"decoder\":{\"type\":\"Fuse\"",
         TS_ERR_UNSUPPORTED, "decoder {\"type\":\"Fuse\""},
        {"gpt2", "\"byte_fallback\":false", "\"byte_fallback\":true", TS_ERR_UNSUPPORTED,
         "both byte_fallback and ByteLevel"},
        {"gemma", "\"byte_fallback\":true", "\"byte_fallback\":false", TS_ERR_UNSUPPORTED,
         "without byte_fallback or ByteLevel"},
        {"gemma", "\"ignore_merges\":false", "\"ignore_merges\":true", TS_ERR_UNSUPPORTED,
         "key 'ignore_merges' is true"},
        {"gemma", "\"pattern\":{\"String\":\" \"},\"behavior\"",
         "\"pattern\":{\"String\":\"x\"},\"behavior\"", TS_ERR_UNSUPPORTED, "pre_tokenizer {"},
        {"gpt2", "\"unk_token\":null", "\"unk_token\":\"<?>\"", TS_ERR_FORMAT,
         "key 'unk_token': no token is '<?>'"},
        {"gpt2", "\"post_processor\":null", "\"post_processor\":{\"type\":\"BertProcessing\"}",
         TS_ERR_UNSUPPORTED, "post_processor {\"type\":\"BertProcessing\"}"},
        {"gemma", "\"single\":[", "\"single\":[{\"SpecialToken\":{\"id\":\"<|begin|>\"}},",
         TS_ERR_UNSUPPORTED, "post_processor {"},
        {"gemma", ",{\"Sequence\":{\"id\":\"A\",\"type_id\":0}}]", "]", TS_ERR_UNSUPPORTED,
         "post_processor {"},
        {"gemma", "\"ids\":[", "\"ids\":[9999999,", TS_ERR_UNSUPPORTED, "post_processor {"},
    };
    char *folder = make_folder();
    for (size_t i = 0; i < TS_COUNT(cases); i++) {
        ts_tokenizer *t = NULL;
        ts_error err = {0};
        const char *edits[] = {cases[i].from, cases[i].to, NULL};
        cr_expect_eq(open_kind_edited(cases[i].kind, folder, edits, &t, &err), cases[i].status,
                     "case %zu: %s", i, err.message);
        cr_expect_not_null(strstr(err.message, cases[i].message), "case %zu: %s", i, err.message);
        cr_expect_not_null(strstr(err.message, "tokenizer.json: "), "%s", err.message);
        ts_tokenizer_close(t);
    }
    remove_folder(folder);
}

// A byte without a piece is left out, or is the unknown token where there is one.
Test(tokenizer_bytes, a_vocabulary_may_lack_a_byte)
{
#define LACKING "\"\xC4\x81\":", "\"\xC4\x81?\":" // that of byte 1
    static const struct {
        const char *edits[7], *pieces;
    } cases[] = {
        {{LACKING}, "[a][b]"},
        {{LACKING, "\"unk_token\":null", "\"unk_token\":\"?\""}, "[a][?][?][b]"},
        {{LACKING, "\"unk_token\":null", "\"unk_token\":\"?\"", "\"fuse_unk\":false",
          "\"fuse_unk\":true"},
         "[a][?][b]"},
    };
#undef LACKING
    char *folder = make_folder();
    for (size_t i = 0; i < TS_COUNT(cases); i++) {
        ts_tokenizer *t = NULL;
        ts_error err = {0};
        logged_clear();
        cr_assert_eq(open_kind_edited("gpt2", folder, cases[i].edits, &t, &err), TS_OK, "%s",
                     err.message);
        cr_expect_eq(strstr(logged, "lacks 1 of the bytes that a text may hold") != NULL, i == 0,
                     "%s", logged);
        cr_expect_str_eq(tokenise(t,
                                  "a\x01\x01"
                                  "b",
                                  TS_SPECIALS_AS_TOKENS),
                         cases[i].pieces);
        ts_tokenizer_close(t);
    }
    remove_folder(folder);
}

// An added token that is no piece of the model comes neither from a word nor from a merge.
Test(tokenizer_bytes, an_added_token_is_no_word)
{
    ts_tokenizer *t = open_kind("llama3");
    cr_expect_str_eq(tokenise(t, "<|end|>", TS_SPECIALS_AS_TOKENS), "[<|end|>]");
    cr_expect_null(strstr(tokenise(t, "<|end|>", TS_SPECIALS_AS_TEXT), "[<|end|>]"));
    uint32_t id = ts_tokenizer_find(t, "word");
    cr_assert_neq(id, TS_TOKEN_NONE);
    cr_expect_eq(ts_vocabulary_find_inside(t, "word", 4), TS_TOKEN_NONE);
    cr_expect_str_eq(tokenise(t, "word", TS_SPECIALS_AS_TOKENS), "[word]");
    cr_expect_null(strstr(tokenise(t, "word", TS_SPECIALS_AS_TEXT), "[word]"));
    ts_tokenizer_close(t);
}

Test(tokenizer_bytes, merges_are_listed_in_their_order)
{
    ts_tokenizer *t = open_tiny(&(tiny_parts){0});
    ts_merge *merges = NULL;
    ts_error err = {0};
    size_t count = 0;
    cr_assert_eq(ts_vocabulary_list_merges(t, &merges, &count, &err), TS_OK);
    cr_assert_eq(count, TS_COUNT(tiny_merges));
    for (size_t i = 0; i < count; i++) {
        cr_expect_str_eq(t->pieces[merges[i].pair >> 32].bytes, tiny_merges[i][0]);
        cr_expect_str_eq(t->pieces[(uint32_t)merges[i].pair].bytes, tiny_merges[i][1]);
    }
    free(merges);
    ts_tokenizer_close(t);
}
