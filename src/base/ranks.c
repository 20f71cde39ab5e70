#include "base/ranks.h"

#include "base/launcher.h"
#include "base/memory.h"
#include "base/os.h"
#include "base/ranks_parts.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORD = sizeof(uint32_t) };

// ---- Who is there

uint32_t ts_ranks_rank(const ts_ranks *ranks)
{
    return ranks != NULL ? (uint32_t)ranks->rank : 0;
}

uint32_t ts_ranks_count(const ts_ranks *ranks)
{
    return ranks != NULL ? (uint32_t)ranks->count : 1;
}

uint32_t ts_ranks_local_rank(const ts_ranks *ranks)
{
    return ranks != NULL ? (uint32_t)ranks->local_rank : 0;
}

uint32_t ts_ranks_local_count(const ts_ranks *ranks)
{
    return ranks != NULL ? (uint32_t)ranks->local_count : 1;
}

const char *ts_ranks_host(const ts_ranks *ranks, uint32_t rank)
{
    return ranks != NULL ? ranks->hosts[rank] : "";
}

const char *ts_ranks_mpi(const ts_ranks *ranks)
{
    return ranks != NULL ? ranks->about : "";
}

double ts_ranks_waited_s(const ts_ranks *ranks)
{
    return ranks != NULL ? ranks->waited_s : 0;
}

uint64_t ts_ranks_sent_bytes(const ts_ranks *ranks)
{
    return ranks != NULL ? ranks->sent_bytes : 0;
}

// ---- Requests

// Notes that have come, to the listener. Not with the lock held: it may print for a while.
static void deliver_notes(ts_ranks *ranks)
{
    ts_note *notes = ranks->delivered;
    int from[TS_INBOX];
    pthread_mutex_lock(&ranks->lock);
    const size_t count = ranks->inbox_count;
    memcpy(notes, ranks->inbox, count * sizeof *notes);
    memcpy(from, ranks->inbox_from, count * sizeof *from);
    ranks->inbox_count = 0;
    pthread_mutex_unlock(&ranks->lock);
    for (size_t i = 0; i < count && ranks->listen != NULL; i++) {
        ranks->listen(ranks->user, (uint32_t)from[i], ranks->hosts[from[i]], notes[i].text, false);
    }
}

static ts_status mpi_failed(const ts_ranks *ranks, int error, ts_error *err)
{
    char why[512];
    ranks->mpi->explain(error, why, sizeof why);
    return ts_error_set(err, TS_ERR_RUN, "the exchange with the other ranks failed: %s", why);
}

// Adds a request that was begun with the lock held to the exchange.
static ts_status add_request(ts_ranks *ranks, int error, int request, ts_error *err)
{
    ts_status status = error != 0 ? mpi_failed(ranks, error, err) : TS_OK;
    if (status == TS_OK) {
        status = ts_grow(&ranks->pending, &ranks->pending_capacity, ranks->pending_count + 1,
                         sizeof *ranks->pending, err);
    }
    if (status == TS_OK) {
        ranks->pending[ranks->pending_count++] = request;
        pthread_cond_signal(&ranks->wake);
    }
    return status;
}

static ts_status finish(ts_ranks *ranks, ts_error *err)
{
    ts_status status = TS_OK;
    const double began_s = ts_clock_s();
    pthread_mutex_lock(&ranks->lock);
    while (ranks->pending_count > 0 && ranks->error == 0 && !ranks->failed) {
        pthread_cond_wait(&ranks->done, &ranks->lock);
    }
    if (ranks->failed) {
        ranks->failure_taken = true;
        status = ts_error_set(err, (ts_status)ranks->failed_code, "rank %d on %s: %s",
                              ranks->failed_rank, ranks->hosts[ranks->failed_rank], ranks->failure);
    } else if (ranks->error != 0) {
        status = mpi_failed(ranks, ranks->error, err);
    }
    pthread_mutex_unlock(&ranks->lock);
    ranks->waited_s += ts_clock_s() - began_s;
    deliver_notes(ranks);
    return status;
}

ts_status ts_ranks_send(ts_ranks *ranks, const void *bytes, uint64_t len, uint32_t to, uint32_t tag,
                        ts_error *err)
{
    int request = TS_NO_REQUEST;
    pthread_mutex_lock(&ranks->lock);
    const int error =
        ranks->mpi->send(bytes, len / WORD, (int)to, (int)tag + TS_TAG_FIRST, &request);
    const ts_status status = add_request(ranks, error, request, err);
    ranks->sent_bytes += len;
    pthread_mutex_unlock(&ranks->lock);
    return status;
}

