#!/usr/bin/env python3
"""Times PyTorch + PEFT's LoRA step on TinyLlama's shape with random weights, as JSON.

    tools/peers/peft_step.py [--tokens 128,512] [--batch 1] [--repeat 3] [--dtype bfloat16]

Forward, backward, clipping and AdamW; rank 8, alpha 16, q_proj and v_proj, as `tinysft-vk bench`
times them. On CUDA (or ROCm) where there is one. The best of the repeats counts, after one that
does not. Exit code 3 where PEFT is not installed: PyTorch alone is no peer.
"""

import argparse
import json
import sys
import time

try:
    import peft
    import torch
    import transformers
except ImportError as missing:
    print(f"PEFT not installed, left out ({missing})", file=sys.stderr)
    sys.exit(3)


def make_model(device, dtype):
    config = transformers.LlamaConfig(
        hidden_size=2048, intermediate_size=5632, num_hidden_layers=22, num_attention_heads=32,
        num_key_value_heads=4, vocab_size=32000, max_position_embeddings=2048, rms_norm_eps=1e-5,
        use_cache=False)
    torch.manual_seed(42)
    torch.set_default_dtype(dtype)
    with torch.device(device):
        model = transformers.LlamaForCausalLM(config)
    torch.set_default_dtype(torch.float32)
    lora = peft.LoraConfig(r=8, lora_alpha=16, target_modules=["q_proj", "v_proj"],
                           task_type="CAUSAL_LM")
    return peft.get_peft_model(model, lora).train()


def finish(device):
    if device == "cuda":
        torch.cuda.synchronize()


def time_steps(model, device, batch, tokens, repeat):
    weights = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(weights, lr=5e-5, weight_decay=0)
    ids = torch.randint(0, 32000, (batch, tokens), device=device)
    best = float("inf")
    for round_index in range(repeat + 1):
        finish(device)
        started = time.perf_counter()
        model(input_ids=ids, labels=ids).loss.backward()
        torch.nn.utils.clip_grad_norm_(weights, 1.0)
        optimiser.step()
        optimiser.zero_grad()
        finish(device)
        if round_index > 0:
            best = min(best, time.perf_counter() - started)
    return best


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--tokens", default="128,512")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--dtype", default="bfloat16")
    args = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    name = torch.cuda.get_device_name() if device == "cuda" else "CPU"
    model = make_model(device, getattr(torch, args.dtype))
    rows = []
    for tokens in map(int, args.tokens.split(",")):
        seconds = time_steps(model, device, args.batch, tokens, args.repeat)
        rows.append({"tokens": tokens, "batch": args.batch, "seconds": seconds,
                     "tokens_per_second": args.batch * tokens / seconds})
    about = (f"peft {peft.__version__}, transformers {transformers.__version__}, "
             f"torch {torch.__version__}, {args.dtype}, {name}")
    print(json.dumps({"about": about, "device": name, "rows": rows}))


main()
