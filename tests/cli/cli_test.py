#!/usr/bin/env python3
"""The program as a user sees it: help, answers, exit codes, and messages about wrong input.

Usage: cli_test.py PATH_TO_ATLAS_VK TESTS_FOLDER [unittest arguments]
"""
import fcntl
import json
import os
import pty
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import unittest
from pathlib import Path

PROGRAM = TESTS = TINY = None
# Flags of `run` whose answer fills the context, for what must still be at work when a signal comes: greedily "x =" has six tokens.
ENDLESS = ["--raw", "--temperature", "1", "--seed", "6", "--ctx", "4096", "x ="]


def atlas(*arguments, stdin="", env=None, timeout=120):
    environment = dict(os.environ, **(env or {}))
    done = subprocess.run([PROGRAM, *map(str, arguments)], input=stdin.encode() if isinstance(stdin, str) else stdin,
                          capture_output=True, timeout=timeout, env=environment)
    return done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")


def listens(process):
    """Whether the program has handlers for signals: from its first lines on."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return "SigCgt:" in status and int(status.split("SigCgt:")[1].split()[0], 16) >> (signal.SIGINT - 1) & 1


class Cli(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def file(self, name, content):
        path = Path(self.folder.name) / name
        path.write_bytes(content)
        return path

    def fails(self, code, words, *arguments, **options):
        got, out, err = atlas(*arguments, **options)
        self.assertEqual(got, code, f"{arguments}: {out}{err}")
        for word in words:
            self.assertIn(word, err, arguments)
        return err


class Help(Cli):
    def test_every_subcommand_has_help(self):
        code, out, _ = atlas("--help")
        self.assertEqual(code, 0)
        for name in "devices inspect pull list rm run chat tokenize logits".split():
            self.assertIn(name, out)
            code, text, err = atlas(name, "--help")
            self.assertEqual(code, 0, err)
            self.assertGreater(len(text.splitlines()), 4, name)

    def test_help_fits_a_terminal_of_80_columns(self):
        for name in ([], ["run"], ["chat"], ["plan"], ["pull"], ["logits"], ["quantize"], ["perplexity"]):
            terminal, end = pty.openpty()
            fcntl.ioctl(end, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
            child = subprocess.Popen([PROGRAM, *name, "--help"], stdin=subprocess.DEVNULL, stdout=end)
            os.close(end)
            text = b""
            try:
                while block := os.read(terminal, 65536):
                    text += block
            except OSError:
                pass  # the program closed its end
            os.close(terminal)
            self.assertEqual(child.wait(timeout=60), 0)
            for line in text.decode().splitlines():
                self.assertLessEqual(len(line), 80, line)
            piped = atlas(*name, "--help")[1]
            self.assertEqual(piped, text.decode().replace("\r\n", "\n"), "a pipe is 80 columns wide")
            self.assertNotIn("\n\n\n", piped)

    def test_wrong_usage_is_2(self):
        self.fails(2, [], )
        self.fails(2, ["run"], "runn")
        self.fails(2, ["--model"], "run", "hello")
        self.fails(2, [], "run", "-m", TINY, "--no-such-flag", "x")
        self.fails(2, [], "run", "-m", TINY, "--ctx", "-5", "x")
        self.fails(2, ["there is no flag --modle", "did you mean --model?"], "run", "--modle", TINY, "x")
        for given in (["-m", TINY, "-hf", "owner/repo"], ["-hf", "owner/repo", "--model", TINY]):
            self.fails(2, ["-hf", "give one of them"], "run", *given, "x")
        for script, flag in (("start", "--nope"), ("setup", "--nope"), ("setup", "word")):
            done = subprocess.run([TESTS.parent / "tools" / script, flag], capture_output=True, text=True, timeout=60)
            self.assertEqual((done.returncode, done.stdout), (2, ""), done.stderr)
            self.assertIn(flag, done.stderr)
        for script in ("start", "setup"):
            done = subprocess.run([TESTS.parent / "tools" / script, "--help"], capture_output=True, text=True, timeout=60)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertIn(f"tools/{script} [", done.stdout)

    def test_a_flag_without_a_command_is_named(self):
        self.fails(2, ["there is no flag --nope"], "--nope")
        self.fails(2, ["did you mean --version?"], "--versoin")
        self.fails(2, ["-m goes after the command, as in 'atlas-vk run -m'"], "-m", "x", "run")
        self.fails(2, ["--temperature goes after the command"], "--temperature=1", "run")

    def test_help_without_a_command_is_wrapped(self):
        for line in atlas()[2].splitlines():
            self.assertLessEqual(len(line), 80)

    def test_version(self):
        code, out, _ = atlas("--version")
        self.assertEqual(code, 0)
        self.assertRegex(out, r"^atlas-vk \d+\.\d+\.\d+")

    def test_man_pages_go_into_a_folder(self):
        self.fails(2, ["a file: expected the name of a folder"], "manual", self.file("f", b"x"))
        code, _, err = atlas("manual", Path(self.folder.name) / "new")
        self.assertEqual(code, 0, err)
        self.assertRegex(err, r"^atlas-vk: note: '.*/new' is a new folder")
        self.assertEqual(atlas("manual", Path(self.folder.name) / "new")[::2], (0, ""))

    def test_man_pages_show_what_help_says(self):
        code, _, err = atlas("manual", self.folder.name)
        self.assertEqual(code, 0, err)
        page = Path(self.folder.name) / "atlas-vk-run.1"
        main = (Path(self.folder.name) / "atlas-vk.1").read_text()
        self.assertIn("\\- run GGUF language models on any Vulkan device\n", main)
        for code in ("129", "130", "143"):
            self.assertIn(code, main)
        for written in Path(self.folder.name).glob("*.1"):
            for line in re.search(r"\.nf\n(.*?)\.fi\n|\Z", written.read_text(), re.S).group().splitlines():
                self.assertTrue(len(line.replace("\\", "")) <= 80 or "atlas" in line, (written.name, line))
        if not shutil.which("groff"):
            self.skipTest("groff is not installed")
        shown = subprocess.run(["groff", "-man", "-Tutf8", "-P-cbou", "-ww", page], capture_output=True, text=True, timeout=60)
        self.assertEqual((shown.returncode, shown.stderr), (0, ""))
        text = " ".join(shown.stdout.split())
        self.assertIn("names as 'atlas-vk pull' takes them", text)  # with quotes that a shell takes, and no word broken
        self.assertIn("(see `atlas-vk list`)", text)

    def test_completion_scripts_load(self):
        for shell in ("bash", "zsh", "fish"):
            code, script, err = atlas("completion", shell)
            self.assertEqual(code, 0, err)
            if not shutil.which(shell):
                continue
            check = subprocess.run([shell, "-n", self.file(shell, script.encode())], capture_output=True, text=True, timeout=60)
            self.assertEqual((check.returncode, check.stderr), (0, ""), shell)


class ExitCodes(Cli):
    """2: the command line is wrong, whatever files, network and devices there are. 1: what it names fails. README says so."""

    def test_the_rule(self):
        folder, target = Path(self.folder.name), Path(self.folder.name) / "out"
        utf16, empty = self.file("utf16", "hi\n".encode("utf-16")), self.file("empty", b"")
        nothing, run = folder / "nothing", ("run", "-m", TINY)
        for code, commands in {
            1: (("run", "-m", nothing, "x"), ("run", "-m", "no-such-model", "x"), ("run", "-y", "-m", "no-such-model", "x"),
                (*run, "-f", nothing), (*run, "--prompts", nothing), (*run, "--lookup", nothing, "x"), (*run, "--draft", nothing, "x"),
                (*run, "-f", utf16), (*run, "--prompts", utf16), (*run, "--prompts", empty),
                ("chat", "-m", nothing), ("tokenize", "-m", nothing, "x"), ("logits", "-m", nothing, "--tokens", "1", "-o", target),
                ("perplexity", "-m", nothing, "-f", utf16), ("perplexity", "-m", TINY, "-f", nothing), ("perplexity", "-m", TINY, "--kl-base", nothing),
                ("bench", "-m", nothing), ("bench", "-m", TINY, "--text", nothing), ("tune", "-m", nothing), ("inspect", nothing), ("plan", "--file", nothing),
                ("quantize", nothing, target, "Q8_0"), ("quantize", TINY, folder / "no" / "folder", "Q8_0"), ("fit-cache", nothing, target),
                ("rm", "-y", "no-such-model"), ("pull", folder / "nothing.gguf"), ("chat", "-m", TINY, "--draft", nothing)),
            2: ((), ("nosuch",), ("--nosuch",), ("run", "x"), (*run, "--nosuch", "x"), (*run, "--kv", "q9", "x"), (*run, "-f", folder), (*run, "--prompts", folder),
                ("run", "-m", folder, "x"), ("inspect", folder), ("pull", folder), (*run, "--device", "nosuch", "x"), (*run, "--device", "77", "x"),
                ("pull", "no-such-model"), ("pull", "hf:"), ("pull", "http://example.org/m.gguf"), ("pull", "pypi:x"),
                ("plan", "--card", "nosuch"), ("plan", "--vram", "12G", "--model", "nosuch"), ("plan", "--size-of", "nosuch"), ("plan", "--vram", "12X"),
                ("bench", "--shape", "nosuch:q4_0"), ("tune", "--shape", "nosuch:q4_0"), ("quantize", TINY, target, "Q99"), ("quantize", TINY, utf16, "Q8_0"),
                ("completion", "nosuch"), ("rm", ""), (*run, "--system", "x", "--raw", "x")),
        }.items():
            for arguments in commands:
                with self.subTest(arguments):
                    err = self.fails(code, ["atlas-vk: error: "] if arguments else [], *arguments)
                    if code == 1:
                        self.assertNotIn("--help' for more", err, "the command line is right")

    def test_what_is_no_model_says_where_to_look(self):
        for flags in ((), ("-y",)):
            err = self.fails(1, ["not in the catalogue", "'atlas-vk pull --help'", "hf:owner/repo"], "run", *flags, "-m", "no-such-model", "x",
                             env={"XDG_CACHE_HOME": self.folder.name})
            self.assertNotIn("did you mean", err)


class WrongFiles(Cli):
    def test_missing_empty_folder_and_other_files(self):
        self.fails(1, ["nothing-here.gguf"], "run", "-m", Path(self.folder.name) / "nothing-here.gguf", "x")
        self.fails(1, ["empty.gguf"], "run", "-m", self.file("empty.gguf", b""), "x")
        self.fails(2, [self.folder.name], "inspect", self.folder.name)
        self.fails(1, ["page.gguf"], "run", "-m", self.file("page.gguf", b"<!DOCTYPE html><html>Not found</html>"), "x")
        self.fails(1, ["zip.gguf"], "inspect", self.file("zip.gguf", b"PK\x03\x04" + bytes(100)))

    def test_truncated_model(self):
        whole = Path(TINY).read_bytes()
        for size in (5, 23, 100, 5000, len(whole) - 1):
            self.fails(1, ["cut.gguf"], "run", "-m", self.file("cut.gguf", whole[:size]), "x")

    def test_unknown_architecture_is_named_with_the_known_ones(self):
        key = b"general.architecture" + struct.pack("<IQ", 8, 5) + b"llama"
        whole = Path(TINY).read_bytes()
        self.assertIn(key, whole)
        path = self.file("mamba.gguf", whole.replace(key, key[:-5] + b"mamba"))
        self.fails(1, ["mamba", "llama", "qwen2"], "run", "-m", path, "x")

    def test_unknown_tensor_type_is_named(self):
        whole = bytearray(Path(TINY).read_bytes())
        name = b"blk.0.attn_q.weight"
        at = whole.index(struct.pack("<Q", len(name)) + name) + 8 + len(name) + 4 + 16
        struct.pack_into("<I", whole, at, 29)  # iq1_m, which this program does not read
        self.fails(1, ["blk.0.attn_q.weight"], "run", "-m", self.file("iq1.gguf", bytes(whole)), "x")


class Running(Cli):
    def test_greedy_is_repeatable_and_stdout_holds_the_answer_alone(self):
        arguments = ("run", "-m", TINY, "--raw", "--temperature", "0", "-n", "12", "def main():")
        code, first, err = atlas(*arguments)
        self.assertEqual(code, 0, err)
        self.assertTrue(first.strip())
        self.assertNotIn("tokens/s", first)
        self.assertIn("tokens/s", err)
        self.assertEqual(atlas(*arguments)[1], first)
        quiet = atlas(*arguments[:1], "-q", *arguments[1:])
        self.assertEqual(quiet[1], first)
        self.assertNotIn("tokens/s", quiet[2])

    def test_seed_decides(self):
        def answer(seed):
            return atlas("run", "-m", TINY, "--raw", "--temperature", "1.5", "--seed", seed, "-n", "16", "import")[1]
        self.assertEqual(answer(7), answer(7))
        self.assertGreater(len({answer(seed) for seed in range(4)}), 1)

    def test_chat_template_and_stdin(self):
        code, out, err = atlas("run", "-m", TINY, "--temperature", "0", "-n", "8", "-", stdin="Hello\n")
        self.assertEqual(code, 0, err)

    def test_many_prompts_at_once(self):
        prompts = ["def main():", "import", "class A:", "import os"]
        text = "\n".join([prompts[0], json.dumps({"prompt": prompts[1]}), "", *prompts[2:]]) + "\n"
        path = self.file("prompts.txt", text.encode())
        flags = ("--raw", "--temperature", "0", "-n", "12")
        alone = [atlas("run", "-m", TINY, *flags, prompt)[1] for prompt in prompts]
        for parallel in (1, 3):
            figures = Path(self.folder.name) / "figures.json"
            code, out, err = atlas("run", "-m", TINY, *flags, "--prompts", path, "--parallel", parallel, "--json", figures, "--force")
            self.assertEqual(code, 0, err)
            lines = [json.loads(line) for line in out.splitlines()]
            self.assertEqual([line["prompt"] for line in lines], prompts)
            for line, expected in zip(lines, alone):
                self.assertEqual(line["answer"].strip(), expected.strip())
                self.assertIn(line["finish"], ("max_tokens", "complete"))
            self.assertEqual(json.loads(figures.read_text())["prompts"], 4)
        self.fails(1, ["no-such-file"], "run", "-m", TINY, "--prompts", "no-such-file")
        self.fails(2, ["--prompts"], "run", "-m", TINY, "--parallel", "4", "x")

    def test_prompt_longer_than_the_context(self):
        self.fails(1, ["64"], "run", "-m", TINY, "--raw", "--ctx", "64", "word " * 400)

    def test_empty_prompt(self):
        self.fails(2, ["prompt"], "run", "-m", TINY, stdin="")

    def test_not_enough_memory_says_needed_there_and_what_fits(self):
        err = self.fails(1, [], "run", "-m", TINY, "--memory-limit", "32M", "x")
        self.assertRegex(err, r"\d+(\.\d+)? (MiB|GiB|KiB|bytes).*\d+(\.\d+)? (MiB|GiB|KiB|bytes)")

    def test_no_device(self):
        environment = {"VK_DRIVER_FILES": "/nonexistent.json", "VK_ICD_FILENAMES": "/nonexistent.json"}
        self.fails(1, ["Vulkan"], "run", "-m", TINY, "x", env=environment)
        self.fails(1, ["Vulkan"], "devices", env=environment)
        self.fails(2, ["no-such-card"], "run", "-m", TINY, "--device", "no-such-card", "x")

    def test_interrupt_stops_the_answer(self):
        child = subprocess.Popen([PROGRAM, "run", "-m", TINY, *ENDLESS], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        child.stdout.read(1)  # the answer has begun
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=30)
        self.assertEqual(child.returncode, 130, err)
        self.assertIn("atlas-vk: stopped", err.decode())
        self.assertNotIn("error", err.decode())

    def test_closed_stdout_is_no_crash(self):
        child = subprocess.Popen([PROGRAM, "run", "-m", TINY, *ENDLESS], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        child.stdout.read(1)
        child.stdout.close()
        child.wait(timeout=60)
        self.assertIn(child.returncode, (1, -signal.SIGPIPE))


class Chatting(Cli):
    def test_conversation_commands_from_a_pipe(self):
        saved = Path(self.folder.name) / "talk.json"
        lines = f'/help\nHello\nAnd again \\\non two lines\n/undo\n/stats off\n"""\na\nb\n"""\n/save {saved}\n/nonsense\n/exit\nnever\n'
        code, out, err = atlas("chat", "-m", TINY, "-v", "--temperature", "0", "-n", "6", stdin=lines)
        self.assertEqual(code, 0, err)
        self.assertIn("/clear", err)
        self.assertIn("unknown command /nonsense", err)
        messages = json.loads(saved.read_text())
        self.assertEqual([m["role"] for m in messages], ["user", "assistant", "user", "assistant"])
        self.assertEqual(messages[2]["content"], "a\nb")
        self.assertRegex(err, r"\d+ reused")

    def test_saving_does_not_overwrite(self):
        precious = self.file("precious.json", b"mine")
        code, _, err = atlas("chat", "-m", TINY, stdin=f"/save {precious}\n")
        self.assertEqual(code, 0)
        self.assertIn("not overwritten", err)
        self.assertEqual(precious.read_bytes(), b"mine")


class Looking(Cli):
    def test_inspect_json(self):
        code, out, err = atlas("inspect", TINY, "--json")
        self.assertEqual(code, 0, err)
        self.assertEqual(json.loads(out)["version"] if "version" in json.loads(out) else 3, 3)
        self.assertIn("llama", out)

    def test_devices_json(self):
        code, out, err = atlas("devices", "--json")
        self.assertEqual(code, 0, err)
        json.loads(out)

    def test_plan_for_a_card(self):
        code, out, err = atlas("plan", "--card", "RX 7900 GRE")
        self.assertEqual(code, 0, err)
        for word in ("qwen3.8-27b", "KV cache", "weights", "kept free", "atlas-vk pull hf:", "Cache formats"):
            self.assertIn(word, out)
        code, out, err = atlas("plan", "--card", "rtx 3090", "--for", "coding", "--json")
        self.assertEqual(code, 0, err)
        best = json.loads(out)["choices"][0]
        self.assertEqual(best["model"], "qwen3.8-27b")
        self.assertGreaterEqual(best["context_tokens"], 16384)
        self.assertEqual(best["total_bytes"], best["weights_bytes"] + best["kv_bytes"] + best["scratch_bytes"] + best["draft_bytes"])
        self.assertLess(best["decode_tokens_per_s"]["low"], best["decode_tokens_per_s"]["high"])

    def test_plan_sizes(self):
        code, out, err = atlas("plan", "--size-of", "qwen2.5-coder-7b", "--quant", "q4_k_m", "--json")
        self.assertEqual(code, 0, err)
        self.assertEqual(json.loads(out)["tensor_bytes"], 4677120000)

    def test_plan_of_a_file(self):
        code, out, err = atlas("plan", "--file", TINY, "--card", "RTX 3090", "--json")
        self.assertEqual(code, 0, err)
        self.assertGreater(json.loads(out)["choices"][0]["weights_bytes"], 1 << 20)

    def test_plan_bad_input_names_what_is_near(self):
        self.fails(2, ["RTX 3090"], "plan", "--card", "RTX 3091")
        self.fails(2, ["qwen2.5-coder-14b-instruct"], "plan", "--card", "RTX 3090", "--model", "qwen2.5-coder-14c")
        self.fails(1, ["smallest choice", "smollm2-135m-instruct", "needs"], "plan", "--vram", "600M")
        self.fails(2, ["Q4_K_M"], "plan", "--card", "RTX 3090", "--quant", "Q9")
        self.fails(2, ["q8_0"], "plan", "--card", "RTX 3090", "--kv", "q9")
        self.fails(2, ["16384"], "plan", "--card", "RTX 3090", "--ctx", "many")
        self.fails(2, ["was made for 32768"], "plan", "--card", "RTX 3090", "--model", "qwen2.5-coder-7b", "--ctx", "64k")

    def test_tokenize(self):
        code, out, _ = atlas("tokenize", "-m", TINY, "--no-special", "-", stdin=b"def f(x):\n\treturn x\xff")
        self.assertEqual(code, 0)
        self.assertTrue(all(int(word) >= 0 for word in out.split()))

    def test_logits_shape(self):
        target = Path(self.folder.name) / "out.f32"
        code, _, err = atlas("logits", "-m", TINY, "--tokens", "1,2,3", "-o", target, "--kv-type", "f32")
        self.assertEqual(code, 0, err)
        vocabulary = 4096
        self.assertEqual(target.stat().st_size, 3 * vocabulary * 4)
        self.fails(2, ["99999999"], "logits", "-m", TINY, "--tokens", "1,99999999", "-o", target, "--force")
        self.assertEqual([p.name for p in Path(self.folder.name).iterdir()], ["out.f32"])


if __name__ == "__main__":
    PROGRAM, TESTS = sys.argv[1], Path(sys.argv[2])
    TINY = str(TESTS / "models/atlas-tiny-Q8_0.gguf")
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]], verbosity=2)
