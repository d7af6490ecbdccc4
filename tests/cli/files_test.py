#!/usr/bin/env python3
"""What the commands do to files: nothing that is read is written, nothing is replaced unasked, and what is damaged or goes away while it is read is an error.

Usage: files_test.py PATH_TO_ATLAS_VK TESTS_FOLDER [unittest arguments]
"""
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import time
import unittest
from pathlib import Path

import cli_test
from cli_test import Cli, atlas, listens

ESCAPE = "\x1b[31m"
U32, I32, STRING, U64 = 4, 5, 8, 10
SIGNAL_TEXTS = ("terminate", "Aborted", "Segmentation", "Bus error", "core dumped")


def text(value):
    data = value.encode() if isinstance(value, str) else value
    return struct.pack("<Q", len(data)) + data


def key(name, kind, value):
    packed = {U32: "<I", I32: "<i", U64: "<Q"}
    return text(name) + struct.pack("<I", kind) + (text(value) if kind == STRING else struct.pack(packed[kind], value))


def gguf(keys, tensors):
    """A file of F32 tensors [(name, columns, rows)], all zeros; returns the head and the bytes of its data."""
    out, offset = b"", 0
    for name, columns, rows in tensors:
        out += text(name) + struct.pack("<IQQIQ", 2, columns, rows, 0, offset)
        offset += columns * rows * 4
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(keys)) + b"".join(keys) + out
    return head + bytes(-len(head) % 32), offset


def llama(*more, arch="llama"):
    numbers = {"block_count": 2, "embedding_length": 64, "feed_forward_length": 64, "context_length": 64, "attention.head_count": 4}
    return [key("general.architecture", STRING, arch), *(key(f"{arch}.{name}", U32, value) for name, value in numbers.items()), *more]


def with_number(model, name, value):
    """The bytes of a file whose key `name`, an unsigned number, is another one."""
    before = text(name) + struct.pack("<I", U32)
    at = model.index(before) + len(before)
    return model[:at] + struct.pack("<I", value) + model[at + 4:]


