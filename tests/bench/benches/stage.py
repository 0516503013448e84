"""Programs in a temporary directory, and what the kernel says of them."""
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

TICK = os.sysconf("SC_CLK_TCK")


def say(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)


def median(values):
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


class Stage:
    """A temporary directory and the programs started in it."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="fleet-bench-")
        os.chmod(self.dir, 0o755)
        self.started = []

    def path(self, name):
        return os.path.join(self.dir, name)

    def write(self, name, text):
        with open(self.path(name), "w") as out:
            out.write(text)
        return self.path(name)

    def start(self, argv, log, env=None, user=None, **more):
        with open(self.path(log), "ab") as out:
            process = subprocess.Popen(
                argv, stderr=out, stdout=more.pop("stdout", out), user=user, group=user,
                extra_groups=[] if user else None, env={**os.environ, **(env or {})}, cwd="/", **more)
        self.started.append(process)
        return process

    def stop(self, process, sign=signal.SIGTERM):
        if process.poll() is None:
            process.send_signal(sign)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self.started.remove(process)

    def close(self):
        for process in reversed(list(self.started)):
            self.stop(process, signal.SIGQUIT if "postgres" in process.args[0] else signal.SIGTERM)
        shutil.rmtree(self.dir, ignore_errors=True)


def wait_for(ready, what, seconds=20.0, step=0.02):
    end = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > end:
            raise SystemExit(f"bench: {what} did not come within {seconds:.0f} s")
        time.sleep(step)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def stat(pid):
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()


def family(pid):
    """The process and all below it."""
    below = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                below.setdefault(int(stat(name)[1]), []).append(int(name))
            except OSError:
                pass
    found = [pid]
    for member in found:
        found += below.get(member, [])
    return found


def cpu(pid):
    """Seconds of CPU of a process: its threads, ended ones too, to the nanosecond; and its children,
    the living likewise, those that ended by its own account in ticks."""
    spent = 0.0
    for member in family(pid):
        try:
            spent += time.clock_gettime(((~member) << 3) | 2)
            fields = stat(member)
            spent += (int(fields[13]) + int(fields[14])) / TICK
        except OSError:
            pass
    return spent


def memory(pid):
    """PSS and anonymous bytes of a process and all below it."""
    pss = anonymous = 0
    for member in family(pid):
        with open(f"/proc/{member}/smaps_rollup") as file:
            for line in file:
                if line.startswith("Pss:"):
                    pss += int(line.split()[1]) * 1024
                if line.startswith("Pss_Anon:"):
                    anonymous += int(line.split()[1]) * 1024
    return pss, anonymous
