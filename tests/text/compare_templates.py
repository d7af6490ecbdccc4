#!/usr/bin/env python3
"""Renders every template of a folder over many conversations with Python's jinja2 and with ours, and compares byte for byte.

Usage: compare_templates.py FOLDER [--tool build/tests/render_cases]
Needs jinja2 (pip install jinja2, or Debian's python3-jinja2). Exit code 1 when anything differs.
"""
import argparse
import json
import pathlib
import subprocess
import sys

from jinja_reference import render

NOW = 1753526400  # 26 Jul 2025

SYSTEM = {"role": "system", "content": "You are terse.  "}
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "  The weather \"now\" & later <b>",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string", "description": "Where – Köln, 東京"},
                "days": {"type": "integer", "description": "How many", "default": 3, "minimum": 1.5},
                "units": {"type": "string", "enum": ["C", "F"], "nullable": True, "description": "unit", "default": "C"},
                "tags": {"type": "array", "items": {"type": "string"}, "description": "t"},
                "nested": {"type": "object", "properties": {"deep": {"type": "array", "items": {"type": "number"}, "description": "x"}}, "required": ["deep"], "description": "n"},
                "any": {"type": ["string", "null"], "description": "a"},
                "either": {"oneOf": [{"type": "string", "description": "s", "default": "q"}, {"type": "number"}], "description": "o"},
            },
            "required": ["city"],
        },
        "return": {"type": "string", "description": "text"},
    },
}
PLAIN = {"type": "function", "function": {"name": "ping", "description": "Pings.", "parameters": {"type": "object", "properties": {}}}}
BARE = {"name": "bare", "description": "no wrapper", "parameters": {"type": "object", "properties": {"x": {"type": "string", "description": "d"}}}}


def user(text):
    return {"role": "user", "content": text}


def answer(text, **more):
    return {"role": "assistant", "content": text, **more}


def call(name, arguments, content="", identifier="abcdef123", **more):
    return {"role": "assistant", "content": content, "tool_calls": [{"id": identifier, "type": "function", "function": {"name": name, "arguments": arguments}}], **more}


def result(content, identifier="abcdef123"):
    return {"role": "tool", "content": content, "tool_call_id": identifier, "name": "get_weather"}


