// Recording work for the device and sending it. One recorder is one stream: what is recorded
// later sees what was recorded earlier, and a barrier goes in exactly where a dispatch touches
// what an earlier one since the last barrier wrote (or writes what it read).
#ifndef TS_GPU_RECORDER_H
#define TS_GPU_RECORDER_H

#include "gpu/memory.h"
#include "gpu/pipeline.h"
#include "gpu/profile.h"

typedef struct ts_recorder ts_recorder;

typedef enum ts_access { TS_READ = 1, TS_WRITE = 2, TS_READ_WRITE = 3 } ts_access;

typedef struct ts_dispatch ts_dispatch;
struct ts_dispatch {
    ts_pipeline_key pipeline;
    ts_view views[10];
    ts_access access[10];
    uint32_t view_count;
    uint32_t push[32]; // push constants, 4 bytes each
    uint32_t push_count;
    uint32_t groups[3];
    double work; // multiply-adds, or elements moved: what its time goes by, for one pipeline
    void (*mirror)(const ts_dispatch *dispatch); // the same in C, for the mirror device
};

ts_status ts_recorder_open(ts_gpu *gpu, ts_recorder **out, ts_error *err);
void ts_recorder_close(ts_recorder *recorder); // waits for what is in flight; NULL is fine
ts_gpu *ts_recorder_gpu(const ts_recorder *recorder);

// Memory that what is recorded next may use until something else asks for it: F32, TS_SCRATCH_BYTES
// of it, the same each time, so nobody's content stays. NULL buffer: there is none, for memory is
// short.
#define TS_SCRATCH_BYTES (2 << 20)
ts_view ts_recorder_scratch(ts_recorder *recorder);

// Recording never fails on the spot: the first failure is kept, the rest is skipped, and
// ts_recorder_run tells it. So a model's forward pass reads as a list of operations.
void ts_recorder_dispatch(ts_recorder *recorder, const ts_dispatch *dispatch);
void ts_recorder_copy(ts_recorder *recorder, ts_view from, ts_view to); // equal sizes
void ts_recorder_zero(ts_recorder *recorder, ts_view view);
void ts_recorder_fail(ts_recorder *recorder, const ts_error *error);

// For who has another way: true if what failed is that `shader` could not be built. The failure
// is taken back, the shader left out from now on (ts_gpu_leave_out), and the log told.
bool ts_recorder_leaves_out(ts_recorder *recorder, const char *shader);

// Recorded work goes off in submits of bounded length, a dispatch that is too long for one in
// several pieces (pace.h). ts_recorder_send sends the rest; *ticket is what to wait for until all
// that was recorded so far is done (UINT64_MAX: all that was sent). Until then the host keeps away
// from what it touches.
ts_status ts_recorder_send(ts_recorder *recorder, uint64_t *ticket, ts_error *err);
ts_status ts_recorder_wait(ts_recorder *recorder, uint64_t ticket, ts_error *err);
// Both: sends everything and waits until the device has done it.
ts_status ts_recorder_run(ts_recorder *recorder, ts_error *err);

// How many seconds of estimated work a submit may hold [TS_PACE_FULL_S].
void ts_recorder_limit(ts_recorder *recorder, double seconds);

// From now on every dispatch is timed into `profile` (borrowed; NULL: no longer). Nothing may be
// recorded or on its way.
void ts_recorder_profile(ts_recorder *recorder, ts_profile *profile);

// Totals since the recorder was opened.
typedef struct ts_recorder_stats {
    uint64_t dispatches, barriers, submits;
    double busy_s, longest_s; // time of submits on the device, as far as measured: sum, longest one
} ts_recorder_stats;
ts_recorder_stats ts_recorder_statistics(const ts_recorder *recorder);

#endif
