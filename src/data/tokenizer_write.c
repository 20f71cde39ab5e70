#include "data/tokenizer_write.h"

#include "base/log.h"
#include "data/vocabulary.h"

#include <stdlib.h>

#define SPACE "\"" TS_SPACE_MARK "\""

// A value of JSON, appended as it stands.
static ts_status put(ts_text *out, const char *json, ts_error *err)
{
    return ts_text_append(out, json, strlen(json), err);
}

static ts_status put_piece(ts_text *out, const ts_tokenizer *t, uint32_t id, ts_error *err)
{
    return ts_json_quote_bytes(out, t->pieces[id].bytes, t->pieces[id].len, err);
}

static const char *yes(bool value)
{
    return value ? "true" : "false";
}

// ---- Added tokens

static int by_id(const void *a, const void *b)
{
    const ts_added *x = a, *y = b;
    return (x->id > y->id) - (x->id < y->id);
}

static ts_status put_added(ts_text *out, const ts_tokenizer *t, ts_error *err)
{
    ts_status status = TS_OK;
    ts_added *added = NULL;
    TS_TRY(ts_alloc(t->added_count + 1, sizeof *added, &added, err));
    memcpy(added, t->added, t->added_count * sizeof *added);
    qsort(added, t->added_count, sizeof *added, by_id);
    TS_TRY(put(out, "  \"added_tokens\": [", err));
    for (size_t i = 0; i < t->added_count; i++) {
        const ts_added *a = &added[i];
        TS_TRY(ts_text_format(out, err, "%s\n    {\"id\": %u, \"content\": ", i > 0 ? "," : "",
                              a->id));
        TS_TRY(put_piece(out, t, a->id, err));
        TS_TRY(ts_text_format(out, err,
                              ", \"single_word\": %s, \"lstrip\": %s, \"rstrip\": %s, "
                              "\"normalized\": %s, \"special\": %s}",
                              yes(a->single_word), yes(a->lstrip), yes(a->rstrip),
                              yes(a->normalized), yes(t->pieces[a->id].special)));
    }
    TS_TRY(put(out, "\n  ],\n", err));
out:
    free(added);
    return status;
}

// ---- The steps around the model

// What ts_tokenizer_read_normalizer and ts_tokenizer_read_pre_tokenizer take back.
static ts_status put_byte_level(ts_text *out, const ts_tokenizer *t, ts_error *err)
{
    static const char own[] = "{\"type\": \"ByteLevel\", \"add_prefix_space\": false, "
                              "\"trim_offsets\": true, \"use_regex\": true}";
    ts_status status = TS_OK;
    const char *pattern = ts_splitter_pattern(t->splitter);
    TS_TRY(ts_text_format(out, err, "  \"normalizer\": %s,\n  \"pre_tokenizer\": ",
                          t->nfc ? "{\"type\": \"NFC\"}" : "null"));
    if (t->splitter == TS_SPLIT_GPT2) {
        TS_TRY(put(out, own, err));
    } else if (pattern == NULL) { // SmolLM's, which has no expression of its own
        TS_TRY(ts_text_format(out, err,
                              "{\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"Digits\", "
                              "\"individual_digits\": true}, %s]}",
                              own));
    } else {
        TS_TRY(put(out,
                   "{\"type\": \"Sequence\", \"pretokenizers\": [{\"type\": \"Split\", "
                   "\"pattern\": {\"Regex\": ",
                   err));
        TS_TRY(ts_json_quote(out, pattern, err));
        TS_TRY(put(out,
                   "}, \"behavior\": \"Isolated\", \"invert\": false}, {\"type\": \"ByteLevel\", "
                   "\"add_prefix_space\": false, \"trim_offsets\": true, \"use_regex\": false}]}",
                   err));
    }
    TS_TRY(put(out,
               ",\n  \"decoder\": {\"type\": \"ByteLevel\", \"add_prefix_space\": true, "
               "\"trim_offsets\": true, \"use_regex\": true},\n",
               err));
out:
    return status;
}

