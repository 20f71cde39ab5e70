#include "cli/eval_review.h"

#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "cli/cli.h"
#include "cli/table.h"

#include <stdio.h>
#include <stdlib.h>

enum { OF, TUNED, NEITHER, BASE, SHARE, CHANCE, COLUMNS };

struct table {
    char (*rows)[COLUMNS][TS_TABLE_CELL];
    size_t count, capacity;
    uint32_t marked; // pairs of all
    ts_status status;
    ts_error *err;
};

static void add_row(void *user, const tinysft_preferred *found)
{
    struct table *table = user;
    if (table->count == 0) { // "all" comes first
        table->marked = found->marked;
    } else if (found->marked == 0 || table->status != TS_OK) {
        return;
    }
    table->status =
        ts_grow(&table->rows, &table->capacity, table->count + 1, sizeof *table->rows, table->err);
    if (table->status != TS_OK) {
        return;
    }
    char(*cells)[TS_TABLE_CELL] = table->rows[table->count++];
    snprintf(cells[OF], TS_TABLE_CELL, "%s", found->of);
    snprintf(cells[TUNED], TS_TABLE_CELL, "%u", found->tuned);
    snprintf(cells[NEITHER], TS_TABLE_CELL, "%u", found->neither);
    snprintf(cells[BASE], TS_TABLE_CELL, "%u", found->base);
    if (found->tuned + found->base > 0) {
        snprintf(cells[SHARE], TS_TABLE_CELL, "%.0f%% (%.0f-%.0f%%)", 100 * found->share,
                 100 * found->low, 100 * found->high);
        snprintf(cells[CHANCE], TS_TABLE_CELL, found->p < 0.001 ? "p < 0.001" : "p = %.3f",
                 found->p);
    }
}

static void print_table(struct table *table)
{
    ts_column columns[COLUMNS] = {[OF] = {.head = "preferred", .left = true},
                                  [TUNED] = {.head = "tuned"},
                                  [NEITHER] = {.head = "neither"},
                                  [BASE] = {.head = "base"},
                                  [SHARE] = {.head = "tuned, of both", .left = true},
                                  [CHANCE] = {.head = "chance", .left = true}};
    for (int c = 0; c < COLUMNS; c++) {
        ts_table_widen(&columns[c], columns[c].head);
        for (size_t i = 0; i < table->count; i++) {
            ts_table_widen(&columns[c], table->rows[i][c]);
        }
    }
    ts_table_head(stdout, columns, COLUMNS);
    for (size_t i = 0; i < table->count; i++) {
        ts_table_row(stdout, columns, COLUMNS, table->rows[i]);
    }
}

static void print_all(struct table *table, const tinysft_review_result *found, size_t readers)
{
    ts_cli_say(stdout,
               "\nwhich answers people preferred, not knowing whose they were: %u of %u pairs "
               "marked, by %zu reader%s\n",
               table->marked, found->pairs, readers, ts_plural(readers));
    print_table(table);
    ts_cli_say(stdout,
               "\n(a-b%%): where the tuned model's share of the pairs with a preference would lie, "
               "with 95 %% confidence, if there were many more of them (Wilson interval).\n"
               "p: how often chance alone would split them so unevenly; below 0.05 it hardly is "
               "chance (exact sign test).\n");
    if (found->several > 0) {
        ts_cli_say(stdout,
                   "All readers agree on %u of the %u pairs that several marked; a pair counts "
                   "once, for what more of them prefer.\n",
                   found->agreed, found->several);
    }
}

ts_status ts_cli_take_reviews(const char *path, const char *const *files, size_t count,
                              ts_error *err)
{
    ts_status status = TS_OK;
    ts_text json = {0};
    struct table table = {.err = err};
    tinysft_review_result found;
    TS_TRY(ts_text_append(&json, path, (size_t)(ts_path_name(path) - path), err));
    TS_TRY(ts_text_format(&json, err, "review.json"));
    const tinysft_review_params params = {.evaluation = path,
                                          .marks = files,
                                          .mark_count = count,
                                          .json = json.bytes,
                                          .preferred = add_row,
                                          .user = &table,
                                          .caller = ts_cli_caller};
    TS_TRY(tinysft_review(&params, &found, err));
    TS_TRY(table.status);
    print_all(&table, &found, count);
    ts_cli_say(stdout, "\nwritten: %s\n", json.bytes);
out:
    free(table.rows);
    ts_text_free(&json);
    return status;
}
