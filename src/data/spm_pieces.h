// A vocabulary of pieces with scores: SentencePiece's tokenizer.model, and GGUF files of such
// models.
#ifndef TS_DATA_SPM_PIECES_H
#define TS_DATA_SPM_PIECES_H

#include "data/vocabulary.h"

// What a piece is: the numbers are those in SentencePiece's files and in GGUF's
// tokenizer.ggml.token_type.
typedef enum ts_spm_type {
    TS_SPM_NORMAL = 1,
    TS_SPM_UNKNOWN = 2,
    TS_SPM_CONTROL = 3,
    TS_SPM_USER_DEFINED = 4, // found in the text before any merge
    TS_SPM_UNUSED = 5,
    TS_SPM_BYTE = 6,
} ts_spm_type;

typedef struct ts_spm_piece {
    const char *bytes; // valid UTF-8
    uint32_t len;      // not 0
    float score;       // finite
    uint32_t type;     // ts_spm_type
} ts_spm_piece;

// Fills a tokenizer with pieces, whose ids are their indices, and with the merges that follow from
// their scores. With `ties`, of merges with equal scores the leftmost in the text comes first, as
// in SentencePiece and llama.cpp. Otherwise the one with the longer left side comes first, as in
// what Hugging Face converts. Errors do not name the file.
ts_status ts_spm_add_pieces(ts_tokenizer *tokenizer, const ts_spm_piece *pieces, size_t count,
                            bool ties, ts_error *err);

#endif
