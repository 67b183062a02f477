"""What is in `deploy/` fits the site: nginx before a real gunicorn, systemd's unit, containers."""

from __future__ import annotations

import http.client
import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from flask import Flask

from tests import server
from tests.conftest import PROJECT
from webapp.settings import SETTINGS

DEPLOY = PROJECT / "deploy"
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
HALF_SENT = 60
"""More than two workers have threads."""

AROUND = """
{user}
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 512; }}
http {{
    access_log {folder}/access.log;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    types {{ text/html html; text/css css; }}
    include {folder}/site.conf;
}}
"""


@contextmanager
def nginx_before(site: str, folder: Path, *others: str) -> Iterator[str]:
    """Run nginx with our file before the site at the address `site`; gives its address.

    Args:
        others: addresses of more sites, which take turns.
    """
    assert NGINX
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    text = (DEPLOY / "nginx.conf").read_text("utf-8")
    text = text.replace("listen 80;", f"listen {port};").replace("listen [::]:80;", "")
    servers = [f"server {one.removeprefix('http://')};" for one in (site, *others)]
    text = text.replace("server 127.0.0.1:8000;", "\n    ".join(servers))
    (folder / "site.conf").write_text(text)
    user = "user root;" if os.geteuid() == 0 else ""
    whole = folder / "nginx.conf"
    whole.write_text(AROUND.format(folder=folder, user=user))
    command = [NGINX, "-c", str(whole), "-p", str(folder), "-e", str(folder / "error.log")]
    checked = subprocess.run([*command, "-t"], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr
    assert "[warn]" not in checked.stderr
    running = subprocess.Popen([*command, "-g", "daemon off;"])
    try:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        running.terminate()
        running.wait(20)


def connect(address: str, *, of: str = "127.0.0.1") -> http.client.HTTPConnection:
    """A connection of the visitor whose address is `of`."""
    host = address.removeprefix("http://")
    return http.client.HTTPConnection(host, timeout=30, source_address=(of, 0))


@pytest.mark.skipif(NGINX is None, reason="nginx is not installed")
def test_behind_nginx_nobody_waits_for_those_who_send_half_a_photo(tmp_path: Path) -> None:
    # Without a model the site starts fast, and says what it needs to say all the same.
    settings = {"MODELS_FOLDER": tmp_path / "none", "TRUSTED_PROXIES": 1}
    with ExitStack() as all_of_it:
        site = all_of_it.enter_context(server.running(tmp_path / "log", ready="/livez", **settings))
        (tmp_path / "nginx").mkdir()
        address = all_of_it.enter_context(nginx_before(site, tmp_path / "nginx"))
        for number in range(HALF_SENT):
            stuck = connect(address, of=f"127.0.1.{1 + number % 4}")
            all_of_it.callback(stuck.close)
            stuck.putrequest("POST", "/")
            stuck.putheader("Content-Type", "multipart/form-data; boundary=limit")
            stuck.putheader("Content-Length", "200000")
            stuck.endheaders(bytes(100_000))
        slowest = 0.0
        for page in ("/livez", "/about", "/", "/static/site.css"):
            visitor = connect(address)
            begun = time.monotonic()
            visitor.request("GET", page, headers={"Accept-Encoding": "gzip"})
            answer = visitor.getresponse()
            body = answer.read()
            slowest = max(slowest, time.monotonic() - begun)
            assert answer.status == 200, page
            if page == "/":
                assert "csrf_token" in body.decode(), "it carries a token, so it is not compressed"
            if page.endswith(".css"):
                assert answer.headers["Content-Encoding"] == "gzip"
                assert len(body) < 0.5 * (PROJECT / "static" / "site.css").stat().st_size
            visitor.close()
        assert slowest < 10, "gunicorn alone would be busy until these give up"

        refused = connect(address)
        refused.request("GET", "/metrics")
        assert refused.getresponse().status == 404
        refused.close()

        # One who sends far too often is slowed down, and nobody else.
        greedy = []
        for _ in range(150):
            one = connect(address, of="127.0.2.1")
            one.request("POST", "/", b"", {"Content-Type": "multipart/form-data; boundary=limit"})
            greedy.append(one.getresponse().status)
            one.close()
        assert 429 in greedy
        other = connect(address, of="127.0.2.2")
        other.request("POST", "/", b"", {"Content-Type": "multipart/form-data; boundary=limit"})
        assert other.getresponse().status != 429
        other.close()


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_takes_the_units_and_calls_the_site_well_protected(tmp_path: Path) -> None:
    names = ["ten-classes.service", "ten-classes-backup.service", "ten-classes-backup.timer"]
    for name in names:
        text = (DEPLOY / name).read_text("utf-8")
        # Where the program will be is not known here, and systemd looks for it.
        text = re.sub(r"/opt/ten-classes/\.venv/bin/\w+", "/bin/true", text)
        (tmp_path / name).write_text(text.replace("/opt/ten-classes", str(PROJECT)))
    files = [str(tmp_path / name) for name in names]
    verified = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *files], capture_output=True, text=True
    )
    assert (verified.returncode, verified.stderr) == (0, "")
    # Of 100: the less, the less it could do if it were taken over.
    security = ["systemd-analyze", "security", "--offline=true", "--threshold=20", files[0]]
    assert subprocess.run(security, capture_output=True).returncode == 0


