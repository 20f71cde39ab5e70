#include "data/vocabulary.h"

#include "base/hash.h"
#include "data/byte_level.h"
#include "data/unicode.h"

#include <stdlib.h>
#include <string.h>

static uint64_t hash_bytes(const char *bytes, size_t len)
{
    uint64_t hash = ts_hash_add(TS_HASH_START, bytes, len);
    return hash ^ hash >> 32;
}

static uint64_t hash_pair(uint64_t pair)
{
    pair *= 0x9E3779B97F4A7C15u;
    return pair ^ pair >> 32;
}

static bool is_piece(const ts_tokenizer *t, uint32_t id, const char *bytes, size_t len)
{
    return t->pieces[id].len == len && memcmp(t->pieces[id].bytes, bytes, len) == 0;
}

uint32_t ts_vocabulary_find(const ts_tokenizer *t, const char *bytes, size_t len)
{
    if (t->slot_count == 0) {
        return TS_TOKEN_NONE;
    }
    size_t mask = t->slot_count - 1, slot = hash_bytes(bytes, len) & mask;
    while (t->slots[slot] != TS_TOKEN_NONE && !is_piece(t, t->slots[slot], bytes, len)) {
        slot = (slot + 1) & mask;
    }
    return t->slots[slot];
}

uint32_t ts_vocabulary_find_inside(const ts_tokenizer *t, const char *bytes, size_t len)
{
    uint32_t id = ts_vocabulary_find(t, bytes, len);
    return id != TS_TOKEN_NONE && t->pieces[id].outside ? TS_TOKEN_NONE : id;
}

static void enter_piece(ts_tokenizer *t, uint32_t id)
{
    size_t mask = t->slot_count - 1;
    size_t slot = hash_bytes(t->pieces[id].bytes, t->pieces[id].len) & mask;
    while (t->slots[slot] != TS_TOKEN_NONE) {
        slot = (slot + 1) & mask;
    }
    t->slots[slot] = id;
}

static ts_status grow_slots(ts_tokenizer *t, ts_error *err)
{
    size_t count = t->slot_count > 0 ? t->slot_count * 2 : 1024;
    uint32_t *slots = NULL;
    ts_status status = ts_alloc(count, sizeof *slots, &slots, err);
    if (status != TS_OK) {
        return status;
    }
    memset(slots, 0xFF, count * sizeof *slots);
    free(t->slots);
    t->slots = slots;
    t->slot_count = count;
    for (uint32_t id = 0; id < t->piece_count; id++) {
        if (t->pieces[id].bytes != NULL) {
            enter_piece(t, id);
        }
    }
    return TS_OK;
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                  : -1;
}

// The value of a piece such as "<0x0A>", or -1 if it is not a byte.
static int16_t byte_of(const char *bytes, size_t len)
{
    if (len != 6 || memcmp(bytes, "<0x", 3) != 0 || bytes[5] != '>' || hex_digit(bytes[3]) < 0 ||
        hex_digit(bytes[4]) < 0) {
        return -1;
    }
    return (int16_t)(hex_digit(bytes[3]) * 16 + hex_digit(bytes[4]));
}

bool ts_vocabulary_be_byte_level(ts_tokenizer *t, const char *pre)
{
    t->byte_level = ts_splitter_find(pre, &t->splitter, &t->ignore_merges);
    t->nfc = t->byte_level && t->splitter == TS_SPLIT_QWEN2;
    t->prefix = TS_PREFIX_NEVER;
    t->normalizes = false;
    return t->byte_level;
}

// How much of a token's text a message shows. The text ends without a NUL.
static int shown(size_t len)
{
    return (int)ts_min_u64(len, 40);
}

