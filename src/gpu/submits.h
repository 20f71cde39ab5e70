// Submits on their way to the device: a ring of command buffers, each with its pools, queries and
// fence, made once. While the device runs the oldest, the host records the newest. Where the ring
// is full, the host waits for the oldest. The time that each took corrects the estimates (pace.h).
#ifndef TS_GPU_SUBMITS_H
#define TS_GPU_SUBMITS_H

#include "gpu/internal.h"
#include "gpu/profile.h"

enum { TS_SUBMITS = 8, TS_SUBMIT_DISPATCHES = 256 };

typedef struct ts_submit {
    VkCommandPool pool;
    VkCommandBuffer commands;
    VkDescriptorPool sets;
    uint32_t set_count;
    VkQueryPool clock; // timestamps before and after; none where the device has none
    VkFence fence;
    ts_tally tally;
    double sent_s;
    uint64_t profiled; // dispatches that the profile had when it was sent
} ts_submit;

typedef struct ts_submits {
    ts_gpu *gpu;
    ts_submit ring[TS_SUBMITS]; // the n-th submit is ring[n % TS_SUBMITS]
    uint64_t sent, done;        // the first `done` of the `sent` ones are known to be complete
    bool recording;             // ring[sent % TS_SUBMITS] is open
    double full_s;              // estimated work after which a submit is sent
    double seen_s;              // when the host saw that the last complete one was,
    bool seen_at_once;          // and whether it was waiting for that
    double busy_s, longest_s;   // measured
    ts_profile *profile;        // NULL: not profiling
} ts_submits;

ts_status ts_submits_open(ts_gpu *gpu, ts_submits *out, ts_error *err);
void ts_submits_close(ts_submits *submits); // waits for what is on its way

// The open submit; begins one where none is, waiting for the oldest where the ring is full.
ts_status ts_submits_current(ts_submits *submits, ts_submit **out, ts_error *err);
// Whether `seconds` more may go into the open submit; true where none is open.
bool ts_submits_has_room(const ts_submits *submits, double seconds);
// Sends the open submit, if any, its results visible to the host once it is complete.
ts_status ts_submits_send(ts_submits *submits, ts_error *err);
// Waits until the first `count` submits are complete.
ts_status ts_submits_wait(ts_submits *submits, uint64_t count, ts_error *err);
// After a failure: forgets the open submit and waits for the others.
void ts_submits_drop(ts_submits *submits);

#endif
