#!/usr/bin/env python3
"""`atlas-vk run` as a user sees it: where the prompt comes from, many prompts, flags, signals, and what stands on stderr.

Usage: run_test.py PATH_TO_ATLAS_VK TESTS_FOLDER [unittest arguments]
"""
import json
import os
import pty
import re
import select
import signal
import struct
import fcntl
import subprocess
import sys
import termios
import time
import unittest
from pathlib import Path

import biased_model
import cli_test
from cli_test import Cli, atlas, listens

GREEDY = ("--raw", "--temperature", "0", "-n", "8")


def run_flags(*more):
    return ("run", "-m", cli_test.TINY, *GREEDY, *more)


def shell(command, stdin=None, timeout=60):
    """The output of a shell's command, in which $RUN is `atlas-vk run` on the tiny model."""
    run = " ".join(f"'{word}'" for word in (cli_test.PROGRAM, *run_flags("-v")))
    done = subprocess.run(["bash", "-c", command.replace("$RUN", run)], stdin=stdin, capture_output=True, timeout=timeout)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


class ACacheThatHurts(Cli):
    """Qwen2's keys have biases, and a small cache hurts such models: `run` warns, and names a cache that costs less."""

    def warned(self, *flags, bias=100.0):
        model = biased_model.write_biased(Path(cli_test.TINY), Path(self.folder.name) / f"biased-{bias}.gguf", bias)
        code, out, err = atlas("run", "-m", model, *GREEDY, *flags, "def f")
        self.assertEqual(code, 0, err)
        self.assertNotEqual(out.strip(), "")
        return re.findall(r"^atlas-vk: warning: (a .* cache.*)$", err, re.MULTILINE)

    def test_run_warns_of_it_once_and_says_what_is_better(self):
        (line,) = self.warned("--kv", "q4_0")
        for words in ("a q4_0 cache is known to hurt models with keys like this one's: at least ", " % more perplexity (", "Better: --kv q8_0"):
            self.assertIn(words, line)
        (line,) = self.warned("--kv", "q4_0", "--kv-rotation", "none")
        self.assertIn("a q4_0 cache with this --kv-rotation is known to hurt", line)

    def test_run_does_not_warn_of_what_does_not_hurt(self):
        self.assertEqual(self.warned("--kv", "q8_0"), [])
        self.assertEqual(self.warned(), [])
        self.assertEqual(self.warned("--kv", "q4_0", bias=0.0), [])

    def test_plan_does_not_advise_it_and_shows_only_what_was_measured(self):
        model = biased_model.write_biased(Path(cli_test.TINY), Path(self.folder.name) / "m.gguf", 100.0)
        flags = ("plan", "--file", model, "--card", "RTX 3090")
        code, out, err = atlas(*flags)
        self.assertEqual(code, 0, err)
        rows = {line.split()[0]: " ".join(line.split()[4:]) for line in out.partition("Cache formats of")[2].splitlines()[2:7]}
        self.assertEqual(rows["f16"], "none")
        self.assertRegex(rows["q4_0"], r"^not advised: >\d+\.\d\d %$")
        self.assertEqual(rows["q8_0"], "not measured", "its keys are harder than those of every model that was measured")
        trades = {row["kv"]: row for row in json.loads(atlas(*flags, "--json")[1])["kv_trades"]}
        self.assertEqual(trades["f16"]["perplexity_increase"], 0)
        self.assertIsNone(trades["f16"]["perplexity_source"])
        self.assertIsNone(trades["q8_0"]["perplexity_increase"])
        self.assertIsNone(trades["q4_0"]["perplexity_increase"])
        self.assertGreater(trades["q4_0"]["perplexity_increase_at_least"], 0.04)


