// Shared by the files of the ranks alone: ranks.c has what the program calls, ranks_watch.c the
// thread that watches the other ranks.
#ifndef TS_BASE_RANKS_PARTS_H
#define TS_BASE_RANKS_PARTS_H

#include "base/mpi.h"
#include "base/ranks.h"

#include <pthread.h>

// The tags of messages; those of ts_ranks_send come after them.
enum { TS_TAG_BEAT, TS_TAG_NOTE, TS_TAG_FIRST };

enum { TS_NO_REQUEST = -1, TS_HOST_BYTES = 64, TS_INBOX = 32 };

// What a rank says to rank 0.
typedef struct ts_note {
    uint32_t failed, code; // failed: 1 where the run ends because of it
    char text[2040];
} ts_note;

struct ts_ranks {
    const ts_mpi *mpi;
    int rank, count, local_rank, local_count;
    char (*hosts)[TS_HOST_BYTES]; // [count]
    char about[128];              // the MPI library
    ts_ranks_listener listen;
    void *user;
    double waited_s;
    uint64_t sent_bytes;

    // What both threads use, with `lock` held. MPI is called with it held too.
    pthread_mutex_t lock;
    pthread_cond_t done, wake; // for the caller, for the watcher
    pthread_t watcher;
    bool watching, ending;
    bool left; // MPI has let go
    int exit_code;
    int *pending; // requests of the exchange
    size_t pending_count, pending_capacity;
    int error; // of MPI, in one of them; 0: none

    double *heard_s;         // [count] when something last came of each; others than 0 hear 0 alone
    int *beat_in, *beat_out; // [count] requests
    uint32_t beat, beat_sent; // the content of all that come; of those that go
    double beaten_s, limit_s; // when the last ones went; after how long a rank is given up

    ts_note going, coming; // going: to rank 0; coming: on rank 0
    int note_out, note_in;
    ts_note inbox[TS_INBOX], delivered[TS_INBOX];
    int inbox_from[TS_INBOX];
    size_t inbox_count;

    bool failed; // another rank, and the run ends
    int failed_rank;
    uint32_t failed_code;
    double failed_s;    // when that was learnt
    bool failure_taken; // the caller tells of it
    char failure[2040];
};

// TINYSFT_RANK_TIMEOUT, in seconds; TS_ERR_ARGUMENT where it is none that makes sense.
ts_status ts_ranks_read_limit(double *out, ts_error *err);
// Begins and ends the thread. _end first waits until nothing is pending.
ts_status ts_ranks_watch_begin(ts_ranks *ranks, ts_error *err);
void ts_ranks_watch_end(ts_ranks *ranks);
// Ends the program on all ranks; where MPI cannot, on this one. Not with the lock held.
_Noreturn void ts_ranks_abort(ts_ranks *ranks, int code);

#endif
