#!/usr/bin/env python3
"""Makes and recomputes reference cases: a tiny model, a LoRA, and what float64 PyTorch says of both.

    make_cases.py make FOLDER [NAME ...]    write FOLDER/NAME for the named cases of cases.py (all of them, unless named)
    make_cases.py annotate CASE ...         write into older cases' case.json what autocast errs by
    make_cases.py compare CASE ...          recompute existing cases from their own files; print how far they are off

`tinysft-vk verify FOLDER/NAME` then holds a device against a case. Needs torch, transformers 5 and safetensors, not PEFT:
the LoRA below is PEFT's (y = base(x) + scale * B(A(x)), scale alpha / r, or alpha / sqrt r for rsLoRA; DoRA), 30 lines long.

What a case holds
    model/                  the model in Hugging Face's layout, stored in `dt`
    adapter_init/, _final/  the LoRA before and after training as PEFT saves it, F32
    case.json               the specification (cases.py tells the keys), the losses and gradient norms in decimal, and
                            under `autocast` how far off PyTorch is in 16 bits: by type, the relative errors of the
                            logits, of the worst tensor's gradients, and of each step's loss
    golden.safetensors      micro{i}.input_ids, .labels [B, T] and .lengths [B] (I32), .logits [B, T, V] (F32) of the initial
                            adapter; grad.KEY (F32), the gradient of the first step's loss by each adapter tensor;
                            losses, grad_norms (before clipping), lrs [steps] (F64). Of a case over pairs micro{i} has B
                            chosen rows, then their B rejected ones, and in place of logits .ref_logps and .logps [2B]
                            (F64), sums over an answer's supervised tokens with the adapter off and on

What float64 means here
    The model is loaded in `dt`, moved to `dt` as a whole (which rounds the rotary frequencies to it too, unless
    `rope_dtype` is float32: then they stay as transformers loads them) and then widened to float64. transformers itself computes three things in float32 whatever the model's type: RMSNorm, the rotary
    angles with their cosines, and the softmax of "eager" attention. So do the cases, unless `--precision exact`
    puts float64 there too. The other precisions tell how far PyTorch itself is off: `float32` throughout, and
    `float16`, `bfloat16` by autocast with weights and adapter in float32.
"""
import argparse
import json
import math
import pathlib
import re

import torch
import torch.nn.functional as F
import transformers
from safetensors.torch import load_file, save_file
from transformers.models.llama import modeling_llama
from transformers.utils import logging

import cases

PAD, FIRST_TOKEN = 2, 3  # what fills a short row; below FIRST_TOKEN are <unk>, <s>, </s>
PREFIX = "base_model.model."
TWIN_NOISE = 1e-6
DECIMALS_FROM_GOLDEN = ("losses", "grad_norms")


# The LoRA, as PEFT computes and names it

class LoraLinear(torch.nn.Module):
    """y [.., out] = base(x) + scale * B(A(x)), with A [r, in] and B [out, r].

    With `magnitude` [out] it is DoRA: what W and the pair give, without the bias, times magnitude / norm of W + scale B A's
    rows. The norm is detached.
    """

    def __init__(self, base, a, b, scale, magnitude=None):
        super().__init__()
        self.base, self.scale = base, scale
        self.a, self.b = torch.nn.Parameter(a), torch.nn.Parameter(b)
        self.magnitude = magnitude if magnitude is None else torch.nn.Parameter(magnitude)
        self.off = False  # then it is the base alone

    def forward(self, x):
        if self.off:
            return self.base(x)
        update = F.linear(F.linear(x, self.a), self.b) * self.scale
        if self.magnitude is None:
            return self.base(x) + update
        weight, bias = self.base.weight, self.base.bias
        norm = (weight + self.scale * self.b @ self.a).norm(dim=1).detach()
        y = self.magnitude / norm * (F.linear(x, weight) + update)
        return y if bias is None else y + bias


def target_modules(model, targets):
    """Paths of the linear layers that `targets` (q_proj, ...) name, in the model's order."""
    return [name for name, _ in model.named_modules() if name.rpartition(".")[2] in targets]


def lora_keys(path):
    """The names of A and B of the module at `path` in adapter_model.safetensors."""
    return [f"{PREFIX}{path}.lora_{side}.weight" for side in "AB"]


def magnitude_key(path):
    """The name of DoRA's magnitudes there."""
    return f"{PREFIX}{path}.lora_magnitude_vector"