static ts_status put_fallback(ts_text *out, const ts_tokenizer *t, ts_error *err)
{
    static const char replace[] = "{\"type\": \"Replace\", \"pattern\": {\"String\": \" \"}, "
                                  "\"content\": " SPACE "}";
    ts_status status = TS_OK;
    const bool first = t->prefix == TS_PREFIX_FIRST, always = t->prefix == TS_PREFIX_ALWAYS;
    if (first || always) {
        TS_TRY(ts_text_format(out, err,
                              "  \"normalizer\": null,\n  \"pre_tokenizer\": {\"type\": "
                              "\"Metaspace\", \"replacement\": " SPACE
                              ", \"prepend_scheme\": \"%s\", \"split\": false}",
                              first ? "first" : "always"));
    } else {
        TS_TRY(ts_text_format(out, err, "  \"normalizer\": %s%s%s,\n  \"pre_tokenizer\": null",
                              t->prefix == TS_PREFIX_EACH
                                  ? "{\"type\": \"Sequence\", \"normalizers\": [{\"type\": "
                                    "\"Prepend\", \"prepend\": " SPACE "}, "
                                  : "",
                              replace, t->prefix == TS_PREFIX_EACH ? "]}" : ""));
    }
    TS_TRY(ts_text_format(out, err,
                          ",\n  \"decoder\": {\"type\": \"Sequence\", \"decoders\": [{\"type\": "
                          "\"Replace\", \"pattern\": {\"String\": " SPACE
                          "}, \"content\": \" \"}, {\"type\": \"ByteFallback\"}, {\"type\": "
                          "\"Fuse\"}%s]},\n",
                          t->strip ? ", {\"type\": \"Strip\", \"content\": \" \", \"start\": 1, "
                                     "\"stop\": 0}"
                                   : ""));
out:
    return status;
}

// The token that is put before a text.
static ts_status put_post_processor(ts_text *out, const ts_tokenizer *t, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text lead = {0};
    if (t->lead == TS_TOKEN_NONE) {
        return put(out, "  \"post_processor\": null,\n", err);
    }
    TS_TRY(put_piece(&lead, t, t->lead, err));
    TS_TRY(ts_text_format(
        out, err,
        "  \"post_processor\": {\"type\": \"TemplateProcessing\", \"single\": [{\"SpecialToken\": "
        "{\"id\": %s, \"type_id\": 0}}, {\"Sequence\": {\"id\": \"A\", \"type_id\": 0}}], "
        "\"pair\": "
        "[{\"SpecialToken\": {\"id\": %s, \"type_id\": 0}}, {\"Sequence\": {\"id\": \"A\", "
        "\"type_id\": 0}}, {\"SpecialToken\": {\"id\": %s, \"type_id\": 1}}, {\"Sequence\": "
        "{\"id\": \"B\", \"type_id\": 1}}], \"special_tokens\": {%s: {\"id\": %s, \"ids\": [%u], "
        "\"tokens\": [%s]}}},\n",
        lead.bytes, lead.bytes, lead.bytes, lead.bytes, lead.bytes, t->lead, lead.bytes));
out:
    ts_text_free(&lead);
    return status;
}

// ---- Pieces and merges

struct ordered {
    ts_merge merge;
    uint32_t left_chars, right_chars;
};

static uint32_t chars_of(const ts_piece *piece)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < piece->len; i++) {
        count += !ts_utf8_is_continuation(piece->bytes[i]);
    }
    return count;
}

// Of equal ranks as in spm_pieces.c without `ties`: the longer left side first.
static int better_first(const void *a, const void *b)
{
    const struct ordered *x = a, *y = b;
    const uint32_t of_x[] = {x->merge.rank, y->left_chars, y->right_chars, x->merge.id};
    const uint32_t of_y[] = {y->merge.rank, x->left_chars, x->right_chars, y->merge.id};
    for (size_t i = 0; i < TS_COUNT(of_x); i++) {
        if (of_x[i] != of_y[i]) {
            return of_x[i] < of_y[i] ? -1 : 1;
        }
    }
    return (x->merge.pair > y->merge.pair) - (x->merge.pair < y->merge.pair);
}

