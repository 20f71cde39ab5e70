#include "base/signals.h"

#include "base/os.h"

#include <signal.h> // sig_atomic_t

static volatile sig_atomic_t pending, again, held;

static void on_stop(ts_os_stop stop, int number)
{
    if (pending == 0) {
        pending = number;
        if (stop == TS_OS_STOP_KEY) { // someone is there to read it
            ts_os_say("\nstopping after this step and saving; once more to end at once, without "
                      "saving\n");
        }
    } else if (stop != TS_OS_STOP_TERMINAL) { // a terminal that closes may send several
        if (held) {
            again = number;
        } else {
            ts_os_end_by(number);
        }
    }
}

void ts_signals_install(void)
{
    ts_os_watch_stops(on_stop);
}

int ts_signals_pending(void)
{
    return (int)pending;
}

void ts_signals_hold(bool on)
{
    held = on;
    if (!on && again != 0) {
        ts_os_end_by((int)again);
    }
}
