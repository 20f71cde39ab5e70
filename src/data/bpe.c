// Byte-pair merging: repeatedly merges the pair of lowest rank, the leftmost if there are several,
// until no pair has a merge. These tokenizers do not split at spaces, so a segment is merged as one
// word, however long. Two measures keep that fast without changing the result. The segment is cut
// wherever no merge can join the two sides, which in most scripts is before each space. Within a
// part, the symbols are a linked list and the possible merges a heap, which takes O(n log n)
// instead of O(n^2).
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

static ts_status merge_all(merger *m, ts_error *err)
{
    ts_status status = TS_OK;
    int32_t from = 0;
    for (int32_t i = 1; i <= m->count; i++) {
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
    uint32_t id = ts_vocabulary_find(t, bytes, len);
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
    static const unsigned char bytes[] = {0xE2, 0x96, 0x81};
    if (m->tokenizer->space_id != TS_TOKEN_NONE) {
        add_symbol(m, m->tokenizer->space_id, start);
        return;
    }
    for (size_t i = 0; i < sizeof bytes; i++) {
        add_symbol(m, m->tokenizer->byte_ids[bytes[i]], start);
    }
}

ts_status ts_bpe_encode(const ts_tokenizer *tokenizer, const char *text, size_t len, bool prefix,
                        size_t base, ts_tokens *out, ts_tokens *starts, ts_error *err)
{
    ts_status status = TS_OK;
    merger m = {.tokenizer = tokenizer};
    if (len > INT32_MAX / 3 - 2) {
        TS_FAIL(TS_ERR_UNSUPPORTED, "a text of %zu bytes without a break is too long", len);
    }
    size_t most = tokenizer->space_id != TS_TOKEN_NONE ? len + 1 : 3 * (len + 1);
    TS_TRY(ts_alloc(most, sizeof *m.symbols, &m.symbols, err));
    if (prefix) {
        add_space(&m, 0);
    }
    for (size_t at = 0, taken; at < len; at += taken) {
        if (text[at] == ' ') {
            add_space(&m, at);
            taken = 1;
        } else {
            ts_utf8_decode(text + at, len - at, &taken);
            add_character(&m, text + at, taken, at);
        }
    }
    TS_TRY(merge_all(&m, err));
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
    return status;
}
