#!/usr/bin/env python3
"""Makes a small model of each family with random weights, a tokenizer of its kind and its chat template.

    tools/peers/make_families.py NAME FOLDER [--wide]    in Hugging Face's layout

The classes that write config.json and the tensors are transformers' own; the tokenizers are trained
by ../golden/make_tokenizers.py. Weights are so large that attention depends on positions and the
answer on the prompt. --wide: rows of 256 elements, which llama.cpp's K types need, and a
tokenizer.model, which its converter wants of a Mistral or a Gemma, by SentencePiece.
"""

import argparse
import json
import pathlib
import re
import sys

sys.path.append(str(pathlib.Path(__file__).parent.parent / "golden"))

import make_tokenizers
import torch
import transformers
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, processors

ASK = "{% if add_generation_prompt %}"
CHATML = ("{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n"
          "{% endfor %}" + ASK + "<|im_start|>assistant\n{% endif %}")
LLAMA3 = ("{{ bos_token }}{% for m in messages %}<|start_header_id|>{{ m['role'] }}<|end_header_id|>"
          "\n\n{{ m['content'] | trim }}<|eot_id|>{% endfor %}" + ASK +
          "<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}")
GEMMA = ("{{ bos_token }}{% for m in messages %}<start_of_turn>"
         "{{ 'model' if m['role'] == 'assistant' else m['role'] }}\n{{ m['content'] | trim }}"
         "<end_of_turn>\n{% endfor %}" + ASK + "<start_of_turn>model\n{% endif %}")
MISTRAL = ("{{ bos_token }}{% for m in messages %}{% if m['role'] == 'user' %}"
           "[INST] {{ m['content'] }} [/INST]{% else %} {{ m['content'] }}{{ eos_token }}{% endif %}"
           "{% endfor %}")
OLMO = ("{{ bos_token }}{% for m in messages %}<|{{ m['role'] }}|>\n{{ m['content'] }}"
        "{% if m['role'] == 'assistant' %}{{ eos_token }}{% endif %}\n{% endfor %}" + ASK +
        "<|assistant|>\n{% endif %}")

LLAMA3_ROPE = {"rope_type": "llama3", "rope_theta": 10000.0, "factor": 8.0, "low_freq_factor": 1.0,
               "high_freq_factor": 4.0, "original_max_position_embeddings": 128}

# kind of tokenizer; bos, the token that ends a turn, the one that ends a text; template; transformers'
# class; what its config says beyond SHAPE
FAMILIES = {
    "llama3": ("llama3", "<|begin_of_text|>", "<|eot_id|>", "<|end_of_text|>", LLAMA3, "Llama",
               dict(rope_parameters=LLAMA3_ROPE, tie_word_embeddings=True)),
    "smollm2": ("smollm", None, "<|im_end|>", "<|endoftext|>", CHATML, "Llama",
                dict(rope_theta=100000.0, tie_word_embeddings=True)),
    "smollm3": ("llama3", None, "<|im_end|>", "<|endoftext|>", CHATML, "SmolLM3",
                dict(rope_theta=50000.0, tie_word_embeddings=True)),
    "qwen2": ("qwen2", None, "<|im_end|>", "<|endoftext|>", CHATML, "Qwen2", dict(rope_theta=1000000.0)),
    "qwen3": ("qwen2", None, "<|im_end|>", "<|endoftext|>", CHATML, "Qwen3",
              dict(rope_theta=1000000.0, tie_word_embeddings=True, head_dim=32)),
    "mistral": ("mistral", "<s>", "</s>", "</s>", MISTRAL, "Mistral", dict(sliding_window=None)),
    "mistral_window": ("mistral", "<s>", "</s>", "</s>", MISTRAL, "Mistral",
                       dict(sliding_window=20)),
    "gemma3": ("gemma", "<bos>", "<end_of_turn>", "<eos>", GEMMA, "Gemma3",
               dict(tie_word_embeddings=True, head_dim=32, query_pre_attn_scalar=32,
                    sliding_window=16, num_hidden_layers=6)),
    "olmo2": ("olmo2", "<|endoftext|>", "<|endoftext|>", "<|endoftext|>", OLMO, "Olmo2", dict(rope_theta=500000.0)),
}
SHAPE = dict(hidden_size=96, intermediate_size=128, num_hidden_layers=4, num_attention_heads=4,
             num_key_value_heads=2, max_position_embeddings=512)
WIDE = dict(hidden_size=256, intermediate_size=512, head_dim=64)


def mistral():
    """SentencePiece's BPE as Llama 2 and Mistral have it: a space before each segment."""
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"),
                                                 normalizers.Replace(" ", "\u2581")])
    make_tokenizers.train(tokenizer, 240)
    made = json.loads(tokenizer.to_str())
    pieces = ["<unk>", "<s>", "</s>"] + [f"<0x{byte:02X}>" for byte in range(256)]
    made["model"]["vocab"] = {piece: id for id, piece in
                              enumerate(pieces + list(made["model"]["vocab"]))}
    tokenizer = Tokenizer.from_str(json.dumps(made))
    tokenizer.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(),
                                           decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    return tokenizer


