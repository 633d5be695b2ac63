"""moto's S3 server with one request at a time: `python atomic_moto.py PORT`.

moto checks `If-None-Match` and `If-Match` and writes afterwards, without a lock; real S3 decides
atomically. The lock stands for that.
"""

import io
import sys
import threading

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, run_simple


def main(port: int) -> None:
    application = DomainDispatcherApplication(create_backend_app)
    lock = threading.Lock()

    def one_at_a_time(environment, start_response):
        length = int(environment.get("CONTENT_LENGTH") or 0)
        body = environment["wsgi.input"].read(length)  # outside the lock: a slow client stops nobody
        with lock:
            return list(application({**environment, "wsgi.input": io.BytesIO(body)}, start_response))

    WSGIRequestHandler.protocol_version = "HTTP/1.1"
    run_simple("127.0.0.1", port, one_at_a_time, threaded=True)


if __name__ == "__main__":
    main(int(sys.argv[1]))
