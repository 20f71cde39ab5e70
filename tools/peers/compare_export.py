#!/usr/bin/env python3
"""Holds what other programs make of an export against what tinysft-vk makes of the same model.

    tools/peers/compare_export.py FOLDER [NAME]

FOLDER is filled by the tests export/peers.c and families.c: expected.json (prompts, tokens, greedy
answers and losses as tinysft-vk has them), logits.bin, the GGUF files and the folder hf; for a family
of make_families.py, its NAME, also base, adapter and eval.json, what `eval` says of the two. Needs
llama.cpp's llama-server and llama-perplexity; transformers and PEFT where they are installed. Prints
a line a check, and names each token that differs and why. Exit code 1 where a check failed.
"""

import array
import json
import math
import pathlib
import re
import socket
import subprocess
import sys
import time
import urllib.request

# Tests run beside each other, so each asks the system for a port that is free.
with socket.socket() as probe:
    probe.bind(("127.0.0.1", 0))
    PORT = probe.getsockname()[1]
# Where the two programs choose different tokens, llama.cpp's log-probabilities of the two may differ
# by so much (in nats), since its products round activations to the weights' type, F16 or Q8_0.
TIES = {"f32": 5e-4, "f16": 0.02, "q8_0": 0.3}
# The logits of the families' random weights lie wider apart than those of a trained model, and so does
# what rounding makes of them. Rounding to 8 bits makes anything of a few tokens: so many of a hundred.
RANDOM, RANDOM_8_BITS = 2.5, 10
# Its cache of keys and values is F16 unless it is told otherwise.
CACHE = {"f32": ["-ctk", "f32", "-ctv", "f32", "-fa", "off"]}

failed = 0


def tell(good, what):
    global failed
    failed += not good
    print(f"{'PASS' if good else 'FAIL'}  {what}", flush=True)


def ask(path, request):
    request = urllib.request.Request(f"http://127.0.0.1:{PORT}{path}", json.dumps(request).encode(),
                                     {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=300) as answer:
        return json.load(answer)


class Server:
    def __init__(self, folder, arguments):
        self.log = open(folder / "server.log", "ab")
        self.process = subprocess.Popen(
            ["llama-server", "--port", str(PORT), "--offline", "--no-webui", "--threads", "1",
             "--parallel", "1", "-c", "512", *arguments], cwd=folder, stdout=self.log,
            stderr=self.log)

    def __enter__(self):
        for _ in range(300):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{PORT}/health", timeout=5):
                    return self
            except OSError:
                if self.process.poll() is not None:
                    sys.exit("compare_export: llama-server ended; see server.log")
                time.sleep(0.1)
        sys.exit("compare_export: llama-server does not answer")

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        self.log.close()


def check_prompts(name, prompts):
    """The template's text and the tokens of it. llama.cpp leaves a BOS to its tokenizer."""
    texts = tokens = 0
    for prompt in prompts:
        text = ask("/apply-template", {"messages": prompt["messages"]})["prompt"]
        found = ask("/tokenize", {"content": text, "add_special": True, "parse_special": True})
        same = prompt["text"].endswith(text) and len(prompt["text"]) - len(text) in (
            0, len(prompt["lead"]))
        texts += same
        tokens += found["tokens"] == prompt["ids"]
        if not same:
            print(f"      {prompt['id']}: renders {text!r}, not {prompt['text']!r}")
        if found["tokens"] != prompt["ids"]:
            print(f"      {prompt['id']}: tokens {found['tokens']}, not {prompt['ids']}")
    count = len(prompts)
    tell(texts == count, f"{name}: chat template: {texts} of {count} prompts rendered alike")
    tell(tokens == count, f"{name}: tokenizer: {tokens} of {count} prompts in the same tokens")


def complete(prompt, count, bias=()):
    return ask("/completion", {"prompt": prompt, "temperature": 0, "n_predict": count,
                               "logit_bias": list(bias), "return_tokens": True,
                               "cache_prompt": False})


def parting(prompt, ours, most):
    """How many nats llama.cpp's token is ahead of ours, up to a step of this ladder; inf: more."""
    for step in (most / 30, most / 10, most / 3, most, 3 * most, 10 * most):
        if complete(prompt, 1, [[ours, step]])["tokens"] == [ours]:
            return step
    return math.inf


def follow(prompt, expected, ends, most):
    """The gaps at the tokens that differ, and an error or None. After each it goes on with our token."""
    at, gaps = 0, []
    while at < len(expected):
        answer = complete(prompt + expected[:at], len(expected) - at)
        found = answer["tokens"]
        same = next((i for i, (a, b) in enumerate(zip(found, expected[at:])) if a != b), len(found))
        at += same
        # Where it ends, and ours goes on with a token that does not end an answer, they differ too.
        if at < len(expected) and (same < len(found) or expected[at] not in ends):
            gaps.append((at, parting(prompt + expected[:at], expected[at], most)))
        at += 1
    return gaps


def check_answers(name, prompts, answers, ends, most, loose=0):
    """`loose`: so many tokens of a hundred may differ by more than a tie."""
    same = differ = far = 0
    for prompt, expected in zip(prompts, answers):
        gaps = follow(prompt["ids"], expected, ends, most)
        same += not gaps
        differ += len(gaps)
        far += sum(gap > most for _, gap in gaps)
        for at, gap in gaps:
            print(f"      {prompt['id']} differs at token {at}: for llama.cpp the two are at most "
                  f"{gap:.1g} nats apart{', a tie' if gap <= most else ''}")
    tokens = sum(map(len, answers))
    tell(far <= loose / 100 * tokens,
         f"{name}: greedy answers: {same} of {len(prompts)} in the same tokens, {differ} of {tokens} "
         f"tokens differ, {far} by more than a tie of {most:g} nats")


def check_perplexity(folder, name, text, losses, most):
    out = subprocess.run(["llama-perplexity", "-m", name, "-f", text["file"], "-c",
                          str(text["context"]), "-b", str(text["context"]), "--threads", "1"],
                         cwd=folder, capture_output=True, text=True, check=False)
    # It prints the perplexity up to each chunk, and may end before the last one is printed.
    found = re.findall(r"\[([0-9]+)\]([0-9.]+),", out.stdout + out.stderr)
    chunk = max((int(number) for number, _ in found), default=0)
    if chunk < len(losses) - 1:
        tell(False, f"{name}: llama-perplexity: {(out.stdout + out.stderr)[-300:]}")
        return
    theirs, ours = math.log(float(dict(found)[str(chunk)])), losses[chunk - 1]
    tell(abs(theirs / ours - 1) <= most,
         f"{name}: loss {theirs:.5f} by llama-perplexity, {ours:.5f} here "
         f"({100 * (theirs / ours - 1):+.3f} %, at most {100 * most:g} %)")


def load(folder):
    """transformers' model in float32, and the raw tokenizer beside it."""
    import tokenizers
    import torch
    import transformers
    transformers.logging.set_verbosity_error()
    model = transformers.AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation="eager").eval()
    return model, tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))


