"""Which reference cases there are: the small ones that tests/golden carries, and the awkward ones to make when in doubt.

A specification's keys, as case.json has them: h hidden size, L layers, nh heads, nkv key-value heads, head_dim (absent:
h / nh), ffn feed-forward size, V vocabulary, dt type of the weights, seed; r rank, alpha, rs rsLoRA, targets the adapted
modules; dora; rank_pattern and alpha_pattern, by module, as PEFT matches them; micro the micro-batches of every step, each a list of rows [tokens, leading tokens without loss]; steps, lr,
warmup, weight_decay, label_smoothing, betas, eps, max_grad_norm of the training; tied embeddings, theta of the rotary embedding;
quantize, q8_0 or nf4: linear layers (with q8_0 lm_head too) are rounded to what such blocks hold, and stored in dt,
which must be float32; `verify` holds them in blocks; rms_norm_eps; family, transformers' name
of its classes (absent: Llama), and config, what else its config.json says; rope_scaling; local_theta of windowed layers;
rope_dtype float32: rotary frequencies are not rounded to dt; shard_bytes splits the weights into files of at most so
many; rope_parameters: config.json in transformers 5's spelling; loss, dpo or ipo, with beta and label_smoothing: a row of
a micro-batch is then a pair, [the chosen answer's tokens, the rejected one's, leading tokens that both share and that
bear no loss].
"""

ATTENTION, FEED_FORWARD = ["q_proj", "k_proj", "v_proj", "o_proj"], ["gate_proj", "up_proj", "down_proj"]
ALL = ATTENTION + FEED_FORWARD

DEFAULTS = dict(
    h=64, L=2, nh=4, nkv=2, ffn=172, V=320, dt="float32", seed=1, r=4, alpha=8, targets=["q_proj", "v_proj"], rs=False,
    micro=[[[24, 7], [15, 5]]], steps=6, lr=0.005, warmup=0, tied=False, theta=10000.0, weight_decay=0.0,
    betas=[0.9, 0.999], eps=1e-8, max_grad_norm=1.0)

# What the small cases of other families share.
FAMILY = dict(h=24, L=2, nh=4, nkv=2, head_dim=8, ffn=37, V=61, r=3, alpha=6, targets=ALL, micro=[[[19, 3], [7, 2]]],
              lr=0.001, steps=4, rope_dtype="float32")
# Without padding, whose rows would see nothing through a window, so that autocast makes NaN of them.
WINDOWED = [[[19, 3]], [[7, 2]]]

# Two micro-batches of unequal numbers of pairs, answers of unequal lengths and of one token.
PAIRS = {
    "tiny_dpo": dict(h=24, L=2, nh=2, nkv=1, ffn=37, V=61, r=3, alpha=6, targets=ALL, seed=21, dt="bfloat16", lr=0.002,
                     steps=5, loss="dpo", beta=0.3, label_smoothing=0.1, micro=[[[11, 7, 3], [9, 13, 5]], [[6, 5, 4]]]),
    "tiny_ipo": dict(h=24, L=1, nh=2, nkv=2, ffn=37, V=61, r=2, alpha=4, seed=22, lr=0.002, steps=5, loss="ipo", beta=0.2,
                     micro=[[[12, 8, 3], [5, 9, 4], [10, 10, 6]]]),
}

