// Text for comparison: words without case, accents and punctuation. Also text for display: valid
// UTF-8 without control characters.
#ifndef TS_EVAL_WORDS_H
#define TS_EVAL_WORDS_H

#include "base/text.h"

// Appends the words of text[0..len) to *out with one space before, between and after them: " h2o is
// water ". Removed are upper case, accents of Latin letters, sub- and superscripts of digits, and
// full-width forms. Punctuation and symbols separate words, with two exceptions: a point between
// digits is kept ("3.14"), and a comma that groups thousands is removed ("1,000"). Each Chinese or
// Japanese character is a word. Text without any word gives " ".
ts_status ts_words_normalise(const char *text, size_t len, ts_text *out, ts_error *err);

// Whether `text` contains the words of `needle` in sequence. Both must come from
// ts_words_normalise.
bool ts_words_contain(const char *text, const char *needle);

// How much a text repeats itself: the part of its sequences of four words that stood in it before,
// 0 to 1; 0 if it has fewer than four words. `words` must come from ts_words_normalise.
ts_status ts_words_repeated(const char *words, double *out, ts_error *err);

// The number of words as a person counts them: sequences without white space that contain a letter
// or a digit ("well-known" is one).
uint32_t ts_words_count(const char *text, size_t len);

#endif
