// evaluation_screenshot.png: the whole evaluation at a glance, drawn without a display.
#ifndef TS_EVAL_PICTURE_H
#define TS_EVAL_PICTURE_H

#include "eval/report.h"

// Title and configuration, the metrics side by side, then a row a prompt: prompt, base answer,
// fine-tuned answer (without a tuned model: prompt and answer). 1600 pixels wide, at most 12,000
// high, or what the evaluation asks for. Held-out prompts come first and the categories take turns,
// so that what does not fit is missing evenly; the last line says how many rows stand only in
// before_after.md. Long texts are cut with a mark. The same evaluation gives the same bytes.
ts_status ts_picture_png(const ts_evaluation *evaluation, const ts_results *results, ts_text *out,
                         ts_error *err);
ts_status ts_picture_write(const ts_evaluation *evaluation, const ts_results *results,
                           const char *path, ts_error *err);

#endif
