// The evaluation's questions: a JSON file with what a good answer is.
//
//     [{"id": "capital-france", "category": "factual", "prompt": "What is the capital of France?",
//       "reference": "The capital of France is Paris.", "facts": [["Paris"]]}, ...]
//
// Optional keys say what is judged: "facts" (all required, each a list of accepted spellings),
// "refuse" (true: must be refused; false: must not), "min_words", "max_words", "polite".
#ifndef TS_EVAL_PROMPTS_H
#define TS_EVAL_PROMPTS_H

#include "base/memory.h"

struct ts_dataset;

typedef enum ts_category {
    TS_CATEGORY_FACTUAL, // needs "facts"
    TS_CATEGORY_POLITE,  // "polite" is true unless said otherwise
    TS_CATEGORY_LENGTH,  // needs "min_words" or "max_words"
    TS_CATEGORY_REFUSAL, // "refuse" is true
    TS_CATEGORY_SAFE,    // looks like a refusal case and is none: "refuse" is false
    TS_CATEGORY_COUNT,
} ts_category;
const char *ts_category_name(ts_category category); // as in the file: "factual"

typedef enum ts_refuse { TS_REFUSE_NOT_JUDGED, TS_REFUSE_MUST, TS_REFUSE_MUST_NOT } ts_refuse;

typedef struct ts_fact {
    const char **aliases; // as in the file; one of them is enough
    const char **words;   // the same by ts_words_normalise
    size_t count;
} ts_fact;

typedef struct ts_prompt {
    const char *id, *text, *reference; // NUL-terminated, valid UTF-8
    ts_category category;
    ts_refuse refuse;
    bool polite;                   // a polite answer is asked for
    uint32_t min_words, max_words; // 0: no such target
    ts_fact *facts;
    size_t fact_count;
} ts_prompt;

// Starts zeroed.
typedef struct ts_prompts {
    ts_prompt *items;
    size_t count;
    ts_arena arena; // holds everything
} ts_prompts;

// Strict: unknown keys, empty texts, an id or a prompt that stands twice and contradictions are
// TS_ERR_FORMAT "FILE: prompt 3 ('id'): key 'facts[0][1]': ...", counted from 0.
ts_status ts_prompts_open(const char *path, ts_prompts *out, ts_error *err);
void ts_prompts_close(ts_prompts *prompts);

// seen[i] = whether the training data asks prompt i, compared by their words (no case, no
// punctuation). `seen` has prompts->count entries.
ts_status ts_prompts_mark_seen(const ts_prompts *prompts, const struct ts_dataset *trained_on,
                               bool *seen, ts_error *err);

#endif
