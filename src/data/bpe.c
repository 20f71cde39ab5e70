// Byte-pair merging: repeatedly merges the pair of lowest rank, the leftmost if there are several,
// until no pair has a merge. A byte-level BPE merges the bytes of each word by themselves, and a
// word may be long. The other tokenizers do not split at spaces, so a segment is one word, however
// long. Two measures keep that fast without changing the result. The word is cut wherever no merge
// can join the two sides, which in most scripts is before each space. Within a part, the symbols
// are a linked list and the possible merges a heap, which takes O(n log n) instead of O(n^2).
#include "data/byte_level.h"
#include "data/vocabulary.h"

#include <stdlib.h>
#include <string.h>

enum { END = -1 };

typedef struct symbol {
    uint32_t id;    // TS_TOKEN_NONE: merged into its left neighbour
    uint32_t start; // offset in the text
    int32_t previous, next;
} symbol;

typedef struct merger {
    const ts_tokenizer *tokenizer;
    symbol *symbols;
    int32_t count;
    uint64_t *heap; // candidates, smallest first: rank << 32 | left symbol
    size_t heap_count, heap_capacity;
    char *spelt; // [longest piece] a word as the pieces spell it; NULL if it is not looked up
} merger;

static void sift_down(merger *m, size_t at)
{
    uint64_t moving = m->heap[at];
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= m->heap_count) {
            break;
        }
        if (child + 1 < m->heap_count && m->heap[child + 1] < m->heap[child]) {
            child++;
        }
        if (m->heap[child] >= moving) {
            break;
        }
        m->heap[at] = m->heap[child];
        at = child;
    }
    m->heap[at] = moving;
}