def by_pattern(patterns, path, usual):
    """The value of the first pattern that names the module at `path`, as PEFT matches rank_pattern and alpha_pattern."""
    return next((value for key, value in patterns.items() if re.match(rf"(.*\.)?({key})$", path)), usual)


def rank_of(spec, path):
    return by_pattern(spec.get("rank_pattern", {}), path, spec["r"])


def scale_of(spec, path):
    r = rank_of(spec, path)
    return by_pattern(spec.get("alpha_pattern", {}), path, spec["alpha"]) / (math.sqrt(r) if spec["rs"] else r)


def add_lora(model, spec, adapter, dtype):
    """Freezes `model` and puts `adapter` (name -> tensor) into it. Returns the trained parameters by name."""
    model.requires_grad_(False)
    parameters = {}
    for path in target_modules(model, spec["targets"]):
        parent, _, leaf = path.rpartition(".")
        (a, b), m = lora_keys(path), magnitude_key(path)
        start_a, start_b = (adapter[key].to(dtype, copy=True) for key in (a, b))
        start_m = adapter[m].to(dtype, copy=True) if spec.get("dora") else None
        lora = LoraLinear(model.get_submodule(path), start_a, start_b, scale_of(spec, path), start_m)
        setattr(model.get_submodule(parent), leaf, lora)
        parameters |= {a: lora.a, b: lora.b}
        parameters |= {m: lora.magnitude} if spec.get("dora") else {}
    assert set(parameters) == set(adapter), "the adapter's names are not those of its targets"
    return parameters


def adapter_config(spec):
    """PEFT's adapter_config.json: the fields every version since 0.17 knows."""
    return dict(
        alpha_pattern=spec.get("alpha_pattern", {}), auto_mapping=None, base_model_name_or_path="", bias="none", corda_config=None, eva_config=None,
        exclude_modules=None, fan_in_fan_out=False, inference_mode=True, init_lora_weights=True, layer_replication=None,
        layers_pattern=None, layers_to_transform=None, loftq_config={}, lora_alpha=spec["alpha"], lora_bias=False,
        lora_dropout=0.0, megatron_config=None, megatron_core="megatron.core", modules_to_save=None, peft_type="LORA",
        qalora_group_size=16, r=spec["r"], rank_pattern=spec.get("rank_pattern", {}), revision=None, target_modules=sorted(spec["targets"]),
        target_parameters=None, task_type="CAUSAL_LM", trainable_token_indices=None,
        use_dora=spec.get("dora", False), use_qalora=False, use_rslora=spec["rs"])


def save_adapter(folder, spec, tensors):
    """Writes the adapter (name -> tensor) as PEFT would."""
    folder.mkdir()
    write_json(folder / "adapter_config.json", adapter_config(spec), sort_keys=True)
    save_file({k: v.detach().float().contiguous() for k, v in tensors.items()}, folder / "adapter_model.safetensors",
              metadata={"format": "pt"})


# Drawing a case

def rope_parameters(spec):
    """The rotary part of config.json as transformers 5 has it."""
    whole = {"rope_type": "default", "rope_theta": spec["theta"]} | spec.get("rope_scaling", {})
    if "local_theta" not in spec:
        return whole
    return {"full_attention": whole,
            "sliding_attention": {"rope_type": "default", "rope_theta": spec["local_theta"]}}


def model_class(spec):
    return getattr(transformers, spec.get("family", "Llama") + "ForCausalLM")


