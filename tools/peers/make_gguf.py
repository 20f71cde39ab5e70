#!/usr/bin/env python3
"""Writes a GGUF of TinyLlama-1.1B's shape with random f16 weights, for llama.cpp's benchmarks.

    tools/peers/make_gguf.py FILE [LAYERS]      2.2 GB with all 22 layers

Speed does not depend on what the weights are, so nothing is downloaded; neither does the vocabulary,
which is made up here: <unk>, <s>, </s>, the 256 bytes, and 31,741 words that nobody says.
Needs the Python packages gguf and numpy (Debian: python3-gguf).
"""

import os
import sys

import gguf
import numpy

HIDDEN, FFN, HEADS, KV_HEADS, VOCAB, CONTEXT = 2048, 5632, 32, 4, 32000, 2048
KV = HIDDEN // HEADS * KV_HEADS


def describe(writer, layers):
    writer.add_name("TinyLlama's shape, random")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(HIDDEN)
    writer.add_block_count(layers)
    writer.add_feed_forward_length(FFN)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_rope_dimension_count(HIDDEN // HEADS)
    writer.add_rope_freq_base(10000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(VOCAB)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)


def add_vocabulary(writer):
    kinds = gguf.TokenType
    tokens = [b"<unk>", b"<s>", b"</s>"] + [b"<0x%02X>" % byte for byte in range(256)]
    types = [kinds.UNKNOWN, kinds.CONTROL, kinds.CONTROL] + [kinds.BYTE] * 256
    tokens += [b"w%d" % index for index in range(VOCAB - len(tokens))]
    types += [kinds.NORMAL] * (VOCAB - len(types))
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores([0.0] * 259 + [-float(i) for i in range(VOCAB - 259)])
    writer.add_token_types(types)
    writer.add_unk_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)


def shapes(layers):
    """Every tensor's name and shape, [out, in] of a matrix."""
    yield "token_embd.weight", (VOCAB, HIDDEN)
    for layer in range(layers):
        block = f"blk.{layer}."
        yield block + "attn_norm.weight", (HIDDEN,)
        yield block + "attn_q.weight", (HIDDEN, HIDDEN)
        yield block + "attn_k.weight", (KV, HIDDEN)
        yield block + "attn_v.weight", (KV, HIDDEN)
        yield block + "attn_output.weight", (HIDDEN, HIDDEN)
        yield block + "ffn_norm.weight", (HIDDEN,)
        yield block + "ffn_gate.weight", (FFN, HIDDEN)
        yield block + "ffn_up.weight", (FFN, HIDDEN)
        yield block + "ffn_down.weight", (HIDDEN, FFN)
    yield "output_norm.weight", (HIDDEN,)
    yield "output.weight", (VOCAB, HIDDEN)


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    path, layers = sys.argv[1], int(sys.argv[2]) if len(sys.argv) == 3 else 22
    writer = gguf.GGUFWriter(path + ".part", "llama")
    describe(writer, layers)
    add_vocabulary(writer)
    pool = numpy.random.default_rng(42).standard_normal(1 << 20, numpy.float32) * 0.02
    pool = pool.astype(numpy.float16)
    for name, shape in shapes(layers):
        dtype = numpy.float16 if len(shape) == 2 else numpy.float32
        count = int(numpy.prod(shape))
        writer.add_tensor_info(name, shape, numpy.dtype(dtype), count * numpy.dtype(dtype).itemsize)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for _, shape in shapes(layers):  # one at a time: the file is larger than some machines' memory
        if len(shape) == 2:
            writer.write_tensor_data(numpy.resize(pool, shape))
        else:
            writer.write_tensor_data(numpy.ones(shape, numpy.float32))
    writer.close()
    os.rename(path + ".part", path)


main()
