"""Train the byte-level BPE tokenizer and turn the text into token ids.

Usage: tokenizer.py WORKDIR

The pre-tokenizer is the one that GGUF calls `llama-bpe`, so the exported file names it correctly.
"""

import json
import pathlib
import random
import sys

import numpy as np
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

VOCAB = 4096
SPECIALS = ["<|begin_of_text|>", "<|end_of_text|>", "<|im_start|>", "<|im_end|>"]
BEGIN, END, IM_START, IM_END = range(4)
LLAMA_BPE = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
             r"|\s+(?!\S)|\s+")


def documents(path):
    with open(path) as lines:
        return [json.loads(line)["text"] for line in lines]


def train(texts):
    tokenizer = Tokenizer(models.BPE(ignore_merges=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(LLAMA_BPE), behavior="isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=VOCAB, special_tokens=[AddedToken(s, special=True) for s in SPECIALS],
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), max_token_length=24,
                                  show_progress=False)
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def encode(tokenizer, texts):
    """Every document begins with BEGIN and ends with END, as the runtime sees a text."""
    ids = []
    for start in range(0, len(texts), 256):
        for e in tokenizer.encode_batch(texts[start:start + 256], add_special_tokens=False):
            ids.append(np.array([BEGIN, *e.ids, END], np.uint16))
    return np.concatenate(ids)


def main():
    work = pathlib.Path(sys.argv[1])
    texts = documents(work / "train.jsonl")
    random.Random(1).shuffle(texts)
    if (work / "tokenizer.json").exists():
        tokenizer = Tokenizer.from_file(str(work / "tokenizer.json"))
    else:
        tokenizer = train(texts)
        tokenizer.save(str(work / "tokenizer.json"))
    for name, docs in (("train", texts), ("heldout", documents(work / "heldout.jsonl"))):
        ids = encode(tokenizer, docs)
        np.save(work / f"{name}.npy", ids)
        print(f"{name}: {len(docs)} documents, {sum(len(d.encode()) for d in docs)} bytes, {len(ids)} tokens")


if __name__ == "__main__":
    main()
