// Recording work for the device and sending it. One recorder is one stream: later work sees the
// results of earlier work. A barrier is recorded only where that needs one: where a dispatch reads
// or writes what was written since the last barrier, or writes what was read since then.
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
    ts_view views[TS_MAX_VIEWS];
    ts_access access[TS_MAX_VIEWS];
    uint32_t view_count;
    uint32_t push[32]; // push constants, 4 bytes each
    uint32_t push_count;
    uint32_t groups[3];
    double work; // multiply-adds, or elements moved; the pipeline's time is proportional to it
    void (*mirror)(const ts_dispatch *dispatch); // the same in C, for the mirror device
};

ts_status ts_recorder_open(ts_gpu *gpu, ts_recorder **out, ts_error *err);
void ts_recorder_close(ts_recorder *recorder); // waits for what is in flight; NULL is fine
ts_gpu *ts_recorder_gpu(const ts_recorder *recorder);

// Scratch memory for what is recorded next: F32, TS_SCRATCH_BYTES of it. Every call returns the
// same memory, so its content is lost once other work uses it. The view has a NULL buffer where no
// memory is left for it.
#define TS_SCRATCH_BYTES (2 << 20)
ts_view ts_recorder_scratch(ts_recorder *recorder);
// The same of memory where workgroups leave parts of sums for each other (shaders/include/
// partials.glsl): F32, TS_PARTIALS of it, of which the first TS_PARTIAL_TILES are zero; whoever
// uses it leaves them so.
enum { TS_PARTIAL_TILES = 1024, TS_PARTIALS = TS_PARTIAL_TILES + (2 << 20) };
ts_view ts_recorder_partials(ts_recorder *recorder);

// Recording returns no errors: the first failure is kept, what is recorded after it is skipped, and
// ts_recorder_send or ts_recorder_run returns it. So a model's forward pass reads as a list of
// operations.
void ts_recorder_dispatch(ts_recorder *recorder, const ts_dispatch *dispatch);
void ts_recorder_copy(ts_recorder *recorder, ts_view from, ts_view to); // equal sizes
void ts_recorder_zero(ts_recorder *recorder, ts_view view);
void ts_recorder_fail(ts_recorder *recorder, const ts_error *error);

// For callers that have a fallback: true if the failure is that `shader` could not be built. Then
// the failure is cleared, the shader is left out from now on (ts_gpu_leave_out), and a warning is
// logged.
bool ts_recorder_leaves_out(ts_recorder *recorder, const char *shader);

// Remembers that what was recorded last computes `derived` from what `source` holds, so that it
// need not be recorded again. This stays true until something is recorded that writes one of the
// two, or until the work is sent, because the host may write afterwards. The last few pairs are
// remembered.
void ts_recorder_derived(ts_recorder *recorder, ts_view source, ts_view derived);
bool ts_recorder_still_derived(const ts_recorder *recorder, ts_view source, ts_view derived);

// Recorded work is sent in submits of bounded length; a dispatch that is too long for one is cut
// into pieces (pace.h). ts_recorder_send sends what is left. Waiting for its *ticket waits until
// all that was recorded so far is done (UINT64_MAX: all that was sent). Until then the host must
// not touch the memory that the work uses.
ts_status ts_recorder_send(ts_recorder *recorder, uint64_t *ticket, ts_error *err);
ts_status ts_recorder_wait(ts_recorder *recorder, uint64_t ticket, ts_error *err);
// Both: sends everything and waits until the device has done it.
ts_status ts_recorder_run(ts_recorder *recorder, ts_error *err);

// Sets how many seconds of estimated work a submit may hold [TS_PACE_FULL_S].
void ts_recorder_limit(ts_recorder *recorder, double seconds);

// From now on every dispatch is timed into `profile` (borrowed; NULL: no longer). At the call no
// work may be recorded or on its way.
void ts_recorder_profile(ts_recorder *recorder, ts_profile *profile);

// Totals since the recorder was opened.
typedef struct ts_recorder_stats {
    uint64_t dispatches, barriers, submits;
    double busy_s, longest_s; // time of submits on the device, as far as measured: sum, longest one
} ts_recorder_stats;
ts_recorder_stats ts_recorder_statistics(const ts_recorder *recorder);

#endif