def model_config(spec):
    return model_class(spec).config_class(
        hidden_size=spec["h"], num_hidden_layers=spec["L"], num_attention_heads=spec["nh"], num_key_value_heads=spec["nkv"],
        head_dim=spec.get("head_dim", spec["h"] // spec["nh"]), intermediate_size=spec["ffn"], vocab_size=spec["V"],
        rms_norm_eps=spec.get("rms_norm_eps", 1e-5), tie_word_embeddings=spec["tied"], max_position_embeddings=2048,
        rope_parameters=rope_parameters(spec), bos_token_id=1, eos_token_id=2, pad_token_id=0, **spec.get("config", {}))


NF4_LEVELS = torch.tensor([
    -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334,
    -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
    0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0])


def to_blocks(weight, kind):
    """The matrix rounded to what blocks of `kind` hold, float32. What comes out stays what it is if it is rounded again."""
    assert weight.dtype == torch.float32 and weight.shape[1] % (64 if kind == "nf4" else 32) == 0
    if kind == "nf4":
        blocks = weight.reshape(-1, 64)
        largest = blocks.abs().amax(1, keepdim=True)
        nearest = (blocks[..., None] / largest[..., None] - NF4_LEVELS).abs().argmin(-1)
        return (NF4_LEVELS[nearest] * largest).reshape(weight.shape)
    blocks = weight.reshape(-1, 32)
    step = (blocks.abs().amax(1, keepdim=True) / 127).half().float()
    return ((blocks / step).round().clamp(-127, 127) * step).reshape(weight.shape)


def is_quantised(name, spec):
    return "_proj" in name or ("lm_head" in name and spec["quantize"] == "q8_0")


def draw_model(spec):
    """A model in spec's `dt` with random weights that pass signals on: about 1.2 / sqrt(in), norms around 1."""
    torch.manual_seed(spec["seed"])
    model = model_class(spec)(model_config(spec))
    norm = 0 if spec.get("family") == "Gemma3" else 1  # Gemma multiplies by 1 + weight
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.ndim == 1:
                weight.copy_((0 if name.endswith(".bias") else norm) + 0.2 * torch.randn(weight.shape))
            else:
                std = 0.5 if "embed_tokens" in name else 1.2 / math.sqrt(weight.shape[1])
                weight.copy_(std * torch.randn(weight.shape))
                if "quantize" in spec and is_quantised(name, spec):
                    weight.copy_(to_blocks(weight.clone(), spec["quantize"]))
    return model.to(getattr(torch, spec["dt"]))


def draw_adapter(model, spec):
    """A ~ N(0, 1 / in), B ~ N(0, 0.01): unlike a fresh LoRA, B is not zero, so that every gradient tells something.

    DoRA's magnitudes are around the lengths of W's rows.
    """
    adapter = {}
    for path in target_modules(model, spec["targets"]):
        linear = model.get_submodule(path)
        a, b = lora_keys(path)
        r = rank_of(spec, path)
        adapter[a] = torch.randn(r, linear.in_features) / math.sqrt(linear.in_features)
        adapter[b] = 0.1 * torch.randn(linear.out_features, r)
        if spec.get("dora"):
            lengths = linear.weight.detach().float().norm(dim=1)
            adapter[magnitude_key(path)] = lengths * (1 + 0.2 * torch.randn(lengths.shape))
    return adapter


def pad_rows(spec, i, rows):
    """Micro-batch i with random tokens: rows of [tokens, leading tokens without loss]."""
    lengths = torch.tensor([tokens for tokens, _ in rows], dtype=torch.int32)
    ids = torch.full((len(rows), int(lengths.max())), PAD, dtype=torch.int32)
    labels = torch.full_like(ids, -100)
    for b, (tokens, leading) in enumerate(rows):
        ids[b, :tokens] = torch.randint(FIRST_TOKEN, spec["V"], (tokens,), dtype=torch.int32)
        labels[b, leading:tokens] = ids[b, leading:tokens]
    return {f"micro{i}.input_ids": ids, f"micro{i}.labels": labels, f"micro{i}.lengths": lengths}


def draw_pairs(spec):
    """The same of pairs: the B chosen rows, then the B rejected ones, which begin with the same leading tokens."""
    batches = {}
    for i, pairs in enumerate(spec["micro"]):
        rows = [(chosen, leading) for chosen, _, leading in pairs] + [(rejected, leading) for _, rejected, leading in pairs]
        batches |= pad_rows(spec, i, rows)
        for b, (_, _, leading) in enumerate(pairs):
            batches[f"micro{i}.input_ids"][len(pairs) + b, :leading] = batches[f"micro{i}.input_ids"][b, :leading]
    return batches


def draw_batches(spec):
    """The micro-batches as golden.safetensors has them: right-padded ids and labels [B, T], lengths [B], all I32."""
    if "loss" in spec:
        return draw_pairs(spec)
    batches = {}
    for i, rows in enumerate(spec["micro"]):
        batches |= pad_rows(spec, i, rows)
    return batches


def save_model(folder, spec, model):
    """Hugging Face's layout, in transformers 4's spelling unless spec asks for 5's `rope_parameters`."""
    more = {"max_shard_size": spec["shard_bytes"]} if "shard_bytes" in spec else {}
    model.save_pretrained(folder, **more)
    if not spec.get("rope_parameters"):
        config = json.loads((folder / "config.json").read_text())
        del config["rope_parameters"], config["dtype"]
        config |= {"rope_theta": spec["theta"], "rope_scaling": spec.get("rope_scaling"), "torch_dtype": spec["dt"]}
        config |= {"rope_local_base_freq": spec["local_theta"]} if "local_theta" in spec else {}
        write_json(folder / "config.json", config)


# Computing a case

def rmsnorm_exact(self, x):
    """LlamaRMSNorm without its detour through float32."""
    return self.weight * (x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.variance_epsilon))


