// The evaluation's questions: JSON lines or a JSON array, a row a question.
//
//     {"prompt": "What is the capital of France?"}
//     {"prompt": "What is the capital of France?", "reference": "Paris.", "facts": "Paris"}
//     {"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", ...}, ...]}
//
// Every format of training data is read too (data/rows.h): the last answer is the reference, what
// stands before it is asked. Optional keys say what is judged: "facts" (all required; each a text
// or a list of accepted spellings), "refuse" (true: must be refused; false: must not), "min_words",
// "max_words", "polite". "category" stands for some of them (see ts_category), "id" is shown.
#ifndef TS_EVAL_PROMPTS_H
#define TS_EVAL_PROMPTS_H

#include "base/memory.h"
#include "data/chat.h"

struct ts_dataset;

typedef enum ts_category {
    TS_CATEGORY_FACTUAL, // needs "facts"
    TS_CATEGORY_POLITE,  // "polite" is true unless said otherwise
    TS_CATEGORY_LENGTH,  // needs "min_words" or "max_words"
    TS_CATEGORY_REFUSAL, // "refuse" is true
    TS_CATEGORY_SAFE,    // looks like a refusal case and is none: "refuse" is false
    TS_CATEGORY_OTHER,   // none, or a name of the user's own, which asks for nothing
    TS_CATEGORY_COUNT,
} ts_category;

typedef enum ts_refuse { TS_REFUSE_NOT_JUDGED, TS_REFUSE_MUST, TS_REFUSE_MUST_NOT } ts_refuse;

typedef struct ts_fact {
    const char **aliases; // as in the file; one of them is enough
    const char **words;   // the same by ts_words_normalise
    size_t count;
} ts_fact;

typedef struct ts_prompt {
    // NUL-terminated, valid UTF-8. `text` is the user's last turn; `reference`, the answer that is
    // hoped for, is NULL where the row has none, `id` and `label` (the category) are "" then.
    const char *id, *label, *text, *reference;
    const ts_turn *before; // [before_count] what stands before it: the system's turn, earlier ones
    size_t before_count;
    ts_category category;
    ts_refuse refuse;
    bool polite;                   // a polite answer is asked for
    uint32_t min_words, max_words; // 0: no such target
    ts_fact *facts;
    size_t fact_count;
    uint32_t line; // of the file
} ts_prompt;

// Starts zeroed.
typedef struct ts_prompts {
    ts_prompt *items; // [count]
    size_t count;
    ts_arena arena; // holds what they point into
} ts_prompts;

// All mistakes are told at once, each as "FILE:LINE ('id'): ..." (TS_ERR_FORMAT); keys and
// categories that mean nothing here and questions that stand twice are warned of.
ts_status ts_prompts_open(const char *path, ts_prompts *out, ts_error *err);
// Questions without a file, as `--prompt TEXT` gives them; the texts are copied.
ts_status ts_prompts_of_texts(const char *const *texts, size_t count, ts_prompts *out,
                              ts_error *err);
void ts_prompts_close(ts_prompts *prompts);

// seen[i] = whether the training data asks prompt i, compared by their words (no case, no
// punctuation). `seen` has prompts->count entries.
ts_status ts_prompts_mark_seen(const ts_prompts *prompts, const struct ts_dataset *trained_on,
                               bool *seen, ts_error *err);

#endif
