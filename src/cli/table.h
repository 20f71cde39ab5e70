// Tables for people. On a terminal that is too narrow for the columns each row becomes a paragraph,
// so that no number is broken in two.
#ifndef TS_CLI_TABLE_H
#define TS_CLI_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum { TS_TABLE_CELL = 384 }; // bytes

// `width` is that of the widest cell, the head included. The last column may be 0 wide: its cells
// are sentences then.
typedef struct ts_column {
    const char *head;
    int width;
    bool left; // aligned to the left, as words are
} ts_column;

void ts_table_head(FILE *stream, const ts_column *columns, size_t count);
// Prints a row of cells[count]. An empty cell is left blank, or left out of a paragraph.
void ts_table_row(FILE *stream, const ts_column *columns, size_t count,
                  char cells[][TS_TABLE_CELL]);
// Widens a column to the width that `text` needs.
void ts_table_widen(ts_column *column, const char *text);

#endif
