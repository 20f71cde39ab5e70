// What a stream's terminal can show, and what may be written to it. Texts from files, from the
// network and from drivers may hold bytes that a terminal obeys (colours, cursor moves, its title,
// even its keyboard's input) or that change the order in which it shows others. Here each of them
// is shown as a visible escape.
#ifndef TS_BASE_TERMINAL_H
#define TS_BASE_TERMINAL_H

#include "base/text.h"

#include <stdio.h>

// Whether `stream` is a terminal that obeys escape sequences; TERM=dumb or no TERM says it is not.
bool ts_terminal_takes_escapes(FILE *stream);
// Whether colour may be used there too: not where NO_COLOR is set (https://no-color.org).
bool ts_terminal_takes_colour(FILE *stream);
// Columns of the terminal; 0 where `stream` is none, 80 where it does not tell.
int ts_terminal_columns(FILE *stream);
// Columns that text[0..len) takes as ts_terminal_write shows it: characters of East Asia take two.
int ts_terminal_width(const char *text, size_t len);

// Appends bytes[0..len) with what is not safe to show replaced: control characters and bytes that
// are not UTF-8 by "\x1b" (two hex digits a byte), characters that no one sees (bidirectional
// controls, zero-width spaces, line separators, tags) by "\u202e" (four hex digits or more). Line
// feeds and tabs stay, and so does all else. TS_ERR_MEMORY.
ts_status ts_text_append_printable(ts_text *text, const char *bytes, size_t len, ts_error *err);
// Writes the same to a stream. It allocates nothing, so it can report that memory has run out.
void ts_terminal_write(FILE *stream, const char *bytes, size_t len);

#endif
