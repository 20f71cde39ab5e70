#!/usr/bin/env python3
"""Makes small tokenizers of each kind, and what Hugging Face's tokenizers say of strings by them.

    make_tokenizers.py FOLDER    writes FOLDER/KIND/tokenizer.json, tokenizer_config.json, strings.jsonl

A row of strings.jsonl is {"text", "ids", "decoded"}; "text" is null where only ids are decoded.
Needs tokenizers (made with 0.23.1). The same files come out each time.
"""
import json
import pathlib
import random
import sys

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from tokenizers import processors, trainers

CORPUS = """The model learns how to answer, and when to stop: it's taught by pairs of questions and answers.
They're short. We've 138 of them, and I'll say that you'd better look at the answers before you write more.
    def step(loss, rate=0.001):
        return loss * rate  # 12,345 steps in 2026
Die Größe überrascht; où est le café? Привет, мир! 你好，世界。안녕하세요 नमस्ते ١٢٣ 
"""
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
          r"|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN2 = LLAMA3.replace("{1,3}", "")

SPECIAL = ["<|begin|>", "<|end|>", "<|im_start|>", "<|im_end|>", "<|start_header_id|>", "<|end_header_id|>",
           "<|eot_id|>"]
TEXTS = [
    "", " ", "  ", "   x", "x   ", "\n", "\n\n  \n x", " \t \r\n\r\n", "\u00a0x\u3000 \u2003y\u200by",
    "it's IT'S they'Re we'VE I'll I'LL you'd 'tis ''s '", "it'\u017f IT'\u017f",
    "1 12 123 1234 12345 3.14 \u0661\u0662\u0663\u0664 \u2167 \u00bd\u00b2 x1y22z",
    "Gr\u00f6\u00dfe Gro\u0308\u00dfe caf\u00e9 cafe\u0301 e\u0327\u0301 e\u0301\u0327 q\u0307\u0323",
    "\u1100\u1161\u11a8 \uac00\u11a8 \uac01 \u0958 \u212b \u2126 \uf900 \u0344",
    "a\u0898\u0301 a\u0301\u0898\u0327 \u0f71\u0f74 \U0001d15e",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f44d\U0001f3fd \u2764\ufe0f \U0001f1e9\U0001f1ea",
    "\u4f60\u597d\uff0c\u4e16\u754c\u3002 \u041f\u0440\u0438\u0432\u0435\u0442, \u043c\u0438\u0440!",
    "if (a<=b) { x->y[3]++; }\r\n\t\tfoo();\n\n", "a_b __init__ http://a.b/c?d=%20&e#f",
    "\x00a\x01\x7f\ufffd\ue000\U0010ffff", "...!!!???\n\n\n   \n---", " !\n?", "\n \n  \n   x",
    "<|end|>", "a<|end|>b", "a <|end|> b", "<|end|><|end|>\n<|end|", "  <strip>  x <strip>\n\n",
    "word words a word, word\u0301 _word word", "norm nor\u006d n\u00f6rm no\u0308rm norms",
    "<0x41> <0x0A>", "\u2581x \u2581\u2581 \u2581", "The model learns how to answer",
    "a" * 60, " " * 60 + "x", "1" * 40, "\n" * 33, "e\u0301" * 20, "' " * 12, "'s" * 12,
]


def train(tokenizer, size, **options):
    trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=[], show_progress=False, **options)
    tokenizer.train_from_iterator(CORPUS.splitlines(keepends=True) * 3, trainer)


def byte_level(pre_tokenizer, normalizer=None, **options):
    tokenizer = Tokenizer(models.BPE(**options))
    tokenizer.pre_tokenizer = pre_tokenizer
    tokenizer.decoder = decoders.ByteLevel()
    if normalizer is not None:
        tokenizer.normalizer = normalizer
    train(tokenizer, 400, initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    return tokenizer


def split(pattern):
    return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(pattern), "isolated"),
                                    pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def gpt2():
    return byte_level(pre_tokenizers.ByteLevel(add_prefix_space=False))


def smollm():
    digits = pre_tokenizers.Digits(individual_digits=True)
    return byte_level(pre_tokenizers.Sequence([digits, pre_tokenizers.ByteLevel(add_prefix_space=False)]))


def llama3():
    return byte_level(split(LLAMA3), ignore_merges=True)


def qwen2():
    return byte_level(split(QWEN2), normalizers.NFC())


def gemma():
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    tokenizer.normalizer = normalizers.Replace(" ", "\u2581")
    train(tokenizer, 240)
    made = json.loads(tokenizer.to_str())
    pieces = ["<unk>"] + [f"<0x{byte:02X}>" for byte in range(256)]
    made["model"]["vocab"] = {piece: id for id, piece in enumerate(pieces + list(made["model"]["vocab"]))}
    tokenizer = Tokenizer.from_str(json.dumps(made))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    tokenizer.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(),
                                           decoders.Fuse()])
    return tokenizer


def finish(tokenizer, kind):
    tokenizer.add_special_tokens([AddedToken(text, normalized=False) for text in SPECIAL])
    begin = tokenizer.token_to_id("<|begin|>")
    template = processors.TemplateProcessing(single="<|begin|> $A", special_tokens=[("<|begin|>", begin)])
    if kind in ("llama3", "gemma"):
        tokenizer.post_processor = template if kind == "gemma" else processors.Sequence(
            [processors.ByteLevel(trim_offsets=False), template])
    tokenizer.add_tokens([AddedToken("<strip>", lstrip=True, rstrip=True, normalized=False),
                          AddedToken("word", single_word=True, normalized=False),
                          AddedToken("no\u0308rm" if kind == "qwen2" else "norm", normalized=True)])


def main():
    for make in (gpt2, smollm, llama3, qwen2, gemma):
        kind = make.__name__
        tokenizer = make()
        finish(tokenizer, kind)
        folder = pathlib.Path(sys.argv[1]) / kind
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(json.loads(tokenizer.to_str()), ensure_ascii=False, separators=(",", ":"))
        (folder / "tokenizer.json").write_text(text + "\n", encoding="utf-8")
        config = {"bos_token": "<|begin|>", "eos_token": "<|end|>"}
        (folder / "tokenizer_config.json").write_text(json.dumps(config) + "\n", encoding="utf-8")
        random.seed(kind)
        rows = [(text, tokenizer.encode(text, add_special_tokens=False).ids) for text in TEXTS]
        ids = range(tokenizer.get_vocab_size())
        rows += [(None, random.choices(ids, k=12)) for _ in range(12)]
        with open(folder / "strings.jsonl", "w", encoding="utf-8") as file:
            for text, ids in rows:
                decoded = tokenizer.decode(ids, skip_special_tokens=False)
                file.write(json.dumps({"text": text, "ids": ids, "decoded": decoded}) + "\n")


if __name__ == "__main__":
    main()