class WhereThePromptComesFrom(Cli):
    def answer(self, *arguments, **options):
        code, out, err = atlas(*run_flags("-v", *arguments), **options)
        self.assertEqual(code, 0, err)
        return out, re.search(r"prompt (\d+) tokens?", err).group(1)

    def test_stdin_is_added_to_the_words(self):
        whole = self.answer("explain\n\ndef f():\n    pass\n")
        self.assertEqual(self.answer("explain", stdin="def f():\n    pass\n"), whole)
        self.assertEqual(self.answer("explain", "-", stdin="def f():\n    pass\n"), whole)
        self.assertEqual(self.answer("-p", "explain", stdin="def f():\n    pass\n"), whole)
        path = self.file("f.py", b"def f():\n    pass\n")
        self.assertEqual(self.answer("explain", "-f", path), whole)
        with open(path) as file:
            code, out, _ = shell("$RUN explain", stdin=file)
        self.assertEqual((code, out), (0, whole[0]))
        self.assertEqual(self.answer("a\n\nb\n\nc"), self.answer("a", "-", "c", stdin="b"))
        self.assertEqual(self.answer("explain", stdin=""), self.answer("explain"))

    def test_a_pipeline_and_its_wrappers_give_stdin(self):
        whole = self.answer("explain\n\nimport os")[0]
        for command in ("printf 'import os' | $RUN explain", "printf 'import os' | timeout 50 $RUN explain", "(sleep 0.3; printf 'import os') | $RUN explain"):
            self.assertEqual(shell(command)[1], whole, command)

    def test_stdin_of_the_parent_is_left_to_it(self):
        alone = self.answer("explain")[0]
        idle, writer = os.pipe()
        try:
            code, out, err = shell("$RUN explain; true", stdin=idle)
            self.assertEqual((code, out), (0, alone), err)
            self.assertNotIn("stdin", err)
        finally:
            os.close(idle)
            os.close(writer)
        code, out, err = shell("printf 'a\\nb\\nc\\n' | while read line; do $RUN -q explain 2>&1 | cat; echo \"[$line]\"; done".replace("-q", ""))
        self.assertEqual(re.findall(r"^\[(.)\]$", out, re.M), ["a", "b", "c"])
        self.assertIn("stdin is not read", out)

    def test_no_stdin(self):
        alone = self.answer("explain")[0]
        self.assertEqual(shell("$RUN explain </dev/null")[1], alone)
        self.assertEqual(shell("$RUN explain <&-")[1], alone)
        self.assertEqual(shell("$RUN <&-")[0], 2)

    def test_endless_stdin_is_refused(self):
        code, _, err = shell("$RUN explain - </dev/zero")
        self.assertEqual(code, 1)
        self.assertIn("64.0 MiB", err)


