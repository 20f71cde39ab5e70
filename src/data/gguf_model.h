// A GGUF file's metadata as the JSON files of Hugging Face that say the same. The caller frees what
// is given with cJSON_Delete.
#ifndef TS_DATA_GGUF_MODEL_H
#define TS_DATA_GGUF_MODEL_H

#include "base/json.h"
#include "data/gguf.h"
#include "data/gguf_names.h"
#include "data/tokenizer.h"

// The architecture of a file that holds a whole model. TS_ERR_UNSUPPORTED names an architecture
// that is not known, and a file that holds an adapter or something else.
ts_status ts_gguf_find_architecture(const ts_gguf *file, const ts_gguf_architecture **out,
                                    ts_error *err);

// config.json. A key of the architecture that asks for something not implemented is
// TS_ERR_UNSUPPORTED; keys that are not known are named in a warning.
ts_status ts_gguf_config(const ts_gguf *file, cJSON **out, ts_error *err);
// How many rows of q and k belong to one head, which ts_gguf_row needs. From the same metadata.
ts_status ts_gguf_head_dim(const ts_gguf *file, uint32_t *out, ts_error *err);
// generation_config.json: the tokens that end an answer.
ts_status ts_gguf_generation_config(const ts_gguf *file, cJSON **out, ts_error *err);
// tokenizer_config.json: the tokens that have a role.
ts_status ts_gguf_tokenizer_config(const ts_gguf *file, cJSON **out, ts_error *err);
// The chat templates: adds {name: text} of each.
ts_status ts_gguf_templates(const ts_gguf *file, cJSON *templates, ts_error *err);
// Fills a tokenizer with the file's pieces, merges and added tokens.
ts_status ts_gguf_fill_tokenizer(const ts_gguf *file, ts_tokenizer *tokenizer, ts_error *err);

// Writes config.json, generation_config.json, the tokenizer's files and the chat template of the
// model at `path` into `folder`.
ts_status ts_gguf_write_files(const char *path, const char *folder, ts_error *err);

// Add a member to an object. TS_ERR_MEMORY where host memory runs out.
ts_status ts_gguf_json_text(cJSON *object, const char *key, const char *text, ts_error *err);
ts_status ts_gguf_json_number(cJSON *object, const char *key, double number, ts_error *err);
ts_status ts_gguf_json_bool(cJSON *object, const char *key, bool value, ts_error *err);

#endif
