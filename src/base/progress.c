#include "base/progress.h"

#include "base/os.h"
#include "base/terminal.h"

#include <stdarg.h>
#include <string.h>

// The bar gets the columns that the words leave free, at most MOST_CELLS. On a line of at least
// ROOMY columns, LEAST_CELLS are kept free for it.
enum {
    MOST_CELLS = 24,
    LEAST_CELLS = 10,
    ROOMY = 60,
    LEAST_LABEL = 8, // with fewer columns for the label, the time left gives way to it
    GAP = 2,
    REDRAWS_PER_SECOND = 10,
    MAX_TEXT = 512
};

// The stream whose last line shows a bar or a note now; NULL: none.
static FILE *drawn_on;

void ts_progress_begin(ts_progress *progress, FILE *stream, const char *label, uint64_t total)
{
    double now = ts_clock_s();
    *progress = (ts_progress){.stream = stream,
                              .label = label,
                              .total = total,
                              .started_s = now,
                              .line_s = now,
                              .terminal = ts_terminal_takes_escapes(stream),
                              .colour = ts_terminal_takes_colour(stream)};
}

void ts_progress_clear(void)
{
    if (drawn_on != NULL) {
        fputs("\r\033[K", drawn_on);
        fflush(drawn_on);
        drawn_on = NULL;
    }
}

void ts_progress_note(FILE *stream, const char *text)
{
    if (ts_terminal_takes_escapes(stream)) {
        int room = ts_terminal_columns(stream) - 1;
        ts_progress_clear();
        fprintf(stream, "%.*s", room, text); // ASCII: a byte is a column
        fflush(stream);
        drawn_on = stream;
    }
}

// ---- The words beside the bar

static void format_duration(double seconds, char *out, size_t size)
{
    unsigned long s = seconds > 0 ? (unsigned long)(seconds + 0.5) : 0;
    if (s >= 3600) {
        snprintf(out, size, "%lu:%02lu:%02lu", s / 3600, s / 60 % 60, s % 60);
    } else {
        snprintf(out, size, "%lu:%02lu", s / 60, s % 60);
    }
}

static void format_count(const ts_progress *progress, uint64_t done, char *out, size_t size)
{
    bool large = progress->total >= 10 * (UINT64_C(1) << 30);
    const double unit = large ? 0x1p30 : 0x1p20;
    if (progress->count != NULL) {
        snprintf(out, size, "%s", progress->count);
    } else if (progress->bytes) {
        snprintf(out, size, "%.1f/%.1f %s", (double)done / unit, (double)progress->total / unit,
                 large ? "GiB" : "MiB");
    } else {
        snprintf(out, size, "%llu/%llu", (unsigned long long)done,
                 (unsigned long long)progress->total);
    }
}

// "left 0:20", or "took 1:40" when all is done; "" while the pace is not known.
static void format_time(const ts_progress *progress, uint64_t done, double now, char *out,
                        size_t size)
{
    double elapsed = now - progress->started_s;
    char duration[32];
    out[0] = '\0';
    if (done >= progress->total) {
        format_duration(elapsed, duration, sizeof duration);
        snprintf(out, size, "took %s", duration);
    } else if (done > progress->first) {
        double pace = elapsed / (double)(done - progress->first);
        format_duration(pace * (double)(progress->total - done), duration, sizeof duration);
        snprintf(out, size, "left %s", duration);
    }
}

static int text_width(const char *text)
{
    return ts_terminal_width(text, strlen(text));
}

// Appends "  PART" where it fits into `columns`.
static bool add_part(char text[MAX_TEXT], int columns, const char *part, size_t len)
{
    size_t at = strlen(text);
    char added[MAX_TEXT];
    snprintf(added, sizeof added, "  %.*s", (int)len, part);
    if (len == 0 || text_width(text) + text_width(added) > columns) {
        return len == 0;
    }
    snprintf(text + at, MAX_TEXT - at, "%s", added);
    return true;
}

// How much of the first part is shown. Where the line has no room for all of it and the time, what
// is in parentheses at its end is left out.
static size_t fit_first(const char *count, const char *detail, size_t len, const char *time,
                        int columns)
{
    const char *bracket = memmem(detail, len, " (", 2);
    int needed = text_width(count) + 2 + ts_terminal_width(detail, len) + 2 + text_width(time);
    return bracket != NULL && needed > columns ? (size_t)(bracket - detail) : len;
}

// "12/40  loss 1.2345  left 0:20  ...": as many of the parts as fit, in their order; the time comes
// after the first.
static void format_parts(const char *count, const char *detail, const char *time, int columns,
                         char text[MAX_TEXT])
{
    snprintf(text, MAX_TEXT, "%s", count);
    for (int i = 0;; i++) {
        const char *end = strstr(detail, "  ");
        size_t len = end != NULL ? (size_t)(end - detail) : strlen(detail);
        size_t shown = i == 0 ? fit_first(count, detail, len, time, columns) : len;
        if (!add_part(text, columns, detail, shown) ||
            (i == 0 && !add_part(text, columns, time, strlen(time))) || detail[len] == '\0') {
            break;
        }
        detail += len + 2;
    }
}

