// One row of data as turns, whatever shape its keys give it.
#ifndef TS_DATA_ROWS_H
#define TS_DATA_ROWS_H

#include "base/json.h"
#include "base/memory.h"
#include "data/chat.h"

enum { TS_ROW_MOST_KEYS = 12 };

// What was met in all rows read so far and has no effect, for one warning at the end.
typedef struct ts_row_notes {
    struct {
        char name[48];
        const char *instead; // a known key that may have been meant, or NULL
        size_t count;
    } keys[TS_ROW_MOST_KEYS]; // keys that nobody knows
    size_t key_count, more_keys;
    size_t histories; // rows with earlier turns in a column of their own
} ts_row_notes;

// Starts zeroed and is used for row after row. The turns' text points into the row's JSON or into
// `joined`.
typedef struct ts_row {
    ts_turn *turns;
    size_t count, capacity;
    bool document; // a single turn that is a plain text to learn as it stands
    bool may_ask;  // set by the caller: a row may end in a question, without an answer
    ts_arena
        joined; // texts that were put together: an instruction and its input, a content's parts
    ts_row_notes notes;
} ts_row;
void ts_row_free(ts_row *row);

// Recognises the row's shape; the first of these that is complete, null counting as absent:
//     messages or conversations: [{role or from, content or value}]
//     instruction (+ input, history) and output
//     prompt (+ history) and completion or response, each a text or a list of messages
//     text with <|user|> tags, or where `documents` without: a plain text
// each with a `system` beside it. Content is a text or a list of parts {"type": "text"}. A turn's
// own weight, train or loss of 0 or false masks it. A second complete shape is refused; so is
// whatever has a meaning that is not implemented (tools, images, chosen and rejected, ...). What is
// harmless (id, source, ...) is passed over, anything else is noted in out->notes. `name`
// (FILE:LINE: row N) starts the error messages, all of which are TS_ERR_FORMAT.
ts_status ts_row_read(const cJSON *json, bool documents, const char *name, ts_row *out,
                      ts_error *err);

// Whether one of the keys that give a row its shape is there.
bool ts_row_has_shape(const cJSON *json);

// Appends "KEY (in N rows; did you mean OTHER?), ..." for the keys noted; nothing where there are
// none.
ts_status ts_row_notes_format(const ts_row_notes *notes, ts_text *out, ts_error *err);

#endif
