// The thread that watches the other ranks, and moves the exchange on.
#include "base/memory.h"
#include "base/os.h"
#include "base/ranks_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

// In seconds. After STALL between two of its own rounds this process itself was stopped, and what
// others sent meanwhile has yet to come in. GRACE: for a caller to tell of a failure itself.
static const double BEAT_S = 1, ROUND_S = 0.05, STALL_S = 2, GRACE_S = 1, UNWIND_S = 10;
static const double LEAST_PAUSE_S = 5e-5, MOST_PAUSE_S = 5e-4, ABORT_S = 5;
// For the launcher to pass on what was said last: MPICH's ends with an abort, read or not.
static const double SAID_S = 0.3;

// With the lock held.
static _Noreturn void abort_all(ts_ranks *ranks, int code)
{
    ts_os_end_after(ABORT_S); // a network that is cut may keep MPI from ending
    ts_os_sleep(SAID_S);
    ranks->mpi->abort(code);
    exit(code);
}

_Noreturn void ts_ranks_abort(ts_ranks *ranks, int code)
{
    ts_os_end_after(ABORT_S); // should the watcher hang in MPI with the lock held
    pthread_mutex_lock(&ranks->lock);
    abort_all(ranks, code);
}

// ---- The exchange

static bool is_done(ts_ranks *ranks, int request, int *from)
{
    int done = 0;
    const int error = ranks->mpi->test(request, &done, from);
    if (error != 0 && ranks->error == 0) {
        ranks->error = error;
    }
    return error != 0 || done;
}

static void move_exchange(ts_ranks *ranks)
{
    size_t kept = 0;
    int from;
    for (size_t i = 0; i < ranks->pending_count; i++) {
        if (!is_done(ranks, ranks->pending[i], &from)) {
            ranks->pending[kept++] = ranks->pending[i];
        }
    }
    if ((kept == 0 && ranks->pending_count > 0) || ranks->error != 0) {
        pthread_cond_broadcast(&ranks->done);
    }
    ranks->pending_count = kept;
}

// ---- Beats

// Whether this rank listens to that one: rank 0 to all, all to rank 0.
static bool hears(const ts_ranks *ranks, int peer)
{
    return peer != ranks->rank && (ranks->rank == 0 || peer == 0);
}

// Like is_done, but an error only means that nothing came.
static bool came(ts_ranks *ranks, int *request, int *from)
{
    int done = 0;
    if (*request == TS_NO_REQUEST) {
        return false;
    }
    if (ranks->mpi->test(*request, &done, from) != 0) {
        *request = TS_NO_REQUEST;
        return false;
    }
    *request = done ? TS_NO_REQUEST : *request;
    return done;
}

static void exchange_beats(ts_ranks *ranks, double now)
{
    const bool due = now - ranks->beaten_s >= BEAT_S;
    int from;
    for (int peer = 0; peer < ranks->count; peer++) {
        if (!hears(ranks, peer)) {
            continue;
        }
        while (came(ranks, &ranks->beat_in[peer], &from)) {
            ranks->heard_s[peer] = now;
            if (ranks->mpi->receive(&ranks->beat, 1, peer, TS_TAG_BEAT, &ranks->beat_in[peer]) !=
                0) {
                ranks->beat_in[peer] = TS_NO_REQUEST;
            }
        }
        came(ranks, &ranks->beat_out[peer], &from);
        if (due && ranks->beat_out[peer] == TS_NO_REQUEST &&
            ranks->mpi->send(&ranks->beat_sent, 1, peer, TS_TAG_BEAT, &ranks->beat_out[peer]) !=
                0) {
            ranks->beat_out[peer] = TS_NO_REQUEST;
        }
    }
    ranks->beaten_s = due ? now : ranks->beaten_s;
}

static void fail_by(ts_ranks *ranks, int rank, uint32_t code, const char *text, double now)
{
    if (ranks->failed) {
        return; // the first is the cause
    }
    ranks->failed = true;
    ranks->failed_rank = rank;
    ranks->failed_code = code;
    ranks->failed_s = now;
    snprintf(ranks->failure, sizeof ranks->failure, "%s", text);
    pthread_cond_broadcast(&ranks->done);
}

static void look_for_silent(ts_ranks *ranks, double now)
{
    char text[128];
    for (int peer = 0; peer < ranks->count; peer++) {
        if (hears(ranks, peer) && now - ranks->heard_s[peer] > ranks->limit_s) {
            snprintf(text, sizeof text,
                     "it has not answered for %.0f s: it hangs or was stopped, or its network is "
                     "cut off",
                     now - ranks->heard_s[peer]);
            fail_by(ranks, peer, TS_ERR_RUN, text, now);
        }
    }
}

// ---- Notes

static void listen_to_notes(ts_ranks *ranks, double now)
{
    int from;
    if (came(ranks, &ranks->note_out, &from)) {
        pthread_cond_broadcast(&ranks->done);
    }
    if (came(ranks, &ranks->note_in, &from)) {
        ranks->coming.text[sizeof ranks->coming.text - 1] = '\0';
        if (ranks->coming.failed != 0) {
            fail_by(ranks, from, ranks->coming.code, ranks->coming.text, now);
        } else {
            ranks->inbox[ranks->inbox_count] = ranks->coming;
            ranks->inbox_from[ranks->inbox_count++] = from;
        }
    }
    if (ranks->rank == 0 && ranks->note_in == TS_NO_REQUEST && ranks->inbox_count < TS_INBOX &&
        ranks->mpi->receive(&ranks->coming, sizeof ranks->coming / sizeof(uint32_t), TS_MPI_ANY,
                            TS_TAG_NOTE, &ranks->note_in) != 0) {
        ranks->note_in = TS_NO_REQUEST;
    }
}

