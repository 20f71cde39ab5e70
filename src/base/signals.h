// SIGINT, SIGTERM and SIGHUP as a request to stop: the training loop finishes its step, saves and
// returns. Only the command line installs the handlers. The floors below learn of a request by
// ts_caller's `stops` (base/log.h).
#ifndef TS_BASE_SIGNALS_H
#define TS_BASE_SIGNALS_H

#include <stdbool.h>

// Installs the handlers; SIGHUP is left ignored where it is (nohup). A second SIGINT or SIGTERM
// ends the program at once, but not while ts_signals_hold is on.
void ts_signals_install(void);
// The signal that asked for a stop, or 0.
int ts_signals_pending(void);
// Turned on during a save: a second signal then waits until it is turned off again.
void ts_signals_hold(bool on);

#endif
