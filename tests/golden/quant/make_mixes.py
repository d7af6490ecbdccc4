"""make_mixes.py FOLDER > mixes.txt: the formats that llama-quantize gives the tensors of some small models.  See README.md.

Needs the Python package gguf and llama-quantize (it only plans, --dry-run, so the weights may all be zero)."""

import collections
import os
import re
import subprocess
import sys

import gguf
import numpy as np

RECIPES = """F16 BF16 Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q2_K Q2_K_S Q3_K_S Q3_K_M Q3_K_L Q4_K_S Q4_K_M Q5_K_S Q5_K_M Q6_K IQ4_NL
IQ4_XS MXFP4_MOE""".split()
LETTERS = dict(f32="f", f16="h", bf16="b", q4_0="t", q4_1="u", q5_0="v", q5_1="w", q8_0="8", q2_K="2", q3_K="3", q4_K="4",
               q5_K="5", q6_K="6", iq4_nl="n", iq4_xs="x", mxfp4="m")


def model(folder, name, arch="llama", n_layer=32, n_embd=256, n_head=4, n_head_kv=1, n_ff=256, tied=False, n_expert=0,
          fused_qkv=False, attention_every=1, latent=False, keys={}):
    path = os.path.join(folder, name + ".gguf")
    w = gguf.GGUFWriter(path, arch)
    w.add_context_length(4096)
    w.add_embedding_length(n_embd)
    w.add_block_count(n_layer)
    w.add_feed_forward_length(n_ff)
    w.add_head_count(n_head)
    w.add_head_count_kv(n_head_kv)
    w.add_layer_norm_rms_eps(1e-6)
    w.add_layer_norm_eps(1e-6)
    w.add_vocab_size(256)
    if n_expert:
        w.add_expert_count(n_expert)
        w.add_expert_used_count(2)

    for key, value in keys.items():
        (w.add_float32 if isinstance(value, float) else w.add_uint32)(f"{arch}.{key}", value)

    def tensor(tensor_name, *shape):
        single = len(shape) == 1 or "ffn_gate_inp" in tensor_name
        w.add_tensor(tensor_name, np.zeros(shape, np.float32 if single else np.float16))

    q = n_embd
    kv = n_embd // n_head * n_head_kv
    tensor("token_embd.weight", 256, n_embd)
    tensor("output_norm.weight", n_embd)
    if not tied:
        tensor("output.weight", 256, n_embd)
    for i in range(n_layer):
        p = f"blk.{i}."
        tensor(p + "attn_norm.weight", n_embd)
        tensor(p + "ffn_norm.weight", n_embd)
        if i % attention_every != attention_every - 1:  # a linear attention layer
            tensor(p + "attn_qkv.weight", q + 2 * kv, n_embd)
            tensor(p + "attn_gate.weight", q, n_embd)
            tensor(p + "ssm_conv1d.weight", q, 4)
            tensor(p + "ssm_out.weight", n_embd, q)
        elif fused_qkv:
            tensor(p + "attn_qkv.weight", q + 2 * kv, n_embd)
            tensor(p + "attn_output.weight", n_embd, q)
        elif latent:
            tensor(p + "attn_q.weight", q, n_embd)
            tensor(p + "attn_kv_a_mqa.weight", kv, n_embd)
            tensor(p + "attn_k_b.weight", 4, 256, 256)
            tensor(p + "attn_v_b.weight", 4, 256, 256)
            tensor(p + "attn_output.weight", n_embd, q)
        else:
            tensor(p + "attn_q.weight", q, n_embd)
            tensor(p + "attn_k.weight", kv, n_embd)
            tensor(p + "attn_v.weight", kv, n_embd)
            tensor(p + "attn_v.bias", kv)
            tensor(p + "attn_output.weight", n_embd, q)
        if n_expert:
            tensor(p + "ffn_gate_inp.weight", n_expert, n_embd)
            tensor(p + "ffn_gate_exps.weight", n_expert, n_ff, n_embd)
            tensor(p + "ffn_up_exps.weight", n_expert, n_ff, n_embd)
            tensor(p + "ffn_down_exps.weight", n_expert, n_embd, n_ff)
        else:
            tensor(p + "ffn_gate.weight", n_ff, n_embd)
            tensor(p + "ffn_up.weight", n_ff, n_embd)
            tensor(p + "ffn_down.weight", n_embd, n_ff)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()
    print(f"model {name} {n_layer} {n_head // n_head_kv} {n_expert} {int(tied)}")
    for recipe in RECIPES:
        plan(path, name, recipe)
    os.remove(path)


def plan(path, name, recipe):
    run = subprocess.run(["llama-quantize", "--dry-run", path, recipe], capture_output=True, text=True)
    kinds = collections.OrderedDict()  # name with * for the layer -> [shape, letter per layer]
    for line in (run.stdout + run.stderr).splitlines():
        found = re.search(r"\] +(\S+) +- \[([\d, ]+)\], type = +(\w+), (.*)", line)
        if not found:
            continue
        tensor, shape, stored, rest = found.groups()
        changed = re.search(r"-> .*\((\w+)\)", rest)
        shape = "x".join(reversed(shape.replace(" ", "").split(",")))
        key = (re.sub(r"^blk\.\d+\.", "blk.*.", tensor), re.sub(r"^(1x)+(?=\d)", "", shape))
        kinds[key] = kinds.get(key, "") + LETTERS[changed.group(1) if changed else stored]
    if not kinds:
        sys.exit(f"{name} {recipe}: llama-quantize said\n{run.stdout}{run.stderr}")
    for (tensor, shape), letters in kinds.items():
        if name != "gqa4" and re.search(r"_norm|bias", tensor):
            continue  # the same everywhere; the first model has them
        print(f"{name} {recipe} {tensor} {shape} {letters}")


folder = sys.argv[1]
print("# model <name> <layers> <query heads per KV head> <experts> <tied embeddings>, then its tensors:")
print("# <model> <recipe> <tensor, * for the layer> <shape> <a letter per layer that has it>, in layer order")
print("letters " + " ".join(f"{letter}={name.lower()}" for name, letter in LETTERS.items()))
model(folder, "gqa4")
model(folder, "gqa2_28_tied", n_layer=28, n_head_kv=2, tied=True)
model(folder, "mha_30", n_layer=30, n_head_kv=4)
model(folder, "gqa4_80", n_layer=80)
model(folder, "experts8", n_expert=8, n_layer=16)
model(folder, "experts64", n_expert=64, n_layer=11, n_ff=64)
LATENT = {"attention.kv_lora_rank": 256, "attention.key_length_mla": 256, "attention.value_length_mla": 256,
          "expert_feed_forward_length": 256, "expert_shared_count": 1, "leading_dense_block_count": 1,
          "expert_weights_scale": 1.0, "rope.dimension_count": 64, "expert_gating_func": 1}
model(folder, "latent", arch="deepseek2", n_expert=2, n_layer=27, latent=True, keys=LATENT)
model(folder, "fused", arch="phi3", fused_qkv=True)
model(folder, "narrow", n_layer=24, n_embd=128, n_head=2, n_ff=48)
HYBRID = {"ssm.conv_kernel": 4, "ssm.inner_size": 256, "ssm.state_size": 64, "ssm.time_step_rank": 4, "ssm.group_count": 4,
          "expert_feed_forward_length": 256, "expert_shared_feed_forward_length": 256}
model(folder, "hybrid", arch="qwen3next", n_layer=24, attention_every=4, keys=HYBRID)
