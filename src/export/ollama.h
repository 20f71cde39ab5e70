// The Modelfile that tells Ollama how a GGUF file is to be asked.
#ifndef TS_EXPORT_OLLAMA_H
#define TS_EXPORT_OLLAMA_H

#include "export/export.h"

// TS_ERR_ARGUMENT where a Modelfile is beside params->path and must not be replaced, or the format
// is none that Ollama takes.
ts_status ts_ollama_check(const ts_export_params *params, ts_error *err);
// Writes the Modelfile beside params->path: FROM and maybe ADAPTER, TEMPLATE, stop words, the
// context's length and the system prompt. Warns where the chat template is none of
// TS_CHAT_TEMPLATE_NAMES, of which alone there is a translation.
ts_status ts_ollama_write(const ts_export_source *source, const ts_export_params *params,
                          ts_error *err);

// Appends the Modelfile's text.
ts_status ts_ollama_print(const ts_export_source *source, const ts_export_params *params,
                          ts_text *out, ts_error *err);

// Sets *out to the system prompt that every row of this training file has, or leaves it empty where
// there is none, or rows differ, or the file cannot be read.
ts_status ts_ollama_find_system(const char *path, ts_text *out, ts_error *err);

#endif