ts_status ts_ranks_receive(ts_ranks *ranks, void *bytes, uint64_t len, uint32_t from, uint32_t tag,
                           ts_error *err)
{
    int request = TS_NO_REQUEST;
    pthread_mutex_lock(&ranks->lock);
    const int error =
        ranks->mpi->receive(bytes, len / WORD, (int)from, (int)tag + TS_TAG_FIRST, &request);
    const ts_status status = add_request(ranks, error, request, err);
    pthread_mutex_unlock(&ranks->lock);
    return status;
}

ts_status ts_ranks_finish(ts_ranks *ranks, ts_error *err)
{
    return ranks != NULL ? finish(ranks, err) : TS_OK;
}

bool ts_ranks_exchange(ts_ranks *ranks)
{
    if (ranks == NULL) {
        return false;
    }
    pthread_mutex_lock(&ranks->lock);
    const bool exchange = ranks->pending_count > 0;
    pthread_mutex_unlock(&ranks->lock);
    return exchange;
}

static ts_status gather(ts_ranks *ranks, void *words, const int *counts, const int *offsets,
                        ts_error *err)
{
    int request = TS_NO_REQUEST;
    pthread_mutex_lock(&ranks->lock);
    const int error = ranks->mpi->gather(words, counts, offsets, &request);
    ts_status status = add_request(ranks, error, request, err);
    ranks->sent_bytes += (uint64_t)counts[ranks->rank] * WORD * (uint64_t)(ranks->count - 1);
    pthread_mutex_unlock(&ranks->lock);
    return status == TS_OK ? finish(ranks, err) : status;
}

ts_status ts_ranks_gather(ts_ranks *ranks, float *floats, const uint64_t *first, ts_error *err)
{
    ts_status status = TS_OK;
    int *counts = NULL;
    if (ranks == NULL) {
        return TS_OK;
    }
    const size_t count = (size_t)ranks->count;
    TS_TRY(ts_alloc(2 * count, sizeof *counts, &counts, err));
    if (first[count] > INT_MAX) {
        TS_FAIL(TS_ERR_UNSUPPORTED, "%llu floats: more than MPI moves at once",
                (unsigned long long)first[count]);
    }
    for (size_t r = 0; r < count; r++) {
        counts[r] = (int)(first[r + 1] - first[r]);
        counts[count + r] = (int)first[r];
    }
    TS_TRY(gather(ranks, floats, counts, counts + count, err));
out:
    free(counts);
    return status;
}

ts_status ts_ranks_share(ts_ranks *ranks, const void *own, uint64_t bytes, void *all, ts_error *err)
{
    ts_status status = TS_OK;
    uint64_t *first = NULL;
    const size_t count = ts_ranks_count(ranks);
    memmove((char *)all + bytes * ts_ranks_rank(ranks), own, bytes);
    if (ranks == NULL) {
        return TS_OK;
    }
    TS_TRY(ts_alloc(count + 1, sizeof *first, &first, err));
    for (size_t r = 0; r <= count; r++) {
        first[r] = bytes / WORD * r;
    }
    TS_TRY(ts_ranks_gather(ranks, all, first, err));
out:
    free(first);
    return status;
}

ts_status ts_ranks_tell(ts_ranks *ranks, void *bytes, uint64_t len, ts_error *err)
{
    int request = TS_NO_REQUEST;
    if (ranks == NULL || len == 0) {
        return TS_OK;
    }
    pthread_mutex_lock(&ranks->lock);
    const int error = ranks->mpi->tell(bytes, len / WORD, &request);
    ts_status status = add_request(ranks, error, request, err);
    pthread_mutex_unlock(&ranks->lock);
    return status == TS_OK ? finish(ranks, err) : status;
}

// ---- Notes and failures

// Returns whether the note is on its way; while rank 0 does not take the one before it waits a
// moment. Once another rank has failed MPI is left alone.
static bool send_note(ts_ranks *ranks, bool failed, uint32_t code, const char *text)
{
    enum { TRIES = 200 };
    bool sent = false;
    bool ends = false;
    for (int i = 0; i < TRIES && !sent && !ends; i++) {
        pthread_mutex_lock(&ranks->lock);
        ends = ranks->failed;
        if (ranks->note_out == TS_NO_REQUEST && !ends) {
            ranks->going = (ts_note){.failed = failed, .code = code};
            snprintf(ranks->going.text, sizeof ranks->going.text, "%s", text);
            sent = true;
            if (ranks->mpi->send(&ranks->going, sizeof ranks->going / WORD, 0, TS_TAG_NOTE,
                                 &ranks->note_out) != 0) {
                ranks->note_out = TS_NO_REQUEST;
            }
            pthread_cond_signal(&ranks->wake);
        }
        pthread_mutex_unlock(&ranks->lock);
        if (!sent && !ends) {
            ts_os_sleep(0.01);
        }
    }
    return sent;
}

