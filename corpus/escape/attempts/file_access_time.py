"""change the access time of a shown file by reading it, which tells outside what was read"""
import os

STOPS = ["isolate"]


def prepare(bait):
    os.utime(bait.shown, (1000, 2000))


def attempt(bait):
    with open(bait.shown) as file:
        return file.read()


def escaped(bait):
    return os.stat(bait.shown).st_atime != 1000 and "the access time changed"