def conversations():
    """name, context"""
    hello = user("Hello <there> & 'you' \"all\"")
    two_calls = call("get_weather", {"city": "Köln", "days": 2})
    two_calls["tool_calls"].append({"id": "xyzxyz789", "type": "function", "function": {"name": "ping", "arguments": {}}})
    base = {
        "one user": [hello],
        "system": [SYSTEM, hello],
        "turns": [hello, answer("Hi."), user("And?"), answer("So."), user("Bye\n\n")],
        "system turns": [SYSTEM, hello, answer("Hi."), user("more")],
        "ends with the assistant": [hello, answer("The answer is")],
        "empty content": [user(""), answer(""), user("")],
        "spaces": [user("  \n\t padded \u00a0\u3000 \n"), answer("\n\nx\n"), user(" ")],
        "unicode": [user("Ünïcödé 😀 e\u0301 \u200d 中文 \u2028 \x7f \x01"), answer("ß → 𝔘"), user("ok")],
        "parts": [{"role": "user", "content": [{"type": "text", "text": "part one"}, {"type": "text", "text": " and two"}]}],
        "system parts": [{"role": "system", "content": [{"type": "text", "text": "sys"}]}, {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "see"}]}],
        "reasoning": [hello, answer("42", reasoning_content="long thought"), user("why?"), answer("because", reasoning_content=None), user("ok")],
        "reasoning last": [hello, answer("42", reasoning_content="\nthought\n", thinking="hm")],
        "think tags": [hello, answer("<think>\nhm\n</think>\n\n42"), user("again"), answer("<think>x</think>y")],
        "no_think": [{"role": "system", "content": "Be kind. /no_think "}, hello, answer("\n\nok"), user("x")],
        "call": [hello, call("get_weather", {"city": "Köln", "days": 2, "list": [1, 2.5, None, True], "o": {"a": "b"}}), result('{"t": 3}'), answer("3 degrees"), user("thanks")],
        "call as text": [hello, call("get_weather", '{"city": "Paris"}'), result("sunny"), user("and?")],
        "two calls": [SYSTEM, hello, two_calls, result("sunny"), result("pong", "xyzxyz789"), answer("done"), user("x")],
        "call waits": [hello, call("ping", {}, content="Let me see.")],
        "call none content": [hello, call("ping", "{}", content=None), result("pong"), answer("ok"), user("more")],
        "call with thought": [hello, call("ping", {}, thinking="t", reasoning_content="r"), result("pong")],
        "result as object": [hello, call("ping", {}), result({"content": "inner", "n": 1}), answer("ok"), user("x")],
        "result as list": [hello, call("ping", {}), result(["a", 1, None, 1e20, 0.1])],
        "bad id": [hello, call("ping", {}, identifier="1"), result("x", "1")],
        "wrong order": [hello, user("again")],
        "assistant first": [answer("I begin"), hello],
        "late system": [hello, answer("x"), SYSTEM, user("y")],
        "tool_calls none": [hello, answer("x", tool_calls=None), user("y")],
        "tool_calls empty": [hello, answer("x", tool_calls=[]), user("y")],
        "unknown role": [{"role": "critic", "content": "boo"}],
        "developer": [{"role": "developer", "content": "Rules."}, hello],
        "no messages": [],
        "content none": [user(None)],
        "content missing": [{"role": "user"}],
        "number content": [user(5)],
    }
    for name, messages in base.items():
        for add in (True, False):
            yield f"{name}, add={add}", {"messages": messages, "tools": None, "documents": None, "add_generation_prompt": add}
    variants = {
        "tools": {"tools": [WEATHER, PLAIN]},
        "one plain tool": {"tools": [PLAIN]},
        "bare tool": {"tools": [BARE]},
        "no tools": {"tools": []},
        "dated": {"date_string": "01 Jan 2026", "tools": [PLAIN]},
        "builtin": {"builtin_tools": ["brave_search", "python", "browser", "code_interpreter"], "tools": None},
        "not in user": {"tools": [WEATHER], "tools_in_user_message": False},
        "no thinking": {"enable_thinking": False},
        "effort": {"reasoning_effort": "high", "model_identity": "I am.", "tools": [WEATHER]},
    }
    for which in ("one user", "system", "turns", "call", "two calls", "call waits", "result as object", "unicode", "system parts", "wrong order"):
        for name, more in variants.items():
            for add in (True, False):
                yield f"{which}, {name}, add={add}", {"messages": base[which], "tools": None, "documents": None, "add_generation_prompt": add, **more}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--tool", default="build/tests/render_cases")
    arguments = parser.parse_args()
    files = sorted(arguments.folder.glob("*.jinja"))
    if not files:
        sys.exit(f"{arguments.folder}: no *.jinja files")
    cases = []
    for file in files:
        for name, context in conversations():
            context = {"bos_token": "<s>", "eos_token": "</s>", **context}
            cases.append((file, name, {"template": file.read_text(), "context": context, "now": NOW}))
    lines = "".join(json.dumps(case[2], ensure_ascii=False) + "\n" for case in cases)
    replies = subprocess.run([arguments.tool], input=lines.encode(), stdout=subprocess.PIPE, check=True).stdout.decode().split("\n")
    wrong = raised = 0
    totals = {}
    for (file, name, request), reply in zip(cases, replies, strict=False):
        ours, theirs = json.loads(reply), render(request["template"], request["context"], NOW)
        raised += "error" in theirs
        same = ours.get("text") == theirs.get("text") and ours.get("raised") == theirs.get("raised")
        same = same and (not theirs.get("raised") or ours["error"] == theirs["error"])
        totals.setdefault(file.name, [0, 0])[0 if same else 1] += 1
        if not same:
            wrong += 1
            if wrong <= 10:
                print(f"{file.name}: {name}\n  jinja2: {theirs}\n  ours:   {ours}")
    for name, (good, bad) in totals.items():
        print(f"{name}: {good} equal, {bad} different")
    print(f"{len(cases)} renderings, {wrong} different, {raised} where jinja2 raises")
    sys.exit(1 if wrong else 0)


main()
