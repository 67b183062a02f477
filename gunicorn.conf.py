"""How gunicorn serves the site: `gunicorn wsgi:app` reads this file by itself."""

import os

bind = os.environ.get("BIND", f"127.0.0.1:{os.environ.get('PORT', '8000')}")

# Threads, because an answer mostly waits: for the upload, for the decoder and for TensorFlow,
# which all let other threads run meanwhile.  A sync worker would hold everybody up for one slow
# phone.
worker_class = "gthread"
threads = 8

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

# Without this the socket by which it is controlled lies in the user's home, and two sites of one
# user would share it.
control_socket_disable = True

accesslog = "-"
errorlog = "-"
