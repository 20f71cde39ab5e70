// Finds added tokens, such as "</s>", in a text before anything is merged, in the two passes of
// Hugging Face's tokenizers. The first pass searches the text as it is. The second searches what is
// left between the tokens found, after the normalizer, for the tokens with `normalized`.
#include "data/unicode.h"
#include "data/vocabulary.h"

#include <string.h>

// How many bytes at text[0..len) are one space to the normalizer: U+2581, or the ' ' that it
// replaces by U+2581. 0 if there is none.
static size_t space_at(const char *text, size_t len)
{
    if (ts_starts_with_space_mark(text, len)) {
        return TS_SPACE_MARK_BYTES;
    }
    return len > 0 && text[0] == ' ';
}

// How many bytes of text[0..len) match the token, if every space is like every other; 0: it does
// not match.
static size_t spelled(const ts_added *added, const char *text, size_t len)
{
    size_t at = 0;
    for (size_t i = 0; i < added->len;) {
        size_t want = space_at(added->bytes + i, added->len - i),
               have = space_at(text + at, len - at);
        if (at == len || (want > 0) != (have > 0) || (want == 0 && added->bytes[i] != text[at])) {
            return 0;
        }
        i += want > 0 ? want : 1;
        at += have > 0 ? have : 1;
    }
    return at;
}

// The first of the added tokens from `low` to `high` whose byte at place `depth` is not below
// `byte`. Up to that place they are equal.
static size_t first_from(const ts_tokenizer *t, size_t low, size_t high, size_t depth, int byte)
{
    while (low < high) {
        size_t middle = (low + high) / 2;
        if ((unsigned char)t->added[middle].bytes[depth] < byte) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

// The longest token that text[0..len) starts with; NULL if there is none. The list is in the order
// of the tokens' bytes, so each byte of the text leaves a shorter part of it.
static const ts_added *longest(const ts_tokenizer *t, bool normalized, const char *text, size_t len)
{
    const ts_added *found = NULL;
    unsigned char first = (unsigned char)text[0];
    size_t low = t->added_from[first], high = t->added_from[first + 1];
    for (size_t depth = 1; low < high; depth++) {
        while (low < high && t->added[low].len == depth) {
            found = t->added[low].normalized == normalized ? &t->added[low] : found;
            low++;
        }
        if (depth == len) {
            break;
        }
        int byte = (unsigned char)text[depth];
        high = first_from(t, low, high, depth, byte + 1);
        low = first_from(t, low, high, depth, byte);
    }
    return found;
}

// The same at text[at], or just after a space there, in a text whose spaces the normalizer
// replaces. `virtual_space`: it puts a space before text[at].
static const ts_added *longest_replaced(const ts_tokenizer *t, const char *text, size_t at,
                                        size_t to, bool virtual_space, size_t *end)
{
    bool marked = t->prefix == TS_PREFIX_EACH; // the pattern of a token starts with a space too
    size_t space = marked && !virtual_space ? space_at(text + at, to - at) : 0;
    const ts_added *found = NULL;
    if (marked && !virtual_space && space == 0) {
        return NULL;
    }
    for (size_t i = 0; i < t->added_count; i++) {
        const ts_added *added = &t->added[i];
        if (added->normalized && (found == NULL || added->len > found->len)) {
            size_t taken = spelled(added, text + at + space, to - at - space);
            if (taken > 0) {
                *end = at + space + taken;
                found = added;
            }
        }
    }
    return found;
}

static bool has_class(const char *text, size_t len, unsigned classes, size_t *taken)
{
    return len > 0 && (ts_unicode_classes(ts_utf8_decode(text, len, taken)) & classes) != 0;
}

// Where the character starts that ends at text[at], at > from.
static size_t before(const char *text, size_t from, size_t at)
{
    do {
        at--;
    } while (at > from && ts_utf8_is_continuation(text[at]));
    return at;
}

static size_t before_white(const char *text, size_t from, size_t at)
{
    size_t taken;
    while (at > from && has_class(text + before(text, from, at), at - from, TS_SPACE, &taken)) {
        at = before(text, from, at);
    }
    return at;
}

static size_t after_white(const char *text, size_t at, size_t to)
{
    size_t taken;
    while (has_class(text + at, to - at, TS_SPACE, &taken)) {
        at += taken;
    }
    return at;
}

// Whether text[at..end) touches a word on either side.
static bool touches_word(const ts_added_search *s, size_t at, size_t end)
{
    size_t taken;
    return has_class(s->text + end, s->end - end, TS_WORD, &taken) ||
           (at > s->begin &&
            has_class(s->text + before(s->text, s->begin, at), at - s->begin, TS_WORD, &taken));
}

// Whether it is a special token inside the content of a turn; there its characters stay characters.
static bool is_content(const ts_tokenizer *t, const ts_added *added, const uint16_t *content,
                       size_t at, size_t end)
{
    bool spoken = false;
    at = end - ts_min_u64(end - at, added->len); // without a space that the normalizer added
    for (; at < end && content != NULL; at++) {
        spoken = spoken || content[at] != 0;
    }
    return spoken && t->pieces[added->id].special;
}

// The longest added token that starts at text[at], NULL for none; *end receives where it ends.
static const ts_added *added_at(const ts_added_search *s, size_t at, bool virtual_space,
                                size_t *end)
{
    const ts_tokenizer *t = s->tokenizer;
    if (s->normalized && t->normalizes) {
        return longest_replaced(t, s->text, at, s->end, virtual_space, end);
    }
    const ts_added *found = longest(t, s->normalized, s->text + at, s->end - at);
    *end = found != NULL ? at + found->len : at;
    return found;
}

bool ts_added_next(const ts_added_search *s, size_t from, size_t taken, bool virtual_space,
                   ts_added_found *out)
{
    for (size_t at = from; at < s->end; at++) {
        for (int before_it = virtual_space && at == from; before_it >= 0; before_it--) {
            size_t end = 0;
            const ts_added *added = added_at(s, at, before_it == 1, &end);
            if (added == NULL || is_content(s->tokenizer, added, s->content, at, end)) {
                continue;
            }
            if (added->single_word && touches_word(s, at, end)) {
                at = end - 1; // what is inside of it is not searched
                break;
            }
            *out = (ts_added_found){
                .id = added->id,
                .start = added->lstrip ? before_white(s->text, ts_min_u64(taken, at), at) : at,
                .end = added->rstrip ? after_white(s->text, end, s->end) : end,
                .next = end,
                .took_virtual = before_it == 1,
            };
            return true;
        }
    }
    return false;
}

uint32_t ts_tokenizer_added_at(const ts_tokenizer *t, const char *text, size_t len, size_t *taken)
{
    const ts_added *found = NULL;
    *taken = 0;
    for (int normalized = 0; len > 0 && normalized < 2; normalized++) {
        const ts_added *added = longest(t, normalized == 1, text, len);
        found = added != NULL && added->len > *taken ? added : found;
        *taken = found != NULL ? found->len : 0;
    }
    return found != NULL ? found->id : TS_TOKEN_NONE;
}

bool ts_tokenizer_contains_special(const ts_tokenizer *t, const char *text, size_t len)
{
    for (size_t at = 0; at < len; at++) {
        size_t taken;
        uint32_t id = ts_tokenizer_added_at(t, text + at, len - at, &taken);
        if (id != TS_TOKEN_NONE && t->pieces[id].special) {
            return true;
        }
    }
    return false;
}
