// "Did you mean": the known name nearest to one that was mistyped.
#ifndef TS_BASE_NEAREST_H
#define TS_BASE_NEAREST_H

#include <stddef.h>

// A search: begin it, offer it every name there is, then take `name`.
typedef struct ts_nearest {
    const char *text; // what was typed
    size_t len;
    const char *name; // the nearest name so far; NULL while none is near enough
    size_t distance;
} ts_nearest;

ts_nearest ts_nearest_begin(const char *text, size_t len);
// Offers one known name; NULL is ignored. The distance counts slips: a character too many, one too
// few, a wrong one, or two neighbours swapped. Case does not count, and '_' equals '-'. A name is
// near enough with up to 3 slips (fewer in a short text), or where the text, of at least 3
// characters, is its beginning. Of equally near names the first one offered is kept.
void ts_nearest_offer(ts_nearest *search, const char *name);

// The nearest of names[0..count), or NULL where none is near enough.
const char *ts_nearest_of(const char *text, size_t len, const char *const *names, size_t count);

#endif