def rotary_exact(self, x, position_ids):
    """LlamaRotaryEmbedding without its detour through float32: cosines and sines [B, T, head_dim]."""
    angles = position_ids[..., None].double() * self.inv_freq.double()
    angles = torch.cat((angles, angles), -1)
    return angles.cos().to(x.dtype), angles.sin().to(x.dtype)


def open_reference(folder, spec, precision):
    """The case's model ready to compute: dt's roundings first, then `precision`. `exact` knows Llamas alone."""
    dt = getattr(torch, spec["dt"])
    exact = precision == "exact"
    # "sdpa" keeps the type of its input in the softmax, "eager" goes through float32.
    model = model_class(spec).from_pretrained(folder, dtype=dt, attn_implementation="sdpa" if exact else "eager")
    if spec.get("rope_dtype") != "float32":
        model = model.to(dt)
    if exact:
        modeling_llama.LlamaRMSNorm.forward = rmsnorm_exact
        modeling_llama.LlamaRotaryEmbedding.forward = rotary_exact
    return model.to(torch.float64 if precision in ("transformers", "exact") else torch.float32)


def learning_rate(spec, step):
    """The rate of `step`, counted from 0: up to lr over `warmup` steps, then down to zero at `steps`."""
    if step < spec["warmup"]:
        return spec["lr"] * step / spec["warmup"]
    return spec["lr"] * (spec["steps"] - step) / (spec["steps"] - spec["warmup"])


class Reference:
    """One case's model with its adapter, and the passes over its micro-batches."""

    def __init__(self, folder, spec, batches, adapter, precision):
        self.spec, self.batches = spec, batches
        self.autocast = getattr(torch, precision) if precision in ("float16", "bfloat16") else None
        self.model = open_reference(folder / "model", spec, precision)
        self.parameters = add_lora(self.model, spec, adapter, next(self.model.parameters()).dtype)
        self.layers = [layer for layer in self.model.modules() if isinstance(layer, LoraLinear)]
        self.reference = [self.reference_logps(i) for i in range(len(spec["micro"]))] if "loss" in spec else []
        self.supervised = sum(int((self.labels(i)[:, 1:] != -100).sum()) for i in range(len(spec["micro"])))

    def labels(self, i):
        return self.batches[f"micro{i}.labels"].long()

    def logits(self, i):
        """Logits [B, T, V] of micro-batch i."""
        ids, lengths = self.batches[f"micro{i}.input_ids"].long(), self.batches[f"micro{i}.lengths"]
        mask = torch.arange(ids.shape[1])[None] < lengths[:, None]
        with torch.autocast("cpu", self.autocast, enabled=self.autocast is not None):
            logits = self.model(input_ids=ids, attention_mask=mask.long(), use_cache=False).logits
        return logits if self.autocast is None else logits.float()

    def supervised_logps(self, i):
        """Of each row of micro-batch i the sum of its supervised tokens' log-probabilities, and their number."""
        labels = self.labels(i)[:, 1:]
        logps = self.logits(i)[:, :-1].log_softmax(-1).gather(-1, labels.clamp_min(0)[..., None])[..., 0]
        return (logps * (labels != -100)).sum(-1), (labels != -100).sum(-1)

    def reference_logps(self, i):
        """The same sums with the adapter off."""
        with torch.no_grad():
            for layer in self.layers:
                layer.off = True
            sums, _ = self.supervised_logps(i)
            for layer in self.layers:
                layer.off = False
        return sums

    def pair_losses(self, i):
        """The loss of each pair of micro-batch i: DPO (Rafailov et al. 2023) or IPO (Azar et al. 2023, as TRL has it)."""
        sums, counts = self.supervised_logps(i)
        gain = sums - self.reference[i]
        beta, smoothing = self.spec["beta"], self.spec.get("label_smoothing", 0.0)
        if self.spec["loss"] == "ipo":
            chosen, rejected = (gain / counts).chunk(2)
            return (chosen - rejected - 1 / (2 * beta)) ** 2
        chosen, rejected = gain.chunk(2)
        z = beta * (chosen - rejected)
        return -(1 - smoothing) * F.logsigmoid(z) - smoothing * F.logsigmoid(-z)

    def accumulate(self):
        """Adds the gradients of a step's loss (sum over supervised tokens / their number). Returns the loss."""
        loss = 0.0
        for i in range(len(self.spec["micro"])):
            if "loss" in self.spec:
                part = self.pair_losses(i).sum() / sum(len(pairs) for pairs in self.spec["micro"])
                part.backward()
                loss += part.item()
                continue
            logits = self.logits(i)
            part = F.cross_entropy(logits[:, :-1].flatten(0, 1), self.labels(i)[:, 1:].flatten(), ignore_index=-100,
                                   reduction="sum", label_smoothing=self.spec.get("label_smoothing", 0.0)) / self.supervised
            part.backward()
            loss += part.item()
        return loss

    def train(self):
        """The whole trajectory from the initial adapter. Returns losses, grad_norms, lrs [steps] in float64."""
        spec, parameters = self.spec, list(self.parameters.values())
        optimiser = torch.optim.AdamW(parameters, lr=spec["lr"], betas=spec["betas"], eps=spec["eps"],
                                      weight_decay=spec["weight_decay"])
        series = {"losses": [], "grad_norms": [], "lrs": []}
        for step in range(spec["steps"]):
            optimiser.param_groups[0]["lr"] = learning_rate(spec, step)
            optimiser.zero_grad()
            series["losses"].append(self.accumulate())
            series["grad_norms"].append(torch.nn.utils.clip_grad_norm_(parameters, spec["max_grad_norm"]).item())
            series["lrs"].append(learning_rate(spec, step))
            optimiser.step()
        return {name: torch.tensor(values, dtype=torch.float64) for name, values in series.items()}

    def compute(self):
        """All of golden.safetensors but the batches, and the adapter after training, unrounded."""
        golden = {}
        with torch.no_grad():
            for i in range(len(self.spec["micro"])):
                if "loss" in self.spec:
                    golden |= {f"micro{i}.ref_logps": self.reference[i].double(),
                               f"micro{i}.logps": self.supervised_logps(i)[0].double()}
                else:
                    golden[f"micro{i}.logits"] = self.logits(i)
        self.accumulate()
        golden |= {f"grad.{name}": p.grad.clone() for name, p in self.parameters.items()}
        golden |= self.train()
        return golden, {name: p.detach().clone() for name, p in self.parameters.items()}


