// Messages for the person who runs the program, from any floor: they go to a sink that the
// command line (or a library's user) sets; without one they go nowhere.
#ifndef TS_BASE_LOG_H
#define TS_BASE_LOG_H

typedef enum ts_log_level { TS_LOG_DEBUG, TS_LOG_INFO, TS_LOG_WARN } ts_log_level;

typedef void (*ts_log_sink)(void *user, ts_log_level level, const char *message);
void ts_log_set_sink(ts_log_sink sink, void *user);
void ts_log(ts_log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));
// The same, but a message that was said before is not said again: some files are read twice.
void ts_log_once(ts_log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
