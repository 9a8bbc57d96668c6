"""Where the value after a name begins and ends, by the format of the text.

What is searched for further on is found once for all searches, so that the time is
proportional to the length of the text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from .patterns import regex
from .values import HIDDEN, NEVER, needed

_FAR = 100_000  # characters of one value in brackets
_LOOKED_AT = 600  # of one without quotes, to see whether it is a secret


@dataclass(frozen=True)
class Span:
    """What may be hidden: from ``begin`` to ``end``, with ``instead`` in its place.

    ``kind`` is ``"quoted" "bare" "items"``, a YAML ``"block"`` or what is ``"nested"``
    below a name; ``said`` is the line's rest.
    """

    begin: int
    end: int
    value: str
    instead: str = HIDDEN
    kind: str = "quoted"
    colon: bool = False
    said: str = ""
    prose: bool = False  # of a sentence


_MARK = regex(
    r"(?P<kind>[bBrRuUfF]{0,2})(?P<mark>\"{3}|'{3}|`{3}|\\{0,8}['\"`]|&quot;|&\#3[49];"
    r"|&apos;|\\{1,8}u002[27]|%22)"
)
_BLOCK = regex(r"[|>][+-]?\d?[+-]?[ \t]*(?:#[^\n]*)?\r?\n")
_TAGGED = regex(r"(?:[!&][\w!/.:-]{0,40}[ \t]{1,4}){1,3}")
_ODBC = regex(r"\{(?![\s'\"{])(?:[^{}\n]|\}\}|\{)*\}(?=\s*(?:;|$|['\"]))")
_BARE = regex(r"[^\s'\"`<>]+(?:['\"`][^\s'\"`<>;,)\]}&]+)*")
_AND = regex(r"\s{0,4},\s{0,20}")
_ITEM = regex(r"[^\s,;'\"(){}\[\]<>]+")
_AFTER_ITEM = regex(r",?\s{0,4}([)\]}])?")
_IN_TAG = regex(r"[^\s,;'\"<>{}\]]+")
_ARGUMENT = regex(r"[^\s'\"<>-][^\s'\"<>]*")
_UNBROKEN = regex(r"[^\s'\"`<>]*")
_CALLED = regex(r"[A-Za-z_][\w.]*[(\[]")
_NEXT = regex(
    r"[;,]?[ \t]+['\"]?[\w.$-]{1,60}['\"]?[ \t]{0,4}[:=][ \t]{0,4}[^\s=]"
    r"|[ \t]+(?:\#|//|--)"
)
# A line's end, also where it is escaped.
_HEADER_END = regex(r"\r?\n|(?:\\{1,4}r)?\\{1,4}n|\\{1,4}r")
_LINE_START = regex(
    r"[ \t]*(?:[#;/*>|+-]{1,3}[ \t]{0,4}|\\[nr]|(?:export|set|SET|setenv|ENV|ARG|env|-e"
    r"|--env|let|var|const|local|declare|readonly|static|final|private|public|string"
    r"|String)[ \t]+)*"
    r"(?:[\w.-]+[ \t]*:[ \t]*)?['\"]?\Z"
)
_BRACKETS = {"[": "]", "(": ")", "{": "}"}
_STEP = regex(r"\\.|['\"]|[\[({]|[\])}]", re.DOTALL)


class Reader:
    """Reads values out of one text."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.known: dict[str, tuple[int, int]] = {}

    def find(self, what: str, position: int) -> int:
        """As ``text.find``, at no cost where it was looked for from before."""
        since, found = self.known.get(what, (0, -2))
        if found == -2 or position < since or (-1 < found < position):
            found = self.text.find(what, position)
            self.known[what] = (position, found)
        return found

    def line_end(self, position: int) -> int:
        end = self.find("\n", position)
        end = len(self.text) if end < 0 else end
        return end - 1 if self.text[end - 1 : end] == "\r" and end > position else end

    # --- what follows a sign ---------------------------------------------------

    def assigned(self, start: int, sign: re.Match[str], bare: bool) -> Span | None:
        """The value of ``name = value``, ``"name": value`` and their like."""
        text, position = self.text, sign.end()
        colon = sign["sign"] == ":" and not sign["typed"]
        prose = colon and not sign["close"]
        if colon and (tag := _TAGGED.match(text, position)):
            position = tag.end()
        if bare and colon and (block := _BLOCK.match(text, position)):
            return self.block(start, position, block.end())
        if sign["close"] or not bare:
            while text[position : position + 1].isspace():
                position += 1
        if mark := _MARK.match(text, position):
            return self.quoted(mark, prose)
        opens = text[position : position + 1] in _BRACKETS
        if not bare:
            return self.bracketed(position) if opens else None
        line = self.line_end(position)
        if colon and position >= line and not sign["close"]:
            return self.nested(start, line)
        if odbc := _ODBC.match(text, position, line):
            return Span(position, odbc.end(), odbc[0])
        if opens and text[position : position + 2] != "{{":
            return self.bracketed(position)
        return self.bare(start, position, line, prose)

    def quoted(self, mark: re.Match[str], colon: bool = False) -> Span | None:
        """A value between quotes, also where these are escaped."""
        begin, sign = mark.start(), mark["mark"]
        end, closed = self._closing(sign, mark.end())
        value = self.text[mark.end() : end]
        if not closed and not any(map(str.isalnum, value)):
            return None
        after = end + len(sign) if closed else end
        # What is written in pieces: ``"a" "b"``
        hidden = f"{sign}{HIDDEN}{sign}"
        return Span(begin, after, value, hidden, colon=colon)

    def _closing(self, mark: str, position: int) -> tuple[int, bool]:
        """Where a quote is closed; where it is not, the line's end."""
        text, at = self.text, position
        while (at := self.find(mark, at)) >= 0:
            slashes, step = 0, at
            while step > position and text[step - 1] == "\\":
                slashes, step = slashes + 1, step - 1
            if not slashes or (len(mark) == 1 and slashes % 2 == 0):
                break
            at += len(mark)
        line = self.line_end(position)
        if at < 0:
            return line, False
        if at > line and len(mark) == 1 and at - position > 4_000:
            return line, False
        return at, True

    def bracketed(self, position: int) -> Span:
        """A list, tuple or mapping to its closing bracket, or as far as it goes."""
        text = self.text
        stop = min(len(text), position + _FAR)
        waiting: list[str] = []
        at = position
        while step := _STEP.search(text, at, stop):
            at, sign = step.end(), step[0]
            if sign in "'\"":
                closing = regex(rf"(?:[^\\{sign}]|\\.)*{sign}", re.DOTALL)
                end = closing.match(text, at, stop)
                at = end.end() if end else at
            elif sign in _BRACKETS:
                waiting.append(_BRACKETS[sign])
            elif waiting and sign == waiting[-1]:
                waiting.pop()
                if not waiting:
                    break
        else:
            at = stop
        return Span(position, at, text[position:at], kind="items")

    def bare(self, start: int, position: int, line: int, prose: bool) -> Span | None:
        """A value without quotes: a word, or the rest of a line that it begins."""
        text = self.text
        rest = text[position : min(line, position + 400)]
        if _CALLED.match(rest):
            return None
        line = min(line, position + _LOOKED_AT)
        first = _BARE.match(text, position, line)
        if not first:
            return None
        end = first.end()
        begin = max(self.text.rfind("\n", max(0, start - 60), start) + 1, start - 60, 0)
        alone = begin == 0 or text[begin - 1] == "\n"
        mark = text[start - 1 : start]
        if mark and mark in "'\"`":  # it has a text in quotes for itself
            closing = text.find(mark, position, line)
            line = closing if closing >= 0 else line
            end = self._rest_of_line(position, line)
        elif alone and _LINE_START.fullmatch(text, begin, start):
            end = self._rest_of_line(position, line)
        else:
            end = position + self._trimmed(text[position:end])
        return Span(
            position, end, text[position:end], kind="bare", colon=prose, said=rest
        )

    def whole(self, span: Span) -> Span:
        """A value to its end, if only its beginning was looked at."""
        if span.kind != "bare" or span.end - span.begin < _LOOKED_AT - 1:
            return span
        end = _UNBROKEN.match(self.text, span.end)
        return replace(span, end=end.end() if end else span.end)

    def _rest_of_line(self, position: int, line: int) -> int:
        """The end of a value that has its line for itself: it may have spaces."""
        text = self.text
        following = _NEXT.search(text, position, min(line, position + 2_000))
        end = following.start() if following else line
        for mark in "'\"":
            at = text.find(mark, position, end)
            if at >= 0 and (at + 1 >= end or text[at + 1] in " ,;)]}\\"):
                end = at
        return position + self._trimmed(text[position:end].rstrip())

    def _trimmed(self, value: str) -> int:
        """The length of a value without what ends the text around it."""
        end = len(value)
        for pattern in (
            r";",
            r"&(?:amp;)?[\w.-]{1,40}=",
            r",(?=\s|['\"]|[\w.-]{1,40}[=:]|$)",
        ):
            found = re.search(pattern, value[:end])
            end = found.start() if found else end
        while end:
            last = value[end - 1]
            opening = {")": "(", "]": "[", "}": "{"}.get(last)
            if opening is None:
                if last not in ",:" and not (last == "." and end == len(value)):
                    break
            elif value.count(last, 0, end) <= value.count(opening, 0, end):
                break
            end -= 1
        return end

    def block(self, start: int, position: int, body: int) -> Span | None:
        """A YAML block: lines that are further in than the name's."""
        end, indent = self._deeper(start, body)
        value = self.text[body:end]
        if not value.strip() or end <= body:
            return None
        hidden = f"{self.text[position:body]}{indent}{HIDDEN}"
        return Span(position, end, value, hidden, kind="block")

    def nested(self, start: int, line: int) -> Span | None:
        """What stands below a name without a value: a YAML list or mapping."""
        body = line + (2 if self.text[line : line + 1] == "\r" else 1)
        end, indent = self._deeper(start, body, lists=True)
        value = self.text[body:end]
        if end <= body or not re.match(r"\s*(?:- |[\w.\"'-]+\s*:)|\s*\S+\s*$", value):
            return None
        return Span(body, end, value, f"{indent}{HIDDEN}", kind="nested")

    def _deeper(self, start: int, body: int, lists: bool = False) -> tuple[int, str]:
        """Where lines stop that are further in, and how far in the first one is."""
        text = self.text
        begin = text.rfind("\n", max(0, start - 400), start) + 1
        own = len(text[begin:start]) - len(text[begin:start].lstrip(" \t-"))
        at, indent, end = body, "", body
        while at < len(text) and at - body < _FAR:
            line = self.line_end(at)
            stripped = text[at:line].lstrip(" \t")
            depth = line - at - len(stripped)
            if (
                stripped
                and depth <= own
                and not (lists and stripped[:2] == "- " and depth == own)
            ):
                break
            if stripped:
                indent = indent or text[at : at + depth]
                end = line
            at = self.find("\n", line) + 1
            if not at:
                break
        return end, indent

    # --- what stands elsewhere ---------------------------------------------------

    def header(self, start: int, position: int) -> Span | None:
        """A header of HTTP, to the end of its line or of the text it is in."""
        text = self.text
        while text[position : position + 1] in (" ", "\t"):
            position += 1
        line = self.line_end(position)
        end = _HEADER_END.search(text, position, line)
        stop = end.start() if end else line
        begin = max(text.rfind("\n", max(0, start - 200), start) + 1, start - 200, 0)
        for mark in "'\"":
            if text.count(mark, begin, start) % 2:
                closing = text.find(mark, position, stop)
                stop = closing if closing >= 0 else stop
        value = text[position:stop].rstrip().rstrip("\\")
        return Span(position, position + len(value), value, kind="quoted")

    def tagged(self, position: int, name: str) -> Span | None:
        """The text of an XML element, with the elements in it."""
        end = self.find("</", position)
        while 0 <= end < position + _FAR and name:
            if self.text.startswith(name, end + 2) or self.text.startswith(
                f":{name}", self.text.find(":", end, end + 42)
            ):
                break
            end = self.find("</", end + 2)
        value = self.text[position : end if end >= 0 else self.line_end(position)]
        if not value.strip() or len(value) > _FAR:
            return None
        inner = value.strip().removeprefix("<![CDATA[").removesuffix("]]>")
        return Span(position, position + len(value), inner)

    def paired(self, start: int, position: int) -> Span | None:
        """The second of ``("name", "value")``, also at the end of more."""
        text = self.text
        before = (
            text[max(0, start - 4) : start].lower().rstrip("'\"`\\").rstrip("brufx")
        )
        span = self._quoted_or(_ITEM, position)
        if span is None:
            return None
        after = _AFTER_ITEM.match(text, span.end)
        closing = after[1] if after else None
        opened = before[-1:] in tuple("([{")
        flag = start > 0 and text[start] == "-"
        if flag or closing == ")" or (opened and closing):
            return span if span.kind == "quoted" or closing else None
        return None

    def _quoted_or(self, bare: re.Pattern[str], position: int) -> Span | None:
        """A value in quotes, or what matches without them."""
        if mark := _MARK.match(self.text, position):
            return self.quoted(mark)
        found = bare.match(self.text, position)
        return Span(*found.span(), found[0], kind="bare") if found else None

    def attribute(self, position: int, bare: bool) -> Span | None:
        """The value in ``name="password" value="…"``."""
        span = self._quoted_or(_IN_TAG, position)
        return span if bare or (span and span.kind == "quoted") else None

    def form(self, position: int) -> Span | None:
        """A field of a multipart form."""
        end = regex(r"(?:\r?\n|(?:\\r)?\\n)--|$").search(self.text, position)
        stop = end.start() if end else len(self.text)
        return Span(position, stop, self.text[position:stop].strip())

    def called(self, position: int) -> Span | None:
        """A text that a call has for an argument: ``setPassword("x")``.

        Of two, the second, as the first one is the user.
        """
        mark = _MARK.match(self.text, position)
        first = self.quoted(mark) if mark else None
        if first is None:
            return None
        comma = _AND.match(self.text, first.end)
        mark = _MARK.match(self.text, comma.end()) if comma else None
        return (self.quoted(mark) if mark else None) or first

    def flagged(self, position: int) -> Span | None:
        """The value of ``--name value``."""
        span = self._quoted_or(_ARGUMENT, position)
        if span is None or span.kind == "quoted":
            return span
        end = position + self._trimmed(span.value)
        return Span(position, end, self.text[position:end], kind="bare")

    def stated(self, position: int) -> Span | None:
        """What is said in a sentence: ``the password is x``, ``PASSWORD 'x'``."""
        if mark := _MARK.match(self.text, position):
            span = self.quoted(mark)
            if span is None or len(span.value) >= 200:
                return None
            return replace(span, prose=True)
        found = _BARE.match(self.text, position, position + 400)
        if not found:
            return None
        end = position + self._trimmed(found[0].rstrip(".,:;!?)"))
        value = self.text[position:end]
        if needed(value) == NEVER:
            return None
        return Span(position, end, value, kind="bare", prose=True)
