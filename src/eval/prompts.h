// Reads the evaluation's prompts: JSON lines or a JSON array, one prompt in each row.
//
//     {"prompt": "What is the capital of France?"}
//     {"prompt": "What is the capital of France?", "reference": "Paris.", "facts": "Paris"}
//     {"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", ...}, ...]}
//
// All formats of training data are read too (data/rows.h): the last answer is the reference, and
// what precedes it is the prompt. Optional keys say what is scored: "facts" (all are required; each
// is a text or a list of accepted spellings), "refuse" (true: the answer must refuse; false: it
// must not), "unknown" (true: nothing can be known, and the answer must say so), "min_words",
// "max_words", "polite". "category" implies some of them (see ts_category). Rows with the same
// "group" are judged together too: the same fact asked in other words, or a prompt to refuse beside
// its harmless look-alike. "id" is shown in the reports.
#ifndef TS_EVAL_PROMPTS_H
#define TS_EVAL_PROMPTS_H

#include "base/memory.h"
#include "data/chat.h"

struct ts_dataset;

typedef enum ts_category {
    TS_CATEGORY_FACTUAL, // needs "facts"
    TS_CATEGORY_POLITE,  // "polite" is true unless the row says otherwise
    TS_CATEGORY_LENGTH,  // needs "min_words" or "max_words"
    TS_CATEGORY_REFUSAL, // "refuse" is true
    TS_CATEGORY_SAFE,    // resembles a request to refuse, but should be answered: "refuse" is false
    TS_CATEGORY_UNKNOWN, // "unknown" is true
    TS_CATEGORY_TURNS,   // "multi-turn": needs earlier turns
    TS_CATEGORY_OTHER,   // no category, or a name that the user invented, which implies nothing
    TS_CATEGORY_COUNT,
} ts_category;

// "factual"; TS_CATEGORY_OTHER is "other".
const char *ts_category_name(ts_category category);

typedef enum ts_refuse { TS_REFUSE_NOT_JUDGED, TS_REFUSE_MUST, TS_REFUSE_MUST_NOT } ts_refuse;

typedef struct ts_fact {
    const char **aliases; // as in the file; each of them is accepted
    const char **words;   // the same after ts_words_normalise
    size_t count;
} ts_fact;

typedef struct ts_prompt {
    // NUL-terminated, valid UTF-8. `text` is the user's last turn. `reference` is a good answer,
    // NULL if the row has none. `id`, `label` (the category) and `group` are "" if the row has
    // none.
    const char *id, *label, *group, *text, *reference;
    const ts_turn *before; // [before_count] the turns before `text`: the system's and earlier ones
    size_t before_count;
    ts_category category;
    ts_refuse refuse;
    bool polite;                   // the answer should be polite
    bool unknown;                  // it should say that this is not known
    uint32_t min_words, max_words; // 0: no limit
    ts_fact *facts;
    size_t fact_count;
    uint32_t line; // in the file
} ts_prompt;

// Starts zeroed.
typedef struct ts_prompts {
    ts_prompt *items; // [count]
    size_t count;
    ts_arena arena; // holds the memory of the prompts
} ts_prompts;

// Reads all prompts of a file. All errors are reported together, each as "FILE:LINE ('id'): ..."
// (TS_ERR_FORMAT). Warns of unknown keys and categories and of prompts that are there twice.
// Release *out with ts_prompts_close.
ts_status ts_prompts_open(const char *path, ts_prompts *out, ts_error *err);
// The prompts of `--prompt TEXT`, without a file. The texts are copied.
ts_status ts_prompts_of_texts(const char *const *texts, size_t count, ts_prompts *out,
                              ts_error *err);
void ts_prompts_close(ts_prompts *prompts);

// Sets seen[i] where a row of the training data asks prompt i: with the same earlier turns of the
// user, or, if the prompt has none, in any turn. Texts are compared by their words, without case
// and punctuation. `seen` has prompts->count entries.
ts_status ts_prompts_mark_seen(const ts_prompts *prompts, const struct ts_dataset *trained_on,
                               bool *seen, ts_error *err);

#endif
