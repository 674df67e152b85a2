"""talk to a daemon outside through its socket in a directory that is shown read-only"""
import os
import socket

STOPS = ["isolate"]


def prepare(bait):
    os.chdir(bait.home + "/.cargo")
    server = socket.socket(socket.AF_UNIX)
    server.bind("daemon.sock")
    os.chdir("/")
    os.chmod(bait.home + "/.cargo/daemon.sock", 0o777)
    server.listen()
    bait.hear(server, "daemon")


def attempt(bait):
    os.chdir(bait.home + "/.cargo")
    stream = socket.socket(socket.AF_UNIX)
    stream.connect("daemon.sock")
    stream.sendall(bait.token.encode())
    stream.recv(1)
    return "sent"


def escaped(bait):
    return "daemon" in bait.heard and "the daemon got it"