def check_logits(what, model, folder, ids, most):
    import torch
    ours = torch.tensor(array.array("f", (folder / "logits.bin").read_bytes()))
    with torch.no_grad():
        logits = model(torch.tensor([ids])).logits[0]
    ours = ours.reshape(logits.shape)
    error = ((logits - ours).norm() / logits.norm()).item()
    tell(error <= most, f"{what}: relative error of our logits {error:.1e}, at most {most:g}")


def check_transformers(folder, expected):
    try:
        import transformers
        model, tokenizer = load(folder / "hf")
    except ImportError as missing:
        print(f"SKIP  hf: transformers is not installed ({missing})")
        return
    check_logits(f"hf in transformers {transformers.__version__}", model, folder,
                 expected["logits_of"], 1e-5)
    templates = transformers.AutoTokenizer.from_pretrained(folder / "hf")
    texts = [templates.apply_chat_template(prompt["messages"], tokenize=False,
                                           add_generation_prompt=True)
             for prompt in expected["prompts"]]
    pairs = [(text, tokenizer.encode(text, add_special_tokens=False).ids) for text in texts]
    same = sum((prompt["text"], prompt["ids"]) == pair
               for prompt, pair in zip(expected["prompts"], pairs))
    tell(same == len(texts), f"hf: {same} of {len(texts)} prompts rendered alike by transformers, and "
                             "in the same tokens by tokenizers")


def reference_loss(model, tokenizer, templates, row):
    """The mean loss of the reference answer and the token that ends it, and their number."""
    import torch
    turns = [{"role": "user", "content": row["prompt"]}]
    asked = templates.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    turns.append({"role": "assistant", "content": row["reference"]})
    text = templates.apply_chat_template(turns, tokenize=False).rstrip("\n")
    coded = tokenizer.encode(text, add_special_tokens=False)
    first = next(i for i, (begin, _) in enumerate(coded.offsets) if begin >= len(asked.rstrip("\n")))
    first += len(tokenizer.encode(asked, add_special_tokens=False).ids) - first
    with torch.no_grad():
        logits = model(torch.tensor([coded.ids])).logits[0, first - 1:-1]
    losses = torch.nn.functional.cross_entropy(logits, torch.tensor(coded.ids[first:]),
                                               reduction="none")
    return losses.mean().item(), len(losses)


