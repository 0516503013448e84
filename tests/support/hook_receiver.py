#!/usr/bin/python3
"""Whoever fleet's webhooks and pulses are sent to: notes every request as one line of JSON.

usage: hook_receiver.py DIRECTORY

Listens on a free port of 127.0.0.1, which it writes to DIRECTORY/port; requests go to
DIRECTORY/log. DIRECTORY/state says how it feels, by path: {"/a": {"code": 500, "delay": 3}};
"refuse" names texts whose request is answered with 400.
"""

import http.server
import json
import os
import sys
import threading
import time

DIRECTORY = sys.argv[1]
LOCK = threading.Lock()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        pass

    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        try:
            with open(DIRECTORY + "/state") as file:
                state = json.load(file)
        except (OSError, ValueError):
            state = {}
        state = state.get(self.path.split("?")[0], {})
        time.sleep(state.get("delay", 0))
        code = 400 if any(text in body for text in state.get("refuse", [])) else state.get("code", 200)
        line = json.dumps({"method": self.command, "path": self.path, "body": body, "code": code,
                           "agent": self.headers.get("User-Agent"),
                           "type": self.headers.get("Content-Type"),
                           "authorization": self.headers.get("Authorization")})
        with LOCK, open(DIRECTORY + "/log", "a") as file:
            file.write(line + "\n")
            file.flush()
            os.fsync(file.fileno())
        self.send_response(code)
        self.send_header("Content-Length", "2")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(b"ok")

    do_GET = do_POST = do_PUT = do_HEAD = answer


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


server = Server(("127.0.0.1", int(sys.argv[2]) if len(sys.argv) > 2 else 0), Handler)
with open(DIRECTORY + "/port.new", "w") as port:
    port.write(str(server.server_address[1]))
os.rename(DIRECTORY + "/port.new", DIRECTORY + "/port")
server.serve_forever()
