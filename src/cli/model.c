// --model: a folder, or the name of a model that is downloaded while a bar shows how far it is.
#include "base/file.h"
#include "base/memory.h"
#include "base/progress.h"
#include "cli/cli.h"
#include "data/hub.h"

#include <stdio.h>
#include <string.h>

enum { SHOWN_BYTES = 4 << 20, LINE_SECONDS = 10 }; // smaller files come without a bar

struct display {
    ts_progress bar;
    char file[160], label[192];
    bool begun, checking;
    uint64_t first, last;
    double line_s;
};

void ts_cli_show_loading(void *user, uint64_t done, uint64_t total)
{
    ts_progress *bar = user;
    if (bar->stream == NULL) {
        ts_progress_begin(bar, stderr, "loading", total);
        bar->bytes = true;
    }
    ts_progress_update(bar, done, "", false);
    if (done == total) {
        ts_progress_end(bar);
    }
}

static void end_bar(struct display *display)
{
    if (display->begun) {
        ts_progress_end(&display->bar);
        display->begun = false;
    }
}

static void begin_bar(struct display *display, const ts_hub_progress *progress)
{
    end_bar(display);
    snprintf(display->file, sizeof display->file, "%s", progress->file);
    snprintf(display->label, sizeof display->label, "%s%s", progress->checking ? "checking " : "",
             progress->file);
    display->checking = progress->checking;
    display->first = progress->done;
    display->line_s = ts_clock_s();
    display->begun = true;
    ts_progress_begin(&display->bar, stderr, display->label, progress->total);
    display->bar.bytes = true;
    display->bar.first = progress->done;
}

static void show(void *user, const ts_hub_progress *progress)
{
    struct display *display = user;
    if (progress->total < SHOWN_BYTES) {
        return;
    }
    bool restarted = progress->done < display->last; // the server cannot go on where it stopped
    display->last = progress->done;
    if (!display->begun || restarted || display->checking != progress->checking ||
        strcmp(display->file, progress->file) != 0) {
        begin_bar(display, progress);
    }
    double now = ts_clock_s(), elapsed = now - display->bar.started_s;
    double pace = elapsed > 0 ? (double)(progress->done - display->first) / elapsed : 0;
    bool last = progress->done == progress->total;
    bool line = (last && !progress->checking) || now - display->line_s >= LINE_SECONDS;
    if (line) {
        display->line_s = now;
    }
    char detail[64];
    snprintf(detail, sizeof detail, "%.1f MiB/s", pace / (1 << 20));
    ts_progress_update(&display->bar, progress->done, detail, line);
}

ts_status ts_cli_resolve_model(const char *model, const char *revision, bool weights,
                               ts_text *folder, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text found = {0};
    struct display display = {0};
    const ts_hub_params params = {
        .revision = revision, .no_weights = !weights, .progress = show, .user = &display};
    TS_TRY(ts_cli_find(model, &found, err));
    if (revision != NULL && ts_folder_exists(found.bytes)) {
        TS_FAIL(TS_ERR_ARGUMENT, "--revision %s: --model %s is a folder and has no revisions",
                revision, model);
    }
    status = ts_hub_resolve(found.bytes, &params, folder, err);
out:
    end_bar(&display);
    ts_text_free(&found);
    return status;
}
