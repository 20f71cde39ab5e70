// `eval --reviews`: what people marked on the sheet that an evaluation left.
#ifndef TS_CLI_EVAL_REVIEW_H
#define TS_CLI_EVAL_REVIEW_H

#include <tinysft/tinysft.h>

// Takes in `count` files of marks, made on the review.html of the evaluation whose evaluation.json
// `path` is: prints what was preferred, and writes it to review.json beside that. Needs no device.
tinysft_status ts_cli_take_reviews(const char *path, const char *const *files, size_t count,
                                   tinysft_error *err);

#endif
