// Long work shows itself: a bar that redraws in place on a terminal, plain lines elsewhere.
#ifndef TS_BASE_PROGRESS_H
#define TS_BASE_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

typedef struct ts_progress {
    FILE *stream;
    const char *label;
    uint64_t total, first;     // first: done before the clock started (a resumed run)
    double started_s, drawn_s; // monotonic seconds
    bool terminal;             // stream is a terminal: draw a bar
} ts_progress;

double ts_clock_s(void); // monotonic seconds

void ts_progress_begin(ts_progress *progress, FILE *stream, const char *label, uint64_t total);
// Shows done / total with the time left and `detail` (may be ""). On a terminal redraws at most
// ten times a second; elsewhere prints a line only where `line` is true.
void ts_progress_update(ts_progress *progress, uint64_t done, const char *detail, bool line);
// Leaves the terminal on a fresh line.
void ts_progress_end(ts_progress *progress);

#endif
