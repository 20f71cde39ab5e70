#include "eval/sweep.h"

#include "base/file.h"
#include "base/memory.h"
#include "eval/runs.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// ---- Statistics

// The probability that a variable of Student's t distribution lies within +-t (Abramowitz and
// Stegun 26.7.3 and 26.7.4).
static double student_within(double t, size_t freedom)
{
    const double pi = 3.14159265358979323846;
    const double angle = atan(t / sqrt((double)freedom)), cosine = cos(angle);
    double sum = 0, term = freedom % 2 == 1 ? cosine : 1;
    for (size_t i = freedom % 2 == 1 ? 3 : 2; i <= freedom; i += 2) {
        sum += term;
        term *= cosine * cosine * (double)(i - 1) / (double)i;
    }
    return freedom % 2 == 1 ? 2 / pi * (angle + sin(angle) * sum) : sin(angle) * sum;
}

double ts_student_reach(size_t freedom)
{
    double low = 0, high = 20;
    for (int i = 0; i < 60; i++) {
        double middle = (low + high) / 2;
        *(student_within(middle, freedom) < 0.95 ? &low : &high) = middle;
    }
    return high;
}

ts_interval ts_interval_make(const double *values, size_t count)
{
    double sum = 0, squares = 0;
    size_t finite = 0;
    for (size_t i = 0; i < count; i++) {
        if (isfinite(values[i])) {
            sum += values[i];
            finite++;
        }
    }
    ts_interval out = {.mean = finite > 0 ? sum / (double)finite : NAN, .low = NAN, .high = NAN};
    if (finite < 2) {
        return out;
    }
    for (size_t i = 0; i < count; i++) {
        squares += isfinite(values[i]) ? (values[i] - out.mean) * (values[i] - out.mean) : 0;
    }
    double error = sqrt(squares / (double)(finite - 1) / (double)finite);
    double reach = ts_student_reach(finite - 1) * error;
    out.low = out.mean - reach;
    out.high = out.mean + reach;
    return out;
}

// ---- Reading

// The loss on held-out rows of the adapter that the run's folder holds. NaN: none was measured.
static double held_out_loss(const ts_run *run)
{
    const cJSON *chosen = ts_json_get(run->training, "adapter_of_step"), *entry;
    double loss = NAN;
    cJSON_ArrayForEach(entry, ts_json_get(run->state, "log_history"))
    {
        const cJSON *value = ts_json_get(entry, "eval_loss"), *step = ts_json_get(entry, "step");
        bool counts = !cJSON_IsNumber(chosen) || cJSON_Compare(chosen, step, true);
        if (cJSON_IsNumber(value) && counts) {
            loss = value->valuedouble;
        }
    }
    return loss;
}

// The number of a metric, which is added where it is new; TS_SWEEP_METRICS: there is no room.
static size_t find_metric(ts_sweep *sweep, const cJSON *rate)
{
    size_t i = 0;
    while (i < sweep->metric_count && strcmp(sweep->keys[i], rate->string) != 0) {
        i++;
    }
    if (i == sweep->metric_count && i < TS_SWEEP_METRICS) {
        const char *label = cJSON_GetStringValue(ts_json_get(rate, "label"));
        snprintf(sweep->keys[i], sizeof *sweep->keys, "%s", rate->string);
        snprintf(sweep->metrics[i], sizeof *sweep->metrics, "%s",
                 label != NULL ? label : rate->string);
        sweep->metric_count++;
    }
    return i;
}

static void read_metrics(ts_sweep *sweep, const ts_run *run, ts_sweep_run *out)
{
    const cJSON *rate;
    cJSON_ArrayForEach(rate, ts_json_get(ts_run_scores(run), "rates"))
    {
        double yes = cJSON_GetNumberValue(ts_json_get(rate, "yes"));
        double of = cJSON_GetNumberValue(ts_json_get(rate, "of"));
        size_t i = of > 0 ? find_metric(sweep, rate) : TS_SWEEP_METRICS;
        if (i < TS_SWEEP_METRICS) {
            out->metrics[i] = yes / of;
        }
    }
}

static ts_status read_run(ts_sweep *sweep, ts_sweep_run *run, bool *held_out, ts_error *err)
{
    ts_status status = TS_OK;
    ts_run files = {0};
    TS_TRY(ts_run_open(run->folder, &files, err));
    run->loss = held_out_loss(&files);
    *held_out = isfinite(run->loss);
    if (!*held_out) {
        run->loss = cJSON_GetNumberValue(ts_json_get(ts_run_scores(&files), "loss"));
    }
    if (!isfinite(run->loss)) {
        TS_FAIL(TS_ERR_FORMAT,
                "%s: nothing was measured in this run by which it could be compared: neither a "
                "loss on held-out rows, nor one on reference answers",
                run->folder);
    }
    run->seconds = files.seconds;
    read_metrics(sweep, &files, run);
out:
    ts_run_close(&files);
    return status;
}