ts_status ts_vocabulary_add(ts_tokenizer *t, const char *bytes, size_t len, uint32_t id,
                            ts_error *err)
{
    ts_status status = TS_OK;
    char *copy = NULL;
    if (id >= TS_VOCABULARY_MAX) {
        TS_FAIL(TS_ERR_FORMAT, "token '%.*s' has id %u, more than %d", shown(len), bytes, id,
                TS_VOCABULARY_MAX);
    }
    if (id < t->piece_count && t->pieces[id].bytes != NULL) {
        TS_FAIL(TS_ERR_FORMAT, "tokens '%.40s' and '%.*s' share id %u", t->pieces[id].bytes,
                shown(len), bytes, id);
    }
    if (ts_vocabulary_find(t, bytes, len) != TS_TOKEN_NONE) {
        TS_FAIL(TS_ERR_FORMAT, "token '%.*s' stands twice", shown(len), bytes);
    }
    TS_TRY(ts_grow(&t->pieces, &t->piece_capacity, (size_t)id + 1, sizeof *t->pieces, err));
    TS_TRY(ts_arena_copy_text(&t->arena, bytes, len, &copy, err));
    if ((t->slots_used + 1) * 2 > t->slot_count) {
        TS_TRY(grow_slots(t, err));
    }
    t->pieces[id] = (ts_piece){
        .bytes = copy,
        .len = (uint32_t)len,
        .byte = t->byte_level ? -1 : byte_of(bytes, len),
    };
    t->longest = len > t->longest ? len : t->longest;
    t->piece_count = id >= t->piece_count ? id + 1 : t->piece_count;
    t->slots_used++;
    enter_piece(t, id);
out:
    return status;
}

void ts_vocabulary_flag_token(ts_tokenizer *t, uint32_t id, unsigned flags)
{
    if (id >= t->piece_count || t->pieces[id].added == 0) {
        return;
    }
    ts_added *added = &t->added[t->pieces[id].added - 1];
    added->lstrip = (flags & TS_ADDED_LSTRIP) != 0;
    added->rstrip = (flags & TS_ADDED_RSTRIP) != 0;
    added->normalized = (flags & TS_ADDED_NORMALIZED) != 0;
    added->single_word = (flags & TS_ADDED_SINGLE_WORD) != 0;
    t->pieces[id].special = (flags & TS_ADDED_SPECIAL) != 0;
}

ts_status ts_vocabulary_add_token(ts_tokenizer *t, const char *bytes, size_t len, uint32_t id,
                                  unsigned flags, ts_error *err)
{
    ts_status status = TS_OK;
    if (len == 0) {
        TS_FAIL(TS_ERR_FORMAT, "added token %u is empty", id);
    }
    if (t->added_count == TS_ADDED_MAX) {
        TS_FAIL(TS_ERR_UNSUPPORTED, "more than %d added tokens", TS_ADDED_MAX);
    }
    uint32_t known = ts_vocabulary_find(t, bytes, len);
    if (known == TS_TOKEN_NONE) {
        TS_TRY(ts_vocabulary_add(t, bytes, len, id, err));
        t->pieces[id].outside = true;
    } else if (known != id) {
        TS_FAIL(TS_ERR_FORMAT, "token '%.*s' has ids %u and %u", shown(len), bytes, known, id);
    }
    if (t->pieces[id].added != 0) {
        TS_FAIL(TS_ERR_FORMAT, "added token '%.*s' stands twice", shown(len), bytes);
    }
    TS_TRY(ts_grow(&t->added, &t->added_capacity, t->added_count + 1, sizeof *t->added, err));
    t->added[t->added_count++] =
        (ts_added){.bytes = t->pieces[id].bytes, .len = (uint32_t)len, .id = id};
    t->pieces[id].added = (uint32_t)t->added_count;
    ts_vocabulary_flag_token(t, id, flags);
out:
    return status;
}

// The slot of `pair`, or the free slot in which to store it.
static size_t merge_slot(const ts_merge *merges, size_t slots, uint64_t pair)
{
    size_t slot = hash_pair(pair) & (slots - 1);
    while (merges[slot].id != TS_TOKEN_NONE && merges[slot].pair != pair) {
        slot = (slot + 1) & (slots - 1);
    }
    return slot;
}

static ts_status grow_merges(ts_tokenizer *t, ts_error *err)
{
    size_t slots = t->merge_slots > 0 ? t->merge_slots * 2 : 1024;
    ts_merge *merges = NULL;
    ts_status status = ts_alloc(slots, sizeof *merges, &merges, err);
    if (status != TS_OK) {
        return status;
    }
    for (size_t i = 0; i < slots; i++) {
        merges[i].id = TS_TOKEN_NONE;
    }
    for (size_t i = 0; i < t->merge_slots; i++) {
        if (t->merges[i].id != TS_TOKEN_NONE) {
            merges[merge_slot(merges, slots, t->merges[i].pair)] = t->merges[i];
        }
    }
    free(t->merges);
    t->merges = merges;
    t->merge_slots = slots;
    return TS_OK;
}

