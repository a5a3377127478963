"""nginx and Caddy in front of a server, with the lines that the README gives."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

README = Path(__file__).parents[1] / "README.md"
HOST = "school.localhost"  # browsers know where that is; Streamlit's rule does not know it as this computer
FRAME = "portal.localhost"  # another site, which shows the app in a frame

NGINX = """daemon off; master_process off; pid {folder}/pid; error_log {folder}/log; events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port} ssl; ssl_certificate {folder}/certificate; ssl_certificate_key {folder}/key;
        {lines}
    }}
}}"""
CADDY = """{{
    admin off
    auto_https off
}}
https://{host}:{port}, https://{frame}:{port} {{
    tls {folder}/certificate {folder}/key
    {lines}
}}"""


def read_lines(language: str) -> str:
    """What the README's section gives for one of the two."""
    return re.search(rf"```{language}\n(.+?)```", README.read_text(encoding="utf-8"), re.DOTALL)[1]


def write_lines(proxy: str, app: int, stripped: bool) -> str:
    """The README's lines for an app on port `app`; where the path is to stay, changed as the README says."""
    if proxy == "nginx":
        whole, bare = read_lines("nginx"), re.search("`(proxy_pass [^`]+;)`", README.read_text(encoding="utf-8"))[1]
        lines = whole if stripped else re.sub(r"proxy_pass [^;]+;", bare, whole)
    else:
        lines = read_lines("caddy") if stripped else read_lines("caddy").replace("handle_path", "handle")
    assert "127.0.0.1:8501" in lines
    return lines.replace("127.0.0.1:8501", f"127.0.0.1:{app}")


def write_frame(proxy: str, port: int) -> str:
    """A page beside the app's that shows it in a frame."""
    page = f'<iframe src=\\"https://{HOST}:{port}/lab/?embed=true&depth=8\\" width=1300 height=900></iframe>'
    if proxy == "nginx":
        return f'location /portal {{ default_type text/html; return 200 "{page}"; }}'
    return f'handle /portal {{\nheader Content-Type text/html\nrespond "{page}"\n}}'


def find_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextlib.contextmanager
def run_proxy(proxy: str, folder: Path, app: int, stripped: bool) -> Iterator[int]:
    """The port at which a proxy serves the app of port `app` under /lab/, over TLS."""
    make_certificate(folder)
    port = find_port()
    values = {"folder": folder, "port": port, "host": HOST, "frame": FRAME,
              "lines": write_lines(proxy, app, stripped) + write_frame(proxy, port)}
    settings = folder / "settings"
    settings.write_text({"nginx": NGINX, "caddy": CADDY}[proxy].format(**values), encoding="utf-8")
    command = {"nginx": ["nginx", "-c", settings, "-e", folder / "log"],
               "caddy": ["caddy", "run", "--adapter", "caddyfile", "--config", settings]}[proxy]
    with open(folder / "told", "wb") as told:
        process = subprocess.Popen(command, env=os.environ | {"HOME": str(folder)}, stdout=told, stderr=told)
    try:
        wait_for(lambda: process.poll() is not None or is_open(port))
        assert process.poll() is None, (folder / "told").read_text(encoding="utf-8")
        yield port
    finally:
        process.terminate()
        process.wait(10)


def make_certificate(folder: Path) -> None:
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                    "-subj", f"/CN={HOST}", "-addext", f"subjectAltName=DNS:{HOST},DNS:{FRAME}", "-days", "1",
                    "-keyout", folder / "key", "-out", folder / "certificate"], check=True, capture_output=True)


def is_open(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def wait_for(condition: Callable[[], bool], seconds: float = 20) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not come"
        time.sleep(0.05)


def need(proxy: str) -> None:
    """Skip where a proxy is not installed, but never in CI."""
    if shutil.which(proxy) is None or shutil.which("openssl") is None:
        assert not os.environ.get("CI"), f"CI needs Debian's packages {proxy} and openssl, which `make test` installs"
        pytest.skip(f"{proxy} or openssl is not installed (Debian's packages of these names)")
