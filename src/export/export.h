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

// Called during long work: `done` of `total` bytes of weights are written.
typedef void (*ts_export_progress)(void *user, uint64_t done, uint64_t total);

typedef struct ts_export_params {
    ts_export_format format;
    const char *path; // the folder or file that is made
    bool overwrite;   // replace what is at `path`
    bool convert;     // weights are stored as `dtype`, otherwise as in the base
    ts_dtype dtype;
    uint64_t shard_bytes;            // TS_EXPORT_HF: a file of weights holds no more than
                                     // this, but for one larger tensor
    const char *name;                // TS_EXPORT_GGUF: what the file calls itself
    const ts_tokenizer *tokenizer;   // of the model
    ts_chat_template *chat_template; // that renders conversations; NULL: there is none
    bool ollama;                     // write a Modelfile beside `path`, for Ollama
    const char *system;              // the Modelfile's system prompt; NULL: none
    ts_export_progress progress;     // may be NULL
    void *user;
} ts_export_params;

// Checks, before long work, whether the export can be done. TS_ERR_ARGUMENT where something is at
// `path` that must not be replaced, or a setting does not fit the format; TS_ERR_IO where the path
// cannot be written.
ts_status ts_export_check(const ts_export_source *source, const ts_export_params *params,
                          ts_error *err);

// Writes the model. What is at `path` is replaced only when all of the new is written. This takes a
// few MiB of host memory and one weight's A in f32, whatever the model's size. TS_ERR_STOPPED: the
// caller asked to stop (base/log.h).
ts_status ts_export_run(const ts_export_source *source, const ts_export_params *params,
                        ts_error *err);

#endif
