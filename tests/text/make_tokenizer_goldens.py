#!/usr/bin/env python3
"""Writes tests/golden/nfc_cases.json: texts, their NFC, and the ids that a small byte-level BPE tokenizer with Qwen2's rules gives them,
by the library of the original tokenizers (Hugging Face tokenizers). With --check it compares 10,000 random texts and prints what differs.

Usage: make_tokenizer_goldens.py > tests/golden/nfc_cases.json                          (needs PyPI tokenizers)
       make_tokenizer_goldens.py --check MODEL.gguf [--atlas build/atlas-vk] [-n 10000]  (needs PyPI gguf too)

The tokenizer of a MODEL is made of its own tables: merges, added tokens by type, and the rules of Qwen2's tokenizer.json. The library's
Unicode tables are of version 9, so that marks which are younger are no part of the texts.
"""
import argparse
import json
import random
import subprocess
import sys
import unicodedata

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

QWEN2 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)

# Texts with what is known to go wrong: marks, Hangul, singletons, exclusions, order of marks, the borders of words and special tokens.
CHOSEN = [
    "cafe\u0301", "cafe\u0301 au lait, de\u0301ja\u0300 vu", "caf\u00e9", "\u212b \u2126 \u212a", "A\u030a", "\u1112\u1161\u11ab\u1100\u1173\u11af",
    "\uac00\u11a8", "\u1100\u1161", "\u1100\u1161\u11a7", "q\u0307\u0323", "q\u0323\u0307", "\u1e0b\u0323", "a\u0315\u0300\u05ae\u0300b", "\u0958 \u0929 \u09dc",
    "\u2adc", "\u0344", "\u0340\u0341\u0343", "\ufb1d \ufb2a", "\U0001d15e\U0001d15f", "\U00011099\U000110ba", "\u0b47\u0b56", "\u0cc6\u0cc2\u0cd5", "\u1025\u102e",
    "\u3099\u304b\u3099\u3066\u3099", "\u304b\u309a", "\uf900 \ufa0e \u2f00", "e\u0301\u0301\u0323", " \u0301x", "\n\u0301", "1\u0301\u0302", "\u0301", "\u0301\u0301", "e<|end|>\u0301",
    "e\u0301<|end|>e\u0301", "<|end|>\u0301", "\ufb01 \u00bd \u2460", "\u0130\u0307 \u00df", "\u0345\u03b1", "\u1f80 \u1f71", "x\u200d\u0301", "\ufeff\u00c5 A\u030a",
    "naive text 123 without any mark", "",
]


def young(character):
    """Marks that Unicode 9 did not have."""
    return unicodedata.ucd_3_2_0.combining(character) == 0 and unicodedata.combining(character) != 0


def random_texts(count, seed=12):
    """Mixes of what composes, what does not, and plain text."""
    rng = random.Random(seed)
    marks = [chr(c) for c in range(0x300, 0x370)] + list("\u0591\u05b0\u064b\u0651\u093c\u09bc\u0e38\u0f71\u0f72\u1dc0\u20d0\u302a\u3099\u309a\ufe20")
    letters = list("aAeEiIoOuUcCnNsSyYzZqx") + [chr(c) for c in range(0xC0, 0x250)] + [chr(c) for c in range(0x391, 0x3CA)] + [chr(c) for c in range(0x410, 0x450)]
    hangul = [chr(c) for c in (*range(0x1100, 0x1113), *range(0x1161, 0x1176), *range(0x11A7, 0x11C3))] + [chr(rng.randrange(0xAC00, 0xD7A4)) for _ in range(40)]
    singles = [chr(c) for c in range(0xA0, 0x30000) if unicodedata.ucd_3_2_0.decomposition(chr(c)) and not unicodedata.decomposition(chr(c)).startswith("<")]
    plain = list(" .,;-_'\n\t<>/()=0123456789") + ["def ", "</s>", "<br/>", "'ll", "  ", "\r\n"]
    for _ in range(count):
        text = ""
        for _ in range(rng.randrange(1, 24)):
            text += rng.choice(rng.choice([marks, marks, letters, letters, hangul, singles, plain, plain]))
        yield "".join(c for c in text if not young(c))


