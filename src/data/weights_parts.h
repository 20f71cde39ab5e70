// Internal to weights.h: what each format implements. To add a format, write one file with a
// ts_weights_format and name it in weights.c.
#ifndef TS_DATA_WEIGHTS_PARTS_H
#define TS_DATA_WEIGHTS_PARTS_H

#include "base/text.h"
#include "data/tokenizer.h"
#include "data/weights.h"

// Each call reads anew what it is asked for; weights.c keeps it. `name` receives what messages call
// the place it came from.
typedef struct ts_weights_format {
    // Whether `path` is such a model.
    bool (*is_at)(const char *path);
    // *part stays NULL where there is none.
    ts_status (*read)(const char *path, ts_weights_part which, cJSON **part, ts_text *name,
                      ts_error *err);
    ts_status (*open_tensors)(const char *path, ts_tensors **out, ts_error *err);
    // Fills the tokenizer with its pieces, merges and added tokens. *plain: what was read says
    // little about added tokens, so that the parts beside it decide more.
    ts_status (*fill_tokenizer)(const char *path, ts_tokenizer *tokenizer, bool *plain,
                                ts_text *name, ts_error *err);
    // Adds {name: text} of each chat template.
    ts_status (*read_templates)(ts_weights *weights, cJSON *templates, ts_text *name,
                                ts_error *err);
    // Adds everything that the tokenizer is read from to the digest.
    ts_status (*add_tokenizer)(const char *path, ts_digest *digest, ts_error *err);
    // See ts_weights_copy_files.
    ts_status (*copy_files)(const char *path, const char *folder, ts_error *err);
} ts_weights_format;

extern const ts_weights_format ts_weights_hf, ts_weights_gguf;

// Calls `fill_tokenizer` of the model's format.
ts_status ts_weights_fill_tokenizer(const ts_weights *weights, ts_tokenizer *tokenizer, bool *plain,
                                    ts_text *name, ts_error *err);

#endif
