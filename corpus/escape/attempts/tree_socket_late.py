"""talk to a daemon outside through a socket that it makes in the work tree after the cell"""
import os
import socket

STOPS = ["isolate"]


def meanwhile(bait):
    os.chdir(bait.ws)
    server = socket.socket(socket.AF_UNIX)
    server.bind("dev.sock")
    os.chdir("/")
    os.chmod(bait.ws + "/dev.sock", 0o777)
    server.listen()
    bait.hear(server, "daemon")


def attempt(bait):
    bait.wait()
    os.chdir(bait.ws)
    stream = socket.socket(socket.AF_UNIX)
    stream.connect("dev.sock")
    stream.sendall(bait.token.encode())
    stream.recv(1)
    return "sent"


def escaped(bait):
    return "daemon" in bait.heard and "the daemon got it"
