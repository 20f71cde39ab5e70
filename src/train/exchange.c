#include "train/exchange.h"

#include "base/memory.h"
#include "base/os.h"

#include <stdlib.h>
#include <string.h>

enum { PIECES = 256 };

// What ranks share once a step.
struct ts_exchange_part {
    uint64_t hash; // of the parameters that the device had
    double speed;  // micro-batches a second in this step; 0: it had none
    double waited; // seconds, for others, in the step before
    uint32_t stop; // 1: asked to stop
    uint32_t unused;
    float partial[PIECES]; // of the own slice
};

// ---- Opening

static uint64_t floats_of(const ts_exchange *x, uint32_t rank)
{
    return x->slices[rank + 1] - x->slices[rank];
}

// How many blocks the rank itself has and the others have, at most, in any step. A range has at
// most two blocks of each size.
static ts_status count_blocks(ts_deal *deal, const ts_exchange_params *params, uint32_t *own,
                              uint32_t *others, ts_error *err)
{
    ts_status status = TS_OK;
    *own = *others = 0;
    if (params->balance) {
        const uint64_t most = 2 * (uint64_t)ts_reduce_levels(params->full) + 1;
        *own = (uint32_t)ts_min_u64(most, params->full);
        *others = (uint32_t)ts_min_u64(most * (params->ranks - 1), params->full);
        return TS_OK;
    }
    for (int i = 0; i < 2; i++) {
        uint32_t mine = 0;
        TS_TRY(ts_deal_make(deal, i == 0 ? params->full : params->rest, err));
        for (size_t b = 0; b < deal->count; b++) {
            mine += deal->blocks[b].rank == params->rank;
        }
        *own = (uint32_t)ts_max_u64(*own, mine);
        *others = (uint32_t)ts_max_u64(*others, deal->count - mine);
    }
out:
    return status;
}

// Groups of layers, the last layers first, as the backward pass comes to them.
static void cut(ts_exchange *x, const ts_model_config *config, const ts_adapter_config *adapter)
{
    const uint32_t layers = config->layers;
    x->part_count = (uint32_t)ts_min_u64(layers, TS_EXCHANGE_PARTS);
    x->cuts[0] = ts_lora_begin(config, adapter, layers);
    for (uint32_t p = 0; p < x->part_count; p++) {
        x->layers[p] = layers - layers * (p + 1) / x->part_count;
        x->cuts[p + 1] = ts_lora_begin(config, adapter, x->layers[p]);
    }
}

// Without a device it only counts bytes.
static ts_status place(ts_exchange *x, const ts_exchange_params *params,
                       const ts_model_config *config, const ts_adapter_config *adapter,
                       ts_error *err)
{
    ts_status status = TS_OK;
    uint32_t own, others;
    cut(x, config, adapter);
    const uint64_t count = x->cuts[0];
    x->deal = (ts_deal){.ranks = params->ranks};
    x->rank = params->rank;
    TS_TRY(ts_alloc((size_t)params->ranks + 1, sizeof *x->slices, &x->slices, err));
    ts_slices_make(count, params->ranks, x->slices);
    TS_TRY(count_blocks(&x->deal, params, &own, &others, err));
    const uint64_t slice = floats_of(x, x->rank);
    if ((uint64_t)own + others > TS_RANKS_TAGS) {
        TS_FAIL(TS_ERR_UNSUPPORTED, "%u micro-batches a step are too many for %u ranks",
                params->full, params->ranks);
    }
    TS_TRY(ts_alloc((size_t)own + 1, sizeof *x->outgoing, &x->outgoing, err));
    TS_TRY(ts_alloc((size_t)others + 1, sizeof *x->incoming, &x->incoming, err));
    for (; x->outgoing_count < own; x->outgoing_count++) {
        TS_TRY(ts_gpu_alloc(&x->host, TS_F32, count, &x->outgoing[x->outgoing_count], err));
    }
    for (; x->incoming_count < others && slice > 0; x->incoming_count++) {
        TS_TRY(ts_gpu_alloc(&x->host, TS_F32, slice, &x->incoming[x->incoming_count], err));
    }
    TS_TRY(ts_gpu_alloc(&x->host, TS_F32, PIECES, &x->partial, err));
    TS_TRY(ts_gpu_alloc(&x->host, TS_F32, count, &x->values, err));
    TS_TRY(ts_gpu_alloc(&x->host, TS_F32, count, &x->seen, err));
out:
    return status;
}

