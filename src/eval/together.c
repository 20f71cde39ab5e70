#include "eval/together.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

// An answer as it travels: its numbers, and its text apart.
typedef struct packed {
    uint64_t len;
    double reference_loss, first_probability;
    uint32_t tokens, reference_tokens, stopped, special, first_right, unused;
} packed;

// What is dealt: prompts first[r] .. first[r + 1] - 1 to rank r.
typedef struct sharing {
    ts_ranks *ranks;
    uint32_t count; // of ranks
    uint64_t *first, *offsets;
    packed *all;
    char *texts;
} sharing;

static ts_questions part_of(const ts_questions *all, size_t first, size_t end)
{
    ts_questions part = *all;
    part.count = end - first;
    part.prompts += first;
    part.references += first;
    part.longest_prompt = part.longest_reference = 0;
    for (size_t i = 0; i < part.count; i++) {
        const size_t reference = part.references[i].tokens.count;
        part.longest_prompt = (uint32_t)ts_max_u64(part.longest_prompt, part.prompts[i].count);
        part.longest_reference = (uint32_t)ts_max_u64(part.longest_reference, reference);
    }
    return part;
}

static uint64_t padded(uint64_t len)
{
    return ts_align_up(len, sizeof(float));
}

// The numbers of all answers, to all.
static ts_status share_numbers(sharing *s, const ts_answers *own, ts_error *err)
{
    const uint64_t first = s->first[ts_ranks_rank(s->ranks)];
    for (size_t i = 0; i < own->count; i++) {
        const ts_response *r = &own->responses[i];
        s->all[first + i] = (packed){.len = r->len,
                                     .reference_loss = r->reference_loss,
                                     .first_probability = r->first_probability,
                                     .tokens = r->tokens,
                                     .reference_tokens = r->reference_tokens,
                                     .stopped = r->stopped,
                                     .special = r->special,
                                     .first_right = r->first_right};
    }
    for (uint32_t r = 0; r <= s->count; r++) {
        s->offsets[r] = s->first[r] * (sizeof *s->all / sizeof(float));
    }
    return ts_ranks_gather(s->ranks, (float *)(void *)s->all, s->offsets, err);
}

// Their texts, one after the other.
static ts_status share_texts(sharing *s, const ts_answers *own, ts_error *err)
{
    ts_status status = TS_OK;
    uint64_t at = 0;
    for (uint32_t r = 0; r < s->count; r++) {
        s->offsets[r] = at / sizeof(float);
        for (uint64_t i = s->first[r]; i < s->first[r + 1]; i++) {
            at += padded(s->all[i].len);
        }
    }
    s->offsets[s->count] = at / sizeof(float);
    TS_TRY(ts_alloc(at + 1, 1, &s->texts, err));
    char *place = s->texts + s->offsets[ts_ranks_rank(s->ranks)] * sizeof(float);
    for (size_t i = 0; i < own->count; i++) {
        memcpy(place, own->responses[i].text, own->responses[i].len);
        place += padded(own->responses[i].len);
    }
    TS_TRY(ts_ranks_gather(s->ranks, (float *)(void *)s->texts, s->offsets, err));
out:
    return status;
}

static ts_status unpack(const sharing *s, size_t count, ts_answers *out, ts_error *err)
{
    ts_status status = TS_OK;
    const char *at = s->texts;
    *out = (ts_answers){.count = count};
    TS_TRY(ts_alloc(count, sizeof *out->responses, &out->responses, err));
    TS_TRY(ts_alloc(count, sizeof *out->texts, &out->texts, err));
    for (size_t i = 0; i < count; i++) {
        const packed *p = &s->all[i];
        TS_TRY(ts_text_append(&out->texts[i], at, p->len, err));
        out->responses[i] =
            (ts_response){.text = out->texts[i].bytes != NULL ? out->texts[i].bytes : "",
                          .len = p->len,
                          .tokens = p->tokens,
                          .stopped = p->stopped != 0,
                          .special = p->special != 0,
                          .reference_loss = p->reference_loss,
                          .reference_tokens = p->reference_tokens,
                          .first_probability = p->first_probability,
                          .first_right = p->first_right != 0};
        at += padded(p->len);
    }
out:
    return status;
}

ts_status ts_answers_make_together(ts_ranks *ranks, ts_model *model, const ts_questions *questions,
                                   const ts_answer_params *params, ts_answers *out, ts_error *err)
{
    ts_status status = TS_OK;
    sharing s = {.ranks = ranks, .count = ts_ranks_count(ranks)};
    ts_answers own = {0};
    const uint32_t rank = ts_ranks_rank(ranks);
    if (ranks == NULL) {
        return ts_answers_make(model, questions, params, out, err);
    }
    TS_TRY(ts_alloc(s.count + 1, sizeof *s.first, &s.first, err));
    TS_TRY(ts_alloc(s.count + 1, sizeof *s.offsets, &s.offsets, err));
    TS_TRY(ts_alloc(questions->count, sizeof *s.all, &s.all, err));
    for (uint32_t r = 0; r <= s.count; r++) {
        s.first[r] = ts_ceil_div(questions->count * r, s.count);
    }
    if (s.first[rank] < s.first[rank + 1]) {
        const ts_questions part = part_of(questions, s.first[rank], s.first[rank + 1]);
        TS_TRY(ts_answers_make(model, &part, params, &own, err));
    }
    TS_TRY(share_numbers(&s, &own, err));
    TS_TRY(share_texts(&s, &own, err));
    TS_TRY(unpack(&s, questions->count, out, err));
out:
    ts_answers_free(&own);
    free(s.first);
    free(s.offsets);
    free(s.all);
    free(s.texts);
    if (status != TS_OK && ranks != NULL) {
        ts_answers_free(out);
    }
    return status;
}
