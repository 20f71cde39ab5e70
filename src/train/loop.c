// The training loop: steps made of micro-batches, their results, and checkpoints between them.
#include "train/trainer_parts.h"

#include "base/log.h"
#include "base/memory.h"
#include "base/os.h"
#include "train/monitor.h"

#include <math.h>

// Every micro-batch gets its own mask. It follows from seed, step and micro-batch alone, so that a
// resumed run has the same masks as one that never stopped.
static uint64_t dropout_seed(const ts_trainer *trainer, uint64_t step, uint32_t micro)
{
    return trainer->settings.seed ^ (step + 1) * 0x9E3779B97F4A7C15u ^
           (micro + 1) * 0xD1B54A32D192ED03u;
}

// A micro-batch that was sent to the device and whose results have not been read.
struct sent {
    uint64_t step, ticket, tokens;
    uint32_t micro;
    uint64_t units; // over which the whole step's loss is a mean: supervised tokens, or pairs
    double rate;
    bool last; // of its step; of several ranks none is
};

// The loop works one micro-batch ahead: while the device runs one, the host packs, uploads and
// records the next, and reads the results of the one before.
struct loop {
    ts_trainer *trainer;
    const ts_train_callbacks *callbacks;
    double started_s;
    uint64_t tokens_before;
    struct sent sent[2]; // oldest first
    uint32_t sent_count;
    double loss;          // of the step that is being read: the mean over all its units
    ts_rewards rewards;   // of its pairs, the sums
    double interval_loss; // sum over the steps since the last line of the log
    uint64_t interval_steps;
    ts_monitor monitor;
};

static bool ends_interval(const ts_trainer *trainer, uint64_t step)
{
    uint64_t every = trainer->settings.logging_steps;
    return step == trainer->steps || (every > 0 && step % every == 0);
}

static void report(struct loop *loop)
{
    const ts_trainer *trainer = loop->trainer;
    const ts_history *h = &trainer->history;
    size_t last = h->count - 1;
    const ts_evaluations *e = &h->evaluations;
    uint64_t tokens = h->tokens - loop->tokens_before;
    double elapsed_s = ts_clock_s() - loop->started_s;
    loop->interval_loss += h->loss[last];
    loop->interval_steps++;
    const ts_train_progress progress = {
        .step = h->count,
        .steps = trainer->steps,
        .epoch = (double)h->count / (double)trainer->batches.steps_per_epoch,
        .loss = loop->interval_loss / (double)loop->interval_steps,
        .loss_steps = loop->interval_steps,
        .rate = h->rate[last],
        .grad_norm = h->grad_norm[last],
        .tokens_per_second = (double)tokens / elapsed_s,
        .margin = h->pairs ? h->margin[last] : NAN,
        .accuracy = h->pairs ? h->accuracy[last] : NAN,
        .held_out_loss = e->count > 0 ? e->loss[e->count - 1] : NAN,
        .seconds_left = elapsed_s * (double)(trainer->steps - h->count) /
                        (double)(h->count - trainer->first_step),
        .device_bytes = trainer->plan.total,
        .log = ends_interval(trainer, h->count),
    };
    if (loop->callbacks->progress != NULL) {
        loop->callbacks->progress(loop->callbacks->user, &progress);
    }
    if (progress.log) {
        ts_logs_add_step(&loop->trainer->logs, &progress);
        loop->interval_loss = 0;
        loop->interval_steps = 0;
    }
    ts_monitor_step(&loop->monitor, h, trainer->config.vocab, trainer->settings.learning_rate);
}

// A resumed run may begin within an interval of the log. Then the interval's earlier steps count.
static void begin_interval(struct loop *loop)
{
    const ts_history *h = &loop->trainer->history;
    for (size_t i = h->count; i > 0 && !ends_interval(loop->trainer, i); i--) {
        loop->interval_loss += h->loss[i - 1];
        loop->interval_steps++;
    }
}

static ts_status check_loss(const struct loop *loop, uint64_t step, ts_error *err)
{
    if (isfinite(loop->loss)) {
        return TS_OK;
    }
    return ts_error_set(err, TS_ERR_RUN,
                        "step %llu: the loss is %g: the training diverged (try a lower --lr); no "
                        "adapter is written",
                        (unsigned long long)step, loop->loss);
}