ts_status ts_exchange_plan(const ts_model_config *config, const ts_adapter_config *adapter,
                           const ts_exchange_params *params, uint64_t *bytes, ts_error *err)
{
    ts_exchange x = {0};
    ts_status status = place(&x, params, config, adapter, err);
    *bytes = x.host.used_bytes;
    ts_exchange_close(&x);
    return status;
}

ts_status ts_exchange_share_of(const ts_model_config *config, const ts_adapter_config *adapter,
                               const ts_exchange_params *params, ts_exchange_share *out,
                               ts_error *err)
{
    ts_status status = TS_OK;
    ts_exchange x = {0};
    uint64_t own = 0;
    TS_TRY(place(&x, params, config, adapter, err));
    const uint64_t count = x.cuts[0];
    TS_TRY(ts_deal_make(&x.deal, params->full, err));
    for (size_t b = 0; b < x.deal.count; b++) {
        own += x.deal.blocks[b].rank == params->rank;
    }
    const uint64_t slice = floats_of(&x, params->rank), others = params->ranks - 1;
    *out = (ts_exchange_share){
        .first = x.deal.first[params->rank],
        .end = x.deal.first[params->rank + 1],
        .host_bytes = x.host.used_bytes,
        .sent_bytes = (own * (count - slice) + slice * others) * sizeof(float) +
                      others * sizeof(struct ts_exchange_part),
    };
    out->sent_bytes += others * (out->end - out->first) * sizeof(ts_micro_result);
out:
    ts_exchange_close(&x);
    return status;
}

ts_status ts_exchange_open(ts_ranks *ranks, const ts_exchange_params *params, ts_pass *pass,
                           ts_reduce *reduce, ts_optimiser *optimiser, ts_exchange *out,
                           ts_error *err)
{
    enum { BLOCK_BYTES = 1 << 12 };
    ts_status status = TS_OK;
    *out = (ts_exchange){
        .ranks = ranks,
        .pass = pass,
        .reduce = reduce,
        .optimiser = optimiser,
        .host = {.gpu = pass->model->gpu, .place = TS_PLACE_HOST, .block_bytes = BLOCK_BYTES}};
    TS_TRY(place(out, params, &pass->model->config, &pass->model->lora.config, err));
    TS_TRY(ts_alloc((size_t)params->ranks + 1, sizeof *out->offsets, &out->offsets, err));
    TS_TRY(ts_alloc(params->ranks, sizeof *out->parts, &out->parts, err));
    TS_TRY(ts_alloc(params->full, sizeof *out->results, &out->results, err));
    if (params->balance) {
        TS_TRY(ts_alloc(params->ranks, sizeof *out->speeds, &out->speeds, err));
    }
out:
    if (status != TS_OK) {
        ts_exchange_close(out);
    }
    return status;
}

void ts_exchange_close(ts_exchange *x)
{
    // After an error in mid-exchange MPI goes on writing here, so the memory stays until the
    // process ends, which that error brings about.
    if (ts_ranks_exchange(x->ranks)) {
        return;
    }
    ts_deal_free(&x->deal);
    ts_gpu_arena_close(&x->host);
    free(x->slices);
    free(x->offsets);
    free(x->outgoing);
    free(x->incoming);
    free(x->parts);
    free(x->results);
    free(x->speeds);
    *x = (ts_exchange){0};
}

// ---- The same parameters on all ranks

static uint64_t hash_of(const void *bytes, uint64_t len)
{
    uint64_t hash = 0xCBF29CE484222325u; // FNV-1a, over words of 64 bits
    const char *at = bytes;
    for (uint64_t word; len >= sizeof word; at += sizeof word, len -= sizeof word) {
        memcpy(&word, at, sizeof word);
        hash = (hash ^ word) * 0x100000001B3u;
        hash ^= hash >> 29;
    }
    return hash;
}

