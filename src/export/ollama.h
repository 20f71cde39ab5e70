// The Modelfile that tells Ollama how to ask the model in a GGUF file.
#ifndef TS_EXPORT_OLLAMA_H
#define TS_EXPORT_OLLAMA_H

#include "export/export.h"

// TS_ERR_ARGUMENT where a Modelfile is beside params->path and must not be replaced, or where
// Ollama does not read the format.
ts_status ts_ollama_check(const ts_export_params *params, ts_error *err);
// Writes the Modelfile beside params->path: FROM and maybe ADAPTER, TEMPLATE, stop words, the
// context's length and the system prompt. Only the templates of TS_CHAT_TEMPLATE_NAMES have a
// translation. With any other, TEMPLATE is left out, with a warning.
ts_status ts_ollama_write(const ts_export_source *source, const ts_export_params *params,
                          ts_error *err);

// Appends the text of the Modelfile to *out.
ts_status ts_ollama_print(const ts_export_source *source, const ts_export_params *params,
                          ts_text *out, ts_error *err);

// Appends to *out the system prompt that all rows of a training file share. Appends nothing where
// rows differ or have none, or where the file cannot be read.
ts_status ts_ollama_find_system(const char *path, ts_text *out, ts_error *err);

#endif
