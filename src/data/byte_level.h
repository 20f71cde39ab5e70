// The alphabet in which a byte-level BPE spells its pieces: a character for each byte, as OpenAI's
// GPT-2 has it. A printable byte is the character with that code point. The others are U+0100 and
// up, in order: a space is U+0120.
#ifndef TS_DATA_BYTE_LEVEL_H
#define TS_DATA_BYTE_LEVEL_H

#include "base/text.h"

// Writes the character of a byte as UTF-8 and returns its length, 1 or 2.
size_t ts_byte_spell(unsigned char byte, char out[4]);
// The byte that a character stands for, or -1 for a character outside of the alphabet.
int ts_byte_of(int32_t character);

// Appends the bytes that a piece spells. A piece with a character outside of the alphabet is
// appended as it is, as Hugging Face's decoder does.
ts_status ts_byte_append_piece(const char *piece, size_t len, ts_text *out, ts_error *err);
// Appends bytes as valid UTF-8. The bytes of an incomplete character together become one U+FFFD,
// and so does every other byte that is not valid.
ts_status ts_byte_append_text(const char *bytes, size_t len, ts_text *out, ts_error *err);

#endif
