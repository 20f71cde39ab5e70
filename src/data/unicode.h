// Classes of characters, as the regular expressions of Hugging Face's tokenizers have them, and the
// normal form that some of them ask for.
#ifndef TS_DATA_UNICODE_H
#define TS_DATA_UNICODE_H

#include "data/tokenizer.h"

enum {
    TS_LETTER = 1, // \p{L}
    TS_NUMBER = 2, // \p{N}
    TS_SPACE = 4,  // \s
    TS_WORD = 8,   // \w, of which a word is made
    TS_JOINS = 16, // NFC may join it with what stands before it, or replaces it by another
};

// The classes of a code point: any of the above. Of Unicode 16, as in tokenizers 0.23.1; TS_JOINS
// is of Unicode 9, as its NFC.
unsigned ts_unicode_classes(int32_t code_point);

// Whether NFC may change text[0..len). False is certain.
bool ts_nfc_may_change(const char *text, size_t len);
// Appends text[0..len), which is valid UTF-8, in the normal form C of Unicode 9. `origins` receives
// for each byte that is appended to `out` the offset in `text` of the character that it comes from;
// of characters that were looked at together, since NFC may join them, the offset of the first.
// O(len).
ts_status ts_nfc_append(const char *text, size_t len, ts_text *out, ts_tokens *origins,
                        ts_error *err);

#endif
