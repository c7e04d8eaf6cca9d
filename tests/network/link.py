#!/usr/bin/env python3
"""A line between two network namespaces: packets that enter one end leave the other one, late, and not all of them.

    link.py NAMESPACE ADDRESS NAMESPACE ADDRESS DELAY_MS LOSS_PERCENT CUT

Each end is a TUN device with that address (10.0.0.1/30, say). The line is there once "ready" was printed. From the moment at which
the file CUT exists nothing gets through. As root."""
import fcntl
import heapq
import os
import random
import select
import struct
import subprocess
import sys
import time

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
MOST_BYTES = 65536


def end(name, namespace, address):
    """The file from which what is sent into that end is read."""
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH", name.encode(), IFF_TUN | IFF_NO_PI))
    subprocess.run(["ip", "link", "set", name, "netns", namespace], check=True)
    for arguments in (["address", "add", address, "dev", name], ["link", "set", name, "up"], ["link", "set", "lo", "up"]):
        subprocess.run(["ip", "-n", namespace, *arguments], check=True)
    return device


def main():
    first, first_address, second, second_address, delay, loss, cut = sys.argv[1:]
    ends = [end("line0", first, first_address), end("line1", second, second_address)]
    delay, loss = float(delay) / 1000, float(loss) / 100
    draw = random.Random(1)
    waiting = []  # (when, number, device, packet)
    count = 0
    print("ready", flush=True)
    while True:
        patience = max(0, waiting[0][0] - time.monotonic()) if waiting else 1
        for device in select.select(ends, [], [], patience)[0]:
            packet = os.read(device, MOST_BYTES)
            if os.path.exists(cut) or draw.random() < loss:
                continue
            count += 1
            other = ends[1 - ends.index(device)]
            heapq.heappush(waiting, (time.monotonic() + delay, count, other, packet))
        while waiting and waiting[0][0] <= time.monotonic():
            _, _, device, packet = heapq.heappop(waiting)
            try:
                os.write(device, packet)
            except BlockingIOError:
                pass  # a full queue loses packets, as on any line


if __name__ == "__main__":
    main()
