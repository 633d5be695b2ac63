"""A process that holds a lease, for tests: `python lease_holder.py URL TERM`.

Prints `held EPOCH` once it holds the lease; answers every line on its standard input with `ok` or
`lost: …` from `Lease.check`; releases and ends when the input ends.
"""

import sys

from operators.errors import LeaseLost
from store.lease import Lease
from store.objects import open_store


def main(url: str, term: float) -> None:
    with Lease.acquire(open_store(url), term=term, job="held by a test") as lease:
        print(f"held {lease.epoch}", flush=True)
        for _ in sys.stdin:
            try:
                lease.check()
                print("ok", flush=True)
            except LeaseLost as problem:
                print(f"lost: {problem}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
