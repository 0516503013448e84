#!/usr/bin/python3
"""A stand-in for a minio server: the health, metrics and object paths that fleet asks for, with the
headers, codes and access rules of minio's own source.

Signatures (AWS Signature Version 4) are verified by botocore, a second implementation. How the
server feels is a JSON file that is read again for each request; see DEFAULTS.

usage: fake_minio.py --port P --state FILE --fixtures DIR
       fake_minio.py --print-token ACCESS_KEY SECRET_KEY
"""

import argparse
import base64
import datetime
import hashlib
import hmac
import http.server
import json
import os
import re
import sys
import threading
import time
import urllib.parse

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

DEFAULTS = {
    "live": True,             # false: the request queue is over capacity
    "server_status": "",      # "offline", "bucket-metadata-offline", "iam-offline"
    "write_quorum": True,
    "read_quorum": True,
    "quorum_drives": 3,
    "healing_drives": 0,
    "auth": "jwt",            # of the metrics; or "public"
    "v2": True,
    "v3": True,
    "values": {},             # metric name: value in place of the fixture's
    "slow": {},               # path: seconds before the reply; "*" is every path
    "behave": {},             # path: "garbage", "close", "half", "huge", "text"
    "access_key": "fleet-access",
    "secret_key": "fleet-secret",
    "region": "us-east-1",
    "buckets": ["canary"],
    "deny": "",               # an S3 method that the policy forbids
    "corrupt": False,         # give back other bytes than were stored
}

state_path = ""
fixtures = ""
objects = {}
kept = {}  # headers of objects that come back with them
lock = threading.Lock()


def load_state():
    state = dict(DEFAULTS)
    try:
        with open(state_path, encoding="utf-8") as file:
            state.update(json.load(file))
    except FileNotFoundError:
        pass
    return state


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def make_token(access_key, secret_key, expires):
    """What `mc admin prometheus generate` prints."""
    head = base64url(json.dumps({"alg": "HS512", "typ": "JWT"}).encode())
    claims = base64url(
        json.dumps({"exp": expires, "sub": access_key, "iss": "prometheus"}).encode())
    signed = head + b"." + claims
    mac = hmac.new(secret_key.encode(), signed, hashlib.sha512).digest()
    return (signed + b"." + base64url(mac)).decode()


def is_token(token, state):
    try:
        head, claims, mac = token.encode().split(b".")
        wanted = hmac.new(state["secret_key"].encode(), head + b"." + claims,
                          hashlib.sha512).digest()
        claims = json.loads(base64.urlsafe_b64decode(claims + b"=="))
    except (ValueError, TypeError):
        return False
    return (hmac.compare_digest(base64url(wanted), mac) and claims.get("iss") == "prometheus"
            and claims.get("sub") == state["access_key"] and claims.get("exp", 0) > time.time())


class Refused(Exception):
    def __init__(self, code, name, message):
        super().__init__(message)
        self.code, self.name, self.message = code, name, message