class ManyPrompts(Cli):
    def lines(self, code, *arguments, **options):
        got, out, err = atlas(*run_flags(*arguments), **options)
        self.assertEqual(got, code, err)
        return [json.loads(line) for line in out.splitlines()], err

    def test_a_tight_limit_is_refused_before_loading_or_holds_the_answers(self):
        """What the steps of several answers need is part of the plan: no context is chosen that then fails."""
        path = self.file("p.txt", "\n".join(f"def f{i}(x):" for i in range(9)).encode())
        n_answered = 0
        for limit in ("41M", "42M", "43M"):
            for more in ([], ["--ctx", "256"], ["--pool", "512", "--ctx", "96"]):
                code, out, err = atlas(*run_flags("--prompts", path, "--memory-limit", limit, *more))
                with self.subTest(limit=limit, more=more, stderr=err[-300:]):
                    lines = [json.loads(line) for line in out.splitlines()]
                    if code == 0:
                        self.assertEqual([line["finish"] for line in lines], ["max_tokens"] * 9)
                        n_answered += 1
                    else:
                        self.assertEqual((code, lines), (1, []), "the model was loaded in vain")
                        self.assertIn("needed", err)
        self.assertGreater(n_answered, 2)

    def test_one_that_is_too_long_costs_no_other(self):
        path = self.file("p.txt", ("short\n" + "word " * 400 + "\nimport\n").encode())
        lines, err = self.lines(1, "--prompts", path, "--ctx", "64")
        self.assertEqual([line["finish"] for line in lines], ["max_tokens", "failed", "max_tokens"], lines)
        self.assertIn("64", lines[1]["error"])
        self.assertIn("1 of 3", err)
        lines, _ = self.lines(1, "--prompts", self.file("q.txt", ("word " * 400).encode()), "--ctx", "64")
        self.assertEqual(lines[0]["finish"], "failed")

    def test_an_answer_that_cannot_be_written_is_none(self):
        prompts = self.file("p.txt", b"one\ntwo\n")
        done = subprocess.run(["bash", "-c", '"$0" "$@" >/dev/full', cli_test.PROGRAM, *map(str, run_flags("--prompts", prompts))], stderr=subprocess.PIPE, text=True, timeout=120)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("2 of 2 prompts have no whole answer: cannot write", done.stderr)

    def test_a_line_that_is_no_prompt_costs_no_other(self):
        bad = (b'{"prompt": "\\ud800"}', b'{"text": 1}', b'{"prompt": 1}', b"{", b'{"prompt": "\xff"}')
        for line in bad:
            lines, err = self.lines(1, "--prompts", self.file("bad.jsonl", b"one\n" + line + b'\n{"prompt": "three"}\n'))
            self.assertEqual([line["finish"] for line in lines], ["max_tokens", "failed", "max_tokens"], lines)
            self.assertIn("line 2", lines[1]["error"])
            self.assertIn("1 of 3", err)
        lines, _ = self.lines(1, "--prompts", self.file("long.jsonl", b'{"prompt": "\x1b' + b"x" * 5000))
        self.assertRegex(lines[0]["prompt"], r'^\{"prompt": "\\x1bx{40,60}\.\.\. \(5013 bytes\)$')

    def test_one_prompt_is_no_prompts(self):
        lines, err = self.lines(0, "--prompts", self.file("p.txt", b"x\n"))
        self.assertIn("[1 prompt, 8 tokens", err)

    def test_byte_order_marks(self):
        mark = b"\xef\xbb\xbf"
        path = self.file("bom.jsonl", mark + b'{"prompt":"one"}\n{"prompt":"two"}\n' + mark + b"three\r\n")
        lines, _ = self.lines(0, "--prompts", path)
        self.assertEqual([line["prompt"] for line in lines], ["one", "two", "three"])
        self.fails(1, ["UTF-16"], *run_flags("--prompts", self.file("utf16.txt", "one\n".encode("utf-16"))))

    def test_figures_replace_no_file_in_silence(self):
        prompts = self.file("p.txt", b"import\n")
        precious = self.file("precious.json", b"mine")
        self.fails(2, ["precious.json", "--force"], *run_flags("--prompts", prompts, "--json", precious))
        self.assertEqual(precious.read_bytes(), b"mine")
        self.fails(2, ["destroy"], *run_flags("--prompts", prompts, "--json", prompts, "--force"))
        self.fails(2, ["a device"], *run_flags("--prompts", prompts, "--json", "/dev/null", "--force"))
        lines, err = self.lines(0, "--prompts", prompts, "--json")
        self.assertEqual(len(lines), 1, "stdout has the answers alone")
        self.assertIn('"answer_tokens_per_s"', err)
        self.lines(0, "--prompts", prompts, "--json", precious, "--force")
        self.assertEqual(json.loads(precious.read_text())["prompts"], 1)

    def test_a_signal_leaves_a_line_for_every_prompt(self):
        prompts = self.file("p.txt", b"".join(b"x = %d\n" % i for i in range(6)))
        for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
            child = subprocess.Popen([cli_test.PROGRAM, "run", "-m", cli_test.TINY, "--raw", "--temperature", "1", "--ctx", "2048", "--parallel", "2", "-n", "400",
                                      "--prompts", prompts], stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, bufsize=0)
            first = child.stdout.readline()
            child.send_signal(number)
            if number == signal.SIGHUP:
                child.send_signal(number)  # the terminal's and the shell's: that is one
            out, err = child.communicate(timeout=60)
            self.assertEqual(child.returncode, 128 + number, err)
            lines = [json.loads(line) for line in (first + out).splitlines()]
            self.assertEqual([line["prompt"] for line in lines], [f"x = {i}" for i in range(6)])
            self.assertIn("cancelled", [line["finish"] for line in lines])
            self.assertNotIn("failed", [line["finish"] for line in lines])
            self.assertNotIn(b"error", err)


