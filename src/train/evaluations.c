#include "train/evaluations.h"

#include "base/memory.h"

#include <math.h>
#include <stdlib.h>

ts_status ts_evaluations_reserve(ts_evaluations *evaluations, size_t count, ts_error *err)
{
    ts_status status = TS_OK;
    size_t capacity = evaluations->capacity;
    TS_TRY(ts_grow(&evaluations->step, &capacity, count, sizeof *evaluations->step, err));
    capacity = evaluations->capacity;
    TS_TRY(ts_grow(&evaluations->loss, &capacity, count, sizeof *evaluations->loss, err));
    if (evaluations->pairs) {
        capacity = evaluations->capacity;
        TS_TRY(ts_grow(&evaluations->margin, &capacity, count, sizeof *evaluations->margin, err));
        capacity = evaluations->capacity;
        TS_TRY(
            ts_grow(&evaluations->accuracy, &capacity, count, sizeof *evaluations->accuracy, err));
    }
    evaluations->capacity = capacity;
out:
    return status;
}

ts_status ts_evaluations_push(ts_evaluations *evaluations, uint64_t step, double loss,
                              ts_error *err)
{
    ts_status status = TS_OK;
    TS_TRY(ts_evaluations_reserve(evaluations, evaluations->count + 1, err));
    evaluations->step[evaluations->count] = step;
    evaluations->loss[evaluations->count] = loss;
    evaluations->count++;
out:
    return status;
}

void ts_evaluations_free(ts_evaluations *evaluations)
{
    free(evaluations->step);
    free(evaluations->loss);
    free(evaluations->margin);
    free(evaluations->accuracy);
    *evaluations = (ts_evaluations){0};
}

size_t ts_evaluations_best(const ts_evaluations *evaluations)
{
    size_t best = evaluations->count > 0 ? 0 : SIZE_MAX;
    for (size_t i = 1; i < evaluations->count; i++) {
        if (evaluations->loss[i] < evaluations->loss[best]) {
            best = i;
        }
    }
    return best;
}

uint64_t ts_evaluations_best_step(const ts_evaluations *evaluations)
{
    size_t best = ts_evaluations_best(evaluations);
    return best != SIZE_MAX ? evaluations->step[best] : 0;
}

bool ts_evaluations_stop(const ts_evaluations *evaluations, uint64_t patience, double threshold)
{
    uint64_t without_progress = 0;
    double best = INFINITY;
    for (size_t i = 0; i < evaluations->count; i++) {
        double loss = evaluations->loss[i];
        without_progress = best - loss > threshold ? 0 : without_progress + 1;
        best = loss < best ? loss : best;
    }
    return patience > 0 && without_progress >= patience;
}
