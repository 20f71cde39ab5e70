// Internal to the reader of tokenizer.json: its state, and a reader for each step around the model.
// A step is either done as Hugging Face's tokenizers do it, or refused by name.
#ifndef TS_DATA_TOKENIZER_PARTS_H
#define TS_DATA_TOKENIZER_PARTS_H

#include "data/vocabulary.h"

typedef struct ts_tokenizer_reading {
    ts_tokenizer *tokenizer;
    const char *path;
    ts_error *err;
} ts_tokenizer_reading;

// They are called in this order: the first three before the vocabulary is read, the last one after
// it.
ts_status ts_tokenizer_read_normalizer(ts_tokenizer_reading *r, const cJSON *value);
ts_status ts_tokenizer_read_pre_tokenizer(ts_tokenizer_reading *r, const cJSON *value);
ts_status ts_tokenizer_read_decoder(ts_tokenizer_reading *r, const cJSON *value);
ts_status ts_tokenizer_read_post_processor(ts_tokenizer_reading *r, const cJSON *value);

#endif
