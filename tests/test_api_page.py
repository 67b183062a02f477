"""`/api/`: its examples run as they stand."""

from __future__ import annotations

import html
import re
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from flask import Flask

from tests import live, pictures
from tests.page_client import PageClient

CODE = re.compile(r'<pre tabindex="0"><code class="(shell|python)">(.*?)</code></pre>', re.DOTALL)


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_every_example_runs_as_it_stands(site: Flask, tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(pictures.jpeg())
    with live.serving(site) as host:
        with urllib.request.urlopen(f"http://{host}/api/") as answer:
            examples = CODE.findall(answer.read().decode())
        assert [kind for kind, _ in examples] == ["shell", "shell", "python", "python", "python"]
        for kind, source in examples:
            code = html.unescape(source)
            command = ["sh", "-ec", code] if kind == "shell" else [sys.executable, "-c", code]
            done = subprocess.run(
                command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
            )
            assert done.returncode == 0, done.stderr
            assert done.stdout.strip() and '"error"' not in done.stdout, done.stdout


def test_it_names_the_models_and_the_limits(client: PageClient) -> None:
    page = client.get("/api/")
    assert "tiny (default)" in page.text
    assert "up to 16 photos, each of up to 20 MB" in page.text
    assert "[number, 8]" in page.text, "the features of this model"
    assert client.plain.get("/api").headers["Location"].endswith("/api/")


def test_without_a_model_it_says_so(empty_site: Flask) -> None:
    with empty_site.test_client() as plain:
        assert "No model is loaded now" in PageClient(plain).get("/api/").text
