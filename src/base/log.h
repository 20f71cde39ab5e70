// Messages for the person who runs the program, from any floor, and that person's wish to stop.
// Both belong to the thread that works: it says with ts_caller_use for whom it does, and two
// threads that work for different callers do not disturb each other. Without a caller messages go
// nowhere and nothing is stopped.
#ifndef TS_BASE_LOG_H
#define TS_BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum ts_log_level { TS_LOG_DEBUG, TS_LOG_INFO, TS_LOG_WARN } ts_log_level;

typedef void (*ts_log_sink)(void *user, ts_log_level level, const char *message);

enum { TS_CALLER_REMEMBERS = 64 };

// For whom a thread works. Starts zeroed; every function may be NULL.
typedef struct ts_caller {
    ts_log_sink log;
    bool (*stops)(void *user);            // whether the work shall end at the next good place
    void (*saving)(void *user, bool now); // true before files are written that belong together,
                                          // false when they are: a poor moment to end the program
    void *user;
    uint64_t said[TS_CALLER_REMEMBERS]; // hashes of what ts_log_once said; beyond that many, one
    size_t said_count;                  // may come twice
} ts_caller;

// From now on this thread works for `caller` (NULL: for nobody). Returns the one before, so that it
// can be put back.
ts_caller *ts_caller_use(ts_caller *caller);

void ts_log(ts_log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));
// The same, but a message that was said before is not said again: some files are read twice.
void ts_log_once(ts_log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));
// Sends this thread's messages to `sink` and leaves all else of its caller as it is.
void ts_log_set_sink(ts_log_sink sink, void *user);

bool ts_stop_asked(void);
void ts_stop_hold(bool saving); // tells the caller of a save's begin and end

#endif
