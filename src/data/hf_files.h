// What a model's files are called on the Hugging Face hub, and in a folder that came from there.
#ifndef TS_DATA_HF_FILES_H
#define TS_DATA_HF_FILES_H

// All but the weights. Only the configuration must be there, and one of the two tokenizers.
typedef enum ts_hf_file {
    TS_HF_CONFIG,
    TS_HF_GENERATION_CONFIG,
    TS_HF_TOKENIZER,
    TS_HF_TOKENIZER_CONFIG,
    TS_HF_TOKENIZER_MODEL,
    TS_HF_SPECIAL_TOKENS,
    TS_HF_ADDED_TOKENS,
    TS_HF_TEMPLATE,
    TS_HF_TEMPLATE_JSON, // of processors, once
    TS_HF_FILE_COUNT,
} ts_hf_file;

extern const char *const ts_hf_file_names[TS_HF_FILE_COUNT];

// The weights: one file, or an index of several.
#define TS_HF_WEIGHTS "model.safetensors"
#define TS_HF_WEIGHTS_INDEX "model.safetensors.index.json"

#endif
