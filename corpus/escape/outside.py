#!/usr/bin/python3
"""The outer half: makes the bait for one attempt, runs it under a sandbox, and judges from outside.

    outside.py list                            every attempt, as JSON
    outside.py run ID COMMAND BASE [HOST_GIT]  one attempt; the verdict as one line of JSON

COMMAND starts the sandbox; {script} {ws} {out} {home} {base} are replaced. BASE is a directory for the bait. HOST_GIT
is how the product runs git after a task, with {gitdir} and {ws}."""

import importlib
import json
import os
import pathlib
import secrets
import shlex
import shutil
import subprocess
import sys
import threading
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "attempts")]
sys.dont_write_bytecode = True

from kernel import until  # noqa: E402

PATIENCE = 20  # seconds that one command may take
QUIET_GIT = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}


class Bait:
    """One attempt's surroundings: a work tree, and everything that must stay as it is.

    `context` reaches the inner half; `state` is for the outer one alone."""

    def __init__(self, name, base, command, host_git):
        self.token = secrets.token_hex(8)
        self.base = os.path.join(base, "%s-%s" % (name, self.token[:6]))
        self.command, self.host_git_line = command, host_git
        self.ws, self.out, self.home = (os.path.join(self.base, it) for it in ("ws", "out", "home"))
        self.pwned = os.path.join(self.out, "pwned")
        self.canary = os.path.join(self.out, "canary.txt")
        self.secrets, self.heard, self.keep, self.state = {}, set(), [], {}
        self.context = dict(id=name, role="attempt", token=self.token, ws=self.ws, out=self.out, home=self.home,
                            pwned=self.pwned, canary=self.canary, pid=os.getpid())
        self.process = self.other = None

    def secret(self, name):
        self.secrets[name] = "bait-%s-%s" % (name, secrets.token_hex(8))
        return self.secrets[name]

    def write(self, path, text="", mode=0o644):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        pathlib.Path(path).write_text(text)
        os.chmod(path, mode)
        return path

    def make(self):
        for directory in (self.ws, self.out, self.home):
            os.makedirs(directory)
        self.write(self.canary, "ORIGINAL\n")
        self.write(self.ws + "/README.md", "hello\n")
        self.shown = self.write(self.home + "/.cargo/registry/index.txt", "ORIGINAL\n")
        self.context["shown"] = self.shown
        template = os.path.join(os.path.dirname(self.base), "repository")
        if not os.path.exists(template):
            self.make_repository(template)
        shutil.copytree(template, self.ws + "/.git")

    def make_repository(self, template):
        """Made once and copied: git's start costs more than an attempt."""
        self.git("init", "-q", "-b", "main")
        self.git("config", "user.name", "t")
        self.git("config", "user.email", "t@t")
        self.git("add", "-A")
        self.git("commit", "-qm", "one")
        try:
            os.rename(self.ws + "/.git", template)
        except OSError:
            # Another attempt was first.
            shutil.rmtree(self.ws + "/.git")

    def git(self, *arguments, directory=None, patience=PATIENCE):
        """Plain git, as the user runs it in the tree, before or after a session."""
        environment = dict(os.environ, HOME=self.home, **QUIET_GIT)
        return subprocess.run(["git", *arguments], cwd=directory or self.ws, env=environment, stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=patience).returncode

    def host_git(self, *arguments, directory=None):
        """Git as the product runs it after a task."""
        line = self.host_git_line.replace("{gitdir}", self.base + "/trusted.git").replace("{ws}", self.ws)
        environment = dict(os.environ, HOME=self.home, **QUIET_GIT)
        subprocess.run(shlex.split(line) + list(arguments), cwd=directory or self.ws, env=environment, timeout=PATIENCE,
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def executed(self):
        """Whether a plant ran: all of them make this file."""
        return os.path.exists(self.pwned) and "the host ran a plant"

    def hear(self, socket, name):
        """Listens on a stream socket; `name` is in `heard` once the token arrived."""
        self.keep.append(socket)

        def listen():
            while True:
                try:
                    peer, _ = socket.accept()
                    if self.token.encode() in peer.recv(4096):
                        self.heard.add(name)
                    # Whoever waits for an answer is told by the end.
                    peer.close()
                except OSError:
                    return
        threading.Thread(target=listen, daemon=True).start()

    # ---- running

    def start(self, module, role="attempt"):
        directory = os.path.join(self.ws if role == "attempt" else self.base + "/other", ".attempt")
        os.makedirs(directory)
        for name in ("inside.py", "kernel.py", "survivor.py", "attempts/%s.py" % self.context["id"]):
            shutil.copy(os.path.join(HERE, name), directory)
        os.chmod(directory + "/inside.py", 0o755)
        context = dict(self.context, role=role, ws=os.path.dirname(directory))
        if role == "attempt":
            # What only the other cell knows.
            context.pop("text", None)
        pathlib.Path(directory, "context.json").write_text(json.dumps(context))
        places = dict(script=directory + "/inside.py", ws=os.path.dirname(directory), out=self.out, home=self.home, base=self.base)
        words = shlex.split(self.command)
        for key, value in places.items():
            words = [word.replace("{%s}" % key, value) for word in words]
        environment = {key: value for key, value in os.environ.items() if key in ("PATH", "LANG", "RECTO_HOME")}
        environment.update(HOME=self.home, TERM="xterm")
        options = dict(cwd=places["ws"], env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                       stderr=subprocess.PIPE, start_new_session=True)
        if role == "attempt" and hasattr(module, "process"):
            options.update(module.process(self))
        return Running(words, options, directory)


class Running:
    """A started sandbox and what it has printed so far."""

    def __init__(self, words, options, directory):
        self.directory, self.text = directory, bytearray()
        self.popen = subprocess.Popen(words, **options)
        streams = [it for it in (self.popen.stdout, self.popen.stderr) if it]
        self.readers = [threading.Thread(target=self.read, args=(it,), daemon=True) for it in streams]
        for reader in self.readers:
            reader.start()

    def read(self, stream):
        while True:
            part = stream.read1(65536)
            if not part:
                return
            if len(self.text) < 1 << 20:
                self.text += part

    def lines(self):
        return self.text.decode(errors="replace").replace("\r", "").split("\n")

    def is_ready(self):
        return "READY" in self.lines() or self.popen.poll() is not None

    def go(self):
        pathlib.Path(self.directory, "go").touch()

    def finish(self):
        """Waits for its end; whether it came in time."""
        try:
            self.popen.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()
            return False
        for reader in self.readers:
            reader.join(0.5)
        return True

    def verdict(self):
        for line in self.lines():
            word, _, said = line.partition(": ")
            if word in ("ESCAPED", "CONTAINED"):
                return word, said
        return None, "".join(self.lines())[-300:]


def run(name, command, base, host_git):
    module = importlib.import_module(name)
    bait = Bait(name, base, command, host_git)
    started = time.monotonic()
    bait.make()
    try:
        getattr(module, "prepare", lambda _: None)(bait)
        # What the product's git works on; in a linked worktree `.git` is a file.
        repository = bait.ws + "/.git" if os.path.isdir(bait.ws + "/.git") else bait.base + "/main/.git"
        shutil.copytree(repository, bait.base + "/trusted.git")
        if hasattr(module, "sibling"):
            os.makedirs(bait.base + "/other")
            bait.other = bait.start(module, "sibling")
            until(bait.other.is_ready, PATIENCE)
        bait.process = bait.start(module)
        if hasattr(module, "meanwhile"):
            until(bait.process.is_ready, PATIENCE)
            module.meanwhile(bait)
            bait.process.go()
        is_timely = bait.process.finish()
        if bait.other:
            bait.other.go()
            bait.other.finish()
        word, said = bait.process.verdict()
        seen = module.escaped(bait) if hasattr(module, "escaped") else None
    finally:
        getattr(module, "cleanup", lambda _: None)(bait)
        shutil.rmtree(bait.base, ignore_errors=True)
    status = judge(module, bait, word, said, seen, is_timely)
    return dict(describe(module), status=status, said=said[:240], seen=str(seen or ""), seconds=round(time.monotonic() - started, 2))


def judge(module, bait, word, said, seen, is_timely):
    """What is seen from outside decides; else a bait secret in the text; the word alone where it is all there is."""
    if seen:
        return "ESCAPED"
    if (word is None or not is_timely) and not getattr(module, "MAY_DIE", False):
        return "ERROR"
    if hasattr(module, "escaped"):
        return "CONTAINED"
    if getattr(module, "PROOF", None):
        return "ESCAPED" if bait.secrets[module.PROOF] in said else "CONTAINED"
    return word


def describe(module):
    return {"id": module.__name__, "tries": module.__doc__.strip(), "stops": module.STOPS, "needs": getattr(module, "NEEDS", "anyone")}


def main():
    if sys.argv[1] == "list":
        names = sorted(it[:-3] for it in os.listdir(HERE + "/attempts") if it.endswith(".py"))
        print(json.dumps([describe(importlib.import_module(it)) for it in names]))
        return
    name, command, base = sys.argv[2:5]
    try:
        result = run(name, command, base, sys.argv[5] if len(sys.argv) > 5 else "git")
    except Exception:
        # The test itself failed: nobody knows about the attempt.
        result = dict(describe(importlib.import_module(name)), status="ERROR", said=traceback.format_exc()[-400:], seen="", seconds=0)
    print(json.dumps(result), flush=True)
    # Threads may still listen.
    os._exit(0)


main()
