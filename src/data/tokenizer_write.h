// Writes a tokenizer as Hugging Face's tokenizers read it.
#ifndef TS_DATA_TOKENIZER_WRITE_H
#define TS_DATA_TOKENIZER_WRITE_H

#include "data/tokenizer.h"

// Appends tokenizer.json. Merges have a rank each there: those that have one rank in `tokenizer`,
// as SentencePiece's equal scores give them, are put in the order in which Hugging Face converts
// them, with a warning where they make different pieces.
ts_status ts_tokenizer_write_json(const ts_tokenizer *tokenizer, ts_text *out, ts_error *err);

#endif
