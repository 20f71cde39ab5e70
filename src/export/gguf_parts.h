// What gguf.c and gguf_adapter.c share.
#ifndef TS_EXPORT_GGUF_PARTS_H
#define TS_EXPORT_GGUF_PARTS_H

#include "data/gguf_names.h"
#include "export/write.h"

// TS_ERR_UNSUPPORTED, by name, where llama.cpp has no such family, or it is not written yet.
ts_status ts_export_find_architecture(const ts_export_source *source,
                                      const ts_gguf_architecture **out, ts_error *err);
// TS_ERR_UNSUPPORTED where the model differs in what llama.cpp's code has fixed.
ts_status ts_export_check_recipe(const ts_model_config *config,
                                 const ts_gguf_architecture *architecture, ts_error *err);
// Whether a file may be made at the path.
ts_status ts_export_file_check(const ts_export_params *params, ts_error *err);
// The zeros after a tensor of `len` bytes.
ts_status ts_export_pad(ts_export_writer *writer, uint64_t len, ts_error *err);

#endif
