// An evaluation, as the other files of this floor see it.
#ifndef TS_API_EVALUATION_H
#define TS_API_EVALUATION_H

#include "api/model.h"
#include "eval/generate.h"
#include "eval/setup.h"

// Where it stands. Once it has run it points to nothing of the model, which may be closed first.
struct tinysft_evaluation {
    tinysft_model *model; // that it keeps until it has run; then NULL
    ts_prompts prompts;
    ts_questions questions; // the prompts as tokens; freed when it has run
    uint32_t max_new_tokens;
    bool *seen;    // [prompts]: in the training data; NULL: that is not known
    bool finished; // what follows is there
    ts_answers base, tuned;
    ts_evaluation all; // points into the other members
    ts_results results;
    ts_setup_text setup;
    ts_arena texts;
};

// TS_ERR_ARGUMENT if there is no evaluation, or it has no results.
ts_status ts_api_need_results(const tinysft_evaluation *evaluation, ts_error *err);

#endif
