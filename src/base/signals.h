// SIGINT and SIGTERM as a polite request: the running loop finishes its step, saves and leaves.
#ifndef TS_BASE_SIGNALS_H
#define TS_BASE_SIGNALS_H

// Installs the handlers. A second signal of the same kind ends the program at once.
void ts_signals_install(void);
// The signal that asked for a stop (SIGINT or SIGTERM), or 0.
int ts_signals_pending(void);

#endif
