"""open the machine's devices: kernel log, memory, disks, FUSE, tunnels, virtual machines, consoles"""
import glob
import os

STOPS = ["isolate"]
NEEDS = "root"
NAMES = "kmsg mem port fuse net/tun kvm vhost-net vhost-vsock loop-control mapper/control uinput rtc0 console tty0 userfaultfd snapshot cpu_dma_latency autofs btrfs-control".split()


def attempt(bait):
    opened = []
    for path in ["/dev/" + name for name in NAMES] + glob.glob("/dev/[svh]d[a-z]") + glob.glob("/dev/nvme*") + glob.glob("/dev/loop[0-9]"):
        for flags in (os.O_RDWR, os.O_RDONLY, os.O_WRONLY):
            try:
                os.close(os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY))
                opened.append(path)
                break
            except OSError:
                pass
    return opened and "opened " + " ".join(opened)