// Names the first rank that differs from most; of two that differ nobody can tell which is right.
static ts_status compare_hashes(const ts_exchange *x, uint64_t step, ts_error *err)
{
    const uint32_t count = x->deal.ranks;
    uint32_t best = 0, most = 0;
    for (uint32_t r = 0; r < count; r++) {
        uint32_t same = 0;
        for (uint32_t i = 0; i < count; i++) {
            same += x->parts[i].hash == x->parts[r].hash;
        }
        best = same > most ? r : best;
        most = same > most ? same : most;
    }
    for (uint32_t r = 0; r < count; r++) {
        if (x->parts[r].hash != x->parts[best].hash && 2 * most <= count) {
            return ts_error_set(err, TS_ERR_RUN,
                                "after step %llu rank %u on %s and rank %u on %s have different "
                                "parameters: the device or the memory of one of them fails",
                                (unsigned long long)step, best, ts_ranks_host(x->ranks, best), r,
                                ts_ranks_host(x->ranks, r));
        }
        if (x->parts[r].hash != x->parts[best].hash) {
            return ts_error_set(err, TS_ERR_RUN,
                                "after step %llu rank %u on %s has other parameters than %u of %u "
                                "ranks: its device or its memory fails",
                                (unsigned long long)step, r, ts_ranks_host(x->ranks, r), most,
                                count);
        }
    }
    return TS_OK;
}

ts_status ts_exchange_tell_state(ts_exchange *x, ts_error *err)
{
    ts_status status = TS_OK;
    ts_gpu *gpu = x->pass->model->gpu;
    const ts_view state[] = {x->pass->model->lora.values, x->optimiser->first_moment,
                             x->optimiser->second_moment};
    for (size_t i = 0; i < TS_COUNT(state); i++) {
        void *bytes = ts_view_host(x->values);
        TS_TRY(ts_gpu_download(gpu, state[i], bytes, state[i].bytes, err));
        TS_TRY(ts_ranks_tell(x->ranks, bytes, state[i].bytes, err));
        TS_TRY(ts_gpu_upload(gpu, state[i], bytes, state[i].bytes, err));
    }
    x->pass->model->lora.changed = true;
out:
    return status;
}

ts_status ts_exchange_gather_state(ts_exchange *x, uint64_t step, ts_error *err)
{
    ts_status status = TS_OK;
    ts_gpu *gpu = x->pass->model->gpu;
    struct ts_exchange_part own = {0};
    const ts_view moments[] = {x->optimiser->first_moment, x->optimiser->second_moment};
    ts_recorder_copy(x->pass->recorder, x->pass->model->lora.values, x->seen);
    TS_TRY(ts_recorder_run(x->pass->recorder, err));
    own.hash = hash_of(ts_view_host(x->seen), x->seen.bytes);
    TS_TRY(ts_ranks_share(x->ranks, &own, sizeof own, x->parts, err));
    TS_TRY(compare_hashes(x, step, err));
    for (size_t i = 0; i < TS_COUNT(moments); i++) {
        float *floats = ts_view_host(x->values);
        TS_TRY(ts_gpu_download(gpu, moments[i], floats, moments[i].bytes, err));
        TS_TRY(ts_ranks_gather(x->ranks, floats, x->slices, err));
        TS_TRY(ts_gpu_upload(gpu, moments[i], floats, moments[i].bytes, err));
    }
out:
    return status;
}

// ---- A step

// What part p has of the rank's slice: *count floats from the returned one on, maybe none.
static uint64_t overlap(const ts_exchange *x, uint32_t p, uint32_t rank, uint64_t *count)
{
    const uint64_t first = ts_max_u64(x->cuts[p + 1], x->slices[rank]);
    const uint64_t end = ts_min_u64(x->cuts[p], x->slices[rank + 1]);
    *count = end > first ? end - first : 0;
    return first;
}

