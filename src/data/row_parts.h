// Internal interfaces of the files that read one row (rows.c, row_*.c).
#ifndef TS_DATA_ROW_PARTS_H
#define TS_DATA_ROW_PARTS_H

#include "data/rows.h"

typedef struct ts_row_reader {
    ts_row *row;
    bool documents;
    const char *name; // of the row, for messages
    bool system;      // the first turn came from the row's own `system` key
    ts_error *err;
} ts_row_reader;

// The member of that key, or NULL if it is absent or null.
const cJSON *ts_row_member(const cJSON *object, const char *key);
ts_status ts_row_add_turn(ts_row_reader *r, ts_turn turn);

// ---- Keys (row_keys.c)

// Checks all members of `object` except those in `known` (NULL-terminated). A key whose meaning is
// not implemented is an error, an unknown key is counted in the row's notes. Error messages start
// with `place`. Keys that say what to train on (weight, train, loss, ...) are left to
// ts_row_read_trained.
ts_status ts_row_check_keys(ts_row_reader *r, const cJSON *object, const char *const *known,
                            const char *place);
// Whether the members of `object` say that a turn is trained on. *said: whether any member says so
// at all.
ts_status ts_row_read_trained(ts_row_reader *r, const cJSON *object, const char *place, bool *said,
                              bool *trained);
// The error of a missing key: "PLACE: WHAT; it has: question, answer; did you mean prompt,
// completion?". The suggestions are taken from `known`.
ts_status ts_row_refuse_missing(ts_row_reader *r, const cJSON *object, const char *const *known,
                                const char *place, const char *what);

// ---- Turns (row_turns.c)

// The text of a message's content: a string, or a list of parts {"type": "text", "text"}.
ts_status ts_row_content(ts_row_reader *r, const cJSON *value, const char *place, const char *key,
                         const char **text, size_t *len);
// Reads [{role, content}, ...] from the row's key `key`. Answers in a prompt are not trained on. A
// completion contains answers only.
typedef enum ts_row_list { TS_ROW_TURNS, TS_ROW_PROMPT, TS_ROW_COMPLETION } ts_row_list;
ts_status ts_row_read_turns(ts_row_reader *r, const cJSON *turns, const char *key,
                            ts_row_list kind);

// ---- Text with tags (row_text.c)
ts_status ts_row_read_text(ts_row_reader *r, const cJSON *json);

#endif
