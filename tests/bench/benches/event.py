"""From what the kernel announces to what `fleetctl status -w` prints."""
import json
import os
import queue
import subprocess
import threading
import time

from benches.stage import family, median, say, wait_for
from benches.table import ms, row

EVENTS = 100


class Watched:
    """A host in namespaces of its own, an agent and a collector in it, and `fleetctl status -w`."""

    SETUP = """ip link set lo up; ip link add ve0 type veth peer name ve1; ip link set ve0 up; ip link set ve1 up
mkdir "$1"; mount -o loop "$2" "$1"; echo ready; exec cat"""

    def __init__(self, stage, build):
        image, self.mount = stage.path("disk.img"), stage.path("disk")
        subprocess.run(["fallocate", "-l", "64M", image], check=True)
        subprocess.run(["mkfs.ext4", "-q", image], check=True)
        holder = stage.start(["unshare", "-nmpf", "--kill-child", "--mount-proc", "sh", "-c", self.SETUP,
                              "setup", self.mount, image], "holder.log", stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, text=True)
        if holder.stdout.readline() != "ready\n":
            raise SystemExit("bench: the namespaces could not be set up")
        self.inside = ["nsenter", "-t", str(family(holder.pid)[1]), "-n", "-m", "-p"]
        ports = stage.path("ports")
        stage.start(self.inside + [f"{build}/bin/fleet-collector", "--insecure", "--grpc-listen",
                                   "127.0.0.1:10235", "--http-listen", "127.0.0.1:10236",
                                   "--ports-file", ports], "collector.log")
        wait_for(lambda: os.path.exists(ports), "the collector")
        config = stage.write("agent.yaml", "collector: 127.0.0.1:10235\ninsecure: true\nhost: bench\n"
                             "interval: 10s\nchecks: {network: {expect_up: [ve0]}}\n")
        stage.start(self.inside + [f"{build}/bin/fleet-agent", "--config", config], "agent.log")
        self.seen = queue.SimpleQueue()
        self.watch = stage.start(self.inside + [f"{build}/bin/fleetctl", "--insecure", "status", "-w", "-o",
                                                "json"], "watch.log", stdout=subprocess.PIPE, text=True)
        threading.Thread(target=self.read, daemon=True).start()

    def read(self):
        text = ""
        for line in self.watch.stdout:
            text += line
            try:
                status = json.loads(text)
            except ValueError:
                continue
            self.seen.put((time.monotonic(), status))
            text = ""

    def until(self, check, item, verdict):
        """When it was shown: `item` of `check` with that verdict."""
        while True:
            try:
                when, status = self.seen.get(timeout=20)
            except queue.Empty:
                raise SystemExit(f"bench: {check}/{item} was not shown as {verdict}") from None
            if any(part["name"] == item and part["verdict"] == verdict for host in status["hosts"]
                   for found in host["checks"] if found["name"] == check for part in found["items"]):
                return when

    def measure(self, what, check, item, changes):
        """`changes`: (command, the verdict that follows), again and again."""
        self.until(check, item, "ok")
        times = []
        for _ in range(EVENTS):
            for command, verdict in changes:
                began = time.monotonic()
                subprocess.run(self.inside + command, check=True)
                times.append(self.until(check, item, verdict) - began)
                # Bursts are held back on purpose: at most one run of a check in 100 ms.
                time.sleep(0.15)
        times.sort()
        p99 = times[int(len(times) * 0.99)]
        row(f"{what} → `fleetctl status -w`, p99 of {len(times)}", "a scrape interval, 10–60 s",
            f"{ms(p99)} (median {ms(median(times))})", "–", "≤ 250 ms", p99 <= 0.25)


def bench_event(stage, build):
    """From what the kernel announces to what `status -w` prints."""
    if os.geteuid() != 0:
        say("event: skipped, needs root for namespaces")
        return
    host = Watched(stage, build)
    link, remount = ["ip", "link", "set", "ve0"], ["mount", "-o"]
    host.measure("a link goes down or up", "network", "ve0",
                 [(link + ["down"], "crit"), (link + ["up"], "ok")])
    host.measure("a file system turns read-only or back", "disk", host.mount,
                 [(remount + ["remount,ro", host.mount], "crit"), (remount + ["remount,rw", host.mount], "ok")])
