// Messages for the user, from any floor, and the user's request to stop. Both go through the
// thread's current caller, which ts_caller_use sets. So two threads that work for different callers
// do not disturb each other. Without a caller messages are dropped and nothing is stopped.
#ifndef TS_BASE_LOG_H
#define TS_BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum ts_log_level { TS_LOG_DEBUG, TS_LOG_INFO, TS_LOG_WARN } ts_log_level;

typedef void (*ts_log_sink)(void *user, ts_log_level level, const char *message);

enum { TS_CALLER_REMEMBERS = 64 };

// Whom a thread works for: who gets its messages and may stop it. Starts zeroed; every function may
// be NULL.
typedef struct ts_caller {
    ts_log_sink log;
    bool (*stops)(void *user);            // whether the work should end at the next good place
    void (*saving)(void *user, bool now); // true before files that belong together are written,
                                          // false afterwards: the program should not end between
    void *user;
    uint64_t said[TS_CALLER_REMEMBERS]; // hashes of what ts_log_once said last; an older message
    size_t said_count;                  // may come again
} ts_caller;

// Sets this thread's caller (borrowed; NULL: none). Returns the previous one, so that it can be put
// back.
ts_caller *ts_caller_use(ts_caller *caller);

void ts_log(ts_log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));
// The same, but drops a message that this caller has had before: some files are read twice.
void ts_log_once(ts_log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));
// Sends this thread's messages to `sink`. The caller's other functions stay, and `user` is passed
// to them too. A thread without a caller gets one of its own.
void ts_log_set_sink(ts_log_sink sink, void *user);

// Whether the caller asks this thread to stop.
bool ts_stop_asked(void);
void ts_stop_hold(bool saving); // tells the caller of a save's begin and end

#endif
