// An evaluation, as the other files of this floor see it.
#ifndef TS_API_EVALUATION_H
#define TS_API_EVALUATION_H

#include "api/model.h"
#include "eval/generate.h"
#include "eval/setup.h"
#include "eval/together.h"

// An adapter that is asked beside the model's own.
typedef struct ts_api_adapter {
    ts_text folder;
    ts_adapter_config config;
    cJSON *training, *state; // its folder's training.json, trainer_state.json; or NULL
} ts_api_adapter;

// Where it stands. Once it has run it points to nothing of the model, which may be closed first.
struct tinysft_evaluation {
    tinysft_model *model; // that it keeps until it has run; then NULL
    ts_prompts prompts;
    ts_questions questions; // the prompts as tokens; freed when it has run
    uint32_t max_new_tokens;
    ts_ranks *ranks; // among which the prompts are dealt, borrowed; NULL: one alone
    const struct tinysft_evaluation *base_answers; // whose base answers are this one's; or NULL
    bool *seen;    // [prompts]: in the training data; NULL: that is not known
    bool finished; // what follows is there
    ts_api_adapter others[TS_MOST_ADAPTERS - 1]; // [adapters - 1]
    size_t adapters;                             // the model's own and the others
    ts_answers base, tuned[TS_MOST_ADAPTERS];
    ts_tuned named[TS_MOST_ADAPTERS]; // [adapters] the latter, with their names
    ts_evaluation all;                // points into the other members
    ts_results results;
    ts_setup_text setup;
    ts_arena texts;
};

// TS_ERR_ARGUMENT if there is no evaluation, or it has no results.
ts_status ts_api_need_results(const tinysft_evaluation *evaluation, ts_error *err);

#endif
