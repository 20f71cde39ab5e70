#!/usr/bin/env python3
"""Writes a Llama of TinyLlama-1.1B's exact shape with random weights, for speed and memory where the real ones cannot be had.

    make_random_model.py FOLDER --tokenizer DIR [--seed N] [--layers N]

FOLDER gets config.json, model.safetensors (BF16, 2.2 GB, one file) and copies of DIR's small files: tokenizer.json or
tokenizer.model, tokenizer_config.json, special_tokens_map.json, generation_config.json, those that are there. Weights are
N(0, 0.02^2) and norms 1, as transformers initialises a Llama: the loss starts near ln 32000 = 10.4. Needs numpy.
"""
import argparse
import json
import pathlib
import shutil

import numpy

HIDDEN, FFN, VOCAB, HEADS, KV_HEADS = 2048, 5632, 32000, 32, 4
KV = HIDDEN // HEADS * KV_HEADS
SMALL_FILES = ("tokenizer.json", "tokenizer.model", "tokenizer_config.json", "special_tokens_map.json", "generation_config.json")


def config(layers):
    return {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": HIDDEN, "intermediate_size": FFN,
        "num_hidden_layers": layers, "num_attention_heads": HEADS, "num_key_value_heads": KV_HEADS, "vocab_size": VOCAB,
        "max_position_embeddings": 2048, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "rope_scaling": None, "hidden_act": "silu",
        "attention_bias": False, "tie_word_embeddings": False, "bos_token_id": 1, "eos_token_id": 2, "torch_dtype": "bfloat16",
        "initializer_range": 0.02,
    }


def shapes(layers):
    """Every tensor's name and shape, in the order of the file."""
    yield "model.embed_tokens.weight", (VOCAB, HIDDEN)
    for layer in range(layers):
        prefix = f"model.layers.{layer}."
        yield prefix + "input_layernorm.weight", (HIDDEN,)
        for name, out in (("q", HIDDEN), ("k", KV), ("v", KV), ("o", HIDDEN)):
            yield f"{prefix}self_attn.{name}_proj.weight", (out, HIDDEN)
        yield prefix + "post_attention_layernorm.weight", (HIDDEN,)
        yield prefix + "mlp.gate_proj.weight", (FFN, HIDDEN)
        yield prefix + "mlp.up_proj.weight", (FFN, HIDDEN)
        yield prefix + "mlp.down_proj.weight", (HIDDEN, FFN)
    yield "model.norm.weight", (HIDDEN,)
    yield "lm_head.weight", (VOCAB, HIDDEN)


def bfloat16(values):
    """The upper halves of float32 values, rounded to nearest."""
    return ((values.view(numpy.uint32) + 0x8000) >> 16).astype("<u2")


def header(layers):
    entries, at = {"__metadata__": {"format": "pt"}}, 0
    for name, shape in shapes(layers):
        end = at + 2 * int(numpy.prod(shape))
        entries[name] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [at, end]}
        at = end
    text = json.dumps(entries, separators=(",", ":")).encode()
    return text + b" " * (-len(text) % 8)


def write_weights(path, layers, seed):
    random = numpy.random.default_rng(seed)
    head = header(layers)
    with open(path, "wb") as file:
        file.write(len(head).to_bytes(8, "little") + head)
        for _, shape in shapes(layers):
            if len(shape) == 1:
                values = numpy.ones(shape, numpy.float32)
            else:
                values = numpy.float32(0.02) * random.standard_normal(shape, numpy.float32)
            bfloat16(values).tofile(file)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--tokenizer", type=pathlib.Path, required=True)
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--layers", type=int, default=22)
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    for name in SMALL_FILES:
        if (args.tokenizer / name).exists():
            shutil.copy(args.tokenizer / name, args.folder / name)
    write_weights(args.folder / "partial", args.layers, args.seed)
    (args.folder / "partial").replace(args.folder / "model.safetensors")
    (args.folder / "config.json").write_text(json.dumps(config(args.layers), indent=2) + "\n")


if __name__ == "__main__":
    main()