class Flags(Cli):
    def test_wrong_flags_are_2_before_a_model_is_looked_for(self):
        p = str(self.file("p", b"x"))
        for words, arguments in (
                (["--kv", "q9"], ["--kv", "q9"]), (["--memory-limit", "6X"], ["--memory-limit", "6X"]), (["--keep-free", "much"], ["--keep-free", "much"]),
                (["--ctx", "more than once"], ["-c", "64", "-c", "65"]), (["--max-tokens", "from 1"], ["-n", "0"]), (["--temperature", "from 0 to 10000"], ["--temperature", "-1"]), (["--top-p", "from 0 to 1"], ["--top-p", "2"]), (["--min-p"], ["--min-p", "nan"]),
                (["--repeat-penalty"], ["--repeat-penalty", "0"]), (["--top-k"], ["--top-k", "-3"]), (["--seed", "-1"], ["--seed", "-2"]),
                (["--max-tokens", "'many'"], ["-n", "many"]), (["--ctx", "from 1 to"], ["--ctx", "0"]), (["--ctx"], ["--ctx", "99999999999"]),
                (["--draft-max"], ["--draft-max", "99"]), (["--parallel", "1 to 256"], ["--prompts", p, "--parallel", "0"]),
                (["--prompts", "--stop"], ["--prompts", p, "--stop", "x"]), (["--prompts"], ["--prompts", p, "hello"]), (["--raw", "--system"], ["--raw", "--system", "x"]),
                (["--quiet", "--verbose"], ["-q", "-v"]), (["--temprature", "did you mean --temperature"], ["--temprature", "1"]),
                (["-ngl", "all layers", "--device"], ["-ngl", "99"]), (["-ctk", "--kv"], ["-ctk", "q8_0"]), (["--lookup"], ["--lookup", "off", "--lookup", p])):
            err = self.fails(2, words, "run", "-m", "/nonexistent.gguf", *arguments)
            self.assertRegex(err, r"^atlas-vk: error: ")
            self.assertLess(len(err.splitlines()[0]), 160)
        self.fails(2, ["--kv", "q9"], "chat", "-m", "/nonexistent.gguf", "--kv", "q9")
        self.fails(2, ["--kv", "q9"], "bench", "-m", "/nonexistent.gguf", "--kv", "q9")

    def test_wrong_usage_is_found_before_a_device_is_opened(self):
        no_device = {"VK_DRIVER_FILES": "/nonexistent.json", "VK_ICD_FILENAMES": "/nonexistent.json"}
        tiny, prompts = cli_test.TINY, self.file("p.txt", b"x\n")
        run = ["run", "-m", tiny, "x"]
        for words, arguments in (
                (["--draft", "nope"], [*run, "--draft", "nope"]), (["--draft", "nope"], ["chat", "-m", tiny, "--draft", "nope"]),
                (["--draft", "nope"], ["bench", "-m", tiny, "--draft", "nope"]),
                (["nope.txt"], [*run, "-f", "nope.txt"]), (["nope.txt"], ["run", "-m", tiny, "--prompts", "nope.txt"]), (["nope.txt"], ["perplexity", "-m", tiny, "-f", "nope.txt"])):
            self.fails(1, words, *arguments, env=no_device)
        for words, arguments in (
                (["--ctx", "67108864"], [*run, "--ctx", "99999999"]), (["destroy"], ["run", "-m", tiny, "--prompts", prompts, "--json", tiny, "--force"]),
                (["destroy"], ["run", "-m", tiny, "--prompts", prompts, "--draft", tiny, "--json", tiny, "--force"]),
                (["nope"], ["bench", "--shape", "nope:q4_0"]), (["nope"], ["tune", "--shape", "nope:q4_0"]), (["-m"], ["tune"]), (["99999999"], ["logits", "-m", tiny, "--tokens", "99999999", "-o", prompts, "--force"]),
                (["-p"], ["bench", "-m", tiny, "-p", "99999999999"]), (["--verify"], ["bench", "-m", tiny, "--verify", "-1"])):
            self.fails(2, words, *arguments, env=no_device)
        self.assertEqual(Path(tiny).read_bytes()[:4], b"GGUF")

    def test_a_device_that_is_not_there_is_2_everywhere(self):
        for arguments in (["run", "-m", cli_test.TINY, "x"], ["plan"], ["kernels"], ["bench", "-m", cli_test.TINY], ["tune", "-m", cli_test.TINY],
                          ["logits", "-m", cli_test.TINY, "--tokens", "1", "-o", Path(self.folder.name) / "o"], ["devices"]):
            self.fails(2, ["there is no device 77"], *arguments, "--device", "77")

    def test_numbers_that_are_none(self):
        flags = {"plan": ["--bandwidth", "--tariff", "--api-price"], "tune": ["--seconds"], "bench": ["--speculate"],
                 "run": ["--temperature", "--top-p", "--min-p", "--repeat-penalty", "--frequency-penalty", "--presence-penalty"]}
        for command, names in flags.items():
            for name in names:
                for value in ("nan", "inf", "-inf", "-1e9", "1e999", "x", "1x"):
                    err = self.fails(2, [name], command, *(["--vram", "12G"] if name == "--bandwidth" else []), *(["-m", "x"] if command == "run" else []), name, value)
                    self.assertIn("expected a number", err)

    def test_an_empty_value_is_not_the_same_as_no_flag(self):
        texts = {"--system", "--filter", "--prompt"}
        n_flags = 0
        for command in re.findall(r"^  ([a-z-]+) ", atlas("--help")[1], re.M):
            for name in re.findall(r"(--[a-z-]+) (?:TEXT|FILE|FOLDER|INT|UINT|FLOAT|NAME|WISH)", atlas(command, "--help")[1]):
                if name not in texts and (command, name) not in (('run', '--json'), ('bench', '--json'), ('bench', '--csv')):
                    n_flags += 1
                    self.fails(2, [name[:4]], command, name, "")  # the message may use its other name
        self.assertGreater(n_flags, 50)
        self.fails(2, ["--card: expected a value"], "plan", "--card=")
        # Texts may be empty, in both spellings.
        spelled = [atlas("run", "-m", cli_test.TINY, "--temperature", "0", "-n", "4", *system, "x") for system in (["--system", ""], ["--system="], [])]
        self.assertEqual([code for code, _, _ in spelled], [0, 0, 0], spelled)
        self.assertEqual(len({out for _, out, _ in spelled}), 1, spelled)

    def test_a_context_that_is_rounded_up_is_told(self):
        for arguments in (run_flags("--ctx", "3", "x"), ("plan", "--vram", "12G", "--ctx", "3"), ("chat", "-m", cli_test.TINY, "--ctx", "3")):
            err = atlas(*arguments)[2]
            self.assertEqual(err.count("atlas-vk: note: --ctx 3 gives 32 tokens of context"), 1, err)
        self.assertNotIn("gives", atlas(*run_flags("--ctx", "64", "x"))[2])

    def test_a_context_may_be_given_in_k(self):
        trained = json.loads(atlas("inspect", cli_test.TINY, "--json")[1])["keys"]["llama.context_length"]["value"]
        for unit in "kK":
            code, _, err = atlas(*run_flags("--ctx", f"{2 * trained // 1024}{unit}", "x"))
            self.assertEqual(code, 0, err)
            self.assertIn(f"--ctx {2 * trained} is more than the {trained} tokens", err)
        for command in (["run"], ["perplexity"], ["plan"]):
            for text in ("1g", "k", "0k", "9999999k", "1 k"):
                err = self.fails(2, ["--ctx: expected a number of tokens from 1 to"], *command, "--ctx", text, *([] if command == ["plan"] else ["-m", cli_test.TINY]))
                self.assertIn("16k", err)

    def test_a_bare_number_of_memory_means_gib_everywhere(self):
        for arguments in (["--memory-limit", "1"], ["--keep-free", "0.01"]):
            code, _, err = atlas(*run_flags(*arguments, "x"))
            self.assertEqual(code, 0, err)
        self.fails(1, ["1000 GiB kept free"], *run_flags("--keep-free", "1000", "x"))

    def test_the_parsers_own_texts_have_our_shape(self):
        for words, arguments in (("there is no flag --no-such", ["run", "-m", "x", "--no-such"]), ("--model is missing", ["run", "x"]), ("does not go with --raw", ["run", "-m", "x", "--raw", "--system", "y"]),
                                 ("--parallel goes with --prompts", ["run", "-m", "x", "--parallel", "2", "y"]), ("--ctx: expected a value", ["run", "-m", "x", "--ctx"]),
                                 ("--for: expected one of coding, chat, found 'cooking'", ["plan", "--for", "cooking"]), ("expected one of", ["chat", "-m", "x", "--context-policy", "y"]),
                                 ("expected one of bash, zsh, fish", ["completion", "tcsh"]), ("https only", ["pull", "http://example.org/m.gguf"]), ("--card NAME or --vram", ["plan", "--headless"])):
            self.assertRegex(self.fails(2, [words], *arguments), r"^atlas-vk: error: ")

    def test_the_spellings_of_others(self):
        expected = atlas("run", "-m", cli_test.TINY, "--raw", "--temperature", "0.5", "--seed", "3", "--ctx", "256", "-n", "8", "import")
        self.assertEqual(expected[0], 0, expected[2])
        for arguments in (["--temp", "0.5", "-s", "3", "-c", "256", "--n-predict", "8", "-p", "import"],
                          ["--temp=0.5", "--seed", "3", "--ctx-size=256", "--max-new-tokens", "8", "-f", self.file("p.txt", b"import")]):
            self.assertEqual(atlas("run", "-m", cli_test.TINY, "--raw", *arguments)[1], expected[1], arguments)
        self.fails(2, ["files are always mapped"], "run", "-m", cli_test.TINY, "--no-mmap", "x")
        self.fails(1, ["hf:nobody/nothing"], "run", "-hf", "nobody/nothing", "x", env={"HF_ENDPOINT": "http://127.0.0.1:9", "XDG_CACHE_HOME": self.folder.name})

    def test_a_file_that_is_not_there_is_named_with_its_flag(self):
        for flag, arguments in (("--lookup", run_flags("--lookup", "nosuch", "x")), ("--file", run_flags("-f", "nosuch")), ("--prompts", run_flags("--prompts", "nosuch")),
                                ("--importance", ["quantize", cli_test.TINY, "o.gguf", "Q8_0", "--importance", "nosuch"]), ("--kl-base", ["perplexity", "-m", cli_test.TINY, "--kl-base", "nosuch"])):
            self.fails(1, [f"{flag}: there is no file 'nosuch'"], *arguments)

    def test_a_memory_limit_for_no_model_at_all(self):
        self.fails(1, ["--memory-limit 1K", "27.0 MiB", "give more"], *run_flags("--memory-limit", "1K", "x"))

    def test_seed_minus_one_is_a_new_one(self):
        answers = {atlas("run", "-m", cli_test.TINY, "--raw", "--temperature", "2", "--seed", "-1", "-n", "16", "import")[1] for _ in range(3)}
        self.assertGreater(len(answers), 1)

    def test_a_context_beyond_training_is_said(self):
        trained = json.loads(atlas("inspect", cli_test.TINY, "--json")[1])["keys"]["llama.context_length"]["value"]
        err = atlas(*run_flags("--ctx", 2 * trained, "x"))[2]
        self.assertRegex(err, rf"atlas-vk: warning: --ctx {2 * trained} is more than the {trained} tokens")
        self.assertNotIn("warning", atlas(*run_flags("--ctx", trained, "x"))[2])


