#include "base/progress.h"

#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

enum { BAR_CELLS = 24, REDRAWS_PER_SECOND = 10 };

double ts_clock_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

void ts_progress_begin(ts_progress *progress, FILE *stream, const char *label, uint64_t total)
{
    *progress = (ts_progress){.stream = stream,
                              .label = label,
                              .total = total,
                              .started_s = ts_clock_s(),
                              .terminal = isatty(fileno(stream)) == 1};
}

static void format_duration(double seconds, char *out, size_t size)
{
    unsigned long s = seconds > 0 ? (unsigned long)(seconds + 0.5) : 0;
    if (s >= 3600) {
        snprintf(out, size, "%lu:%02lu:%02lu", s / 3600, s / 60 % 60, s % 60);
    } else {
        snprintf(out, size, "%lu:%02lu", s / 60, s % 60);
    }
}

static int terminal_columns(FILE *stream)
{
    struct winsize window;
    return ioctl(fileno(stream), TIOCGWINSZ, &window) == 0 && window.ws_col > 0 ? window.ws_col
                                                                                : 80;
}

void ts_progress_update(ts_progress *progress, uint64_t done, const char *detail, bool line)
{
    double now = ts_clock_s(), elapsed = now - progress->started_s;
    double pace = done > progress->first ? elapsed / (double)(done - progress->first) : 0;
    double left = pace * (double)(progress->total - done);
    char left_text[32], text[512];
    format_duration(left, left_text, sizeof left_text);
    if (!progress->terminal) {
        if (line) {
            fprintf(progress->stream, "%s %llu/%llu  %s  left %s\n", progress->label,
                    (unsigned long long)done, (unsigned long long)progress->total, detail,
                    left_text);
            fflush(progress->stream);
        }
        return;
    }
    if (done < progress->total && now - progress->drawn_s < 1.0 / REDRAWS_PER_SECOND) {
        return;
    }
    progress->drawn_s = now;
    char bar[BAR_CELLS * 3 + 1];
    size_t filled = progress->total > 0 ? (size_t)(BAR_CELLS * done / progress->total) : 0, at = 0;
    for (size_t i = 0; i < BAR_CELLS; i++) {
        at += (size_t)snprintf(bar + at, sizeof bar - at, "%s", i < filled ? "█" : "░");
    }
    int len = snprintf(text, sizeof text, "%llu/%llu  %s  left %s", (unsigned long long)done,
                       (unsigned long long)progress->total, detail, left_text);
    int columns = terminal_columns(progress->stream) - BAR_CELLS - 4;
    for (const char *c = progress->label; *c != '\0'; c++) {
        columns--;
    }
    fprintf(progress->stream, "\r%s %s %.*s\033[K", progress->label, bar,
            columns < 0     ? 0
            : len < columns ? len
                            : columns,
            text);
    fflush(progress->stream);
}

void ts_progress_end(ts_progress *progress)
{
    if (progress->terminal && progress->drawn_s > 0) {
        fputc('\n', progress->stream);
        fflush(progress->stream);
    }
}