void ts_ranks_say(ts_ranks *ranks, const char *text)
{
    if (ranks != NULL && ranks->rank != 0) {
        send_note(ranks, false, 0, text);
    }
}

// Tells of the failure of another rank, which the caller cannot any more.
static void end_with(ts_ranks *ranks, const ts_error *error)
{
    if (ranks->rank == 0 && ranks->listen != NULL) {
        ranks->listen(ranks->user, (uint32_t)ranks->failed_rank, ranks->hosts[ranks->failed_rank],
                      ranks->failed ? ranks->failure : error->message, true);
    }
    ts_ranks_fail(ranks, error);
}

void ts_ranks_fail(ts_ranks *ranks, const ts_error *error)
{
    const double PATIENCE_S = 4; // for rank 0 to tell of it and end all
    if (ranks->rank != 0) {
        if (send_note(ranks, true, error->code, error->message)) {
            ts_os_sleep(PATIENCE_S);
        }
        if (ranks->listen != NULL) {
            ranks->listen(ranks->user, (uint32_t)ranks->rank, ranks->hosts[ranks->rank],
                          error->message, true);
        }
    }
    ts_ranks_abort(ranks, (int)error->code);
}

// ---- Joining and leaving

// Tries one file. *found stays NULL where there is none of that name.
static void load_file(const char *path, const ts_mpi **found, char *problem, size_t size)
{
    void *library = ts_os_library_open(path, problem, size);
    if (library == NULL) {
        return;
    }
    ts_mpi_shim_function shim;
    void *function = ts_os_library_find(library, TS_MPI_SHIM);
    memcpy(&shim, &function, sizeof shim); // ISO C converts no object pointer to a function's
    if (function == NULL || shim()->version != TS_MPI_VERSION) {
        snprintf(problem, size, "it is of another version of tinysft-vk");
        ts_os_library_close(library);
        return;
    }
    *found = shim();
}

// Looks beside the program, then where packages put it.
static const ts_mpi *load_shim(const char *mpi, char *problem, size_t size)
{
    static const char *const folders[] = {"", TINYSFT_SHIMS "/"};
    char program[2048] = "", path[2560];
    const ts_mpi *found = NULL;
    problem[0] = '\0';
    if (strchr(mpi, '/') != NULL) {
        load_file(mpi, &found, problem, size);
        return found;
    }
    if (ts_os_program_path(program, sizeof program) != 0 || strrchr(program, '/') == NULL) {
        return NULL;
    }
    strrchr(program, '/')[1] = '\0';
    for (size_t i = 0; i < TS_COUNT(folders) && found == NULL; i++) {
        ts_os_info info;
        snprintf(path, sizeof path, "%s%slibtinysft-mpi-%s.so", program, folders[i], mpi);
        if (ts_os_stat(path, &info) == 0) {
            load_file(path, &found, problem, size);
        }
    }
    return found;
}

bool ts_ranks_can_use(const char *mpi)
{
    char problem[256];
    return load_shim(mpi, problem, sizeof problem) != NULL;
}

static ts_status find_shim(const ts_launcher *launcher, const ts_mpi **out, ts_error *err)
{
    char problem[1024];
    if (launcher->mpi == NULL) {
        return ts_error_set(err, TS_ERR_UNSUPPORTED,
                            "%s started %u of this program but connects them by no MPI, so each "
                            "would train by itself: use srun --mpi=pmix with Open MPI, srun "
                            "--mpi=pmi2 with MPICH, or mpirun",
                            launcher->name, launcher->count);
    }
    *out = load_shim(launcher->mpi, problem, sizeof problem);
    if (*out != NULL) {
        return TS_OK;
    }
    if (strchr(launcher->mpi, '/') != NULL) {
        return ts_error_set(err, TS_ERR_UNSUPPORTED,
                            "%s started %u of this program, but the library that TINYSFT_MPI "
                            "names, %s, cannot be loaded: %s",
                            launcher->name, launcher->count, launcher->mpi, problem);
    }
    return ts_error_set(err, TS_ERR_UNSUPPORTED,
                        "%s started %u of this program, but libtinysft-mpi-%s.so, which lets them "
                        "train together, cannot be loaded%s%s: install the package "
                        "tinysft-vk-%s, or put that file beside the program",
                        launcher->name, launcher->count, launcher->mpi,
                        problem[0] != '\0' ? ": " : "", problem, launcher->mpi);
}

