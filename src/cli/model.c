// --model: a folder, or the name of a model that is downloaded while a bar shows how far it is.
#include "base/file.h"
#include "base/memory.h"
#include "base/os.h"
#include "base/progress.h"
#include "cli/cli.h"
#include "data/hub.h"

#include <stdio.h>
#include <string.h>

enum { SHOWN_BYTES = 4 << 20 }; // smaller files are downloaded without a bar

// The bar of the file that is being downloaded or checked.
struct download {
    ts_progress bar;
    char file[160], label[192];
    bool checking;
    uint64_t last; // bytes that were done when it was last shown
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

void ts_cli_show_file(void *bar, const char *what, uint64_t done, uint64_t total)
{
    (void)what;
    ts_cli_show_loading(bar, done, total);
}

static void begin_bar(struct download *download, const ts_hub_progress *progress)
{
    ts_progress_end(&download->bar);
    snprintf(download->file, sizeof download->file, "%s", progress->file);
    snprintf(download->label, sizeof download->label, "%s%s", progress->checking ? "checking " : "",
             progress->file);
    download->checking = progress->checking;
    ts_progress_begin(&download->bar, stderr, download->label, progress->total);
    download->bar.bytes = true;
    download->bar.first = progress->done;
    download->bar.line_every_s = TS_CLI_LINE_SECONDS;
}

static void show_download(void *user, const ts_hub_progress *progress)
{
    struct download *download = user;
    ts_progress *bar = &download->bar;
    if (progress->total < SHOWN_BYTES) {
        return;
    }
    bool restarted = progress->done < download->last; // the server could not resume the download
    download->last = progress->done;
    if (bar->stream == NULL || restarted || download->checking != progress->checking ||
        strcmp(download->file, progress->file) != 0) {
        begin_bar(download, progress);
    }
    double elapsed = ts_clock_s() - bar->started_s;
    double pace = elapsed > 0 ? (double)(progress->done - bar->first) / elapsed : 0;
    bool last = progress->done == progress->total;
    char detail[64];
    snprintf(detail, sizeof detail, "%.1f MiB/s", pace / (1 << 20));
    ts_progress_update(bar, progress->done, detail, last && !progress->checking);
}

ts_status ts_cli_resolve_model(const char *model, const char *revision, bool weights,
                               ts_text *folder, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text found = {0};
    struct download download = {0};
    const ts_hub_params params = {
        .revision = revision, .no_weights = !weights, .progress = show_download, .user = &download};
    TS_TRY(ts_cli_find(model, &found, err));
    if (revision != NULL && ts_file_exists(found.bytes)) {
        TS_FAIL(TS_ERR_ARGUMENT,
                "--revision %s: --model %s is on this machine and has no revisions", revision,
                model);
    }
    status = ts_hub_resolve(found.bytes, &params, folder, err);
out:
    ts_progress_end(&download.bar);
    ts_text_free(&found);
    return status;
}
