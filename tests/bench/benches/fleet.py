"""fleet's own programs, started and asked."""
import json
import os
import re
import socket
import subprocess
import time

from benches.stage import wait_for

INTERVAL = 1.0


def start_collector(stage, build, config=None, grpc=0):
    """Plaintext without a disk, or as the YAML `config` says."""
    ports = stage.path("ports")
    if os.path.exists(ports):
        os.unlink(ports)
    more = ["--config", stage.write("collector.yaml", config)] if config else []
    if not config or "tls:" not in config:
        more.append("--insecure")
    process = stage.start([f"{build}/bin/fleet-collector", *more, "--grpc-listen",
                           f"127.0.0.1:{grpc}", "--http-listen", "127.0.0.1:0", "--ports-file",
                           ports], "collector.log")
    wait_for(lambda: os.path.exists(ports) and "http=" in open(ports).read(), "the collector")
    text = open(ports).read()
    return process, int(re.search(r"grpc=(\d+)", text)[1]), int(re.search(r"http=(\d+)", text)[1])


def get(port, path):
    with socket.create_connection(("127.0.0.1", port), 10) as connection:
        connection.sendall(f"GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
        data = b""
        while True:
            more = connection.recv(1 << 20)
            if not more:
                return data.decode(errors="replace")
            data += more


def self_metric(port, series):
    """The sum of what the collector says of itself in series that begin so."""
    return sum(float(line.rpartition(" ")[2]) for line in get(port, "/metrics/self").split("\n")
               if line.startswith(series))


def reports_at(port):
    """Reports that the collector has taken."""
    return self_metric(port, "fleet_collector_reports_total{")


class Trust:
    """A CA as `fleetctl ca init` makes it, and hosts that join by its tokens."""

    def __init__(self, stage, build):
        self.stage, self.build = stage, build
        self.run("fleetctl", "ca", "init", "--dir", stage.path("ca"), "--admin", "bench",
                 "--collector-name", "bench")
        self.tls = "tls:\n" + "".join(f"  {key}: {stage.path('ca')}/collector/{key}.pem\n"
                                      for key in ("ca", "cert", "key"))
        issuer = stage.path("ca") + "/collector/issuer"
        if os.path.exists(issuer + ".key"):
            self.tls += f"trust:\n  issuer_cert: {issuer}.pem\n  issuer_key: {issuer}.key\n"

    def run(self, program, *arguments):
        return subprocess.run([f"{self.build}/bin/{program}", *arguments], check=True,
                              stdout=subprocess.PIPE, text=True).stdout

    def admin(self):
        return [f"--{key}={self.stage.path('ca')}/admin/{key}.pem" for key in ("ca", "cert", "key")]

    def join(self, grpc, config, host):
        token = self.run("fleetctl", "--collector", f"127.0.0.1:{grpc}", *self.admin(), "enroll",
                         "--quiet", host).strip()
        self.run("fleet-agent", "--config", config, "join", token)


def agent_config(stage, postgres, redis, grpc):
    os.makedirs(stage.path("agent"), mode=0o700, exist_ok=True)
    return stage.write("agent.yaml", f"""collector: 127.0.0.1:{grpc}
interval: {INTERVAL:g}s
data_dir: {stage.path("agent")}
checks:
  postgres: {{dsn: host=127.0.0.1 port={postgres} user=fleet dbname=postgres sslmode=disable}}
  redis: {{address: "127.0.0.1:{redis}"}}
  sidekiq: {{redis: "127.0.0.1:{redis}"}}
""")


def start_agent(stage, build, postgres, redis, grpc, http):
    """Starts the agent; returns it and the seconds until its reports were counted."""
    config = agent_config(stage, postgres, redis, grpc)
    before = reports_at(http)
    began = time.monotonic()
    agent = stage.start([f"{build}/bin/fleet-agent", "--config", config], "agent.log")
    wait_for(lambda: reports_at(http) > before,
             "the agent's first report", step=0.001)
    return agent, time.monotonic() - began


def values_of(text):
    """What a program printed as lines of key=value."""
    return {key: float(value) for key, _, value in
            (line.partition("=") for line in text.split("\n") if line)}


def benchmark(build, name, *arguments):
    """name -> the median of three of what a Google Benchmark program says; "cpu" in seconds."""
    text = subprocess.run([f"{build}/bench/{name}", "--benchmark_format=json",
                           "--benchmark_repetitions=3", *arguments],
                          check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                          text=True).stdout
    scale = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0}
    return {entry["run_name"]: {**entry, "cpu": entry["cpu_time"] * scale[entry["time_unit"]]}
            for entry in json.loads(text)["benchmarks"] if entry.get("aggregate_name") == "median"}
