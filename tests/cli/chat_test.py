#!/usr/bin/env python3
"""`atlas-vk chat` at a terminal: typing, pasting, stopping, and the files and terminal after every kind of end.

Usage: chat_test.py PATH_TO_ATLAS_VK TESTS_FOLDER [unittest arguments]
"""
import fcntl
import json
import os
import pty
import re
import signal
import stat
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
import unittest
from pathlib import Path

PROGRAM = TINY = None
START, END = b"\033[200~", b"\033[201~"
CODE = "def f(x):\n\tif x:\n\t\treturn 'ä\t€'\n\n\treturn \\\n\t\t0"
LONG = "".join(f"\tline {i}:\tπ = {i * 7919}\n" for i in range(900))  # over 20 KB


class Terminal:
    """A chat with its own terminal of 80 columns."""

    def __init__(self, state, *arguments, model=None):
        self.state = Path(state)
        self.master, self.slave = pty.openpty()
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.found = termios.tcgetattr(self.slave)
        environment = dict(os.environ, XDG_STATE_HOME=str(state), TERM="xterm-256color", LC_ALL="C.UTF-8")

        def own_terminal():
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        self.child = subprocess.Popen([PROGRAM, "chat", "-m", model or TINY, *map(str, arguments)], stdin=self.slave, stdout=self.slave, stderr=self.slave,
                                      env=environment, preexec_fn=own_terminal)
        self.output, self.seen, self.changed = b"", 0, threading.Condition()
        threading.Thread(target=self._collect, daemon=True).start()
        self.expect("/help lists commands")
        self.expect("> ")

    def _collect(self):
        while True:
            try:
                block = os.read(self.master, 65536)
            except OSError:
                return
            with self.changed:
                self.output += block
                self.changed.notify_all()

    def expect(self, text, timeout=120):
        """Waits for `text` after the text of the last wait. The terminal's width may break it at any of its spaces."""
        wanted = re.compile(rb"(?: |\r\n)".join(re.escape(part) for part in text.encode().split(b" ")))
        with self.changed:
            there = self.changed.wait_for(lambda: wanted.search(self.output, self.seen), timeout)
            if not there:
                raise AssertionError(f"no {text!r} in {self.output[self.seen:][-3000:]!r}")
            self.seen = there.end()

    def words(self):
        """The output with one space where it has a space or a line break."""
        return b" ".join(self.output.split())

    def expect_more_output(self, timeout=120):
        with self.changed:
            before = len(self.output)
            if not self.changed.wait_for(lambda: len(self.output) > before + 8, timeout):
                raise AssertionError("the answer does not begin")

    def send(self, data):
        data = data.encode() if isinstance(data, str) else data
        while data:
            data = data[os.write(self.master, data[:1024]):]

    def paste(self, text, newline="\r"):
        self.send(START + text.replace("\n", newline).encode() + END)

    def signal(self, number):
        self.child.send_signal(number)

    def ends(self, code, timeout=120):
        got = self.child.wait(timeout)
        time.sleep(0.1)
        if got != code:
            raise AssertionError(f"exit code {got}, expected {code}: {self.output[-2000:]!r}")
        after = termios.tcgetattr(self.slave)
        if after != self.found or not self.output.rstrip().find(b"\033[?2004l") > self.output.rfind(b"\033[?2004h"):
            raise AssertionError(f"the terminal is not as it was found: {self.found} {after} {self.output[-300:]!r}")

    def close(self):
        if self.child.poll() is None:
            self.child.kill()
            self.child.wait()
        os.close(self.slave)
        os.close(self.master)

    def kept_file(self):
        files = sorted((self.state / "atlas-vk/chats").glob("chat-*.json"))
        return files[-1] if files else None

    def kept(self):
        return json.loads(self.kept_file().read_text())["messages"] if self.kept_file() else []

    def wait_for_messages(self, n, timeout=120):
        """The kept talk once it holds n messages."""
        until = time.monotonic() + timeout
        while time.monotonic() < until:
            messages = self.kept()
            if len(messages) >= n:
                return messages
            time.sleep(0.02)
        raise AssertionError(f"{n} messages expected, found {self.kept()}; {self.output[-2000:]!r}")


