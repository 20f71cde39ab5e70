#include "base/nearest.h"

#include <ctype.h>
#include <string.h>

enum { LONGEST = 64 }; // longer names and texts are ignored

static int fold(char c)
{
    return c == '_' ? '-' : tolower((unsigned char)c);
}

// The optimal string alignment distance: Levenshtein's, with a swap of neighbours as one slip.
static size_t slips(const char *a, size_t a_len, const char *b, size_t b_len)
{
    size_t rows[3][LONGEST + 1];
    for (size_t j = 0; j <= b_len; j++) {
        rows[0][j] = j;
    }
    for (size_t i = 1; i <= a_len; i++) {
        size_t *row = rows[i % 3], *above = rows[(i + 2) % 3], *twice_above = rows[(i + 1) % 3];
        row[0] = i;
        for (size_t j = 1; j <= b_len; j++) {
            size_t best = above[j - 1] + (fold(a[i - 1]) != fold(b[j - 1]));
            best = above[j] + 1 < best ? above[j] + 1 : best;
            best = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
            if (i > 1 && j > 1 && fold(a[i - 1]) == fold(b[j - 2]) &&
                fold(a[i - 2]) == fold(b[j - 1]) && twice_above[j - 2] + 1 < best) {
                best = twice_above[j - 2] + 1;
            }
            row[j] = best;
        }
    }
    return rows[a_len % 3][b_len];
}

ts_nearest ts_nearest_begin(const char *text, size_t len)
{
    size_t allowed = len <= 2 ? 0 : len <= 3 ? 1 : len <= 5 ? 2 : 3;
    return (ts_nearest){.text = text, .len = len, .distance = allowed + 1};
}

void ts_nearest_offer(ts_nearest *search, const char *name)
{
    size_t len = name != NULL ? strlen(name) : 0;
    if (len == 0 || len > LONGEST || search->len == 0 || search->len > LONGEST) {
        return;
    }
    size_t distance = slips(search->text, search->len, name, len);
    if (distance > 1 && search->len >= 3 && len > search->len &&
        slips(search->text, search->len, name, search->len) == 0) {
        distance = 1;
    }
    if (distance < search->distance) {
        search->distance = distance;
        search->name = name;
    }
}

const char *ts_nearest_of(const char *text, size_t len, const char *const *names, size_t count)
{
    ts_nearest search = ts_nearest_begin(text, len);
    for (size_t i = 0; i < count; i++) {
        ts_nearest_offer(&search, names[i]);
    }
    return search.name;
}
