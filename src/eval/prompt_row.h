// One row of the evaluation's data as a prompt; prompts.c reads the file with it.
#ifndef TS_EVAL_PROMPT_ROW_H
#define TS_EVAL_PROMPT_ROW_H

#include "base/json.h"
#include "data/rows.h"
#include "eval/prompts.h"

// Names that mean nothing here, counted, to be warned of together. Starts zeroed.
typedef struct ts_ignored_names {
    ts_text names; // "'a', 'b'", each once, the first few
    size_t count, distinct;
} ts_ignored_names;

typedef struct ts_prompt_reader {
    ts_arena *arena; // what prompts point into
    ts_row row;      // scratch
    ts_text scratch;
    ts_ignored_names categories; // of the user's own
} ts_prompt_reader;
void ts_prompt_reader_free(ts_prompt_reader *reader);

// `name` ("FILE:LINE ('id')") starts the error messages.
ts_status ts_prompt_read(ts_prompt_reader *reader, const cJSON *row, const char *name,
                         ts_prompt *out, ts_error *err);

#endif
