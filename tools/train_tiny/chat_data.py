"""Make short chat conversations out of the training text, for the finishing phase.

Usage: chat_data.py WORKDIR

Every documented function of the training files becomes one conversation, so no text of another origin comes in. The
phase teaches the form of a turn (answer, then <|im_end|>), and hardly any knowledge.
"""

import ast
import json
import pathlib
import random
import sys
import textwrap

import numpy as np
from tokenizers import Tokenizer

from tokenizer import BEGIN, END

LONGEST = 400  # tokens; longer conversations do not fit a window well
REQUESTS = ["Write a Python function `{name}`. {summary}", "Implement `{name}({args})` in Python. {summary}",
            "{summary} Write it as a Python function called `{name}`.", "Please write `{name}`: {summary}"]
GREETINGS = [("Hello", "Hello! How can I help you?"), ("Hi!", "Hello! How can I help you?"),
             ("Hello!", "Hello! How can I help you with your code?"), ("Who are you?", "I am atlas-tiny, a very small "
              "language model. I know a little Python."), ("What can you do?", "I can write short Python functions and "
              "say what code does. I am very small, so please check what I write."),
             ("Thank you", "You are welcome."), ("Thanks!", "You are welcome."), ("Bye", "Goodbye!")]


def functions(text):
    """(name, arguments, summary, source without docstring, source with docstring) of each documented function."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return
    for node in ast.walk(tree):
        if not isinstance(node, ast.FunctionDef) or node.decorator_list or len(node.body) < 2:
            continue
        docstring = ast.get_docstring(node)
        if not docstring or not docstring[0].isupper():
            continue
        summary = " ".join(docstring.split("\n\n")[0].split())
        if not 15 < len(summary) < 200 or any(mark in summary for mark in (":param", ">>>", "|", "::")):
            continue
        lines = text.split("\n")
        whole = textwrap.dedent("\n".join(lines[node.lineno - 1:node.end_lineno]))
        head = lines[node.lineno - 1:node.body[0].lineno - 1]
        body = lines[node.body[0].end_lineno:node.end_lineno]
        bare = textwrap.dedent("\n".join(head + body))
        yield node.name, ", ".join(a.arg for a in node.args.args), summary.rstrip(".") + ".", bare, whole


def conversation(rng, name, args, summary, bare, whole):
    kind = rng.random()
    if kind < 0.6:
        return rng.choice(REQUESTS).format(name=name, args=args, summary=summary), f"```python\n{bare}\n```"
    if kind < 0.8:
        return f"What does this function do?\n```python\n{bare}\n```", summary
    return f"Add a docstring to this function.\n```python\n{bare}\n```", f"```python\n{whole}\n```"


def main():
    work = pathlib.Path(sys.argv[1])
    tokenizer = Tokenizer.from_file(str(work / "tokenizer.json"))
    rng = random.Random(2)
    turns = []
    with open(work / "train.jsonl") as lines:
        for line in lines:
            text = json.loads(line)["text"]
            turns += [conversation(rng, *f) for f in functions(text)]
    turns += GREETINGS * (len(turns) // 300)
    rng.shuffle(turns)
    ids, kept = [], 0
    for question, answer in turns:
        text = f"<|im_start|>user\n{question}<|im_end|>\n<|im_start|>assistant\n{answer}<|im_end|>\n"
        encoded = tokenizer.encode(text, add_special_tokens=False).ids
        if len(encoded) <= LONGEST:
            ids += [BEGIN, *encoded, END]
            kept += 1
    np.save(work / "chat.npy", np.array(ids, np.uint16))
    print(f"{kept} conversations, {len(ids)} tokens")


if __name__ == "__main__":
    main()
