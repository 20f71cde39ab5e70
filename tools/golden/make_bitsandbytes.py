#!/usr/bin/env python3
"""Quantises a model's linear layers to NF4 as bitsandbytes does, and writes it as transformers saves it.

    make_bitsandbytes.py MODEL OUT [--double] [--plain]

MODEL is a folder in Hugging Face's layout with one model.safetensors in F32, F16 or BF16. --double quantises
the scales too. --plain writes in F32 what the quantised weights stand for instead, so that the two can be
compared: `tinysft-vk eval` must print the same loss of both. Written from the format's description
(bitsandbytes/functional.py), with neither bitsandbytes nor transformers.

Needs numpy, torch and safetensors (for BF16).
"""

import argparse
import json
import pathlib
import shutil

import numpy as np
import torch
from safetensors.torch import load_file, save_file

LEVELS = np.array(
    [-1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635,
     -0.18477343022823334, -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725,
     0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941,
     0.7229568362236023, 1.0], dtype=np.float32)
LINEAR = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


def dynamic_map():
    """A map of 256 values for 8-bit scales: like bitsandbytes' own, finer towards zero. Any map is allowed."""
    half = np.logspace(-6, 0, 127, dtype=np.float32)
    return np.concatenate([-half[::-1], [0, 0], half]).astype(np.float32)


def nearest(values, levels):
    """The index of each value's nearest level; levels are sorted."""
    return np.searchsorted((levels[1:] + levels[:-1]) / 2, values).clip(0, len(levels) - 1)


def quantise(name, weight, double, out):
    """Adds X.weight and what describes it to `out`. Returns what they stand for."""
    blocks = weight.astype(np.float32).reshape(-1, 64)
    absmax = np.abs(blocks).max(1)
    codes = nearest(blocks / np.maximum(absmax, np.finfo(np.float32).tiny)[:, None], LEVELS)
    state = {"quant_type": "nf4", "blocksize": 64, "dtype": "bfloat16", "shape": list(weight.shape)}
    if double:
        offset = np.float32(absmax.mean())
        centred = absmax - offset
        groups = -(-len(absmax) // 256)
        padded = np.zeros(groups * 256, np.float32)
        padded[:len(absmax)] = centred
        nested = np.abs(padded.reshape(groups, 256)).max(1)
        levels = dynamic_map()
        each = np.repeat(nested, 256)[:len(absmax)]
        scales = nearest(centred / each, levels).astype(np.uint8)
        absmax = levels[scales] * each + offset
        state |= {"nested_blocksize": 256, "nested_dtype": "float32", "nested_offset": float(offset)}
        out[f"{name}.absmax"] = torch.from_numpy(scales)
        out[f"{name}.nested_absmax"] = torch.from_numpy(nested)
        out[f"{name}.nested_quant_map"] = torch.from_numpy(levels)
    else:
        out[f"{name}.absmax"] = torch.from_numpy(absmax)
    pairs = codes.reshape(-1, 2).astype(np.uint8)
    out[name] = torch.from_numpy((pairs[:, 0] << 4 | pairs[:, 1])[:, None].copy())  # even element above
    out[f"{name}.quant_map"] = torch.from_numpy(LEVELS.copy())
    text = np.frombuffer(json.dumps(state).encode(), np.uint8).copy()
    out[f"{name}.quant_state.bitsandbytes__nf4"] = torch.from_numpy(text)
    return (LEVELS[codes] * absmax[:, None]).reshape(weight.shape)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--double", action="store_true")
    parser.add_argument("--plain", action="store_true")
    args = parser.parse_args()
    args.out.mkdir(parents=True)
    quantised, plain = {}, {}
    for name, weight in load_file(args.model / "model.safetensors").items():
        if name.endswith(tuple(f"{module}.weight" for module in LINEAR)):
            values = quantise(name, weight.float().numpy(), args.double, quantised)
            plain[name] = torch.from_numpy(values)
        else:
            quantised[name] = plain[name] = weight
    for file in args.model.iterdir():
        if file.is_file() and file.name not in ("model.safetensors", "config.json"):
            shutil.copy(file, args.out)
    config = json.loads((args.model / "config.json").read_text())
    if not args.plain:
        config["quantization_config"] = {
            "_load_in_4bit": True, "_load_in_8bit": False, "bnb_4bit_compute_dtype": "bfloat16",
            "bnb_4bit_quant_storage": "uint8", "bnb_4bit_quant_type": "nf4",
            "bnb_4bit_use_double_quant": args.double, "llm_int8_enable_fp32_cpu_offload": False,
            "llm_int8_has_fp16_weight": False, "llm_int8_skip_modules": None, "llm_int8_threshold": 6.0,
            "load_in_4bit": True, "load_in_8bit": False, "quant_method": "bitsandbytes"}
    (args.out / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    save_file(plain if args.plain else quantised, args.out / "model.safetensors", metadata={"format": "pt"})


if __name__ == "__main__":
    main()