static void add_rewards(ts_rewards *sum, const ts_rewards *more)
{
    sum->pairs += more->pairs;
    sum->right += more->right;
    sum->chosen += more->chosen;
    sum->rejected += more->rejected;
}

// Adds the step's means to the entry of the history that was made last.
static void push_rewards(struct loop *loop)
{
    ts_history *h = &loop->trainer->history;
    const ts_rewards *r = &loop->rewards;
    if (h->pairs) {
        h->margin[h->count - 1] = (r->chosen - r->rejected) / r->pairs;
        h->accuracy[h->count - 1] = (double)r->right / r->pairs;
    }
    loop->rewards = (ts_rewards){0};
}

static void add_result(struct loop *loop, const ts_micro_result *result)
{
    loop->loss += result->loss;
    loop->trainer->history.tokens += result->tokens;
    add_rewards(&loop->rewards, &result->rewards);
}

// Adds a step, whose micro-batches all are added and whose update is done, to the history.
static ts_status end_sums(struct loop *loop, const struct sent *sent, ts_error *err)
{
    ts_status status = TS_OK;
    ts_trainer *trainer = loop->trainer;
    double grad_norm;
    TS_TRY(check_loss(loop, sent->step + 1, err));
    TS_TRY(ts_optimiser_read(&trainer->optimiser, sent->step + 1, &grad_norm, err));
    TS_TRY(ts_history_push(&trainer->history, loop->loss, sent->rate, grad_norm, err));
    push_rewards(loop);
    loop->loss = 0;
    report(loop);
out:
    return status;
}

// Waits for the oldest micro-batch and reads its loss. After the last one of a step, adds the step
// to the history.
static ts_status read_oldest(struct loop *loop, ts_error *err)
{
    ts_status status = TS_OK;
    ts_trainer *trainer = loop->trainer;
    const struct sent sent = loop->sent[0];
    double sum;
    TS_TRY(ts_recorder_wait(trainer->pass.recorder, sent.ticket, err));
    TS_TRY(ts_pass_read_loss(&trainer->pass, &sum, err));
    loop->sent[0] = loop->sent[1];
    loop->sent_count--;
    const ts_micro_result result = {
        .loss = sum / (double)sent.units, .rewards = trainer->pass.rewards, .tokens = sent.tokens};
    if (trainer->settings.ranks != NULL) {
        return ts_exchange_ran(&trainer->exchange, sent.micro, &result, err);
    }
    add_result(loop, &result);
    if (sent.last) {
        TS_TRY(end_sums(loop, &sent, err));
    }
out:
    return status;
}

static ts_status read_all(struct loop *loop, ts_error *err)
{
    ts_status status = TS_OK;
    while (loop->sent_count > 0 && status == TS_OK) {
        status = read_oldest(loop, err);
    }
    return status;
}

// Packs and records one micro-batch; the host packs while the device runs the one before.
static ts_status record_micro(struct loop *loop, struct sent *sent, uint32_t micro, ts_error *err)
{
    ts_status status = TS_OK;
    ts_trainer *trainer = loop->trainer;
    TS_TRY(ts_batches_pack(&trainer->batches, sent->step, micro, &trainer->batch, err));
    if (loop->sent_count == TS_COUNT(loop->sent)) {
        TS_TRY(read_oldest(loop, err));
    }
    TS_TRY(ts_pass_record_gradients(&trainer->pass, &trainer->batch,
                                    (float)(1.0 / (double)sent->units),
                                    dropout_seed(trainer, sent->step, micro), err));
    sent->tokens = trainer->batch.rows;
    sent->micro = micro;
out:
    return status;
}

static ts_status send(struct loop *loop, struct sent *sent, ts_error *err)
{
    ts_status status = ts_recorder_send(loop->trainer->pass.recorder, &sent->ticket, err);
    if (status == TS_OK) {
        loop->sent[loop->sent_count++] = *sent;
    }
    return status;
}

