// What ranks that train one model agree on before the first step (train/exchange.h has the steps).
#include "train/trainer_parts.h"

#include "base/hash.h"
#include "base/memory.h"
#include "train/record.h"

#include <stdlib.h>
#include <string.h>

ts_exchange_params ts_trainer_exchange_params(ts_trainer *trainer)
{
    ts_batches *batches = &trainer->batches;
    const ts_ranks *ranks = trainer->settings.ranks;
    uint32_t rest;
    uint64_t units;
    ts_batches_step(batches, batches->steps_per_epoch - 1, &rest, &units);
    return (ts_exchange_params){.rank = ts_ranks_rank(ranks),
                                .ranks = ts_ranks_count(ranks),
                                .full = (uint32_t)ts_batches_most(batches),
                                .rest = rest,
                                .balance = trainer->settings.balance};
}

ts_status ts_trainer_share_of(ts_trainer *trainer, uint32_t rank, ts_exchange_share *out,
                              ts_error *err)
{
    const ts_adapter_config adapter = ts_trainer_adapter(&trainer->settings);
    ts_exchange_params params = ts_trainer_exchange_params(trainer);
    params.rank = rank;
    return ts_exchange_share_of(&trainer->config, &adapter, &params, out, err);
}

ts_status ts_trainer_agree_plan(ts_trainer *trainer, ts_error *err)
{
    ts_status status = TS_OK;
    ts_ranks *ranks = trainer->settings.ranks;
    const uint32_t count = ts_ranks_count(ranks);
    uint32_t *sizes = NULL;
    TS_TRY(ts_alloc(count, sizeof *sizes, &sizes, err));
    for (bool agreed = ranks == NULL; !agreed;) {
        uint32_t least = trainer->batches.micro_size;
        TS_TRY(ts_ranks_share(ranks, &trainer->batches.micro_size, sizeof *sizes, sizes, err));
        agreed = true;
        for (uint32_t r = 0; r < count; r++) {
            agreed &= sizes[r] == sizes[0];
            least = (uint32_t)ts_min_u64(least, sizes[r]);
        }
        if (!agreed) {
            trainer->batches.micro_size = least;
            TS_TRY(ts_trainer_plan(trainer, err));
        }
    }
out:
    free(sizes);
    return status;
}

// ---- The same model, data and settings

enum { MOST_KEYS = 96 };

// A hash of every entry of the record that must be the same, 0 for others.
static ts_status hash_record(const cJSON *record, uint64_t *hashes, ts_error *err)
{
    size_t i = 0;
    for (const cJSON *entry = record->child; entry != NULL && i < MOST_KEYS;
         entry = entry->next, i++) {
        if (ts_train_record_is_place(entry->string)) {
            continue;
        }
        char *text = cJSON_PrintUnformatted(entry);
        if (text == NULL) {
            return ts_error_set(err, TS_ERR_MEMORY, "no memory for the record");
        }
        hashes[i] = ts_hash_add(TS_HASH_START, entry->string, strlen(entry->string));
        hashes[i] = ts_hash_add(hashes[i], text, strlen(text));
        cJSON_free(text);
    }
    return TS_OK;
}

ts_status ts_trainer_compare_records(const ts_trainer *trainer, ts_error *err)
{
    ts_status status = TS_OK;
    ts_ranks *ranks = trainer->settings.ranks;
    const uint32_t count = ts_ranks_count(ranks);
    uint64_t own[MOST_KEYS] = {0}, *all = NULL;
    if (ranks == NULL) {
        return TS_OK;
    }
    TS_TRY(hash_record(trainer->record, own, err));
    TS_TRY(ts_alloc(count, sizeof own, &all, err));
    TS_TRY(ts_ranks_share(ranks, own, sizeof own, all, err));
    for (uint32_t r = 1; r < count; r++) {
        const cJSON *entry = trainer->record->child;
        for (size_t i = 0; i < MOST_KEYS; i++) {
            if (all[(size_t)r * MOST_KEYS + i] != all[i]) {
                TS_FAIL(TS_ERR_ARGUMENT,
                        "rank %u on %s has another %s than rank 0 on %s: all ranks need the same "
                        "model, data and settings",
                        r, ts_ranks_host(ranks, r), entry != NULL ? entry->string : "record",
                        ts_ranks_host(ranks, 0));
            }
            entry = entry != NULL ? entry->next : NULL;
        }
    }
out:
    free(all);
    return status;
}

// ---- What rank 0 alone knows

ts_status ts_trainer_tell_output(ts_trainer *trainer, ts_error *err)
{
    uint32_t finished = trainer->output.finished;
    ts_status status = ts_ranks_tell(trainer->settings.ranks, &finished, sizeof finished, err);
    trainer->output.finished = finished != 0;
    return status;
}

// A series that this run does not keep (of pairs, where there are none) is NULL on all ranks.
static ts_status tell_series(ts_ranks *ranks, double *series, size_t count, ts_error *err)
{
    return series != NULL ? ts_ranks_tell(ranks, series, count * sizeof *series, err) : TS_OK;
}

static ts_status tell_history(ts_ranks *ranks, ts_history *h, ts_error *err)
{
    ts_status status = TS_OK;
    ts_evaluations *e = &h->evaluations;
    TS_TRY(tell_series(ranks, h->loss, h->count, err));
    TS_TRY(tell_series(ranks, h->rate, h->count, err));
    TS_TRY(tell_series(ranks, h->grad_norm, h->count, err));
    TS_TRY(tell_series(ranks, h->margin, h->count, err));
    TS_TRY(tell_series(ranks, h->accuracy, h->count, err));
    TS_TRY(tell_series(ranks, e->loss, e->count, err));
    TS_TRY(tell_series(ranks, e->margin, e->count, err));
    TS_TRY(tell_series(ranks, e->accuracy, e->count, err));
    if (e->step != NULL) {
        TS_TRY(ts_ranks_tell(ranks, e->step, e->count * sizeof *e->step, err));
    }
out:
    return status;
}

ts_status ts_trainer_tell_state(ts_trainer *trainer, ts_error *err)
{
    ts_status status = TS_OK;
    ts_ranks *ranks = trainer->settings.ranks;
    ts_history *h = &trainer->history;
    uint64_t counts[] = {trainer->first_step, trainer->saved, h->count, h->tokens,
                         h->evaluations.count};
    if (ranks == NULL) {
        return TS_OK;
    }
    TS_TRY(ts_ranks_tell(ranks, counts, sizeof counts, err));
    trainer->first_step = counts[0];
    trainer->saved = counts[1];
    TS_TRY(ts_history_reserve(h, counts[2] + 1, err));
    TS_TRY(ts_evaluations_reserve(&h->evaluations, counts[4] + 1, err));
    h->count = counts[2];
    h->tokens = counts[3];
    h->evaluations.count = counts[4];
    TS_TRY(tell_history(ranks, h, err));
    TS_TRY(ts_exchange_tell_state(&trainer->exchange, err));
    TS_TRY(
        ts_exchange_measure(&trainer->exchange, (uint32_t)ts_batches_most(&trainer->batches), err));
out:
    return status;
}
