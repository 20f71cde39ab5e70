// An evaluation, as the other files of this floor see it.
#ifndef TS_API_EVALUATION_H
#define TS_API_EVALUATION_H

#include "api/model.h"
#include "eval/generate.h"
#include "eval/setup.h"

// It points to nothing of the model, so the model may be closed first.
struct tinysft_evaluation {
    ts_prompts prompts;
    bool *seen; // [prompts]: in the training data; NULL: that is not known
    ts_answers base, tuned;
    ts_evaluation all; // points into the other members
    ts_results results;
    ts_setup_text setup;
    ts_arena texts;
};

#endif
