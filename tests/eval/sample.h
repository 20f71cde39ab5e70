// An evaluation to report on, and a reader of PNG files; shared by the tests of src/eval.
#ifndef TS_TESTS_EVAL_SAMPLE_H
#define TS_TESTS_EVAL_SAMPLE_H

#include "eval/report.h"

// Prompts of every category, with answers. The caller changes what it tests.
typedef struct sample {
    ts_prompts prompts;
    ts_evaluation evaluation;
    ts_response *base, *tuned;
    ts_tuned
        adapters[TS_MOST_ADAPTERS]; // of which the evaluation has the first; all answer `tuned`
    bool *seen;
} sample;
void sample_make(sample *s, size_t count);
void sample_answer(ts_response *response, const char *text, size_t len);
void sample_free(sample *s);

// A decoded picture, [height, width, 3]. Fails the test if the bytes are not a PNG.
typedef struct decoded {
    int width, height;
    unsigned char *pixels;
} decoded;
decoded sample_decode(const ts_text *png);
void sample_decoded_free(decoded *picture);
// How many pixels differ from the colour of the top left one.
size_t sample_drawn(const decoded *picture);

// A new temporary folder, and the file NAME in it as text.
void sample_folder(char folder[64]);
void sample_read(const char *folder, const char *name, ts_text *out);
void sample_write(const char *folder, const char *name, const char *text, ts_text *path);

// Texts that have made programs fail before.
typedef struct hostile {
    const char *text;
    size_t len;
} hostile;
size_t sample_hostile(const hostile **out);

#endif
