// tokenizer.model alone: the tests write good and broken files in SentencePiece's format.
#include "tiny.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static void append_byte(ts_text *text, unsigned byte)
{
    ts_error err = {0};
    char c = (char)byte;
    cr_assert_eq(ts_text_append(text, &c, 1, &err), TS_OK);
}

static void append_varint(ts_text *text, uint64_t value)
{
    for (; value >= 0x80; value >>= 7) {
        append_byte(text, 0x80 | (value & 0x7F));
    }
    append_byte(text, (unsigned)value);
}

static void append_message(ts_text *text, unsigned field, const ts_text *body)
{
    ts_error err = {0};
    append_varint(text, field << 3 | 2);
    append_varint(text, body->len);
    cr_assert_eq(ts_text_append(text, body->bytes, body->len, &err), TS_OK);
}

static void append_number(ts_text *text, unsigned field, uint64_t value)
{
    append_varint(text, field << 3);
    append_varint(text, value);
}

static void append_piece(ts_text *text, const char *piece, float score, unsigned type)
{
    ts_text body = {0}, content = {0};
    uint32_t bits;
    append(&content, piece);
    append_message(&body, 1, &content);
    memcpy(&bits, &score, sizeof bits);
    append_varint(&body, 2 << 3 | 5);
    for (int i = 0; i < 4; i++) {
        append_byte(&body, bits >> 8 * i & 0xFF);
    }
    append_number(&body, 3, type);
    append_message(text, 1, &body);
    ts_text_free(&body);
    ts_text_free(&content);
}

typedef struct spm_parts {
    unsigned model_type, byte_fallback, suffix;
    unsigned no_prefix, remove_spaces, no_escape, charsmap;
} spm_parts;

// The tiny vocabulary; a merged piece scores by its place among the merges.
static void spm_model(const spm_parts *parts, ts_text *out)
{
    ts_text trainer = {0}, normalizer = {0}, map = {0};
    append_piece(out, "<unk>", 0, 2);
    append_piece(out, "<s>", 0, 3);
    append_piece(out, "</s>", 0, 3);
    for (unsigned byte = 0; byte < 256; byte++) {
        char name[8];
        snprintf(name, sizeof name, "<0x%02X>", byte);
        append_piece(out, name, 0, 6);
    }
    for (size_t i = 0; i < TS_COUNT(tiny_pieces); i++) {
        float score = -1e9f;
        for (size_t k = 0; k < TS_COUNT(tiny_merges); k++) {
            char joined[32];
            snprintf(joined, sizeof joined, "%s%s", tiny_merges[k][0], tiny_merges[k][1]);
            score = strcmp(joined, tiny_pieces[i]) == 0 ? -(float)k : score;
        }
        append_piece(out, tiny_pieces[i], score, 1);
    }
    append_number(&trainer, 3, parts->model_type);
    append_number(&trainer, 24, parts->suffix);
    append_number(&trainer, 35, parts->byte_fallback);
    append_message(out, 2, &trainer);
    if (parts->charsmap) {
        append(&map, "xx");
        append_message(&normalizer, 2, &map);
    }
    append_number(&normalizer, 3, !parts->no_prefix);
    append_number(&normalizer, 4, parts->remove_spaces);
    append_number(&normalizer, 5, !parts->no_escape);
    append_message(out, 3, &normalizer);
    ts_text_free(&trainer);
    ts_text_free(&normalizer);
    ts_text_free(&map);
}

static ts_status open_spm(const char *folder, const char *bytes, size_t len, ts_tokenizer **out,
                          ts_error *err)
{
    write_bytes(folder, "tokenizer.model", bytes, len);
    ts_status status = open_tokenizer(folder, out, err);
    cr_assert_eq(*out != NULL, status == TS_OK);
    return status;
}

