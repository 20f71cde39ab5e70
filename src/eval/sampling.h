// Choosing an answer's next token from the model's logits: the likeliest one, or one by chance.
#ifndef TS_EVAL_SAMPLING_H
#define TS_EVAL_SAMPLING_H

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

// The steps are those of transformers, in its order: the penalty, the temperature, then the three
// cuts. A zeroed one takes the likeliest token.
typedef struct ts_sampling {
    double repeat_penalty; // logits of tokens that came before are divided by it, or multiplied if
                           // they are below zero (Keskar et al. 2019); 0 or 1: none
    double temperature;    // logits are divided by it; 0: the likeliest token is taken
    uint32_t top_k;        // only the so many likeliest; 0: all
    double top_p;          // only the likeliest whose probabilities reach this sum; 0 or 1: all
    double min_p;          // only those at least this part as likely as the likeliest; 0: all
    uint64_t seed;         // the same seed gives the same tokens
} ts_sampling;

// Memory for choosing; starts zeroed.
typedef struct ts_sampler {
    struct ts_candidate *candidates; // [vocab]
    size_t capacity;
} ts_sampler;
void ts_sampler_free(ts_sampler *sampler);

// Chooses a token by logits[vocab]. `before`: the tokens of the conversation so far. `index`: how
// many tokens were chosen with this seed before. *log_probability is that of the token by the
// logits as they came, in nats. TS_ERR_RUN if a logit is not finite.
ts_status ts_sample(ts_sampler *sampler, const ts_sampling *sampling, const float *logits,
                    uint32_t vocab, const uint32_t *before, size_t before_count, uint64_t index,
                    uint32_t *token, double *log_probability, ts_error *err);

#endif
