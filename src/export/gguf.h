// Models and adapters as GGUF files, for llama.cpp and what is built on it.
#ifndef TS_EXPORT_GGUF_H
#define TS_EXPORT_GGUF_H

#include "export/export.h"

// ts_export_check and ts_export_run for TS_EXPORT_GGUF and TS_EXPORT_GGUF_ADAPTER.
ts_status ts_export_gguf_check(const ts_export_source *source, const ts_export_params *params,
                               ts_error *err);
ts_status ts_export_gguf(const ts_export_source *source, const ts_export_params *params,
                         ts_error *err);
ts_status ts_export_gguf_adapter_check(const ts_export_source *source,
                                       const ts_export_params *params, ts_error *err);
ts_status ts_export_gguf_adapter(const ts_export_source *source, const ts_export_params *params,
                                 ts_error *err);

#endif
