// What `eval` prints.
#ifndef TS_CLI_EVAL_PRINT_H
#define TS_CLI_EVAL_PRINT_H

#include <tinysft/tinysft.h>

// The metrics, as a table or, where the terminal is too narrow for it, one below the other; then
// what each statistic means, in a line.
tinysft_status ts_cli_print_results(const tinysft_evaluation *evaluation, tinysft_error *err);
// `count` questions with their answers, both cut short: those where tuning improved most, from as
// many categories as possible.
tinysft_status ts_cli_print_examples(const tinysft_evaluation *evaluation, size_t count,
                                     tinysft_error *err);
// Every question with its whole answers.
tinysft_status ts_cli_print_answers(const tinysft_evaluation *evaluation, tinysft_error *err);

#endif