// The end of a label that does not fit: names of files mostly differ in their ends.
static const char *shorten(const char *label, int columns, char out[MAX_TEXT])
{
    int len = (int)strlen(label);
    if (len <= columns) {
        return label;
    }
    const char *end = columns > 3 ? label + len - (columns - 3) : label + len;
    while (ts_utf8_is_continuation(*end)) { // not inside a character
        end++;
    }
    snprintf(out, MAX_TEXT, "...%s", end);
    return out;
}

// ---- Drawing

// Everything that one redraw writes. It is written at once: otherwise a half-drawn bar could be
// seen, or the terminal's width could change in between.
typedef struct frame {
    char bytes[4 * MAX_TEXT];
    size_t len;
} frame;

static void put(frame *f, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void put(frame *f, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int len = vsnprintf(f->bytes + f->len, sizeof f->bytes - f->len, format, args);
    va_end(args);
    f->len += len > 0 ? (size_t)len : 0;
    f->len = f->len < sizeof f->bytes ? f->len : sizeof f->bytes - 1;
}

static void put_bar(frame *f, const ts_progress *progress, uint64_t done, int cells)
{
    double part = progress->total > 0 ? (double)done / (double)progress->total : 0;
    int filled = (int)(part * cells);
    put(f, " %s", progress->colour ? "\033[36m" : "");
    for (int i = 0; i < cells; i++) {
        put(f, "%s", i < filled ? "█" : "░");
    }
    put(f, "%s", progress->colour ? "\033[0m" : "");
}

// Goes back to the start of what is shown. Where the terminal has become narrower since, the
// bar takes several lines, and they are erased.
static void put_erasure(frame *f, const ts_progress *progress, int columns)
{
    int rows = drawn_on != NULL ? (progress->drawn_columns - 1) / columns : 0;
    if (rows > 0) {
        put(f, "\033[%dA", rows);
    }
    put(f, "%s", rows > 0 ? "\r\033[J" : "\r");
}

static void draw(ts_progress *progress, uint64_t done, const char *detail, const char *time,
                 bool line)
{
    frame f = {.len = 0};
    char count[64], text[MAX_TEXT], shortened[MAX_TEXT];
    int columns = ts_terminal_columns(progress->stream), room = columns - 1; // the last one wraps
    format_count(progress, done, count, sizeof count);
    int for_label = room - text_width(count) - 1;
    int beside_time = for_label - (time[0] != '\0' ? text_width(time) + GAP : 0);
    for_label = beside_time >= LEAST_LABEL ? beside_time : for_label;
    const char *label = shorten(progress->label, for_label, shortened);
    int used = text_width(label) + 1;
    put_erasure(&f, progress, columns);
    if (line) {
        format_parts(count, detail, time, room - used, text);
        put(&f, "%s %s\033[K\n", label, text);
    }
    int least = room >= ROOMY ? LEAST_CELLS + 1 : 0;
    format_parts(count, detail, time, room - used - least, text);
    int cells = room - used - text_width(text) - 1;
    cells = cells > MOST_CELLS ? MOST_CELLS : cells;
    put(&f, "%s", label);
    if (cells >= LEAST_CELLS / 2) {
        put_bar(&f, progress, done, cells);
        used += cells + 1;
    }
    put(&f, " %s\033[K", text);
    fwrite(f.bytes, 1, f.len, progress->stream);
    fflush(progress->stream);
    progress->drawn_columns = used + text_width(text);
    drawn_on = progress->stream;
}

void ts_progress_update(ts_progress *progress, uint64_t done, const char *detail, bool line)
{
    double now = ts_clock_s();
    char count[64], time[48], text[MAX_TEXT];
    bool last = done >= progress->total;
    format_time(progress, done, now, time, sizeof time);
    if (!progress->terminal) {
        bool due = progress->line_every_s > 0 && now - progress->line_s >= progress->line_every_s;
        if (line || due) {
            progress->line_s = now;
            format_count(progress, done, count, sizeof count);
            int columns = ts_terminal_columns(progress->stream); // not 0: a dumb terminal
            columns = columns > 0 ? columns - text_width(progress->label) - 1 : MAX_TEXT;
            format_parts(count, detail, time, columns, text);
            fprintf(progress->stream, "%s %s\n", progress->label, text);
            fflush(progress->stream);
        }
        return;
    }
    if (line || last || now - progress->drawn_s >= 1.0 / REDRAWS_PER_SECOND) {
        progress->drawn_s = now;
        draw(progress, done, detail, time, line && !last); // the bar itself stays as the last line
    }
}

void ts_progress_end(ts_progress *progress)
{
    if (drawn_on != NULL && drawn_on == progress->stream) {
        fputc('\n', drawn_on);
        fflush(drawn_on);
        drawn_on = NULL;
    }
}
