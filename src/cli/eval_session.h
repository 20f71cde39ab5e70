// One evaluation, from its flags to its reports: what the files of `eval` share.
#ifndef TS_CLI_EVAL_SESSION_H
#define TS_CLI_EVAL_SESSION_H

#include "base/json.h"
#include "base/memory.h"
#include "data/adapter.h"
#include "data/chat.h"
#include "eval/generate.h"
#include "eval/report.h"

#define TS_EVAL_DATA "data/eval.json" // the prompts where neither --data nor --prompt is given

enum { TS_EVAL_QUESTIONS = 64 };

// The flags' values.
struct eval_options {
    const char *model, *revision, *adapter, *data, *train_data, *output_dir, *png, *json, *template,
        *title, *precision, *quantize;
    bool eight_bit;
    const char *questions[TS_EVAL_QUESTIONS]; // --prompt
    size_t question_count;
    uint64_t max_new_tokens, png_height, examples;
    bool profile;
    ts_text config; // eval_run.json
    ts_gpu_params device;
};

// Everything of one evaluation, freed together.
struct eval_session {
    struct eval_options *options;
    ts_text folder; // of the model
    ts_weights *weights;
    ts_adapter_config adapter; // r is 0 without one
    cJSON *training, *state;   // the adapter folder's training.json, trainer_state.json; or NULL
    ts_tokenizer *tokenizer;
    ts_chat_template *template;
    ts_model_config config;
    ts_dtype quantise; // TS_F32: the base is held as it is stored
    ts_prompts prompts;
    ts_questions questions;
    bool *seen; // [prompts.count] whether training saw it; NULL: not known
    ts_gpu *gpu;
    ts_profile profile;
    ts_model model;
    ts_answers base, tuned;
    ts_arena arena; // the reports' texts and paths
};

// Reads everything that `options` names, opens the device and uploads the model.
ts_status ts_cli_eval_open(struct eval_session *s, ts_error *err);
void ts_cli_eval_close(struct eval_session *s);

// Decides where the results go and checks that they can be written there. Called before the work,
// so that no results are lost.
ts_status ts_cli_eval_prepare_output(struct eval_session *s, ts_error *err);
// Computes the metrics of the answers, writes the reports, and prints the results.
ts_status ts_cli_eval_report(struct eval_session *s, ts_error *err);

#endif
