// SIGINT, SIGTERM and SIGHUP as a polite request: the running loop finishes its step, saves and
// leaves. Only the command line installs handlers, and tells the floors below by ts_caller's
// `stops` (base/log.h).
#ifndef TS_BASE_SIGNALS_H
#define TS_BASE_SIGNALS_H

#include <stdbool.h>

// Installs the handlers; SIGHUP is left ignored where it is (nohup). A second SIGINT or SIGTERM
// ends the program at once, but not while ts_signals_hold is on.
void ts_signals_install(void);
// The signal that asked for a stop, or 0.
int ts_signals_pending(void);
// While on, during a save, a second signal waits until it is off again.
void ts_signals_hold(bool on);

#endif
