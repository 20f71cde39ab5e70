#!/usr/bin/env python3
"""Makes the embedded base model: learns a tokenizer, pretrains a small Llama, writes both in Hugging Face's layout.

    train.py --out ../../assets/base

Needs torch, transformers, tokenizers and safetensors. Everything is seeded; on another machine or another version of
torch the text and the tokenizer come out the same and the weights almost the same.
"""
import argparse
import collections
import json
import math
import pathlib
import random
import re
import time

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from transformers import LlamaConfig, LlamaForCausalLM

import generate_text as gen

SEED = 20240
ROW_TOKENS = 256
UNK, BOS, EOS, FIRST_BYTE, FIRST_CHARACTER = 0, 1, 2, 3, 259
SPACE = "\u2581"

# Zephyr's layout, the one TinyLlama's chat template renders.
CHAT_TEMPLATE = (
    "{% for message in messages %}\n"
    "{% if message['role'] in ['user', 'system', 'assistant'] %}\n"
    "{{ '<|' + message['role'] + '|>\\n' + message['content'] + eos_token }}\n"
    "{% endif %}\n"
    "{% endfor %}\n"
    "{% if add_generation_prompt %}\n"
    "{{ '<|assistant|>' }}\n"
    "{% endif %}\n")


# Tokenizer

def count_words(rows):
    """Merges never cross words: a word is a run of letters with the space before it, one digit, one sign, or a role tag."""
    words = collections.Counter()
    for text in rows:
        for segment in re.split(r"<s>|</s>", text):
            if segment:
                words.update(re.findall(SPACE + r"?(?:<\|[a-z]+\|>|[A-Za-z]+|[^\sA-Za-z])", SPACE + segment.replace(" ", SPACE)))
    return words


def learn_merges(words, count):
    """Plain byte-pair encoding over counted words. Returns `count` pairs, most useful first; ties go to the smaller pair."""
    spelled = [(list(w), n) for w, n in sorted(words.items()) if len(w) > 1]
    merges = []
    while len(merges) < count:
        seen = collections.Counter()
        for parts, n in spelled:
            for pair in zip(parts, parts[1:]):
                seen[pair] += n
        if not seen:
            break
        best = min(seen, key=lambda p: (-seen[p], p))
        merges.append(best)
        for parts, _ in spelled:
            i = 0
            while i + 1 < len(parts):
                if (parts[i], parts[i + 1]) == best:
                    parts[i:i + 2] = ["".join(best)]
                i += 1
    return merges


def tokenizer_json(merges):
    """tokenizer.json of the Llama 2 kind: BPE with byte fallback, spaces written as U+2581, no pre-tokenizer."""
    vocab = {"<unk>": UNK, "<s>": BOS, "</s>": EOS}
    for byte in range(256):
        vocab[f"<0x{byte:02X}>"] = FIRST_BYTE + byte
    for token in [SPACE] + [chr(c) for c in range(33, 127)] + ["".join(m) for m in merges]:
        vocab.setdefault(token, len(vocab))
    special = [{"id": i, "content": t, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
               for t, i in (("<unk>", UNK), ("<s>", BOS), ("</s>", EOS))]
    bos = {"SpecialToken": {"id": "<s>", "type_id": 0}}
    return {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": special,
        "normalizer": {"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": SPACE},
                                                           {"type": "Replace", "pattern": {"String": " "}, "content": SPACE}]},
        "pre_tokenizer": None,
        "post_processor": {"type": "TemplateProcessing", "single": [bos, {"Sequence": {"id": "A", "type_id": 0}}],
                           "pair": [bos, {"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "<s>", "type_id": 1}},
                                    {"Sequence": {"id": "B", "type_id": 1}}],
                           "special_tokens": {"<s>": {"id": "<s>", "ids": [BOS], "tokens": ["<s>"]}}},
        "decoder": {"type": "Sequence", "decoders": [{"type": "Replace", "pattern": {"String": SPACE}, "content": " "},
                                                     {"type": "ByteFallback"}, {"type": "Fuse"},
                                                     {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
        "model": {"type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None, "end_of_word_suffix": None,
                  "fuse_unk": True, "byte_fallback": True, "ignore_merges": False, "vocab": vocab,
                  "merges": [f"{a} {b}" for a, b in merges]}}


# Model

SHAPES = {  # hidden, layers, heads, kv heads, feed-forward
    "tiny": (192, 5, 6, 2, 512),
    "small": (256, 4, 8, 4, 704),
}


def config_json(shape, vocab_size):
    hidden, layers, heads, kv_heads, ffn = SHAPES[shape]
    return {"architectures": ["LlamaForCausalLM"], "attention_bias": False, "attention_dropout": 0.0, "bos_token_id": BOS, "eos_token_id": EOS,
            "head_dim": hidden // heads, "hidden_act": "silu", "hidden_size": hidden, "initializer_range": 0.02, "intermediate_size": ffn,
            "max_position_embeddings": 512, "mlp_bias": False, "model_type": "llama", "num_attention_heads": heads,
            "num_hidden_layers": layers, "num_key_value_heads": kv_heads, "pretraining_tp": 1, "rms_norm_eps": 1e-5, "rope_scaling": None,
            "rope_theta": 10000.0, "tie_word_embeddings": True, "torch_dtype": "bfloat16", "use_cache": True, "vocab_size": vocab_size}


def write_json(path, value):
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def write_small_files(out, config):
    write_json(out / "config.json", config)
    write_json(out / "generation_config.json", {"bos_token_id": BOS, "eos_token_id": EOS, "max_length": 512, "pad_token_id": UNK})
    plain = {"lstrip": False, "normalized": False, "rstrip": False, "single_word": False}
    write_json(out / "tokenizer_config.json", {
        "added_tokens_decoder": {str(i): {"content": t, **plain, "special": True} for i, t in enumerate(("<unk>", "<s>", "</s>"))},
        "add_bos_token": True, "add_eos_token": False, "bos_token": "<s>", "chat_template": CHAT_TEMPLATE,
        "clean_up_tokenization_spaces": False, "eos_token": "</s>", "legacy": False, "model_max_length": 512, "pad_token": "</s>",
        "padding_side": "right", "tokenizer_class": "LlamaTokenizer", "unk_token": "<unk>", "use_default_system_prompt": False})
    write_json(out / "special_tokens_map.json", {f"{n}_token": {"content": t, **plain}
                                                 for n, t in (("bos", "<s>"), ("eos", "</s>"), ("pad", "</s>"), ("unk", "<unk>"))})


def write_weights(out, model):
    """model.safetensors in BF16; lm_head is tied to the embedding and left out."""
    tensors = {k: v.detach().to(torch.bfloat16).contiguous() for k, v in sorted(model.state_dict().items()) if k != "lm_head.weight"}
    save_file(tensors, str(out / "model.safetensors"), metadata={"format": "pt"})


# Training

def batches(tokenizer, rng, rows_per_step, stage):
    """Endless batches of token ids, [rows_per_step, ROW_TOKENS + 1]."""
    while True:
        rows = []
        while len(rows) < rows_per_step:
            ids = tokenizer.encode(gen.row(rng, 6 * ROW_TOKENS, stage), add_special_tokens=False).ids
            if len(ids) > ROW_TOKENS:
                rows.append(ids[:ROW_TOKENS + 1])
        yield torch.tensor(rows)


def learning_rate(step, steps, peak):
    """Linear warm-up over 50 steps, then a cosine down to a twentieth of the peak."""
    if step < 50:
        return peak * (step + 1) / 50
    return peak * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * (step - 50) / max(1, steps - 50))))


