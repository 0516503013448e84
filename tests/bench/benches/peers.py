"""What fleet is put beside, and the servers that both look at."""
import os
import re
import shutil
import socket
import subprocess
import time

from benches.stage import free_port, wait_for

PG_BIN = "/usr/lib/postgresql/15/bin"
EXPORTERS = ("node", "postgres", "redis")


class Scraper:
    """Asks for /metrics over one kept connection and takes gzip, as Prometheus does."""

    def __init__(self, port):
        self.port = port
        self.socket = None

    def scrape(self):
        if self.socket is None:
            self.socket = socket.create_connection(("127.0.0.1", self.port), 10)
        self.socket.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n"
                            b"Accept: text/plain;version=0.0.4\r\nAccept-Encoding: gzip\r\n\r\n")
        data = b""
        while b"\r\n\r\n" not in data:
            data += self.read()
        head, _, body = data.partition(b"\r\n\r\n")
        if b" 200 " not in head.split(b"\r\n")[0]:
            raise OSError(head.split(b"\r\n")[0].decode())
        length = re.search(rb"content-length: *(\d+)", head.lower())
        if length:
            while len(body) < int(length[1]):
                body += self.read()
        else:
            while not body.endswith(b"0\r\n\r\n"):
                body += self.read()
        return len(body)

    def read(self):
        data = self.socket.recv(1 << 20)
        if not data:
            raise OSError("closed")
        return data

    def first(self, seconds=10.0):
        """Waits for the first whole answer."""
        end = time.monotonic() + seconds
        while True:
            try:
                return self.scrape()
            except OSError:
                self.socket = None
                if time.monotonic() > end:
                    raise
                time.sleep(0.001)


def start_postgres(stage):
    port = free_port()
    data = stage.path("pg")
    os.mkdir(data)
    user = "postgres" if os.geteuid() == 0 else None
    if user:
        shutil.chown(data, user, user)
    subprocess.run([f"{PG_BIN}/initdb", "-D", data, "-A", "trust", "-U", "postgres", "--no-sync",
                    "--locale=C.UTF-8"], check=True, stdout=subprocess.DEVNULL, user=user, cwd="/")
    server = stage.start([f"{PG_BIN}/postgres", "-D", data, "-c", f"port={port}", "-c",
                          "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=",
                          "-c", "fsync=off"], "postgres.log", user=user)
    psql = ["psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p", str(port), "-U",
            "postgres", "-d", "postgres"]

    def sql(text):
        return subprocess.run(psql + ["-c", text], check=True, capture_output=True,
                              text=True).stdout

    wait_for(lambda: subprocess.run([f"{PG_BIN}/pg_isready", "-q", "-h", "127.0.0.1", "-p",
                                     str(port)]).returncode == 0, "PostgreSQL")
    sql("CREATE ROLE fleet LOGIN; GRANT pg_monitor TO fleet")
    sql("CREATE DATABASE mastodon")
    sql("CREATE TABLE t AS SELECT generate_series(1, 10000) AS a")
    return port, server, sql


def start_redis(stage):
    port = free_port()
    stage.start(["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir",
                 stage.dir], "redis.log")

    def send(commands):
        text = b""
        for command in commands:
            words = [str(word).encode() for word in command]
            text += b"*%d\r\n" % len(words)
            text += b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)
        with socket.create_connection(("127.0.0.1", port), 5) as connection:
            connection.sendall(text)
            answer = b""
            while answer.count(b"\r\n") < len(commands):
                answer += connection.recv(65536)
        if b"-" in (line[:1] for line in answer.split(b"\r\n")):
            raise OSError(answer.decode())

    def up():
        try:
            send([["PING"]])
            return True
        except OSError:
            return False

    wait_for(up, "Redis")
    now = time.time()
    keys = [["SET", f"key{i}", "value"] for i in range(1000)]
    for queue in ("default", "push", "ingress", "mailers", "pull", "scheduler"):
        keys.append(["SADD", "queues", queue])
        job = f'{{"class":"Job","queue":"{queue}","enqueued_at":{now:.3f},"jid":"0"}}'
        keys += [["LPUSH", f"queue:{queue}", job]] * 10
    keys += [["ZADD", "retry", now + 3600 + i, f'{{"jid":"r{i}"}}'] for i in range(100)]
    keys += [["ZADD", "schedule", now + 3600 + i, f'{{"jid":"s{i}"}}'] for i in range(100)]
    keys += [["ZADD", "dead", now - i, f'{{"jid":"d{i}"}}'] for i in range(20)]
    keys += [["SET", "stat:processed", 123456], ["SET", "stat:failed", 123]]
    send(keys)
    return port


def start_exporter(stage, name, postgres, redis):
    port = free_port()
    argv = [f"prometheus-{name}-exporter", f"--web.listen-address=127.0.0.1:{port}"]
    env = {}
    if name == "node":
        argv.append(f"--collector.textfile.directory={stage.dir}")
    if name == "postgres":
        env["DATA_SOURCE_NAME"] = f"postgresql://fleet@127.0.0.1:{postgres}/postgres?sslmode=disable"
    if name == "redis":
        argv.append(f"--redis.addr=redis://127.0.0.1:{redis}")
    began = time.monotonic()
    process = stage.start(argv, f"{name}-exporter.log", env)
    scraper = Scraper(port)
    size = scraper.first()
    return process, scraper, time.monotonic() - began, size


def listens(port):
    with socket.socket() as connection:
        return connection.connect_ex(("127.0.0.1", port)) == 0


def start_probe_server(stage):
    port = free_port()
    paths = "".join(f"{kind}_temp_path {stage.dir}/{kind};\n"
                    for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    config = stage.write("nginx.conf", f"""daemon off; pid {stage.dir}/nginx.pid; error_log {stage.dir}/nginx.log;
worker_processes 1;
events {{ worker_connections 2048; }}
http {{ access_log off; {paths}
  server {{ listen 127.0.0.1:{port} backlog=1024; location / {{ return 200 "hello"; }} }} }}
""")
    stage.start(["nginx", "-c", config], "nginx-out.log")
    wait_for(lambda: listens(port), "nginx")
    return port
