// Finds added tokens, such as "</s>", in a text before anything is merged, in the two passes of
// Hugging Face's tokenizers. The first pass searches the text as it is. The second searches what is
// left between the tokens found, after the normalizer, for the tokens with `normalized`.
#include "data/vocabulary.h"

#include <string.h>

static const char SPACE[] = "\xE2\x96\x81"; // U+2581
enum { SPACE_BYTES = 3 };

// How many bytes at text[0..len) are one space to the normalizer: U+2581, or the ' ' that it
// replaces by U+2581. 0 if there is none.
static size_t space_at(const char *text, size_t len)
{
    if (len >= SPACE_BYTES && memcmp(text, SPACE, SPACE_BYTES) == 0) {
        return SPACE_BYTES;
    }
    return len > 0 && text[0] == ' ';
}

// How many bytes of text[0..len) match the token; 0: it does not match.
static size_t spelled(const ts_added *added, const char *text, size_t len, bool replaced)
{
    if (!replaced) {
        return added->len <= len && memcmp(added->bytes, text, added->len) == 0 ? added->len : 0;
    }
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

// The longest token that starts at text[at], or just after a space there; NULL if there is none.
// `virtual_space`: the normalizer puts a space before text[at].
static const ts_added *added_at(const ts_tokenizer *t, bool normalized, const char *text, size_t at,
                                size_t to, bool virtual_space, size_t *end)
{
    bool replaced = normalized && t->normalizes;
    bool marked = replaced && t->prefix == TS_PREFIX_EACH; // its pattern starts with a space too
    size_t space = marked && !virtual_space ? space_at(text + at, to - at) : 0;
    if ((marked && !virtual_space && space == 0) ||
        (!replaced && !t->added_first[(unsigned char)text[at]])) {
        return NULL;
    }
    for (size_t i = 0; i < t->added_count; i++) {
        const ts_added *added = &t->added[i];
        size_t from = at + space;
        if (added->normalized == normalized) {
            size_t taken = spelled(added, text + from, to - from, replaced);
            if (taken > 0) {
                *end = from + taken;
                return added;
            }
        }
    }
    return NULL;
}

// White space as in Unicode, like \s in a regular expression.
static bool is_white(int32_t c)
{
    return (c >= 9 && c <= 13) || c == ' ' || c == 0x85 || c == 0xA0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F ||
           c == 0x205F || c == 0x3000;
}

static size_t before_white(const char *text, size_t from, size_t at)
{
    while (at > from) {
        size_t start = at - 1, taken;
        while (start > from && ((unsigned char)text[start] & 0xC0) == 0x80) {
            start--;
        }
        if (!is_white(ts_utf8_decode(text + start, at - start, &taken))) {
            break;
        }
        at = start;
    }
    return at;
}

static size_t after_white(const char *text, size_t at, size_t to)
{
    size_t taken;
    while (at < to && is_white(ts_utf8_decode(text + at, to - at, &taken))) {
        at += taken;
    }
    return at;
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

bool ts_added_next(const ts_tokenizer *t, bool normalized, const char *text,
                   const uint16_t *content, size_t from, size_t to, bool virtual_space,
                   ts_added_found *out)
{
    for (size_t at = from; at < to; at++) {
        for (int before = virtual_space && at == from; before >= 0; before--) {
            size_t end = 0;
            const ts_added *added = added_at(t, normalized, text, at, to, before == 1, &end);
            if (added != NULL && !is_content(t, added, content, at, end)) {
                *out = (ts_added_found){
                    .id = added->id,
                    .start = added->lstrip ? before_white(text, from, at) : at,
                    .end = added->rstrip ? after_white(text, end, to) : end,
                    .took_virtual = before == 1,
                };
                return true;
            }
        }
    }
    return false;
}

uint32_t ts_tokenizer_added_at(const ts_tokenizer *t, const char *text, size_t len, size_t *taken)
{
    *taken = 0;
    for (size_t i = 0; len > 0 && t->added_first[(unsigned char)text[0]] && i < t->added_count;
         i++) {
        if ((*taken = spelled(&t->added[i], text, len, false)) > 0) {
            return t->added[i].id;
        }
    }
    return TS_TOKEN_NONE;
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
