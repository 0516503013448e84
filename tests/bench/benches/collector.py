"""Segments, the collector under many agents, and its answers."""
import re
import subprocess
import time

from benches.fleet import benchmark, self_metric, start_collector, values_of
from benches.stage import free_port, median
from benches.table import mb, ms, row


def bench_segment(stage, build):
    del stage
    results = benchmark(build, "segment_bench")
    for interval, limit in ((1, 1.0), (10, 1.25)):
        size = results[f"Encode/interval_s:{interval}"]["bytes/sample"]
        row(f"wire, bytes per sample at {interval} s", "–", f"{size:.2f}", "–", f"≤ {limit}",
            size <= limit)
    packed = results["Encode/interval_s:1"]["on_disk/sample"]
    row("spool and journal, bytes per sample at 1 s, closed segments", "–", f"{packed:.2f}", "–",
        "≤ 0.9", packed <= 0.9)
    for name, limit in (("Encode", 12), ("Decode", 8)):
        spent = results[f"{name}/interval_s:1"]["time/sample"] * 1e9
        if name == "Encode":  # the reports have to come from somewhere
            spent -= results["Feed/interval_s:1"]["time/sample"] * 1e9
        row(f"{name.lower()} per sample", "–", f"{spent:.1f} ns", "–", f"≤ {limit} ns",
            spent <= limit)


def bench_metrics(stage, build):
    del stage
    results = benchmark(build, "metrics_bench",
                        "--benchmark_filter=Render|MemoryPerSeries", "--benchmark_min_time=0.3")
    peer = results["RenderByPrometheusCpp/hosts:1000"]["cpu"]
    for hosts, series in ((1000, "500 k"), (2000, "1 M")):
        for gzip in (0, 1):
            entry = results[f"Render/hosts:{hosts}/gzip:{gzip}"]
            plain = results[f"Render/hosts:{hosts}/gzip:0"]["bytes"]
            factor = hosts / 1000
            limit = (0.1 if gzip else 0.04) if hosts == 1000 else None
            row(f"`/metrics`, {series} series, {'gzip' if gzip else 'plain'}",
                f"prometheus-cpp, plain {ms(peer)}" if hosts == 1000 else "–",
                f"{ms(entry['cpu'])}, {plain / entry['cpu'] / 1e6:.0f} MB/s of text",
                f"1/{peer * factor / entry['cpu']:.0f}", f"≤ {limit * 1e3:.0f} ms" if limit else "–",
                entry["cpu"] <= limit if limit else None)
    per_series = [entry["bytes/series"] for name, entry in results.items()
                  if name.startswith("MemoryPerSeries")][0]
    row("collector memory per live series, 10,000 hosts × 500 series", "–", f"{per_series:.1f} B",
        "–", "≤ 64 B", per_series <= 64)


def bench_ingest(stage, build):
    del stage
    text = subprocess.run([f"{build}/bench/ingest_load", "load", "200", "5"], check=True,
                          stdout=subprocess.PIPE, text=True).stdout
    values = values_of(text)
    rate = values["samples_per_cpu_second"]
    row(f"collector ingest, samples per second of CPU, journal on, mTLS, {values['connections']:.0f} connections",
        "–", f"{rate / 1e6:.1f} M ({values['samples'] / values['seconds'] / 1e6:.1f} M/s on this "
        "machine beside its agents)", "–", "≥ 5 M", rate >= 5e6)
    size = values["bytes_per_agent"]
    row("collector memory per connected idle agent, mTLS", "–", f"{size / 1e3:.0f} kB", "–",
        "≤ 150 kB", size <= 150e3)
    row(f"collector RSS per live series at {values['connections']:.0f} hosts × "
        f"{values['series'] / values['connections']:.0f} series", "–",
        f"{values['bytes_per_series']:.0f} B", "–", "–", None)


def bench_wire(stage, build):
    del stage
    for interval, limit in ((1, 1.3), (10, 1.5)):
        text = subprocess.run([f"{build}/bench/ingest_load", "wire", str(interval)], check=True,
                              stdout=subprocess.PIPE, text=True).stdout
        size = values_of(text)["bytes_per_sample"]
        row(f"wire with gRPC and TLS, bytes per sample at {interval} s", "–", f"{size:.2f}", "–",
            f"≤ {limit}", size <= limit)


