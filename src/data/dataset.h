// Training data: a JSON array or JSON lines. The keys of a row decide its format (see README.md).
#ifndef TS_DATA_DATASET_H
#define TS_DATA_DATASET_H

#include "data/chat.h"

// Stands between the turns of ts_example.prompt: ASCII's record separator.
#define TS_TURN_SEPARATOR '\x1e'

// One row, tokenised for training. ids and supervised have `count` entries. supervised[t] says that
// ids[t] is a target, predicted from position t - 1.
typedef struct ts_example {
    const uint32_t *ids;
    const uint8_t *supervised;
    uint32_t count;
    uint32_t supervised_count; // how many of supervised[1..] are set
    uint32_t line;             // on which the row starts in the file; the first is 1
    // The user's turns, TS_TURN_SEPARATOR between them; evaluation reports whether training saw a
    // prompt.
    const char *prompt;
} ts_example;

typedef struct ts_dataset {
    ts_example *examples;
    size_t count;
    size_t truncated; // rows cut to max_tokens
    size_t skipped;   // rows without anything to train on
    size_t escaped;   // turns whose text contains the characters of a special token
    uint64_t token_count, supervised_count;
    bool pairs;           // examples come in twos: a chosen answer, then the rejected one
    const char *rendered; // the first conversation as the template renders it, or NULL
    size_t rendered_len;
    struct ts_dataset_memory *memory;
} ts_dataset;

// Which tokens of a row are trained on.
typedef enum ts_train_on {
    TS_TRAIN_ON_ASSISTANT, // all answers that are not masked (ts_chat_encode)
    TS_TRAIN_ON_LAST,      // the last answer of a conversation alone
    TS_TRAIN_ON_ALL,       // every token after the first
    TS_TRAIN_ON_COUNT,
} ts_train_on;
const char *ts_train_on_name(ts_train_on train_on); // "assistant", "last", "all"
ts_status ts_train_on_parse(const char *name, ts_train_on *out, ts_error *err);

typedef struct ts_dataset_options {
    uint32_t max_tokens; // in one row
    ts_train_on train_on;
    bool pairs;       // each row is a pair of answers (ts_row_read_pair)
    bool train_empty; // train on blank answers, so that the model learns to say nothing
} ts_dataset_options;

// Reads and tokenises the file `path`. A row longer than max_tokens is cut. A row without anything
// to train on is skipped: no answer within the limit, only blank answers, or all answers masked.
// There is one warning for each of these, with the number of rows. With TS_TRAIN_ON_ALL a masked
// answer is an error, because the two contradict each other. Errors are collected over the whole
// file and reported together (base/mistakes.h). They are TS_ERR_FORMAT, and so is a file in which
// no row is left. Release *out with ts_dataset_close.
ts_status ts_dataset_open(const char *path, const ts_tokenizer *tokenizer,
                          ts_chat_template *template, const ts_dataset_options *options,
                          ts_dataset *out, ts_error *err);
void ts_dataset_close(ts_dataset *dataset);

#endif
