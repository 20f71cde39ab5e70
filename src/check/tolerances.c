#include "check/tolerances.h"

#include "base/memory.h"

#include <math.h>
#include <string.h>

// The tolerances of f32 (tests/README.md).
static const ts_tolerances TOLERANCES_F32 = {
    .logits = 3e-5, .gradients = 3e-5, .first_loss = 1e-6, .trajectory = 1e-5};

// In 16 bits the error may be one and a half times that of PyTorch's autocast to the same type on
// the same case. A case made by tools/golden contains autocast's error. The shared reference cases
// do not; theirs, measured on the CPU, are listed here (tools/golden/make_cases.py annotate). Any
// other case without it gets the last, the worst of them. Of the chaotic case's trajectory only the
// first loss is checked.
static const double TIMES_AUTOCAST = 1.5;

static ts_tolerances known_autocast(ts_precision precision, const ts_case *c)
{
    static const struct {
        const char *name;
        ts_tolerances f16, bf16;
    } known[] = {
        {"nano", {1.8e-3, 3.3e-3, 3.2e-4, 3.2e-4}, {1.3e-2, 2.6e-2, 1.6e-3, 1.6e-3}},
        {"gqa", {2.0e-3, 4.9e-3, 1.6e-4, 1.6e-4}, {1.5e-2, 3.6e-2, 5.6e-4, 5.6e-4}},
        {"llama3", {2.3e-3, 4.9e-3, 1.5e-4, 1.5e-4}, {1.8e-2, 3.9e-2, 2.1e-3, 2.1e-3}},
        {"qwen2", {2.0e-3, 4.5e-3, 2.0e-4, 2.0e-4}, {1.6e-2, 3.8e-2, 1.4e-3, 1.4e-3}},
        {"qwen3", {1.9e-3, 5.1e-3, 2.2e-4, 2.2e-4}, {1.5e-2, 3.3e-2, 7.1e-4, 7.1e-4}},
        {"gemma3", {1.4e-3, 3.7e-3, 1.3e-4, 1.3e-4}, {1.1e-2, 3.2e-2, 6.8e-4, 6.8e-4}},
        {"dora", {1.8e-3, 4.2e-3, 5.8e-5, 1.3e-4}, {1.4e-2, 2.8e-2, 7.2e-4, 1.0e-3}},
        {"dpo", {1.2e-4, 4.5e-3, 1.9e-3, 1.9e-3}, {6.0e-4, 3.4e-2, 9.1e-3, 1.5e-2}},
        {"all_linear", {4.8e-3, 2.1e-2, 3.2e-4, 0}, {3.1e-2, 1.0e-1, 1.6e-3, 0}},
    };
    size_t at = 0;
    while (at + 1 < TS_COUNT(known) && strcmp(known[at].name, c->name.bytes) != 0) {
        at++;
    }
    ts_tolerances t = precision == TS_PRECISION_F16 ? known[at].f16 : known[at].bf16;
    if (t.trajectory == 0 && !c->all_modules) {
        t.trajectory = t.first_loss;
    }
    return t;
}

// The largest error of autocast over the first `steps` losses.
static double autocast_loss_error(const ts_autocast_errors *autocast, uint64_t steps)
{
    double worst = 0;
    for (uint64_t i = 0; i < steps; i++) {
        worst = fmax(worst, autocast->losses[i]);
    }
    return worst;
}

ts_tolerances ts_case_tolerances(const ts_case *c, ts_precision precision)
{
    if (precision == TS_PRECISION_F32) {
        return TOLERANCES_F32;
    }
    const ts_autocast_errors *autocast =
        precision == TS_PRECISION_F16 ? &c->autocast_f16 : &c->autocast_bf16;
    ts_tolerances t = known_autocast(precision, c);
    if (autocast->losses != NULL) {
        // The first loss alone may be right by luck, and the whole trajectory may be chaotic, so
        // the first three losses are compared.
        t = (ts_tolerances){.logits = autocast->logits,
                            .gradients = autocast->gradients,
                            .first_loss = autocast_loss_error(autocast, ts_min_u64(3, c->steps)),
                            .trajectory = autocast_loss_error(autocast, c->steps)};
    }
    return (ts_tolerances){TIMES_AUTOCAST * t.logits, TIMES_AUTOCAST * t.gradients,
                           TIMES_AUTOCAST * t.first_loss, TIMES_AUTOCAST * t.trajectory};
}
