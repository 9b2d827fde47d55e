"""Network namespaces that always go away again.

A `Stage` owns a set of namespaces, the processes started in them and a scratch directory. Everything it made is taken
down by one process, the *keeper*: a shell that waits for the end of its standard input, which only this process holds.
The end comes when the stage is closed, and just as well when this process exits, is interrupted or is killed with
SIGKILL, because the kernel closes the pipe in every case. So there is one way down, and a crash takes it too. Should
the keeper itself be killed, the next stage sweeps: names carry the pid of their owner, and those of dead owners are
removed.

Every command carries the stage's name in its environment: nsenter that has opened a namespace and not entered it yet is
in none of the kernel's lists, and is found by that mark alone.

As root the namespaces are ordinary ones (`ip netns`). Otherwise the keeper is started in a user namespace of its own
(`unshare --user --map-root-user --mount --net`) with a private /run, and every command enters it first; from there on
the two cases are alike. What was tried and who refused is in the text of `Refused`.

Rules: interface names are short and mean the same in every stage, since each lives in a namespace of its own; commands
are executed by nsenter, which does not fork, so a process' pid is that of the program itself.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

PREFIX = "pronghorn"
RUN = "/run/netns"
MARK = "PRONGHORN_STAGE"
_serial = itertools.count()

# Arguments: $1 the prefix of our namespaces' names, $2 our scratch directory. First who is inside or bears the mark (a
# server may have overwritten its environment), then the names, so that nobody enters any more, then who had opened one.
_TAKE_DOWN = f"""
kill_all() {{
    for again in 1 2 3 4 5; do
        pids=$(grep -slz "^{MARK}=$1\\$" /proc/[0-9]*/environ | cut -d/ -f3
            for path in {RUN}/"$1"-*; do [ -e "$path" ] && ip netns pids "${{path##*/}}" 2>/dev/null; done)
        [ -n "$pids" ] || break
        kill -9 $pids 2>/dev/null
    done
}}
kill_all "$1"
for path in {RUN}/"$1"-*; do
    [ -e "$path" ] && ip netns del "${{path##*/}}" 2>/dev/null
done
kill_all "$1"
rm -rf "$2"
"""
_KEEPER = f"echo ready; cat >/dev/null; {_TAKE_DOWN}"
_PRIVATE_RUN = f"mount -t tmpfs tmpfs /run && mkdir -p {RUN} && "


class Refused(RuntimeError):
    """This machine gives no network namespaces; the text says what was tried and what each answered."""


@dataclass
class Namespace:
    """One namespace of a stage: `run` waits for a command, `start` leaves it running until the stage ends."""

    stage: Stage
    name: str

    @property
    def path(self) -> str:
        return f"{RUN}/{self.name}"

    def command(self, *argv: str | Path) -> list[str]:
        """The command line that runs `argv` inside."""
        return [*self.stage.enter, "nsenter", f"--net={self.path}", "--", *map(str, argv)]

    def run(
        self,
        *argv: str | Path,
        check: bool = True,
        timeout: float = 30,
        text: str | None = None,
        environment: dict[str, str] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run to the end. With `check`, a failure raises with what the command said."""
        done = subprocess.run(
            self.command(*argv),
            input=text,
            capture_output=True,
            text=True,
            timeout=timeout,
            env=self.stage.marked(environment),
            check=False,
        )
        if check and done.returncode:
            raise RuntimeError(
                f"{' '.join(map(str, argv))}: exit {done.returncode} in {self.name}\n"
                f"{done.stdout}{done.stderr}".rstrip()
            )
        return done

    def start(
        self,
        *argv: str | Path,
        log: str | None = None,
        preexec: Callable[[], None] | None = None,
        environment: dict[str, str] | None = None,
    ) -> subprocess.Popen[bytes]:
        """Start a program that is stopped with the stage. Its output goes to `log` in the scratch directory."""
        out: int | IO[bytes] = subprocess.DEVNULL
        with contextlib.ExitStack() as files:
            if log is not None:
                out = files.enter_context(open(self.stage.scratch / log, "wb"))
            process = subprocess.Popen(
                self.command(*argv),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=self.stage.marked(environment),
                preexec_fn=preexec,
            )
        self.stage.processes.append(process)
        return process

    def ip(self, *lines: str) -> None:
        """Run lines of iproute2 commands in one go."""
        self.run("ip", "-batch", "-", text="\n".join(lines) + "\n")

    def sysctl(self, **settings: object) -> None:
        """Write settings below /proc/sys/net; a dot in a path is written as two underscores."""
        script = "".join(f"echo {value} > /proc/sys/net/{key.replace('__', '/')}\n" for key, value in settings.items())
        self.run("sh", "-ec", script)