def pretrain(model, tokenizer, args, save):
    decay = [p for p in model.parameters() if p.dim() > 1]
    plain = [p for p in model.parameters() if p.dim() == 1]
    optimizer = torch.optim.AdamW([{"params": decay, "weight_decay": 0.1}, {"params": plain, "weight_decay": 0.0}], lr=args.lr, betas=(0.9, 0.95))
    streams = {stage: batches(tokenizer, random.Random(SEED + stage), args.batch, stage) for stage in gen.STAGES}
    start, mean, first = time.time(), None, args.stage_steps if args.second_stage_only else 0
    for step in range(first, args.steps):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, args.steps, args.lr)
        rows = next(streams[1 if step < args.stage_steps else 2])
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=not args.f32):
            logits = model(input_ids=rows[:, :-1], use_cache=False).logits
            loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1).float(), rows[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        mean = loss.item() if mean is None else 0.95 * mean + 0.05 * loss.item()
        if step % 25 == 24 or step + 1 == args.steps:
            seconds = time.time() - start
            print(f"step {step + 1}/{args.steps}  loss {mean:.3f}  {(step + 1 - first) * args.batch * ROW_TOKENS / seconds:.0f} tokens/s  {seconds:.0f} s", flush=True)
        if step % 200 == 199:
            save()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=pathlib.Path, required=True)
    parser.add_argument("--shape", choices=SHAPES, default="small")
    parser.add_argument("--steps", type=int, default=2600)
    parser.add_argument("--stage-steps", type=int, default=1800, help="steps before the text's second stage")
    parser.add_argument("--second-stage-only", action="store_true", help="go on from the weights in --out, as they were after the first stage")
    parser.add_argument("--batch", type=int, default=8, help="rows of 256 tokens a step")
    parser.add_argument("--lr", type=float, default=3e-3)
    parser.add_argument("--vocab", type=int, default=2048)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--f32", action="store_true", help="no 16-bit products: for processors that are slow at them")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    torch.manual_seed(SEED)
    args.out.mkdir(parents=True, exist_ok=True)

    rng = random.Random(SEED)
    words = count_words(gen.row(rng, 1500) for _ in range(6000))
    merges = learn_merges(words, args.vocab - FIRST_CHARACTER - 95)
    (args.out / "tokenizer.json").write_text(json.dumps(tokenizer_json(merges), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    tokenizer = Tokenizer.from_file(str(args.out / "tokenizer.json"))

    config = config_json(args.shape, tokenizer.get_vocab_size())
    write_small_files(args.out, config)
    shape = {k: v for k, v in config.items() if k not in ("architectures", "model_type", "torch_dtype")}
    model = LlamaForCausalLM._from_config(LlamaConfig(**shape), attn_implementation="eager")  # several times faster here than sdpa
    print(f"{tokenizer.get_vocab_size()} tokens, {sum(p.numel() for p in model.parameters())} parameters", flush=True)
    if args.second_stage_only:
        model.load_state_dict(load_file(str(args.out / "model.safetensors")), strict=False)  # the tied lm_head is not in it
    pretrain(model, tokenizer, args, lambda: write_weights(args.out, model))
    write_weights(args.out, model)


if __name__ == "__main__":
    main()