def check_peft(folder, expected):
    """PEFT's own loading of the adapter: its logits, and its loss of each reference answer."""
    try:
        import peft
        import transformers
    except ImportError as missing:
        print(f"SKIP  adapter: PEFT is not installed ({missing})")
        return
    base, tokenizer = load(folder / "base")
    model = peft.PeftModel.from_pretrained(base, folder / "adapter").eval()
    what = f"adapter in PEFT {peft.__version__}"
    check_logits(what, model, folder, expected["logits_of"], 1e-4)
    templates = transformers.AutoTokenizer.from_pretrained(folder / "base")
    ours = json.loads((folder / "eval.json").read_text())["answers"]
    rows = [answer for answer in ours if answer.get("reference")]
    found = [reference_loss(model, tokenizer, templates, row) for row in rows]
    worst = max(abs(loss / row["tuned"]["reference_loss"] - 1) for row, (loss, _) in zip(rows, found))
    with model.disable_adapter():
        bare = [reference_loss(model, tokenizer, templates, row) for row in rows]
    count = sum(tokens for _, tokens in found)
    theirs, without = (sum(loss * tokens for loss, tokens in of) / count for of in (found, bare))
    mine = sum(row["tuned"]["reference_loss"] * tokens for row, (_, tokens) in zip(rows, found)) / count
    tell(worst <= 5e-4 and abs(theirs - without) > 0.01 * without,
         f"{what}: loss {theirs:.5f} on {len(rows)} references, {mine:.5f} by `eval`, "
         f"{without:.5f} without the adapter; worst reference {worst:.1e} apart, at most 5e-4")


# Where we write other metadata than llama.cpp's converter does of the same model, and why.
OTHERWISE = {
    "general.name": "the converter takes the folder's name",
    "general.size_label": "for people who browse; nothing reads it",
    "tokenizer.ggml.add_bos_token": "as the chat template has it, so as in training; the converter "
                                    "writes what holds for plain texts",
    "tokenizer.ggml.add_eos_token": "false, which it is without the key too",
    "tokenizer.ggml.add_sep_token": "false, which it is without the key too",
    "tokenizer.ggml.add_space_prefix": "true, which it is without the key too",
    "tokenizer.ggml.scores": "from the order of merges; without a tokenizer.model the converter "
                             "gives all pieces the same, and llama.cpp then merges the leftmost",
    "tokenizer.ggml.token_type": "<unk> is 'unknown', as SentencePiece has it, and no control token",
}


# The converter knows pre-tokenizers by what real tokenizers make of a text. Ours are small.
PRE = {"llama3": "llama-bpe", "smollm3": "llama-bpe", "smollm2": "smollm", "qwen2": "qwen2",
       "qwen3": "qwen2", "olmo2": "dbrx", "gemma3": "default"}
IMPLIED = ("attention.key_length", "attention.value_length", "rope.dimension_count", "vocab_size")
CONVERT = """
import runpy, sys
script, pre = sys.argv[1:3]
sys.argv = [script, *sys.argv[3:]]
if pre != "-":
    sys.path.insert(1, "/usr/share/llama.cpp/llama.cpp-tools")
    from conversion import base
    base.TextModel.get_vocab_base_pre = lambda *_: pre
runpy.run_path(script, run_name="__main__")
"""


def convert(source, target, dtype, name):
    """Runs llama.cpp's converter. False where it is not installed, or failed, which is told."""
    scripts = list(pathlib.Path("/usr/share").glob("**/convert_hf_to_gguf.py"))
    if not scripts:
        print("SKIP  llama.cpp's converter is not installed")
        return False
    made = subprocess.run([sys.executable, "-c", CONVERT, scripts[0], PRE.get(name, "-"), source,
                           "--outfile", target, "--outtype", dtype], capture_output=True, text=True,
                          check=False)
    if made.returncode != 0:
        tell(False, f"llama.cpp's converter: {made.stderr[-300:]}")
    return made.returncode == 0


def read_gguf(path):
    import gguf
    import numpy
    file = gguf.GGUFReader(path)
    fields = {k: f.contents() for k, f in file.fields.items() if not k.startswith("GGUF.")}
    return fields, {t.name: (int(t.tensor_type), tuple(t.shape), numpy.asarray(t.data).tobytes())
                    for t in file.tensors}


