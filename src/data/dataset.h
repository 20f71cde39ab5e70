// Training data: a JSON array or JSON lines, each row recognised by its keys (see the README).
#ifndef TS_DATA_DATASET_H
#define TS_DATA_DATASET_H

#include "data/chat.h"

// One row, ready to train on. ids and supervised have `count` entries; supervised[t] says that
// ids[t] is a target (predicted from position t - 1).
typedef struct ts_example {
    const uint32_t *ids;
    const uint8_t *supervised;
    uint32_t count;
    uint32_t supervised_count; // entries of supervised[1..] that are set
    uint32_t line;             // where the row starts in the file, from 1
    const char *prompt;        // text of the last user turn, for "seen in training"
} ts_example;

typedef struct ts_dataset {
    ts_example *examples;
    size_t count;
    size_t truncated; // rows cut to max_tokens
    size_t skipped;   // rows that nothing is learnt from
    size_t escaped;   // turns whose text spells a special token
    uint64_t token_count, supervised_count;
    const char *rendered; // the first conversation as the template renders it, or NULL
    size_t rendered_len;
    struct ts_dataset_memory *memory;
} ts_dataset;

typedef struct ts_dataset_options {
    uint32_t max_tokens; // of a row
    bool train_empty;    // blank answers are learnt: to say nothing
} ts_dataset_options;

// Reads and tokenises `path`. Rows longer than the limit are cut. Rows of which nothing can be
// learnt (no answer within the limit, only empty answers, all marked not to be learnt) are skipped.
// Each kind is counted in one warning. Mistakes are gathered over the whole file (base/mistakes.h);
// they, a file without rows and one of which no row is left are TS_ERR_FORMAT.
ts_status ts_dataset_open(const char *path, const ts_tokenizer *tokenizer,
                          ts_chat_template *template, const ts_dataset_options *options,
                          ts_dataset *out, ts_error *err);
void ts_dataset_close(ts_dataset *dataset);

#endif
