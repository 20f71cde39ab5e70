// What running the kernels on this device has shown: which candidate is fastest for a matrix
// product, and which shaders must not be used. It is stored beside the device's pipelines
// (gpu/cache.h) in choices.json. It holds for the shaders of this program only; a version with
// other shaders starts with nothing. If it cannot be stored, it is known until the device closes.
#ifndef TS_OPS_CHOICES_H
#define TS_OPS_CHOICES_H

#include "gpu/gpu.h"

enum { TS_CHOICE_CANDIDATES = 8, TS_CHOICE_NAME_BYTES = 32, TS_CHOICE_PRODUCT_BYTES = 80 };

// A product that was measured; see tune.h for the names.
typedef struct ts_choice {
    char product[TS_CHOICE_PRODUCT_BYTES];
    uint32_t count, chosen; // the number of candidates; the index of the chosen one
    struct {
        char name[TS_CHOICE_NAME_BYTES];
        double seconds; // of its fastest run
    } candidates[TS_CHOICE_CANDIDATES];
} ts_choice;

// What is known about `product`, or NULL. Valid until the next call that stores something.
const ts_choice *ts_choices_find(ts_gpu *gpu, const char *product);
// Stores a choice, also on disk. It replaces an earlier one for the same product.
void ts_choices_keep(ts_gpu *gpu, const ts_choice *choice);

typedef enum ts_verdict {
    TS_VERDICT_NONE, // not checked
    TS_VERDICT_PASS,
    TS_VERDICT_SLOW,   // correct, but clearly slower than the shader that can replace it
    TS_VERDICT_BROKEN, // wrong results, or it cannot be built
} ts_verdict;
const char *ts_verdict_name(ts_verdict verdict); // "PASS" ...

// The verdict on a shader, by its name in shaders.h ("gemm_cm_f16"). A SLOW or BROKEN shader is not
// used if another can replace it.
ts_verdict ts_choices_verdict(ts_gpu *gpu, const char *shader);
static inline bool ts_verdict_leaves_out(ts_verdict verdict)
{
    return verdict == TS_VERDICT_SLOW || verdict == TS_VERDICT_BROKEN;
}
// Stores a verdict, also on disk. TS_VERDICT_NONE removes it.
void ts_choices_judge(ts_gpu *gpu, const char *shader, ts_verdict verdict);
void ts_choices_forget_verdicts(ts_gpu *gpu); // removes all verdicts, also on disk

// Called after a device is opened for work. Leaves out each SLOW or BROKEN shader that has a
// replacement, with a warning. TS_ERR_SHADER if a shader that the device would use is BROKEN and
// nothing can replace it.
ts_status ts_choices_apply(ts_gpu *gpu, ts_error *err);

#endif
