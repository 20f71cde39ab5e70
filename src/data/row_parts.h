// What the files that read a row share.
#ifndef TS_DATA_ROW_PARTS_H
#define TS_DATA_ROW_PARTS_H

#include "data/rows.h"

typedef struct ts_row_reader {
    ts_row *row;
    bool documents;
    const char *name; // of the row, for messages
    bool system;      // the first turn came from a column of its own
    ts_error *err;
} ts_row_reader;

// The member, or NULL where it is absent or null.
const cJSON *ts_row_member(const cJSON *object, const char *key);
ts_status ts_row_add_turn(ts_row_reader *r, ts_turn turn);

// ---- Keys (row_keys.c)

// Judges all members of `object` but those in `known` (NULL-terminated): refuses what has a meaning
// that is not implemented, notes what nobody knows. `place` starts the message. Values of
// `learning` keys (weight, train, loss, ...) are judged by ts_row_read_trained instead.
ts_status ts_row_check_keys(ts_row_reader *r, const cJSON *object, const char *const *known,
                            const char *place);
// What keys say whether a turn is to be learnt. *said: whether one says so at all.
ts_status ts_row_read_trained(ts_row_reader *r, const cJSON *object, const char *place, bool *said,
                              bool *learnt);
// "PLACE: WHAT; it has: question, answer; did you mean prompt, completion?", suggesting of `known`.
ts_status ts_row_refuse_missing(ts_row_reader *r, const cJSON *object, const char *const *known,
                                const char *place, const char *what);

// ---- Turns (row_turns.c)

// The text of a content: a string, or a list of parts {"type": "text", "text"}.
ts_status ts_row_content(ts_row_reader *r, const cJSON *value, const char *place, const char *key,
                         const char **text, size_t *len);
// [{role, content}, ...] of row key `key`. In a prompt the answers are given, not learnt; a
// completion holds nothing but answers.
typedef enum ts_row_list { TS_ROW_TURNS, TS_ROW_PROMPT, TS_ROW_COMPLETION } ts_row_list;
ts_status ts_row_read_turns(ts_row_reader *r, const cJSON *turns, const char *key,
                            ts_row_list kind);

// ---- Text with tags (row_text.c)
ts_status ts_row_read_text(ts_row_reader *r, const cJSON *json);

#endif
