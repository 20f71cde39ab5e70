#!/usr/bin/env python3
"""Turns the single results of tools/bench_peers.sh into a Markdown table.

    tools/peers/report.py FOLDER            the table; exit code 1 where a ratio is missed
    tools/peers/report.py --faster FOLDER   the faster of llama.cpp's modes
"""

import datetime
import json
import pathlib
import sys

# What is asked of us: (row of ours, row of theirs, at least so many times as fast)
PROMISES = [
    ("forward, 128 tokens", "forward, 128 tokens", 3.5),
    ("forward, 512 tokens", "forward, 512 tokens", 3.0),
    ("training step, 128 tokens", "forward, 128 tokens", 1.7),
    ("training step, 512 tokens", "forward, 512 tokens", 1.4),
    ("decoding, 1 at once", "decoding, 1 at once", 1.5),
    ("decoding, 32 at once", "decoding, 32 at once", 10.0),
]


class Rates:
    """The best tokens a second of each row, and how often it was measured."""

    def __init__(self):
        self.best, self.count = {}, {}

    def add(self, row, rate):
        self.best[row] = max(rate, self.best.get(row, 0))
        self.count[row] = self.count.get(row, 0) + 1

    def show(self, row):
        return f"{self.best[row]:.2f} (of {self.count[row]})" if row in self.best else "-"


def read_ours(folder, about):
    rates = Rates()
    for path in sorted(folder.glob("ours-*.json")) + sorted(folder.glob("decode-*.json")):
        result = json.loads(path.read_text())
        about["device"], about["driver"] = result["device"], result["driver"]
        for row in result["rows"]:
            if row.get("tokens"):
                rates.add(row["name"], row["tokens"] / row["seconds"])
        for row in result.get("decode", []):
            rates.add(f"decoding, {row['sequences']} at once", row["tokens_per_second"])
    return rates


def read_llama(folder, mode, about):
    rates = Rates()
    for path in sorted(folder.glob(f"llama-{mode}-*.json")):
        for test in json.loads(path.read_text()):
            about["llama"] = f"llama.cpp build {test['build_number']} ({test['build_commit']})"
            about["llama_device"] = test["gpu_info"]
            for rate in test["samples_ts"]:
                rates.add(f"forward, {test['n_prompt']} tokens", rate)
    for path in sorted(folder.glob(f"batched-{mode}-*.json")):
        for line in path.read_text().splitlines():
            test = json.loads(line)
            rates.add(f"decoding, {test['pl']} at once", test["speed_tg"])
    return rates


def read_peft(folder, about):
    rates = Rates()
    for path in sorted(folder.glob("peft-*.json")):
        result = json.loads(path.read_text())
        about["peft"] = result["about"]
        for row in result["rows"]:
            if row["batch"] == 1:
                rates.add(f"training step, {row['tokens']} tokens", row["tokens_per_second"])
    return rates


def faster(folder):
    best = {}
    for mode in ("plain", "matrix"):
        rates = read_llama(folder, mode, {}).best
        if rates:
            best[mode] = max(rates.values())
    if not best:
        sys.exit(f"report: no result of llama.cpp in {folder}")
    print(max(best, key=best.get))


def main():
    if len(sys.argv) == 3 and sys.argv[1] == "--faster":
        faster(pathlib.Path(sys.argv[2]))
        return
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder, about = pathlib.Path(sys.argv[1]), {}
    ours = read_ours(folder, about)
    plain, matrix = read_llama(folder, "plain", about), read_llama(folder, "matrix", about)
    peft = read_peft(folder, about)
    if about.get("llama_device", about.get("device")) != about.get("device"):
        sys.exit(f"report: llama.cpp ran on {about['llama_device']}, we on {about['device']}: "
                 "DEVICE counts differently there?")
    today = datetime.date.today().isoformat()
    print(f"{today}, {about.get('device')}, driver {about.get('driver')}; {about.get('llama')}; "
          f"PEFT: {about.get('peft', 'not installed, left out')}. By `tools/bench_peers.sh`, "
          "tokens/s, best of so many timings.\n")
    print("| | tinysft-vk | llama.cpp, plain | llama.cpp, cooperative matrices | PyTorch + PEFT |")
    print("|---|---|---|---|---|")
    rows = list(dict.fromkeys(list(ours.best) + list(plain.best) + list(matrix.best)))
    for row in sorted(rows, key=lambda name: (name.split(",")[0], len(name), name)):
        print(f"| {row} | {ours.show(row)} | {plain.show(row)} | {matrix.show(row)} "
              f"| {peft.show(row)} |")
    print("\n| against llama.cpp's faster mode | ratio | asked | |\n|---|---|---|---|")
    missed = 0
    for row, their_row, least in PROMISES:
        theirs = max(plain.best.get(their_row, 0), matrix.best.get(their_row, 0))
        if row not in ours.best or theirs == 0:
            print(f"| {row} / {their_row} | - | {least} | SKIPPED: not measured |")
            continue
        ratio = ours.best[row] / theirs
        missed += ratio < least
        print(f"| {row} / {their_row} | {ratio:.2f} | {least} | "
              f"{'PASS' if ratio >= least else 'FAIL'} |")
    sys.exit(missed > 0)


main()
