// The alphabet in which a byte-level BPE spells its pieces: a character for each byte, as OpenAI's
// GPT-2 has it. A printable byte is the character of that number, and the others are U+0100 and
// up, so that a space is U+0120.
#ifndef TS_DATA_BYTE_LEVEL_H
#define TS_DATA_BYTE_LEVEL_H

#include "base/text.h"

// Writes the character of a byte as UTF-8 and returns its length, 1 or 2.
size_t ts_byte_spell(unsigned char byte, char out[4]);
// The byte of a character, or -1 for a character that is none.
int ts_byte_of(int32_t character);

// Appends the bytes that a piece spells. A piece with a character that is no byte stands for its
// own text, as in Hugging Face's decoder.
ts_status ts_byte_append_piece(const char *piece, size_t len, ts_text *out, ts_error *err);
// Appends bytes as UTF-8: each start of a character that does not go on becomes one U+FFFD, and so
// does any other byte that belongs to none.
ts_status ts_byte_append_text(const char *bytes, size_t len, ts_text *out, ts_error *err);

#endif
