// Answers compared as people compare them: letters without case or accents, words without
// punctuation. Also text made fit to show: valid UTF-8 without control characters.
#ifndef TS_EVAL_WORDS_H
#define TS_EVAL_WORDS_H

#include "base/text.h"

// Appends the words of text[0..len) to *out, each after and before one space: " h2o is water ".
// Folded: case, accents of Latin letters, sub- and superscript digits, full-width forms. Not a
// part of a word: punctuation and symbols, but a point between digits ("3.14") is kept, and a
// comma that groups thousands ("1,000") vanishes. A Chinese or Japanese character is a word.
// Text without any word gives " ".
ts_status ts_words_normalise(const char *text, size_t len, ts_text *out, ts_error *err);

// Whether the words of `needle` stand one after the other in `text`; both as
// ts_words_normalise gives them.
bool ts_words_contain(const char *text, const char *needle);

// How many words a person would count: stretches between white space that hold a letter or a
// digit ("well-known" is one).
uint32_t ts_words_count(const char *text, size_t len);

// Appends text[0..len) with what is not valid UTF-8, control characters (but for newline and
// tab) and marks that turn the direction of writing as U+FFFD; "\r\n" and "\r" become "\n".
ts_status ts_words_clean(const char *text, size_t len, ts_text *out, ts_error *err);

#endif
