#!/usr/bin/env python3
"""The program on a driver that fails at the n-th call (layer.cpp): the same answer with exit 0, or exit 1 with a message; never another answer, a crash
or a hang.

Usage: faults_test.py PATH_TO_ATLAS_VK FOLDER_OF_THE_LAYER TESTS_FOLDER

Tries every n of submissions and waits, and three of every other call. ATLAS_FAULTS_EVERY_N=1: every n of every call, of one answer and of several
(ci/full). ATLAS_FAULTS_RUN names a command that the program is run by, for instance a debugger's.
"""
import concurrent.futures
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PROGRAM, LAYER, TESTS = (Path(argument).resolve() for argument in sys.argv[1:4])
MODEL = TESTS / "models/atlas-tiny-Q4_K_M.gguf"
EVERY_N = os.environ.get("ATLAS_FAULTS_EVERY_N") == "1"
RUN_BY = shlex.split(os.environ.get("ATLAS_FAULTS_RUN", ""))
TIMEOUT_S = 120  # of one run, which takes a second

ONE = ["run", "-m", MODEL, "--raw", "--temperature", "0", "-n", "4", "-q", "hello"]
SEVERAL = ["run", "-m", MODEL, "--raw", "--temperature", "0", "-n", "4", "--parallel", "3", "--prompts", "-"]
PROMPTS = "def add(a, b):\nfor i in range(\nimport os\n"

# What each function may answer beside success. Those that are not listed run out of memory.
FAULTS = {
    "vkQueueSubmit": ["VK_ERROR_OUT_OF_HOST_MEMORY", "lost", "lost-done", "late", "never"],
    "vkWaitSemaphores": ["VK_ERROR_OUT_OF_HOST_MEMORY", "VK_TIMEOUT", "hang", "lost", "lost-done"],
    "vkMapMemory": ["VK_ERROR_MEMORY_MAP_FAILED"],
    "vkGetPhysicalDeviceMemoryProperties2": ["shrink"],
    "vkAllocateMemory": ["VK_ERROR_OUT_OF_DEVICE_MEMORY"],
    "vkCreateDevice": ["VK_ERROR_INITIALIZATION_FAILED", "lost"],
    "vkCreateComputePipelines": ["VK_ERROR_OUT_OF_HOST_MEMORY", "VK_ERROR_UNKNOWN"],
    "vkCmdDispatch": [],  # has no result; see wrong_numbers
}
MATTER = ["vkQueueSubmit", "vkWaitSemaphores"]  # every n in any case
FEW = 3  # of the others: the first, one between, the last


class Scene:
    """A command with its own cache folder, which an earlier start has filled or not."""

    def __init__(self, name, command, stdin, cache):
        self.name, self.command, self.stdin, self.cache = name, command, stdin, cache

    def run(self, fault="", cache=None):
        with tempfile.TemporaryDirectory() as folder:
            log = Path(folder) / "log"
            home = cache or self.cache
            environment = dict(os.environ, VK_ADD_LAYER_PATH=str(LAYER), VK_INSTANCE_LAYERS="VK_LAYER_ATLAS_fault", ATLAS_FAULT=fault,
                               ATLAS_FAULT_LOG=str(log), XDG_CACHE_HOME=str(home), XDG_STATE_HOME=str(home))
            start = time.monotonic()
            try:
                done = subprocess.run([*RUN_BY, PROGRAM, *map(str, self.command)], input=self.stdin.encode(), capture_output=True, timeout=TIMEOUT_S,
                                      env=environment)
                code, out, err = done.returncode, done.stdout, done.stderr.decode(errors="replace")
            except subprocess.TimeoutExpired as hung:
                code, out, err = "no end", hung.stdout or b"", (hung.stderr or b"").decode(errors="replace")
            lines = log.read_text().splitlines() if log.exists() else []
        return {"code": code, "out": out, "err": err, "seconds": time.monotonic() - start, "came": any(line.startswith("fault ") for line in lines),
                "calls": {line.split()[1]: int(line.split()[2]) for line in lines if line.startswith("calls ")}}


def whole_answers(out):
    """Of --prompts, by prompt: how much was reused or retried may differ, what was answered may not."""
    rows = [json.loads(line) for line in out.decode(errors="replace").splitlines()]
    return {row["prompt"]: row["answer"] for row in rows if row.get("finish") in ("complete", "max_tokens", "context_full")}