static ts_status join(const ts_launcher *launcher, ts_ranks *ranks, ts_error *err)
{
    ts_status status = TS_OK;
    char own[TS_HOST_BYTES] = "";
    const int error =
        ranks->mpi->begin(&ranks->rank, &ranks->count, &ranks->local_rank, &ranks->local_count);
    if (error != 0) {
        ranks->count = 0;
        TS_FAIL(TS_ERR_RUN, "MPI does not start (error %d)", error);
    }
    ranks->mpi->describe(ranks->about, sizeof ranks->about);
    if ((uint32_t)ranks->count != launcher->count) {
        TS_FAIL(TS_ERR_UNSUPPORTED,
                "%s started %u of this program, but by %s there are %d: the launcher is of another "
                "MPI; TINYSFT_MPI=openmpi or =mpich says of which",
                launcher->name, launcher->count, ranks->about, ranks->count);
    }
    TS_TRY(ts_alloc((size_t)ranks->count, sizeof *ranks->hosts, &ranks->hosts, err));
    TS_TRY(ts_ranks_watch_begin(ranks, err));
    ts_os_host_name(own, sizeof own);
    TS_TRY(ts_ranks_share(ranks, own, sizeof own, ranks->hosts, err));
out:
    return status;
}

static void free_ranks(ts_ranks *ranks)
{
    free(ranks->hosts);
    free(ranks->pending);
    free(ranks->heard_s);
    free(ranks->beat_in);
    free(ranks->beat_out);
    free(ranks);
}

ts_status ts_ranks_open(ts_ranks_listener listen, void *user, ts_ranks **out, ts_error *err)
{
    ts_status status = TS_OK;
    const ts_launcher launcher = ts_launcher_read();
    ts_ranks *ranks = NULL;
    *out = NULL;
    if (launcher.count == 1) {
        return TS_OK;
    }
    TS_TRY(ts_alloc(1, sizeof *ranks, &ranks, err));
    ranks->listen = listen;
    ranks->user = user;
    TS_TRY(ts_ranks_read_limit(&ranks->limit_s, err));
    TS_TRY(find_shim(&launcher, &ranks->mpi, err));
    TS_TRY(join(&launcher, ranks, err));
    *out = ranks;
out:
    if (status != TS_OK && ranks != NULL) { // the others would wait for this one: the program ends
        ts_ranks_watch_end(ranks);
        free_ranks(ranks);
    }
    return status;
}

// A thread that ends the program if MPI_Finalize does not return: MPICH 4.0 waits there for ever by
// UCX and TCP where one rank has closed its connections while another still needs its answer.
static void *leave_in_time(void *user)
{
    enum { LEAVE_S = 5 };
    ts_ranks *ranks = user;
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += LEAVE_S;
    pthread_mutex_lock(&ranks->lock);
    while (!ranks->left && pthread_cond_timedwait(&ranks->done, &ranks->lock, &until) == 0) {
    }
    if (!ranks->left) {
        ts_os_exit_now(ranks->exit_code);
    }
    pthread_mutex_unlock(&ranks->lock);
    return NULL;
}

static void leave(ts_ranks *ranks, int code)
{
    pthread_t timer;
    ranks->exit_code = code;
    const bool timed = pthread_create(&timer, NULL, leave_in_time, ranks) == 0;
    ranks->mpi->end();
    if (timed) {
        pthread_mutex_lock(&ranks->lock);
        ranks->left = true;
        pthread_cond_broadcast(&ranks->done);
        pthread_mutex_unlock(&ranks->lock);
        pthread_join(timer, NULL);
    }
}

void ts_ranks_close(ts_ranks *ranks, int code)
{
    ts_error error = {0}, *err = &error;
    int request = TS_NO_REQUEST;
    if (ranks == NULL) {
        return;
    }
    pthread_mutex_lock(&ranks->lock);
    const int reason = ranks->mpi->barrier(&request);
    ts_status status = add_request(ranks, reason, request, err);
    pthread_mutex_unlock(&ranks->lock);
    if (status == TS_OK) {
        status = finish(ranks, err);
    }
    if (status != TS_OK) { // one of them failed when this one was done already
        end_with(ranks, err);
    }
    if (ranks->rank == 0) { // what others said last is on its way: two rounds of the watcher
        ts_os_sleep(0.12);
        deliver_notes(ranks);
    }
    ts_ranks_watch_end(ranks);
    leave(ranks, code);
    free_ranks(ranks);
}
