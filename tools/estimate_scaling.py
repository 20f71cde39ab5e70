#!/usr/bin/env python3
"""Steps a second against the number of ranks, from what one card takes and what the wire carries.

    tools/estimate_scaling.py --micro-seconds 0.35 --adapter-bytes 4.5e6 --micro-batches 64 --gbit 1

--micro-seconds: how long a card takes for one micro-batch (what `train` shows: the tokens of one, divided
by its tok/s). --adapter-bytes: four times the trained parameters that `train --dry-run` tells. --micro-batches:
those of a step (--grad-accum). The deal of micro-batches and what goes over the wire are those of
src/train/deal.c and exchange.c; the wire is a rate and a latency, and every host has one card and a full-duplex
link. A block of micro-batches that is summed goes out while the card works on the next ones, so what counts is
what is left over when the card is done. It is a model: it knows nothing of switches or of other traffic.
"""
import argparse
import math


def blocks(first, end):
    """The parts of the tree that a rank sums: (begin, size)."""
    out = []
    while first < end:
        size = 1
        while first % (2 * size) == 0 and first + 2 * size <= end:
            size *= 2
        out.append((first, size))
        first += size
    return out


def step_seconds(ranks, a):
    """(seconds of a step, of which the card is busy, bytes that the busiest rank sends)"""
    if ranks == 1:
        busy = a.micro_batches * a.micro_seconds
        return busy + a.update_seconds, busy, 0
    rate, share = a.gbit * 1e9 / 8, 1 - 1 / ranks
    worst, busy_most, sent_most = 0.0, 0.0, 0
    for rank in range(ranks):
        first, end = (-(-a.micro_batches * r // ranks) for r in (rank, rank + 1))
        wire_free, sent = 0.0, 0
        for begin, size in blocks(first, end):
            ready = (begin + size - first) * a.micro_seconds
            wire_free = max(wire_free, ready) + a.adapter_bytes * share / rate
            sent += a.adapter_bytes * share
        busy = (end - first) * a.micro_seconds
        worst, busy_most = max(worst, wire_free, busy), max(busy_most, busy)
        sent_most = max(sent_most, sent + a.adapter_bytes * share)
    # An owner receives a slice of every block of the others.
    received = sum(len(blocks(*(-(-a.micro_batches * r // ranks) for r in (q, q + 1)))) for q in range(ranks))
    worst = max(worst, busy_most / max(1, -(-a.micro_batches // ranks)) + received * a.adapter_bytes / ranks / rate)
    rounds = math.ceil(math.log2(ranks))
    shared = (1040 * ranks + 56 * a.micro_batches) / rate # sums of squares, hashes, losses
    after = a.update_seconds + a.adapter_bytes * share / rate + shared + 4 * rounds * a.latency_us * 1e-6
    return worst + after, busy_most, sent_most


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--micro-seconds", type=float, required=True)
    parser.add_argument("--adapter-bytes", type=float, required=True)
    parser.add_argument("--micro-batches", type=int, required=True)
    parser.add_argument("--gbit", type=float, default=1)
    parser.add_argument("--latency-us", type=float, default=50)
    parser.add_argument("--update-seconds", type=float, default=0.01, help="sums and AdamW, with their copies")
    parser.add_argument("--most", type=int, default=1024, help="ranks")
    a = parser.parse_args()
    alone = step_seconds(1, a)[0]
    before, stops = None, None
    print(f"{'ranks':>6} {'s/step':>9} {'steps/s':>9} {'speed-up':>9} {'card busy':>9} {'sent MB':>9}")
    ranks = 1
    while ranks <= a.most:
        seconds, busy, sent = step_seconds(ranks, a)
        print(f"{ranks:6} {seconds:9.3f} {1 / seconds:9.3f} {alone / seconds:9.2f} {busy / seconds:8.0%} {sent / 1e6:9.1f}")
        if before is not None and stops is None and before / seconds < 1.25: # twice the cards
            stops = ranks // 2
        before = seconds
        ranks *= 2
    if stops is None:
        print(f"up to {a.most} ranks, twice the cards make it at least a quarter faster each time")
    else:
        print(f"it stops paying at {stops} ranks: twice as many would not make it a quarter faster")


if __name__ == "__main__":
    main()
