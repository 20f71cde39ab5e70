// evaluation_screenshot.png: one picture of the whole evaluation, drawn without a display.
#ifndef TS_EVAL_PICTURE_H
#define TS_EVAL_PICTURE_H

#include "eval/report.h"

// Draws title and configuration, the metrics side by side, then a row for each prompt: prompt, base
// answer, the answer of each adapter (without one: prompt and answer). It is 1600 pixels wide and
// at most 12,000 high, unless the evaluation sets another height. Held-out prompts come first, and
// the categories alternate, so that rows that do not fit are missing from all categories alike. The
// last line says how many rows are only in before_after.md. Long texts are cut and end in an
// ellipsis. The same evaluation gives the same bytes.
ts_status ts_picture_png(const ts_evaluation *evaluation, const ts_results *results, ts_text *out,
                         ts_error *err);
ts_status ts_picture_write(const ts_evaluation *evaluation, const ts_results *results,
                           const char *path, ts_error *err);

#endif