def tokenizer_of(tokens, merges, added):
    """`added` are (spelling, special). Ids are places in `tokens`."""
    ids = {token: i for i, token in enumerate(tokens)}
    for spelling, _ in added:
        ids.setdefault(spelling, len(ids))
    tokenizer = Tokenizer(models.BPE(vocab=ids, merges=[tuple(m.split(" ")) for m in merges], fuse_unk=False, byte_fallback=False))
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(QWEN2), behavior="isolated", invert=False), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(spelling, normalized=False, special=True) for spelling, special in added if special])
    tokenizer.add_tokens([AddedToken(spelling, normalized=False, special=False) for spelling, special in added if not special])
    return tokenizer


def small_tokenizer():
    """Trained on nothing much: enough merges that composed and decomposed text get different ids."""
    from tokenizers import trainers

    tokenizer = tokenizer_of([], [], [])
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=700, initial_alphabet=alphabet, show_progress=False)
    corpus = [unicodedata.normalize("NFC", text) for text in CHOSEN * 3] + list(random_texts(300, seed=5))
    tokenizer.train_from_iterator(corpus, trainer)
    model = json.loads(tokenizer.to_str())["model"]
    tokens = [token for token, _ in sorted(model["vocab"].items(), key=lambda item: item[1])]
    merges = [" ".join(merge) for merge in model["merges"]]
    return tokens, merges


def write_goldens():
    tokens, merges = small_tokenizer()
    added = [("<|end|>", True)]
    tokenizer = tokenizer_of(tokens, merges, added)
    cases = []
    for text in CHOSEN + list(random_texts(60)):
        nfc = normalizers.NFC().normalize_str(text)
        cases.append({"text": text, "nfc": nfc, "ids": tokenizer.encode(text, add_special_tokens=False).ids})
    golden = {"tokens": tokens + [spelling for spelling, _ in added], "n_added": len(added), "merges": merges, "cases": cases}
    lines = [f'"{key}": {json.dumps(golden[key])}' for key in ("n_added", "tokens", "merges")]
    lines.append('"cases": [\n' + ",\n".join(json.dumps(case) for case in cases) + "\n]")
    print("{\n" + ",\n".join(lines) + "\n}")


def check(model, atlas, count):
    import gguf

    reader = gguf.GGUFReader(model)
    value = lambda key: reader.fields[key].contents()
    tokens, types, merges = (value(f"tokenizer.ggml.{key}") for key in ("tokens", "token_type", "merges"))
    tokenizer = tokenizer_of([t for t, kind in zip(tokens, types)], merges, [(t, kind == 3) for t, kind in zip(tokens, types) if kind in (3, 4)])
    different = 0
    texts = CHOSEN + list(random_texts(count))
    # One run for many texts: a special token between them keeps them apart.
    for begin in range(0, len(texts), 500):
        part = texts[begin : begin + 500]
        text = "<|im_end|>".join(part)
        done = subprocess.run([atlas, "tokenize", "-m", model, "-"], input=text.encode(), stdout=subprocess.PIPE, check=True)
        if [int(i) for i in done.stdout.split()] == tokenizer.encode(text, add_special_tokens=False).ids:
            continue
        for single in part:
            done = subprocess.run([atlas, "tokenize", "-m", model, "-"], input=single.encode(), stdout=subprocess.PIPE, check=True)
            ours, theirs = [int(i) for i in done.stdout.split()], tokenizer.encode(single, add_special_tokens=False).ids
            if ours != theirs:
                different += 1
                print(f"DIFFERENT {single!a}: tokenizers {theirs} atlas-vk {ours}")
    print(f"{len(texts)} texts, {different} different")
    return 1 if different else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", metavar="MODEL.gguf")
    parser.add_argument("--atlas", default="build/atlas-vk")
    parser.add_argument("-n", type=int, default=10000)
    args = parser.parse_args()
    return check(args.check, args.atlas, args.n) if args.check else write_goldens()


if __name__ == "__main__":
    sys.exit(main())
