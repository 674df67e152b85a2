"""read a key of the harness from the session's and the user's keyrings"""
import ctypes

from kernel import call, works

STOPS = ["isolate"]
PROOF = "key"
# An ordinary user has 200 keys, and the kernel takes minutes to forget those of ended sessions.
NEEDS = "root"


def prepare(bait):
    text = bait.secret("key").encode()
    works(call, "keyctl", 1, ctypes.c_char_p(b"escape"))
    for ring in (-3, -4):
        works(call, "add_key", ctypes.c_char_p(b"user"), ctypes.c_char_p(b"escape:" + bait.token.encode()), ctypes.c_char_p(text), len(text), ring)


def attempt(bait):
    for ring in (-3, -4, -5):
        try:
            key = call("keyctl", 10, ring, ctypes.c_char_p(b"user"), ctypes.c_char_p(b"escape:" + bait.token.encode()), 0)
            buffer = ctypes.create_string_buffer(200)
            many = call("keyctl", 11, key, buffer, 200)
            return buffer.raw[:many].decode()
        except OSError:
            pass


def cleanup(bait):
    for ring in (-3, -4):
        key = works(call, "keyctl", 10, ring, ctypes.c_char_p(b"user"), ctypes.c_char_p(b"escape:" + bait.token.encode()), 0)
        works(call, "keyctl", 9, key, ring) if key else None
