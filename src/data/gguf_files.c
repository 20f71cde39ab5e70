// The files of Hugging Face's layout that say what a GGUF file's metadata says.
#include "base/log.h"
#include "data/gguf_model.h"
#include "data/hf_files.h"
#include "data/tokenizer_write.h"
#include "data/weights.h"

#include <stdlib.h>
#include <string.h>

static ts_status write_json(const char *folder, ts_hf_file file, const cJSON *json, ts_error *err)
{
    ts_status status = TS_OK;
    char *text = cJSON_Print(json);
    if (text == NULL) {
        TS_FAIL(TS_ERR_MEMORY, "out of host memory for %s", ts_hf_file_names[file]);
    }
    TS_TRY(ts_file_write_in(folder, ts_hf_file_names[file], text, strlen(text), ts_file_write_plain,
                            err));
out:
    free(text);
    return status;
}

// tokenizer_config.json: the tokens with a role. What is put before a text stands in
// tokenizer.json, and this class takes that file as it is, in every version of transformers.
static ts_status write_tokenizer_config(ts_weights *model, const char *folder, ts_error *err)
{
    ts_status status = TS_OK;
    const cJSON *config;
    cJSON *copy = NULL;
    TS_TRY(ts_weights_read(model, TS_PART_TOKENIZER_CONFIG, &config, NULL, err));
    copy = cJSON_Duplicate(config, true);
    cJSON_DeleteItemFromObjectCaseSensitive(copy, "add_prefix_space");
    cJSON_DeleteItemFromObjectCaseSensitive(copy, "add_bos_token");
    TS_TRY(ts_gguf_json_text(copy, "tokenizer_class", "PreTrainedTokenizerFast", err));
    TS_TRY(ts_gguf_json_bool(copy, "clean_up_tokenization_spaces", false, err));
    TS_TRY(write_json(folder, TS_HF_TOKENIZER_CONFIG, copy, err));
out:
    cJSON_Delete(copy);
    return status;
}

static ts_status write_tokenizer(ts_weights *model, const char *folder, ts_error *err)
{
    ts_status status = TS_OK;
    ts_tokenizer *tokenizer = NULL;
    ts_text text = {0};
    TS_TRY(ts_tokenizer_open(model, &tokenizer, err));
    TS_TRY(ts_tokenizer_write_json(tokenizer, &text, err));
    TS_TRY(ts_file_write_in(folder, ts_hf_file_names[TS_HF_TOKENIZER], text.bytes, text.len,
                            ts_file_write_plain, err));
    TS_TRY(write_tokenizer_config(model, folder, err));
out:
    ts_tokenizer_close(tokenizer);
    ts_text_free(&text);
    return status;
}

// The default template. Others are named in a warning: their names are the file's own words, and
// would become files' names.
static ts_status write_templates(ts_weights *model, const char *folder, ts_error *err)
{
    ts_status status = TS_OK;
    const cJSON *templates, *entry;
    const char *name;
    TS_TRY(ts_weights_templates(model, &templates, &name, err));
    cJSON_ArrayForEach(entry, templates)
    {
        const char *text = entry->valuestring;
        if (strcmp(entry->string, "default") == 0) {
            TS_TRY(ts_file_write_in(folder, ts_hf_file_names[TS_HF_TEMPLATE], text, strlen(text),
                                    ts_file_write_plain, err));
        } else {
            ts_log_once(TS_LOG_WARN, "%s: the chat template '%.40s' is left out", name,
                        entry->string);
        }
    }
out:
    return status;
}

ts_status ts_gguf_write_files(const char *path, const char *folder, ts_error *err)
{
    ts_status status = TS_OK;
    ts_weights *model = NULL;
    const cJSON *json;
    TS_TRY(ts_weights_open(path, &model, err));
    TS_TRY(ts_weights_read(model, TS_PART_CONFIG, &json, NULL, err));
    TS_TRY(write_json(folder, TS_HF_CONFIG, json, err));
    TS_TRY(ts_weights_read(model, TS_PART_GENERATION_CONFIG, &json, NULL, err));
    if (cJSON_GetArraySize(ts_json_get(json, "eos_token_id")) > 0) {
        TS_TRY(write_json(folder, TS_HF_GENERATION_CONFIG, json, err));
    }
    TS_TRY(write_tokenizer(model, folder, err));
    TS_TRY(write_templates(model, folder, err));
out:
    ts_weights_close(model);
    return status;
}
