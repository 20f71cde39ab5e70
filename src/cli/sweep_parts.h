// Shared by the files of sweep alone: sweep.c has the command and its settings, sweep_runs.c the
// runs.
#ifndef TS_CLI_SWEEP_PARTS_H
#define TS_CLI_SWEEP_PARTS_H

#include "cli/sweep.h"

// The flags' values.
extern struct ts_cli_sweep_asked {
    ts_grid grid;
    const char *questions, *logging_dir;
    const char *devices; // for several ranks
    uint64_t repeats, max_new_tokens;
    bool overwrite, dry_run;
} ts_cli_sweep_asked;

// What lives as long as the command.
typedef struct session {
    ts_train_options *flags;  // where the flags of train put their values
    ts_train_options options; // these, as the command line and --config left them
    ts_train_places places;
    ts_text questions, title;
    char questions_hash[65];
    tinysft_device *device;
    tinysft_model *base;
    tinysft_evaluation *base_answers;
    ts_progress loading, bar;
    tinysft_sweep_run *runs; // in the order in which they run; `run_count` are done
    size_t run_count;
    struct outcome *outcomes; // of all runs
    ts_arena arena;           // texts of the runs
} session;

// A run's place in the order: all configurations with the first seed, then all with the next, so
// that a sweep which is stopped has compared all of them.
typedef struct place {
    size_t number, of, configuration;
    uint64_t seed;
} place;

place ts_cli_sweep_place(const session *s, size_t number);
// A run's settings, and the folder that it goes into. `config` gets the flags that repeat it.
ts_status ts_cli_sweep_settle(session *s, const place *at, ts_train_options *out,
                              const char **logging_dir, ts_text *config, ts_error *err);
ts_status ts_cli_sweep_open(session *s, const ts_train_options *o, const char *logging_dir,
                            tinysft_training **out, ts_error *err);
// Adds which configuration it was to an error, and returns its code.
ts_status ts_cli_sweep_blame(size_t configuration, ts_error *err);
// All runs, or this rank's part of them; afterwards s->runs has those of all ranks.
ts_status ts_cli_sweep_run(session *s, ts_error *err);

#endif