ts_status ts_sweep_read(ts_sweep *sweep, ts_error *err)
{
    ts_status status = TS_OK;
    size_t finished = 0, with_rows = 0;
    for (size_t i = 0; i < sweep->run_count; i++) {
        ts_sweep_run *run = &sweep->runs[i];
        bool held_out;
        run->loss = run->seconds = NAN;
        for (size_t m = 0; m < TS_SWEEP_METRICS; m++) {
            run->metrics[m] = NAN;
        }
        if (run->failed == NULL) {
            TS_TRY(read_run(sweep, run, &held_out, err));
            finished++;
            with_rows += held_out;
        }
    }
    if (with_rows > 0 && with_rows < finished) {
        TS_FAIL(TS_ERR_FORMAT, "only %zu of %zu runs measured the loss on held-out rows", with_rows,
                finished);
    }
    sweep->measure = with_rows > 0 ? "loss on held-out rows" : "loss on reference answers";
out:
    return status;
}

// ---- Comparing

static bool precedes(const ts_sweep *sweep, size_t a, size_t b)
{
    const ts_sweep_configuration *one = &sweep->configurations[a],
                                 *other = &sweep->configurations[b];
    bool whole = one->finished > 0 && one->failed == 0;
    bool other_whole = other->finished > 0 && other->failed == 0;
    if (whole != other_whole) {
        return whole;
    }
    if ((one->finished > 0) != (other->finished > 0)) {
        return one->finished > 0;
    }
    return one->loss.mean < other->loss.mean;
}

// The order is by insertion, so that equal ones stay in the order of the grid.
static void make_order(ts_sweep *sweep)
{
    for (size_t i = 0; i < sweep->configuration_count; i++) {
        size_t at = i;
        for (; at > 0 && precedes(sweep, i, sweep->order[at - 1]); at--) {
            sweep->order[at] = sweep->order[at - 1];
        }
        sweep->order[at] = i;
    }
}

static const ts_sweep_run *find_run(const ts_sweep *sweep, size_t configuration, uint64_t seed)
{
    for (size_t i = 0; i < sweep->run_count; i++) {
        const ts_sweep_run *run = &sweep->runs[i];
        if (run->configuration == configuration && run->seed == seed) {
            return run;
        }
    }
    return NULL;
}

// Differences to the best are taken seed by seed: two configurations that share a seed share the
// order of the rows, and which rows are held out.
static void compare_with_best(ts_sweep *sweep, size_t configuration, double *differences)
{
    size_t count = 0, best = ts_sweep_best(sweep);
    for (size_t i = 0; best != SIZE_MAX && i < sweep->run_count; i++) {
        const ts_sweep_run *run = &sweep->runs[i];
        const ts_sweep_run *other = find_run(sweep, best, run->seed);
        if (run->configuration == configuration && other != NULL) {
            differences[count++] = run->loss - other->loss;
        }
    }
    sweep->configurations[configuration].behind = ts_interval_make(differences, count);
}

// A mean of numbers that have bounds lies within them too.
static void cut_interval(ts_interval *interval, double least, double most)
{
    if (!isnan(interval->low)) {
        interval->low = fmax(interval->low, least);
        interval->high = fmin(interval->high, most);
    }
}

static void summarise(ts_sweep *sweep, size_t configuration, double *values)
{
    ts_sweep_configuration *out = &sweep->configurations[configuration];
    for (size_t m = 0; m <= sweep->metric_count; m++) { // the loss last
        size_t count = 0;
        for (size_t i = 0; i < sweep->run_count; i++) {
            const ts_sweep_run *run = &sweep->runs[i];
            if (run->configuration == configuration) {
                values[count++] = m < sweep->metric_count ? run->metrics[m] : run->loss;
            }
        }
        if (m < sweep->metric_count) { // a share is 0 to 1
            out->metrics[m] = ts_interval_make(values, count);
            cut_interval(&out->metrics[m], 0, 1);
        } else {
            out->loss = ts_interval_make(values, count);
            cut_interval(&out->loss, out->loss.mean < 0 ? -INFINITY : 0, INFINITY);
        }
    }
}