class Signals(Cli):
    def start(self, *arguments, **options):
        return subprocess.Popen([cli_test.PROGRAM, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)

    def test_while_the_prompt_is_awaited_and_a_model_is_loaded(self):
        child = self.start("run", "-m", cli_test.TINY, "-", stdin=subprocess.PIPE)
        while not listens(child):
            time.sleep(0.02)
        child.send_signal(signal.SIGINT)
        err = child.communicate(timeout=5)[1].decode()
        self.assertEqual(child.returncode, 130, err)
        self.assertNotIn("error", err)
        for pause in (0.05, 0.1, 0.2, 0.4):
            child = self.start("run", "-m", cli_test.TINY, *cli_test.ENDLESS, stdin=subprocess.DEVNULL)
            time.sleep(pause)
            child.send_signal(signal.SIGTERM)
            began = time.monotonic()
            err = child.communicate(timeout=20)[1].decode()
            self.assertIn(child.returncode, (143, -signal.SIGTERM), err)
            self.assertLess(time.monotonic() - began, 3)
            self.assertNotIn("error", err)

    def test_twice(self):
        child = self.start("run", "-m", cli_test.TINY, *cli_test.ENDLESS, stdin=subprocess.DEVNULL)
        child.stdout.read(1)
        child.send_signal(signal.SIGTERM)
        child.send_signal(signal.SIGINT)
        err = child.communicate(timeout=20)[1].decode()
        self.assertIn(child.returncode, (143, 130), err)
        self.assertNotIn("error", err)

    def test_what_the_process_was_told_to_ignore_is_ignored(self):
        child = self.start(*run_flags("x ="), stdin=subprocess.DEVNULL, preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
        child.stdout.read(1)
        child.send_signal(signal.SIGHUP)
        self.assertEqual(child.communicate(timeout=30) and child.returncode, 0)


class Output(Cli):
    def test_what_cannot_be_written_is_1(self):
        inputs = ["inspect", cli_test.TINY], ["devices"], ["devices", "--json"], ["tokenize", "-m", cli_test.TINY, "x"], ["plan", "--card", "RTX 3090"], ["--help"], [
            "--version"], ["run", "--help"], run_flags("x"), run_flags("--prompts", self.file("p.txt", b"x\ny\n")), [
            "perplexity", "-m", cli_test.TINY, "-f", cli_test.TESTS / "models/heldout.txt", "--ctx", "64", "--chunks", "1"], [
            "chat", "-m", cli_test.TINY, "-n", "4"], ["quantize", cli_test.TINY, Path(self.folder.name) / "o.gguf", "Q8_0", "--dry-run"]
        for arguments in inputs:
            for where in (">/dev/full", ">&-"):
                done = subprocess.run(["bash", "-c", f'"$0" "$@" {where}', cli_test.PROGRAM, *map(str, arguments)], input=b"hello\n", stderr=subprocess.PIPE, timeout=120)
                self.assertEqual(done.returncode, 1, (arguments, where, done.stderr))
                self.assertIn(b"to stdout", done.stderr, (arguments, where))

    def test_an_answer_does_not_need_stderr(self):
        answer = shell("$RUN x")
        self.assertEqual(shell("$RUN x 2>/dev/full")[:2], (0, answer[1]))

    def test_too_few_open_files_are_no_crash(self):
        code, _, err = shell("ulimit -n 4; $RUN x")
        self.assertIn(code, (0, 1), err)
        for line in err.splitlines():
            self.assertRegex(line, r"^(atlas-vk: (note|warning|error): |\[)")

    def test_a_closed_stderr_is_not_an_output_file(self):
        target = Path(self.folder.name) / "figures.json"
        code, _, _ = shell(f"$RUN --prompts {self.file('p.txt', b'x')} --json {target} 2>&- <&-")
        self.assertEqual(code, 0)
        json.loads(target.read_text())

    def test_figures_are_for_people_and_verbose_says_all(self):
        err = atlas(*run_flags("x"))[2]
        self.assertRegex(err, r"\[8 tokens, \d+\.\d tokens/s(, drafting \d+\.\dx)? \(cut at --max-tokens\)\]\n$")
        self.assertRegex(atlas(*run_flags("-v", "x"))[2], r"\[prompt \d+ tokens, .*; cut at --max-tokens\]\n$")
        for line in err.splitlines():
            self.assertRegex(line, r"^(atlas-vk: (note|warning): |\[)")

    def test_a_sign_of_life_while_a_prompt_is_read(self):
        path = self.file("long.txt", b"def f(x):\n    return x\n" * 700)
        child, terminal = pty.fork()
        if child == 0:
            os.execv(cli_test.PROGRAM, [cli_test.PROGRAM, "run", "-m", cli_test.TINY, "--raw", "-v", "-n", "1", "--ctx", "16384", "-f", str(path)])
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 60, 0, 0))
        text = b""
        while select.select([terminal], [], [], 120)[0]:
            try:
                chunk = os.read(terminal, 4096)
            except OSError:
                break
            if not chunk:
                break
            text += chunk
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), 0, text)
        n_tokens, per_second = re.search(rb"prompt (\d+) tokens, ([\d.]+) tokens/s", text).groups()
        if float(n_tokens) / float(per_second) < 1.5:
            self.skipTest("this device reads the prompt before there is a bar to show")
        bars = re.findall(rb"\r(reading the prompt[^\r\n]*)\x1b\[K", text)
        self.assertTrue(bars, text)
        self.assertLess(max(map(len, bars)), 60)
        self.assertTrue(text.rindex(b"\r\x1b[K") > text.rindex(bars[-1]), "the bar is wiped")