// What others send of a block comes part by part, in this order.
static ts_status receive_block(ts_exchange *x, uint32_t block, ts_view place, ts_error *err)
{
    ts_status status = TS_OK;
    float *floats = ts_view_host(place);
    for (uint32_t p = 0; p < x->part_count; p++) {
        uint64_t count;
        const uint64_t first = overlap(x, p, x->rank, &count) - x->slices[x->rank];
        if (count > 0) {
            TS_TRY(ts_ranks_receive(x->ranks, floats + first, count * sizeof *floats,
                                    x->deal.blocks[block].rank, block, err));
        }
    }
out:
    return status;
}

static ts_status receive_all(ts_exchange *x, ts_error *err)
{
    ts_status status = TS_OK;
    uint32_t next = 0;
    for (uint32_t b = 0; b < x->deal.count; b++) {
        if (x->deal.blocks[b].rank != x->rank && floats_of(x, x->rank) > 0) {
            TS_TRY(receive_block(x, b, x->incoming[next++], err));
        }
    }
out:
    return status;
}

static ts_status send_part(ts_exchange *x, uint32_t block, uint32_t own, uint32_t p, ts_error *err)
{
    ts_status status = TS_OK;
    const float *floats = ts_view_host(x->outgoing[own]);
    for (uint32_t r = 0; r < x->deal.ranks; r++) {
        uint64_t count;
        const uint64_t first = overlap(x, p, r, &count);
        if (r != x->rank && count > 0) {
            TS_TRY(ts_ranks_send(x->ranks, floats + first, count * sizeof *floats, r, block, err));
        }
    }
out:
    return status;
}

ts_status ts_exchange_begin(ts_exchange *x, uint32_t micro_batches, uint32_t *first, uint32_t *end,
                            ts_error *err)
{
    ts_status status = TS_OK;
    x->began_s = ts_clock_s();
    x->busy_s = 0;
    x->waited_before_s = ts_ranks_waited_s(x->ranks);
    x->ticketed = x->departed = 0;
    TS_TRY(ts_deal_make(&x->deal, micro_batches, err));
    *first = x->deal.first[x->rank];
    *end = x->deal.first[x->rank + 1];
    TS_TRY(receive_all(x, err));
    ts_recorder_copy(x->pass->recorder, x->pass->model->lora.values, x->seen);
out:
    return status;
}

// The block that ends with this micro-batch, or SIZE_MAX. *own: which of the rank's own it is.
static size_t block_ending(const ts_exchange *x, uint32_t micro, uint32_t *own)
{
    *own = 0;
    for (size_t b = 0; b < x->deal.count; b++) {
        const ts_block *block = &x->deal.blocks[b];
        if (block->rank == x->rank && block->first + (1u << block->level) == micro + 1) {
            return b;
        }
        *own += block->rank == x->rank;
    }
    return SIZE_MAX;
}

static bool is_last(const ts_exchange *x, uint32_t micro)
{
    return micro + 1 == x->deal.first[x->rank + 1];
}

// Ends the own last block's sum, of one part.
static void record_part(ts_exchange *x, uint32_t p)
{
    ts_recorder *recorder = x->pass->recorder;
    const uint64_t first = x->cuts[p + 1], count = x->cuts[p] - first;
    const uint32_t held = x->reduce->held;
    uint32_t own;
    block_ending(x, x->deal.first[x->rank + 1] - 1, &own);
    if (count > 0) {
        const ts_view sum = ts_view_slice(x->pass->gradients, first, count);
        ts_reduce_record_part(x->reduce, first, count, 0, true);
        ts_recorder_copy(recorder, sum, ts_view_slice(x->outgoing[own], first, count));
        ts_recorder_zero(recorder, sum);
    }
    x->reduce->held = p + 1 < x->part_count ? held : 0; // the other parts have it yet to add
}

// The last part goes with the rest of the micro-batch.
static void layer_done(void *user, uint32_t layer)
{
    ts_exchange *x = user;
    ts_error err = {0};
    while (x->recorded + 1 < x->part_count && layer <= x->layers[x->recorded]) {
        record_part(x, x->recorded++);
        if (ts_recorder_send(x->pass->recorder, &x->tickets[x->ticketed++], &err) != TS_OK) {
            ts_recorder_fail(x->pass->recorder, &err);
        }
    }
}

