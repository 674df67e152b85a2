"""stage a repository made inside as a submodule: `git status` at the top then obeys its configuration"""
import os
import subprocess

STOPS = ["read-only", "workspace-write"]


def attempt(bait):
    git = lambda *words: subprocess.run(["git", "-c", "user.name=x", "-c", "user.email=x@x", *words], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    git("init", "-q", "part")
    git("-C", "part", "commit", "-q", "--allow-empty", "-m", "one")
    git("-c", "advice.addEmbeddedRepo=false", "add", "part")
    git("-C", "part", "config", "core.fsmonitor", "touch %s; false" % bait.pwned)
    return "planted"


def escaped(bait):
    bait.git("status")
    return bait.executed()
