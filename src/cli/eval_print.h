// What `eval` prints.
#ifndef TS_CLI_EVAL_PRINT_H
#define TS_CLI_EVAL_PRINT_H

#include "eval/report.h"

// The metrics, as a table or, where the terminal is too narrow for it, one below the other; then
// what each statistic means, in a line.
void ts_cli_print_results(const ts_evaluation *evaluation, const ts_results *results);
// `count` prompts with their answers, both cut short: those where tuning improved most, from as
// many categories as possible.
ts_status ts_cli_print_examples(const ts_evaluation *evaluation, const ts_results *results,
                                size_t count, ts_error *err);
// Every prompt with its whole answers.
ts_status ts_cli_print_answers(const ts_evaluation *evaluation, ts_error *err);

#endif