Test(tokenizer_spm, equals_tokenizer_json)
{
    static const char *const texts[] = {"", "hello world", "aaaa lllo  hello\n", "</s>w<s>",
                                        "\xC3\xA9\xC3\xA8"};
    ts_tokenizer *json = open_tiny(&(tiny_parts){0}), *spm = NULL;
    ts_text model = {0};
    ts_error err = {0};
    char *folder = make_folder(), expected[512];
    spm_model(&(spm_parts){.model_type = 2, .byte_fallback = 1}, &model);
    cr_assert_eq(open_spm(folder, model.bytes, model.len, &spm, &err), TS_OK, "%s", err.message);
    cr_expect_eq(ts_tokenizer_vocab_size(spm), ts_tokenizer_vocab_size(json));
    cr_expect_eq(ts_tokenizer_eos(spm), 2);
    for (size_t i = 0; i < TS_COUNT(texts); i++) {
        snprintf(expected, sizeof expected, "%s", tokenise(json, texts[i], TS_SPECIALS_AS_TOKENS));
        cr_expect_str_eq(tokenise(spm, texts[i], TS_SPECIALS_AS_TOKENS), expected);
    }
    ts_tokenizer_close(json);
    ts_tokenizer_close(spm);
    ts_text_free(&model);
    remove_folder(folder);
}

// Gemma's rows of spaces and lines are user-defined pieces, found in a text as they are, and merged
// as Hugging Face merges them: the longest from the left on.
Test(tokenizer_spm, merges_user_defined_pieces)
{
    ts_tokenizer *t = NULL;
    ts_text model = {0};
    ts_error err = {0};
    char *folder = make_folder();
    spm_model(&(spm_parts){.model_type = 2, .byte_fallback = 1, .no_prefix = true}, &model);
    append_piece(&model, SP SP, 0, 4);
    append_piece(&model, SP SP SP, 0, 4);
    append_piece(&model, SP SP SP SP, 0, 4);
    append_piece(&model, "\n\n", 0, 4);
    cr_assert_eq(open_spm(folder, model.bytes, model.len, &t, &err), TS_OK, "%s", err.message);
    cr_expect_str_eq(tokenise(t, "a       a", TS_SPECIALS_AS_TOKENS),
                     "[a][" SP SP SP SP "][" SP SP SP "][a]");
    cr_expect_str_eq(tokenise(t, "\n\n\n  h", TS_SPECIALS_AS_TOKENS),
                     "[\n\n][<0x0A>][" SP "][" SP "h]");
    ts_tokenizer_close(t);
    ts_text_free(&model);
    remove_folder(folder);
}

Test(tokenizer_spm, takes_added_tokens_from_the_configuration)
{
    ts_tokenizer *t = NULL;
    ts_text model = {0};
    ts_error err = {0};
    char *folder = make_folder();
    spm_model(&(spm_parts){.model_type = 2, .byte_fallback = 1}, &model);
    write_text(folder, "tokenizer_config.json",
               "{\"eos_token\":\"<|im_end|>\",\"added_tokens_decoder\":{"
               "\"2\":{\"content\":\"</s>\",\"special\":true},"
               "\"282\":{\"content\":\"<|im_end|>\",\"special\":true}}}");
    cr_assert_eq(open_spm(folder, model.bytes, model.len, &t, &err), TS_OK, "%s", err.message);
    cr_expect_eq(ts_tokenizer_eos(t), 282);
    cr_expect_str_eq(tokenise(t, "h<|im_end|>", TS_SPECIALS_AS_TOKENS), "[" SP "h][<|im_end|>]");
    ts_tokenizer_close(t);
    write_text(folder, "tokenizer_config.json",
               "{\"added_tokens_decoder\":{\"x\":{\"content\":\"<y>\"}}}");
    cr_expect_eq(open_spm(folder, model.bytes, model.len, &t, &err), TS_ERR_FORMAT);
    cr_expect_not_null(strstr(err.message, "'x' is no token id"), "%s", err.message);
    ts_text_free(&model);
    remove_folder(folder);
}