static size_t join_bit(uint32_t left, uint32_t right)
{
    return hash_pair((uint64_t)left << 32 | right) % TS_JOIN_BITS;
}

bool ts_vocabulary_may_join(const ts_tokenizer *t, uint32_t left, uint32_t right)
{
    size_t bit = join_bit(left, right);
    return t->joins != NULL && (t->joins[bit / 64] >> bit % 64 & 1) != 0;
}

// The symbols that piece `id` can start (or end) with: its outermost character and, for the piece
// of a byte, the piece itself.
static void outer_symbols(const ts_tokenizer *t, uint32_t id, bool last, uint32_t out[2])
{
    const ts_piece *piece = &t->pieces[id];
    size_t at = last ? piece->len - 1 : 0, taken = 1;
    while (at > 0 && ts_utf8_is_continuation(piece->bytes[at])) {
        at--;
    }
    ts_utf8_decode(piece->bytes + at, piece->len - at, &taken);
    out[0] = ts_vocabulary_find_inside(t, piece->bytes + at, taken);
    out[1] = piece->byte >= 0 ? id : out[0];
}

static ts_status note_join(ts_tokenizer *t, uint32_t left, uint32_t right, ts_error *err)
{
    uint32_t ends[2], starts[2];
    if (t->joins == NULL) {
        ts_status status = ts_arena_alloc(&t->arena, TS_JOIN_BITS / 64, 8, &t->joins, err);
        if (status != TS_OK) {
            return status;
        }
    }
    outer_symbols(t, left, true, ends);
    outer_symbols(t, right, false, starts);
    for (int i = 0; i < 4; i++) {
        size_t bit = join_bit(ends[i / 2], starts[i % 2]);
        t->joins[bit / 64] |= 1ull << bit % 64;
    }
    return TS_OK;
}

ts_status ts_vocabulary_add_merge(ts_tokenizer *t, const char *left, size_t left_len,
                                  const char *right, size_t right_len, uint32_t rank, ts_error *err)
{
    ts_status status = TS_OK;
    char joined[TS_MERGE_MAX_BYTES];
    if (left_len == 0 || right_len == 0 || left_len + right_len > sizeof joined) {
        TS_FAIL(TS_ERR_FORMAT, "a merge of %zu and %zu bytes", left_len, right_len);
    }
    memcpy(joined, left, left_len);
    memcpy(joined + left_len, right, right_len);
    uint32_t l = ts_vocabulary_find_inside(t, left, left_len);
    uint32_t r = ts_vocabulary_find_inside(t, right, right_len);
    uint32_t id = ts_vocabulary_find_inside(t, joined, left_len + right_len);
    if (l == TS_TOKEN_NONE || r == TS_TOKEN_NONE || id == TS_TOKEN_NONE) {
        TS_FAIL(TS_ERR_FORMAT, "merge of '%.*s' and '%.*s': %s is not in the vocabulary",
                (int)left_len, left, (int)right_len, right,
                l == TS_TOKEN_NONE   ? "the first"
                : r == TS_TOKEN_NONE ? "the second"
                                     : "what they form");
    }
    if ((t->merge_count + 1) * 2 > t->merge_slots) {
        TS_TRY(grow_merges(t, err));
    }
    TS_TRY(note_join(t, l, r, err));
    uint64_t pair = (uint64_t)l << 32 | r;
    ts_merge *slot = &t->merges[merge_slot(t->merges, t->merge_slots, pair)];
    t->merge_count += slot->id == TS_TOKEN_NONE;
    // Of equal pairs the last one counts, as in Hugging Face's tokenizers.
    *slot = (ts_merge){pair, rank, id};
out:
    return status;
}

const ts_merge *ts_vocabulary_find_merge(const ts_tokenizer *t, uint32_t left, uint32_t right)
{
    if (t->merge_slots == 0) {
        return NULL;
    }
    uint64_t pair = (uint64_t)left << 32 | right;
    const ts_merge *merge = &t->merges[merge_slot(t->merges, t->merge_slots, pair)];
    return merge->id != TS_TOKEN_NONE ? merge : NULL;
}

static int lower_rank(const void *a, const void *b)
{
    const ts_merge *x = a, *y = b;
    return (x->rank > y->rank) - (x->rank < y->rank);
}