static void sift_up(merger *m, size_t at)
{
    uint64_t moving = m->heap[at];
    while (at > 0 && moving < m->heap[(at - 1) / 2]) {
        m->heap[at] = m->heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    m->heap[at] = moving;
}

static uint64_t pop(merger *m)
{
    uint64_t top = m->heap[0];
    m->heap[0] = m->heap[--m->heap_count];
    if (m->heap_count > 1) {
        sift_down(m, 0);
    }
    return top;
}

// The merge of symbol `at` with its right neighbour, or NULL if they have none.
static const ts_merge *merge_at(const merger *m, int32_t at)
{
    if (at == END || m->symbols[at].next == END) {
        return NULL;
    }
    return ts_vocabulary_find_merge(m->tokenizer, m->symbols[at].id,
                                    m->symbols[m->symbols[at].next].id);
}

// Appends that merge, if there is one, to the end of the heap's array, without restoring the heap
// order.
static ts_status append_candidate(merger *m, int32_t at, bool *appended, ts_error *err)
{
    const ts_merge *merge = merge_at(m, at);
    *appended = merge != NULL;
    if (merge == NULL) {
        return TS_OK;
    }
    ts_status status =
        ts_grow(&m->heap, &m->heap_capacity, m->heap_count + 1, sizeof *m->heap, err);
    if (status == TS_OK) {
        m->heap[m->heap_count++] = (uint64_t)merge->rank << 32 | (uint32_t)at;
    }
    return status;
}

static ts_status push(merger *m, int32_t at, ts_error *err)
{
    bool appended;
    ts_status status = append_candidate(m, at, &appended, err);
    if (status == TS_OK && appended) {
        sift_up(m, m->heap_count - 1);
    }
    return status;
}

// Merges symbols[from..to), which no merge joins with their neighbours.
static ts_status merge_part(merger *m, int32_t from, int32_t to, ts_error *err)
{
    ts_status status = TS_OK;
    bool appended;
    m->symbols[from].previous = m->symbols[to - 1].next = END;
    for (int32_t i = from; i < to; i++) {
        TS_TRY(append_candidate(m, i, &appended, err));
    }
    for (size_t i = m->heap_count / 2; i-- > 0;) {
        sift_down(m, i);
    }
    while (m->heap_count > 0) {
        uint64_t best = pop(m);
        int32_t at = (int32_t)(uint32_t)best;
        symbol *left = &m->symbols[at];
        const ts_merge *merge = left->id != TS_TOKEN_NONE ? merge_at(m, at) : NULL;
        if (merge == NULL || merge->rank != best >> 32) {
            continue; // stale: one of the two symbols has changed since it was pushed
        }
        symbol *right = &m->symbols[left->next];
        left->id = merge->id;
        left->next = right->next;
        right->id = TS_TOKEN_NONE;
        if (left->next != END) {
            m->symbols[left->next].previous = at;
        }
        TS_TRY(push(m, left->previous, err));
        TS_TRY(push(m, at, err));
    }
out:
    return status;
}

// Merges symbols[from..), which are one word.
static ts_status merge_word(merger *m, int32_t from, ts_error *err)
{
    ts_status status = TS_OK;
    for (int32_t i = from + 1; i <= m->count; i++) {
        // symbols[i - 1] is still unmerged here: a part is merged only after its end was found.
        if (i == m->count ||
            !ts_vocabulary_may_join(m->tokenizer, m->symbols[i - 1].id, m->symbols[i].id)) {
            if (i - from > 1) {
                TS_TRY(merge_part(m, from, i, err));
            }
            from = i;
        }
    }
out:
    return status;
}

static void add_symbol(merger *m, uint32_t id, size_t start)
{
    int32_t at = m->count++;
    m->symbols[at] =
        (symbol){.id = id, .start = (uint32_t)start, .previous = at - 1, .next = at + 1};
}

// Adds a character: its piece, or the pieces of its bytes if it has none.
static void add_character(merger *m, const char *bytes, size_t len, size_t start)
{
    const ts_tokenizer *t = m->tokenizer;
    uint32_t id = ts_vocabulary_find_inside(t, bytes, len);
    if (id != TS_TOKEN_NONE) {
        add_symbol(m, id, start);
        return;
    }
    for (size_t i = 0; i < len; i++) {
        add_symbol(m, t->byte_ids[(unsigned char)bytes[i]], start + i);
    }
}

// Adds U+2581; if the vocabulary lacks it, the pieces of its three bytes.
static void add_space(merger *m, size_t start)
{
    if (m->tokenizer->space_id != TS_TOKEN_NONE) {
        add_symbol(m, m->tokenizer->space_id, start);
        return;
    }
    for (size_t i = 0; i < TS_SPACE_MARK_BYTES; i++) {
        add_symbol(m, m->tokenizer->byte_ids[(unsigned char)TS_SPACE_MARK[i]], start);
    }
}

// The piece that is the whole word, or TS_TOKEN_NONE.
static uint32_t find_word(const merger *m, const char *word, size_t len)
{
    size_t spelt = 0;
    for (size_t i = 0; i < len; i++) {
        char character[4];
        size_t taken = ts_byte_spell((unsigned char)word[i], character);
        if (m->tokenizer->longest - spelt < taken) {
            return TS_TOKEN_NONE;
        }
        memcpy(m->spelt + spelt, character, taken);
        spelt += taken;
    }
    return ts_vocabulary_find_inside(m->tokenizer, m->spelt, spelt);
}

// Adds the bytes of a word. A byte without a piece is the unknown token, or left out if there is
// none.
static void add_bytes(merger *m, const char *word, size_t len, size_t start)
{
    const ts_tokenizer *t = m->tokenizer;
    bool was_unknown = false;
    for (size_t i = 0; i < len; i++) {
        uint32_t id = t->byte_ids[(unsigned char)word[i]];
        bool unknown = id == TS_TOKEN_NONE;
        if (!unknown) {
            add_symbol(m, id, start + i);
        } else if (t->unknown != TS_TOKEN_NONE && !(was_unknown && t->fuse_unknown)) {
            add_symbol(m, t->unknown, start + i);
        }
        was_unknown = unknown;
    }
}

// Adds a text and merges it, each word by itself.
static ts_status merge_words(merger *m, const char *text, size_t len, ts_error *err)
{
    ts_status status = TS_OK;
    const ts_tokenizer *t = m->tokenizer;
    for (size_t at = 0, end; at < len; at = end) {
        end = ts_split_next(t->splitter, text, at, len);
        uint32_t id = m->spelt != NULL ? find_word(m, text + at, end - at) : TS_TOKEN_NONE;
        if (id != TS_TOKEN_NONE) {
            add_symbol(m, id, at);
            continue;
        }
        int32_t from = m->count;
        add_bytes(m, text + at, end - at, at);
        TS_TRY(merge_word(m, from, err));
    }
out:
    return status;
}

// Adds a text, with spaces as U+2581, and merges it as one word.
static ts_status merge_text(merger *m, const char *text, size_t len, bool prefix, ts_error *err)
{
    if (prefix) {
        add_space(m, 0);
    }
    for (size_t at = 0, taken; at < len; at += taken) {
        if (text[at] == ' ') {
            add_space(m, at);
            taken = 1;
        } else {
            ts_utf8_decode(text + at, len - at, &taken);
            add_character(m, text + at, taken, at);
        }
    }
    return merge_word(m, 0, err);
}

ts_status ts_bpe_encode(const ts_tokenizer *tokenizer, const char *text, size_t len, bool prefix,
                        size_t base, ts_tokens *out, ts_tokens *starts, ts_error *err)
{
    ts_status status = TS_OK;
    merger m = {.tokenizer = tokenizer};
    if (len > INT32_MAX / 3 - 2) {
        TS_FAIL(TS_ERR_UNSUPPORTED,
                "a text of %zu bytes without a space or a special token is too long: split it",
                len);
    }
    size_t most = tokenizer->byte_level                  ? len
                  : tokenizer->space_id != TS_TOKEN_NONE ? len + 1
                                                         : 3 * (len + 1);
    TS_TRY(ts_alloc(most, sizeof *m.symbols, &m.symbols, err));
    if (tokenizer->ignore_merges) {
        TS_TRY(ts_alloc(tokenizer->longest + 1, 1, &m.spelt, err));
    }
    TS_TRY(tokenizer->byte_level ? merge_words(&m, text, len, err)
                                 : merge_text(&m, text, len, prefix, err));
    for (int32_t i = 0; i < m.count; i++) {
        if (m.symbols[i].id != TS_TOKEN_NONE) {
            TS_TRY(ts_tokens_push(out, m.symbols[i].id, err));
            if (starts != NULL) {
                TS_TRY(ts_tokens_push(starts, (uint32_t)(base + m.symbols[i].start), err));
            }
        }
    }
out:
    free(m.symbols);
    free(m.heap);
    free(m.spelt);
    return status;
}
