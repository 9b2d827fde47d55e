"""Where a key stands in a TOML file: a path such as ("services", 0, "scheduler") to its line.

The standard library reads TOML without positions, and so do the kept packages (tomlkit and rtoml were looked at). This
scanner reads only what it needs: names and nesting. It is given nothing but text that the standard library has accepted
already, so it has no errors of its own.
"""

import re
import tomllib

Path = tuple[str | int, ...]

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_KEY = re.compile(r"""[A-Za-z0-9_-]+|"(?:[^"\\\n]|\\.)*"|'[^'\n]*'""")
_DOT = re.compile(r"[ \t]*\.[ \t]*")
_EQUALS = re.compile(r"[ \t]*=[ \t]*")
_STRING = re.compile(
    r'''"""(?:[^\\]|\\.)*?"{3,5}|\'\'\'.*?'{3,5}|"(?:[^"\\\n]|\\.)*"|'[^'\n]*\'''',
    re.DOTALL,
)
_PLAIN = re.compile(r"[^,\]}#\n]+")


def places(text: str) -> dict[Path, int]:
    """Lines (from 1) of all tables, keys and array elements of a valid TOML text."""
    scanner = _Scanner(text.replace("\r\n", "\n"))
    scanner.document()
    return scanner.lines


def line_of(lines: dict[Path, int], path: Path) -> int | None:
    """The line of a path, or of the nearest thing around it that was written down."""
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path)


class _Scanner:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.lines: dict[Path, int] = {}
        self.counts: dict[Path, int] = {}  # arrays of tables: how many elements so far
        self._line, self._line_at = 1, 0

    def document(self) -> None:
        table: Path = ()
        while self._blank() < len(self.text):
            if self.text[self.at] == "[":
                table = self._header()
            else:
                self._pair(table)

    def _header(self) -> Path:
        """[table] or [[element of an array of tables]]."""
        line, many = self._number(), self.text.startswith("[[", self.at)
        self.at += 2 if many else 1
        keys = self._key()
        self._blank()
        self.at += 2 if many else 1
        table = self._inside((), keys[:-1]) + keys[-1:]
        if many:
            count = self.counts.get(table, 0)
            self.counts[table] = count + 1
            self.lines.setdefault(table, line)
            table += (count,)
        self.lines.setdefault(table, line)
        return table

    def _inside(self, table: Path, keys: Path) -> Path:
        """Follow keys from a table; an array of tables means its last element."""
        for key in keys:
            table += (key,)
            if table in self.counts:
                table += (self.counts[table] - 1,)
        return table

    def _pair(self, table: Path) -> None:
        line = self._number()
        keys = self._key()
        for n in range(1, len(keys) + 1):
            self.lines.setdefault(table + keys[:n], line)
        self._match(_EQUALS)
        self._value(table + keys)

    def _key(self) -> Path:
        self._blank()
        keys: list[str] = []
        while True:
            part = self._match(_KEY)
            keys.append(tomllib.loads(f"key = {part}")["key"] if part[0] in "\"'" else part)
            if not self._match(_DOT):
                return tuple(keys)

    def _value(self, path: Path) -> None:
        first = self.text[self.at]
        if first in "\"'":
            self._match(_STRING)
        elif first == "[":
            self._array(path)
        elif first == "{":
            self._inline_table(path)
        else:
            self._match(_PLAIN)

    def _array(self, path: Path) -> None:
        self.at += 1
        count = 0
        while self.text[self._blank()] != "]":
            self.lines[(*path, count)] = self._number()
            self._value((*path, count))
            count += 1
            if self.text[self._blank()] == ",":
                self.at += 1
        self.at += 1

    def _inline_table(self, path: Path) -> None:
        self.at += 1
        while self.text[self._blank()] != "}":
            self._pair(path)
            if self.text[self._blank()] == ",":
                self.at += 1
        self.at += 1

    def _blank(self) -> int:
        self._match(_BLANK)
        return self.at

    def _match(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self.text, self.at)
        if match is None:
            return ""
        self.at = match.end()
        return match[0]

    def _number(self) -> int:
        """The line that the scanner is on."""
        self._line += self.text.count("\n", self._line_at, self.at)
        self._line_at = self.at
        return self._line
