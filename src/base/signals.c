#include "base/signals.h"

#include "base/os.h"

#include <signal.h> // sig_atomic_t

static volatile sig_atomic_t pending, again, held, waits;
static const char *volatile said = "";

static void on_stop(ts_os_stop stop, int number)
{
    if (waits && (stop != TS_OS_STOP_KEY || pending != 0)) {
        ts_os_end_by(number); // nothing is under way that could be lost
    } else if (pending == 0) {
        pending = number;
        if (stop == TS_OS_STOP_KEY) { // someone is there to read it
            ts_os_say(said);
        }
    } else if (stop != TS_OS_STOP_TERMINAL) { // a terminal that closes may send several
        if (held) {
            again = number;
        } else {
            ts_os_end_by(number);
        }
    }
}

void ts_signals_install(const char *text)
{
    said = text;
    ts_os_watch_stops(on_stop);
}

void ts_signals_wait(bool waiting, const char *text)
{
    said = text;
    pending = 0;
    waits = waiting;
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
