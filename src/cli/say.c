// Sentences for a person: on a terminal lines break between words instead of inside them.
#include "base/progress.h"
#include "base/terminal.h"
#include "cli/cli.h"
#include "cli/ranks.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

// Prints one line of text, broken into lines of at most `columns`; those after the first are
// indented by `indent`. A word that is longer than a line is left whole.
static void print_wrapped(FILE *stream, const char *text, size_t len, int columns, int indent)
{
    int column = 0, start = 0;
    for (size_t at = 0; at < len;) {
        size_t gap = 0, word = 0;
        while (at + gap < len && text[at + gap] == ' ') {
            gap++;
        }
        while (at + gap + word < len && text[at + gap + word] != ' ') {
            word++;
        }
        int width = ts_terminal_width(text + at + gap, word);
        const char *comma = memchr(text + at + gap, ',', word);
        if (width > columns - indent && comma != NULL) { // a long list breaks after its commas
            word = (size_t)(comma + 1 - (text + at + gap));
            width = ts_terminal_width(text + at + gap, word);
        }
        if (column > start && column + (int)gap + width > columns) {
            // A word that fits a line only without the full indentation gets less of it.
            start = width > columns - indent ? columns - width : indent;
            start = start > 0 ? start : 0;
            fprintf(stream, "\n%*s", start, "");
            column = start;
        } else {
            fprintf(stream, "%*s", (int)gap, "");
            column += (int)gap;
        }
        ts_terminal_write(stream, text + at + gap, word);
        column += width;
        at += gap + word;
    }
}

void ts_cli_print(FILE *stream, int indent, const char *text)
{
    if (!ts_cli_speaks()) {
        return;
    }
    int columns = ts_terminal_columns(stream);
    ts_progress_clear();
    for (const char *end; *text != '\0'; text = end) {
        end = strchrnul(text, '\n');
        if (columns > 0) {
            print_wrapped(stream, text, (size_t)(end - text), columns, indent);
        } else {
            ts_terminal_write(stream, text, (size_t)(end - text));
        }
        if (*end == '\n') {
            fputc('\n', stream);
            end++;
        }
    }
}

void ts_cli_print_entry(FILE *stream, int column, const char *left, const char *help)
{
    enum { LEAST_HELP = 26, SET_IN = 6 };
    int columns = ts_terminal_columns(stream);
    bool narrow = columns > 0 && columns < column + LEAST_HELP;
    int indent = narrow ? SET_IN : column;
    ts_text text = {0};
    if (narrow || (int)strlen(left) >= column) {
        ts_text_format(&text, NULL, "%s\n%*s", left, indent, "");
    } else {
        ts_text_format(&text, NULL, "%-*s", column, left);
    }
    for (const char *c = help; *c != '\0'; c++) {
        if (*c == '\n' && columns == 0) {
            ts_text_format(&text, NULL, "\n%*s", indent, "");
        } else { // on a terminal its width decides where lines break
            ts_text_format(&text, NULL, "%c", *c == '\n' ? ' ' : *c);
        }
    }
    ts_text_format(&text, NULL, "\n");
    ts_cli_print(stream, indent, text.bytes != NULL ? text.bytes : "");
    ts_text_free(&text);
}

void ts_cli_say(FILE *stream, const char *format, ...)
{
    char message[8192];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    ts_cli_print(stream, 0, message);
}
