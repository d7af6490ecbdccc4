#!/usr/bin/env python3
"""A web server that misbehaves on purpose, for the download tests. Prints its port, serves until standard input closes.

GET /MODE/NAME with the modes below; every mode serves the same 300,000 bytes (byte i is i * 7 % 251). /log gives the requests so far.
"""
import hashlib
import http.server
import io
import json
import sys
import threading
import time
import zipfile

BODY = bytes(i * 7 % 251 for i in range(300000))
LOG = []
COUNTS = {}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def send_body(self, status, body, headers, cut_at=None):
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body if cut_at is None else body[:cut_at])
        self.wfile.flush()
        if cut_at is not None:
            self.close_connection = True

    def ranged(self, tag, cut_at=None):
        """Answers Range as a good server does."""
        wanted = self.headers.get("Range")
        headers = {"ETag": tag, "Accept-Ranges": "bytes"}
        if wanted and self.headers.get("If-Range", tag) == tag:
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
            if start >= len(BODY):
                return self.send_body(416, b"", {"Content-Range": f"bytes */{len(BODY)}"})
            headers["Content-Range"] = f"bytes {start}-{len(BODY) - 1}/{len(BODY)}"
            return self.send_body(206, BODY[start:], headers, cut_at)
        self.send_body(200, BODY, headers, cut_at)

    def do_GET(self):
        mode = self.path.split("/")[1]
        count = COUNTS[self.path] = COUNTS.get(self.path, 0) + 1
        if mode != "log":
            LOG.append({"path": self.path, "range": self.headers.get("Range", ""), "if_range": self.headers.get("If-Range", "")})
        if mode == "log":
            self.send_body(200, json.dumps(LOG).encode(), {"Content-Type": "application/json"})
        elif mode == "good":
            self.ranged('"v1"')
        elif mode == "cut":  # the first answer breaks off after 100,000 bytes
            self.ranged('"v1"', 100000 if count == 1 else None)
        elif mode == "cutchange":  # and then the file is another one
            self.ranged('"v1"' if count == 1 else '"v2"', 100000 if count == 1 else None)
        elif mode == "alwayscut":  # never more than the first byte of what is missing
            self.send_body(200, BODY, {}, 0)
        elif mode == "norange":  # breaks off and then ignores Range
            self.send_body(200, BODY, {"ETag": '"v1"'}, 100000 if count == 1 else None)
        elif mode == "stall":  # stops in the middle of the first answer, without closing
            if count == 1:
                self.send_response(200)
                self.send_header("Content-Length", str(len(BODY)))
                self.send_header("ETag", '"v1"')
                self.end_headers()
                self.wfile.write(BODY[:50000])
                self.wfile.flush()
                time.sleep(6)
                self.close_connection = True
            else:
                self.ranged('"v1"')
        elif mode == "busy":  # two errors, then the file
            if count <= 2:
                self.send_body(503, b"later", {})
            else:
                self.ranged('"v1"')
        elif mode == "redirect":
            self.send_body(302, b"", {"Location": "/good/" + self.path.split("/")[2]})
        elif mode == "loop":
            self.send_body(302, b"", {"Location": self.path})
        elif mode == "forbidden":
            self.send_body(403, b"no", {})
        elif mode == "slow":  # takes seconds, so that it can be interrupted
            self.send_response(200)
            self.send_header("Content-Length", str(len(BODY)))
            self.send_header("ETag", '"v1"')
            self.end_headers()
            try:
                for at in range(0, len(BODY), 10000):
                    self.wfile.write(BODY[at : at + 10000])
                    self.wfile.flush()
                    time.sleep(0.1)
            except OSError:
                pass
        elif mode == "simple":  # a package index: /simple/NAME/
            wheel = make_wheel()
            digest = hashlib.sha256(wheel).hexdigest()
            page = f'<html><a href="../../wheel/tiny_pkg-1.0-py3-none-any.whl#sha256={digest}">tiny_pkg-1.0-py3-none-any.whl</a></html>'
            if "absent" in self.path:
                self.send_body(404, b"", {})
            else:
                self.send_body(200, page.encode(), {"Content-Type": "text/html"})
        elif mode == "wheel":
            self.send_body(200, make_wheel(), {"Content-Type": "application/zip"})
        elif mode == "api":  # /api/models/owner/repo/tree/main
            files = [
                {"path": "README.md", "size": 1},
                {"path": "m-Q8_0.gguf", "size": len(GGUF), "lfs": {"oid": hashlib.sha256(GGUF).hexdigest()}},
                {"path": "m-Q4_K_M.gguf", "size": len(GGUF), "lfs": {"oid": "0" * 64}},
                {"path": "mmproj-Q4_K_M.gguf", "size": 1},
            ]
            self.send_body(200, json.dumps(files).encode(), {"Content-Type": "application/json"})
        elif mode == "owner":  # /owner/repo/resolve/main/NAME
            self.send_body(200, GGUF, {})
        else:
            self.send_body(404, b"not here", {})


def make_wheel():
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo("tiny_pkg/__init__.py"), "")
        archive.writestr(zipfile.ZipInfo("tiny_pkg/tiny.gguf"), GGUF)
    return data.getvalue()


with open(sys.argv[1], "rb") as gguf_file:
    GGUF = gguf_file.read()
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
server.daemon_threads = True
threading.Thread(target=server.serve_forever, daemon=True).start()
print(server.server_address[1], flush=True)
sys.stdin.read()