// The files that stood beside tokenizer.model before tokenizer_config.json listed added tokens.
Test(tokenizer_spm, takes_added_tokens_from_old_files)
{
    ts_tokenizer *t = NULL;
    ts_text model = {0}, text = {0};
    ts_error err = {0};
    char *folder = make_folder();
    spm_model(&(spm_parts){.model_type = 2, .byte_fallback = 1}, &model);
    write_text(folder, "added_tokens.json", "{\"<|end|>\":282,\"<note>\":283}");
    write_text(folder, "special_tokens_map.json",
               "{\"eos_token\":\"<|end|>\",\"pad_token\":{\"content\":\"[PAD]\"},"
               "\"additional_special_tokens\":[\"b\",{\"content\":\"<last>\"}]}");
    cr_assert_eq(open_spm(folder, model.bytes, model.len, &t, &err), TS_OK, "%s", err.message);
    cr_expect_eq(ts_tokenizer_eos(t), 282);
    cr_expect_eq(ts_tokenizer_find(t, "[PAD]"), 284, "a role without an id comes behind all");
    cr_expect_eq(ts_tokenizer_find(t, "<last>"), 285);
    cr_expect_str_eq(tokenise(t, "h<|end|>hb<note>a", TS_SPECIALS_AS_TOKENS),
                     "[" SP "h][<|end|>][" SP "h][b][<note>][" SP "][a]");
    const uint32_t ids[] = {261, 282, 283, 284};
    cr_assert_eq(ts_tokenizer_decode(t, ids, 4, true, &text, &err), TS_OK);
    cr_expect_str_eq(text.bytes, "<note>", "the others are special");
    ts_tokenizer_close(t);

    write_text(folder, "tokenizer_config.json", "{\"add_prefix_space\":false}");
    cr_assert_eq(open_spm(folder, model.bytes, model.len, &t, &err), TS_OK, "%s", err.message);
    cr_expect_str_eq(tokenise(t, "h h", TS_SPECIALS_AS_TOKENS), "[h][" SP "h]");
    ts_tokenizer_close(t);
    write_text(folder, "added_tokens.json", "{\"<|end|>\":\"x\"}");
    cr_expect_eq(open_spm(folder, model.bytes, model.len, &t, &err), TS_ERR_FORMAT);
    cr_expect(
        strstr(err.message, "added_tokens.json: token '<|end|>' has no whole number as its id"),
        "%s", err.message);
    write_text(folder, "added_tokens.json", "{\"</s>\":9}");
    cr_expect_eq(open_spm(folder, model.bytes, model.len, &t, &err), TS_ERR_FORMAT);
    cr_expect(strstr(err.message, "'</s>' is 9 here and 2 in the tokenizer"), "%s", err.message);
    ts_text_free(&text);
    ts_text_free(&model);
    remove_folder(folder);
}

// A piece of a megabyte that no merge forms takes linear time, not quadratic.
Test(tokenizer_spm, a_long_piece, .timeout = 20)
{
    enum { LONG = 1 << 20 };
    ts_tokenizer *t = NULL;
    ts_text model = {0};
    ts_error err = {0};
    char *folder = make_folder(), *piece = malloc(LONG + 1);
    memset(piece, 'a', LONG);
    piece[LONG] = '\0';
    spm_model(&(spm_parts){.model_type = 2, .byte_fallback = 1}, &model);
    append_piece(&model, piece, -1, 1);
    cr_assert_eq(open_spm(folder, model.bytes, model.len, &t, &err), TS_OK, "%s", err.message);
    cr_expect_str_eq(tokenise(t, "aaa", TS_SPECIALS_AS_TOKENS), "[" SP "aa][a]");
    ts_tokenizer_close(t);
    append_piece(&model, piece + 1, -1, 1); // and "a" forms the first with this one
    cr_expect_eq(open_spm(folder, model.bytes, model.len, &t, &err), TS_ERR_FORMAT);
    cr_expect(strstr(err.message, "a merge of 1 and 1048575 bytes"), "%s", err.message);
    free(piece);
    ts_text_free(&model);
    remove_folder(folder);
}