def documents(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((DEPLOY / name).read_text("utf-8")))


def is_setting(name: str) -> bool:
    return name.removeprefix("TENCLASSES_") in {setting.name for setting in SETTINGS}


def test_the_container_has_all_that_the_site_needs_and_no_secret() -> None:
    lines = (DEPLOY / "Containerfile").read_text("utf-8").splitlines()
    copied = {
        path
        for line in lines
        if line.startswith("COPY ") and "--from" not in line
        for path in line.split()[1:-1]
    }
    assert not [path for path in copied if not (PROJECT / path).exists()]
    assert {"wsgi.py", "webapp", "model_training", "templates", "static"} <= copied
    let_in = (PROJECT / ".dockerignore").read_text("utf-8").splitlines()
    for path in copied:
        assert f"!{path}" in let_in or re.match(r"requirements.*\.txt", path), path
    users = [line.split()[1] for line in lines if line.startswith("USER ")]
    assert users == ["10001:10001"]
    assert sum(line.startswith("FROM ") for line in lines) == 2


def test_compose_starts_the_site_after_its_database() -> None:
    (compose,) = documents("compose.yaml")
    site, database = compose["services"]["site"], compose["services"]["db"]
    assert site["depends_on"]["db"]["condition"] == "service_healthy" and database["healthcheck"]
    assert (DEPLOY / site["build"]["context"] / site["build"]["dockerfile"]).is_file()
    assert site["read_only"] and site["cap_drop"] == ["ALL"]
    assert not [name for name in site["environment"] if not is_setting(name)]


def test_kubernetes_asks_pages_that_are_there(empty_site: Flask) -> None:
    (kustomization,) = documents("kubernetes/kustomization.yaml")
    for name in kustomization["resources"]:
        (resource,) = documents(f"kubernetes/{name}")
        assert resource["metadata"]["name"] == "ten-classes"
    (deployment,) = documents("kubernetes/deployment.yaml")
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        page = container[probe]["httpGet"]["path"]
        # Without a model a pod lives, and gets no requests.
        ready = empty_site.test_client().get(page).status_code
        assert ready == (503 if probe == "readinessProbe" else 200)
    names = [variable["name"] for variable in container["env"]]
    assert not [name for name in names if not is_setting(name) and name != "WEB_CONCURRENCY"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert container["securityContext"]["readOnlyRootFilesystem"]
    ports = re.search(r"BIND=0\.0\.0\.0:(\d+)", (DEPLOY / "Containerfile").read_text("utf-8"))
    assert ports and int(ports[1]) == container["ports"][0]["containerPort"]


def test_the_guide_names_what_is_there() -> None:
    guide = (PROJECT / "docs" / "deploy.md").read_text("utf-8")
    for path in re.findall(r"\bdeploy/\w[\w./-]+\w", guide):
        assert (PROJECT / path).exists(), path
    for name in re.findall(r"\bTENCLASSES_([A-Z_]+)\b", guide):
        assert is_setting(name), name
    shipped = {one.name for one in DEPLOY.rglob("*") if one.is_file()}
    unnamed = [name for name in shipped if name not in guide and "/kubernetes" not in name]
    assert not [name for name in unnamed if not (DEPLOY / "kubernetes" / name).exists()]
