// An evaluation, as the other files of this floor see it.
#ifndef TS_API_EVALUATION_H
#define TS_API_EVALUATION_H

#include "api/model.h"
#include "eval/generate.h"
#include "eval/report.h"

enum { TS_API_SETTINGS = 16 };

// It points to nothing of the model, so the model may be closed first.
struct tinysft_evaluation {
    ts_prompts prompts;
    bool *seen; // [prompts]: in the training data; NULL: that is not known
    ts_answers base, tuned;
    ts_evaluation all; // points into the other members
    ts_results results;
    ts_setting settings[TS_API_SETTINGS];
    ts_arena texts;
};

// The configuration that the reports show, and their title.
ts_status ts_api_describe(tinysft_evaluation *evaluation, const tinysft_model *model,
                          uint32_t max_new_tokens, ts_error *err);

#endif
