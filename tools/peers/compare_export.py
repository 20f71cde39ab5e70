#!/usr/bin/env python3
"""Holds what other programs make of an export against what tinysft-vk makes of the same model.

    tools/peers/compare_export.py FOLDER

FOLDER is filled by the test export/peers.c: expected.json (prompts, tokens, greedy answers and
losses as tinysft-vk has them), logits.bin, the GGUF files and the folder hf. Needs llama.cpp's
llama-server and llama-perplexity; transformers where it is installed. Prints a line a check, and
names each answer that differs and why. Exit code 1 where a check failed.
"""

import array
import json
import math
import pathlib
import re
import subprocess
import sys
import time
import urllib.request

PORT = 18437
# Where the two programs choose different tokens, llama.cpp's log-probabilities of the two may differ
# by so much (in nats), since its products round activations to the weights' type, F16 or Q8_0.
TIES = {"f16": 0.02, "q8_0": 0.3}

failed = 0


def tell(good, what):
    global failed
    failed += not good
    print(f"{'PASS' if good else 'FAIL'}  {what}", flush=True)


def ask(path, request):
    request = urllib.request.Request(f"http://127.0.0.1:{PORT}{path}", json.dumps(request).encode(),
                                     {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


class Server:
    def __init__(self, folder, arguments):
        self.log = open(folder / "server.log", "ab")
        self.process = subprocess.Popen(
            ["llama-server", "--port", str(PORT), "--offline", "--no-webui", "--threads", "2",
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
    """The template's text and the tokens of it."""
    texts = tokens = 0
    for prompt in prompts:
        text = ask("/apply-template", {"messages": prompt["messages"]})["prompt"]
        found = ask("/tokenize", {"content": prompt["text"], "add_special": True,
                                  "parse_special": True})["tokens"]
        texts += text == prompt["text"]
        tokens += found == prompt["ids"]
        if text != prompt["text"]:
            print(f"      {prompt['id']}: renders {text!r}, not {prompt['text']!r}")
        if found != prompt["ids"]:
            print(f"      {prompt['id']}: tokens {found}, not {prompt['ids']}")
    count = len(prompts)
    tell(texts == count, f"{name}: chat template: {texts} of {count} prompts rendered alike")
    tell(tokens == count, f"{name}: tokenizer: {tokens} of {count} prompts in the same tokens")


def why(answer, at, ours, most):
    """Whether llama.cpp was nearly undecided at the token where the two answers part, and a description."""
    steps = answer["completion_probabilities"]
    if at >= len(steps):
        return False, "ended before"
    chances = {c["id"]: c["logprob"] for c in steps[at]["top_logprobs"]}
    if ours not in chances:
        return False, f"token {at}: ours is not among llama.cpp's candidates"
    gap = max(chances.values()) - chances[ours]
    return gap <= most, f"token {at}: llama.cpp's candidates are {gap:.4f} nats apart"


def check_answers(name, prompts, answers, end, most):
    same = ties = 0
    for prompt, expected in zip(prompts, answers):
        answer = ask("/completion", {"prompt": prompt["ids"], "n_predict": len(expected),
                                     "temperature": 0, "n_probs": 5, "return_tokens": True,
                                     "cache_prompt": False})
        found = answer["tokens"]
        if len(found) < len(expected) and answer.get("stop_type") == "eos":
            found = found + [end]
        if found == expected:
            same += 1
            continue
        at = next((i for i, (a, b) in enumerate(zip(found, expected)) if a != b), len(found))
        tie, words = why(answer, at, expected[min(at, len(expected) - 1)], most)
        ties += tie
        print(f"      {prompt['id']} differs: {words}{', a tie' if tie else ''}")
    tell(same + ties == len(prompts),
         f"{name}: greedy answers: {same} of {len(prompts)} in the same tokens, {ties} ties")


def check_perplexity(folder, name, text, losses, most):
    out = subprocess.run(["llama-perplexity", "-m", name, "-f", text["file"], "-c",
                          str(text["context"]), "-b", str(text["context"]), "--threads", "2"],
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


def check_transformers(folder, expected):
    try:
        import torch
        import transformers
    except ImportError as missing:
        print(f"SKIP  hf: transformers is not installed ({missing})")
        return
    model = transformers.AutoModelForCausalLM.from_pretrained(folder / "hf", dtype=torch.float32)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder / "hf")
    ours = torch.tensor(array.array("f", (folder / "logits.bin").read_bytes()))
    with torch.no_grad():
        logits = model(torch.tensor([expected["logits_of"]])).logits[0]
    ours = ours.reshape(logits.shape)
    error = ((logits - ours).norm() / logits.norm()).item()
    tell(error <= 1e-5, f"hf: logits by transformers {transformers.__version__}: relative error "
                        f"{error:.1e}, at most 1e-5")
    prompt = expected["prompts"][0]
    text = tokenizer.apply_chat_template(prompt["messages"], tokenize=False,
                                         add_generation_prompt=True)
    tell(text == prompt["text"], "hf: the chat template renders alike in transformers")


# Where we write other metadata than llama.cpp's converter does of the same model, and why.
OTHERWISE = {
    "general.name": "the converter takes the folder's name",
    "general.size_label": "for people who browse; nothing reads it",
    "tokenizer.ggml.add_bos_token": "as the chat template has it, so as in training; the converter "
                                    "writes what holds for plain texts",
    "tokenizer.ggml.add_sep_token": "false, which it is without the key too",
    "tokenizer.ggml.add_space_prefix": "true, which it is without the key too",
    "tokenizer.ggml.scores": "from the order of merges; without a tokenizer.model the converter "
                             "gives all pieces the same, and llama.cpp then merges the leftmost",
    "tokenizer.ggml.token_type": "<unk> is 'unknown', as SentencePiece has it, and no control token",
}


def check_converter(folder):
    """Tensors bit by bit, and metadata, against convert_hf_to_gguf.py's of the folder hf."""
    scripts = list(pathlib.Path("/usr/share").glob("**/convert_hf_to_gguf.py"))
    try:
        import gguf
        import numpy
    except ImportError as missing:
        scripts = []
        print(f"SKIP  llama.cpp's converter: {missing}")
    for dtype in ("f16", "q8_0") if scripts else ():
        theirs = folder / f"converted-{dtype}.gguf"
        made = subprocess.run([sys.executable, scripts[0], folder / "hf", "--outfile", theirs,
                               "--outtype", dtype], capture_output=True, text=True, check=False)
        if made.returncode != 0:
            tell(False, f"llama.cpp's converter: {made.stderr[-300:]}")
            continue
        files = [gguf.GGUFReader(path) for path in (folder / f"{dtype}.gguf", theirs)]
        fields = [{k: f.contents() for k, f in file.fields.items() if not k.startswith("GGUF.")}
                  for file in files]
        others = sorted(k for k in fields[0].keys() | fields[1].keys()
                        if fields[0].get(k) != fields[1].get(k))
        for key in others:
            print(f"      {key} differs: {OTHERWISE.get(key, 'NOT EXPECTED')}")
        tensors = [{t.name: (int(t.tensor_type), tuple(t.shape),
                             numpy.asarray(t.data).tobytes()) for t in file.tensors}
                   for file in files]
        same = sum(tensors[0][name] == tensors[1].get(name) for name in tensors[0])
        tell(tensors[0] == tensors[1] and all(key in OTHERWISE for key in others),
             f"{dtype}.gguf: {same} of {len(tensors[1])} tensors bit by bit as llama.cpp's "
             f"converter makes them, {len(others)} keys differ, each for a reason")


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    folder = pathlib.Path(sys.argv[1])
    expected = json.loads((folder / "expected.json").read_text())
    prompts = expected["prompts"]
    checked = False
    for run in expected["runs"]:
        arguments = ["-m", run["model"]] + (["--lora", run["lora"]] if "lora" in run else [])
        name = " + ".join(arguments[1::2])
        with Server(folder, arguments):
            if not checked: # the same in all files
                check_prompts(name, prompts)
                checked = True
            check_answers(name, prompts, run["answers"], expected["end"], TIES[run["dtype"]])
        if "losses" in run:
            check_perplexity(folder, run["model"], expected["text"], run["losses"],
                             run["most"])
    check_converter(folder)
    check_transformers(folder, expected)
    sys.exit(failed > 0)


main()
