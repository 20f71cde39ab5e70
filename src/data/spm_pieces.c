// A vocabulary of pieces with scores and without merges, as SentencePiece has it. Every split of a
// piece into two pieces becomes a merge, those with better scores first. Hugging Face converts such
// a vocabulary to tokenizer.json in the same way.
#include "data/spm_pieces.h"

#include <stdlib.h>

typedef struct split {
    float score;
    uint32_t piece, left_len, left, right; // piece: index in the list of pieces
    uint32_t left_chars, right_chars;
} split;

typedef struct merging {
    ts_tokenizer *tokenizer;
    const ts_spm_piece *pieces;
    size_t count;
    bool ties;
    split *splits;
    size_t split_count, split_capacity;
    bool *lengths; // [longest + 1] whether some piece has this many bytes
    ts_error *err;
} merging;

static ts_status add_pieces(merging *m)
{
    ts_status status = TS_OK;
    for (size_t i = 0; i < m->count && status == TS_OK; i++) {
        const ts_spm_piece *p = &m->pieces[i];
        bool special = p->type == TS_SPM_CONTROL || p->type == TS_SPM_UNKNOWN;
        status = ts_vocabulary_add(m->tokenizer, p->bytes, p->len, (uint32_t)i, m->err);
        if (status == TS_OK && (special || p->type == TS_SPM_USER_DEFINED)) {
            status = ts_vocabulary_add_token(m->tokenizer, p->bytes, p->len, (uint32_t)i,
                                             special ? TS_ADDED_SPECIAL : 0, m->err);
        }
    }
    return status;
}

static uint32_t count_chars(const char *bytes, uint32_t len)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < len; i++) {
        count += !ts_utf8_is_continuation(bytes[i]);
    }
    return count;
}

static ts_status note_lengths(merging *m)
{
    uint32_t longest = 0;
    for (size_t i = 0; i < m->count; i++) {
        longest = m->pieces[i].len > longest ? m->pieces[i].len : longest;
    }
    ts_status status = ts_alloc((size_t)longest + 1, sizeof *m->lengths, &m->lengths, m->err);
    for (size_t i = 0; i < m->count && status == TS_OK; i++) {
        m->lengths[m->pieces[i].len] = true;
    }
    return status;
}

// Finds every way to split piece `index` between two characters into two pieces. A look-up takes
// time proportional to the length, so only splits are tried whose sides have the length of some
// piece.
static ts_status find_splits(merging *m, uint32_t index)
{
    const ts_spm_piece *p = &m->pieces[index];
    ts_status status = TS_OK;
    for (uint32_t cut = 1; cut < p->len && status == TS_OK; cut++) {
        if (ts_utf8_is_continuation(p->bytes[cut]) || !m->lengths[cut] ||
            !m->lengths[p->len - cut]) {
            continue; // inside a character, or no piece is that long
        }
        uint32_t left = ts_vocabulary_find(m->tokenizer, p->bytes, cut);
        uint32_t right = ts_vocabulary_find(m->tokenizer, p->bytes + cut, p->len - cut);
        if (left == TS_TOKEN_NONE || right == TS_TOKEN_NONE) {
            continue;
        }
        if (p->len > TS_MERGE_MAX_BYTES) {
            return ts_error_set(m->err, TS_ERR_FORMAT, "a merge of %u and %u bytes", cut,
                                p->len - cut);
        }
        status =
            ts_grow(&m->splits, &m->split_capacity, m->split_count + 1, sizeof *m->splits, m->err);
        if (status == TS_OK) {
            m->splits[m->split_count++] = (split){p->score,
                                                  index,
                                                  cut,
                                                  left,
                                                  right,
                                                  count_chars(p->bytes, cut),
                                                  count_chars(p->bytes + cut, p->len - cut)};
        }
    }
    return status;
}

// Of equal scores, as all user-defined pieces have, the split with the longer left side is better,
// then the one with the longer right side. So a row of spaces becomes the longest piece that it
// holds, from the left on.
static int better_first(const void *a, const void *b)
{
    const split *x = a, *y = b;
    if (x->score != y->score) {
        return x->score > y->score ? -1 : 1;
    }
    if (x->left_chars != y->left_chars) {
        return x->left_chars > y->left_chars ? -1 : 1;
    }
    if (x->right_chars != y->right_chars) {
        return x->right_chars > y->right_chars ? -1 : 1;
    }
    if (x->piece != y->piece) {
        return x->piece < y->piece ? -1 : 1;
    }
    if (x->left != y->left) {
        return x->left < y->left ? -1 : 1;
    }
    return (x->right > y->right) - (x->right < y->right);
}

static ts_status add_merges(merging *m)
{
    ts_status status = note_lengths(m);
    uint32_t rank = 0;
    for (uint32_t i = 0; i < m->count && status == TS_OK; i++) {
        if (m->pieces[i].type == TS_SPM_NORMAL || m->pieces[i].type == TS_SPM_USER_DEFINED) {
            status = find_splits(m, i);
        }
    }
    if (status == TS_OK && m->split_count > 0) {
        qsort(m->splits, m->split_count, sizeof *m->splits, better_first);
    }
    for (size_t i = 0; i < m->split_count && status == TS_OK; i++) {
        const ts_spm_piece *p = &m->pieces[m->splits[i].piece];
        uint32_t cut = m->splits[i].left_len;
        rank += i > 0 && (!m->ties || m->splits[i].score != m->splits[i - 1].score);
        status = ts_vocabulary_add_merge(m->tokenizer, p->bytes, cut, p->bytes + cut, p->len - cut,
                                         rank, m->err);
    }
    return status;
}

ts_status ts_spm_add_pieces(ts_tokenizer *tokenizer, const ts_spm_piece *pieces, size_t count,
                            bool ties, ts_error *err)
{
    merging m = {
        .tokenizer = tokenizer, .pieces = pieces, .count = count, .ties = ties, .err = err};
    ts_status status = add_pieces(&m);
    if (status == TS_OK) {
        status = add_merges(&m);
    }
    free(m.splits);
    free(m.lengths);
    return status;
}
