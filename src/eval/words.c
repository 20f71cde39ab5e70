#include "eval/words.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

// The kinds of code points in a sentence.
typedef enum kind { SEPARATOR, LETTER, IDEOGRAPH, NOTHING } kind;

static bool within(int32_t cp, int32_t low, int32_t high)
{
    return cp >= low && cp <= high;
}

// Latin letters from U+00C0 to U+017F without their accents; '*' if the result is not one letter.
static const char latin[] = "aaaaaa*ceeeeiiiidnooooo*ouuuuy**aaaaaa*ceeeeiiiidnooooo*ouuuuy*y"
                            "aaaaaaccccccccddddeeeeeeeeeegggggggghhhhiiiiiiiiii**jjkkk"
                            "llllllllllnnnnnnnnnoooooo**rrrrrrsssssssstttttt"
                            "uuuuuuuuuuuuwwyyyzzzzzzs";

static const char *latin_pair(int32_t cp)
{
    switch (cp) {
    case 0xC6:
    case 0xE6:
        return "ae";
    case 0xDE:
    case 0xFE:
        return "th";
    case 0xDF:
        return "ss";
    case 0x132:
    case 0x133:
        return "ij";
    case 0x152:
    case 0x153:
        return "oe";
    default: // the multiplication and division signs
        return NULL;
    }
}

static bool is_skipped(int32_t cp) // invisible, or an accent on its own
{
    return cp == 0xAD || within(cp, 0x300, 0x36F) || within(cp, 0x200B, 0x200F) ||
           within(cp, 0x202A, 0x202E) || within(cp, 0x2060, 0x2069) || within(cp, 0xFE00, 0xFE0F) ||
           cp == 0xFEFF;
}

static bool is_symbol(int32_t cp)
{
    return within(cp, 0x80, 0xBF) || cp == 0xD7 || cp == 0xF7 || within(cp, 0x2000, 0x2BFF) ||
           within(cp, 0x3000, 0x303F) || within(cp, 0xE000, 0xF8FF) || within(cp, 0xFF00, 0xFF20) ||
           within(cp, 0xFFE0, 0xFFFF) || within(cp, 0x1F000, 0x1FAFF) || cp >= 0xE0000;
}

static bool is_ideograph(int32_t cp)
{
    return within(cp, 0x2E80, 0x9FFF) || within(cp, 0xF900, 0xFAFF) || within(cp, 0x20000, 0x3FFFF);
}

static int32_t fold_digit(int32_t cp) // sub- and superscripts, full-width forms
{
    if (cp == 0xB9) {
        return '1';
    }
    if (cp == 0xB2 || cp == 0xB3) {
        return cp - 0xB0 + '0';
    }
    if (within(cp, 0x2070, 0x2079) && cp != 0x2071) {
        return cp - 0x2070 + '0';
    }
    if (within(cp, 0x2080, 0x2089)) {
        return cp - 0x2080 + '0';
    }
    return within(cp, 0xFF01, 0xFF5E) ? cp - 0xFEE0 : cp;
}

static int32_t fold_case(int32_t cp) // Greek and Cyrillic
{
    if (within(cp, 0x391, 0x3A9) || within(cp, 0x410, 0x42F)) {
        return cp + 0x20;
    }
    return within(cp, 0x400, 0x40F) ? cp + 0x50 : cp == 0x3C2 ? 0x3C3 : cp;
}

// Classifies a code point and writes its folded letters (at most 4 bytes) to out[0..*len).
static kind classify(int32_t cp, char out[4], size_t *len)
{
    *len = 0;
    if (cp < 0) {
        return SEPARATOR;
    }
    if (is_skipped(cp)) {
        return NOTHING;
    }
    cp = fold_digit(cp);
    if (cp < 0x80) {
        bool upper = within(cp, 'A', 'Z');
        out[0] = (char)(upper ? cp + 32 : cp);
        *len = 1;
        return upper || within(cp, 'a', 'z') || within(cp, '0', '9') ? LETTER : SEPARATOR;
    }
    if (cp == 0xAA || cp == 0xBA || cp == 0xB5) {
        *len = ts_utf8_encode(cp == 0xAA ? 'a' : cp == 0xBA ? 'o' : 0x3BC, out);
        return LETTER;
    }
    if (is_symbol(cp)) {
        return SEPARATOR;
    }
    if (within(cp, 0xC0, 0x17F)) {
        const char *pair = latin_pair(cp);
        *len = pair != NULL ? 2 : 1;
        memcpy(out, pair != NULL ? pair : &latin[cp - 0xC0], *len);
        return LETTER;
    }
    *len = ts_utf8_encode((uint32_t)fold_case(cp), out);
    return is_ideograph(cp) ? IDEOGRAPH : LETTER;
}

