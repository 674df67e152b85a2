#!/usr/bin/python3
"""The inner half: runs one attempt where the command of a cell runs, and prints what came of it.

Prints `ESCAPED: …` or `CONTAINED: …` and nothing else, but for `READY` before it waits for the outer half."""

import importlib
import json
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
sys.dont_write_bytecode = True

from kernel import until  # noqa: E402


class Bait:
    """What the outer half made, by name; see `context` there."""

    def __init__(self, context):
        self.__dict__.update(context)

    def wait(self):
        """Says that everything is in place, and waits until the outer half has had its look."""
        print("READY", flush=True)
        until(lambda: os.path.exists(os.path.join(HERE, "go")), 15)


def say(word, text):
    print("%s: %s" % (word, " ".join(str(text).split())[:400]), flush=True)
    os._exit(0)


def main():
    with open(os.path.join(HERE, "context.json")) as file:
        context = json.load(file)
    module = importlib.import_module(context["id"])
    half = module.sibling if context["role"] == "sibling" else module.attempt
    try:
        said = half(Bait(context))
    except BaseException as error:
        say("CONTAINED", "%s %s" % (type(error).__name__, error))
    say("ESCAPED", said) if said else say("CONTAINED", "nothing worked")


main()