def bench_syncs(stage, build):
    del stage
    for hosts, interval in ((2, 1), (1000, 10)):
        text = subprocess.run([f"{build}/bench/ingest_load", "syncs", str(hosts), str(interval),
                               "65"], check=True, stdout=subprocess.PIPE, text=True).stdout
        rate = values_of(text)["syncs_per_second"]
        row(f"fsyncs per second, {hosts:,} hosts that report every {interval} s", "–",
            f"{rate:.1f}", "–", "≤ 5", rate <= 5)


def bench_reconnect(stage, build):
    del stage
    agents = 5000
    text = subprocess.run([f"{build}/bench/reconnect_load", str(agents)], check=True,
                          stdout=subprocess.PIPE, text=True).stdout
    values = values_of(text)
    row(f"{agents:,} agents reconnect at once after a kill -9, mTLS, both ends on this machine",
        "–", f"{values['seconds']:.1f} s, {values['attempts']:.0f} attempts, collector at most "
        f"{mb(values['peak_bytes'])}", "–", "≤ 30 s", values["seconds"] <= 30)


def bench_drain(stage, build):
    port = free_port()
    data = stage.path("agent")
    filled = values_of(subprocess.run(
        [f"{build}/bench/spool_fill", f"{data}/spool", f"127.0.0.1:{port}", "24"], check=True,
        stdout=subprocess.PIPE, text=True).stdout)
    config = f"data_dir: {stage.path('collector')}\n"
    collector, _, http = start_collector(stage, build, config, port)
    agent_config = stage.write("agent.yaml", f"collector: 127.0.0.1:{port}\ninsecure: true\n"
                               f"host: bench\ninterval: 1s\ndata_dir: {data}\n")
    began = time.monotonic()
    agent = stage.start([f"{build}/bin/fleet-agent", "--config", agent_config], "agent.log")
    live, changed, gap = 0.0, None, 0.0
    backlog = 'fleet_collector_reports_total{lane="backlog"}'
    while self_metric(http, backlog) < filled["reports"]:
        now = time.monotonic()
        if now - began > 120:
            raise SystemExit("bench: the backlog is not drained within two minutes")
        newest = self_metric(http, 'fleet_collector_reports_total{lane="live"}')
        if newest > live:
            gap = max(gap, now - changed) if changed else gap
            live, changed = newest, now
        time.sleep(0.02)
    seconds = time.monotonic() - began
    row(f"drain of a day's backlog, {filled['samples'] / 1e6:.1f} M samples in "
        f"{mb(filled['bytes'])}, from the agent's start", "–",
        f"{seconds:.1f} s; live every second, {gap:.1f} s apart at most", "–",
        "≤ 15 s, live not delayed", seconds <= 15 and gap <= 2)
    stage.stop(agent)
    stage.stop(collector)


def status_seconds(build, grpc):
    times = []
    for _ in range(10):
        began = time.monotonic()
        result = subprocess.run([f"{build}/bin/fleetctl", "--insecure", "--collector",
                                 f"127.0.0.1:{grpc}", "status"], capture_output=True)
        times.append(time.monotonic() - began)
        if result.returncode > 3:
            raise SystemExit(f"bench: fleetctl failed: {result.stderr.decode()}")
    return median(times)


def bench_status(stage, build):
    for hosts, limit in ((2, 0.06), (1000, 0.3)):
        process = stage.start([f"{build}/bench/ingest_load", "hold", str(hosts)], "hold.log",
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        line = process.stdout.readline()
        seconds = status_seconds(build, int(re.fullmatch(r"grpc=(\d+)\n", line)[1]))
        row(f"`fleetctl status`, {hosts:,} hosts, median of 10", "–", ms(seconds), "–",
            f"≤ {limit * 1e3:.0f} ms", seconds <= limit)
        process.stdin.close()
        process.wait(60)
        stage.started.remove(process)
