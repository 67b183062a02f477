"""How gunicorn serves the site: `gunicorn wsgi:app` reads this file by itself."""

import json
import logging
import os
import random
import shutil
import signal
import tempfile
import threading
import time
import uuid
from pathlib import Path

from gunicorn.errors import HaltServer

bind = os.environ.get("BIND", f"127.0.0.1:{os.environ.get('PORT', '8000')}")

# Threads, because an answer mostly waits: for the upload, for the decoder and for TensorFlow,
# which all let other threads run meanwhile.  A sync worker would hold everybody up for one slow
# phone.  The class is gunicorn's gthread with limits of time.  Of the threads, as many as
# WORK_ADMITTED says have work to do, at most; the others answer pages.
worker_class = "webapp.operating.worker.Worker"
threads = 16

# Each worker loads every model for itself; docs/deploy.md says what that takes.  TensorFlow uses
# all cores by itself: a second worker is there so that the site outlives one that dies.
workers = int(os.environ.get("WEB_CONCURRENCY", "2"))

# Never preload: a Keras model that was loaded before the fork hangs every request after it.  What
# may be in memory before it, `when_ready` imports.
preload_app = False

# After so many requests a worker is replaced, in case something that it uses loses memory; up to
# a tenth more, so that not all come to it at once.  Not by gunicorn's own `max_requests`: then a
# worker ends first and the next begins to load its models, which is an outage if it was alone.
replace_after = int(os.environ.get("MAX_REQUESTS", "100000"))

# A worker must import TensorFlow and load its models before its first heartbeat.
timeout = 120
graceful_timeout = 30
keepalive = 5

# Heartbeats in memory: on a slow disk they would look like a hanging worker.
worker_tmp_dir = "/dev/shm" if os.path.isdir("/dev/shm") else None

# Whose X-Forwarded-For and -Proto are believed says the site's setting TRUSTED_PROXIES alone.
forwarded_allow_ips = os.environ.get("FORWARDED_ALLOW_IPS", "")

# Without this the socket by which it is controlled lies in the user's home, and two sites of one
# user would share it.
control_socket_disable = True

# Only the path of an address is logged: what stands behind its question mark is the visitor's.
accesslog = "-"
errorlog = "-"
access_log_format = '%(h)s "%(m)s %(U)s" %(s)s %(B)s bytes %(M)s ms %({x-request-id}o)s'


class JsonLines(logging.Formatter):
    """Each record as a line of JSON; of a request: its number, path, status, bytes and times."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
            + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "process": record.process,
        }
        if record.name == "gunicorn.access":
            of = record.args
            line |= {
                "request_id": of["{x-request-id}o"],
                "client": of["h"],
                "method": of["m"],
                "path": of["U"],
                "status": int(of["s"]),
                "bytes": of["B"],
                "milliseconds": of["M"],
                "stages": of["{server-timing}o"],
            }
        else:
            line["message"] = record.getMessage()
            if getattr(record, "request_id", "-") != "-":
                line["request_id"] = record.request_id
            if record.exc_info:
                line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


if os.environ.get("LOG_FORMAT", "text") == "json":
    _out = {"class": "logging.StreamHandler", "formatter": "json", "stream": "ext://sys.stdout"}
    logconfig_dict = {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"json": {"()": JsonLines}},
        "handlers": {"out": _out},
        "root": {"level": "INFO", "handlers": ["out"]},
        "loggers": {
            "gunicorn.error": {"level": "INFO", "handlers": ["out"], "propagate": False},
            "gunicorn.access": {"level": "INFO", "handlers": ["out"], "propagate": False},
            # Which names each of its own plugins, at every start.
            "alembic.runtime.plugins": {"level": "WARNING"},
        },
    }

# Of SIGHUP, and of workers that are to be replaced, processes tell each other by files in a folder
# of this server.
_RELOAD, _REPLACE = "reload.jsonl", "replace-"
_once = threading.Lock()


def _take_up_models(server):
    """Let every worker take up what models have changed, each beside those that answer.

    gunicorn would end all workers and start others, which need seconds for their models; nobody is
    answered meanwhile.  What else has changed, this file included, needs a restart.
    """
    server.log.info("Hang up: workers take up their models anew")
    request = Path(os.environ["MODELS_RELOAD_FILE"])
    made = request.with_suffix(".new")
    made.write_text(json.dumps({"request": uuid.uuid4().hex}) + "\n", encoding="utf-8")
    made.replace(request)


def _end_once(server):
    """Let the first worker that cannot start end the server: gunicorn stumbles over a second."""
    reap, ending = server.reap_workers, []

    def reap_workers():
        try:
            reap()
        except HaltServer:
            if not ending:
                ending.append(True)
                raise

    server.reap_workers = reap_workers


def post_fork(server, worker):
    """Choose how many requests this worker will answer."""
    worker.replaced_at = replace_after + random.randint(0, replace_after // 10)


def post_request(worker, req, environ, resp):
    """Have a worker that has answered its share replaced: another is started before it ends."""
    if replace_after and worker.nr >= worker.replaced_at:
        with _once:
            if worker.nr < worker.replaced_at:
                return
            # The oldest is ended, which may be another one: then this one asks again.
            worker.replaced_at = worker.nr + replace_after
        worker.log.info("Worker %s has answered %s requests", worker.pid, worker.nr)
        folder = Path(os.environ["MODELS_RELOAD_FILE"]).parent
        (folder / f"{_REPLACE}{uuid.uuid4().hex}").touch()
        os.kill(worker.ppid, signal.SIGTTIN)  # one worker more


def post_worker_init(worker):
    """Where a worker waits to be replaced, and this new one is ready, let the oldest end."""
    for note in Path(os.environ["MODELS_RELOAD_FILE"]).parent.glob(f"{_REPLACE}*"):
        try:
            note.unlink()
        except FileNotFoundError:  # Another one was quicker.
            continue
        os.kill(worker.ppid, signal.SIGTTOU)  # one worker less
        return


# What workers count, they count together: each in files here, which whichever of them is asked for
# /metrics adds up.
_METRICS = "PROMETHEUS_MULTIPROC_DIR"


def on_starting(server):
    """Make room for what processes tell each other; what an earlier server counted is not added."""
    server.own_folder = tempfile.mkdtemp(prefix="tenclasses-", dir=worker_tmp_dir)
    os.environ["MODELS_RELOAD_FILE"] = str(Path(server.own_folder) / _RELOAD)
    server.handle_hup = lambda: _take_up_models(server)
    _end_once(server)
    if _METRICS not in os.environ:
        os.environ[_METRICS] = tempfile.mkdtemp(prefix="tenclasses-metrics-", dir=worker_tmp_dir)
        server.metrics_folder = os.environ[_METRICS]


def when_ready(server):
    """Import once what all workers need; requests that come meanwhile wait for the first worker."""
    begun = time.perf_counter()
    try:
        from webapp.before_fork import import_for_workers

        import_for_workers()
    except Exception:  # The workers meet the same fault, and end the server with it.
        server.log.warning("What workers share could not be imported: each imports it itself")
    else:
        server.log.info("Imported in %.1f s", time.perf_counter() - begun)


def child_exit(server, worker):
    """Forget the gauges of a worker that has ended; its counters stay."""
    from prometheus_client import multiprocess

    multiprocess.mark_process_dead(worker.pid)


def on_exit(server):
    """Leave nothing behind."""
    for folder in (getattr(server, "metrics_folder", None), getattr(server, "own_folder", None)):
        if folder:
            shutil.rmtree(folder, ignore_errors=True)
