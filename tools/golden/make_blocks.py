#!/usr/bin/env python3
"""Writes blocks of every quantised type and the values that they hold, by gguf-py.

    make_blocks.py OUT [--blocks N] [--seed S]

OUT/TYPE.bin is N blocks as a GGUF file has them (NF4, which GGUF has not: f32 absmax, then 32 bytes
as bitsandbytes has them; NF4_16: absmax in 16 bits), then their values as f32. The first eight are chosen: all zero, all bits
set, one-sided, scales as large and as small as f16 has them, negative scales, a scale of minus zero;
the others are random. tests/golden/blocks was made with the defaults. test_base reads another folder
of them where TINYSFT_BLOCKS names it:

    make_blocks.py /tmp/blocks --blocks 20000
    TINYSFT_BLOCKS=/tmp/blocks build/release/tests/test_base --filter 'blocks/*'

Needs numpy and gguf (Debian: python3-gguf).
"""

import argparse
import pathlib

import gguf
import numpy as np

# Bytes of a block, and where its f16 scales are.
TYPES = {
    "Q8_0": (34, [0]),
    "Q4_0": (18, [0]),
    "Q4_K": (144, [0, 2]),
    "Q5_K": (176, [0, 2]),
    "Q6_K": (210, [208]),
    "Q4_1": (20, [0, 2]),
    "Q5_0": (22, [0]),
    "Q5_1": (24, [0, 2]),
    "IQ4_NL": (18, [0]),
}

NF4_LEVELS = np.array(
    [-1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635,
     -0.18477343022823334, -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725,
     0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941,
     0.7229568362236023, 1.0], dtype=np.float32)

# (byte of everything but scales, or None for random; first scale; second scale), as f16's bits
CHOSEN = [
    (0x00, 0x0000, 0x0000),
    (0xFF, 0x3C00, 0x3C00),
    (0x0F, 0x2C00, 0x0000),  # one-sided: no minimum
    (None, 0x7BFF, 0x7BFF),  # 65504
    (None, 0x0001, 0x0001),  # 2^-24
    (None, 0xA400, 0x2400),
    (None, 0x8000, 0x2400),  # minus zero
    (0x80, 0x3800, 0xB800),
]


def make_scales(rng, count):
    """Finite f16 of either sign and any exponent, as bits."""
    bits = rng.integers(0, 0x7C00, count, dtype=np.uint16)
    return bits | rng.integers(0, 2, count, dtype=np.uint16) << 15


def make_gguf(rng, name, count):
    size, places = TYPES[name]
    blocks = rng.integers(0, 256, (count, size), dtype=np.uint8)
    scales = [make_scales(rng, count) for _ in places]
    for i, (byte, *chosen) in enumerate(CHOSEN):
        if byte is not None:
            blocks[i] = byte
        for scale, bits in zip(scales, chosen):
            scale[i] = bits
    for scale, place in zip(scales, places):
        blocks[:, place:place + 2] = scale.astype("<u2").view(np.uint8).reshape(count, 2)
    values = gguf.quants.dequantize(blocks, gguf.GGMLQuantizationType[name])
    return blocks, values


def make_16_bit_scales(rng, count):
    """bf16, or with the upper bit set f16: their bits and what they are."""
    bits = rng.integers(0, 0x7F80, count, dtype=np.uint16)
    bits = np.where(rng.integers(0, 2, count) == 1, bits % 0x7C00 | 0x8000, bits).astype(np.uint16)
    bits[:8] = 0, 0x8000, 0x3F80, 0xBC00, 0x7F7F, 0xFBFF, 0x0080, 0x8001
    as_bf16 = (bits.astype(np.uint32) << 16).view(np.float32)
    as_f16 = (bits & 0x7FFF).view(np.float16).astype(np.float32)
    return bits, np.where(bits & 0x8000, as_f16, as_bf16)


def make_nf4(rng, count, bits):
    """The format's description, in numpy."""
    data = rng.integers(0, 256, (count, 32), dtype=np.uint8)
    stored = absmax = np.exp(rng.uniform(-30, 30, count)).astype(np.float32)
    if bits == 16:
        stored, absmax = make_16_bit_scales(rng, count)
    else:
        data[0], absmax[0] = 0x77, 0
        data[1], data[2] = 0xFF, 0x00
        absmax[3], absmax[4] = np.finfo(np.float32).max, np.float32(2.0**-100)
    codes = np.stack([data >> 4, data & 15], axis=-1).reshape(count, 64)  # even element above
    values = NF4_LEVELS[codes] * absmax[:, None]
    return np.concatenate([stored.view(np.uint8).reshape(count, bits // 8), data], 1), values


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--blocks", type=int, default=12)
    parser.add_argument("--seed", type=int, default=19)
    args = parser.parse_args()
    if args.blocks < len(CHOSEN):
        parser.error(f"--blocks: at least {len(CHOSEN)}")
    rng = np.random.default_rng(args.seed)
    args.out.mkdir(parents=True, exist_ok=True)
    made = {name: make_gguf(rng, name, args.blocks) for name in TYPES}
    made["NF4"] = make_nf4(rng, args.blocks, 32)
    made["NF4_16"] = make_nf4(rng, args.blocks, 16)
    for name, (blocks, values) in made.items():
        assert np.isfinite(values).all()
        (args.out / f"{name}.bin").write_bytes(
            np.ascontiguousarray(blocks).tobytes() + values.astype("<f4").tobytes())


if __name__ == "__main__":
    main()
