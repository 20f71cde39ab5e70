#include "model/losses.h"

#include "base/text.h"

#include <math.h>
#include <string.h>

static void weigh_cross_entropy(const ts_loss_rows *rows, float *weight)
{
    for (uint32_t i = 0; i < rows->count; i++) {
        weight[i] = rows->scale;
    }
}

static double value_cross_entropy(const ts_loss_rows *rows)
{
    double sum = 0;
    for (uint32_t i = 0; i < rows->count; i++) {
        sum -= rows->log_probability[i];
    }
    return sum;
}

// ---- Losses over pairs

// One answer of a pair: its loss rows, and its log-probability minus that in the reference model.
struct answer {
    uint32_t first, count; // rows
    double gain;           // nats, the sum over its rows
};

static struct answer answer_at(const ts_loss_rows *rows, uint32_t sequence, uint32_t first)
{
    struct answer a = {.first = first, .count = rows->sequences->loss_rows[sequence]};
    for (uint32_t i = first; i < first + a.count; i++) {
        a.gain += rows->log_probability[i];
    }
    a.gain -= rows->sequences->reference[sequence];
    return a;
}

// Calls `visit` with each pair's answers.
static void visit_pairs(const ts_loss_rows *rows,
                        void (*visit)(void *user, const ts_loss_rows *rows,
                                      const struct answer *chosen, const struct answer *rejected),
                        void *user)
{
    const ts_loss_sequences *s = rows->sequences;
    uint32_t pairs = s->count / 2, chosen_row = 0, rejected_row = 0;
    for (uint32_t i = 0; i < pairs; i++) {
        rejected_row += s->loss_rows[i];
    }
    for (uint32_t i = 0; i < pairs; i++) {
        const struct answer chosen = answer_at(rows, i, chosen_row);
        const struct answer rejected = answer_at(rows, pairs + i, rejected_row);
        visit(user, rows, &chosen, &rejected);
        chosen_row += chosen.count;
        rejected_row += rejected.count;
    }
}

static void set_weights(float *weight, const struct answer *a, double value)
{
    for (uint32_t i = a->first; i < a->first + a->count; i++) {
        weight[i] = (float)value;
    }
}

// log(1 + exp(x)), without overflow for a large x
static double softplus(double x)
{
    return x > 0 ? x + log1p(exp(-x)) : log1p(exp(x));
}

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

// L = -(1 - s) log sigmoid(z) - s log sigmoid(-z) with s = label_smoothing and
// z = beta (gain of chosen - gain of rejected)
static void weigh_dpo_pair(void *weight, const ts_loss_rows *rows, const struct answer *chosen,
                           const struct answer *rejected)
{
    const ts_loss_params *p = rows->params;
    double z = p->beta * (chosen->gain - rejected->gain);
    double slope = p->label_smoothing * sigmoid(z) - (1 - p->label_smoothing) * sigmoid(-z);
    double by_chosen = rows->scale * slope * p->beta; // dL / d log-probability of its rows
    set_weights(weight, chosen, -by_chosen);
    set_weights(weight, rejected, by_chosen);
}

static void add_dpo_pair(void *sum, const ts_loss_rows *rows, const struct answer *chosen,
                         const struct answer *rejected)
{
    const ts_loss_params *p = rows->params;
    double z = p->beta * (chosen->gain - rejected->gain);
    *(double *)sum += (1 - p->label_smoothing) * softplus(-z) + p->label_smoothing * softplus(z);
}

static void weigh_dpo(const ts_loss_rows *rows, float *weight)
{
    visit_pairs(rows, weigh_dpo_pair, weight);
}

static double value_dpo(const ts_loss_rows *rows)
{
    double sum = 0;
    visit_pairs(rows, add_dpo_pair, &sum);
    return sum;
}

// The margin of a pair minus its target. As in TRL, gains are means over an answer's tokens.
static double ipo_distance(const ts_loss_rows *rows, const struct answer *chosen,
                           const struct answer *rejected)
{
    return chosen->gain / chosen->count - rejected->gain / rejected->count -
           1 / (2 * rows->params->beta);
}

static void weigh_ipo_pair(void *weight, const ts_loss_rows *rows, const struct answer *chosen,
                           const struct answer *rejected)
{
    double slope = rows->scale * 2 * ipo_distance(rows, chosen, rejected);
    set_weights(weight, chosen, -slope / chosen->count);
    set_weights(weight, rejected, slope / rejected->count);
}

static void add_ipo_pair(void *sum, const ts_loss_rows *rows, const struct answer *chosen,
                         const struct answer *rejected)
{
    *(double *)sum += pow(ipo_distance(rows, chosen, rejected), 2);
}

static void weigh_ipo(const ts_loss_rows *rows, float *weight)
{
    visit_pairs(rows, weigh_ipo_pair, weight);
}

static double value_ipo(const ts_loss_rows *rows)
{
    double sum = 0;
    visit_pairs(rows, add_ipo_pair, &sum);
    return sum;
}

static void add_rewards(void *user, const ts_loss_rows *rows, const struct answer *chosen,
                        const struct answer *rejected)
{
    ts_rewards *rewards = user;
    rewards->pairs++;
    rewards->right += chosen->gain > rejected->gain;
    rewards->chosen += rows->params->beta * chosen->gain;
    rewards->rejected += rows->params->beta * rejected->gain;
}

ts_rewards ts_loss_rewards(const ts_loss_rows *rows)
{
    ts_rewards rewards = {0};
    visit_pairs(rows, add_rewards, &rewards);
    return rewards;
}

const ts_loss ts_losses[TS_LOSS_COUNT] = {
#define LOSS(name, passes, pairs) {#name, passes, pairs, weigh_##name, value_##name},
#include "model/losses.def"
#undef LOSS
};

bool ts_loss_find(const char *name, ts_loss_kind *out)
{
    for (ts_loss_kind kind = 0; kind < TS_LOSS_COUNT; kind++) {
        if (strcmp(ts_losses[kind].name, name) == 0) {
            *out = kind;
            return true;
        }
    }
    return false;
}

ts_status ts_loss_parse(const char *name, ts_loss_kind *out, ts_error *err)
{
    ts_status status = TS_OK;
    ts_text names = {0}, over_pairs = {0};
    if (ts_loss_find(name, out)) {
        goto out;
    }
    for (ts_loss_kind kind = 0; kind < TS_LOSS_COUNT; kind++) {
        const ts_loss *loss = &ts_losses[kind];
        TS_TRY(ts_text_list(&names, kind + 1 == TS_LOSS_COUNT ? " or " : ", ", loss->name, err));
        if (loss->pairs) {
            TS_TRY(ts_text_list(&over_pairs, ", ", loss->name, err));
        }
    }
    TS_FAIL(TS_ERR_ARGUMENT, "--loss %s: expected %s (from pairs of answers: %s)", name,
            names.bytes, over_pairs.bytes);
out:
    ts_text_free(&names);
    ts_text_free(&over_pairs);
    return status;
}
