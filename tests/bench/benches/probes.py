"""Probes beside blackbox_exporter, and updown's API while they run."""
import gzip
import http.client
import json
import subprocess
import time

from benches.fleet import start_collector
from benches.peers import listens, start_probe_server
from benches.stage import cpu, free_port, median, memory, say, wait_for
from benches.table import mb, ms, row

PROBES = 1000
PROBE_PERIOD = 30
API_CALLS = 2000


def bench_probe(stage, build):
    """1,000 HTTP probes in 30 s, by the engine and by blackbox_exporter's /probe, one after another."""
    say(f"{PROBES} HTTP probes in {PROBE_PERIOD} s, twice")
    port = start_probe_server(stage)
    out = subprocess.run([f"{build}/bench/probe_bench", str(PROBE_PERIOD), str(PROBES),
                          f"http://127.0.0.1:{port}/{{n}}"], capture_output=True, text=True, check=True)
    ours = {name: float(value) for name, value in (line.split() for line in out.stdout.splitlines())}
    if ours["failed"]:
        raise SystemExit(f"bench: {ours['failed']:.0f} probes failed")
    blackbox_port = free_port()
    config = stage.write("blackbox.yml", "modules: {http_2xx: {prober: http}}\n")
    blackbox = stage.start(["prometheus-blackbox-exporter", f"--config.file={config}",
                            f"--web.listen-address=127.0.0.1:{blackbox_port}"], "blackbox.log")
    wait_for(lambda: listens(blackbox_port), "blackbox_exporter")
    before, begin = cpu(blackbox.pid), time.monotonic()
    # One connection, as Prometheus keeps it to an exporter.
    connection = http.client.HTTPConnection("127.0.0.1", blackbox_port)
    for n in range(PROBES):
        time.sleep(max(0, begin + PROBE_PERIOD * n / PROBES - time.monotonic()))
        connection.request("GET", f"/probe?module=http_2xx&target=http://127.0.0.1:{port}/{n}")
        if b"probe_success 1" not in connection.getresponse().read():
            raise SystemExit("bench: blackbox_exporter's probe failed")
    theirs = (cpu(blackbox.pid) - before) / PROBES
    ratio = theirs / (ours["cpu_ms"] / 1e3)
    row(f"HTTP probe, {PROBES:,} in {PROBE_PERIOD} s: CPU each", f"blackbox_exporter {ms(theirs)}",
        ms(ours["cpu_ms"] / 1e3), f"1/{ratio:.1f}", "≤ 1/4", ratio >= 4)
    row("HTTP probe: schedule lag, p99 (p50)", "–",
        f"{ours['lag_p99_ms']:.1f} ms ({ours['lag_p50_ms']:.2f} ms)", "–", "< 250 ms", ours["lag_p99_ms"] < 250)
    row("HTTP probe: memory, anonymous", mb(memory(blackbox.pid)[1]), mb(ours["anonymous_bytes"]), "–", "–", None)


def bench_api(stage, build):
    """A list of 1,000 checks over one kept connection, while they are looked at."""
    say(f"{API_CALLS} times /api/checks at {PROBES} checks")
    port = start_probe_server(stage)
    probes = "".join(f'- {{name: p{n}, period: {PROBE_PERIOD}s, url: "http://127.0.0.1:{port}/{n}"}}\n'
                     for n in range(PROBES))
    began = time.monotonic()
    collector, grpc, web = start_collector(stage, build, f"data_dir: {stage.path('data')}\nprobes:\n{probes}")
    say(f"the first start took {time.monotonic() - began:.2f} s")
    key = subprocess.run([f"{build}/bin/fleetctl", "--insecure", "--collector", f"127.0.0.1:{grpc}", "key",
                          "new", "--read-only", "--quiet", "bench"], check=True, capture_output=True,
                         text=True).stdout.strip()
    connection = http.client.HTTPConnection("127.0.0.1", web)
    times, size = [], 0
    begin = time.monotonic()
    for n in range(API_CALLS):
        time.sleep(max(0, begin + n * 0.01 - time.monotonic()))
        asked = time.monotonic()
        connection.request("GET", "/api/checks", headers={"X-API-KEY": key, "Accept-Encoding": "gzip"})
        answer = connection.getresponse()
        body = answer.read()
        times.append(time.monotonic() - asked)
        if answer.status != 200:
            raise SystemExit(f"bench: /api/checks answers {answer.status}: {body[:200]}")
        size = len(body)
    checks = json.loads(gzip.decompress(body))
    if len(checks) != PROBES or all(check["last_check_at"] is None for check in checks):
        raise SystemExit("bench: /api/checks lists something else")
    times.sort()
    p99 = times[int(len(times) * 0.99)]
    row(f"`/api/checks` at {PROBES:,} checks that are looked at, gzip, {size / 1e3:.0f} kB: p99 of "
        f"{API_CALLS:,} (p50)", "–", f"{ms(p99)} ({ms(median(times))})", "–", "< 5 ms", p99 < 0.005)
    stage.stop(collector)
