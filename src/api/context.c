// What the library's calls do when they begin, when they end, and around each callback.
#include "api/internal.h"

#include "data/hub.h"

const char *tinysft_version(void)
{
    return TINYSFT_VERSION;
}

ts_error *ts_api_error(tinysft_error *given, ts_error *own)
{
    ts_error *err = given != NULL ? given : own;
    *err = (ts_error){0};
    return err;
}

static void log_message(void *user, ts_log_level level, const char *message)
{
    ts_api_context *context = user;
    static const tinysft_log_level levels[] = {[TS_LOG_DEBUG] = TINYSFT_LOG_DEBUG,
                                               [TS_LOG_INFO] = TINYSFT_LOG_INFO,
                                               [TS_LOG_WARN] = TINYSFT_LOG_WARN};
    if (context->given.log != NULL) {
        ts_api_go_out(context);
        context->given.log(context->given.user, levels[level], message);
        ts_api_come_back(context, TINYSFT_GO_ON);
    }
}

static bool stops(void *user)
{
    ts_api_context *context = user;
    if (!context->stopping && context->given.interrupt != NULL) {
        ts_api_go_out(context);
        ts_api_come_back(context, context->given.interrupt(context->given.user));
    }
    return context->stopping;
}

static void save(void *user, bool now)
{
    ts_api_context *context = user;
    if (context->given.saving != NULL) {
        ts_api_go_out(context);
        context->given.saving(context->given.user, now);
        ts_api_come_back(context, TINYSFT_GO_ON);
    }
}

void ts_api_context_open(ts_api_context *context, const tinysft_caller *given)
{
    *context = (ts_api_context){
        .caller = {.log = log_message, .stops = stops, .saving = save, .user = context},
        .given = *given};
}

static void go_in(ts_api_context *context)
{
    context->outer = ts_caller_use(&context->caller);
    // For the C locale glibc and musl allocate nothing here, so there is nothing to free.
    context->outer_locale = uselocale(newlocale(LC_ALL_MASK, "C", (locale_t)0));
}

ts_status ts_api_enter(ts_api_context *context, const char *what, ts_error *err)
{
    if (context == NULL) {
        return ts_error_set(err, TS_ERR_ARGUMENT, "%s is NULL", what);
    }
    if (context->inside) {
        return ts_error_set(err, TS_ERR_ARGUMENT,
                            "%s is at work: a callback, or another thread, may not use it", what);
    }
    context->inside = true;
    context->stopping = false;
    go_in(context);
    return TS_OK;
}

void ts_api_leave(ts_api_context *context)
{
    ts_api_go_out(context);
    context->inside = false;
}

void ts_api_go_out(ts_api_context *context)
{
    ts_caller_use(context->outer);
    uselocale(context->outer_locale);
}

void ts_api_come_back(ts_api_context *context, tinysft_next answer)
{
    go_in(context);
    context->stopping |= answer == TINYSFT_STOP;
}

void ts_api_show_loading(void *user, uint64_t done, uint64_t total)
{
    ts_api_loading *loading = user;
    if (loading->tell == NULL) {
        return;
    }
    ts_api_go_out(loading->context);
    loading->tell(loading->user, loading->what, done, total);
    ts_api_come_back(loading->context, TINYSFT_GO_ON);
}

static void show_download(void *user, const ts_hub_progress *progress)
{
    ts_api_loading *loading = user;
    loading->what = progress->file;
    ts_api_show_loading(loading, progress->done, progress->total);
}

ts_status ts_api_find_model(const char *model, const char *revision, ts_api_loading *loading,
                            ts_text *folder, ts_error *err)
{
    const ts_hub_params params = {.revision = revision, .progress = show_download, .user = loading};
    if (model == NULL) {
        return ts_error_set(err, TS_ERR_ARGUMENT, "no model is named");
    }
    ts_status status = ts_hub_resolve(model, &params, folder, err);
    loading->what = folder->bytes;
    return status;
}
