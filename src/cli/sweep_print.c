// The table that a sweep prints.
#include "cli/sweep.h"
#include "cli/table.h"

#include <math.h>
#include <stdio.h>

static void put_interval(char cell[TS_TABLE_CELL], const tinysft_interval *interval)
{
    if (isnan(interval->mean)) {
        snprintf(cell, TS_TABLE_CELL, "-");
    } else if (isnan(interval->low)) {
        snprintf(cell, TS_TABLE_CELL, "%.4f", interval->mean);
    } else {
        snprintf(cell, TS_TABLE_CELL, "%.4f (%.4f to %.4f)", interval->mean, interval->low,
                 interval->high);
    }
}

void ts_grid_print(const ts_grid *grid, const tinysft_sweep_result *result)
{
    enum { MOST_COLUMNS = TS_GRID_AXES + 3 };
    ts_column columns[MOST_COLUMNS] = {{0}};
    const size_t axes = grid->axis_count, count = axes + 3;
    for (size_t a = 0; a < axes; a++) {
        columns[a] = (ts_column){grid->names[a], 0, true};
    }
    columns[axes] = (ts_column){"runs", 0, false};
    columns[axes + 1] = (ts_column){result->measure, 0, false};
    columns[axes + 2] = (ts_column){"behind the best", 0, false};
    for (size_t i = 0; i < count; i++) {
        ts_table_widen(&columns[i], columns[i].head);
    }
    for (int printing = 0; printing < 2; printing++) {
        if (printing) {
            ts_table_head(stdout, columns, count);
        }
        for (size_t c = 0; c < grid->configuration_count; c++) {
            const tinysft_sweep_place *at = &result->places[c];
            char cells[MOST_COLUMNS][TS_TABLE_CELL] = {{0}};
            for (size_t a = 0; a < axes; a++) {
                snprintf(cells[a], TS_TABLE_CELL, "%s", grid->values[at->configuration * axes + a]);
            }
            snprintf(cells[axes], TS_TABLE_CELL, at->failed > 0 ? "%zu, %zu failed" : "%zu",
                     at->finished, at->failed);
            put_interval(cells[axes + 1], &at->loss);
            put_interval(cells[axes + 2], &at->behind);
            for (size_t i = 0; i < count && !printing; i++) {
                ts_table_widen(&columns[i], cells[i]);
            }
            if (printing) {
                ts_table_row(stdout, columns, count, cells);
            }
        }
    }
}
