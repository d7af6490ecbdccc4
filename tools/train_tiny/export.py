"""Write a checkpoint as a GGUF file with F16 matrices and F32 norms.

Usage: export.py WORKDIR OUT.gguf
"""

import json
import pathlib
import sys

import gguf
import numpy as np

import model
from tokenizer import BEGIN, END, IM_END, SPECIALS

CHAT_TEMPLATE = ("{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + "
                 "'<|im_end|>\\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}")

# name in the checkpoint -> name in a GGUF block
BLOCK = {"wq": "attn_q", "wk": "attn_k", "wv": "attn_v", "wo": "attn_output", "gate": "ffn_gate", "up": "ffn_up",
         "down": "ffn_down", "norm_attn": "attn_norm", "norm_ffn": "ffn_norm"}


def write_shape(out):
    out.add_name("atlas-tiny")
    out.add_description("A small model of Python code and documentation, for tests and as an embedded default")
    out.add_license("mit")
    out.add_context_length(model.CONTEXT)
    out.add_embedding_length(model.WIDTH)
    out.add_block_count(model.LAYERS)
    out.add_feed_forward_length(model.FFN)
    out.add_head_count(model.HEADS)
    out.add_head_count_kv(model.KV_HEADS)
    out.add_key_length(model.HEAD_DIM)
    out.add_value_length(model.HEAD_DIM)
    out.add_rope_dimension_count(model.HEAD_DIM)
    out.add_rope_freq_base(model.ROPE_BASE)
    out.add_layer_norm_rms_eps(model.EPSILON)
    out.add_vocab_size(model.VOCAB)
    out.add_file_type(gguf.LlamaFileType.MOSTLY_F16)


def write_tokenizer(out, path):
    bpe = json.loads(path.read_text())["model"]
    tokens = sorted(bpe["vocab"], key=bpe["vocab"].get)
    if len(tokens) != model.VOCAB or tokens[:len(SPECIALS)] != SPECIALS:
        raise SystemExit("the tokenizer does not belong to this model")
    types = [gguf.TokenType.CONTROL if t in SPECIALS else gguf.TokenType.NORMAL for t in tokens]
    out.add_tokenizer_model("gpt2")
    out.add_tokenizer_pre("llama-bpe")
    out.add_token_list(tokens)
    out.add_token_types(types)
    out.add_token_merges([m if isinstance(m, str) else " ".join(m) for m in bpe["merges"]])
    out.add_bos_token_id(BEGIN)
    out.add_eos_token_id(END)
    out.add_eot_token_id(IM_END)
    out.add_add_bos_token(True)
    out.add_add_eos_token(False)
    out.add_chat_template(CHAT_TEMPLATE)


def main():
    work, target = pathlib.Path(sys.argv[1]), sys.argv[2]
    weights = np.load(work / "checkpoint.npz")
    out = gguf.GGUFWriter(target, "llama")
    write_shape(out)
    write_tokenizer(out, work / "tokenizer.json")
    out.add_tensor("token_embd.weight", weights["embed"].astype(np.float16))
    for i in range(model.LAYERS):
        for ours, theirs in BLOCK.items():
            value = weights[ours][i]
            # A checkpoint holds [in, out]; GGUF wants one row per output.
            value = value.astype(np.float32) if value.ndim == 1 else np.ascontiguousarray(value.T).astype(np.float16)
            out.add_tensor(f"blk.{i}.{theirs}.weight", value)
    out.add_tensor("output_norm.weight", weights["norm_out"].astype(np.float32))
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()
    print(f"{target}: step {int(weights['step'])}")


if __name__ == "__main__":
    main()
