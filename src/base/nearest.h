// "Did you mean": the known name nearest to one that was mistyped.
#ifndef TS_BASE_NEAREST_H
#define TS_BASE_NEAREST_H

#include <stddef.h>

// A search: begin it, offer it every name there is, then take `name`.
typedef struct ts_nearest {
    const char *text; // what was typed
    size_t len;
    const char *name; // the nearest name so far; NULL while none is near enough to be a slip
    size_t distance;
} ts_nearest;

ts_nearest ts_nearest_begin(const char *text, size_t len);
// Counts slips: a character too many, too few, another one, or two swapped. Case does not count,
// and '_' is as good as '-'. Up to 3 slips are near, fewer in a short text; so is a name that the
// text (of at least 3 characters) begins. Of equally near names the first offered stays. NULL is
// passed over.
void ts_nearest_offer(ts_nearest *search, const char *name);

// The same for a whole list.
const char *ts_nearest_of(const char *text, size_t len, const char *const *names, size_t count);

#endif
