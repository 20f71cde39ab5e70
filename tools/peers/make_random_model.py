#!/usr/bin/env python3
"""Writes a model of a published one's exact shape with random weights, for speed and memory where the real ones cannot be had.

    make_random_model.py FOLDER --tokenizer DIR [--shape NAME] [--seed N] [--layers N]

NAME is a row of SHAPES below; tinyllama where none is given. FOLDER gets config.json, model.safetensors (BF16, one file;
2.2 GB for tinyllama) and copies of DIR's small files: tokenizer.json or tokenizer.model, tokenizer_config.json,
special_tokens_map.json, generation_config.json, those that are there. Weights are N(0, 0.02^2), biases 0 and norms what
leaves a value as it is, as transformers initialises them: the loss starts near the logarithm of the vocabulary's size
(ln 32000 = 10.4). Needs numpy.
"""
import argparse
import json
import pathlib
import shutil

import numpy

SMALL_FILES = ("tokenizer.json", "tokenizer.model", "tokenizer_config.json", "special_tokens_map.json", "generation_config.json")
LLAMA = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_act": "silu", "rms_norm_eps": 1e-5,
         "attention_bias": False, "bos_token_id": 1, "eos_token_id": 2}
QWEN2 = {"architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "hidden_act": "silu", "rms_norm_eps": 1e-6,
         "bos_token_id": 151643, "eos_token_id": 151645}
QWEN3 = {"architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "hidden_act": "silu", "rms_norm_eps": 1e-6,
         "attention_bias": False, "bos_token_id": 151643, "eos_token_id": 151645}
GEMMA3 = {"architectures": ["Gemma3ForCausalLM"], "model_type": "gemma3_text", "hidden_activation": "gelu_pytorch_tanh",
          "rms_norm_eps": 1e-6, "attention_bias": False, "bos_token_id": 2, "eos_token_id": [1, 106]}


def shape(family, layers, hidden, ffn, heads, kv_heads, head_dim, vocab, tied, **more):
    return family | {
        "num_hidden_layers": layers, "hidden_size": hidden, "intermediate_size": ffn, "num_attention_heads": heads,
        "num_key_value_heads": kv_heads, "head_dim": head_dim, "vocab_size": vocab, "tie_word_embeddings": tied,
        "torch_dtype": "bfloat16", "initializer_range": 0.02} | more


SHAPES = {
    "tinyllama": shape(LLAMA, 22, 2048, 5632, 32, 4, 64, 32000, False, rope_theta=10000.0, max_position_embeddings=2048),
    "llama-3.2-1b": shape(
        LLAMA, 16, 2048, 8192, 32, 8, 64, 128256, True, rope_theta=500000.0, max_position_embeddings=131072,
        bos_token_id=128000, eos_token_id=[128001, 128008, 128009],
        rope_scaling={"rope_type": "llama3", "factor": 32.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                      "original_max_position_embeddings": 8192}),
    "smollm2-135m": shape(LLAMA, 30, 576, 1536, 9, 3, 64, 49152, True, rope_theta=100000.0, max_position_embeddings=8192),
    "qwen2.5-0.5b": shape(
        QWEN2, 24, 896, 4864, 14, 2, 64, 151936, True, rope_theta=1000000.0, max_position_embeddings=32768,
        sliding_window=32768, use_sliding_window=False, max_window_layers=21),
    "qwen3-0.6b": shape(QWEN3, 28, 1024, 3072, 16, 8, 128, 151936, True, rope_theta=1000000.0, max_position_embeddings=40960),
    "gemma-3-270m": shape(
        GEMMA3, 18, 640, 2048, 4, 1, 256, 262144, True, rope_theta=1000000.0, rope_local_base_freq=10000.0,
        max_position_embeddings=32768, sliding_window=512, query_pre_attn_scalar=256),
}


def tensors(config):
    """Every tensor's name and shape, in the order of the file."""
    hidden, ffn, head = config["hidden_size"], config["intermediate_size"], config["head_dim"]
    q, kv = config["num_attention_heads"] * head, config["num_key_value_heads"] * head
    kind = config["model_type"]
    yield "model.embed_tokens.weight", (config["vocab_size"], hidden)
    for layer in range(config["num_hidden_layers"]):
        prefix = f"model.layers.{layer}."
        yield prefix + "input_layernorm.weight", (hidden,)
        for name, rows, columns in (("q", q, hidden), ("k", kv, hidden), ("v", kv, hidden), ("o", hidden, q)):
            yield f"{prefix}self_attn.{name}_proj.weight", (rows, columns)
            if kind == "qwen2" and name != "o":
                yield f"{prefix}self_attn.{name}_proj.bias", (rows,)
        if kind in ("qwen3", "gemma3_text"):
            yield prefix + "self_attn.q_norm.weight", (head,)
            yield prefix + "self_attn.k_norm.weight", (head,)
        yield prefix + "post_attention_layernorm.weight", (hidden,)
        if kind == "gemma3_text":
            yield prefix + "pre_feedforward_layernorm.weight", (hidden,)
            yield prefix + "post_feedforward_layernorm.weight", (hidden,)
        yield prefix + "mlp.gate_proj.weight", (ffn, hidden)
        yield prefix + "mlp.up_proj.weight", (ffn, hidden)
        yield prefix + "mlp.down_proj.weight", (hidden, ffn)
    yield "model.norm.weight", (hidden,)
    if not config["tie_word_embeddings"]:
        yield "lm_head.weight", (config["vocab_size"], hidden)


def initial(config, name, size, random):
    """The values of a tensor. Gemma's norms multiply by 1 + w, so theirs are 0."""
    if len(size) == 2:
        return numpy.float32(0.02) * random.standard_normal(size, numpy.float32)
    neutral = 0 if name.endswith("bias") or config["model_type"] == "gemma3_text" else 1
    return numpy.full(size, neutral, numpy.float32)


def bfloat16(values):
    """The upper halves of float32 values, rounded to nearest."""
    return ((values.view(numpy.uint32) + 0x8000) >> 16).astype("<u2")


def header(config):
    entries, at = {"__metadata__": {"format": "pt"}}, 0
    for name, size in tensors(config):
        end = at + 2 * int(numpy.prod(size))
        entries[name] = {"dtype": "BF16", "shape": list(size), "data_offsets": [at, end]}
        at = end
    text = json.dumps(entries, separators=(",", ":")).encode()
    return text + b" " * (-len(text) % 8)


def write_weights(path, config, seed):
    random = numpy.random.default_rng(seed)
    head = header(config)
    with open(path, "wb") as file:
        file.write(len(head).to_bytes(8, "little") + head)
        for name, size in tensors(config):
            bfloat16(initial(config, name, size, random)).tofile(file)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--tokenizer", type=pathlib.Path, required=True)
    parser.add_argument("--shape", choices=SHAPES, default="tinyllama")
    parser.add_argument("--seed", type=int, default=42)
    parser.add_argument("--layers", type=int)
    args = parser.parse_args()
    config = dict(SHAPES[args.shape])
    if args.layers:
        config["num_hidden_layers"] = args.layers
    args.folder.mkdir(parents=True, exist_ok=True)
    for name in SMALL_FILES:
        if (args.tokenizer / name).exists():
            shutil.copy(args.tokenizer / name, args.folder / name)
    write_weights(args.folder / "partial", config, args.seed)
    (args.folder / "partial").replace(args.folder / "model.safetensors")
    (args.folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")


if __name__ == "__main__":
    main()
