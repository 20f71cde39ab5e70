// Long work shows itself: a bar that redraws in place on a terminal, plain lines elsewhere.
#ifndef TS_BASE_PROGRESS_H
#define TS_BASE_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

// Starts zeroed; `stream` is NULL until ts_progress_begin.
typedef struct ts_progress {
    FILE *stream;
    const char *label;
    const char *count;         // shown instead of "done/total"; NULL: that
    uint64_t total, first;     // first: done before the clock started (a resumed run)
    bool bytes;                // done and total are bytes: "1.5/6.2 MiB"
    double line_every_s;       // where there is no terminal; 0: only the lines that are asked for
    double started_s, drawn_s; // monotonic seconds
    double line_s;             // when the last line was printed
    int drawn_columns;         // of what stands on the terminal's last line
    bool terminal, colour;     // stream can draw a bar in place; and in colour
} ts_progress;

void ts_progress_begin(ts_progress *progress, FILE *stream, const char *label, uint64_t total);
// Shows done / total with the time left and `detail`: parts with two spaces between them, the most
// important one first (may be ""). A terminal that is too narrow for all of them gets the first
// ones, whole; what is in parentheses behind the first goes before the time does. On a terminal a
// bar is redrawn at most ten times a second, and where `line` is true the same stays as a line
// above it; elsewhere a line is printed where `line` is true, and every `line_every_s` seconds.
void ts_progress_update(ts_progress *progress, uint64_t done, const char *detail, bool line);
// Leaves the terminal on a fresh line. One that was not begun is fine.
void ts_progress_end(ts_progress *progress);
// On a terminal shows a text in place, as far as its line goes, until something else is printed;
// elsewhere nothing.
void ts_progress_note(FILE *stream, const char *text);
// Takes a bar or note that stands on the terminal away, so that something else can be printed
// there. The next update draws it again.
void ts_progress_clear(void);

#endif
