// What a stream's terminal can show.
#ifndef TS_BASE_TERMINAL_H
#define TS_BASE_TERMINAL_H

#include <stdbool.h>
#include <stdio.h>

// Whether `stream` is a terminal that obeys escape sequences; TERM=dumb or no TERM says it is not.
bool ts_terminal_takes_escapes(FILE *stream);
// Whether colour may be used there too: not where NO_COLOR is set (https://no-color.org).
bool ts_terminal_takes_colour(FILE *stream);
// Columns of the terminal; 0 where `stream` is none, 80 where it does not tell.
int ts_terminal_columns(FILE *stream);
// Columns that text[0..len) takes: characters of East Asia take two.
int ts_terminal_width(const char *text, size_t len);

#endif
