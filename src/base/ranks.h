// The ranks of a run: processes that a launcher started, each with a device of its own, which train
// one model together by MPI. Where there is no launcher, or it started only one, there is no
// ts_ranks: NULL stands for rank 0 of 1, and every function below takes it and has nothing to do.
//
// A thread watches the others: every second ranks tell rank 0, and rank 0 tells them, that they are
// there. One that is silent for TINYSFT_RANK_TIMEOUT seconds [15] ends the run, whatever the others
// are doing; so does one that fails (ts_ranks_fail). The thread also moves the data of an exchange
// on while the caller waits for its device.
#ifndef TS_BASE_RANKS_H
#define TS_BASE_RANKS_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct ts_ranks ts_ranks;

// What a rank says to a person. `host` is where it runs; `failed` if the run ends because of it.
typedef void (*ts_ranks_listener)(void *user, uint32_t rank, const char *host, const char *text,
                                  bool failed);

// Loads the shim of the launcher's MPI (base/mpi.h) and joins the other ranks; all of them must
// call it. *out is NULL where the program is alone. TS_ERR_UNSUPPORTED where a launcher started
// several but there is no shim that fits it. `listen` gets the messages of other ranks; on rank 0
// within calls of functions below, and, if the run ends, at any moment and in another thread.
ts_status ts_ranks_open(ts_ranks_listener listen, void *user, ts_ranks **out, ts_error *err);
// All ranks leave together: it waits for them. Should MPI not let go within some seconds, the
// program ends here, with this exit code: all is done.
void ts_ranks_close(ts_ranks *ranks, int code);

// Whether there is a shim for that MPI ("openmpi", "mpich").
bool ts_ranks_can_use(const char *mpi);

uint32_t ts_ranks_rank(const ts_ranks *ranks);
uint32_t ts_ranks_count(const ts_ranks *ranks);
// The same among the ranks of this host.
uint32_t ts_ranks_local_rank(const ts_ranks *ranks);
uint32_t ts_ranks_local_count(const ts_ranks *ranks);
const char *ts_ranks_host(const ts_ranks *ranks, uint32_t rank);
const char *ts_ranks_mpi(const ts_ranks *ranks); // the name and version of the MPI library

// ---- What all ranks call at once. Bytes are multiples of 4. TS_ERR_RUN where MPI fails, or with
// its own code and message where another rank has failed.

// all[rank] = what each rank gives, `bytes` of it.
ts_status ts_ranks_share(ts_ranks *ranks, const void *own, uint64_t bytes, void *all,
                         ts_error *err);
// Rank r has floats[first[r] .. first[r + 1]); afterwards all have all.
ts_status ts_ranks_gather(ts_ranks *ranks, float *floats, const uint64_t *first, ts_error *err);
// Rank 0's bytes, to all.
ts_status ts_ranks_tell(ts_ranks *ranks, void *bytes, uint64_t len, ts_error *err);

// ---- From one rank to another. Both begin an exchange, and ts_ranks_finish waits for all of them;
// until then the memory must stay. tag: from 0 to TS_RANKS_TAGS - 1.

enum { TS_RANKS_TAGS = 1 << 14 };
ts_status ts_ranks_send(ts_ranks *ranks, const void *bytes, uint64_t len, uint32_t to, uint32_t tag,
                        ts_error *err);
ts_status ts_ranks_receive(ts_ranks *ranks, void *bytes, uint64_t len, uint32_t from, uint32_t tag,
                           ts_error *err);
ts_status ts_ranks_finish(ts_ranks *ranks, ts_error *err);
// Whether an exchange has begun and not ended.
bool ts_ranks_exchange(ts_ranks *ranks);
// How long this rank has waited for others in all, and what it sent, since the ranks were opened.
double ts_ranks_waited_s(const ts_ranks *ranks);
uint64_t ts_ranks_sent_bytes(const ts_ranks *ranks);

// ---- Messages and the end

// Has rank 0 tell a person (its listener). On rank 0 nothing is done.
void ts_ranks_say(ts_ranks *ranks, const char *text);
// Ends the run for all ranks with this exit code. On another rank than 0, rank 0 tells a person of
// the error first. Does not return.
void ts_ranks_fail(ts_ranks *ranks, const ts_error *error);

#endif
