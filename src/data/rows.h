// Reads one row of data as a list of turns, whatever format its keys select.
#ifndef TS_DATA_ROWS_H
#define TS_DATA_ROWS_H

#include "base/json.h"
#include "base/memory.h"
#include "data/chat.h"

enum { TS_ROW_MOST_KEYS = 12 };

// What was found in the rows read so far and has no effect. Reported in one warning at the end.
typedef struct ts_row_notes {
    struct {
        char name[48];
        const char *instead; // a known key that may have been meant, or NULL
        size_t count;
    } keys[TS_ROW_MOST_KEYS]; // unknown keys
    size_t key_count, more_keys;
    size_t histories; // rows with earlier turns in a key of their own
} ts_row_notes;

// Starts zeroed and is reused for all rows. The text of the turns points into the row's JSON or
// into `joined`.
typedef struct ts_row {
    ts_turn *turns;
    size_t count, capacity;
    bool document; // one turn, a plain text that is trained on as a whole
    bool may_ask;  // set by the caller: the last turn may be a question without an answer
    ts_arena
        joined; // texts that were put together: an instruction and its input, a content's parts
    ts_row_notes notes;
} ts_row;
void ts_row_free(ts_row *row);

// Recognises the format of the row: the first of these that is complete. A key with the value null
// counts as absent.
//     messages or conversations: [{role or from, content or value}]
//     instruction (+ input, history) and output
//     prompt (+ history) and completion or response, each a text or a list of messages
//     text with <|user|> tags, or where `documents` without: a plain text
// Each may have a `system` beside it. Content is a text or a list of parts {"type": "text"}. A
// weight, train or loss of 0 or false masks a turn. Refused are a row that is complete in two
// formats, and any key whose meaning is not implemented (tools, images, ...) or belongs to a pair
// (chosen, rejected). Keys without effect on training (id, source, ...) are ignored. All others are
// counted in out->notes. Error messages start with `name` (FILE:LINE: row N); all errors of a row
// are TS_ERR_FORMAT.
ts_status ts_row_read(const cJSON *json, bool documents, const char *name, ts_row *out,
                      ts_error *err);

// Reads a row for a loss over pairs: {prompt, chosen, rejected} as TRL has it, each a text or a
// list of messages. Where `chosen` begins with a turn that is not the assistant's, both answers are
// whole conversations, and `prompt` is not read. *chosen and *rejected become whole conversations.
// The turns that both begin with are the prompt; only the answers after it are not masked. Other
// keys and errors as in ts_row_read.
ts_status ts_row_read_pair(const cJSON *json, const char *name, ts_row *chosen, ts_row *rejected,
                           ts_error *err);

// Whether the row has one of the keys that select a format.
bool ts_row_has_shape(const cJSON *json);

// Appends "KEY (in N rows; did you mean OTHER?), ..." for the keys counted, or nothing if there are
// none.
ts_status ts_row_notes_format(const ts_row_notes *notes, ts_text *out, ts_error *err);

#endif