// Ends the run where the caller does not: it may wait for its device.
static void end_failed(ts_ranks *ranks, double now)
{
    if (!ranks->failed || now - ranks->failed_s < (ranks->failure_taken ? UNWIND_S : GRACE_S)) {
        return;
    }
    if (!ranks->failure_taken && ranks->listen != NULL) {
        ranks->listen(ranks->user, (uint32_t)ranks->failed_rank, ranks->hosts[ranks->failed_rank],
                      ranks->failure, true);
    }
    abort_all(ranks, (int)ranks->failed_code);
}

// ---- The thread

static void pause_s(ts_ranks *ranks, double seconds)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    const long ns = until.tv_nsec + (long)(seconds * 1e9);
    until.tv_sec += ns / 1000000000;
    until.tv_nsec = ns % 1000000000;
    pthread_cond_timedwait(&ranks->wake, &ranks->lock, &until);
}

static void do_round(ts_ranks *ranks, double now, double before)
{
    if (ranks->failed) { // the caller frees what MPI would write to
        end_failed(ranks, now);
        return;
    }
    if (now - before > STALL_S) {
        for (int peer = 0; peer < ranks->count; peer++) {
            ranks->heard_s[peer] = now;
        }
    }
    exchange_beats(ranks, now);
    listen_to_notes(ranks, now);
    look_for_silent(ranks, now);
}

static void *watch(void *user)
{
    ts_ranks *ranks = user;
    double round_s = ts_clock_s(), pause = LEAST_PAUSE_S;
    pthread_mutex_lock(&ranks->lock);
    while (!ranks->ending) {
        const double now = ts_clock_s();
        const size_t before = ranks->pending_count;
        if (!ranks->failed && ranks->error == 0) {
            move_exchange(ranks);
        }
        if (now - round_s >= ROUND_S || ranks->note_out != TS_NO_REQUEST) {
            do_round(ranks, now, round_s);
            round_s = now;
        }
        pause = before != ranks->pending_count ? LEAST_PAUSE_S : 1.5 * pause;
        pause = pause < MOST_PAUSE_S ? pause : MOST_PAUSE_S;
        pause_s(ranks, ranks->pending_count > 0 ? pause : ROUND_S);
    }
    pthread_mutex_unlock(&ranks->lock);
    return NULL;
}

ts_status ts_ranks_read_limit(double *out, ts_error *err)
{
    enum { LEAST = 3, USUAL = 15, MOST = 86400 };
    const char *text = getenv("TINYSFT_RANK_TIMEOUT");
    const unsigned long asked = text != NULL ? strtoul(text, NULL, 10) : USUAL;
    if (text != NULL &&
        (strspn(text, "0123456789") != strlen(text) || asked < LEAST || asked > MOST)) {
        return ts_error_set(err, TS_ERR_ARGUMENT,
                            "TINYSFT_RANK_TIMEOUT=%s: expected whole seconds, %d to %d", text,
                            LEAST, MOST);
    }
    *out = (double)asked;
    return TS_OK;
}

ts_status ts_ranks_watch_begin(ts_ranks *ranks, ts_error *err)
{
    ts_status status = TS_OK;
    pthread_condattr_t monotonic;
    const size_t count = (size_t)ranks->count;
    const double now = ts_clock_s();
    TS_TRY(ts_alloc(count, sizeof *ranks->heard_s, &ranks->heard_s, err));
    TS_TRY(ts_alloc(count, sizeof *ranks->beat_in, &ranks->beat_in, err));
    TS_TRY(ts_alloc(count, sizeof *ranks->beat_out, &ranks->beat_out, err));
    ranks->note_in = ranks->note_out = TS_NO_REQUEST;
    for (int peer = 0; peer < ranks->count; peer++) {
        ranks->heard_s[peer] = now;
        ranks->beat_in[peer] = ranks->beat_out[peer] = TS_NO_REQUEST;
        if (hears(ranks, peer) &&
            ranks->mpi->receive(&ranks->beat, 1, peer, TS_TAG_BEAT, &ranks->beat_in[peer]) != 0) {
            TS_FAIL(TS_ERR_RUN, "rank %d cannot be heard", peer);
        }
    }
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&ranks->lock, NULL);
    pthread_cond_init(&ranks->done, &monotonic);
    pthread_cond_init(&ranks->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    const int reason = pthread_create(&ranks->watcher, NULL, watch, ranks);
    if (reason != 0) {
        TS_FAIL(TS_ERR_RUN, "no thread to watch the other ranks: %s", strerror(reason));
    }
    ranks->watching = true;
out:
    return status;
}

void ts_ranks_watch_end(ts_ranks *ranks)
{
    if (!ranks->watching) {
        return;
    }
    pthread_mutex_lock(&ranks->lock);
    ranks->ending = true;
    pthread_cond_broadcast(&ranks->wake);
    pthread_mutex_unlock(&ranks->lock);
    pthread_join(ranks->watcher, NULL);
    for (int peer = 0; peer < ranks->count; peer++) {
        if (ranks->beat_in[peer] != TS_NO_REQUEST) {
            ranks->mpi->cancel(ranks->beat_in[peer]);
        }
    }
    if (ranks->note_in != TS_NO_REQUEST) {
        ranks->mpi->cancel(ranks->note_in);
    }
    ranks->watching = false;
}