def explain(key, ours, theirs, name):
    """Why the converter writes another value under a key, or None."""
    if name == "gemma3" and key.startswith("tokenizer."):
        return "without a tokenizer.model the converter takes a Gemma's for byte-level"
    if theirs is None and key.partition(".")[2] in IMPLIED:
        return "llama.cpp works it out of other keys where it is missing"
    if key == "tokenizer.ggml.tokens" and ours[:len(theirs)] == theirs:
        return "rows of the embedding that no token has are named too"
    return OTHERWISE.get(key)


def check_converter(folder, name):
    """Tensors bit by bit, and metadata, against convert_hf_to_gguf.py's of the folder hf."""
    try:
        import gguf
    except ImportError as missing:
        print(f"SKIP  llama.cpp's converter: {missing}")
        return
    for dtype in ("f16", "q8_0"):
        theirs = folder / f"converted-{dtype}.gguf"
        if not convert(folder / "hf", theirs, dtype, name):
            return
        (fields, tensors), (their_fields, their_tensors) = map(
            read_gguf, (folder / f"{dtype}.gguf", theirs))
        unexplained = 0
        others = sorted(k for k in fields.keys() | their_fields.keys()
                        if fields.get(k) != their_fields.get(k))
        for key in others:
            reason = explain(key, fields.get(key), their_fields.get(key), name)
            print(f"      {key} differs: " + (reason or f"NOT EXPECTED: {str(fields.get(key))[:60]}, "
                                              f"theirs {str(their_fields.get(key))[:60]}"))
            unexplained += reason is None
        if "rope_freqs.weight" in tensors:  # both round on the way, which may move the last bit
            own, cut = (array.array("f", of["rope_freqs.weight"][2]) for of in (tensors, their_tensors))
            if all(abs(a / b - 1) < 2e-7 for a, b in zip(own, cut, strict=True)):
                tensors["rope_freqs.weight"] = their_tensors["rope_freqs.weight"]
        if name == "gemma3":  # the converter cuts off rows that no token has
            embedding, cut = "token_embd.weight", their_tensors["token_embd.weight"]
            kind, (cols, _), rows = tensors[embedding]
            tensors[embedding] = kind, (cols, cut[1][1]), rows[:len(cut[2])]
        same = sum(tensors[k] == their_tensors.get(k) for k in tensors)
        tell(tensors == their_tensors and unexplained == 0,
             f"{dtype}.gguf: {same} of {len(their_tensors)} tensors bit by bit as llama.cpp's "
             f"converter makes them, {len(others)} keys differ, each for a reason")


def unpack(folder, name):
    """The same weights in F32, by llama.cpp's own tool; the name of the file."""
    unpacked = name.replace(".gguf", "-unpacked.gguf")
    subprocess.run(["llama-quantize", "--allow-requantize", name, unpacked, "F32", "1"], cwd=folder,
                   capture_output=True, check=True)
    return unpacked


def check_run(folder, name, expected, run, first):
    random = name not in (None, "embedded")
    if run["kind"] == "q8_0":  # without what llama.cpp rounds beside blocks
        check_run(folder, name, expected, run | {"model": unpack(folder, run["model"]), "kind": "f32"},
                  False)
    arguments = ["-m", run["model"]] + (["--lora", run["lora"]] if "lora" in run else [])
    what = " + ".join(arguments[1::2])
    with Server(folder, arguments + CACHE.get(run["kind"], [])):
        if first:  # the same in all files
            check_prompts(what, expected["prompts"])
        check_answers(what, expected["prompts"], run["answers"], expected["ends"],
                      TIES[run["kind"]] * (RANDOM if random else 1),
                      RANDOM_8_BITS if random and run["kind"] == "q8_0" else 0)


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    folder, name = pathlib.Path(sys.argv[1]), sys.argv[2] if len(sys.argv) == 3 else None
    expected = json.loads((folder / "expected.json").read_text())
    for index, run in enumerate(expected["runs"]):
        if "answers" in run and run["model"]:
            check_run(folder, name, expected, run, index == 0)
        if "losses" in run:
            check_perplexity(folder, run["model"], expected["text"], run["losses"], run["most"])
    if (folder / "hf").exists():
        if (folder / "f16.gguf").exists():
            check_converter(folder, name)
        check_transformers(folder, expected)
    if (folder / "adapter" / "README.md").exists():  # of a training
        check_peft(folder, expected)
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
