#!/usr/bin/env python3
"""Writes tests/golden/jinja_cases.json: small templates, one construct each, with what Python's jinja2 makes of them.

Usage: make_jinja_goldens.py > tests/golden/jinja_cases.json   (needs jinja2)
"""
import json
import pathlib
import sys

from jinja_reference import render

NOW = 1753526400
CONTEXT = {
    "name": "World", "n": 7, "x": 2.5, "yes": True, "no": False, "nil": None, "empty": "", "text": "  Hello, <b>Wörld</b> & 'co' 中文😀  ",
    "list": [3, 1, 2], "words": ["pear", "Apple", "fig", "apple"], "nested": {"a": {"b": [1, {"c": "deep"}]}, "items": "shadow", "get": 1},
    "people": [{"name": "Ann", "age": 30, "tags": ["x"]}, {"name": "bob", "age": 25, "tags": []}, {"name": "Cid", "age": 30}],
    "map": {"b": 1, "a": None, "c": [True, 1.0, "q\"'\n\t\\é\u200b"]},
    "messages": [{"role": "system", "content": "S"}, {"role": "user", "content": "U"}, {"role": "assistant", "content": "A"}],
}


def main():
    folder = pathlib.Path(__file__).parent / "templates"
    cases = []
    for file in sorted(folder.glob("*.txt")):
        # Cases are separated by a line of four equals signs; a line of text is one character of line end less.
        for template in file.read_text(encoding="utf-8").split("\n====\n"):
            result = render(template, CONTEXT, NOW)
            cases.append({"group": file.stem, "template": template, **({"text": result["text"]} if "text" in result else {"raised": result["raised"], "error": result["error"] if result["raised"] else ""})})
    # One case a line: easy to read in a difference.
    sys.stdout.write('{"now": %d,\n"context": %s,\n"cases": [\n' % (NOW, json.dumps(CONTEXT, ensure_ascii=False)))
    sys.stdout.write(",\n".join(json.dumps(case, ensure_ascii=False) for case in cases))
    sys.stdout.write("\n]}\n")


main()
