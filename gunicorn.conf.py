"""How gunicorn serves the site: `gunicorn wsgi:app` reads this file by itself."""

import json
import logging
import os
import shutil
import tempfile
import time

bind = os.environ.get("BIND", f"127.0.0.1:{os.environ.get('PORT', '8000')}")

# Threads, because an answer mostly waits: for the upload, for the decoder and for TensorFlow,
# which all let other threads run meanwhile.  A sync worker would hold everybody up for one slow
# phone.  The class is gunicorn's gthread with limits of time.  Of the threads, as many as
# WORK_ADMITTED says have work to do, at most; the others answer pages.
worker_class = "webapp.operating.worker.Worker"
threads = 16

# Each worker loads its own copy of every model: 1.1 GB resident with the six that ship, 0.66 of it
# the worker's own and the rest library pages that all workers share.  TensorFlow uses all cores by
# itself: a second worker is there so that the site outlives one that dies.
workers = int(os.environ.get("WEB_CONCURRENCY", "2"))

# Never preload: a Keras model that was loaded before the fork hangs every request after it.
preload_app = False

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
        },
    }

# What workers count, they count together: each in files here, which whichever of them is asked for
# /metrics adds up.
_METRICS = "PROMETHEUS_MULTIPROC_DIR"


def on_starting(server):
    """Make room for what workers count; what an earlier server counted is not added."""
    if _METRICS not in os.environ:
        os.environ[_METRICS] = tempfile.mkdtemp(prefix="tenclasses-metrics-", dir=worker_tmp_dir)
        server.metrics_folder = os.environ[_METRICS]


def child_exit(server, worker):
    """Forget the gauges of a worker that has ended; its counters stay."""
    from prometheus_client import multiprocess

    multiprocess.mark_process_dead(worker.pid)


def on_exit(server):
    """Leave nothing behind."""
    if folder := getattr(server, "metrics_folder", None):
        shutil.rmtree(folder, ignore_errors=True)