ts_status ts_vocabulary_list_merges(const ts_tokenizer *t, ts_merge **out, size_t *count,
                                    ts_error *err)
{
    ts_status status = ts_alloc(t->merge_count + 1, sizeof **out, out, err);
    *count = 0;
    for (size_t i = 0; i < t->merge_slots && status == TS_OK; i++) {
        if (t->merges[i].id != TS_TOKEN_NONE) {
            (*out)[(*count)++] = t->merges[i];
        }
    }
    if (*count > 1) {
        qsort(*out, *count, sizeof **out, lower_rank);
    }
    return status;
}

static int by_bytes(const void *a, const void *b)
{
    const ts_added *x = a, *y = b;
    int order = memcmp(x->bytes, y->bytes, x->len < y->len ? x->len : y->len);
    return order != 0 ? order : (x->len > y->len) - (x->len < y->len);
}

// Spells a token that is searched for after the normalizer as the normalizer spells it.
static ts_status normalize(ts_tokenizer *t, ts_added *added, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text spelt = {0};
    ts_tokens origins = {0};
    char *copy = NULL;
    if (t->nfc && ts_nfc_may_change(added->bytes, added->len)) {
        TS_TRY(ts_nfc_append(added->bytes, added->len, &spelt, &origins, err));
        TS_TRY(ts_arena_copy_text(&t->arena, spelt.bytes, spelt.len, &copy, err));
        added->bytes = copy;
        added->len = (uint32_t)spelt.len;
    }
    t->pieces[added->id].marked = t->normalizes && t->prefix == TS_PREFIX_EACH;
    if (t->normalizes && (added->lstrip || added->rstrip || added->single_word)) {
        TS_FAIL(TS_ERR_UNSUPPORTED,
                "added token '%.40s': \"%s\" together with \"normalized\" is not supported",
                added->bytes,
                added->lstrip   ? "lstrip"
                : added->rstrip ? "rstrip"
                                : "single_word");
    }
out:
    ts_text_free(&spelt);
    ts_tokens_free(&origins);
    return status;
}

static ts_status settle_added(ts_tokenizer *t, ts_error *err)
{
    ts_status status = TS_OK;
    for (size_t i = 0; i < t->added_count; i++) {
        ts_added *added = &t->added[i];
        if (added->normalized) {
            t->has_normalized = true;
            TS_TRY(normalize(t, added, err));
        }
    }
    if (t->added_count > 0) {
        qsort(t->added, t->added_count, sizeof *t->added, by_bytes);
    }
    for (size_t i = 0; i < t->added_count; i++) {
        t->pieces[t->added[i].id].added = (uint32_t)i + 1;
        t->added_from[(unsigned char)t->added[i].bytes[0] + 1]++;
    }
    for (size_t i = 1; i < TS_COUNT(t->added_from); i++) {
        t->added_from[i] += t->added_from[i - 1];
    }
out:
    return status;
}

static void find_bytes(ts_tokenizer *t)
{
    memset(t->byte_ids, 0xFF, sizeof t->byte_ids);
    for (unsigned byte = 0; byte < 256 && t->byte_level; byte++) {
        char character[4];
        size_t len = ts_byte_spell((unsigned char)byte, character);
        t->byte_ids[byte] = ts_vocabulary_find_inside(t, character, len);
    }
    for (uint32_t id = 0; id < t->piece_count; id++) {
        if (t->pieces[id].bytes != NULL && t->pieces[id].byte >= 0 && !t->pieces[id].outside) {
            t->byte_ids[t->pieces[id].byte] = id;
        }
    }
}

ts_status ts_vocabulary_finish(ts_tokenizer *t, ts_error *err)
{
    ts_status status = TS_OK;
    TS_TRY(settle_added(t, err));
    find_bytes(t);
    for (unsigned byte = 0; byte < 256 && !t->byte_level; byte++) {
        if (t->byte_ids[byte] == TS_TOKEN_NONE) {
            TS_FAIL(TS_ERR_UNSUPPORTED,
                    "the vocabulary lacks <0x%02X>: only tokenizers that fall "
                    "back to bytes are supported",
                    byte);
        }
    }
    t->space_id = ts_vocabulary_find_inside(t, TS_SPACE_MARK, TS_SPACE_MARK_BYTES);
out:
    return status;
}
