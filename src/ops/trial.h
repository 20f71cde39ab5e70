// Tries one kernel of the registry alone: draws a shape, fills the buffers with suitable content,
// runs the kernel on the device and on the mirror, and compares the results. For code that goes
// through all kernels: the tests and doctor.
#ifndef TS_OPS_TRIAL_H
#define TS_OPS_TRIAL_H

#include "ops/gemm.h"

#include <string.h>

typedef struct ts_trial {
    ts_kernel kernel;
    uint32_t shader;            // its place in the row
    ts_dtype stored;            // the type of its WEIGHT buffers
    ts_dtype act[TS_MAX_VIEWS]; // the types of its ACT buffers, by their bindings
    ts_dispatch dispatch;       // scalars and constants
    bool one_sequence;          // attention's rows are one long sequence; false: many short ones
    uint32_t random;            // state of the random numbers for shapes and contents
} ts_trial;

// The row's tolerance, widened if the shader rounds to bf16.
double ts_trial_tolerance(ts_kernel kernel, uint32_t shader);

// The next random number of `state`: below `below`.
static inline uint32_t ts_trial_pick(uint32_t *state, uint32_t below)
{
    *state = *state * 1664525u + 1013904223u;
    return (uint32_t)((uint64_t)(*state >> 4) * below >> 28);
}

static inline bool ts_trial_same(const char *a, const char *b)
{
    return strcmp(a, b) == 0;
}

// The place of a row's buffer of that name, which it must have.
uint32_t ts_trial_buffer(const ts_trial *trial, const char *name);
// The place of the scalar or constant called `name` in the dispatch; NULL: the row has none.
uint32_t *ts_trial_field(ts_trial *trial, const char *name);

// Draws an awkward shape for the trial's shader and storage type: one, odd, prime, one past a tile,
// a long row. The values come from lists that go by the scalar's name, so that a new kernel gets
// awkward shapes without further work. TS_ERR_ARGUMENT names a U32 or constant that has no list and
// that nothing else sets.
ts_status ts_trial_draw(const ts_gpu_caps *caps, ts_trial *trial, ts_error *err);
// The last step of ts_trial_draw. TS_ERR_ARGUMENT if a U32 or constant still has the value
// TS_TRIAL_UNSET, which is in no list.
enum { TS_TRIAL_UNSET = 0x7E57DA7A };
ts_status ts_trial_check_set(const ts_trial *trial, ts_error *err);

// For a product whose m, n, k and strides are set: sets the constants, and for the kernel gemm also
// the shader, that a device with `caps` would use. For gemm_rounded the caller sets the shader.
void ts_trial_choose(const ts_gpu_caps *caps, ts_layout layout, ts_trial *trial);

// Sets the constants of one of the kernels of attention on matrix units.
struct ts_attention_rounded_choice;
void ts_trial_set_attention_rounded(ts_trial *trial, uint32_t dim,
                                    const struct ts_attention_rounded_choice *choice);

// For the kernels whose rows have PAIRS: places the pairs' matrices one behind the other, each at a
// multiple of `step` and the first ones at `first`, from ranks and sizes that are set. In NT, as in
// a model's forward pass, all begin with one a.
void ts_trial_place_pairs(ts_kernel kernel, ts_dispatch *dispatch, uint32_t step, uint32_t first);
// Draws such a group; `halves`: some activation has 16 bits.
void ts_trial_settle_pairs(ts_trial *trial, bool halves, uint32_t *state);

// One device's part in a trial. Both sides of a trial start with the same content.
typedef struct ts_trial_side {
    ts_gpu *gpu;
    ts_gpu_arena arena;
    ts_recorder *recorder;
    ts_view views[TS_MAX_VIEWS];
} ts_trial_side;

// Close `side` even after an error.
ts_status ts_trial_open(const ts_trial *trial, ts_gpu *gpu, ts_trial_side *side, ts_error *err);
void ts_trial_close(ts_trial_side *side);
// Runs the kernel `times` times and waits for the last run.
ts_status ts_trial_run(const ts_trial *trial, ts_trial_side *side, uint32_t times, ts_error *err);

// Sets *error to the largest ||device - mirror|| / ||mirror|| of the buffers that the kernel wrote,
// NaN if the device computed one, and *buffer to that buffer's name. Where the device stores 16
// bits and the mirror does not, a difference of half a step of that type is no error: rounding
// makes it. Each side must have run once.
ts_status ts_trial_compare(const ts_trial *trial, const ts_trial_side *device,
                           const ts_trial_side *mirror, double *error, const char **buffer,
                           ts_error *err);

#endif
