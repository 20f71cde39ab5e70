#include "train/monitor.h"

#include "base/log.h"
#include "base/memory.h"

#include <math.h>

// Compares means over this many steps; in short runs over fewer.
enum { WINDOW = 10, SHORT_WINDOW = 3, DEAD_STEPS = 3 };

static double mean(const double *values, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++) {
        sum += values[i];
    }
    return sum / (double)count;
}

// The losses of two rows may differ by a large factor, the means of several rows hardly. The loss
// of the first step is the base model's, since the adapter starts as zero.
static bool has_risen(const ts_history *h, uint32_t vocab, size_t *window, double *first,
                      double *last)
{
    *window = ts_min_u64(WINDOW, ts_max_u64(h->count / 2, SHORT_WINDOW));
    if (h->count <= *window) {
        return false;
    }
    *last = mean(h->loss + h->count - *window, *window);
    double guess = log(vocab); // the loss of a model that gives every token the same probability
    *first = mean(h->loss, *window);
    if (*last > guess && *last > h->loss[0] + 1) {
        return true;
    }
    return h->count >= 2 * *window && *last > 1.5 * *first && *last > *first + 1;
}

void ts_monitor_step(ts_monitor *monitor, const ts_history *h, uint32_t vocab, double learning_rate)
{
    size_t window;
    double first, last, norm = h->grad_norm[h->count - 1];
    if (!monitor->warned_rise && has_risen(h, vocab, &window, &first, &last)) {
        ts_log(
            TS_LOG_WARN,
            "step %zu: the loss has risen: its mean over the last %zu steps is %.3g, and over the "
            "first %zu it was %.3g. The learning rate (--lr %g) is likely too high: stop and "
            "try a tenth of it",
            h->count, window, last, window, first, learning_rate);
        monitor->warned_rise = true;
    }
    monitor->largest_norm = norm > monitor->largest_norm ? norm : monitor->largest_norm;
    monitor->dead = norm <= 1e-7 * monitor->largest_norm ? monitor->dead + 1 : 0;
    if (!monitor->warned_vanished && monitor->dead >= DEAD_STEPS && monitor->largest_norm > 0 &&
        h->loss[h->count - 1] > 1e-3) { // a loss near zero has a gradient near zero, which is fine
        ts_log(TS_LOG_WARN,
               "step %zu: the gradient has died: its norm is %.3g, it was up to %.3g, and the loss "
               "is still %.3g. Training has no effect any more; the learning rate (--lr %g) was "
               "likely "
               "too high: stop and try a tenth of it",
               h->count, norm, monitor->largest_norm, h->loss[h->count - 1], learning_rate);
        monitor->warned_vanished = true;
    }
}
