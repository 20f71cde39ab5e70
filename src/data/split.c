#include "data/split.h"

#include "base/memory.h"
#include "data/unicode.h"

#include <string.h>

// The names of tokenizer.ggml.pre whose splitting is one of these, and whether llama.cpp ignores
// merges with it. The first of several alike is the one that is written.
static const struct {
    const char *name;
    ts_splitter splitter;
    bool ignore_merges;
} names[] = {
    {"gpt-2", TS_SPLIT_GPT2},
    {"llama-bpe", TS_SPLIT_LLAMA3, true},
    {"dbrx", TS_SPLIT_LLAMA3},
    {"qwen2", TS_SPLIT_QWEN2},
    {"smollm", TS_SPLIT_SMOLLM},
    {"llama3", TS_SPLIT_LLAMA3, true},
    {"llama-v3", TS_SPLIT_LLAMA3, true},
    {"smaug-bpe", TS_SPLIT_LLAMA3},
};

static const struct {
    const char *pattern;
    ts_splitter splitter;
} patterns[] = {
    {"'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+",
     TS_SPLIT_GPT2},
    {"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}|"
     " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
     TS_SPLIT_LLAMA3},
    {"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}|"
     " ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
     TS_SPLIT_QWEN2},
};

bool ts_splitter_find(const char *name, ts_splitter *out, bool *ignore_merges)
{
    for (size_t i = 0; i < TS_COUNT(names); i++) {
        if (strcmp(names[i].name, name) == 0) {
            *out = names[i].splitter;
            *ignore_merges = names[i].ignore_merges;
            return true;
        }
    }
    return false;
}

const char *ts_splitter_name(ts_splitter splitter, bool ignore_merges)
{
    for (size_t i = 0; i < TS_COUNT(names); i++) {
        if (names[i].splitter == splitter && names[i].ignore_merges == ignore_merges) {
            return names[i].name;
        }
    }
    return NULL;
}

bool ts_splitter_find_pattern(const char *pattern, ts_splitter *out)
{
    for (size_t i = 0; i < TS_COUNT(patterns); i++) {
        if (strcmp(patterns[i].pattern, pattern) == 0) {
            *out = patterns[i].splitter;
            return true;
        }
    }
    return false;
}

const char *ts_splitter_pattern(ts_splitter splitter)
{
    for (size_t i = 0; i < TS_COUNT(patterns); i++) {
        if (patterns[i].splitter == splitter) {
            return patterns[i].pattern;
        }
    }
    return NULL;
}

// The kinds of characters that the expressions tell apart. Each character is of one kind.
typedef enum kind { LETTER, NUMBER, SPACE, OTHER, END } kind;

typedef struct splitting {
    const char *text;
    size_t len;
    bool apart; // numbers are split off first: what is beside one sees the end of the text
} splitting;

// The kind of the character at text[at], and its length in bytes.
static kind kind_at(const splitting *s, size_t at, size_t *taken)
{
    if (at >= s->len) {
        *taken = 0;
        return END;
    }
    unsigned classes = ts_unicode_classes(ts_utf8_decode(s->text + at, s->len - at, taken));
    return classes & TS_LETTER   ? LETTER
           : classes & TS_NUMBER ? (s->apart ? END : NUMBER)
           : classes & TS_SPACE  ? SPACE
                                 : OTHER;
}

// Where characters of kind `k` end that start at text[at], of which there are at most `most`.
static size_t end_of_run(const splitting *s, size_t at, kind k, size_t most)
{
    size_t taken;
    while (most-- > 0 && kind_at(s, at, &taken) == k) {
        at += taken;
    }
    return at;
}

static bool is_break(char c)
{
    return c == '\r' || c == '\n';
}

// 's|'t|'re|'ve|'m|'ll|'d: the length of the one at text[at], 0 for none. With `folds` in either
// case, where U+017F (the long s) is an "s" too.
static size_t contraction(const splitting *s, size_t at, bool folds)
{
    static const char *const endings[] = {"s", "t", "re", "ve", "m", "ll", "d"};
    const char *text = s->text + at;
    size_t left = s->len - at;
    if (left < 2 || text[0] != '\'') {
        return 0;
    }
    for (size_t i = 0; i < TS_COUNT(endings); i++) {
        size_t len = strlen(endings[i]), same = 0;
        while (same < len && same + 1 < left) {
            char c = text[same + 1];
            c = folds && c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
            if (c != endings[i][same]) {
                break;
            }
            same++;
        }
        if (same == len) {
            return 1 + len;
        }
    }
    return folds && left >= 3 && memcmp(text + 1, "\xC5\xBF", 2) == 0 ? 3 : 0;
}

// \s+(?!\S)|\s+: the end of the white space at text[at]. If a word follows, the last of several
// characters is left to it.
static size_t end_of_white(const splitting *s, size_t at)
{
    size_t end = at, last = at, taken;
    while (kind_at(s, end, &taken) == SPACE) {
        last = end;
        end += taken;
    }
    return kind_at(s, end, &taken) == END || last == at ? end : last;
}

static size_t next_gpt2(const splitting *s, size_t at)
{
    size_t taken, length = contraction(s, at, false);
    if (length > 0) {
        return at + length;
    }
    size_t from = at + (s->text[at] == ' ');
    kind k = kind_at(s, from, &taken);
    if (k == LETTER || k == NUMBER || k == OTHER) {
        return end_of_run(s, from, k, SIZE_MAX);
    }
    return end_of_white(s, at);
}

// `digits`: how many stand together at most.
static size_t next_llama3(const splitting *s, size_t at, size_t digits)
{
    size_t taken, next, length = contraction(s, at, true);
    if (length > 0) {
        return at + length;
    }
    kind k = kind_at(s, at, &taken);
    if (k == LETTER) {
        return end_of_run(s, at, LETTER, SIZE_MAX);
    }
    if (k == NUMBER) {
        return end_of_run(s, at, NUMBER, digits);
    }
    if (!is_break(s->text[at]) && kind_at(s, at + taken, &next) == LETTER) {
        return end_of_run(s, at + taken, LETTER, SIZE_MAX);
    }
    size_t from = at + (s->text[at] == ' ');
    if (kind_at(s, from, &taken) == OTHER) {
        size_t end = end_of_run(s, from, OTHER, SIZE_MAX);
        while (end < s->len && is_break(s->text[end])) {
            end++;
        }
        return end;
    }
    size_t end = end_of_run(s, at, SPACE, SIZE_MAX);
    for (size_t i = end; i > at; i--) {
        if (is_break(s->text[i - 1])) { // \s*[\r\n]+
            return i;
        }
    }
    return end_of_white(s, at);
}

size_t ts_split_next(ts_splitter splitter, const char *text, size_t at, size_t len)
{
    splitting s = {text, len, splitter == TS_SPLIT_SMOLLM};
    size_t taken;
    if (splitter == TS_SPLIT_LLAMA3 || splitter == TS_SPLIT_QWEN2) {
        return next_llama3(&s, at, splitter == TS_SPLIT_LLAMA3 ? 3 : 1);
    }
    if (s.apart && kind_at(&s, at, &taken) == END) {
        return at + taken; // a number
    }
    return next_gpt2(&s, at);
}
