// Reads one row of the evaluation's data as a prompt. prompts.c reads the file with it.
#ifndef TS_EVAL_PROMPT_ROW_H
#define TS_EVAL_PROMPT_ROW_H

#include "base/json.h"
#include "data/rows.h"
#include "eval/prompts.h"

// Unknown names, counted so that one warning can list them. Starts zeroed.
typedef struct ts_ignored_names {
    ts_text names; // "'a', 'b'", the first few, each once
    size_t count, distinct;
} ts_ignored_names;

typedef struct ts_prompt_reader {
    ts_arena *arena; // holds the memory of the prompts
    ts_row row;      // scratch
    ts_text scratch;
    ts_ignored_names categories; // categories that the user invented
} ts_prompt_reader;
void ts_prompt_reader_free(ts_prompt_reader *reader);

// Error messages start with `name` ("FILE:LINE ('id')").
ts_status ts_prompt_read(ts_prompt_reader *reader, const cJSON *row, const char *name,
                         ts_prompt *out, ts_error *err);

#endif
