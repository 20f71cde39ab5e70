// A model's files, in whatever format they come: its tensors, its configuration, its tokenizer and
// its chat templates. The rest of the program asks here and knows neither formats nor file names.
// Each format is one ts_weights_format (weights_parts.h), in a file of its own (weights_hf.c: a
// folder as Hugging Face lays it out; weights_gguf.c: one file as llama.cpp has it).
#ifndef TS_DATA_WEIGHTS_H
#define TS_DATA_WEIGHTS_H

#include "base/digest.h"
#include "base/json.h"
#include "data/tensors.h"

typedef struct ts_weights ts_weights;

// What a model's files say besides the tensors, as the JSON objects of Hugging Face's files of
// these names. Another format makes the same objects from its own metadata.
typedef enum ts_weights_part {
    TS_PART_CONFIG,            // config.json
    TS_PART_GENERATION_CONFIG, // generation_config.json
    TS_PART_TOKENIZER_CONFIG,  // tokenizer_config.json
    TS_PART_SPECIAL_TOKENS,    // special_tokens_map.json
    TS_PART_ADDED_TOKENS,      // added_tokens.json
    TS_PART_COUNT,
} ts_weights_part;

// Finds the format of the model at `path`, and reads nothing else yet. TS_ERR_IO where there is no
// model in a known format. Everything that the calls below give belongs to *out, and is read from
// its file at most once.
ts_status ts_weights_open(const char *path, ts_weights **out, ts_error *err);
void ts_weights_close(ts_weights *weights); // NULL is fine

const char *ts_weights_path(const ts_weights *weights); // as it was opened

// *part is NULL where the model has none of the kind; only the config must be there. *name (may be
// NULL) is what messages call it: the path of its file.
ts_status ts_weights_read(ts_weights *weights, ts_weights_part which, const cJSON **part,
                          const char **name, ts_error *err);

// The tensors, under the names that Hugging Face has for them. Only their headers are read.
ts_status ts_weights_tensors(ts_weights *weights, const ts_tensors **out, ts_error *err);

// The model's chat templates, as {name: text}; empty where it has none. *name is where the one
// called "default" was found.
ts_status ts_weights_templates(ts_weights *weights, const cJSON **templates, const char **name,
                               ts_error *err);

// SHA-256, as hex, of everything that the tokenizer is read from.
ts_status ts_weights_hash_tokenizer(const ts_weights *weights, char hash[TS_DIGEST_TEXT_BYTES],
                                    ts_error *err);

// Copies everything but the tensors into `folder`, as files in Hugging Face's layout, or makes
// these of a GGUF file's metadata. The folder exists and is still temporary (ts_file_write_plain).
ts_status ts_weights_copy_files(const ts_weights *weights, const char *folder, ts_error *err);

#endif