class FirstStart(Cli):
    """Kernels are compiled: no cache of ours and none of the driver."""

    def environment(self):
        return dict(os.environ, XDG_CACHE_HOME=self.folder.name, MESA_SHADER_CACHE_DISABLE="true")

    def start(self):
        """At its terminal, once it says that it compiles."""
        child, terminal = pty.fork()
        if child == 0:
            time.sleep(0.2)  # the size is set
            os.execve(cli_test.PROGRAM, [cli_test.PROGRAM, *run_flags("def f(x):")], self.environment())
        self.addCleanup(os.close, terminal)
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        return child, terminal

    def read_until(self, terminal, text):
        seen = b""
        while text not in seen and select.select([terminal], [], [], 120)[0]:
            try:
                seen += os.read(terminal, 4096)
            except OSError:
                break
        return seen

    def test_it_shows_progress_on_one_line_and_obeys_a_signal(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            child, terminal = self.start()
            seen = self.read_until(terminal, b"compiling")
            if b"compiling" not in seen:
                self.skipTest("this device compiles its kernels before there is a bar to show")
            os.kill(child, number)
            began = time.monotonic()
            seen += self.read_until(terminal, b"no such text")
            self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), 128 + number, seen)
            self.assertLess(time.monotonic() - began, 5, "it waits for no kernel")
            bars = re.findall(rb"\r(compiling[^\r\n]* kernels[^\r\n]*)\x1b\[K", seen)
            self.assertTrue(bars, seen)
            self.assertLess(max(map(len, bars)), 80)
            self.assertLess(seen.rindex(bars[-1]), seen.rindex(b"\r\x1b[K"), "the bar is wiped")
            self.assertRegex(seen, rb"atlas-vk: stopped")
        choices = [path.name for path in (Path(self.folder.name) / "atlas-vk/kernels").iterdir()]
        self.assertEqual([name for name in choices if name.endswith(".doing")], [], "no kernel is blamed")


