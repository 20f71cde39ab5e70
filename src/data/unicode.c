#include "data/unicode.h"

#include "base/memory.h"

typedef struct ts_unicode_range {
    int32_t first, last;
    unsigned classes;
} ts_unicode_range;

#include "data/unicode_table.h"

unsigned ts_unicode_classes(int32_t c)
{
    if (c < 0x80) { // ASCII, by far the most frequent
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        return letter                                 ? TS_LETTER | TS_WORD
               : c >= '0' && c <= '9'                 ? TS_NUMBER | TS_WORD
               : c == ' ' || (c >= '\t' && c <= '\r') ? TS_SPACE
               : c == '_'                             ? TS_WORD
                                                      : 0;
    }
    size_t low = 0, high = TS_COUNT(unicode_ranges);
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (unicode_ranges[middle].last < c) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < TS_COUNT(unicode_ranges) && unicode_ranges[low].first <= c
               ? unicode_ranges[low].classes
               : 0;
}
