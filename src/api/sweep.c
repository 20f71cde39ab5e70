// Runs of several configurations compared.
#include "eval/sweep.h"
#include "api/internal.h"
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

static ts_status check_params(const tinysft_sweep_params *p, ts_error *err)
{
    if (p->configuration_count == 0 || p->run_count == 0) {
        return ts_error_set(err, TS_ERR_ARGUMENT, "there is no run to compare");
    }
    for (size_t i = 0; i < p->run_count; i++) {
        if (p->runs[i].configuration >= p->configuration_count || p->runs[i].folder == NULL) {
            return ts_error_set(err, TS_ERR_ARGUMENT, "run %zu %s", i,
                                p->runs[i].folder == NULL ? "has no folder"
                                                          : "is of no such configuration");
        }
    }
    for (size_t i = 0; i < p->axis_count * (1 + p->configuration_count); i++) {
        if ((i < p->axis_count ? p->axes[i] : p->values[i - p->axis_count]) == NULL) {
            return ts_error_set(err, TS_ERR_ARGUMENT, "the name or a value of a setting is NULL");
        }
    }
    return TS_OK;
}

static tinysft_interval interval_of(const ts_interval *interval)
{
    return (tinysft_interval){interval->mean, interval->low, interval->high};
}

static ts_status make_result(const ts_sweep *sweep, tinysft_sweep_result *out, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text verdict = {0};
    TS_TRY(ts_alloc(sweep->configuration_count, sizeof *out->places, &out->places, err));
    for (size_t i = 0; i < sweep->configuration_count; i++) {
        const ts_sweep_configuration *c = &sweep->configurations[sweep->order[i]];
        out->places[i] = (tinysft_sweep_place){.configuration = sweep->order[i],
                                               .finished = c->finished,
                                               .failed = c->failed,
                                               .loss = interval_of(&c->loss),
                                               .behind = interval_of(&c->behind)};
    }
    TS_TRY(ts_sweep_verdict(sweep, &verdict, err));
    out->verdict = verdict.bytes;
    verdict = (ts_text){0};
    out->measure = sweep->measure;
    out->leads = ts_sweep_leads(sweep);
out:
    ts_text_free(&verdict);
    return status;
}

static ts_status compare(const tinysft_sweep_params *p, tinysft_sweep_result *out, ts_error *err)
{
    ts_status status = TS_OK;
    ts_sweep sweep = {.title = ts_api_text(p->title, "Runs compared"),
                      .axes = p->axes,
                      .values = p->values,
                      .axis_count = p->axis_count,
                      .configuration_count = p->configuration_count,
                      .run_count = p->run_count};
    ts_sweep_run *runs = NULL;
    TS_TRY(check_params(p, err));
    TS_TRY(ts_alloc(p->run_count, sizeof *runs, &runs, err));
    for (size_t i = 0; i < p->run_count; i++) {
        runs[i] = (ts_sweep_run){.configuration = p->runs[i].configuration,
                                 .seed = p->runs[i].seed,
                                 .folder = p->runs[i].folder,
                                 .failed = p->runs[i].failed};
    }
    sweep.runs = runs;
    TS_TRY(ts_sweep_read(&sweep, err));
    TS_TRY(ts_sweep_compare(&sweep, err));
    if (p->folder != NULL) {
        TS_TRY(ts_sweep_write(&sweep, p->folder, err));
    }
    TS_TRY(make_result(&sweep, out, err));
out:
    ts_sweep_free(&sweep);
    free(runs);
    return status;
}

tinysft_status tinysft_sweep_compare(const tinysft_sweep_params *params, tinysft_sweep_result *out,
                                     tinysft_error *error)
{
    ts_error own, *err = ts_api_error(error, &own);
    ts_api_context context;
    if (params == NULL || out == NULL) {
        return ts_error_set(err, TS_ERR_ARGUMENT, "%s is NULL", params == NULL ? "params" : "out");
    }
    *out = (tinysft_sweep_result){0};
    ts_api_context_open(&context, &params->caller);
    ts_status status = ts_api_enter(&context, "the sweep", err);
    if (status == TS_OK) {
        status = compare(params, out, err);
        ts_api_leave(&context);
    }
    if (status != TS_OK) {
        tinysft_sweep_result_free(out);
    }
    return status;
}

void tinysft_sweep_result_free(tinysft_sweep_result *result)
{
    if (result != NULL) {
        free(result->places);
        free(result->verdict);
        *result = (tinysft_sweep_result){0};
    }
}
