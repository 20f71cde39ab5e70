#include "train/logs.h"

#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "train/log_formats.h"

#include <math.h>
#include <time.h>

static double now(void)
{
    struct timespec time = {0};
    timespec_get(&time, TIME_UTC);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

// ---- Opening

// A run that continues, or replaces another, may take over a log that is there.
static bool takes_over(const ts_train_settings *s)
{
    return s->resume != NULL || s->overwrite;
}

static ts_status refuse(const char *flag, const char *path, ts_error *err)
{
    return ts_error_set(err, TS_ERR_ARGUMENT,
                        "--%s %s: the log of a run is there already: name another, replace both "
                        "runs' files by --overwrite-output-dir, or go on with that run by "
                        "--resume-from-checkpoint",
                        flag, path);
}

ts_status ts_logs_check(const ts_train_settings *s, ts_error *err)
{
    ts_status status = TS_OK;
    const ts_logs_kept all = {UINT64_MAX, UINT64_MAX};
    bool any = false;
    uint64_t bytes;
    if (s->log_file != NULL) {
        TS_TRY(ts_log_lines_measure(s->log_file, all, &bytes, &any, err));
        if (any && !takes_over(s)) {
            return refuse("log-file", s->log_file, err);
        }
    }
    if (s->logging_dir != NULL) {
        TS_TRY(ts_log_events_find(s->logging_dir, &any, err));
        if (any && !takes_over(s)) {
            return refuse("logging-dir", s->logging_dir, err);
        }
    }
out:
    return status;
}

static ts_status open_lines(const char *path, ts_logs_kept kept, ts_logs *out, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text folder = {0};
    uint64_t bytes;
    bool any;
    if (ts_path_name(path) != path) {
        TS_TRY(ts_text_append(&folder, path, (size_t)(ts_path_name(path) - path), err));
        TS_TRY(ts_folder_make(folder.bytes, err));
    }
    TS_TRY(ts_log_lines_measure(path, kept, &bytes, &any, err));
    TS_TRY(ts_file_append_open(path, bytes, &out->lines, err));
out:
    ts_text_free(&folder);
    return status == TS_OK ? TS_OK : ts_error_context(err, "--log-file");
}

static ts_status open_events(const char *folder, ts_logs_kept kept, ts_logs *out, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text path = {0};
    uint8_t start[TS_LOG_ENTRY_BYTES];
    double time = now();
    TS_TRY(ts_folder_make(folder, err));
    TS_TRY(ts_log_events_cut(folder, kept, err));
    TS_TRY(ts_log_events_name(folder, time, &path, err));
    TS_TRY(ts_file_append_open(path.bytes, 0, &out->events, err));
    size_t len = ts_log_event_of_start(time, kept.step, start);
    TS_TRY(ts_file_append_add(&out->events, start, len, err));
out:
    ts_text_free(&path);
    return status == TS_OK ? TS_OK : ts_error_context(err, "--logging-dir");
}

ts_status ts_logs_open(const ts_train_settings *settings, ts_logs_kept kept, ts_logs *out,
                       ts_error *err)
{
    ts_status status = TS_OK;
    *out = (ts_logs){0};
    if (settings->log_file != NULL) {
        TS_TRY(open_lines(settings->log_file, kept, out, err));
    }
    if (settings->logging_dir != NULL) {
        TS_TRY(open_events(settings->logging_dir, kept, out, err));
    }
out:
    if (status != TS_OK) {
        ts_logs_close(out);
    }
    return status;
}

void ts_logs_close(ts_logs *logs)
{
    ts_file_append_close(&logs->lines);
    ts_file_append_close(&logs->events);
}

// ---- Adding

static void add(ts_file_append *file, const void *bytes, size_t len)
{
    ts_error err = {0};
    if (ts_file_append_add(file, bytes, len, &err) != TS_OK) {
        ts_log(TS_LOG_WARN, "%s: training goes on, and this log ends here", err.message);
        ts_file_append_close(file);
    }
}

void ts_logs_add_step(ts_logs *logs, const ts_train_progress *p)
{
    if (logs->lines.open) {
        char line[TS_LOG_ENTRY_BYTES];
        add(&logs->lines, line, ts_log_line_of_step(p, line));
    }
    if (logs->events.open) {
        const ts_log_scalar scalars[] = {{"train/loss", p->loss},
                                         {"train/learning_rate", p->rate},
                                         {"train/grad_norm", p->grad_norm},
                                         {"train/epoch", p->epoch},
                                         {"train/rewards/accuracies", p->accuracy},
                                         {"train/rewards/margins", p->margin},
                                         {"train/tokens_per_second", p->tokens_per_second}};
        uint8_t event[TS_LOG_ENTRY_BYTES];
        add(&logs->events, event,
            ts_log_event_of_scalars(now(), p->step, scalars, TS_COUNT(scalars), event));
    }
}

void ts_logs_add_evaluation(ts_logs *logs, const ts_train_evaluation *e)
{
    if (logs->lines.open) {
        char line[TS_LOG_ENTRY_BYTES];
        add(&logs->lines, line, ts_log_line_of_evaluation(e, line));
    }
    if (logs->events.open) {
        const ts_log_scalar scalars[] = {
            {"eval/loss", e->loss},
            {"eval/perplexity", isfinite(e->margin) ? NAN : exp(e->loss)},
            {"eval/rewards/accuracies", e->accuracy},
            {"eval/rewards/margins", e->margin}};
        uint8_t event[TS_LOG_ENTRY_BYTES];
        add(&logs->events, event,
            ts_log_event_of_scalars(now(), e->step, scalars, TS_COUNT(scalars), event));
    }
}
