"""Perplexity of a checkpoint, and the ids of a text for comparing tokenizers.

Usage: evaluate.py WORKDIR TEXTFILE

Prints two figures. `windows`: all of heldout.npy in windows of the context length, every position counted. `halves`: the
text file in chunks of the context length that each begin with <|begin_of_text|>, only the second half of a chunk
counted. The second is what llama-perplexity measures, so the two can be compared. Writes the ids of the text, the
beginning token included, to WORKDIR/ids.txt, one a line.
"""

import math
import pathlib
import sys

import jax
import jax.numpy as jnp
import numpy as np
from tokenizers import Tokenizer

import model
from tokenizer import BEGIN
from train import evaluate, load


def halves(params, ids):
    length, half = model.CONTEXT, model.CONTEXT // 2
    rows = ids[:len(ids) // length * length].reshape(-1, length)
    counted = np.arange(1, length) > half
    total = 0.0
    compiled = jax.jit(model.loss)
    for row in rows:
        tokens = np.concatenate([[BEGIN], row[1:]])
        total += float(compiled(params, jnp.asarray(tokens[None]), jnp.asarray(counted[None])))
    return total / len(rows), len(rows)


def main():
    work, text = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]).read_text()
    params, step = load(work)
    tokenizer = Tokenizer.from_file(str(work / "tokenizer.json"))
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    (work / "ids.txt").write_text("".join(f"{i}\n" for i in [BEGIN, *ids]))
    value = evaluate(params, np.load(work / "heldout.npy"))
    print(f"step {step} windows: loss {value:.4f} perplexity {math.exp(value):.3f}")
    value, chunks = halves(params, np.array([BEGIN, *ids]))
    print(f"step {step} halves: loss {value:.4f} perplexity {math.exp(value):.3f} over {chunks} chunks")


if __name__ == "__main__":
    main()