# Files

def write_json(path, value, **options):
    path.write_text(json.dumps(value, indent=2, **options) + "\n")


def case_json(spec, golden, supervised, autocast):
    return spec | {
        "initial_loss": golden["losses"][0].item(), "supervised_tokens": supervised,
        "lr_schedule": "linear: lr*s/warmup while s<warmup, else lr*(steps-s)/(steps-warmup), s counted from 0",
        "autocast": autocast,
    } | {name: golden[name].tolist() for name in DECIMALS_FROM_GOLDEN}


def make(folder, spec, precision):
    """Draws, computes and writes one case."""
    folder.mkdir(parents=True)
    model = draw_model(spec)
    adapter, batches = draw_adapter(model, spec), draw_batches(spec)
    save_model(folder / "model", spec, model)
    save_adapter(folder / "adapter_init", spec, adapter)
    reference = Reference(folder, spec, batches, adapter, precision)
    golden, final = reference.compute()
    save_adapter(folder / "adapter_final", spec, final)
    stored = {k: v if v.ndim == 1 else v.float().contiguous() for k, v in golden.items()}
    save_file(stored | batches, folder / "golden.safetensors")
    autocast = {name: autocast_errors(folder, spec, stored | batches, adapter, name) for name in ("float16", "bfloat16")}
    write_json(folder / "case.json", case_json(spec, golden, reference.supervised, autocast))
    print(f"{folder}: {reference.supervised} supervised tokens, loss {golden['losses'][0]:.4f} to {golden['losses'][-1]:.4f}")


def annotate(folder):
    """Writes `autocast` into the case.json of a case that has none."""
    spec = json.loads((folder / "case.json").read_text())
    stored = load_file(folder / "golden.safetensors")
    adapter = load_file(folder / "adapter_init" / "adapter_model.safetensors")
    autocast = {name: autocast_errors(folder, spec, stored, adapter, name) for name in ("float16", "bfloat16")}
    write_json(folder / "case.json", spec | {"autocast": autocast})
    print(f"{folder}: {autocast}", flush=True)


