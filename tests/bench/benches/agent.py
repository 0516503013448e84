"""The agent beside node, postgres and redis exporter."""
import re
import time

from benches.fleet import INTERVAL, Trust, agent_config, get, reports_at, start_agent, start_collector
from benches.peers import EXPORTERS, start_exporter, start_postgres, start_redis
from benches.stage import cpu, free_port, median, memory, say
from benches.table import mb, ms, row

CYCLES = 60


def backend_cpu(sql, condition):
    """Seconds of CPU by process of the backends that belong to `condition`."""
    pids = sql("SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend' AND "
               f"usename = 'fleet' AND {condition}").split()
    return {pid: time.clock_gettime(((~int(pid)) << 3) | 2) for pid in pids}


def gained(before, after):
    return sum(spent - before.get(pid, 0.0) for pid, spent in after.items())


def bench_agent(stage, build):
    say("agent beside node, postgres and redis exporter: about three minutes")
    postgres, _, sql = start_postgres(stage)
    redis = start_redis(stage)

    # The peers, each second.
    peers, first, size = [], 0.0, 0
    for name in EXPORTERS:
        process, scraper, seconds, _ = start_exporter(stage, name, postgres, redis)
        peers.append((name, process, scraper))
        first = max(first, seconds)
    trust = Trust(stage, build)
    kept = f"data_dir: {stage.path('collector')}\n" + trust.tls
    collector, grpc, http = start_collector(stage, build, kept, free_port())
    trust.join(grpc, agent_config(stage, postgres, redis, grpc), "bench")
    agent, report_seconds = start_agent(stage, build, postgres, redis, grpc, http)

    def round_of_scrapes():
        return [scraper.scrape() for _, _, scraper in peers]

    for _ in range(5):
        round_of_scrapes()
        time.sleep(INTERVAL)
    theirs = "application_name <> 'fleet-agent'"
    ours = "application_name = 'fleet-agent'"
    peers_before = [cpu(process.pid) for _, process, _ in peers]
    pg_theirs, pg_ours = backend_cpu(sql, theirs), backend_cpu(sql, ours)
    before, reports = cpu(agent.pid), reports_at(http)
    began = time.monotonic()
    for cycle in range(CYCLES):
        size += sum(round_of_scrapes())
        time.sleep(max(0.0, began + (cycle + 1) * INTERVAL - time.monotonic()))
    spent = cpu(agent.pid) - before
    elapsed = time.monotonic() - began
    peers_spent = [cpu(process.pid) - was for (_, process, _), was in zip(peers, peers_before)]
    pg_theirs = gained(pg_theirs, backend_cpu(sql, theirs)) / CYCLES
    pg_ours = gained(pg_ours, backend_cpu(sql, ours)) / (elapsed / INTERVAL)
    text = get(http, "/metrics")
    reports = reports_at(http) - reports
    fleet = spent / (elapsed / INTERVAL)
    trio = sum(peers_spent) / CYCLES
    parts = " + ".join(f"{part / CYCLES * 1e3:.1f}" for part in peers_spent)
    series = sum(1 for line in text.split("\n") if 'instance="bench"' in line)
    say(f"{reports:.0f} reports in {elapsed:.0f} s, {series} series, "
        f"{size / CYCLES / 1e3:.1f} kB gzip text per round of the trio")
    checks = sorted(set(re.findall(r'fleet_check_status\{[^}]*check="([a-z]+)"', text)))
    row(f"agent CPU per collection, {len(checks)} checks ({', '.join(checks)}), every second",
        f"node + postgres + redis exporter {ms(trio)} ({parts})", ms(fleet), f"1/{trio / fleet:.1f}",
        "≤ 1/20", fleet <= trio / 20)
    peer_memory = [memory(process.pid) for _, process, _ in peers]
    # Most hosts have an agent alone: with a collector beside it, half of gRPC would be its.
    stage.stop(collector)
    pss, anonymous = memory(agent.pid)
    row("agent memory after the run, mTLS: PSS", mb(sum(m[0] for m in peer_memory)), mb(pss),
        f"1/{sum(m[0] for m in peer_memory) / pss:.1f}", "≤ 20 MB", pss <= 20e6)
    row("agent memory after the run, mTLS: anonymous", mb(sum(m[1] for m in peer_memory)), mb(anonymous),
        f"1/{sum(m[1] for m in peer_memory) / anonymous:.1f}", "≤ 5 MB", anonymous <= 5e6)
    row("CPU of PostgreSQL's backends per collection", f"postgres_exporter {ms(pg_theirs)}",
        ms(pg_ours), f"1/{pg_theirs / pg_ours:.1f}", "≤ 1/5", pg_ours <= pg_theirs / 5)
    stage.stop(agent)
    collector, grpc, http = start_collector(stage, build, kept, grpc)
    times = [report_seconds]
    for _ in range(4):
        agent, seconds = start_agent(stage, build, postgres, redis, grpc, http)
        times.append(seconds)
        stage.stop(agent)
    row("start to the first reports at the collector", f"slowest exporter's first scrape {ms(first)}",
        ms(median(times)), f"1/{first / median(times):.1f}", "≤ 100 ms", median(times) <= 0.1)
    for _, process, _ in peers:
        stage.stop(process)
    stage.stop(collector)


def bench_hour(stage, build):
    """Whether the agent's memory is flat: after five minutes and after an hour of reports each second."""
    say("agent for an hour")
    postgres, _, _ = start_postgres(stage)
    redis = start_redis(stage)
    trust = Trust(stage, build)
    kept = f"data_dir: {stage.path('collector')}\n" + trust.tls
    collector, grpc, http = start_collector(stage, build, kept, free_port())
    trust.join(grpc, agent_config(stage, postgres, redis, grpc), "bench")
    agent, _ = start_agent(stage, build, postgres, redis, grpc, http)
    time.sleep(300)
    early = memory(agent.pid)[1]
    time.sleep(3300)
    stage.stop(collector)  # as in bench_agent
    pss, anonymous = memory(agent.pid)
    row("agent memory after an hour, mTLS: PSS", "–", mb(pss), "–", "≤ 20 MB", pss <= 20e6)
    row("agent memory after an hour, mTLS: anonymous (after five minutes)", "–",
        f"{mb(anonymous)} ({mb(early)})", "–", "≤ 5 MB", anonymous <= 5e6)
