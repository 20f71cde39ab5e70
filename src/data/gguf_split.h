// A model in several GGUF files, as llama-gguf-split makes them: NAME-00001-of-00003.gguf and so
// on. The first has the metadata, and each has some of the tensors.
#ifndef TS_DATA_GGUF_SPLIT_H
#define TS_DATA_GGUF_SPLIT_H

#include "data/gguf.h"

// Whether a path ends as a piece's name does. *number is from 1 to *count.
bool ts_gguf_split_parse(const char *path, uint32_t *number, uint32_t *count);
// Replaces *out by the path of piece `number` beside `path`, which is a piece's.
ts_status ts_gguf_split_path(const char *path, uint32_t number, ts_text *out, ts_error *err);

// As ts_gguf_open, for a file that holds a model or is the first piece of one: all pieces' tensors
// are found in *out. TS_ERR_ARGUMENT: another piece than the first. TS_ERR_IO: a piece is missing.
// TS_ERR_FORMAT: the pieces do not belong together; it names the one that differs.
ts_status ts_gguf_open_model(const char *path, ts_gguf **out, ts_error *err);

#endif
