// SIGINT, SIGTERM and SIGHUP as a request to stop: the training loop finishes its step, saves and
// returns. Only the command line installs the handlers. The floors below learn of a request by
// ts_caller's `stops` (base/log.h).
#ifndef TS_BASE_SIGNALS_H
#define TS_BASE_SIGNALS_H

#include <stdbool.h>

// Installs the handlers; SIGHUP stays ignored where it already is (nohup). A second SIGINT or
// SIGTERM ends the program at once, but not while ts_signals_hold is on. `said` (a constant text,
// or "") is printed at the first Ctrl-C.
void ts_signals_install(const char *said);
// For a program that in turn waits for a person's input (true) and works on it (false). While it
// waits, Ctrl-C twice or any other signal ends it; `said` is printed at the first one. Either call
// discards a request to stop that came before it.
void ts_signals_wait(bool waiting, const char *said);
// The signal that asked for a stop, or 0.
int ts_signals_pending(void);
// Turned on during a save: a second signal then waits until it is turned off again.
void ts_signals_hold(bool on);

#endif
