// Progress of long work: a bar that is redrawn in place on a terminal, plain lines elsewhere.
#ifndef TS_BASE_PROGRESS_H
#define TS_BASE_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

// Starts zeroed; `stream` is NULL until ts_progress_begin.
typedef struct ts_progress {
    FILE *stream;
    const char *label;
    const char *count;         // shown instead of "done/total"; NULL: nothing is
    uint64_t total, first;     // first: done before the clock started (a resumed run)
    bool bytes;                // done and total are bytes: "1.5/6.2 MiB"
    double line_every_s;       // without a terminal; 0: only the lines that are asked for
    double started_s, drawn_s; // monotonic seconds
    double line_s;             // when the last line was printed
    int drawn_columns;         // of what stands on the terminal's last line
    bool terminal, colour;     // stream can draw a bar in place; and in colour
} ts_progress;

// Starts the clock. `label` is borrowed.
void ts_progress_begin(ts_progress *progress, FILE *stream, const char *label, uint64_t total);
// Shows done / total, the time left and `detail`: parts with two spaces between them, the most
// important one first (may be ""). A terminal that is too narrow for all parts gets the first ones
// that fit, each of them whole. Only the first part may be shortened: it loses what is in
// parentheses at its end where the time left would not fit otherwise. On a terminal the bar is
// redrawn at most ten times a second, and where `line` is true its text also stays as a line above
// it. Elsewhere a line is printed where `line` is true, and every `line_every_s` seconds.
void ts_progress_update(ts_progress *progress, uint64_t done, const char *detail, bool line);
// Ends the bar's line on the terminal. Does nothing for a progress that was not begun.
void ts_progress_end(ts_progress *progress);
// On a terminal shows a text (ASCII), cut to one line, until something else is printed; elsewhere
// does nothing.
void ts_progress_note(FILE *stream, const char *text);
// Erases the bar or note on the terminal, so that something else can be printed there. The next
// update draws a bar again.
void ts_progress_clear(void);

#endif
