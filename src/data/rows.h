// One row of training data as turns, whatever shape its keys give it.
#ifndef TS_DATA_ROWS_H
#define TS_DATA_ROWS_H

#include "base/json.h"
#include "data/chat.h"

// Starts zeroed; the turns' text points into the row's JSON or into `text`.
typedef struct ts_row {
    ts_turn *turns;
    size_t count, capacity;
    bool document; // a single turn that is a plain text to learn as it stands
    ts_text text;  // an instruction joined with its input
} ts_row;
void ts_row_free(ts_row *row);

// Recognises the row's shape; the first of these whose keys stand in it:
//     messages: [{role, content}], conversations: [{from, value}], instruction (+ input, system)
//     / output, prompt (+ system) / completion or response, text with <|user|> tags.
// A text without tags is a document where `documents`, otherwise refused. `name` (FILE:LINE)
// starts the error messages.
ts_status ts_row_read(const cJSON *json, bool documents, const char *name, ts_row *out,
                      ts_error *err);

#endif
