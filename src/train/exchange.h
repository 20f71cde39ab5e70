// Training by several ranks: how the gradients of a step's micro-batches, which the ranks have
// among them, become the same update on all of them, whatever their number.
//
// A rank sums its micro-batches within blocks, whole parts of the tree in which one rank would sum
// them (reduce.h). Every rank owns a slice of the adapter's flat arrays: the others send it that
// slice of each of their blocks, it goes on with the sum in the tree, and updates the parameters.
// Then all get all slices. Slices end where sum_squares' pieces end, so that the norm is summed as
// on one rank too. So with devices of one kind every bit is that of one rank; with others all ranks
// still hold the same parameters, which a hash of what their devices hold shows at every step.
//
// What a rank sends of its last micro-batch goes out by groups of layers, while its device goes on
// with the backward pass through the layers below. What it sends of blocks before goes out while
// the device runs the micro-batches after them.
#ifndef TS_TRAIN_EXCHANGE_H
#define TS_TRAIN_EXCHANGE_H

#include "base/ranks.h"
#include "train/optimiser.h"
#include "train/reduce.h"

// The sum of micro-batches first .. first + 2^level - 1, which `rank` makes.
typedef struct ts_block {
    uint32_t rank, first, level;
} ts_block;

// Which micro-batches each rank has: first[r] .. first[r + 1] - 1, and the blocks of them in order.
typedef struct ts_deal {
    uint32_t ranks;
    const double *speeds; // [ranks] shares in proportion to these, borrowed; NULL: equal ones. Who
                          // has what changes no bit of the result
    uint32_t *first;      // [ranks + 1]
    ts_block *blocks;
    size_t count, capacity;
} ts_deal;

// Deals the micro-batches of a step. `deal` starts zeroed but for ranks and speeds.
ts_status ts_deal_make(ts_deal *deal, uint32_t micro_batches, ts_error *err);
void ts_deal_free(ts_deal *deal);
// Slice r of `count` floats is first[r] .. first[r + 1] - 1; first has ranks + 1 places. With many
// ranks some have none.
void ts_slices_make(uint64_t count, uint32_t ranks, uint64_t *first);

// What is reported of a micro-batch.
typedef struct ts_micro_result {
    double loss; // its part of the step's mean
    ts_rewards rewards;
    uint64_t tokens;
} ts_micro_result;

enum { TS_EXCHANGE_PARTS = 8 }; // into which the flat arrays are cut at most, by layers

// How long exchanges take.
typedef struct ts_exchange_times {
    double alone_s;  // one of a step, measured where nothing else went on
    double waited_s; // over `steps`: what the rank that waited least waited for others
    uint64_t steps;
} ts_exchange_times;

typedef struct ts_exchange {
    ts_ranks *ranks; // borrowed; NULL: one rank, and nothing below is used
    ts_pass *pass;
    ts_reduce *reduce;
    ts_optimiser *optimiser;
    ts_gpu_arena host;
    ts_deal deal;
    uint64_t *slices, *offsets; // [ranks + 1]
    uint32_t rank;
    ts_view *outgoing; // [own blocks] of [count of the adapter]
    ts_view *incoming; // [others' blocks] of [the own slice]
    uint32_t outgoing_count, incoming_count;
    ts_view partial;                // [256] of the gradients' squares
    ts_view values, seen;           // [count] the parameters of all; what the device had
    struct ts_exchange_part *parts; // [ranks] what they share at a step
    ts_micro_result *results;       // [micro-batches] of the step
    double *speeds;                 // [ranks] micro-batches a second, where they are balanced
    double began_s, busy_s;         // of the step: when it began, until the own work was done
    uint32_t part_count;
    uint32_t layers[TS_EXCHANGE_PARTS];   // part p is whole once this layer's gradients are
    uint64_t cuts[TS_EXCHANGE_PARTS + 1]; // and is floats cuts[p + 1] .. cuts[p] - 1
    // Of the own last micro-batch: its parts that are recorded; of those that were sent to the
    // device before the rest, their tickets; those that are on their way to other ranks.
    uint32_t recorded, ticketed, departed;
    uint64_t tickets[TS_EXCHANGE_PARTS];
    ts_exchange_times times;
    double waited_before_s, waited_s; // in all before the step; in the whole step before
    bool stop;                        // a rank was asked to stop during the step
} ts_exchange;

// The most micro-batches of any step are `full`; `rest` are those of an epoch's last step.
typedef struct ts_exchange_params {
    uint32_t rank, ranks, full, rest;
    bool balance; // deal by the speeds that the ranks had so far
} ts_exchange_params;

// What a rank has to do in a step of the most micro-batches, dealt equally.
typedef struct ts_exchange_share {
    uint32_t first, end; // its micro-batches
    uint64_t host_bytes; // memory of the host for the exchange
    uint64_t sent_bytes; // to all other ranks
} ts_exchange_share;
ts_status ts_exchange_share_of(const ts_model_config *config, const ts_adapter_config *adapter,
                               const ts_exchange_params *params, ts_exchange_share *out,
                               ts_error *err);

// Host bytes that ts_exchange_open would take.
ts_status ts_exchange_plan(const ts_model_config *config, const ts_adapter_config *adapter,
                           const ts_exchange_params *params, uint64_t *bytes, ts_error *err);
ts_status ts_exchange_open(ts_ranks *ranks, const ts_exchange_params *params, ts_pass *pass,
                           ts_reduce *reduce, ts_optimiser *optimiser, ts_exchange *out,
                           ts_error *err);
void ts_exchange_close(ts_exchange *exchange); // a zeroed one is fine

// Makes rank 0's parameters and moments those of all.
ts_status ts_exchange_tell_state(ts_exchange *exchange, ts_error *err);
// Measures times.alone_s by exchanges of nothing, as large as those of the largest step.
ts_status ts_exchange_measure(ts_exchange *exchange, uint32_t micro_batches, ts_error *err);
// Makes the owners' moments those of all, and compares the parameters once more: before a
// checkpoint is written.
ts_status ts_exchange_gather_state(ts_exchange *exchange, uint64_t step, ts_error *err);

// One step, in this order. _begin: how many micro-batches it has; afterwards this rank's are
// *first .. *end - 1.
ts_status ts_exchange_begin(ts_exchange *exchange, uint32_t micro_batches, uint32_t *first,
                            uint32_t *end, ts_error *err);
// Before each own micro-batch is recorded.
void ts_exchange_expect(ts_exchange *exchange, uint32_t micro);
// Of each own micro-batch, once it is recorded, before it is sent to the device.
void ts_exchange_record(ts_exchange *exchange, uint32_t micro);
// Of each own micro-batch, once the device has run it. What goes to other ranks begins its way.
ts_status ts_exchange_ran(ts_exchange *exchange, uint32_t micro, const ts_micro_result *result,
                          ts_error *err);
// Once the last own one is sent to the device and those before it have run: what is ready of it
// goes to other ranks while the device goes on with the rest.
ts_status ts_exchange_send_early(ts_exchange *exchange, ts_error *err);
// Then: waits for the others, updates the parameters as ts_optimiser_record does, and has all
// micro-batches in `results`. `stop`: this rank is asked to stop. TS_ERR_RUN names a rank whose
// parameters were not those of the others.
ts_status ts_exchange_step(ts_exchange *exchange, const ts_adamw_params *params, double rate,
                           uint64_t step, bool stop, ts_error *err);

#endif
