// The rows of before_after.md's tables that are no counts: how well the first token's probability
// is calibrated, and how long the answers are.
#include "eval/report.h"

#include <math.h>

static ts_status append_estimate(const ts_estimate *e, int decimals, ts_text *out, ts_error *err)
{
    if (!isfinite(e->value)) {
        return ts_text_format(out, err, " – |");
    }
    if (!isfinite(e->low)) {
        return ts_text_format(out, err, " %.*f |", decimals, e->value);
    }
    return ts_text_format(out, err, " %.*f (%.*f to %.*f) |", decimals, e->value, decimals, e->low,
                          decimals, e->high);
}

// The cells of one row: the base's, then each tuned model's and how it differs from the base's.
static ts_status append_cells(const ts_estimate *const *models, size_t count, int decimals,
                              ts_text *out, ts_error *err)
{
    ts_status status = TS_OK;
    for (size_t i = 0; i < count; i++) {
        TS_TRY(append_estimate(models[i], decimals, out, err));
        if (i > 0) {
            TS_TRY(ts_text_format(out, err, " %+.*f |", decimals,
                                  models[i]->value - models[0]->value));
        }
    }
    TS_TRY(ts_text_format(out, err, "\n"));
out:
    return status;
}

ts_status ts_report_estimates(const ts_summary *const *models, size_t count, ts_text *out,
                              ts_error *err)
{
    ts_status status = TS_OK;
    const ts_estimate *cells[TS_MOST_MODELS] = {NULL};
    if (models[0]->calibration.prompts > 0) {
        for (size_t i = 0; i < count; i++) {
            cells[i] = &models[i]->calibration.error;
        }
        TS_TRY(
            ts_text_format(out, err, "| Calibration error of the first token (lower is better) |"));
        TS_TRY(append_cells(cells, count, 3, out, err));
        for (size_t i = 0; i < count; i++) {
            cells[i] = &models[i]->calibration.brier;
        }
        TS_TRY(ts_text_format(out, err, "| Brier score of the first token (lower is better) |"));
        TS_TRY(append_cells(cells, count, 3, out, err));
    }
    for (ts_category c = 0; c < TS_CATEGORY_COUNT; c++) {
        const ts_length *length = &models[0]->lengths[c];
        if (length->prompts == 0) {
            continue;
        }
        TS_TRY(ts_text_format(out, err, "| Words of an answer, %s", ts_category_name(c)));
        TS_TRY(isfinite(length->reference_words)
                   ? ts_text_format(out, err, " (references %.1f) |", length->reference_words)
                   : ts_text_format(out, err, " |"));
        for (size_t i = 0; i < count; i++) {
            cells[i] = &models[i]->lengths[c].words;
        }
        TS_TRY(append_cells(cells, count, 1, out, err));
    }
out:
    return status;
}

ts_status ts_report_estimates_method(const ts_summary *base, ts_text *out, ts_error *err)
{
    return base->calibration.prompts == 0
               ? TS_OK
               : ts_text_format(
                     out, err,
                     "\nCalibration is that of the likeliest first token of an answer, at "
                     "temperature 1, over the %u prompts with a reference: it is right where the "
                     "reference begins with that token. The expected calibration error is the mean "
                     "over ten bins of equal width, weighted by their prompts, of |share right - "
                     "mean probability|; the Brier score is the mean of (probability - 1 if right, "
                     "else 0) squared. Words are counted as a person counts them. The intervals of "
                     "these figures are bootstraps over prompts (2,000 resamples, fixed seed).\n",
                     base->calibration.prompts);
}
