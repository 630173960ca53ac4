"""An upstream that does what its path says, for the driver: it answers, fails, waits, breaks off, and can be taken away."""

import contextlib
import http.server
import socket
import struct
import threading
import time


class Behaviour(http.server.BaseHTTPRequestHandler):
    """One request. `server.away` turns every answer into a 503."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self):
        """`/status/N`, `/wait/SECONDS`, `/reset`, `/garbage`, `/kept/…`, `/tagged/…`, `/private/…`, else 200."""
        self.rfile.read(int(self.headers.get("content-length", 0)))
        kind, _, rest = self.path.lstrip("/").partition("/")
        if kind == "reset":
            return self.broken_off()
        if kind == "garbage":
            self.wfile.write(b"this is no HTTP\r\n\r\n")
            self.close_connection = True
            return None
        if kind == "wait":
            time.sleep(float(rest.split("/")[0]))
        if self.server.away:
            return self.answer(503)
        if kind == "tagged" and self.headers.get("if-none-match") == '"one"':
            return self.answer(304, {"ETag": '"one"', "Cache-Control": "max-age=0"})
        more = {
            "kept": {"Cache-Control": "max-age=1"},
            "longer": {"Cache-Control": "max-age=60"},
            "swr": {"Cache-Control": "max-age=1, stale-while-revalidate=60"},
            "tagged": {"ETag": '"one"', "Cache-Control": "max-age=0"},
            "private": {"Cache-Control": "no-store"},
            "wait": {"Cache-Control": "max-age=60"},
        }.get(kind, {})
        return self.answer(int(rest) if kind == "status" else 200, more)

    do_POST = do_PUT = do_DELETE = do_GET

    def answer(self, status, more=None):
        """A short one."""
        body = b"" if status == 304 else b"here you are\n"
        self.send_response(status)
        for name, value in {"Content-Type": "text/plain", "Content-Length": str(len(body)), **(more or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def broken_off(self):
        """A reset instead of an answer."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True

    def finish(self):
        with contextlib.suppress(OSError, ValueError):
            super().finish()

    def log_message(self, *_):
        """Nothing."""


class Upstream(http.server.ThreadingHTTPServer):
    """Serves until it is closed."""

    daemon_threads = True
    request_queue_size = 64
    away = False

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Behaviour)
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self):
        """Where it is."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request, client_address):
        """A caller that left is what some of these tests are about."""
