// Writes a tokenizer as metadata for llama.cpp, which has two kinds. "llama" is SentencePiece's
// BPE: two neighbours merge where both together are a piece, the piece with the highest score
// first. "gpt2" is a byte-level BPE with its merges.
#include "base/log.h"
#include "base/memory.h"
#include "data/gguf_write.h"
#include "data/spm_pieces.h"
#include "data/vocabulary.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define UNUSED_SCORE (-10000.0f) // of ids that no piece has, as llama.cpp's converter has it

struct adding {
    ts_gguf_header *header;
    ts_weights *model;
    const ts_tokenizer *tokenizer;
    uint32_t vocab, unknown;
    bool leads;
    ts_merge *merges; // by rank
    size_t merge_count;
};

// The token that the files call `role`, such as "pad_token"; TS_TOKEN_NONE: there is none.
static ts_status find_role(const struct adding *a, const char *role, uint32_t *out, ts_error *err)
{
    static const ts_weights_part parts[] = {TS_PART_TOKENIZER_CONFIG, TS_PART_SPECIAL_TOKENS};
    ts_status status = TS_OK;
    *out = TS_TOKEN_NONE;
    for (size_t i = 0; i < TS_COUNT(parts) && *out == TS_TOKEN_NONE; i++) {
        const cJSON *json;
        TS_TRY(ts_weights_read(a->model, parts[i], &json, NULL, err));
        const cJSON *value = ts_json_get(json, role);
        value = cJSON_IsObject(value) ? ts_json_get(value, "content") : value;
        if (cJSON_IsString(value)) {
            *out = ts_tokenizer_find(a->tokenizer, value->valuestring);
        }
    }
out:
    return status;
}

static const ts_piece *piece_of(const struct adding *a, uint32_t id)
{
    const ts_tokenizer *t = a->tokenizer;
    return id < t->piece_count && t->pieces[id].bytes != NULL ? &t->pieces[id] : NULL;
}

static ts_spm_type type_of(const struct adding *a, uint32_t id)
{
    const ts_piece *piece = piece_of(a, id);
    return piece == NULL       ? TS_SPM_UNUSED
           : id == a->unknown  ? TS_SPM_UNKNOWN
           : piece->special    ? TS_SPM_CONTROL
           : piece->added != 0 ? TS_SPM_USER_DEFINED
           : piece->byte >= 0  ? TS_SPM_BYTE
                               : TS_SPM_NORMAL;
}

static ts_status add_pieces(const struct adding *a, ts_error *err)
{
    ts_status status = TS_OK;
    TS_TRY(ts_gguf_add_array(a->header, TS_GGUF_KEY_TOKENS, TS_GGUF_STRING, a->vocab, err));
    for (uint32_t id = 0; id < a->vocab; id++) {
        const ts_piece *piece = piece_of(a, id);
        char unused[32];
        snprintf(unused, sizeof unused, "[PAD%u]", id);
        TS_TRY(ts_gguf_item_text(a->header, piece != NULL ? piece->bytes : unused,
                                 piece != NULL ? piece->len : strlen(unused), err));
    }
    TS_TRY(ts_gguf_add_array(a->header, TS_GGUF_KEY_TOKEN_TYPES, TS_GGUF_I32, a->vocab, err));
    for (uint32_t id = 0; id < a->vocab; id++) {
        TS_TRY(ts_gguf_item_u32(a->header, type_of(a, id), err));
    }
out:
    return status;
}

// Numbers the pieces in the order of the first merge that makes each. The score is the negative of
// that number, so that what merges first has the highest, as in SentencePiece's own files. Pieces
// that no merge makes, mostly single characters, keep 0.
static ts_status add_scores(const struct adding *a, ts_error *err)
{
    ts_status status = TS_OK;
    float *scores = NULL;
    uint32_t made = 0;
    TS_TRY(ts_alloc((size_t)a->vocab + 1, sizeof *scores, &scores, err));
    for (size_t i = 0; i < a->merge_count; i++) {
        const uint32_t id = a->merges[i].id;
        if (id < a->vocab && scores[id] == 0) {
            scores[id] = -(float)++made;
        }
    }
    TS_TRY(ts_gguf_add_array(a->header, TS_GGUF_KEY_SCORES, TS_GGUF_F32, a->vocab, err));
    for (uint32_t id = 0; id < a->vocab; id++) {
        const float score = piece_of(a, id) != NULL ? scores[id] : UNUSED_SCORE;
        uint32_t bits;
        memcpy(&bits, &score, sizeof bits);
        TS_TRY(ts_gguf_item_u32(a->header, bits, err));
    }
out:
    free(scores);
    return status;
}

// Counts the pairs of pieces that together are a piece, but are no merge of the tokenizer.
// llama.cpp merges them too.
static uint64_t count_loose(const struct adding *a)
{
    const ts_tokenizer *t = a->tokenizer;
    uint64_t count = 0;
    for (uint32_t id = 0; id < t->piece_count; id++) {
        const ts_piece *p = piece_of(a, id);
        for (uint32_t cut = 1; p != NULL && p->added == 0 && p->byte < 0 && cut < p->len; cut++) {
            if (ts_utf8_is_continuation(p->bytes[cut])) {
                continue; // inside a character
            }
            uint32_t left = ts_vocabulary_find_inside(t, p->bytes, cut);
            uint32_t right = ts_vocabulary_find_inside(t, p->bytes + cut, p->len - cut);
            count += left != TS_TOKEN_NONE && right != TS_TOKEN_NONE &&
                     ts_vocabulary_find_merge(t, left, right) == NULL;
        }
    }
    return count;
}