CASES = {
    # tests/golden
    **PAIRS,
    "tiny_sharded": dict(h=21, nh=3, nkv=1, head_dim=12, ffn=37, V=67, r=3, targets=["k_proj", "gate_proj"], theta=500000.0,
                         rope_parameters=True, shard_bytes=12000, rms_norm_eps=1e-6,
                         micro=[[[9, 2], [1, 0], [5, 5]], [[6, 0]]], warmup=2, weight_decay=0.1, dt="float16"),
    "tiny_tied": dict(h=33, nh=3, nkv=3, head_dim=16, ffn=31, V=61, r=5, alpha=16, rs=True, targets=ALL, tied=True,
                      micro=[[[11, 3]], [[2, 0], [7, 6]]], lr=0.001, max_grad_norm=0.1, dt="bfloat16"),
    "tiny_long": dict(h=24, L=1, nh=2, nkv=1, head_dim=20, ffn=29, V=53, r=1, alpha=3, targets=["o_proj", "down_proj"],
                      micro=[[[131, 60], [3, 1]]], max_grad_norm=1e9),
    # Heads that attention takes on matrix units, several on a key, in packed rows of more than a tile.
    "tiny_wide_heads": dict(h=24, L=1, nh=2, nkv=1, head_dim=64, ffn=29, V=41, r=2, alpha=4, targets=ATTENTION, seed=23,
                            micro=[[[21, 3], [14, 2]]], steps=2, lr=0.001, dt="bfloat16"),
    "tiny_chaotic": dict(h=24, L=1, nh=2, nkv=2, ffn=16, V=41, r=4, alpha=32, targets=ALL, tied=True, steps=16, lr=0.02,
                         seed=3, micro=[[[9, 2], [6, 0]], [[7, 3]]]),
    "tiny_q8_0": dict(h=32, L=1, nh=2, nkv=1, ffn=64, V=41, r=3, targets=ALL, quantize="q8_0", lr=0.001,
                      micro=[[[9, 2], [6, 0]]]),
    "tiny_nf4": dict(h=64, L=1, nh=2, nkv=1, ffn=64, V=41, r=2, targets=ALL, quantize="nf4", lr=0.001,
                     micro=[[[9, 2], [6, 0]]]),
    "tiny_llama3": FAMILY | dict(theta=500000.0, tied=True, seed=11, rope_scaling=dict(
        rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=16)),
    "tiny_qwen2": FAMILY | dict(family="Qwen2", micro=WINDOWED, theta=1000000.0, seed=12, rms_norm_eps=1e-6, config=dict(
        use_sliding_window=True, sliding_window=5, max_window_layers=1)),
    "tiny_qwen3": FAMILY | dict(family="Qwen3", theta=1000000.0, tied=True, seed=13, dt="bfloat16", rope_parameters=True),
    "tiny_smollm3": FAMILY | dict(family="SmolLM3", theta=5000000.0, tied=True, seed=14, config=dict(no_rope_layers=[1, 0])),
    "tiny_gemma3": FAMILY | dict(family="Gemma3", micro=WINDOWED, h=36, L=3, theta=1000000.0, local_theta=10000.0,
                                 tied=True, seed=15, dt="bfloat16", config=dict(sliding_window=4, query_pre_attn_scalar=20, layer_types=[
                                     "sliding_attention", "full_attention", "sliding_attention"])),
    "tiny_gemma3_rounded": FAMILY | dict(family="Gemma3", micro=WINDOWED, nh=2, theta=1000000.0, local_theta=10000.0,
                                         tied=True, seed=16, dt="bfloat16", rope_parameters=True, rope_dtype="bfloat16", L=1),
    "tiny_olmo2": FAMILY | dict(family="Olmo2", theta=500000.0, seed=17, dt="float16"),
    "tiny_dora": FAMILY | dict(family="Qwen2", theta=1000000.0, seed=18, dora=True, rs=True, r=2, dt="bfloat16", lr=0.004),
    "tiny_smoothed": FAMILY | dict(seed=20, theta=500000.0, tied=True, label_smoothing=0.1, micro=[[[19, 3]], [[7, 2]]]),
    "tiny_patterns": FAMILY | dict(seed=19, theta=500000.0, dora=True, rs=True, alpha=4, rank_pattern={
        "q_proj": 5, "layers.1.self_attn.v_proj": 1, "v_proj": 2, "^model.layers.0.mlp.down_proj": 7},
        alpha_pattern={"mlp.up_proj": 12, "o_proj": 0.5}),
    # nano, gqa and all_linear with weights that blocks hold exactly
    **{f"{name}_{kind}": more | dict(quantize=kind) for kind in ("q8_0", "nf4") for name, more in {
        "nano": dict(ffn=192, micro=[[[33, 7], [20, 5]]], steps=20, lr=0.01),
        "gqa": dict(h=256, L=3, nkv=1, ffn=704, V=1003, seed=2, r=8, alpha=16, warmup=2, steps=10,
                    micro=[[[130, 40], [64, 63], [99, 1]]]),
        "all_linear": dict(h=128, nkv=4, ffn=384, V=512, seed=3, r=5, alpha=16, targets=ALL, rs=True, tied=True,
                           theta=500000.0, warmup=3, steps=12, weight_decay=0.01,
                           micro=[[[40, 10], [17, 3]], [[61, 60]], [[9, 2], [33, 0]]]),
    }.items()},
    # head sizes
    "head_16": dict(h=66, nh=6, nkv=2, head_dim=16, ffn=173, V=997),
    "head_20": dict(h=60, nh=3, nkv=1, head_dim=20, targets=ATTENTION),
    "head_32_rs": dict(h=128, head_dim=32, nh=8, nkv=8, rs=True, r=16, alpha=32, micro=[[[65, 3]]]),
    "head_48": dict(h=96, nh=2, nkv=1, head_dim=48, targets=["k_proj", "gate_proj"], dt="bfloat16"),
    "head_64_f16": dict(h=128, nh=2, nkv=1, head_dim=64, dt="float16", targets=ATTENTION, micro=[[[130, 40], [33, 1]]]),
    "head_80": dict(h=160, nh=2, nkv=2, head_dim=80, dt="float16", theta=500000.0),
    "head_96": dict(h=96, nh=1, nkv=1, head_dim=96, targets=["q_proj", "o_proj"]),
    "head_128": dict(h=258, nh=3, nkv=1, head_dim=128, dt="bfloat16", theta=500000.0, rope_parameters=True),
    "head_256": dict(h=64, nh=1, nkv=1, head_dim=256, targets=ATTENTION),
    "heads_32_4": dict(h=512, L=1, nh=32, nkv=4, head_dim=16, ffn=700, dt="bfloat16"),
    # sizes that divide by nothing
    "odd_everything": dict(h=77, nh=7, nkv=1, head_dim=20, ffn=173, V=997, r=3, targets=ALL, dt="bfloat16"),
    "odd_hidden": dict(h=57, nh=3, nkv=1, head_dim=16, ffn=97, V=211, r=1, alpha=1, micro=[[[17, 1]]]),
    "odd_f16": dict(h=51, nh=3, nkv=3, head_dim=12, ffn=41, V=997, dt="float16", targets=FEED_FORWARD),
    "one_of_all": dict(h=8, L=1, nh=1, nkv=1, head_dim=4, ffn=1, V=5, r=1, alpha=1, targets=ALL, micro=[[[2, 0]]]),
    "wide": dict(h=2052, L=1, nh=4, nkv=2, head_dim=64, ffn=515, V=301, dt="bfloat16", r=8, alpha=16, steps=3),
    "wide_ffn": dict(h=96, L=1, nh=2, nkv=1, ffn=5632, V=131, targets=["down_proj"], steps=3),
    "deep": dict(h=32, L=9, nh=2, nkv=1, ffn=64, V=100),
    "vocabulary": dict(h=16, L=1, nh=1, nkv=1, ffn=24, V=45001, steps=2, micro=[[[257, 3], [4, 1]]], dt="bfloat16"),
    # ranks and targets
    "only_q": dict(targets=["q_proj"], r=1),
    "only_k": dict(targets=["k_proj"], r=3),
    "only_v": dict(targets=["v_proj"], r=5),
    "only_o": dict(targets=["o_proj"], r=16),
    "only_gate": dict(targets=["gate_proj"], r=64, alpha=128),
    "only_up": dict(targets=["up_proj"], r=7, tied=True),
    "only_down": dict(targets=["down_proj"], r=2),
    "all_r64": dict(targets=ALL, r=64, alpha=64, ffn=173),
    "all_gentle": dict(targets=ALL, r=8, alpha=8, lr=0.0005, steps=10),
    "above_hidden": dict(h=24, nh=2, nkv=1, head_dim=12, targets=["v_proj", "down_proj"], r=40, alpha=40),
    # training
    "clipped": dict(max_grad_norm=0.1, weight_decay=0.1, steps=10, warmup=3),
    "unclipped": dict(max_grad_norm=1e9, betas=[0.8, 0.99], eps=1e-6, steps=10),
    "many_micro": dict(micro=[[[1, 0], [2, 0], [30, 29]], [[5, 5]], [[40, 0], [3, 3]], [[7, 6]]], warmup=5, steps=8),
    "length_257": dict(h=48, nh=3, nkv=1, head_dim=16, micro=[[[257, 100], [1, 0], [2, 1]]], targets=ATTENTION),
    "length_2000": dict(h=64, nh=2, nkv=1, head_dim=64, V=71, micro=[[[2000, 1000]]], targets=ATTENTION, steps=2),
    "eps_1e-6": dict(rms_norm_eps=1e-6, tied=True, dt="float16", shard_bytes=40000),
    "sharded": dict(dt="bfloat16", shard_bytes=60000, rope_parameters=True, targets=FEED_FORWARD),
    "sharp": dict(targets=ALL, r=5, alpha=16, rs=True, tied=True, theta=500000.0, steps=12, warmup=3, weight_decay=0.01,
                  h=128, nh=4, nkv=4, ffn=344, V=512, seed=4,
                  micro=[[[40, 10], [17, 3]], [[61, 60]], [[9, 2], [33, 0]]]),
    "sharp_qv": dict(lr=0.05, r=8, alpha=64, steps=12),
}


def specification(name):
    """The named case with its defaults filled in, in case.json's order."""
    return DEFAULTS | CASES[name]
