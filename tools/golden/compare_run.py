#!/usr/bin/env python3
"""Repeats a run of `tinysft-vk train` in PyTorch, tokens to adapter, and prints how far apart the two end.

    tinysft-vk train --model M --data D --output-dir START --max-steps 1 --lr 0 ...    # the adapter the run starts from
    tinysft-vk train --model M --data D --output-dir RUN ...                           # with the same rank, modules and seed
    compare_run.py START RUN

Nothing of ours is used but files: tokens come from Hugging Face's tokenizers, order from torch.randperm, rates from
transformers' get_scheduler, the model from transformers, AdamW and clipping from torch. The recipe is
RUN/training.json; dropout, NEFTune's noise and label smoothing must be 0, --logging-steps 1. D has `text` rows in the zephyr template or
`prompt`/`completion` rows.
"""
import argparse
import json
import math
import pathlib

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from tokenizers import Tokenizer
from transformers import LlamaForCausalLM, get_scheduler
from transformers.utils import logging

from make_cases import add_lora, relative

ANSWER, END = "<|assistant|>\n", "</s>"


def texts(path):
    """The rendered conversations of an array or of JSON lines."""
    content = path.read_text()
    rows = json.loads(content) if content.lstrip().startswith("[") else map(json.loads, content.splitlines())
    for row in rows:
        text = row.get("text") or f"<|user|>\n{row['prompt']}{END}\n{ANSWER}{row['completion']}{END}"
        yield text.removesuffix("\n") + "\n"


def tokenize(tokenizer, text):
    """ids and labels of one conversation: every answer bears loss, its end token too, and nothing else does."""
    encoding = tokenizer.encode(text, add_special_tokens=False)
    labels = [-100] * len(encoding.ids)
    begin = text.find(ANSWER)
    while begin >= 0:
        begin += len(ANSWER)
        end = text.index(END, begin) + len(END)
        for i, (first, last) in enumerate(encoding.offsets):
            if begin <= first < last <= end:
                labels[i] = encoding.ids[i]
        begin = text.find(ANSWER, end)
    return encoding.ids, labels


def loss_sum(model, rows):
    """Cross-entropy summed over the supervised tokens of a right-padded micro-batch."""
    width = max(len(ids) for ids, _ in rows)
    ids = torch.tensor([ids + [0] * (width - len(ids)) for ids, _ in rows])
    labels = torch.tensor([labels + [-100] * (width - len(labels)) for _, labels in rows])
    mask = torch.tensor([[1] * len(ids) + [0] * (width - len(ids)) for ids, _ in rows])
    logits = model(input_ids=ids, attention_mask=mask, use_cache=False).logits
    return F.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten(), reduction="sum")


def steps(rows, recipe):
    """For each step its micro-batches, lists of rows: the last batch of an epoch and its step may be short."""
    size, batch = recipe["batch_size"] * recipe["gradient_accumulation_steps"], recipe["batch_size"]
    epoch = done = 0
    while True:
        order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(recipe["seed"] + epoch)).tolist()
        for first in range(0, len(rows), size):
            if done == recipe["steps"]:
                return
            chosen = [rows[i] for i in order[first:first + size]]
            yield [chosen[i:i + batch] for i in range(0, len(chosen), batch)]
            done += 1
        epoch += 1


def train(model, parameters, rows, recipe):
    """Yields loss, gradient norm and rate of each step."""
    # LoRA+ as PEFT's create_loraplus_optimizer groups them, DoRA's magnitudes with B; the rates that are compared are A's.
    rate, ratio = recipe["learning_rate"], recipe.get("loraplus_ratio") or 1
    groups = [dict(params=[p for name, p in parameters.items() if ("lora_A" in name) == is_a], lr=lr)
              for is_a, lr in ((True, rate), (False, rate * ratio))]
    optimiser = torch.optim.AdamW(groups, lr=rate, betas=(recipe["adam_beta1"], recipe["adam_beta2"]),
                                  eps=recipe["adam_epsilon"], weight_decay=recipe["weight_decay"])
    schedule, further = recipe["lr_scheduler_type"], {}
    if recipe.get("min_lr_ratio"):
        schedule, further = "cosine_with_min_lr", dict(min_lr_rate=recipe["min_lr_ratio"])
    if recipe.get("lr_cycles"):
        further = dict(num_cycles=recipe["lr_cycles"])
    scheduler = get_scheduler(schedule, optimiser, num_warmup_steps=recipe["warmup_steps"],
                              num_training_steps=recipe["steps"], scheduler_specific_kwargs=further)
    for micros in steps(rows, recipe):
        supervised = sum(label != -100 for micro in micros for _, labels in micro for label in labels[1:])
        optimiser.zero_grad()
        loss = 0.0
        for micro in micros:
            part = loss_sum(model, micro) / supervised
            part.backward()
            loss += part.item()
        norm = torch.nn.utils.clip_grad_norm_(list(parameters.values()), recipe["max_grad_norm"]).item()
        rate = optimiser.param_groups[0]["lr"]
        optimiser.step()
        scheduler.step()
        yield loss, norm, rate


def pattern(recipe, key, kind):
    """PEFT's dictionary of what training.json has as "q_proj=16,v_proj=4"."""
    entries = recipe.get(key, "none")
    return {} if entries == "none" else {name: kind(value) for name, value in (e.split("=") for e in entries.split(","))}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("start", type=pathlib.Path)
    parser.add_argument("run", type=pathlib.Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    logging.disable_progress_bar()
    recipe = json.loads((args.run / "training.json").read_text())
    assert recipe["lora_dropout"] == 0
    model = LlamaForCausalLM.from_pretrained(recipe["model"], dtype=torch.float32, attn_implementation="eager").double()
    spec = dict(r=recipe["rank"], alpha=recipe["lora_alpha"], rs=recipe["use_rslora"], targets=recipe["target_modules"],
                dora=recipe.get("use_dora", False), rank_pattern=pattern(recipe, "rank_pattern", int),
                alpha_pattern=pattern(recipe, "alpha_pattern", float))
    start = load_file(args.start / "adapter_model.safetensors")
    parameters = add_lora(model, spec, start, torch.float64)
    tokenizer = Tokenizer.from_file(recipe["model"] + "/tokenizer.json")
    rows = [tokenize(tokenizer, text) for text in texts(pathlib.Path(recipe["data"]))]

    log = [entry for entry in json.loads((args.run / "trainer_state.json").read_text())["log_history"] if "loss" in entry]
    assert len(log) == recipe["steps"], "train with --logging-steps 1"
    for ours, (loss, norm, rate) in zip(log, train(model, parameters, rows, recipe)):
        print(f"step {ours['step']}: loss {loss:.9f}, relative error {abs(ours['loss'] / loss - 1):.1e}; "
              f"gradient norm {norm:.9f}, {abs(ours['grad_norm'] / norm - 1):.1e}; rate {rate:.9e}, {abs(ours['learning_rate'] - rate):.1e}")
    final = load_file(args.run / "adapter_model.safetensors")
    changes = [(final[name] - p.detach(), p.detach() - start[name]) for name, p in parameters.items()]
    off, moved = (math.sqrt(sum(pair[i].square().sum().item() for pair in changes)) for i in (0, 1))
    print(f"final adapter: worst tensor {max(relative(final[n], p.detach()) for n, p in parameters.items()):.1e}; "
          f"of all that training changed {off / moved:.1e}; same names: {set(final) == set(parameters)}")


if __name__ == "__main__":
    main()