void ts_exchange_expect(ts_exchange *x, uint32_t micro)
{
    x->recorded = 0;
    x->pass->layer_user = x;
    x->pass->layer_done = is_last(x, micro) ? layer_done : NULL;
}

void ts_exchange_record(ts_exchange *x, uint32_t micro)
{
    ts_recorder *recorder = x->pass->recorder;
    uint32_t own;
    x->pass->layer_done = NULL;
    if (is_last(x, micro)) {
        while (x->recorded < x->part_count) {
            record_part(x, x->recorded++);
        }
        return;
    }
    const bool ends = block_ending(x, micro, &own) != SIZE_MAX;
    ts_reduce_record(x->reduce, ends);
    if (ends) {
        ts_recorder_copy(recorder, x->pass->gradients, x->outgoing[own]);
        ts_recorder_zero(recorder, x->pass->gradients);
    }
}

ts_status ts_exchange_send_early(ts_exchange *x, ts_error *err)
{
    ts_status status = TS_OK;
    uint32_t own;
    const size_t block = block_ending(x, x->deal.first[x->rank + 1] - 1, &own);
    for (; x->departed < x->ticketed; x->departed++) {
        TS_TRY(ts_recorder_wait(x->pass->recorder, x->tickets[x->departed], err));
        TS_TRY(send_part(x, (uint32_t)block, own, x->departed, err));
    }
out:
    return status;
}

ts_status ts_exchange_ran(ts_exchange *x, uint32_t micro, const ts_micro_result *result,
                          ts_error *err)
{
    ts_status status = TS_OK;
    uint32_t own;
    const size_t block = block_ending(x, micro, &own);
    x->results[micro] = *result;
    x->busy_s = ts_clock_s() - x->began_s;
    for (uint32_t p = is_last(x, micro) ? x->departed : 0; p < x->part_count && block != SIZE_MAX;
         p++) {
        TS_TRY(send_part(x, (uint32_t)block, own, p, err));
    }
out:
    return status;
}

// Goes on with the sum of the own slice where the blocks' sums are its next parts.
static void record_sum(ts_exchange *x)
{
    const uint64_t first = x->slices[x->rank], count = floats_of(x, x->rank);
    const ts_view sum = ts_view_slice(x->pass->gradients, first, count);
    uint32_t own = 0, other = 0;
    for (size_t b = 0; b < x->deal.count && count > 0; b++) {
        const ts_block *block = &x->deal.blocks[b];
        const ts_view part = block->rank == x->rank
                                 ? ts_view_slice(x->outgoing[own++], first, count)
                                 : x->incoming[other++];
        ts_recorder_copy(x->pass->recorder, part, sum);
        ts_reduce_record_part(x->reduce, first, count, block->level, b + 1 == x->deal.count);
    }
}

// Every piece of the sum of squares from the rank that owns it.
static void join_squares(const ts_exchange *x)
{
    const uint64_t width = ts_ceil_div(x->pass->model->lora.count, 4 * PIECES) * 4;
    float *joined = ts_view_host(x->partial);
    for (uint32_t piece = 0, owner = 0; piece < PIECES; piece++) {
        while (owner + 1 < x->deal.ranks && piece * width >= x->slices[owner + 1]) {
            owner++;
        }
        joined[piece] = x->parts[owner].partial[piece];
    }
}

// The speeds by which the next step is dealt: means over the steps so far, of which the last count
// most. A rank that had nothing to do keeps the one it had.
static void note_speeds(ts_exchange *x)
{
    bool known = true;
    for (uint32_t r = 0; r < x->deal.ranks; r++) {
        const double speed = x->parts[r].speed;
        if (speed > 0) {
            x->speeds[r] = x->speeds[r] > 0 ? 0.7 * x->speeds[r] + 0.3 * speed : speed;
        }
        known &= x->speeds[r] > 0;
    }
    x->deal.speeds = known ? x->speeds : NULL;
}