# Errors against the stored results

def relative(have, want):
    """Norm of the difference over the norm."""
    return ((have.double() - want.double()).norm() / want.double().norm().clamp_min(1e-300)).item()


def errors_of_training(golden, stored):
    return {
        # PEFT's own parameter of DoRA's magnitudes has .weight at its end, which saved adapters lack.
        "gradients": max(relative(golden[k.replace("vector.weight", "vector")], v)
                         for k, v in stored.items() if k.startswith("grad.")),
        "losses": (golden["losses"] / stored["losses"] - 1).abs().tolist(),
    }


def errors_of(golden, stored, spec):
    """Relative errors of `golden` against a case's `stored` results: logits, the worst gradient, each step's loss [steps].

    Of pairs the log-probabilities of their answers stand for the logits.
    """
    if "loss" in spec:
        names = [f"micro{i}.{kind}" for i in range(len(spec["micro"])) for kind in ("ref_logps", "logps")]
        first = relative(torch.cat([golden[name] for name in names]), torch.cat([stored[name] for name in names]))
        return {"logits": first, **errors_of_training(golden, stored)}
    real = {i: torch.arange(stored[f"micro{i}.labels"].shape[1])[None] < stored[f"micro{i}.lengths"][:, None]
            for i in range(len(spec["micro"]))}
    return {
        "logits": relative(torch.cat([golden[f"micro{i}.logits"][real[i]] for i in real]),
                           torch.cat([stored[f"micro{i}.logits"][real[i]] for i in real])),
        **errors_of_training(golden, stored),
    }


def autocast_errors(folder, spec, stored, adapter, precision):
    """errors_of PyTorch's autocast to `precision`, to two digits: the worst of three runs.

    A loss is one number, which one run may hit by luck: two more start from adapters moved by float32's rounding.
    """
    random = torch.Generator().manual_seed(1)
    worst = None
    for run in range(3):
        moved = {k: v * (1 + TWIN_NOISE * (2 * torch.rand(v.shape, generator=random) - 1)) if run else v
                 for k, v in adapter.items()}
        golden, _ = Reference(folder, spec, stored, moved, precision).compute()
        errors = errors_of(golden, stored, spec)
        worst = worst or errors
        worst = {"logits": max(worst["logits"], errors["logits"]), "gradients": max(worst["gradients"], errors["gradients"]),
                 "losses": [max(pair) for pair in zip(worst["losses"], errors["losses"])]}
    return {name: [float(f"{e:.1e}") for e in error] if isinstance(error, list) else float(f"{error:.1e}")
            for name, error in worst.items()}


def compare(folder, precision):
    """Recomputes a case from its model, adapter_init and batches. Prints the relative errors against its files."""
    spec = json.loads((folder / "case.json").read_text())
    stored = load_file(folder / "golden.safetensors")
    adapter = load_file(folder / "adapter_init" / "adapter_model.safetensors")
    golden, final = Reference(folder, spec, stored, adapter, precision).compute()
    wanted = load_file(folder / "adapter_final" / "adapter_model.safetensors")
    errors = errors_of(golden, stored, spec)
    losses = errors.pop("losses")
    errors |= {
        "first loss": losses[0],
        "losses": max(losses),
        "gradient norms": (golden["grad_norms"] / stored["grad_norms"] - 1).abs().max().item(),
        "rates": (golden["lrs"] - stored["lrs"]).abs().max().item(),
        "final adapter": max(relative(final[k], v) for k, v in wanted.items()),
    }
    print(f"{folder.name:24s} " + ", ".join(f"{name} {error:.1e}" for name, error in errors.items()), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--precision", choices=["transformers", "exact", "float32", "float16", "bfloat16"],
                        default="transformers")
    parser.add_argument("verb", choices=["make", "annotate", "compare"])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("names", nargs="*")
    args = parser.parse_args()
    torch.set_num_threads(1)
    logging.disable_progress_bar()
    if args.verb == "compare":
        for folder in [args.folder, *map(pathlib.Path, args.names)]:
            compare(folder, args.precision)
    elif args.verb == "annotate":
        for folder in [args.folder, *map(pathlib.Path, args.names)]:
            annotate(folder)
    else:
        for name in args.names or cases.CASES:
            make(args.folder / name, cases.specification(name), args.precision)


if __name__ == "__main__":
    main()
