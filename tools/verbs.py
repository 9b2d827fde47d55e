"""The verbs of ./do: what each needs, what it runs, and how it reports.

Runs under any Python >= 3.11 with the standard library alone; everything else happens in .venv. A verb returns the
exit status of ./do.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import environment
import native
import system
from progress import fail, note, warn

Arguments = Sequence[str]
PYTHON = str(environment.PYTHON)


@dataclass(frozen=True)
class Verb:
    """One word after ./do. Its docstring is its help."""

    run: Callable[[Arguments], int]
    usage: str
    programs: tuple[str, ...] = ()  # from the distribution; see system.PROGRAMS
    environment: bool = True  # needs .venv


def demo(arguments: Arguments) -> int:
    """Balance real curl requests to real HTTP servers, in network namespaces, and watch. Ends by itself."""
    return execute(*NATIVE) or execute("-m", "examples.demo", *arguments)


def test(arguments: Arguments) -> int:
    """Run all tests, compiled and interpreted; with ARGS, only pytest with these ARGS in both modes."""
    return report(tests(arguments), first=[LIBRARY] if arguments else [LIBRARY, AHEAD, *LINT])


def check(arguments: Arguments) -> int:
    """Everything that must hold before a change is handed in: format, lint, types, floors, tests. --all: and every real
    program on the stack, each way round, and compiled code with every access checked; some ten minutes more."""
    rest = [argument for argument in arguments if argument != "--all"]
    if len(rest) == len(arguments):
        return report([*CHECKS, *tests(rest)], first=[LIBRARY, AHEAD, *LINT])
    system.ensure(REAL)
    command = ["-m", "pytest", "-q", "-m", "real", "tests/programs/real"]
    more = [("real programs", command, {"PRONGHORN_MODE": "jit"}), *FUZZ]
    return report([*CHECKS, *tests(rest), *more], first=[LIBRARY, AHEAD, *LINT])


def bench(arguments: Arguments) -> int:
    """Measure against peers in the same run; NAME selects, --json prints objects, --list the names."""
    return execute(*NATIVE) or execute("-m", "bench", *arguments)


def build(arguments: Arguments) -> int:
    """Compile libpronghorn.so and put it into a wheel in dist/."""
    command = ["wheel", "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", "dist", *arguments, "."]
    environment.pip(environment.PYTHON, *command)
    for path in [native.LIBRARY, *sorted((native.ROOT / "dist").glob("*.whl"))]:
        print(f"{path.relative_to(native.ROOT)}  {path.stat().st_size // 1024} kB")
    return 0


def docs(arguments: Arguments) -> int:
    """Write docs/reference/ anew from the code."""
    return execute("tools/reference.py")


def lock(arguments: Arguments) -> int:
    """Resolve the dependencies of pyproject.toml anew and rewrite requirements.lock."""
    environment.lock()
    return 0


def help_(arguments: Arguments) -> int:
    """Print this."""
    print("usage: ./do VERB [ARGS]\n")
    for name, verb in VERBS.items():
        print(f"  {f'{name} {verb.usage}'.strip()}\n      {verb.run.__doc__}")
        if verb.programs:
            print(f"      Needs {', '.join(verb.programs)}.")
    print("\nEach verb sets up what it needs: a virtual environment in .venv with locked dependencies, the package in")
    print("place, and - as root - system packages. Without root it says what is missing and goes on where it can.")
    return 0


Step = tuple[str, list[str], dict[str, str]]  # title, arguments of the environment's Python, extra environment

NATIVE = ["tools/native.py"]  # compiles libpronghorn.so when it is stale
LIBRARY: Step = ("native library", NATIVE, {})
# On the core that the library's last half leaves idle.
AHEAD: Step = ("compiling ahead of the tests", ["-m", "tests.support.ahead"], {"PRONGHORN_MODE": "jit"})
LINT: list[Step] = [("ruff check", ["-m", "ruff", "check", "--quiet", "."], {})]
CHECKS: list[Step] = [
    ("ruff format", ["-m", "ruff", "format", "--check", "--quiet", "."], {}),
    ("mypy --strict", ["-m", "mypy"], {}),
]
CHECKED = {"PRONGHORN_MODE": "jit", "PRONGHORN_BOUNDS": "1"}
FUZZ: list[Step] = [
    ("fuzz, accesses checked", ["-m", "tests.fuzz", "--frames", "100000", "--seed", "7", "--round", "20000"], CHECKED),
]


def tests(arguments: Arguments) -> list[Step]:
    """The tests in both modes. One process more than there are cores: a fifth of the time is waiting for others."""
    processes = str(len(os.sched_getaffinity(0)) + 1)
    command = ["-m", "pytest", "-q", "-n", processes, "--dist", "worksteal", *arguments]
    return [(f"pytest, {mode}", command, {"PRONGHORN_MODE": mode}) for mode in ("jit", "interpreted")]


def report(steps: Sequence[Step], first: Sequence[Step] = ()) -> int:
    """Run those of `first` at the same time, then every step, also after one failed; in the end a line each."""
    results = []
    if first:
        note(", ".join(title for title, _, _ in first))
        results += together(first)
    for number, step in enumerate(steps, 1):
        note(f"[{number}/{len(steps)}] {step[0]}")
        results += together([step])
    for title, status, seconds in results:
        (fail if status else note)(f"{'failed' if status else 'passed':<8}{seconds:7.1f} s  {title}")
    return int(any(status for _, status, _ in results))


def together(steps: Sequence[Step]) -> list[tuple[str, int, float]]:
    """Run them at the same time: title, status and seconds of each.

    What Python compiles is kept, whatever the environment says: some thousand processes import the same modules.
    """
    begin = time.monotonic()
    running: dict[str, subprocess.Popen[bytes]] = {}
    for title, arguments, extra in steps:
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "", **extra}
        process = subprocess.Popen([PYTHON, *arguments], cwd=native.ROOT, env=environment)
        if running:
            os.setpriority(os.PRIO_PROCESS, process.pid, 10)  # what comes next waits for the first
        running[title] = process
    ended: dict[str, tuple[str, int, float]] = {}
    try:
        while len(ended) < len(running):
            for title, process in running.items():
                if title not in ended and (status := process.poll()) is not None:
                    ended[title] = (title, status, time.monotonic() - begin)
            time.sleep(0.02)
    finally:
        for process in running.values():
            process.terminate()  # interrupted; no effect on what has ended
            process.wait()
    return [ended[title] for title in running]


def execute(*arguments: str) -> int:
    return subprocess.call([PYTHON, *arguments], cwd=native.ROOT)


COMMON = ("gcc", "ip", "curl")
PROGRAMS = ("redis-server", "redis-benchmark", "iperf3", "nginx", "wrk")
TEST = (*COMMON, *PROGRAMS, "ping", "tshark", "ethtool")
REAL = ("memcached", "ab", "socat", "openssl", "haproxy", "dnsmasq", "dig", "node", "requests", "psql")
VERBS = {
    "demo": Verb(demo, "[ARGS]", COMMON),
    "test": Verb(test, "[ARGS]", TEST),
    "check": Verb(check, "[--all] [ARGS]", TEST),
    "bench": Verb(bench, "[NAME ...] [--json]", (*COMMON, *PROGRAMS, "ethtool", "nft", "dpdk-testpmd", "lwip")),
    "build": Verb(build, "", ("gcc",)),
    "docs": Verb(docs, ""),
    "lock": Verb(lock, "", environment=False),
    "help": Verb(help_, "", environment=False),
}


def main(arguments: Arguments) -> int:
    name, *rest = arguments or ["help"]
    verb = VERBS.get("help" if name in ("-h", "--help") else name)
    if verb is None:
        fail(f"no verb {name!r}; there are {', '.join(VERBS)}")
        return 2
    os.chdir(native.ROOT)
    # Started in the background by a shell, this would ignore SIGINT, and so would everything it starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        system.ensure(verb.programs)
        if verb.environment:
            environment.ensure()
        return verb.run(rest)
    except subprocess.CalledProcessError as error:
        fail(f"failed with status {error.returncode}: {' '.join(map(str, error.cmd))}")
    except (RuntimeError, OSError) as error:
        fail(str(error))
    except KeyboardInterrupt:
        warn("interrupted")
        return 130
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