@dataclass
class Stage:
    """Where namespaces are made and from where all of them are taken down."""

    prefix: str
    scratch: Path
    enter: list[str]
    keeper: subprocess.Popen[bytes]
    unprivileged: bool
    namespaces: list[Namespace] = field(default_factory=list)
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def marked(self, environment: Mapping[str, str] | None = None) -> dict[str, str]:
        """The environment, or that of this process, with the stage's mark."""
        return {**(os.environ if environment is None else environment), MARK: self.prefix}

    def namespace(self, role: str) -> Namespace:
        """Make a namespace: loopback up, IPv6 addresses usable at once (no duplicate detection, RFC 4862 5.4)."""
        one = Namespace(self, f"{self.prefix}-{role}")
        _call([*self.enter, "ip", "netns", "add", one.name])
        self.namespaces.append(one)
        one.ip("link set lo up")
        if Path("/proc/sys/net/ipv6").exists():
            one.sysctl(
                ipv6__conf__default__accept_dad=0,
                ipv6__conf__default__dad_transmits=0,
                ipv6__conf__default__router_solicitations=0,
            )
        return one

    def join(self, one: Namespace, name: str, other: Namespace, other_name: str) -> None:
        """Join two namespaces by a veth pair, both ends up."""
        one.ip(f"link add name {name} type veth peer name {other_name} netns {other.name}", f"link set {name} up")
        other.ip(f"link set {other_name} up")

    def stop(self, process: subprocess.Popen[bytes], how: signal.Signals = signal.SIGTERM, patience: float = 5) -> int:
        """Stop one program; SIGKILL when it does not listen. Returns its exit status."""
        if process.poll() is None:
            process.send_signal(how)
        try:
            return process.wait(patience)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()

    def close(self) -> None:
        """Take everything down; returns when it is gone."""
        assert self.keeper.stdin is not None
        assert self.keeper.stdout is not None
        self.keeper.stdin.close()
        self.keeper.wait(30)
        self.keeper.stdout.close()
        for process in self.processes:
            process.wait(10)


@contextlib.contextmanager
def stage() -> Iterator[Stage]:
    """A stage for as long as the block lasts. Raises Refused where namespaces cannot be had."""
    sweep()
    prefix = f"{PREFIX}-{os.getpid()}-{next(_serial)}"
    scratch = Path(tempfile.mkdtemp(prefix=f"{prefix}-"))
    scratch.chmod(0o755)
    refusals: list[str] = []
    for unprivileged in (False, True):
        reply = _open(prefix, scratch, unprivileged)
        if isinstance(reply, str):
            refusals.append(reply)
            continue
        # SIGTERM would end Python without unwinding, which is fine here: the keeper sees the pipe close.
        try:
            yield reply
        finally:
            reply.close()
        return
    shutil.rmtree(scratch, ignore_errors=True)
    raise Refused("no network namespaces: " + "; ".join(refusals))


def available() -> str | None:
    """None where stages can be had, otherwise the reason why not."""
    try:
        with stage() as one:
            one.namespace("try")
    except (Refused, RuntimeError, OSError) as why:
        return str(why)
    return None


def sweep() -> list[str]:
    """Take down what dead owners left when their keeper died with them. Returns the prefixes removed."""
    stale = set()
    for folder in (Path(RUN), Path(tempfile.gettempdir())):
        for path in folder.glob(f"{PREFIX}-*-*-*") if folder.is_dir() else ():
            words = path.name.split("-")
            if words[1].isdigit() and words[2].isdigit() and not Path(f"/proc/{words[1]}").exists():
                stale.add("-".join(words[:3]))
    for prefix in sorted(stale):
        _call(["sh", "-c", _TAKE_DOWN, "sh", prefix, ""], check=False)
        for left in Path(tempfile.gettempdir()).glob(f"{prefix}-*"):
            shutil.rmtree(left, ignore_errors=True)
    return sorted(stale)


def _open(prefix: str, scratch: Path, unprivileged: bool) -> Stage | str:
    """Start a keeper and make a first namespace to see whether it may. A Stage, or the reason of the refusal."""
    missing = [tool for tool in ("ip", "nsenter", "unshare") if shutil.which(tool) is None]
    if missing:
        return f"{', '.join(missing)} not installed (packages iproute2 and util-linux)"
    if not unprivileged and os.geteuid() != 0:
        return f"plain namespaces: not root (uid {os.geteuid()})"
    how = ["unshare", "--user", "--map-root-user", "--mount", "--net"] if unprivileged else []
    script = (_PRIVATE_RUN if unprivileged else "") + _KEEPER
    keeper = subprocess.Popen(
        [*how, "sh", "-c", script, "sh", prefix, str(scratch)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    assert keeper.stdin is not None
    assert keeper.stdout is not None
    said = keeper.stdout.readline()
    kind = "unprivileged user namespaces" if unprivileged else "plain namespaces"
    reason = ""
    if said == b"ready\n":
        enter = ["nsenter", f"--target={keeper.pid}", "--user", "--preserve-credentials", "--mount", "--net", "--"]
        result = Stage(prefix, scratch, enter if unprivileged else [], keeper, unprivileged)
        try:
            _call([*result.enter, "ip", "netns", "add", f"{prefix}-probe"])
            _call([*result.enter, "ip", "netns", "del", f"{prefix}-probe"])
            return result
        except RuntimeError as why:
            reason = str(why)
    with keeper:
        keeper.stdin.close()
        reason = reason or (said + keeper.stdout.read()).decode(errors="replace").strip()
    scratch.mkdir(exist_ok=True)
    return f"{kind}: {reason}"


def _call(argv: Sequence[str], check: bool = True) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=30)
    if check and done.returncode:
        raise RuntimeError(f"{' '.join(argv)}: {(done.stdout + done.stderr).strip()}")