ts_status ts_sweep_compare(ts_sweep *sweep, ts_error *err)
{
    ts_status status = TS_OK;
    double *values = NULL;
    const size_t count = sweep->configuration_count;
    TS_TRY(ts_alloc(sweep->run_count + 1, sizeof *values, &values, err));
    TS_TRY(ts_alloc(count, sizeof *sweep->configurations, &sweep->configurations, err));
    TS_TRY(ts_alloc(count, sizeof *sweep->order, &sweep->order, err));
    for (size_t i = 0; i < sweep->run_count; i++) {
        ts_sweep_configuration *c = &sweep->configurations[sweep->runs[i].configuration];
        c->finished += sweep->runs[i].failed == NULL;
        c->failed += sweep->runs[i].failed != NULL;
        sweep->seeds = ts_max_u64(sweep->seeds, c->finished + c->failed);
    }
    for (size_t i = 0; i < count; i++) {
        summarise(sweep, i, values);
    }
    make_order(sweep);
    for (size_t i = 0; i < count; i++) {
        compare_with_best(sweep, i, values);
    }
out:
    free(values);
    return status;
}

void ts_sweep_free(ts_sweep *sweep)
{
    free(sweep->configurations);
    free(sweep->order);
    *sweep = (ts_sweep){0};
}

static size_t at_place(const ts_sweep *sweep, size_t place)
{
    size_t index = place < sweep->configuration_count ? sweep->order[place] : SIZE_MAX;
    return index != SIZE_MAX && sweep->configurations[index].finished > 0 ? index : SIZE_MAX;
}

size_t ts_sweep_best(const ts_sweep *sweep)
{
    return at_place(sweep, 0);
}

size_t ts_sweep_second(const ts_sweep *sweep)
{
    return at_place(sweep, 1);
}

bool ts_sweep_leads(const ts_sweep *sweep)
{
    size_t second = ts_sweep_second(sweep);
    return second != SIZE_MAX && sweep->configurations[second].behind.low > 0;
}

// ---- In words

ts_status ts_sweep_name(const ts_sweep *sweep, size_t configuration, ts_text *out, ts_error *err)
{
    ts_status status = TS_OK;
    for (size_t a = 0; a < sweep->axis_count; a++) {
        TS_TRY(ts_text_format(out, err, "%s%s %s", a > 0 ? ", " : "", sweep->axes[a],
                              sweep->values[configuration * sweep->axis_count + a]));
    }
    if (sweep->axis_count == 0) {
        TS_TRY(ts_text_format(out, err, "all runs"));
    }
out:
    return status;
}

static ts_status tell_lead(const ts_sweep *sweep, size_t second, ts_text *out, ts_error *err)
{
    ts_status status = TS_OK;
    const ts_interval *lead = &sweep->configurations[second].behind;
    size_t alike = 0;
    if (isnan(lead->mean)) {
        TS_TRY(ts_text_format(out, err, " The second ("));
        TS_TRY(ts_sweep_name(sweep, second, out, err));
        return ts_text_format(out, err,
                              ") finished with none of its seeds, so they cannot be compared.");
    }
    TS_TRY(ts_text_format(out, err, " It leads the second ("));
    TS_TRY(ts_sweep_name(sweep, second, out, err));
    if (isnan(lead->low)) {
        return ts_text_format(out, err,
                              ") by %.4f. How much of that is noise one run each does not tell: "
                              "--repeats 3 does.",
                              lead->mean);
    }
    for (size_t i = 1; i < sweep->configuration_count; i++) {
        const ts_interval *behind = &sweep->configurations[sweep->order[i]].behind;
        alike += !isnan(behind->low) && behind->low <= 0;
    }
    TS_TRY(
        ts_text_format(out, err,
                       ") by %.4f, with 95 %% confidence %.4f to %.4f: %s than the noise between "
                       "seeds.",
                       lead->mean, lead->low, lead->high, lead->low > 0 ? "more" : "no more"));
    if (alike > 0) {
        TS_TRY(ts_text_format(out, err,
                              " %zu configuration%s cannot be told from it by these runs.", alike,
                              ts_plural(alike)));
    }
out:
    return status;
}

ts_status ts_sweep_verdict(const ts_sweep *sweep, ts_text *out, ts_error *err)
{
    ts_status status = TS_OK;
    const size_t best = ts_sweep_best(sweep), second = ts_sweep_second(sweep);
    if (best == SIZE_MAX) {
        return ts_text_format(out, err, "No run has finished.");
    }
    const ts_interval *loss = &sweep->configurations[best].loss;
    TS_TRY(ts_text_format(out, err, "%s", sweep->configuration_count > 1 ? "Best: " : ""));
    TS_TRY(ts_sweep_name(sweep, best, out, err));
    TS_TRY(ts_text_format(out, err, ": %s %.4f", sweep->measure, loss->mean));
    if (!isnan(loss->low)) {
        TS_TRY(ts_text_format(out, err, " (%.4f to %.4f over %zu seeds)", loss->low, loss->high,
                              sweep->configurations[best].finished));
    }
    TS_TRY(ts_text_format(out, err, "."));
    if (second != SIZE_MAX) {
        TS_TRY(tell_lead(sweep, second, out, err));
    }
out:
    return status;
}