class Look(Cli):
    """On a terminal of 80 columns."""

    def on_terminal(self, *arguments, env=None):
        child, terminal = pty.fork()
        if child == 0:
            time.sleep(0.2)  # the size is set
            os.execve(cli_test.PROGRAM, [cli_test.PROGRAM, *map(str, arguments)], dict(os.environ, **(env or {})))
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        text = b""
        while True:
            try:
                text += os.read(terminal, 4096)
            except OSError:
                break
        os.waitpid(child, 0)
        os.close(terminal)
        return text.decode()

    def lines_fit(self, text):
        for line in re.split(r"\r\n|\r\x1b\[K|\r", text):
            self.assertLessEqual(len(line.replace("\x1b[K", "")), 80, text)

    def test_messages_and_tables_fit(self):
        cache = {"XDG_CACHE_HOME": str(Path(self.folder.name) / ("long" * 12))}
        self.assertEqual(atlas("pull", cli_test.TINY, "--name", "a-model-with-a-name", env=cache)[0], 0)
        listed = self.on_terminal("list", env=dict(cache, HOME=self.folder.name))
        self.assertIn("a-model-with-a-name", listed)
        self.assertIn("~/longlong", listed)
        for line in listed.splitlines()[:2]:
            self.assertLessEqual(len(line), 80)
        for arguments in (["plan", "--size-of", "Qwen2.5-Coder-7B", "--quant", "Q4_K_M"], ["run", "-m", cli_test.TINY, "--device", "77", "x"], ["plan", "--headless"],
                          ["run", "-m", cli_test.TINY, "--raw", "-n", "2", "x"], ["run", "-m", "x", "--draft-max", "99"], ["pull", "http://example.org/a/model.gguf"], [], ["inspect", cli_test.TINY], ["run", "-v", "-m", cli_test.TINY, "--raw", "-n", "2", "x"]):
            self.lines_fit(self.on_terminal(*arguments))

    def test_figures_and_tables_fit(self):
        target = Path(self.folder.name) / "out.gguf"
        for arguments in (["bench", "-m", cli_test.TINY, "-p", "8", "-n", "2", "-r", "1", "--verify", "1", "--batch", "1", "--kernel-tokens", "1"],
                          ["bench", "-m", cli_test.TINY, "-n", "4", "-r", "1", "--speculate", "0.5", "--no-limits"], ["tune", "-m", cli_test.TINY, "--seconds", "3"],
                          ["quantize", cli_test.TINY, target, "Q4_K_M", "--requantize", "-v"], ["fit-cache", cli_test.TINY, target, "--force"]):
            text = self.on_terminal(*arguments, env={"XDG_CACHE_HOME": self.folder.name})
            self.assertGreater(len(text.splitlines()), 1, text)
            self.lines_fit(text)

    def test_a_range_of_one_number_is_one_number(self):
        out = atlas("plan", "--vram", "48G", "--bandwidth", "1", "--model", "qwen2.5-coder-32b", "--ctx", "4096")[1]
        self.assertIn("tokens/s", out)
        self.assertNotRegex(out, r"(?<![\d.])(\d+\.\d+)-\1(?![\d.])")

    def test_a_device_is_named_once(self):
        err = atlas(*run_flags("x"))[2]
        running = re.search("running on (.*)", err)
        if running is None:
            self.skipTest("only software devices are named")
        self.assertEqual(running.group(1).count("llvmpipe"), 1 if "llvmpipe" in running.group(1) else 0)

    def test_measuring_shows_progress(self):
        cache = {"XDG_CACHE_HOME": self.folder.name}
        self.assertRegex(self.on_terminal("plan", "--measure", env=cache), r"\rmeasuring.* parts")


if __name__ == "__main__":
    cli_test.PROGRAM, cli_test.TESTS = sys.argv[1], Path(sys.argv[2])
    cli_test.TINY = str(cli_test.TESTS / "models/atlas-tiny-Q8_0.gguf")
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]], verbosity=2)
