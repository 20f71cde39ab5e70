// A tokenizer that is small enough to check by hand, written as tokenizer.json or tokenizer.model.
#ifndef TESTS_DATA_TINY_H
#define TESTS_DATA_TINY_H

#include "base/json.h"
#include "base/memory.h"
#include "data/vocabulary.h"
#include "data_test.h"

#define SP "\xE2\x96\x81" // U+2581

// Ids 0 to 2 are <unk>, <s>, </s>, then come 256 byte tokens, then these from 259 on.
static const char *const tiny_pieces[] = {
    SP,     "a",      "b",    "d",        "e",     "h",        "l",        "o",
    "r",    "w",      SP "h", "ll",       SP "he", "llo",      SP "hello", "or",
    SP "w", SP "wor", "ld",   SP "world", "aa",    "\xC3\xA9", SP "aa",
};
static const char *const tiny_merges[][2] = {
    {SP, "h"}, {"l", "l"},     {SP "h", "e"}, {"ll", "o"},      {SP "he", "llo"}, {"o", "r"},
    {SP, "w"}, {SP "w", "or"}, {"l", "d"},    {SP "wor", "ld"}, {"a", "a"},       {SP, "aa"},
};
enum { TINY_FIRST = 259 };

// Parts of tokenizer.json. NULL: the same as in TinyLlama's.
typedef struct tiny_parts {
    const char *normalizer, *pre_tokenizer, *decoder, *post_processor;
    const char *model; // members of "model" before the vocabulary
    const char *added; // elements after the three special tokens
    const char *vocab; // members after the pieces
    const char *merges;
    bool merges_as_pairs;
} tiny_parts;

static inline void append(ts_text *text, const char *bytes)
{
    ts_error err = {0};
    cr_assert_eq(ts_text_append(text, bytes, strlen(bytes), &err), TS_OK);
}

static inline void append_tiny_vocabulary(ts_text *text, const tiny_parts *parts)
{
    ts_error err = {0};
    append(text, "\"vocab\":{\"<unk>\":0,\"<s>\":1,\"</s>\":2");
    for (int byte = 0; byte < 256; byte++) {
        cr_assert_eq(ts_text_format(text, &err, ",\"<0x%02X>\":%d", byte, byte + 3), TS_OK);
    }
    for (size_t i = 0; i < TS_COUNT(tiny_pieces); i++) {
        cr_assert_eq(ts_text_format(text, &err, ",\"%s\":%zu", tiny_pieces[i], TINY_FIRST + i),
                     TS_OK);
    }
    append(text, parts->vocab != NULL ? parts->vocab : "");
    append(text, "},\"merges\":");
    if (parts->merges != NULL) {
        append(text, parts->merges);
        return;
    }
    const char *format = parts->merges_as_pairs ? "%s[\"%s\",\"%s\"]" : "%s\"%s %s\"";
    append(text, "[");
    for (size_t i = 0; i < TS_COUNT(tiny_merges); i++) {
        cr_assert_eq(ts_text_format(text, &err, format, i > 0 ? "," : "", tiny_merges[i][0],
                                    tiny_merges[i][1]),
                     TS_OK);
    }
    append(text, "]");
}

static inline void append_special(ts_text *text, const char *content, int id)
{
    ts_error err = {0};
    cr_assert_eq(ts_text_format(text, &err,
                                "%s{\"id\":%d,\"content\":\"%s\",\"single_word\":false,"
                                "\"lstrip\":false,\"rstrip\":false,\"normalized\":false,"
                                "\"special\":true}",
                                id > 0 ? "," : "", id, content),
                 TS_OK);
}

static inline void tiny_json(const tiny_parts *parts, ts_text *text)
{
    append(text, "{\"version\":\"1.0\",\"added_tokens\":[");
    append_special(text, "<unk>", 0);
    append_special(text, "<s>", 1);
    append_special(text, "</s>", 2);
    append(text, parts->added != NULL ? parts->added : "");
    append(text, "],\"normalizer\":");
    append(text, parts->normalizer != NULL
                     ? parts->normalizer
                     : "{\"type\":\"Sequence\",\"normalizers\":[{\"type\":\"Prepend\","
                       "\"prepend\":\"" SP "\"},{\"type\":\"Replace\",\"pattern\":{\"String\":"
                       "\" \"},\"content\":\"" SP "\"}]}");
    append(text, ",\"pre_tokenizer\":");
    append(text, parts->pre_tokenizer != NULL ? parts->pre_tokenizer : "null");
    append(text, ",\"decoder\":");
    append(text, parts->decoder != NULL
                     ? parts->decoder
                     : "{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"Replace\",\"pattern\":"
                       "{\"String\":\"" SP "\"},\"content\":\" \"},{\"type\":\"ByteFallback\"},"
                       "{\"type\":\"Fuse\"},{\"type\":\"Strip\",\"content\":\" \",\"start\":1,"
                       "\"stop\":0}]}");
    append(text, ",\"post_processor\":");
    append(text, parts->post_processor != NULL
                     ? parts->post_processor
                     : "{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":"
                       "{\"id\":\"<s>\",\"type_id\":0}},{\"Sequence\":{\"id\":\"A\","
                       "\"type_id\":0}}],\"special_tokens\":{\"<s>\":{\"id\":\"<s>\","
                       "\"ids\":[1],\"tokens\":[\"<s>\"]}}}");
    append(text, ",\"model\":{");
    append(text, parts->model != NULL ? parts->model
                                      : "\"type\":\"BPE\",\"dropout\":null,"
                                        "\"byte_fallback\":true,");
    append_tiny_vocabulary(text, parts);
    append(text, "}}");
}

// Opens FOLDER/tokenizer.json of these parts.
static inline ts_status open_tiny_in(const char *folder, const tiny_parts *parts,
                                     ts_tokenizer **out, ts_error *err)
{
    ts_text text = {0};
    tiny_json(parts, &text);
    write_bytes(folder, "tokenizer.json", text.bytes, text.len);
    ts_text_free(&text);
    ts_status status = open_tokenizer(folder, out, err);
    cr_assert_eq(*out != NULL, status == TS_OK);
    return status;
}

static inline ts_tokenizer *open_tiny(const tiny_parts *parts)
{
    ts_error err = {0};
    ts_tokenizer *t = NULL;
    char *folder = make_folder();
    cr_assert_eq(open_tiny_in(folder, parts, &t, &err), TS_OK, "%s", err.message);
    remove_folder(folder);
    return t;
}

// The ids as text, each piece in brackets: "[" SP "hello][</s>]".
static inline const char *spell(const ts_tokenizer *t, const ts_tokens *tokens)
{
    static char out[4096];
    size_t at = 0;
    out[0] = '\0';
    for (size_t i = 0; i < tokens->count && at < sizeof out; i++) {
        const ts_piece *piece = &t->pieces[tokens->ids[i]];
        at += (size_t)snprintf(out + at, sizeof out - at, "[%.*s]", (int)piece->len, piece->bytes);
    }
    return out;
}

// Tokenises `text` and returns the ids as text.
static inline const char *tokenise(const ts_tokenizer *t, const char *text, ts_specials specials)
{
    ts_tokens tokens = {0};
    ts_error err = {0};
    cr_assert_eq(ts_tokenizer_encode(t, text, strlen(text), specials, &tokens, &err), TS_OK, "%s",
                 err.message);
    const char *out = spell(t, &tokens);
    ts_tokens_free(&tokens);
    return out;
}

#endif
