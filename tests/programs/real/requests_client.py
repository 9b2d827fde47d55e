"""requests and urllib: a session that keeps its connection, downloads, and an error, from threads."""

import concurrent.futures
import contextlib
import hashlib
import sys
import urllib.error
import urllib.request

import requests  # type: ignore[import-untyped]


def fetch(url: str) -> str:
    with requests.Session() as session:
        session.trust_env = False
        digests = set()
        for _ in range(3):
            answer = session.get(f"{url}/content", timeout=10)
            answer.raise_for_status()
            digests.add(hashlib.sha256(answer.content).hexdigest())
        assert session.get(f"{url}/absent", timeout=10).status_code == 404
    (digest,) = digests
    return digest


def main(url: str) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"{url}/content", timeout=10) as answer:
        digest = hashlib.sha256(answer.read()).hexdigest()
    with contextlib.suppress(urllib.error.HTTPError):
        raise AssertionError(opener.open(f"{url}/absent", timeout=10).status)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert set(pool.map(fetch, [url] * 8)) == {digest}
    print(digest)


if __name__ == "__main__":
    main(sys.argv[1])
