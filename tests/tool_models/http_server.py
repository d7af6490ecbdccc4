#!/usr/bin/env python3
"""A web server that misbehaves on purpose, for the download tests. Prints its port, serves until standard input closes.

GET /MODE/NAME with the modes below; every mode serves the same 300,000 bytes (byte i is i * 7 % 251). /log gives the requests so far,
/release lets the owner "held" send the second half of its files.
It is also a proxy that answers for every host, a Hugging Face with a few repositories (REPOSITORIES; /api/models/... and /OWNER/REPO/resolve/main/...),
and serves HTTPS on a second port (/tls: the port, or 0 without the openssl program; /certificate: its authority).
"""
import hashlib
import http.server
import io
import json
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import zipfile

BODY = bytes(i * 7 % 251 for i in range(300000))
LOG = []
COUNTS = {}
RELEASED = threading.Event()
TLS = {"port": 0, "certificate": b""}


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

    def send_repository(self, owner, name):
        """A file of a repository, as a good server does; of the owner "slow" in small pieces, of "held" in halves."""
        body = content_of(owner)
        wanted = self.headers.get("Range")
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        if start >= len(body):
            return self.send_body(416, b"", {"Content-Range": f"bytes */{len(body)}"})
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Length", str(len(body) - start))
        self.send_header("ETag", f'"{owner}"')
        if wanted:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        self.end_headers()
        try:
            pieces = {"slow": 16, "held": 2}.get(owner, 1)
            step = len(body) // pieces + 1
            for at in range(start, len(body), step):
                self.wfile.write(body[at : at + step])
                self.wfile.flush()
                if owner == "slow":
                    time.sleep(0.005)
                elif owner == "held" and at == start:
                    RELEASED.wait(300)
        except OSError:
            self.close_connection = True

    def do_GET(self):
        is_proxied = self.path.startswith("http://")
        host = self.headers.get("Host", "")
        if is_proxied:
            self.path = "/" + self.path.split("/", 3)[3]
        mode = self.path.split("/")[1]
        count = COUNTS[self.path] = COUNTS.get(self.path, 0) + 1
        if mode != "log":
            LOG.append({"path": self.path, "range": self.headers.get("Range", ""), "if_range": self.headers.get("If-Range", ""), "host": host,
                        "authorization": self.headers.get("Authorization", ""), "proxied": is_proxied})
        if mode == "release":
            RELEASED.set()
            self.send_body(200, b"", {})
        elif mode == "tls":
            self.send_body(200, str(TLS["port"]).encode(), {})
        elif mode == "certificate":
            self.send_body(200, TLS["certificate"], {})
        elif mode == "oddtag":  # an ETag of bytes that are no text; the first answer breaks off
            self.ranged('"\xff\xfe"', 100000 if count == 1 else None)
        elif mode == "away":  # to another host's name, and to another port
            self.send_body(302, b"", {"Location": f"http://localhost:{server.server_address[1]}/good/file"})
        elif mode == "empty":
            self.send_body(200, b"", {})
        elif mode == "otherpart":  # a part that was not requested
            self.send_body(206, BODY[1000:], {"ETag": '"v1"', "Content-Range": f"bytes 1000-{len(BODY) - 1}/{len(BODY)}"})
        elif "/resolve/main/" in self.path:
            self.send_repository(mode, self.path.rsplit("/", 1)[1])
        elif mode == "api":
            self.send_listing(self.path.split("/")[3])
        elif mode == "log":
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
        else:
            self.send_body(404, b"not here", {})


    def send_listing(self, owner):
        names = REPOSITORIES.get(owner)
        if names is None:
            return self.send_body(404, b"", {})
        body = content_of(owner)
        files = [{"path": name, "size": len(body), "lfs": {"oid": "0" * 64 if "wrong" in name else hashlib.sha256(body).hexdigest()}} for name in names]
        self.send_body(200, json.dumps(files + [{"path": "README.md", "size": 1}, 5, {"size": 3}]).encode(), {"Content-Type": "application/json"})


REPOSITORIES = {
    "owner": ["m-Q8_0.gguf", "wrong-Q4_K_M.gguf", "mmproj-Q4_K_M.gguf"],
    "a": ["x.Q4_0.gguf"],
    "b": ["x.Q4_0.gguf"],
    "slow": ["x.Q4_0.gguf"],
    "held": ["x.Q4_0.gguf"],
    "escape": ["m-\x1b[2J-Q8_0.gguf", "m-Q6_K.gguf", "m-Q5_K\u009b.gguf"],
}


def content_of(owner):
    """A GGUF file; every owner's has other bytes at its end."""
    return GGUF + owner.encode() * 7


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        pass  # clients of these tests may hang up at any time


def start_tls():
    """A second port with a certificate that only /certificate vouches for."""
    with tempfile.TemporaryDirectory() as folder:
        make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=atlas-vk test",
                "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost", "-keyout", f"{folder}/key", "-out", f"{folder}/certificate"]
        try:
            if subprocess.run(make, capture_output=True).returncode != 0:
                return
        except OSError:
            return
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(f"{folder}/certificate", f"{folder}/key")
        with open(f"{folder}/certificate", "rb") as file:
            TLS["certificate"] = file.read()
    tls = Server(("127.0.0.1", 0), Handler)
    # The handshake in the connection's own thread: one that fails must not end the server.
    tls.socket = context.wrap_socket(tls.socket, server_side=True, do_handshake_on_connect=False)
    TLS["port"] = tls.server_address[1]
    threading.Thread(target=tls.serve_forever, daemon=True).start()


def make_wheel():
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo("tiny_pkg/__init__.py"), "")
        archive.writestr(zipfile.ZipInfo("tiny_pkg/tiny.gguf"), GGUF)
    return data.getvalue()


with open(sys.argv[1], "rb") as gguf_file:
    GGUF = gguf_file.read()
server = Server(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
start_tls()
print(server.server_address[1], flush=True)
sys.stdin.read()
