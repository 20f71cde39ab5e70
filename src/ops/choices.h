// What was found out about kernels on this device by running them: which candidate is fastest for a
// product, which shader is not to be used. It is kept beside the device's pipelines (gpu/cache.h)
// in choices.json and holds for the shaders of this program; others start with nothing. Where
// nothing can be kept it is known until the device is closed.
#ifndef TS_OPS_CHOICES_H
#define TS_OPS_CHOICES_H

#include "gpu/gpu.h"

enum { TS_CHOICE_CANDIDATES = 8, TS_CHOICE_NAME_BYTES = 32, TS_CHOICE_PRODUCT_BYTES = 80 };

// A product that was measured; see tune.h for the names.
typedef struct ts_choice {
    char product[TS_CHOICE_PRODUCT_BYTES];
    uint32_t count, chosen; // of candidates; an index among them
    struct {
        char name[TS_CHOICE_NAME_BYTES];
        double seconds; // of one run, the best
    } candidates[TS_CHOICE_CANDIDATES];
} ts_choice;

// What is known of `product`; NULL: nothing. Good until the next ts_choices_keep.
const ts_choice *ts_choices_find(ts_gpu *gpu, const char *product);
// Remembers a choice in the place of an earlier one for its product, on disk too.
void ts_choices_keep(ts_gpu *gpu, const ts_choice *choice);

typedef enum ts_verdict {
    TS_VERDICT_NONE, // nobody has checked
    TS_VERDICT_PASS,
    TS_VERDICT_SLOW,   // right, and slower than what takes its place
    TS_VERDICT_BROKEN, // wrong results, or it cannot be built
} ts_verdict;
const char *ts_verdict_name(ts_verdict verdict); // "PASS" ...

// Of a shader, by its name in shaders.h ("gemm_cm_f16"). A shader that is SLOW or BROKEN is left
// out wherever another can take its place.
ts_verdict ts_choices_verdict(ts_gpu *gpu, const char *shader);
static inline bool ts_verdict_leaves_out(ts_verdict verdict)
{
    return verdict == TS_VERDICT_SLOW || verdict == TS_VERDICT_BROKEN;
}
// Remembers a verdict, on disk too; TS_VERDICT_NONE forgets it.
void ts_choices_judge(ts_gpu *gpu, const char *shader, ts_verdict verdict);
void ts_choices_forget_verdicts(ts_gpu *gpu); // all of them

// For who opens a device to work with it: leaves out what is SLOW or BROKEN, with a warning each.
// TS_ERR_SHADER where a shader is BROKEN that the device would use and nothing can replace.
ts_status ts_choices_apply(ts_gpu *gpu, ts_error *err);

#endif
