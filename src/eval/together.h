// Answers that several ranks make, each those to its part of the prompts.
#ifndef TS_EVAL_TOGETHER_H
#define TS_EVAL_TOGETHER_H

#include "base/ranks.h"
#include "eval/generate.h"

// ts_answers_make of ranks that all call it, of the same prompts (NULL: one alone). Afterwards all
// have all answers. A prompt is answered in another group than on one rank, so that the last bit of
// a probability, and with it a word, may differ from what one rank answers.
ts_status ts_answers_make_together(ts_ranks *ranks, ts_model *model, const ts_questions *questions,
                                   const ts_answer_params *params, ts_answers *out, ts_error *err);

#endif
