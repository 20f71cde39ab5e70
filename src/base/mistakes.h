// Collects the mistakes in a file, so that one run reports all of them: the first twenty with their
// messages, the others as a count.
#ifndef TS_BASE_MISTAKES_H
#define TS_BASE_MISTAKES_H

#include "base/text.h"

#include <stddef.h>

enum { TS_MISTAKES_TOLD = 20 };

// Starts zeroed.
typedef struct ts_mistakes {
    size_t count;
    ts_text messages[TS_MISTAKES_TOLD];
} ts_mistakes;
void ts_mistakes_free(ts_mistakes *mistakes);

// Whether a failure is a mistake in what was read (its format, or something unsupported): the next
// row can still be read.
bool ts_mistakes_is_one(ts_status status);
// Keeps the message of such a failure, *mistake, and clears it.
ts_status ts_mistakes_note(ts_mistakes *mistakes, ts_error *mistake, ts_error *err);
// Ends the reading of `name`. No mistake: TS_OK. One: TS_ERR_FORMAT with its message. More: each is
// logged on a line of its own, and the error says how many there are.
ts_status ts_mistakes_tell(const ts_mistakes *mistakes, const char *name, ts_error *err);

#endif
