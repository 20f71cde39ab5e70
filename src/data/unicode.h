// Classes of characters, as the regular expressions of Hugging Face's tokenizers have them, and the
// normal form that some of them ask for.
#ifndef TS_DATA_UNICODE_H
#define TS_DATA_UNICODE_H

#include "data/tokenizer.h"

enum {
    TS_LETTER = 1, // \p{L}
    TS_NUMBER = 2, // \p{N}
    TS_SPACE = 4,  // \s
    TS_WORD = 8,   // \w
    TS_JOINS = 16, // NFC may join it with what stands before it, or replaces it by another
};

// The classes of a code point: any of the above. By Unicode 16, as in Hugging Face's tokenizers
// 0.23.1; TS_JOINS by Unicode 9, as their NFC.
unsigned ts_unicode_classes(int32_t code_point);

// Whether NFC may change text[0..len). True may be wrong, false never is.
bool ts_nfc_may_change(const char *text, size_t len);
// Appends text[0..len), which is valid UTF-8, in the normal form C of Unicode 9. `origins` receives
// for each byte that is appended to `out` the offset in `text` of the character that it comes from.
// Of several characters that NFC may join, that is the first. O(len).
ts_status ts_nfc_append(const char *text, size_t len, ts_text *out, ts_tokens *origins,
                        ts_error *err);

#endif