static bool is_digit(const char *text, size_t len, size_t at)
{
    return at < len && text[at] >= '0' && text[at] <= '9';
}

// Whether the comma is followed by exactly three digits.
static bool groups_thousands(const char *text, size_t len, size_t comma)
{
    return is_digit(text, len, comma + 1) && is_digit(text, len, comma + 2) &&
           is_digit(text, len, comma + 3) && !is_digit(text, len, comma + 4);
}

ts_status ts_words_normalise(const char *text, size_t len, ts_text *out, ts_error *err)
{
    ts_status status = TS_OK;
    bool in_word = false;
    TS_TRY(ts_text_append(out, " ", 1, err));
    for (size_t at = 0, taken; at < len; at += taken) {
        char letters[4];
        size_t count;
        kind found = classify(ts_utf8_decode(text + at, len - at, &taken), letters, &count);
        if (found == SEPARATOR && at > 0 && is_digit(text, len, at - 1)) {
            if (text[at] == '.' && is_digit(text, len, at + 1)) {
                found = LETTER;
            } else if (text[at] == ',' && groups_thousands(text, len, at)) {
                found = NOTHING;
            }
        }
        if (found == NOTHING) {
            continue;
        }
        if (in_word && found != LETTER) {
            TS_TRY(ts_text_append(out, " ", 1, err));
        }
        if (found != SEPARATOR) {
            TS_TRY(ts_text_append(out, letters, count, err));
        }
        if (found == IDEOGRAPH) {
            TS_TRY(ts_text_append(out, " ", 1, err));
        }
        in_word = found == LETTER;
    }
    if (in_word) {
        TS_TRY(ts_text_append(out, " ", 1, err));
    }
out:
    return status;
}

bool ts_words_contain(const char *text, const char *needle)
{
    return strstr(text, needle) != NULL;
}

enum { SEQUENCE = 4 }; // words

// Sequences of words in order of the alphabet. Each ends with its text or after SEQUENCE spaces.
static int compare_sequences(const void *a, const void *b)
{
    const char *x = *(const char *const *)a, *y = *(const char *const *)b;
    int spaces = 0;
    for (; *x == *y && *x != '\0'; x++, y++) {
        spaces += *x == ' ';
        if (spaces == SEQUENCE) {
            return 0;
        }
    }
    return (unsigned char)*x - (unsigned char)*y;
}

ts_status ts_words_repeated(const char *words, double *out, ts_error *err)
{
    ts_status status = TS_OK;
    const char **starts = NULL;
    size_t count = 0, repeated = 0, capacity = 1;
    *out = 0;
    for (const char *c = words; *c != '\0'; c++) {
        capacity += *c == ' ';
    }
    TS_TRY(ts_alloc(capacity, sizeof *starts, &starts, err));
    for (const char *c = words; *c != '\0'; c++) {
        if (*c == ' ' && c[1] != '\0') {
            starts[count++] = c + 1;
        }
    }
    if (count < SEQUENCE) {
        goto out;
    }
    count -= SEQUENCE - 1;
    qsort(starts, count, sizeof *starts, compare_sequences);
    for (size_t i = 1; i < count; i++) {
        repeated += compare_sequences(&starts[i - 1], &starts[i]) == 0;
    }
    *out = (double)repeated / (double)count;
out:
    free(starts);
    return status;
}

uint32_t ts_words_count(const char *text, size_t len)
{
    uint32_t words = 0;
    bool counted = false; // whether the current sequence was counted
    for (size_t at = 0, taken; at < len; at += taken) {
        char letters[4];
        size_t count;
        int32_t cp = ts_utf8_decode(text + at, len - at, &taken);
        kind found = classify(cp, letters, &count);
        if (cp == ' ' || within(cp, '\t', '\r') || cp == 0xA0 || within(cp, 0x2000, 0x200A) ||
            cp == 0x3000) {
            counted = false;
        } else if (found == IDEOGRAPH || (found == LETTER && !counted)) {
            words++;
            counted = true;
        }
    }
    return words;
}