static ts_status add_sentencepiece(const struct adding *a, ts_error *err)
{
    ts_status status = TS_OK;
    const ts_tokenizer *t = a->tokenizer;
    TS_TRY(ts_gguf_add_text(a->header, TS_GGUF_KEY_TOKENIZER_MODEL, "llama", err));
    TS_TRY(ts_gguf_add_text(a->header, TS_GGUF_KEY_TOKENIZER_PRE, "default", err));
    TS_TRY(add_pieces(a, err));
    TS_TRY(add_scores(a, err));
    TS_TRY(ts_gguf_add_bool(a->header, TS_GGUF_KEY_ADD_SPACE_PREFIX, t->prefix != TS_PREFIX_NEVER,
                            err));
    const uint64_t loose = count_loose(a);
    if (loose > 0) {
        ts_log_once(TS_LOG_WARN,
                    "llama.cpp joins pieces by their scores and has no list of merges: %llu more "
                    "pairs can be joined there, so a rare word may get other tokens",
                    (unsigned long long)loose);
    }
    if (t->prefix == TS_PREFIX_FIRST || t->prefix == TS_PREFIX_ALWAYS) {
        ts_log_once(TS_LOG_WARN,
                    "llama.cpp puts a space before the text after every special "
                    "token, and this tokenizer only %s",
                    t->prefix == TS_PREFIX_FIRST ? "before the first" : "where there is none yet");
    }
out:
    return status;
}

static ts_status add_merges(const struct adding *a, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text text = {0};
    TS_TRY(ts_gguf_add_array(a->header, TS_GGUF_KEY_MERGES, TS_GGUF_STRING, a->merge_count, err));
    for (size_t i = 0; i < a->merge_count; i++) {
        const ts_piece *left = &a->tokenizer->pieces[a->merges[i].pair >> 32];
        const ts_piece *right = &a->tokenizer->pieces[(uint32_t)a->merges[i].pair];
        ts_text_clear(&text);
        TS_TRY(ts_text_append(&text, left->bytes, left->len, err));
        TS_TRY(ts_text_append(&text, " ", 1, err));
        TS_TRY(ts_text_append(&text, right->bytes, right->len, err));
        TS_TRY(ts_gguf_item_text(a->header, text.bytes, text.len, err));
    }
out:
    ts_text_free(&text);
    return status;
}

static ts_status add_byte_level(const struct adding *a, ts_error *err)
{
    ts_status status = TS_OK;
    const ts_tokenizer *t = a->tokenizer;
    const char *pre = ts_splitter_name(t->splitter, t->ignore_merges);
    if (pre == NULL) {
        pre = ts_splitter_name(t->splitter, false);
        ts_log_once(
            TS_LOG_WARN,
            "this tokenizer takes a word that is a token whole, and llama.cpp's '%s' merges "
            "it from its bytes: a rare word may get other tokens",
            pre);
    }
    TS_TRY(ts_gguf_add_text(a->header, TS_GGUF_KEY_TOKENIZER_MODEL, "gpt2", err));
    TS_TRY(ts_gguf_add_text(a->header, TS_GGUF_KEY_TOKENIZER_PRE, pre, err));
    TS_TRY(add_pieces(a, err));
    TS_TRY(add_merges(a, err));
    if (t->nfc) {
        TS_TRY(ts_gguf_add_bool(a->header, TS_GGUF_KEY_NFC, true, err));
    }
out:
    return status;
}

static ts_status add_special(const struct adding *a, ts_error *err)
{
    ts_status status = TS_OK;
    uint32_t padding;
    const uint32_t bos = ts_tokenizer_bos(a->tokenizer);
    TS_TRY(find_role(a, "pad_token", &padding, err));
    const struct {
        const char *key;
        uint32_t id;
    } tokens[] = {{TS_GGUF_KEY_BOS_ID, bos},
                  {TS_GGUF_KEY_EOS_ID, ts_tokenizer_eos(a->tokenizer)},
                  {TS_GGUF_KEY_UNKNOWN_ID, a->unknown},
                  {TS_GGUF_KEY_PADDING_ID, padding}};
    for (size_t i = 0; i < TS_COUNT(tokens); i++) {
        if (tokens[i].id < a->vocab) {
            TS_TRY(ts_gguf_add_u32(a->header, tokens[i].key, tokens[i].id, err));
        }
    }
    TS_TRY(ts_gguf_add_bool(a->header, TS_GGUF_KEY_ADD_BOS, a->leads && bos != TS_TOKEN_NONE, err));
    TS_TRY(ts_gguf_add_bool(a->header, TS_GGUF_KEY_ADD_EOS, false, err));
out:
    return status;
}

ts_status ts_gguf_add_tokenizer(ts_gguf_header *header, ts_weights *model,
                                const ts_tokenizer *tokenizer, uint32_t vocab, bool leads,
                                ts_error *err)
{
    ts_status status = TS_OK;
    struct adding a = {
        .header = header, .model = model, .tokenizer = tokenizer, .vocab = vocab, .leads = leads};
    if (tokenizer->piece_count > vocab) {
        ts_log_once(TS_LOG_WARN,
                    "the tokenizer knows %u tokens and the embedding %u: those beyond are left out",
                    tokenizer->piece_count, vocab);
    }
    TS_TRY(find_role(&a, "unk_token", &a.unknown, err));
    if (a.unknown == TS_TOKEN_NONE && !tokenizer->byte_level) { // llama.cpp would assume id 0
        a.unknown = ts_vocabulary_find(tokenizer, "<unk>", 5);
    }
    TS_TRY(ts_vocabulary_list_merges(tokenizer, &a.merges, &a.merge_count, err));
    TS_TRY(tokenizer->byte_level ? add_byte_level(&a, err) : add_sentencepiece(&a, err));
    TS_TRY(add_special(&a, err));
out:
    free(a.merges);
    return status;
}