def verify_signature(handler, body, state):
    """Raises Refused unless the request is signed as AWS and minio want it."""
    authorization = handler.headers.get("Authorization", "")
    match = re.fullmatch(r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/s3/aws4_request, ?"
                         r"SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})", authorization)
    if match is None:
        raise Refused(403, "AccessDenied", "Access Denied.")
    access_key, date, region, signed, signature = match.groups()
    if access_key != state["access_key"]:
        raise Refused(403, "InvalidAccessKeyId", "The Access Key Id does not exist.")
    if region != state["region"]:
        raise Refused(400, "AuthorizationHeaderMalformed", "The region is wrong.")
    amz_date = handler.headers.get("x-amz-date", "")
    try:
        then = datetime.datetime.strptime(amz_date, "%Y%m%dT%H%M%SZ")
    except ValueError:
        raise Refused(403, "AccessDenied", "No x-amz-date.") from None
    if not amz_date.startswith(date):
        raise Refused(403, "SignatureDoesNotMatch", "Scope and date differ.")
    if abs((datetime.datetime.utcnow() - then).total_seconds()) > 900:
        raise Refused(403, "RequestTimeTooSkewed", "The difference between the times is too large.")
    payload = handler.headers.get("x-amz-content-sha256", "")
    if payload != hashlib.sha256(body).hexdigest():
        raise Refused(400, "XAmzContentSHA256Mismatch", "The payload's hash does not match.")
    names = signed.split(";")
    if "host" not in names or "x-amz-content-sha256" not in names or "x-amz-date" not in names:
        raise Refused(403, "AccessDenied", "There were headers present which were not signed.")
    request = AWSRequest(
        method=handler.command, url="http://" + handler.headers["Host"] + handler.path, data=body,
        headers={name: handler.headers[name] for name in names if name in handler.headers})
    request.context["timestamp"] = amz_date
    auth = S3SigV4Auth(Credentials(access_key, state["secret_key"]), "s3", region)
    wanted = auth.signature(auth.string_to_sign(request, auth.canonical_request(request)), request)
    if not hmac.compare_digest(wanted, signature):
        raise Refused(403, "SignatureDoesNotMatch",
                      "The request signature we calculated does not match.")


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "MinIO"
    sys_version = ""

    def log_message(self, format, *args):  # pylint: disable=redefined-builtin
        print(self.command, self.path, args[1] if len(args) > 1 else "", flush=True)

    def reply(self, code, body=b"", headers=(), content_type="text/plain"):
        self.send_response(code)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def refuse(self, refused):
        body = (f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{refused.name}</Code>'
                f"<Message>{refused.message}</Message><Resource>{self.path}</Resource></Error>")
        self.reply(refused.code, body.encode(), content_type="application/xml")

    def health(self, path, state):
        headers = []
        if state["server_status"]:
            headers.append(("x-minio-server-status", state["server_status"]))
        if path in ("live", "ready"):
            if state["live"]:
                self.reply(200, headers=headers)
            else:
                self.refuse(Refused(503, "SlowDown", "Please reduce your request rate"))
            return
        read = path == "cluster/read"
        headers.append(("x-minio-read-quorum" if read else "x-minio-write-quorum",
                        str(state["quorum_drives"])))
        if state["healing_drives"] and not read:
            headers.append(("x-minio-healing-drives", str(state["healing_drives"])))
        good = state["read_quorum"] if read else state["write_quorum"]
        self.reply(200 if good and not state["server_status"] else 503, headers=headers)

    def metrics(self, name, state):
        authorization = self.headers.get("Authorization", "")
        if state["auth"] != "public" and not (
                authorization.startswith("Bearer ") and is_token(authorization[7:], state)):
            self.reply(403, b'{"Code":"AccessDenied","Message":"Access Denied."}',
                       content_type="application/json")
            return
        try:
            with open(os.path.join(fixtures, name + ".prom"), encoding="utf-8") as file:
                text = file.read()
        except FileNotFoundError:
            self.reply(404)
            return
        for metric, value in state["values"].items():
            text = re.sub(rf"^({re.escape(metric)}(?:{{[^}}]*}})?) .*$", rf"\g<1> {value}", text,
                          flags=re.M)
        self.reply(200, text.encode(), content_type="text/plain; version=0.0.4")

    def object(self, path, state):
        size = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(size)
        try:
            verify_signature(self, body, state)
            bucket, _, key = urllib.parse.unquote(path).lstrip("/").partition("/")
            if state["deny"] == self.command:
                raise Refused(403, "AccessDenied", "Access Denied.")
            if bucket not in state["buckets"]:
                raise Refused(404, "NoSuchBucket", "The specified bucket does not exist")
            with lock:
                if self.command == "PUT":
                    objects[bucket, key] = body
                    kept[bucket, key] = [
                        (name, self.headers[name]) for name in
                        ("Content-Type", "Cache-Control", "x-amz-acl") if name in self.headers]
                    self.reply(200, headers=[("ETag", f'"{hashlib.md5(body).hexdigest()}"')])
                elif self.command == "DELETE":
                    objects.pop((bucket, key), None)
                    self.reply(204)
                elif (bucket, key) in objects:
                    stored = objects[bucket, key]
                    headers = dict(kept.get((bucket, key), []))
                    content_type = headers.pop("Content-Type", "binary/octet-stream")
                    self.reply(200, stored[::-1] if state["corrupt"] else stored,
                               headers=headers.items(), content_type=content_type)
                else:
                    raise Refused(404, "NoSuchKey", "The specified key does not exist.")
        except Refused as refused:
            self.refuse(refused)

    def misbehave(self, how):
        """True when the reply, or what there is of it, has been sent."""
        if how == "garbage":
            self.wfile.write(b"\x00\x01 this is not HTTP at all\r\n\r\n")
        elif how == "half":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nServer: MinIO\r\nContent-Length: 1000\r\n\r\nhalf")
        elif how == "text":
            self.reply(200, b"this is no exposition {\n")
            return True
        elif how == "huge":
            self.send_response(200)
            self.send_header("Content-Length", str(1 << 30))
            self.end_headers()
            try:
                for _ in range(1 << 10):
                    self.wfile.write(b"# " + b"x" * ((1 << 20) - 3) + b"\n")
            except OSError:
                pass
        elif how != "close":
            return False
        self.close_connection = True
        return True

    def handle_any(self):
        state = load_state()
        path = urllib.parse.urlsplit(self.path).path
        time.sleep(state["slow"].get(path, state["slow"].get("*", 0)))
        if self.misbehave(state["behave"].get(path, state["behave"].get("*", ""))):
            return
        if path == "/_objects":
            self.reply(200, json.dumps(sorted("/".join(key) for key in objects)).encode())
        elif path.startswith("/minio/health/"):
            self.health(path[len("/minio/health/"):], state)
        elif path.startswith("/minio/v2/metrics/") and state["v2"]:
            self.metrics("v2_" + path[len("/minio/v2/metrics/"):], state)
        elif path.startswith("/minio/metrics/v3/") and state["v3"]:
            self.metrics("v3_" + path[len("/minio/metrics/v3/"):].replace("/", "_"), state)
        elif path.startswith("/minio/"):
            self.reply(404)
        else:
            self.object(path, state)

    do_GET = do_HEAD = do_PUT = do_DELETE = do_POST = handle_any


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True


def main():
    global state_path, fixtures
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int)
    parser.add_argument("--state", default="")
    parser.add_argument("--fixtures", default="")
    parser.add_argument("--print-token", nargs=2)
    arguments = parser.parse_args()
    if arguments.print_token:
        print(make_token(*arguments.print_token, int(time.time()) + 3600))
        return 0
    state_path, fixtures = arguments.state, arguments.fixtures
    Server(("127.0.0.1", arguments.port), Handler).serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