// Who waits least has done its work last: what it waits is the exchange itself, as far as no work
// hides it.
static void note_waits(ts_exchange *x)
{
    double least = x->parts[0].waited;
    for (uint32_t r = 1; r < x->deal.ranks; r++) {
        least = x->parts[r].waited < least ? x->parts[r].waited : least;
    }
    if (least > 0) { // of the first step there is none before
        x->times.waited_s += least;
        x->times.steps++;
    }
}

static ts_status share_results(ts_exchange *x, ts_error *err)
{
    for (uint32_t r = 0; r <= x->deal.ranks; r++) {
        x->offsets[r] = x->deal.first[r] * (sizeof *x->results / sizeof(float));
    }
    return ts_ranks_gather(x->ranks, (float *)(void *)x->results, x->offsets, err);
}

ts_status ts_exchange_step(ts_exchange *x, const ts_adamw_params *params, double rate,
                           uint64_t step, bool stop, ts_error *err)
{
    ts_status status = TS_OK;
    ts_recorder *recorder = x->pass->recorder;
    const uint32_t micros = x->deal.first[x->rank + 1] - x->deal.first[x->rank];
    struct ts_exchange_part own = {
        .stop = stop, .speed = micros > 0 ? micros / x->busy_s : 0, .waited = x->waited_s};
    const uint64_t first = x->slices[x->rank], count = floats_of(x, x->rank);
    const ts_view values = x->pass->model->lora.values;
    TS_TRY(ts_ranks_finish(x->ranks, err));
    record_sum(x);
    ts_optimiser_record_squares(x->optimiser);
    ts_recorder_copy(recorder, x->optimiser->partial, x->partial);
    TS_TRY(ts_recorder_run(recorder, err));
    own.hash = hash_of(ts_view_host(x->seen), x->seen.bytes);
    memcpy(own.partial, ts_view_host(x->partial), sizeof own.partial);
    TS_TRY(ts_ranks_share(x->ranks, &own, sizeof own, x->parts, err));
    TS_TRY(compare_hashes(x, step - 1, err));
    TS_TRY(share_results(x, err));
    x->stop = false;
    for (uint32_t r = 0; r < x->deal.ranks; r++) {
        x->stop |= x->parts[r].stop != 0;
    }
    note_waits(x);
    if (x->speeds != NULL) {
        note_speeds(x);
    }
    join_squares(x);
    ts_recorder_copy(recorder, x->partial, x->optimiser->partial);
    ts_optimiser_record_update(x->optimiser, params, rate, step, first, count);
    if (count > 0) {
        ts_recorder_copy(recorder, ts_view_slice(values, first, count),
                         ts_view_slice(x->values, first, count));
    }
    TS_TRY(ts_recorder_run(recorder, err));
    TS_TRY(ts_ranks_gather(x->ranks, ts_view_host(x->values), x->slices, err));
    ts_recorder_copy(recorder, x->values, values);
    x->waited_s = ts_ranks_waited_s(x->ranks) - x->waited_before_s;
out:
    return status;
}

ts_status ts_exchange_measure(ts_exchange *x, uint32_t micro_batches, ts_error *err)
{
    ts_status status = TS_OK;
    const struct ts_exchange_part none = {0};
    TS_TRY(ts_deal_make(&x->deal, micro_batches, err));
    for (int i = 0; i < 2; i++) { // the first one makes the connections
        uint32_t own = 0;
        TS_TRY(ts_ranks_share(x->ranks, &none, sizeof none, x->parts, err)); // all begin at once
        const double began_s = ts_clock_s();
        TS_TRY(receive_all(x, err));
        for (uint32_t b = 0; b < x->deal.count; b++) {
            const bool mine = x->deal.blocks[b].rank == x->rank;
            for (uint32_t p = 0; p < x->part_count && mine; p++) {
                TS_TRY(send_part(x, b, own, p, err));
            }
            own += mine;
        }
        TS_TRY(ts_ranks_finish(x->ranks, err));
        TS_TRY(ts_ranks_share(x->ranks, &none, sizeof none, x->parts, err));
        TS_TRY(share_results(x, err));
        TS_TRY(ts_ranks_gather(x->ranks, ts_view_host(x->values), x->slices, err));
        x->times.alone_s = ts_clock_s() - began_s;
    }
out:
    return status;
}