static ts_status order_merges(const ts_tokenizer *t, struct ordered **out, size_t *count,
                              ts_error *err)
{
    ts_status status = TS_OK;
    ts_merge *merges = NULL;
    struct ordered *ordered = NULL;
    uint64_t equal = 0;
    TS_TRY(ts_vocabulary_list_merges(t, &merges, count, err));
    TS_TRY(ts_alloc(*count + 1, sizeof *ordered, &ordered, err));
    for (size_t i = 0; i < *count; i++) {
        ordered[i] = (struct ordered){merges[i], chars_of(&t->pieces[merges[i].pair >> 32]),
                                      chars_of(&t->pieces[(uint32_t)merges[i].pair])};
    }
    qsort(ordered, *count, sizeof *ordered, better_first);
    for (size_t i = 1; i < *count; i++) {
        equal += ordered[i].merge.rank == ordered[i - 1].merge.rank &&
                 ordered[i].merge.id != ordered[i - 1].merge.id;
    }
    if (equal > 0) {
        ts_log_once(TS_LOG_WARN,
                    "%llu pieces have the score of another: in tokenizer.json one comes before the "
                    "other, so a rare word may get other tokens there",
                    (unsigned long long)equal);
    }
    *out = ordered;
out:
    free(merges);
    return status;
}

static ts_status put_vocabulary(ts_text *out, const ts_tokenizer *t, ts_error *err)
{
    ts_status status = TS_OK;
    const char *comma = "";
    TS_TRY(put(out, "    \"vocab\": {", err));
    for (uint32_t id = 0; id < t->piece_count; id++) {
        if (t->pieces[id].bytes != NULL && !t->pieces[id].outside) {
            TS_TRY(ts_text_format(out, err, "%s\n      ", comma));
            TS_TRY(put_piece(out, t, id, err));
            TS_TRY(ts_text_format(out, err, ": %u", id));
            comma = ",";
        }
    }
    TS_TRY(put(out, "\n    },\n", err));
out:
    return status;
}

static ts_status put_merges(ts_text *out, const ts_tokenizer *t, ts_error *err)
{
    ts_status status = TS_OK;
    struct ordered *merges = NULL;
    size_t count;
    TS_TRY(order_merges(t, &merges, &count, err));
    TS_TRY(put(out, "    \"merges\": [", err));
    for (size_t i = 0; i < count; i++) {
        TS_TRY(ts_text_format(out, err, "%s\n      [", i > 0 ? "," : ""));
        TS_TRY(put_piece(out, t, (uint32_t)(merges[i].merge.pair >> 32), err));
        TS_TRY(put(out, ", ", err));
        TS_TRY(put_piece(out, t, (uint32_t)merges[i].merge.pair, err));
        TS_TRY(put(out, "]", err));
    }
    TS_TRY(put(out, "\n    ]\n", err));
out:
    free(merges);
    return status;
}

static ts_status put_model(ts_text *out, const ts_tokenizer *t, ts_error *err)
{
    ts_status status = TS_OK;
    const bool fallback = !t->byte_level;
    TS_TRY(put(out,
               "  \"model\": {\n    \"type\": \"BPE\",\n    \"dropout\": null,\n"
               "    \"unk_token\": ",
               err));
    if (t->unknown != TS_TOKEN_NONE) {
        TS_TRY(put_piece(out, t, t->unknown, err));
    } else {
        TS_TRY(put(out, "null", err));
    }
    TS_TRY(ts_text_format(out, err,
                          ",\n    \"continuing_subword_prefix\": null,\n"
                          "    \"end_of_word_suffix\": null,\n    \"fuse_unk\": %s,\n"
                          "    \"byte_fallback\": %s,\n    \"ignore_merges\": %s,\n",
                          yes(fallback || t->fuse_unknown), yes(fallback), yes(t->ignore_merges)));
    TS_TRY(put_vocabulary(out, t, err));
    TS_TRY(put_merges(out, t, err));
    TS_TRY(put(out, "  }\n", err));
out:
    return status;
}

ts_status ts_tokenizer_write_json(const ts_tokenizer *tokenizer, ts_text *out, ts_error *err)
{
    ts_status status = TS_OK;
    TS_TRY(put(out, "{\n  \"version\": \"1.0\",\n  \"truncation\": null,\n  \"padding\": null,\n",
               err));
    TS_TRY(put_added(out, tokenizer, err));
    TS_TRY(tokenizer->byte_level ? put_byte_level(out, tokenizer, err)
                                 : put_fallback(out, tokenizer, err));
    TS_TRY(put_post_processor(out, tokenizer, err));
    TS_TRY(put_model(out, tokenizer, err));
    TS_TRY(put(out, "}\n", err));
out:
    return status;
}
