#include "cli/table.h"

#include "base/terminal.h"
#include "base/text.h"
#include "cli/cli.h"

#include <assert.h>
#include <string.h>

enum { GAP = 2, MOST_COLUMNS = 16 };

static bool fits(FILE *stream, const ts_column *columns, size_t count)
{
    int room = ts_terminal_columns(stream), width = -GAP;
    for (size_t i = 0; i < count; i++) {
        width += GAP + columns[i].width;
    }
    return room == 0 || width <= room;
}

static void print_cell(FILE *stream, const ts_column *column, const char *text, bool last)
{
    int width = ts_terminal_width(text, strlen(text));
    int padding = column->width > width ? column->width - width : 0;
    fprintf(stream, "%*s", column->left ? 0 : padding, "");
    ts_terminal_write(stream, text, strlen(text));
    fprintf(stream, "%*s", column->left && !last ? padding : 0, "");
}

// The last cell of a row where it is a sentence. Where it does not fit the terminal's line it is
// printed below.
static void print_sentence(FILE *stream, int column, const char *text)
{
    char line[TS_TABLE_CELL + 2 * GAP];
    int columns = ts_terminal_columns(stream);
    bool below =
        columns > 0 && column > 0 && column + ts_terminal_width(text, strlen(text)) > columns;
    snprintf(line, sizeof line, "%*s%s", below ? 2 * GAP : 0, "", text);
    fputs(below ? "\n" : "", stream);
    ts_cli_print(stream, 2 * GAP, line);
}

static void print_line(FILE *stream, const ts_column *columns, size_t count,
                       char cells[][TS_TABLE_CELL])
{
    size_t end = count;
    int column = 0;
    while (end > 0 && cells[end - 1][0] == '\0') { // no blanks at a line's end
        end--;
    }
    for (size_t i = 0; i < end; i++) {
        fprintf(stream, "%*s", i > 0 ? GAP : 0, "");
        if (i + 1 == count && columns[i].width == 0) {
            print_sentence(stream, column, cells[i]);
        } else {
            print_cell(stream, &columns[i], cells[i], i + 1 == end);
        }
        column += columns[i].width + GAP;
    }
    fputc('\n', stream);
}

// "NAME", and below it "head cell, head cell, ...".
static void print_paragraph(FILE *stream, const ts_column *columns, size_t count,
                            char cells[][TS_TABLE_CELL])
{
    ts_text text = {0};
    ts_text_format(&text, NULL, "%s\n", cells[0]);
    for (size_t i = 1, said = 0; i < count; i++) {
        if (cells[i][0] != '\0') {
            const char *head = columns[i].head;
            ts_text_format(&text, NULL, "%s%s%s%s", said++ > 0 ? ", " : "  ", head,
                           head[0] != '\0' ? " " : "", cells[i]);
        }
    }
    ts_text_format(&text, NULL, "\n");
    if (text.bytes != NULL) {
        ts_cli_print(stream, GAP, text.bytes);
    }
    ts_text_free(&text);
}

void ts_table_head(FILE *stream, const ts_column *columns, size_t count)
{
    char heads[MOST_COLUMNS][TS_TABLE_CELL];
    assert(count <= MOST_COLUMNS);
    for (size_t i = 0; i < count; i++) {
        snprintf(heads[i], sizeof heads[i], "%s", columns[i].head);
    }
    if (fits(stream, columns, count)) {
        print_line(stream, columns, count, heads);
    } else if (heads[0][0] != '\0') {
        ts_cli_say(stream, "%s:\n", heads[0]);
    }
}

void ts_table_row(FILE *stream, const ts_column *columns, size_t count, char cells[][TS_TABLE_CELL])
{
    (fits(stream, columns, count) ? print_line : print_paragraph)(stream, columns, count, cells);
}

void ts_table_widen(ts_column *column, const char *text)
{
    int width = ts_terminal_width(text, strlen(text));
    column->width = width > column->width ? width : column->width;
}