// A step that several ranks make together: this rank's micro-batches, then all others' results.
static ts_status make_together(struct loop *loop, struct sent *sent, uint32_t micro_count,
                               ts_error *err)
{
    ts_status status = TS_OK;
    ts_trainer *trainer = loop->trainer;
    ts_exchange *exchange = &trainer->exchange;
    uint32_t first, end;
    TS_TRY(ts_exchange_begin(exchange, micro_count, &first, &end, err));
    for (uint32_t micro = first; micro < end; micro++) {
        ts_exchange_expect(exchange, micro);
        TS_TRY(record_micro(loop, sent, micro, err));
        ts_exchange_record(exchange, micro);
        TS_TRY(send(loop, sent, err));
    }
    while (loop->sent_count > 1) {
        TS_TRY(read_oldest(loop, err));
    }
    TS_TRY(ts_exchange_send_early(exchange, err));
    TS_TRY(read_all(loop, err));
    TS_TRY(ts_exchange_step(exchange, &trainer->settings.adamw, sent->rate, sent->step + 1,
                            ts_stop_asked(), err));
    for (uint32_t micro = 0; micro < micro_count; micro++) {
        add_result(loop, &exchange->results[micro]);
    }
    TS_TRY(end_sums(loop, sent, err));
out:
    return status;
}

// The micro-batches one after the other, their gradients summed in a tree, then the update, which
// is sent together with the last micro-batch.
static ts_status send_step(struct loop *loop, uint64_t step, ts_error *err)
{
    ts_status status = TS_OK;
    ts_trainer *trainer = loop->trainer;
    struct sent sent = {.step = step};
    uint32_t micro_count;
    ts_batches_step(&trainer->batches, step, &micro_count, &sent.units);
    const ts_learning_rate rate = ts_trainer_learning_rate(trainer);
    sent.rate = ts_learning_rate_at(&rate, step);
    if (trainer->settings.ranks != NULL) {
        return make_together(loop, &sent, micro_count, err);
    }
    for (uint32_t micro = 0; micro < micro_count; micro++) {
        if (micro > 0) {
            TS_TRY(send(loop, &sent, err));
        }
        TS_TRY(record_micro(loop, &sent, micro, err));
        ts_reduce_record(&trainer->reduce, micro + 1 == micro_count);
    }
    ts_optimiser_record(&trainer->optimiser, &trainer->settings.adamw, sent.rate, step + 1);
    sent.last = true;
    TS_TRY(send(loop, &sent, err));
out:
    return status;
}

static ts_status stop(struct loop *loop, uint64_t step, ts_error *err)
{
    const ts_trainer *trainer = loop->trainer;
    if (trainer->saved == 0) {
        return ts_error_set(err, TS_ERR_STOPPED,
                            "stopped before the first step; nothing was trained");
    }
    return ts_error_set(err, TS_ERR_STOPPED,
                        "stopped after step %llu of %llu; %s/checkpoint-%llu is saved, go on with "
                        "--resume-from-checkpoint",
                        (unsigned long long)step, (unsigned long long)trainer->steps,
                        trainer->settings.output_dir, (unsigned long long)trainer->saved);
}

// ---- Measurements on the rows held out

// Whether the loss on them is to be measured now, after `step` steps. It is measured already if the
// run resumed from a checkpoint that was saved after the measurement.
static bool evaluation_is_due(const ts_trainer *trainer, uint64_t step)
{
    const ts_evaluations *e = &trainer->history.evaluations;
    uint64_t every = trainer->settings.eval_steps, last = e->count > 0 ? e->step[e->count - 1] : 0;
    return trainer->held_out.count > 0 && step > last &&
           (step % every == 0 || step == trainer->steps);
}

static bool stops_early(const ts_trainer *trainer)
{
    return ts_evaluations_stop(&trainer->history.evaluations, trainer->settings.early_stopping,
                               trainer->settings.early_stopping_threshold);
}

static void report_evaluation(struct loop *loop)
{
    ts_trainer *trainer = loop->trainer;
    const ts_evaluations *e = &trainer->history.evaluations;
    size_t last = e->count - 1, best = ts_evaluations_best(e);
    const ts_train_evaluation evaluation = {
        .step = e->step[last],
        .epoch = (double)e->step[last] / (double)trainer->batches.steps_per_epoch,
        .loss = e->loss[last],
        .margin = e->pairs ? e->margin[last] : NAN,
        .accuracy = e->pairs ? e->accuracy[last] : NAN,
        .best_step = e->step[best],
        .best_loss = e->loss[best],
        .stops = stops_early(trainer) && e->step[last] < trainer->steps,
    };
    ts_logs_add_evaluation(&trainer->logs, &evaluation);
    if (loop->callbacks->evaluated != NULL) {
        loop->callbacks->evaluated(loop->callbacks->user, &evaluation);
    }
}

