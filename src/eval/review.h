// review.html: a sheet of pairs of answers, the base's and a tuned model's, for a person to judge
// without knowing which is which; and what the marks say that were made on it.
//
// A sheet follows from evaluation.json alone. Which pairs it has and on which side the tuned answer
// stands are drawn by a seed that follows from all answers, so the page need not hold it: whoever
// has the answers can draw again, and the page's source does not tell the sides either.
#ifndef TS_EVAL_REVIEW_H
#define TS_EVAL_REVIEW_H

#include "base/json.h"
#include "eval/metrics.h"

enum { TS_REVIEW_PAIRS = 50, TS_REVIEW_MOST_READERS = 16, TS_REVIEW_HASH = 65 };
enum { TS_REVIEW_FORMAT = 1 }; // "review" in the files of marks that review_page.html saves

// One prompt of evaluation.json and the answers to it. Texts are clean: safe to show.
typedef struct ts_review_pair {
    const cJSON *row;     // of the evaluation's "answers"
    size_t adapter;       // whose answer stands against the base's
    bool tuned_is_a;      // on side A, otherwise on B
    char *prompt, *a, *b; // released by ts_review_close
    const char *category; // "" where the row has none
} ts_review_pair;

typedef struct ts_review {
    const cJSON *evaluation; // borrowed
    ts_review_pair *pairs;   // [count]
    size_t count;
    size_t adapters;
    size_t alike; // answers that are the same from base and tuned model: nothing to prefer
    char hash[TS_REVIEW_HASH]; // of all that the sheet shows, by which its marks are known
} ts_review;

// Draws up to TS_REVIEW_PAIRS pairs whose answers differ, of prompts that training did not see if
// there are any. `name` is what messages call the file. TS_ERR_FORMAT: it is no evaluation of
// a tuned model, or misses something. Release *out with ts_review_close.
ts_status ts_review_open(const cJSON *evaluation, const char *name, ts_review *out, ts_error *err);
void ts_review_close(ts_review *review);

// The page, self-contained, appended to *out.
ts_status ts_review_html(const ts_review *review, ts_text *out, ts_error *err);

// What readers preferred.
typedef enum ts_preference {
    TS_PREFER_UNMARKED,
    TS_PREFER_BASE,
    TS_PREFER_NEITHER,
    TS_PREFER_TUNED
} ts_preference;

// The marks of one file: out[count of the review]; `reader` gets the name that was entered, if one
// was, as clean text. TS_ERR_FORMAT: it is not what the page saves; TS_ERR_ARGUMENT: its marks
// belong to other answers.
ts_status ts_review_read(const ts_review *review, const char *path, ts_preference *out,
                         ts_text *reader, ts_error *err);

// Marks added up over pairs. A pair that several readers marked counts once, for what more of them
// prefer.
typedef struct ts_review_sum {
    uint32_t marked, tuned, neither, base; // pairs
    ts_rate share; // of the pairs where one is preferred: the tuned model's; Wilson's interval
    double p;      // exact sign test, two-sided: so uneven a split by chance alone
} ts_review_sum;

// marks[readers][count of the review]. Only pairs of that category and of that adapter count; NULL
// and SIZE_MAX: of any.
void ts_review_add_up(const ts_review *review, const ts_preference *const *marks, size_t readers,
                      const char *category, size_t adapter, ts_review_sum *out);
// Of the pairs that two readers or more marked (*of), those where all of them agree.
uint32_t ts_review_agreement(const ts_review *review, const ts_preference *const *marks,
                             size_t readers, uint32_t *of);

#endif