class Files(Cli):
    def setUp(self):
        super().setUp()
        self.dir = Path(self.folder.name)

    def sparse(self, name, keys, tensors):
        head, data = gguf(keys, tensors)
        path = self.file(name, head)
        os.truncate(path, len(head) + data)
        return path, len(head)

    def big(self):
        """A model that takes some seconds to quantize, and no room on the disk."""
        return self.sparse("big.gguf", llama(arch="gemma"), [(f"blk.{i}.attn_q.weight", 4096, 4096) for i in range(6)])

    def names(self):
        return sorted(path.name for path in self.dir.iterdir())

    def wait_for(self, what, seconds=60):
        end = time.monotonic() + seconds
        while not what():
            self.assertLess(time.monotonic(), end, "waited too long")
            time.sleep(0.02)

    def start(self, *arguments, **options):
        process = subprocess.Popen([cli_test.PROGRAM, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)
        self.addCleanup(process.kill)
        return process

    def is_writing(self):
        return any(name.startswith(".") and name.endswith(".tmp") for name in self.names())


class Outputs(Files):
    def writers(self, model, out, words):
        """Every command that writes a file, with `model` as what it reads."""
        return {"quantize": ["quantize", model, out, "Q8_0"],
                "fit-cache": ["fit-cache", model, out],
                "logits": ["logits", "-m", model, "--tokens", "1,2", "-o", out],
                "perplexity": ["perplexity", "-m", model, "-f", words, "--save-kl-base", out],
                "bench --json": ["bench", "-m", model, "--json", out],
                "bench --csv": ["bench", "-m", model, "--csv", out],
                "tune": ["tune", "-m", model, "--json", out]}

    def refused(self, model, out, inputs, words="destroy", force=("--force",)):
        before = {path: path.read_bytes() for path in inputs}
        text_file = self.file("words.txt", b"one two three")
        for name, arguments in self.writers(model, out, text_file).items():
            with self.subTest(name):
                self.fails(2, [words], *arguments, *force)
                self.assertEqual({path: path.read_bytes() for path in inputs}, before)

    def test_a_model_is_not_replaced_by_what_is_made_of_it(self):
        model = self.dir / "m.gguf"
        shutil.copy(cli_test.TINY, model)
        link, hard = self.dir / "link.gguf", self.dir / "hard.gguf"
        link.symlink_to(model)
        os.link(model, hard)
        self.refused(model, model, [model])
        self.refused(model, link, [model])
        self.refused(link, model, [model])
        self.refused(model, hard, [model])
        self.refused(model, f"{self.dir}/./m.gguf", [model])

    def test_another_part_of_a_split_model_is_the_model(self):
        parts = [self.dir / f"m-0000{i}-of-00002.gguf" for i in (1, 2)]
        for part in parts:
            shutil.copy(cli_test.TINY, part)
        self.refused(parts[0], parts[1], parts)
        self.refused(parts[1], parts[0], parts)

    def test_a_stored_name_is_its_file(self):
        folder = self.dir / "cache"
        env = {"XDG_CACHE_HOME": str(folder)}
        code, out, err = atlas("pull", cli_test.TINY, env=env)
        self.assertEqual(code, 0, err)
        stored = list(folder.rglob("*.gguf"))
        self.assertEqual(len(stored), 1, stored)
        listed = json.loads(atlas("list", "--json", env=env)[1])
        name = (listed["models"] if isinstance(listed, dict) else listed)[0]["name"]
        self.fails(2, ["destroy"], "quantize", name, stored[0], "Q8_0", "--force", env=env)
        self.fails(2, ["destroy"], "logits", "-m", name, "--tokens", "1", "-o", stored[0], "--force", env=env)
        self.assertEqual(stored[0].read_bytes(), Path(cli_test.TINY).read_bytes())

    def test_other_inputs_are_not_replaced_either(self):
        words = self.file("text.txt", b"some words " * 100)
        before = words.read_bytes()
        for arguments in (["fit-cache", cli_test.TINY, words, "-f", words], ["quantize", cli_test.TINY, words, "Q8_0", "--importance", words],
                          ["perplexity", "-m", cli_test.TINY, "-f", words, "--save-kl-base", words],
                          ["bench", "-m", cli_test.TINY, "--lookup", words, "--json", words], ["bench", "-m", cli_test.TINY, "--text", words, "--csv", words]):
            self.fails(2, ["destroy"], *arguments, "--force")
            self.assertEqual(words.read_bytes(), before)
        self.fails(2, ["the same file"], "bench", "-m", cli_test.TINY, "--json", self.dir / "x", "--csv", self.dir / "x")

    def test_what_exists_is_replaced_with_force_only(self):
        other = self.file("other", b"precious")
        self.refused(cli_test.TINY, other, [other], "--force", force=())
        code, _, err = atlas("quantize", cli_test.TINY, other, "Q8_0", "--force", "-q")
        self.assertEqual(code, 0, err)
        self.assertEqual(other.read_bytes()[:4], b"GGUF")
        code, _, err = atlas("logits", "-m", cli_test.TINY, "--tokens", "1,2", "-o", other, "--force")
        self.assertEqual(code, 0, err)
        self.assertNotEqual(other.read_bytes()[:4], b"GGUF")
        self.fails(2, ["folder"], "quantize", cli_test.TINY, self.dir, "Q8_0", "--force")


class Damage(Files):
    def test_quantize_of_a_file_that_becomes_shorter(self):
        model, head = self.big()
        process = self.start("quantize", model, self.dir / "out.gguf", "Q4_K_M")
        self.wait_for(self.is_writing)
        os.truncate(model, head)
        _, err = process.communicate(timeout=120)
        self.assertEqual(process.returncode, 1, err)
        self.assertIn("big.gguf", err.decode())
        self.assertIn("became shorter", err.decode())
        self.assertEqual(self.names(), ["big.gguf"])

    def test_run_of_a_file_that_becomes_shorter(self):
        model, n_failed = self.dir / "m.gguf", 0
        for delay in (0.0, 0.1, 0.2, 0.3, 0.5, 0.8, 1.2, 2.0):
            shutil.copy(cli_test.TINY, model)
            process = self.start("run", "-m", model, "--raw", "-n", "1", "x")
            time.sleep(delay)
            os.truncate(model, 4096)
            _, err = process.communicate(timeout=120)
            self.assertIn(process.returncode, (0, 1), err)
            if process.returncode == 1:
                n_failed += 1
                self.assertIn("m.gguf", err.decode())
            model.unlink()
        self.assertGreater(n_failed, 0)

    def test_keys_that_cannot_be_a_models(self):
        for value in (key("llama.attention.head_count_kv", U64, 1 << 32), key("llama.attention.head_count_kv", U32, 0),
                      key("llama.attention.head_count_kv", U32, 3), key("llama.attention.head_count_kv", I32, -1)):
            model, _ = self.sparse("m.gguf", llama(value), [("blk.0.attn_q.weight", 256, 4)])
            self.fails(1, ["m.gguf", "head_count_kv"], "quantize", model, self.dir / "out.gguf", "Q8_0", "--force")
            self.fails(1, [], "fit-cache", model, self.dir / "out.gguf", "--force")
            code, _, err = atlas("inspect", model)
            self.assertEqual(code, 0, err)
        self.assertEqual(self.names(), ["m.gguf"])

    def test_a_config_that_run_refuses_is_refused_by_all(self):
        whole = Path(cli_test.TINY).read_bytes()
        for name, value in (("llama.block_count", 0), ("llama.block_count", 1), ("llama.block_count", 99), ("llama.context_length", 0),
                            ("llama.embedding_length", 0), ("llama.feed_forward_length", 0), ("llama.feed_forward_length", 8), ("tokenizer.ggml.eos_token_id", 999999)):
            model = self.file("m.gguf", with_number(whole, name, value))
            for arguments in (["run", "-m", model, "x"], ["quantize", model, self.dir / "out.gguf", "Q8_0"], ["plan", "--card", "RTX 3090", "--file", model],
                              ["fit-cache", model, self.dir / "out.gguf"]):
                with self.subTest(f"{name} {value}: {arguments[0]}"):
                    self.fails(1, ["m.gguf"], *arguments)
                    self.assertEqual(self.names(), ["m.gguf"])

    def test_what_another_program_may_run_is_quantized_with_a_word(self):
        model, _ = self.sparse("m.gguf", llama(arch="nosuch"), [("blk.0.attn_q.weight", 64, 64)])
        code, _, err = atlas("quantize", model, self.dir / "out.gguf", "Q8_0", "--dry-run")
        self.assertEqual(code, 0, err)
        self.assertRegex(err, r"(?m)^atlas-vk: note: .*m\.gguf.*nosuch.*this version will not run the result")

    def test_an_error_of_a_key_names_the_file_once_and_what_was_expected(self):
        keys = [key("llama.context_length", STRING, "512") if b"context_length" in one else one for one in llama()]
        model, _ = self.sparse("m.gguf", keys, [("blk.0.attn_q.weight", 64, 64)])
        for arguments in (["quantize", model, self.dir / "out.gguf", "Q8_0"], ["plan", "--card", "RTX 3090", "--file", model]):
            err = self.fails(1, ["expected a whole number", "found string"], *arguments)
            self.assertEqual(err.count("m.gguf"), 1, err)

    def test_a_template_that_refuses_names_its_file(self):
        whole = Path(cli_test.TINY).read_bytes()
        name = text("tokenizer.chat_template")
        at = whole.index(name) + len(name) + 4
        length, = struct.unpack("<Q", whole[at:at + 8])
        refuses = b"{{ raise_exception('no such role\x1b[31m') }}".ljust(length)
        model = self.file("m.gguf", whole[:at + 8] + refuses + whole[at + 8 + length:])
        self.fails(1, ["the chat template of", "m.gguf' refuses: no such role\\x1b[31m"], "run", "-m", model, "x")

    def test_no_token_is_spelt_in_two_ways(self):
        model = self.file("m.gguf", with_number(Path(cli_test.TINY).read_bytes(), "tokenizer.ggml.bos_token_id", 0xFFFFFFFF))
        for arguments in (["run", "-m", model, "-n", "1", "x"], ["tokenize", "-m", model, "x"], ["inspect", model]):
            code, _, err = atlas(*arguments)
            self.assertEqual(code, 0, (arguments, err))

    def test_a_weight_that_is_no_number_is_found_where_it_is_only_copied(self):
        described = json.loads(atlas("inspect", "--json", cli_test.TINY)[1])
        end = max(tensor["offset_bytes"] + tensor["bytes"] for tensor in described["tensors"])
        alignment = described["file"]["alignment"]
        data = (described["file"]["bytes"] - end) // alignment * alignment
        whole = Path(cli_test.TINY).read_bytes()
        for wanted, bad in (("f32", b"\x00\x00\xc0\x7f"), ("q8_0", b"\x00\x7e")):
            tensor = next(t for t in described["tensors"] if t["format"] == wanted)
            at = data + tensor["offset_bytes"]
            model = self.file("nan.gguf", whole[:at] + bad + whole[at + len(bad):])
            for arguments in (["quantize", model, self.dir / "out.gguf", "Q8_0"], ["fit-cache", model, self.dir / "out.gguf"], ["run", "-m", model, "--raw", "-n", "1", "x"],
                              ["perplexity", "-m", model, "-f", __file__, "--chunks", "1"]):
                with self.subTest(f"{arguments[0]} {wanted}"):
                    err = self.fails(1, ["nan.gguf"], *arguments)
                    if arguments[0] == "quantize":
                        self.assertIn(tensor["name"], err)
                    self.assertEqual(self.names(), ["nan.gguf"])

    def test_nothing_of_a_file_reaches_the_terminal_as_it_is(self):
        nasty = f"x{ESCAPE}\x07\x9b\u202e"
        keys = llama(key("general.name", STRING, nasty), key(nasty, STRING, nasty), arch=nasty)
        model, _ = self.sparse(f"m{ESCAPE}.gguf", keys, [(f"{nasty}.weight", 256, 4)])
        words = self.file("w.txt", b"some words " * 50)
        out = self.dir / "out.gguf"
        for arguments in (["inspect", model], ["inspect", "--keys", "--tensors", model], ["inspect", "--json", model],
                          ["plan", "--card", "RTX 3090", "--file", model], ["plan", "--card", "RTX 3090", "--json", "--file", model], ["quantize", model, out, "Q8_0", "--dry-run"],
                          ["quantize", model, out, "Q8_0", "-v"], ["fit-cache", model, out], ["run", "-m", model, "x"], ["chat", "-m", model],
                          ["tokenize", "-m", model, "x"], ["perplexity", "-m", model, "-f", words], ["bench", "-m", model],
                          ["logits", "-m", model, "--tokens", "1", "-o", out], ["tune", "-m", model], ["run", "-m", nasty, "x"],
                          ["bench", "--shape", nasty], ["quantize", model, out, nasty], ["run", "-m", cli_test.TINY, "--device", nasty, "x"]):
            code, said, err = atlas(*arguments)
            with self.subTest(arguments[0]):
                for control in ("\x1b", "\x07", "\x9b", "\u202e"):
                    self.assertNotIn(control, said + err, arguments)
                self.assertNotIn(code, (134, 139), err)


class Stopping(Files):
    def test_quantize_leaves_nothing_when_it_is_stopped(self):
        for number, expected in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
            model, _ = self.big()
            process = self.start("quantize", model, self.dir / "out.gguf", "Q4_K_M")
            self.wait_for(self.is_writing)
            process.send_signal(number)
            _, err = process.communicate(timeout=120)
            self.assertEqual(process.returncode, expected, err)
            self.assertIn(b"nothing was written", err)
            self.assertNotIn(b"error", err)
            self.assertEqual(self.names(), ["big.gguf"])

    def test_a_hurry_leaves_nothing_either(self):
        for signals in ((signal.SIGINT, signal.SIGTERM, signal.SIGINT), (signal.SIGTERM, signal.SIGTERM)):
            model, _ = self.big()
            process = self.start("quantize", model, self.dir / "out.gguf", "Q4_K_M")
            self.wait_for(self.is_writing)
            for number in signals:
                process.send_signal(number)
                time.sleep(0.01)
            _, err = process.communicate(timeout=120)
            self.assertIn(process.returncode, (130, 143), err)
            self.assertEqual(self.names(), ["big.gguf"])

    def test_fit_cache_leaves_nothing_when_it_is_stopped(self):
        for pause in (0, 0.1, 0.3, 1):
            process = self.start("fit-cache", cli_test.TINY, self.dir / "out.gguf")
            self.wait_for(lambda: listens(process))
            time.sleep(pause)
            process.send_signal(signal.SIGINT)
            began = time.monotonic()
            _, err = process.communicate(timeout=120)
            self.assertLess(time.monotonic() - began, 2)
            self.assertEqual(process.returncode, 130, err)
            self.assertNotIn(b"error", err)
            self.assertEqual(self.names(), [])

    def test_every_command_ends_with_a_word_from_its_start(self):
        """Those without anything to lose, and those with, before they have."""
        cache = {"XDG_CACHE_HOME": str(self.dir / "cache")}
        commands = (["plan", "--measure"], ["kernels"], ["run", "-m", cli_test.TINY, "x"], ["quantize", cli_test.TINY, self.dir / "out.gguf", "Q8_0"],
                    ["bench", "-m", cli_test.TINY], ["devices", "--validate"], ["perplexity", "-m", cli_test.TINY, "-f", __file__])
        for arguments in commands:
            for pause in (0, 0.4) if arguments[0] in ("plan", "kernels") else (0,):
                for number in (signal.SIGINT, signal.SIGTERM):
                    with self.subTest(f"{arguments[0]} {number.name} after {pause} s"):
                        for _ in range(20):  # some are done within milliseconds: until one is stopped in time
                            process = self.start(*arguments, env=dict(os.environ, **cache))
                            while not listens(process) and process.poll() is None:
                                pass
                            time.sleep(pause)
                            process.send_signal(number)
                            _, err = process.communicate(timeout=60)
                            self.assertIn(process.returncode, (0, 128 + number), err)
                            (self.dir / "out.gguf").unlink(missing_ok=True)
                            if process.returncode:
                                break
                        self.assertEqual(process.returncode, 128 + number, err)
                        self.assertIn(b"atlas-vk: stopped", err)
                        self.assertNotIn(b"error", err)

    def test_logits_leaves_nothing_when_it_is_stopped(self):
        for number, expected in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
            process = self.start("logits", "-m", cli_test.TINY, "--tokens", ",".join(["5"] * 500), "--batch", "1", "-o", self.dir / "out.f32")
            self.wait_for(self.is_writing)
            process.send_signal(number)
            _, err = process.communicate(timeout=120)
            self.assertEqual(process.returncode, expected, err)
            self.assertNotIn(b"error", err)
            self.assertEqual(self.names(), [])

    def test_leftovers_of_killed_runs_are_swept(self):
        for name in (".out.gguf.0123abcd.tmp", ".other.gguf.0123abcd.tmp", ".out.gguf.tmp"):
            self.file(name, b"left")
        code, _, err = atlas("quantize", cli_test.TINY, self.dir / "out.gguf", "Q8_0")
        self.assertEqual(code, 0, err)
        self.assertEqual(self.names(), sorted([".other.gguf.0123abcd.tmp", ".out.gguf.tmp", "out.gguf"]))


class Limits(Files):
    def limited(self, limit, *arguments):
        command = f'ulimit {limit}; exec "$0" "$@"'
        done = subprocess.run(["bash", "-c", command, cli_test.PROGRAM, *map(str, arguments)], input=b"", capture_output=True, timeout=120)
        return done.returncode, done.stderr.decode(errors="replace")

    def test_few_file_descriptors(self):
        words = self.file("w.txt", b"some words " * 50)
        for n in (4, 5, 6):  # with 3 the dynamic loader itself fails
            for arguments in (["run", "-m", cli_test.TINY, "-n", "1", "x"], ["quantize", cli_test.TINY, self.dir / "out.gguf", "Q8_0", "--force"],
                              ["logits", "-m", cli_test.TINY, "--tokens", "1", "-o", self.dir / "l", "--force"], ["bench", "-m", cli_test.TINY, "--json", self.dir / "b", "--force", "--no-limits", "-p", "8", "-n", "4",
                               "--verify", "0", "--batch", "0", "--kernel-tokens", "0", "-r", "1"],
                              ["perplexity", "-m", cli_test.TINY, "-f", words, "--ctx", "64"],
                              ["fit-cache", cli_test.TINY, self.dir / "f.gguf", "--force"], ["devices"], ["list"]):
                if arguments[0] == "fit-cache" and n == 6:
                    continue  # enough for it: half a minute of fitting
                with self.subTest(f"{arguments[0]}, {n}"):
                    code, err = self.limited(f"-n {n}", *arguments)
                    self.assertIn(code, (0, 1), err)
                    if code == 1:
                        self.assertIn("atlas-vk: error:", err)
                    for words_of_a_crash in SIGNAL_TEXTS:
                        self.assertNotIn(words_of_a_crash, err)

    def test_a_file_that_may_not_grow_further(self):
        code, err = self.limited("-f 100", "quantize", cli_test.TINY, self.dir / "out.gguf", "Q8_0")
        self.assertEqual(code, 1, err)
        self.assertIn("File too large", err)
        self.assertEqual(self.names(), [])

    def test_little_memory(self):
        model, _ = self.big()
        n_failed = 0
        for kib in (700_000, 500_000, 400_000, 300_000, 200_000):
            for arguments in (["quantize", model, self.dir / "out.gguf", "Q8_0", "--force", "--threads", "64"], ["inspect", model], ["tokenize", "-m", cli_test.TINY, "x"]):
                with self.subTest(f"{arguments[0]}, {kib} KiB"):
                    code, err = self.limited(f"-v {kib}", *arguments)
                    if "error while loading shared libraries" in err:
                        continue  # the dynamic loader had too little, before there was a program
                    self.assertIn(code, (0, 1), err)
                    n_failed += code == 1
                    if code == 1:
                        self.assertIn("atlas-vk: error:", err)
        self.assertGreater(n_failed, 0)


if __name__ == "__main__":
    cli_test.PROGRAM, cli_test.TESTS = sys.argv[1], Path(sys.argv[2])
    cli_test.TINY = str(cli_test.TESTS / "models/atlas-tiny-Q8_0.gguf")
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]], verbosity=2)