def olmo2():
    """Llama 3's words, but merges are not ignored."""
    return make_tokenizers.byte_level(make_tokenizers.split(make_tokenizers.LLAMA3))


def make_tokenizer(folder, kind, bos, turn_end, end, template):
    tokenizer = {"mistral": mistral, "olmo2": olmo2}.get(kind) or getattr(make_tokenizers, kind)
    tokenizer = tokenizer()
    special = [text for text in (bos, turn_end, end) if text] + re.findall(r"<\|?\w+\|?>", template)
    special = ["<unk>", "<s>", "</s>"] if kind == "mistral" else list(dict.fromkeys(special))
    tokenizer.add_special_tokens([AddedToken(text, normalized=False) for text in special])
    if bos is not None and kind != "olmo2":
        lead = processors.TemplateProcessing(
            single=f"{bos} $A", special_tokens=[(bos, tokenizer.token_to_id(bos))])
        tokenizer.post_processor = lead if kind != "llama3" else processors.Sequence(
            [processors.ByteLevel(trim_offsets=False), lead])
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": turn_end, "pad_token": end,
              "chat_template": template, "clean_up_tokenization_spaces": False}
    # A file of Llama 3's kind that is silent about a BOS makes llama.cpp put its token 11 before texts.
    config |= {"bos_token": bos} if bos else {"add_bos_token": False}
    config |= {"unk_token": "<unk>"} if kind in ("mistral", "gemma") else {}
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n")
    return tokenizer


def make_sentencepiece(folder, kind, bos, turn_end):
    """Adds a tokenizer.model with SentencePiece's own scores; returns its pieces."""
    import sentencepiece
    begin, end = ("<s>", "</s>") if kind == "mistral" else (bos, "<eos>")
    more = {} if kind == "mistral" else {"user_defined_symbols": ["<start_of_turn>", turn_end],
                                         "add_dummy_prefix": False}
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(make_tokenizers.CORPUS.splitlines() * 3), model_type="bpe",
        model_prefix=str(folder / "tokenizer"), vocab_size=420, byte_fallback=True,
        character_coverage=1.0, normalization_rule_name="identity", remove_extra_whitespaces=False,
        bos_piece=begin, eos_piece=end, minloglevel=2, **more)
    (folder / "tokenizer.vocab").unlink()
    (folder / "tokenizer.json").unlink()
    pieces = sentencepiece.SentencePieceProcessor(model_file=str(folder / "tokenizer.model"))
    return [pieces.id_to_piece(i) for i in range(pieces.get_piece_size())]


def fill(model, seed):
    """Random weights: queries and keys so long that attention is sharp, outputs larger than the stream."""
    torch.manual_seed(seed)
    gains = {"q_proj": 1.6, "k_proj": 1.6, "o_proj": 2.0, "down_proj": 2.0, "embed_tokens": 2.5,
             "lm_head": 2.5, "q_norm": 1.6, "k_norm": 1.6}
    if any("post_feedforward" in name for name, _ in model.named_parameters()):
        gains |= {"post_attention_layernorm": 2.5, "post_feedforward_layernorm": 2.5}
    stored = 1 if "Gemma" in type(model).__name__ else 0  # it multiplies by 1 + w
    for name, weight in model.named_parameters():
        part, kind = name.split(".")[-2:]
        random, gain = torch.randn(weight.shape), gains.get(part, 1.0)
        weight.data = (0.2 * random if kind == "bias" else
                       gain * (1 + 0.2 * random) - stored if weight.dim() == 1 else
                       gain / weight.shape[1] ** 0.5 * random)


def make(folder, name, wide):
    kind, bos, turn_end, end, template, family, more = FAMILIES[name]
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = make_tokenizer(folder, kind, bos, turn_end, end, template)
    find, count = tokenizer.token_to_id, tokenizer.get_vocab_size()
    if wide and kind in ("mistral", "gemma"):
        pieces = make_sentencepiece(folder, kind, bos, turn_end)
        find, count = pieces.index, len(pieces)
    cls = getattr(transformers, family + "ForCausalLM")
    config = cls.config_class(**(SHAPE | dict(tie_word_embeddings=False) | more | (WIDE if wide else {}) | dict(
        vocab_size=count + 3, bos_token_id=find(bos) if bos else None,
        eos_token_id=find(turn_end), pad_token_id=find(end))))
    model = cls(config)
    fill(model, list(FAMILIES).index(name))
    # Gemma in float32: in 16 bits transformers rounds the embedding's factor, and llama.cpp does not.
    model.to(torch.float32 if family == "Gemma3" else torch.bfloat16).save_pretrained(folder)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=FAMILIES)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--wide", action="store_true")
    args = parser.parse_args()
    make(args.folder, args.name, args.wide)


main()
