// Takes a model to other programs, merged with an adapter or not. To add a format: a row in
// export.c and a file with its two functions.
#ifndef TS_EXPORT_EXPORT_H
#define TS_EXPORT_EXPORT_H

#include "data/template.h"
#include "export/source.h"

typedef enum ts_export_format {
    TS_EXPORT_HF,   // a folder in Hugging Face's layout: safetensors, config, tokenizer, templates
    TS_EXPORT_GGUF, // one file for llama.cpp and what is built on it
    TS_EXPORT_GGUF_ADAPTER, // the adapter alone, for the same programs
    TS_EXPORT_FORMAT_COUNT,
} ts_export_format;

const char *ts_export_format_name(size_t index); // "hf"; NULL after the last
bool ts_export_format_parse(const char *name, ts_export_format *out);

// What long work tells: `done` of `total` bytes of weights are written. May be NULL.
typedef void (*ts_export_progress)(void *user, uint64_t done, uint64_t total);

typedef struct ts_export_params {
    ts_export_format format;
    const char *path; // the folder or file that is made
    bool overwrite;   // what is there is replaced
    bool convert;     // weights are stored as `dtype`, otherwise as in the base
    ts_dtype dtype;
    uint64_t shard_bytes;            // TS_EXPORT_HF: a file of weights holds no more than
                                     // this, but for one larger tensor
    const char *name;                // TS_EXPORT_GGUF: what the file calls itself
    const ts_tokenizer *tokenizer;   // of the model
    ts_chat_template *chat_template; // what conversations are asked in; NULL: there is none
    bool ollama;                     // a Modelfile beside it, for Ollama
    const char *system;              // the system prompt that goes into it; NULL: none
    ts_export_progress progress;
    void *user;
} ts_export_params;

// Checks, before long work, whether the export can be done. TS_ERR_ARGUMENT where something is at
// `path` that must not be replaced, or a setting does not fit the format; TS_ERR_IO where the path
// cannot be written.
ts_status ts_export_check(const ts_export_source *source, const ts_export_params *params,
                          ts_error *err);

// Writes the model. What is at `path` changes only when all of the new is there. The host needs a
// few MiB and one row of B A, whatever the model's size. TS_ERR_STOPPED: the caller asked for it.
ts_status ts_export_run(const ts_export_source *source, const ts_export_params *params,
                        ts_error *err);

#endif