def complaint(scene, clean, got):
    """What is wrong with a run under a fault, or None."""
    if scene.stdin:
        answers, expected = whole_answers(got["out"]), whole_answers(clean["out"])
        same, a_part = answers == expected, answers.items() <= expected.items()
    else:
        same, a_part = got["out"] == clean["out"], clean["out"].startswith(got["out"].rstrip(b"\n"))
    if not same and (got["code"] == 0 or not a_part):
        return f"another answer with exit {got['code']}: {got['out']!r}, expected {clean['out']!r}"
    if got["code"] == 0:
        return None
    if got["code"] != 1:
        return f"exit {got['code']}"
    errors = [line for line in got["err"].splitlines() if line.startswith("atlas-vk: error: ")]
    if len(errors) != 1:
        return f"{len(errors)} messages, expected one"
    return None


def chosen_calls(n_calls, function, every):
    if every or function in MATTER or n_calls <= FEW:
        return range(1, n_calls + 1)
    return sorted({1, (n_calls + 1) // 2, n_calls})


def trial(scene, clean, fault, own_cache):
    if own_cache:  # what one start learns, the next would know
        with tempfile.TemporaryDirectory() as cache:
            got = scene.run(fault, cache)
    else:
        got = scene.run(fault)
    wrong = complaint(scene, clean, got)
    if not got["came"]:
        wrong = f"the fault did not come (exit {got['code']})"
    return fault, got, wrong


def try_scene(scene, every, own_cache=False):
    first = scene.run(cache=None)
    clean = scene.run()
    if first["code"] != 0 or clean["code"] != 0 or first["out"] != clean["out"] or not clean["out"]:
        print(f"{scene.name}: without faults: exit {first['code']} and {clean['code']}, {first['out']!r} and {clean['out']!r}\n{first['err']}{clean['err']}")
        return 1
    calls = first["calls"] if own_cache else clean["calls"]
    if not calls:
        print(f"{scene.name}: the layer was not loaded from {LAYER}\n{clean['err']}")
        return 1
    faults = [f"{function}:{n}:{what}" for function, n_calls in sorted(calls.items())
              for what in FAULTS.get(function, ["VK_ERROR_OUT_OF_HOST_MEMORY"]) for n in chosen_calls(n_calls, function, every)]
    counts = {0: 0, 1: 0}
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for fault, got, wrong in pool.map(lambda fault: trial(scene, clean, fault, own_cache), faults):
            counts[got["code"]] = counts.get(got["code"], 0) + 1
            if wrong:
                failed += 1
                print(f"{scene.name}: {fault}: {wrong}\n    {got['err'].strip()[-600:]}")
    print(f"{scene.name}: {len(faults)} faults: {counts[1]} ended with a message, {counts[0]} gave the same answer, {failed} did neither", flush=True)
    return failed


def wrong_numbers(folder):
    """Every kernel fails its self-test: one error, no warnings, no answer. The verdicts are kept, so the second start says it as well."""
    scene = Scene("wrong numbers", ONE, "", Path(folder) / "wrong")
    failed = 0
    for start in range(2):
        got = scene.run("vkCmdDispatch:1+:skip")
        said = [line for line in got["err"].splitlines() if re.search(r"error|warning", line)]
        if got["code"] != 1 or got["out"] or len(said) != 1 or "computes wrong numbers" not in said[0]:
            failed += 1
            print(f"wrong numbers: start {start + 1}: exit {got['code']}, {got['out']!r}\n{got['err']}")
    return failed


def hanging_self_test(folder):
    """A kernel that hangs in its self-test is avoided at the next start, which answers."""
    scene = Scene("hanging self-test", ONE, "", Path(folder) / "hanging")
    first = scene.run("vkQueueSubmit:1:never")
    second = scene.run()
    hung = re.search(r"the self-test of kernel (.*?):", first["err"])
    files = list((Path(folder) / "hanging").rglob("kernels/*.json"))
    kept = json.loads(files[0].read_text()) if files else {}
    if first["code"] == 1 and hung and second["code"] == 0 and second["out"] and hung[1] in kept.get("unfinished", []) and hung[1] not in kept["tested"]:
        return 0
    print(f"hanging self-test: exit {first['code']} and {second['code']}; kept: {kept}\n{first['err']}{second['err']}")
    return 1


def main():
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        # Mesa's own cache is shared, so that its compiler's time is spent once.
        os.environ.setdefault("MESA_SHADER_CACHE_DIR", os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache")))
        failed = try_scene(Scene("one answer", ONE, "", Path(folder) / "one"), EVERY_N)
        failed += try_scene(Scene("several answers", SEVERAL, PROMPTS, Path(folder) / "several"), EVERY_N)
        failed += wrong_numbers(folder) + hanging_self_test(folder)
        if EVERY_N:
            failed += try_scene(Scene("first start", ONE, "", Path(folder) / "first"), True, own_cache=True)
    print(f"{time.monotonic() - start:.0f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