class Chat(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.state = self.folder / "state"

    def open(self, *arguments, **options):
        terminal = Terminal(self.state, *arguments, **options)
        self.addCleanup(terminal.close)
        return terminal

    SHORT = ("--temperature", "0", "-n", "4", "--ctx", "2048")
    ENDLESS = ("--temperature", "3", "--seed", "2", "--ctx", "8192")  # 825 tokens answer "tell"


class Pasting(Chat):
    def test_pasted_code_is_one_message_byte_for_byte(self):
        for i, newline in enumerate(("\r", "\n", "\r\n")):
            terminal = self.open(*self.SHORT)
            terminal.paste(CODE, newline)
            terminal.send("\r")
            self.assertEqual(terminal.wait_for_messages(2)[0]["content"], CODE, newline)
            terminal.send("/bye\r")
            terminal.ends(0)

    def test_paste_with_a_newline_at_its_end_and_text_around_it(self):
        terminal = self.open(*self.SHORT)
        terminal.send("what is this?\033[D\033[D\033[D\033[D\033[D")  # five to the left
        terminal.paste("\n" + CODE + "\n")
        terminal.send("\r")
        self.assertEqual(terminal.wait_for_messages(2)[0]["content"], "what is \n" + CODE + "\nthis?")
        terminal.paste("/* a comment */\n\tx = 1;\n")
        terminal.send("\r")
        self.assertEqual(terminal.wait_for_messages(4)[2]["content"], "/* a comment */\n\tx = 1;\n")
        terminal.paste("one\ttwo")  # no newline: it goes on
        terminal.send(" three\r")
        self.assertEqual(terminal.wait_for_messages(6)[4]["content"], "one\ttwo three")
        terminal.send("\033[A\033[A\033[A\r")  # the history holds it, too
        self.assertEqual(terminal.wait_for_messages(8)[6]["content"], "what is \n" + CODE + "\nthis?")

    def test_tabs_that_are_typed_stay(self):
        terminal = self.open(*self.SHORT)
        terminal.send("a\tb\r")
        self.assertEqual(terminal.wait_for_messages(2)[0]["content"], "a\tb")

    def test_long_paste(self):
        self.assertGreater(len(LONG.encode()), 20000)
        terminal = self.open("--ctx", "512")
        terminal.paste(LONG)
        terminal.expect("more lines")
        terminal.send("the end\r")
        terminal.expect("do not fit")  # and the question is in the history
        terminal.send("/bye\r")
        terminal.ends(0)
        history = (self.state / "atlas-vk/chat_history").read_text()
        decoded = history.split("\n", 1)[1].replace("\\040", " ").replace("\\011", "\t").replace("\\012", "\n").encode("latin-1", "replace")
        self.assertIn("line 899:", decoded.decode("latin-1"))
        self.assertIn("the end", decoded.decode("latin-1"))

    def test_long_paste_during_an_answer(self):
        terminal = self.open("--temperature", "1", "--seed", "3", "--ctx", "20480")
        terminal.send("tell\r")
        terminal.expect_more_output()
        terminal.paste(LONG[:12000])
        terminal.paste(LONG[12000:])
        terminal.send(" and\tnow?\r")
        terminal.signal(signal.SIGINT)
        messages = terminal.wait_for_messages(3)
        self.assertEqual(messages[2]["content"], LONG + " and\tnow?")
        self.assertEqual(messages[0]["content"], "tell")
        self.assertTrue(messages[1]["content"])

    def test_paste_in_a_block(self):
        terminal = self.open(*self.SHORT)
        terminal.send('"""\r')
        terminal.paste('\t"""\n\ttext\n"""\n' + CODE)
        terminal.send('\rtyped\r"""\r')
        self.assertEqual(terminal.wait_for_messages(2)[0]["content"], '\t"""\n\ttext\n"""\n' + CODE + "\ntyped")
        terminal.send('"""\r')
        terminal.paste(CODE + "\n")
        terminal.send('"""\r')
        self.assertEqual(terminal.wait_for_messages(4)[2]["content"], CODE + "\n")

    def test_typing_during_an_answer_waits_for_its_turn(self):
        terminal = self.open(*self.ENDLESS)
        terminal.send("tell\r")
        terminal.expect_more_output()
        terminal.send("/stats off\rfirst")
        terminal.signal(signal.SIGINT)
        terminal.wait_for_messages(2)
        terminal.send(" and more\r")
        self.assertEqual(terminal.wait_for_messages(3)[2]["content"], "first and more")


    def test_a_control_byte_in_a_paste_is_text(self):
        terminal = self.open(*self.SHORT)
        terminal.paste("a\x03b\n\x1ac\x1cd")
        terminal.send("\r")
        self.assertEqual(terminal.wait_for_messages(2)[0]["content"], "a\x03b\n\x1ac\x1cd")
        terminal.send("/bye\r")
        terminal.ends(0)

    def test_a_control_byte_in_a_paste_during_an_answer_stops_nothing(self):
        terminal = self.open(*self.ENDLESS)
        terminal.send("tell\r")
        terminal.expect_more_output()
        terminal.paste("p\x03q")
        time.sleep(1)
        self.assertEqual(len(terminal.kept()), 1, "the answer goes on")
        terminal.send("\x03")
        terminal.wait_for_messages(2)
        terminal.send("\r")
        self.assertEqual(terminal.wait_for_messages(3)[2]["content"], "p\x03q")

    def test_ctrl_c_ends_a_paste_that_does_not_end(self):
        terminal = self.open(*self.SHORT)
        terminal.send(START + b"half of it\r")
        time.sleep(0.3)
        terminal.send("\x03")
        terminal.expect("Ctrl-D leaves")
        terminal.send(END + b"hello\r")  # the end comes late, and is no text
        self.assertEqual(terminal.wait_for_messages(2)[0]["content"], "hello")
        terminal.send("/bye\r")
        terminal.ends(0)

    def test_ctrl_c_in_a_paste_that_does_not_end_stops_the_answer(self):
        terminal = self.open(*self.ENDLESS)
        terminal.send("tell\r")
        terminal.expect_more_output()
        terminal.send(START + b"half")
        time.sleep(0.3)
        terminal.send("\x03")
        terminal.wait_for_messages(2)
        terminal.send(" of it\r")
        self.assertEqual(terminal.wait_for_messages(3)[2]["content"], "half of it")


class TypedCommands(Chat):
    def test_what_is_forgotten_is_still_offered(self):
        for forget in ("/clear", "/undo", "/system Be short."):
            self.state = self.folder / forget[1:5]
            terminal = self.open(*self.SHORT)
            terminal.send(f"before {forget}\r")
            before = terminal.wait_for_messages(2)
            terminal.expect("; context ")
            terminal.send(forget + "\r")
            terminal.expect("/resume")
            terminal.send("/bye\r")
            terminal.ends(0)
            self.assertEqual(terminal.kept(), before)
            terminal = self.open(*self.SHORT, "--resume")
            self.assertIn(b"before " + forget.split()[0].encode(), terminal.words())
            terminal.send("/bye\r")
            terminal.ends(0)

    def test_commands_without_an_argument_say_what_is_set(self):
        terminal = self.open(*self.SHORT, "--system", "Be short.")
        terminal.send("/system\r")
        terminal.expect("the system message is 'Be short.'")
        terminal.send("/stats\r")
        terminal.expect("figures after each answer are on")
        terminal.send("hello\r")
        terminal.wait_for_messages(3)
        terminal.send("/stats\r")
        terminal.expect("[prompt ")
        terminal.send('/system ""\r')
        terminal.expect("starts over")
        terminal.send("/system\r")
        terminal.expect("there is no system message")

    def test_commands_in_any_case_and_near_misses(self):
        terminal = self.open(*self.SHORT)
        terminal.send("/HELP\r")
        terminal.expect("Begin a new conversation")
        terminal.send("/Hepl\r")
        terminal.expect("did you mean /help?")
        for line in ("/undo 3", "/Clear x", "/bye foo", "/quit now"):
            terminal.send(line + "\r")
            terminal.expect(f"{line.split()[0].lower()} takes nothing after it, found '{line.split()[1]}'")
        terminal.send("/Bye\r")
        terminal.ends(0)
        self.assertEqual(terminal.kept(), [])


class ReadingFiles(Chat):
    def test_a_file_is_queued_once_and_can_be_dropped(self):
        one, two = self.folder / "one.py", self.folder / "two.py"
        one.write_text("first = 1\n")
        two.write_text("second = 2\n")
        terminal = self.open(*self.SHORT)
        terminal.send("/unread\r")
        terminal.expect("no file")
        terminal.send(f"/read {one}\r")
        terminal.expect("/unread")
        one.write_text("first = 11\n")
        terminal.send(f"/read {one}\r")
        terminal.expect("once,")
        terminal.send(f"/read {two}\r")
        terminal.expect("/unread")
        terminal.send(f"/unread {two}\r")
        terminal.expect("1 file dropped")
        terminal.send(f"/unread {two}\r")
        terminal.expect("alone")
        terminal.send("tell\r")
        question = terminal.wait_for_messages(2)[0]["content"]
        self.assertEqual(question.count("first = 11"), 1, question)
        self.assertNotIn("first = 1\n", question)
        self.assertNotIn("second", question)


    def test_a_file_that_is_too_long_is_named_and_stays(self):
        small, large = self.folder / "small.py", self.folder / "large.py"
        small.write_text("small = 1\n")
        large.write_text(LONG)
        terminal = self.open("--temperature", "0", "-n", "4", "--ctx", "512")
        terminal.send(f"/read {small}\r/read {large}\rtell\r")
        terminal.expect("do not fit")
        terminal.expect("> ")
        self.assertIn(b"'large.py' takes most", terminal.words())
        self.assertIn(b"/unread drops it", b" ".join(terminal.output.rsplit(b"do not fit", 1)[1].split()))
        terminal.send(f"/unread {large}\r")
        terminal.expect("1 file dropped")
        terminal.send("tell\r")
        self.assertIn("small = 1", terminal.wait_for_messages(2)[0]["content"])


class Stopping(Chat):
    def test_what_follows_ctrl_c_in_one_write_is_read(self):
        for text in ("\x03/bye\r", "to be dropped\x03/bye\r"):
            terminal = self.open(*self.SHORT)
            terminal.send(text)
            terminal.ends(0, timeout=30)
            self.assertEqual(terminal.kept(), [])

    def test_ctrl_d_leaves_the_shell_a_line_of_its_own(self):
        terminal = self.open(*self.SHORT)
        terminal.send("\x04")
        terminal.ends(0, timeout=30)
        self.assertRegex(terminal.output, rb"> [^\r\n]*\r?\n(\x1b\[[?\d;]*[a-zA-Z])*$")

    def test_ctrl_c_stops_the_answer_or_drops_the_line(self):
        terminal = self.open(*self.ENDLESS)
        terminal.send("tell\r")
        terminal.expect_more_output()
        terminal.send("\x03")
        terminal.wait_for_messages(2)
        terminal.expect("> ")
        terminal.send("to be dropped")
        terminal.expect("dropped")
        terminal.send("\x03")
        terminal.expect("> ")
        terminal.send("/undo\r/bye\r")
        terminal.ends(0)
        self.assertIn(b"/resume continues it", terminal.words())
        self.assertEqual(terminal.kept()[0]["content"], "tell")

    def test_signals_end_it_with_the_terminal_restored_and_the_talk_kept(self):
        for number, code in ((signal.SIGHUP, 129), (signal.SIGTERM, 143)):
            terminal = self.open(*self.ENDLESS)
            terminal.send("tell\r")
            terminal.expect_more_output()
            terminal.signal(number)
            if number == signal.SIGHUP:
                terminal.signal(number)  # a terminal that closes and its shell both send one
            terminal.ends(code)
            messages = terminal.kept()
            self.assertEqual([m["role"] for m in messages], ["user", "assistant"])
            self.assertTrue(messages[1]["content"])
            self.assertEqual(stat.S_IMODE(terminal.kept_file().stat().st_mode), 0o600)
        terminal = self.open(*self.SHORT)
        terminal.signal(signal.SIGTERM)  # at the prompt
        terminal.ends(143)

    def test_a_crash_restores_the_terminal(self):
        for number in (signal.SIGSEGV, signal.SIGABRT, signal.SIGQUIT, signal.SIGPIPE):
            with self.subTest(signal=number.name):
                terminal = self.open(*self.SHORT)
                terminal.signal(number)
                terminal.child.wait(120)
                time.sleep(0.1)
                if b"Sanitizer" in terminal.output:  # it has handlers of its own
                    continue
                terminal.ends(-number)

    def test_a_kill_loses_nothing_and_the_next_start_offers_it(self):
        terminal = self.open(*self.SHORT)
        terminal.send("first\r")
        before = terminal.wait_for_messages(2)
        terminal.child.kill()
        terminal.child.wait()
        terminal = self.open(*self.SHORT)
        self.assertIn(b"cut short: /resume", terminal.words())
        self.assertIn(b"2 messages", terminal.words())
        terminal.send("/resume\r")
        terminal.expect("'first'")
        terminal.send("second\r")
        terminal.expect("; context ")
        self.assertEqual(terminal.kept()[:2], before)
        self.assertEqual(terminal.wait_for_messages(4)[2]["content"], "second")
        terminal.send("\x04")  # Ctrl-D
        terminal.ends(0)
        terminal = self.open(*self.SHORT)
        self.assertNotIn(b"/resume", terminal.words())  # it ended by itself
        terminal.send("/bye\r")
        terminal.ends(0)
        terminal = self.open(*self.SHORT, "--resume")
        self.assertIn(b"4 messages", terminal.words())

    def test_ten_chats_are_kept(self):
        folder = self.state / "atlas-vk/chats"
        folder.mkdir(parents=True)
        for i in range(14):
            (folder / f"chat-20200101-0000{i:02}-1-0.json").write_text('{"ended": true, "messages": [{"role": "user", "content": "x"}]}')
        terminal = self.open(*self.SHORT)
        terminal.send("Hello\r")
        terminal.expect("; context ")
        terminal.send("/bye\r")
        terminal.ends(0)
        self.assertEqual(len(list(folder.iterdir())), 10)
        subprocess.run([PROGRAM, "chat", "-m", TINY, *self.SHORT], input=b"from a script\n", capture_output=True, check=True, timeout=120,
                       env=dict(os.environ, XDG_STATE_HOME=str(self.state)))
        self.assertEqual(len(list(folder.iterdir())), 9)
        self.assertEqual(terminal.kept()[0]["content"], "Hello")

    def test_private_keeps_nothing(self):
        terminal = self.open(*self.SHORT, "--private")
        terminal.send("secret\r")
        terminal.expect("; context ")
        terminal.send("/bye\r")
        terminal.ends(0)
        self.assertFalse(self.state.exists())


class FullContext(Chat):
    def test_many_turns_in_a_small_context(self):
        system = "You are short."
        terminal = self.open("--temperature", "0", "-n", "24", "--ctx", "256", "--system", system, "-v")
        for i in range(12):
            terminal.send(f"question {i} about a sorting algorithm in python\r")
            terminal.expect(" of 256 tokens]")
        messages = terminal.wait_for_messages(25)
        self.assertEqual(messages[0], {"role": "system", "content": system})
        self.assertEqual(len(messages), 25)
        self.assertIn(b"no longer reads the", terminal.words())
        self.assertNotIn(b" 0.00 x plain", terminal.words())
        self.assertNotIn(b"atlas-vk: error", terminal.words())
        for used in re.findall(rb"context (\d+) of 256", terminal.words()):
            self.assertLessEqual(int(used), 256)
        # Every prompt but the first finds a part in the cache: the whole conversation, or the system text if turns were left out.
        self.assertEqual([int(n) > 4 for n in re.findall(rb"\((\d+) reused", terminal.words())], [True] * 11)

    def test_a_question_that_is_too_long_costs_nothing(self):
        terminal = self.open("--temperature", "0", "-n", "8", "--ctx", "256", "-v")
        terminal.send("first\r")
        terminal.expect(" of 256 tokens]")
        first = re.search(rb"context (\d+) of", terminal.words()).group(1)
        terminal.paste(LONG)
        terminal.send("\r")
        terminal.expect("too long even without")
        terminal.send("second\r")
        terminal.expect(" of 256 tokens]")
        self.assertGreaterEqual(int(re.search(rb"\((\d+) reused", terminal.words()).group(1)), int(first) - 8)  # "first" is still read
        self.assertNotIn(b"no longer reads", terminal.words())
        self.assertEqual([m["content"] for m in terminal.wait_for_messages(4)[::2]], ["first", "second"])

    def test_the_strict_policy(self):
        terminal = self.open("--temperature", "0", "-n", "24", "--ctx", "256", "--context-policy", "stop")
        for i in range(12):
            terminal.send(f"question {i} about a sorting algorithm in python\r")
            terminal.wait_for_messages(1)
            time.sleep(0.05)
        terminal.expect("do not fit")
        terminal.expect("--context-policy shift")
        terminal.send("/clear\rshort\r")
        terminal.expect(" of 256 tokens]")
        self.assertEqual(terminal.wait_for_messages(2)[0]["content"], "short")


class Commands(Chat):
    def chat(self, lines, *arguments, code=0):
        done = subprocess.run([PROGRAM, "chat", "-m", TINY, *self.SHORT, *arguments], input=lines if isinstance(lines, bytes) else lines.encode(),
                              capture_output=True, env=dict(os.environ, XDG_STATE_HOME=str(self.state)), timeout=120)
        self.assertEqual(done.returncode, code, done.stderr)
        return done.stderr.decode(errors="replace")

    def test_bytes_that_are_no_utf8_are_saved(self):
        saved = self.folder / "talk.json"
        self.chat(b"caf\xe9\n/save " + os.fsencode(saved) + b"\nand on\n/save! " + os.fsencode(saved) + b"\n")
        messages = json.loads(saved.read_text())
        self.assertEqual(messages[0]["content"], "caf\ufffd")
        self.assertEqual(len(messages), 4)
        self.assertEqual([p.name for p in self.folder.iterdir() if p.name != "state"], ["talk.json"])

    def test_save_never_replaces_by_itself(self):
        precious = self.folder / "precious.json"
        precious.write_bytes(b"mine")
        err = self.chat(f"Hello\n/save {precious}\n/save\n/save {self.folder}\n/save {self.folder}/none/x\n")
        self.assertIn("not overwritten", err)
        self.assertEqual(precious.read_bytes(), b"mine")
        self.assertEqual(err.count("atlas-vk: error:"), 4, err)

    def test_load_read_retry_undo_bye(self):
        saved = self.folder / "talk.json"
        code = self.folder / "code.py"
        code.write_text("def f():\n\treturn '```'\n")
        err = self.chat(f"one\ntwo\n/undo\n/read {code}\nwhat is this?\n/retry\n/save {saved}\n/bye\nnever\n")
        messages = json.loads(saved.read_text())
        self.assertEqual([m["content"] for m in messages[::2]], ["one", f"code.py:\n````\n{code.read_text()}````\n\nwhat is this?"])
        again = self.folder / "again.json"
        self.chat(f"/load {saved}\n/save {again}\n")
        self.assertEqual(json.loads(again.read_text()), messages)
        for content in (b"[1, 2]", b"{", b'[{"role": "assistant", "content": "x"}]', b'{"messages": 3}', b"[]", b'[{"role": "user", "content": [1]}]'):
            bad = self.folder / "bad.json"
            bad.write_bytes(content)
            self.assertIn("atlas-vk: error:", self.chat(f"/load {bad}\nstill here\n"))
        binary = self.folder / "binary"
        binary.write_bytes(b"\0\1")
        err = self.chat(f"/read {binary}\n/read {self.folder}/none\n/read /dev/zero\n/rerty\n/usr/bin/env is what?\n// and this?\n/save {self.folder}/last.json\n")
        self.assertEqual(err.count("atlas-vk: error:"), 4, err)
        self.assertIn("/retry", err)
        self.assertEqual([m["content"] for m in json.loads((self.folder / "last.json").read_text())[::2]], ["/usr/bin/env is what?", "// and this?"])

    def test_a_retry_has_the_next_seed(self):
        def answers(lines, seed):
            saved = self.folder / f"{seed}-{lines.count('retry')}.json"
            self.SHORT = ("--temperature", "1.5", "--seed", seed, "-n", "24", "--ctx", "2048")
            self.chat(f"{lines}/save {saved}\n")
            return json.loads(saved.read_text())[-1]["content"]
        self.assertEqual(answers("tell\n/retry\n/retry\n", "5"), answers("tell\n", "7"))
        self.assertNotEqual(answers("tell\n/retry\n", "5"), answers("tell\n", "5"))

    def test_a_lost_device_keeps_the_talk(self):
        layer = Path(os.environ.get("ATLAS_FAULT_LAYER", Path(PROGRAM).resolve().parent / "tests/faults"))
        if not (layer / "atlas_fault_layer.json").exists():
            self.skipTest(f"no layer that makes Vulkan fail in {layer}")
        log = self.folder / "log"

        def chat(fault):
            environment = dict(os.environ, XDG_STATE_HOME=str(self.state), VK_ADD_LAYER_PATH=str(layer), VK_INSTANCE_LAYERS="VK_LAYER_ATLAS_fault",
                               ATLAS_FAULT=fault, ATLAS_FAULT_LOG=str(log))
            return subprocess.run([PROGRAM, "chat", "-m", TINY, "--temperature", "0", "-n", "20"], input=b"first\nsecond\n", capture_output=True,
                                  env=environment, timeout=120)
        whole = chat("")
        self.assertEqual(whole.returncode, 0, whole.stderr)
        n_waits = int(re.search(r"vkWaitSemaphores\D+(\d+)", log.read_text()).group(1))
        lost = chat(f"vkWaitSemaphores:{n_waits - 8}:lost")
        self.assertEqual(lost.returncode, 1, lost.stderr)
        self.assertIn(b"--resume continues this chat", lost.stderr)
        newest = max((self.state / "atlas-vk/chats").iterdir())
        messages = json.loads(newest.read_text())["messages"]
        self.assertEqual([m["content"] for m in messages if m["role"] == "user"], ["first", "second"])
        said = lost.stdout.decode(errors="replace")
        for message in messages[1::2]:
            self.assertTrue(message["content"] and message["content"] in said, messages)

    def test_a_damaged_kept_chat_is_set_aside(self):
        folder = self.state / "atlas-vk/chats"
        folder.mkdir(parents=True)
        (folder / "chat-20990101-000000-1-0.json").write_text('{"messages": [')
        os.mkfifo(folder / "chat-20990101-000001-1-0.json")
        self.assertIn("damaged", self.chat("Hello\n"))
        self.assertEqual(len(list(folder.glob("*.damaged"))), 1)


if __name__ == "__main__":
    PROGRAM = sys.argv[1]
    TINY = str(Path(sys.argv[2]) / "models/atlas-tiny-Q8_0.gguf")
    unittest.main(argv=[sys.argv[0], *sys.argv[3:]], verbosity=2)
