#!/usr/bin/env python3
"""Whether transformers reads tokenizers that tinysft-vk wrote, and gives the same ids.

    tools/peers/compare_tokenizers.py FOLDER

FOLDER/NAME/ holds a tokenizer's files and strings.jsonl: {"text": TEXT or null, "ids": [...]} a
line, without what is put before a text. The test data/tokenizer_peers.c fills it. Prints a line a
tokenizer; exit code 1 where one differs.
"""

import json
import pathlib
import sys

from transformers import AutoTokenizer


def main():
    failed = 0
    for folder in sorted(pathlib.Path(sys.argv[1]).iterdir()):
        tokenizer = AutoTokenizer.from_pretrained(folder)
        rows = [json.loads(line) for line in (folder / "strings.jsonl").open(encoding="utf-8")]
        rows = [row for row in rows if row["text"] is not None]
        different = [row["text"] for row in rows if tokenizer(
            row["text"], add_special_tokens=False)["input_ids"] != row["ids"]]
        failed += len(different) > 0 or len(rows) == 0
        print(f"{'FAIL' if different else 'PASS'}  {folder.name}: {len(rows)} texts", *map(
            repr, different[:3]), flush=True)
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
