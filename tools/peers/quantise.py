#!/usr/bin/env python3
"""Writes GGUF files of a model with nothing but llama.cpp's own converter and quantiser.

    tools/peers/quantise.py BASE NAME TYPE...    F32.gguf and TYPE.gguf of each type, in this folder

BASE is a folder of make_families.py's, NAME its family. Exit code 1 where one of them failed.
"""

import pathlib
import subprocess
import sys

import compare_export


def main():
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    base, name, *types = sys.argv[1:]
    sentencepiece = pathlib.Path(base, "tokenizer.model").exists()
    if not compare_export.convert(base, "F32.gguf", "f32", "-" if sentencepiece else name):
        sys.exit(1)
    for kind in types:
        made = subprocess.run(["llama-quantize", "F32.gguf", f"{kind}.gguf", kind, "1"],
                              capture_output=True, text=True, check=False)
        if made.returncode != 0 or "fallback" in made.stderr:
            sys.exit(f"quantise: {kind}: {made.stderr[-600:]}")


main()
