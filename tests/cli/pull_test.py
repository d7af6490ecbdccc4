#!/usr/bin/env python3
"""Getting models as a person does it: pull, list, rm, import, and run of what is not stored, against the web server of tests/tool_models.

Usage: pull_test.py PATH_TO_ATLAS_VK TESTS_FOLDER [unittest arguments]
"""
import fcntl
import hashlib
import os
import pty
import select
import struct
import subprocess
import sys
import tempfile
import termios
import time
import unittest
import urllib.request
from pathlib import Path

PROGRAM = TESTS = TINY = None


class Models(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.server = subprocess.Popen([sys.executable, TESTS / "tool_models/http_server.py", TINY], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.addCleanup(self.stop_server)
        self.port = int(self.server.stdout.readline())
        self.environment = dict(os.environ, XDG_CACHE_HOME=str(self.folder / "cache"), XDG_STATE_HOME=str(self.folder / "state"),
                                HF_ENDPOINT=f"http://127.0.0.1:{self.port}/")
        self.store = self.folder / "cache/atlas-vk/models"

    def stop_server(self):
        self.server.stdin.close()
        self.server.stdout.close()
        self.server.wait()

    def atlas(self, *arguments, code=0):
        done = subprocess.run([PROGRAM, *map(str, arguments)], capture_output=True, stdin=subprocess.DEVNULL, timeout=300, env=self.environment)
        out, err = done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")
        self.assertEqual(done.returncode, code, f"{arguments}: {out}{err}")
        return out, err

    def at_terminal(self, answer, *arguments, seen=None):
        """Runs it on a terminal of 80 columns, types `answer` when it asks, calls `seen` once a percentage stands there. Returns (exit code, what
        it showed)."""
        parent, child = pty.openpty()
        fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", 25, 80, 0, 0))
        process = subprocess.Popen([PROGRAM, *map(str, arguments)], stdin=child, stdout=child, stderr=child, env=self.environment)
        os.close(child)
        shown, answered = b"", False
        end = time.monotonic() + 300
        while time.monotonic() < end:
            if select.select([parent], [], [], 0.1)[0]:
                try:
                    shown += os.read(parent, 4096)
                except OSError:
                    break
            if not answered and b"[y/N]" in shown:
                os.write(parent, answer.encode() + b"\n")
                answered = True
            if seen and b"%" in shown:
                seen()
                seen = None
        os.close(parent)
        return process.wait(timeout=60), shown.decode(errors="replace")

    def test_pull_list_and_rm(self):
        out, _ = self.atlas("pull", "a/x:Q4_0")
        path = Path(out.strip())
        self.assertEqual(path, self.store / "a--x-q4_0/x.Q4_0.gguf")
        self.assertEqual(hashlib.sha256(path.read_bytes()).hexdigest(), hashlib.sha256(Path(TINY).read_bytes() + b"a" * 7).hexdigest())
        self.atlas("pull", "b/x:Q4_0")
        listed, _ = self.atlas("list")
        self.assertIn("a--x-q4_0", listed)
        self.assertIn("b--x-q4_0", listed)
        _, err = self.atlas("pull", "hf:owner/repo:F16", code=1)
        self.assertIn("no quantization 'F16'; there are: m-Q8_0.gguf", err)
        _, err = self.atlas("pull", "escape/m:Q2_K", code=1)
        self.assertNotIn("\x1b", err)
        self.atlas("rm", "--yes", "a--x-q4_0")
        self.assertFalse(path.exists())
        self.atlas("rm", "b--x-q4_0", code=1)  # without a yes

    def test_a_damaged_note_is_told_once(self):
        self.atlas("pull", "a/x:Q4_0")
        self.atlas("pull", "b/x:Q4_0")
        note = self.store / "a--x-q4_0/model.json"
        note.unlink()
        note.symlink_to("/dev/zero")
        listed, err = self.atlas("list")
        self.assertIn("b--x-q4_0", listed)
        self.assertNotIn("a--x-q4_0", listed)
        self.assertEqual(err.count("atlas-vk: warning:"), 1, err)
        _, err = self.atlas("list")
        self.assertEqual(err, "")

    def test_rm_of_a_link_keeps_what_it_leads_to(self):
        self.atlas("pull", "a/x:Q4_0")
        mine = self.folder / "mine"
        (self.store / "a--x-q4_0").rename(mine)
        (self.store / "linked").symlink_to(mine)
        code, shown = self.at_terminal("y", "rm", "linked")
        self.assertEqual(code, 0, shown)
        self.assertIn("stays", shown)
        self.assertFalse(os.path.lexists(self.store / "linked"))
        self.assertEqual(sorted(p.name for p in mine.iterdir()), [".lock", "model.json", "x.Q4_0.gguf"])

    def test_import_of_a_file(self):
        file = self.folder / "My Model.gguf"
        file.write_bytes(Path(TINY).read_bytes())
        out, _ = self.atlas("pull", file)
        self.assertEqual(os.stat(out.strip()).st_ino, file.stat().st_ino)
        out, _ = self.atlas("pull", "--copy", "--name", "copied", file)
        self.assertNotEqual(os.stat(out.strip()).st_ino, file.stat().st_ino)
        listed, _ = self.atlas("list")
        self.assertIn("my-model", listed)
        self.assertIn("copied", listed)
        _, err = self.atlas("pull", self.folder, code=2)
        self.assertIn("is a directory", err)
        _, err = self.atlas("pull", self.folder / "missing.gguf", code=1)
        self.assertIn("missing.gguf", err)
        self.atlas("pull", "--copy", "a/x:Q4_0", code=2)

    def test_run_of_what_is_not_stored_says_how_to_get_it(self):
        for name in ("qwen2.5-coder-7b", "hf:a/x:Q4_0", "a/x:Q4_0"):
            _, err = self.atlas("run", "-m", name, "hello", code=1)
            self.assertIn(f"'atlas-vk pull {name}'", err)
            self.assertIn("--pull", err)
        _, err = self.atlas("run", "-m", self.folder, "hello", code=2)
        self.assertIn("is a directory", err)
        self.assertFalse(self.store.exists(), "nothing is pulled unasked")

    def test_a_model_of_another_name_is_offered_before_a_pull(self):
        stored = "qwen2.5-coder-0.5b-instruct-q4_k_m"
        _, err = self.atlas("run", "hello", code=2)
        self.assertIn("--model is missing, and no model is stored: 'atlas-vk pull ", err)
        self.atlas("pull", TINY, "--name", stored)
        self.atlas("pull", TINY, "--name", "qwen2.5-coder-7b-mine")
        _, err = self.atlas("run", "hello", code=2)
        self.assertIn(f"give -m a stored name ({stored}, qwen2.5-coder-7b-mine)", " ".join(err.split()))
        _, err = self.atlas("run", "-m", "qwen2.5-coder-0.5b", "hello", code=1)
        self.assertIn(f"is not stored here (stored, with a similar name: {stored}):", " ".join(err.split()))
        code, shown = self.at_terminal("n", "run", "-m", "qwen2.5-coder-0.5b", "hello")
        self.assertEqual(code, 1, shown)
        self.assertRegex(shown, rf"Stored with a similar name: {stored}\. Pull it from hf:\S+, about 3\d\d(\.\d)? MiB\? \[y/N\]")

    def test_a_no_is_no_error(self):
        self.atlas("pull", TINY, "--name", "mine")
        code, shown = self.at_terminal("n", "rm", "mine")
        self.assertEqual(code, 1, shown)
        self.assertIn("atlas-vk: note: nothing was deleted", shown)
        self.assertNotIn("error", shown)

    def test_list_names_the_recipe_of_the_file(self):
        self.atlas("pull", TESTS / "models/atlas-tiny-Q4_K_M.gguf", "--name", "tiny")
        self.assertRegex(self.atlas("list")[0], r"(?m)^tiny +\S+ \S+ +\S+ +Q4_K_M\b")

    def test_run_pulls_when_told(self):
        _, err = self.atlas("run", "-y", "-m", "a/x:Q4_0", "--raw", "-n", "4", "def f(")
        self.assertTrue((self.store / "a--x-q4_0/model.json").exists(), err)
        # By any of its names, and without the network.
        self.environment["HF_ENDPOINT"] = "http://127.0.0.1:9"
        self.atlas("run", "-m", "hf:a/x:Q4_0", "--raw", "-n", "4", "def f(")

    def test_run_asks_on_a_terminal(self):
        code, shown = self.at_terminal("n", "run", "-m", "a/x:Q4_0", "--raw", "-n", "4", "def f(")
        self.assertEqual(code, 1, shown)
        self.assertIn("Pull it from hf:a/x:Q4_0? [y/N]", shown)
        self.assertFalse(self.store.exists())
        code, shown = self.at_terminal("y", "run", "-m", "a/x:Q4_0", "--raw", "-n", "4", "def f(")
        self.assertEqual(code, 0, shown)
        self.assertTrue((self.store / "a--x-q4_0/model.json").exists(), shown)

    def test_what_is_there_is_said_to_be(self):
        _, err = self.atlas("pull", "a/x:Q4_0")
        self.assertRegex(err, r"a--x-q4_0: [\d.]+ MiB in ")
        _, err = self.atlas("pull", "a/x:Q4_0")
        self.assertRegex(err, r"^a--x-q4_0: [\d.]+ MiB, already here\n$")

    def test_rm_takes_every_name_that_list_shows(self):
        self.atlas("pull", "a/x:Q4_0")
        (self.store / "a--x-q4_0").rename(self.store / "-x")
        self.assertIn("-x", self.atlas("list")[0])
        self.atlas("rm", "--yes", "--", "-x")
        self.assertFalse((self.store / "-x").exists())

    def test_the_bar_fits_80_columns(self):
        # The second half comes when the bar has been seen: on a fast machine, too.
        code, shown = self.at_terminal("", "pull", "held/x:Q4_0", "--name", "a-name-that-is-rather-long-for-a-terminal",
                                       seen=lambda: urllib.request.urlopen(f"http://127.0.0.1:{self.port}/release").close())
        self.assertEqual(code, 0, shown)
        drawn = [line.replace("\x1b[K", "") for line in shown.replace("\n", "\r").split("\r") if "%" in line]
        self.assertTrue(drawn, shown)
        self.assertLess(max(map(len, drawn)), 80, drawn)


if __name__ == "__main__":
    PROGRAM, TESTS = sys.argv[1], Path(sys.argv[2])
    TINY = str(TESTS / "models/atlas-tiny-Q8_0.gguf")
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]], verbosity=2)
