// What gguf.c and gguf_adapter.c share.
#ifndef TS_EXPORT_GGUF_PARTS_H
#define TS_EXPORT_GGUF_PARTS_H

#include "data/gguf_names.h"
#include "export/write.h"

// Finds the architecture that llama.cpp has for the model's family. TS_ERR_UNSUPPORTED names a
// family that llama.cpp lacks, or that is not written here yet.
ts_status ts_export_find_architecture(const ts_export_source *source,
                                      const ts_gguf_architecture **out, ts_error *err);
// TS_ERR_UNSUPPORTED where the model differs from a rule that llama.cpp's code has for the
// architecture and that no key of the file can change, such as which layers have a window.
ts_status ts_export_check_recipe(const ts_model_config *config,
                                 const ts_gguf_architecture *architecture, ts_error *err);
// Checks that a file can be written to params->path. TS_ERR_ARGUMENT where something is there that
// must not be replaced.
ts_status ts_export_file_check(const ts_export_params *params, ts_error *err);
// Writes the zeros that pad a tensor of `len` bytes to TS_GGUF_ALIGNMENT.
ts_status ts_export_pad(ts_export_writer *writer, uint64_t len, ts_error *err);

#endif