// Measures the loss after `step` steps. If the caller asks to stop during this, nothing is recorded
// and a run that continues from here measures first. With load_best the best adapter so far is
// saved.
static ts_status evaluate(struct loop *loop, uint64_t step, ts_error *err)
{
    ts_status status = TS_OK;
    ts_trainer *trainer = loop->trainer;
    ts_evaluations *e = &trainer->history.evaluations;
    ts_held_out_measured found;
    TS_TRY(read_all(loop, err));
    TS_TRY(ts_held_out_measure(&trainer->held_out, &trainer->pass, &trainer->batch,
                               trainer->settings.ranks, &found, err));
    if (!found.whole) {
        return TS_OK;
    }
    if (!isfinite(found.loss)) {
        TS_FAIL(TS_ERR_RUN,
                "step %llu: the loss on the held-out rows is %g: the training diverged (try a "
                "lower --lr)",
                (unsigned long long)step, found.loss);
    }
    TS_TRY(ts_evaluations_push(e, step, found.loss, err));
    if (e->pairs) {
        e->margin[e->count - 1] = found.margin;
        e->accuracy[e->count - 1] = found.accuracy;
    }
    report_evaluation(loop);
    if (trainer->settings.load_best && ts_evaluations_best_step(e) == step) {
        TS_TRY(ts_trainer_save(trainer, err));
    }
out:
    return status;
}

// ---- Steps

// What follows a step: the loss on held-out rows and a checkpoint, where they are due. *stopped is
// set if the caller asked to stop while the loss was measured.
static ts_status end_step(struct loop *loop, uint64_t done, bool *stopped, ts_error *err)
{
    ts_status status = TS_OK;
    ts_trainer *trainer = loop->trainer;
    uint64_t save_steps = trainer->settings.save_steps;
    if (!*stopped && evaluation_is_due(trainer, done)) {
        TS_TRY(evaluate(loop, done, err));
        *stopped = evaluation_is_due(trainer, done);
    }
    if ((*stopped || (save_steps > 0 && done % save_steps == 0)) && trainer->saved != done) {
        TS_TRY(read_all(loop, err));
        TS_TRY(ts_trainer_save(trainer, err));
    }
out:
    return status;
}

// Whether to stop before the next step. Several ranks stop after the same one: where one was asked
// during a step, all of them learn it with that step.
static bool stop_is_asked(const struct loop *loop)
{
    const ts_trainer *trainer = loop->trainer;
    return trainer->settings.ranks != NULL ? trainer->exchange.stop : ts_stop_asked();
}

static ts_status train_steps(struct loop *loop, ts_error *err)
{
    ts_status status = TS_OK;
    ts_trainer *trainer = loop->trainer;
    uint64_t first = trainer->first_step, done = first;
    if (done > 0 && evaluation_is_due(trainer, done)) { // stopped before it was measured
        TS_TRY(evaluate(loop, done, err));
        if (evaluation_is_due(trainer, done)) {
            return stop(loop, done, err);
        }
    }
    while (done < trainer->steps && !stops_early(trainer)) {
        if (done == first && stop_is_asked(loop)) {
            return stop(loop, done, err);
        }
        TS_TRY(send_step(loop, done, err));
        done++;
        bool stopped = stop_is_asked(loop) && done < trainer->steps;
        TS_TRY(end_step(loop, done, &stopped, err));
        if (stopped) {
            return stop(loop, done, err);
        }
    }
    TS_TRY(read_all(loop, err));
    if (trainer->saved != done) { // a longer run can continue from this checkpoint
        TS_TRY(ts_trainer_save(trainer, err));
    }
out:
    return status;
}

ts_status ts_trainer_loop(ts_trainer *trainer, const ts_train_callbacks *callbacks, ts_error *err)
{
    struct loop loop = {.trainer = trainer,
                        .callbacks = callbacks,
                        .started_s = ts_clock_s(),
                        .tokens_before = trainer->history.tokens};
    begin_interval(&loop);
    ts_status status = train_steps(&loop, err);
    if (status != TS_OK) { // the device must finish before the memory that it uses is freed
        ts_error ignored = {0};
        ts_recorder_wait(trainer->pass.recorder, UINT64_MAX, &ignored);
    }
    return status;
}