Test(tokenizer_spm, refuses_by_name)
{
    static const struct {
        spm_parts parts;
        const char *message;
    } cases[] = {
        {{.model_type = 1, .byte_fallback = 1}, "a model type other than BPE"},
        {{.model_type = 2}, "BPE without byte_fallback"},
        {{.model_type = 2, .byte_fallback = 1, .suffix = 1}, "treat_whitespace_as_suffix"},
        {{.model_type = 2, .byte_fallback = 1, .charsmap = 1}, "precompiled_charsmap"},
        {{.model_type = 2, .byte_fallback = 1, .remove_spaces = 1}, "remove_extra_whitespaces"},
        {{.model_type = 2, .byte_fallback = 1, .no_escape = 1}, "escape_whitespaces false"},
    };
    char *folder = make_folder();
    for (size_t i = 0; i < TS_COUNT(cases); i++) {
        ts_tokenizer *t = NULL;
        ts_text model = {0};
        ts_error err = {0};
        spm_model(&cases[i].parts, &model);
        cr_expect_eq(open_spm(folder, model.bytes, model.len, &t, &err), TS_ERR_UNSUPPORTED);
        cr_expect_not_null(strstr(err.message, cases[i].message), "%s", err.message);
        ts_text_free(&model);
    }
    remove_folder(folder);
}

Test(tokenizer_spm, refuses_broken_wire_format)
{
    static const struct {
        const char bytes[16];
        size_t len;
        const char *message;
    } cases[] = {
        {"\x0A\x02x", 3, "broken message"}, // a field longer than the file
        {"\x0A", 1, "broken message"},      // no length
        {"\x0B", 1, "broken message"},      // wire type 3
        {"\x08\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF", 11, "broken message"}, // endless
        {"\x0A\x04\x0A\x03xy", 6, "broken piece"},   // a piece longer than its message
        {"\x0A\x03\x0A\x01\xFF", 5, "broken piece"}, // invalid UTF-8
        {"\x0A\x02\x0A\x00", 4, "broken piece"},     // empty
        {"\x12\x01\x18", 3, "broken trainer_spec"},
        {"\x1A\x01\x18", 3, "broken normalizer_spec"},
    };
    char *folder = make_folder();
    for (size_t i = 0; i < TS_COUNT(cases); i++) {
        ts_tokenizer *t = NULL;
        ts_error err = {0};
        cr_expect_eq(open_spm(folder, cases[i].bytes, cases[i].len, &t, &err), TS_ERR_FORMAT);
        cr_expect_not_null(strstr(err.message, cases[i].message), "case %zu: %s", i, err.message);
    }
    remove_folder(folder);
}

// Cut anywhere or damaged: refused or used, never a crash.
Test(tokenizer_spm, survives_truncation_and_mutation, .timeout = 120)
{
    ts_text model = {0};
    char *folder = make_folder();
    uint64_t seed = 5;
    unsigned accepted = 0;
    spm_model(&(spm_parts){.model_type = 2, .byte_fallback = 1}, &model);
    for (int round = 0; round < 1500; round++) {
        ts_tokenizer *t = NULL;
        ts_error err = {0};
        char *bytes = malloc(model.len);
        size_t len = round % 2 == 0 ? next_random(&seed) % model.len : model.len;
        memcpy(bytes, model.bytes, model.len);
        for (int edits = round % 2 == 0 ? 0 : 2; edits > 0; edits--) {
            bytes[next_random(&seed) % len] = (char)next_random(&seed);
        }
        if (open_spm(folder, bytes, len, &t, &err) == TS_OK) {
            accepted++;
            tokenise(t, "hello </s> w\xC3\xA9 aaaa", TS_SPECIALS_AS_TOKENS);
            ts_tokenizer_close(t);
        }
        free(bytes);
    }
    cr_expect_gt(accepted, 20);
    cr_expect_lt(accepted, 1000);
    ts_text_free(&model);
    remove_folder(folder);
}
