"""A writer of HTML that escapes what it is given, and the frame of the page.

The page works without its script, which only spares a reader that the page jumps, and
that a selection is lost, as it is loaded again.
"""

from __future__ import annotations

import base64
import hashlib
from html import escape

EVERY = 5  # seconds until the page is loaded again


class Html(str):
    """A text that is HTML already."""


def tag(name: str, /, *inside: str, **attributes: str) -> Html:
    """An element; what is inside, and its attributes, is escaped.

    >>> tag("b", "1 < 2", tag("br"), title='"')
    '<b title="&quot;">1 &lt; 2<br></b>'
    """
    given = "".join(
        f' {each.rstrip("_").replace("_", "-")}="{escape(value)}"'
        for each, value in attributes.items()
    )
    if name in ("br", "meta"):
        return Html(f"<{name}{given}>")
    return Html(f"<{name}{given}>{joined(*inside)}</{name}>")


def joined(*parts: str) -> Html:
    """Parts of a page, one after the other; plain texts are escaped."""
    return Html(
        "".join(part if isinstance(part, Html) else escape(part) for part in parts)
    )


_STYLE = """
:root { color-scheme: light dark; --line: #8883; --shade: #8882; --dim: #59616a;
  --red: #b3241f; --green: #1c6b30; --yellow: #7a5000; --blue: #1d5a9e; }
@media (prefers-color-scheme: dark) { :root { --dim: #9aa4af; --red: #ff7b72;
  --green: #56d364; --yellow: #e3b341; --blue: #79b8ff; } }
body { font: 14px/1.5 system-ui, sans-serif; margin: 24px auto; padding: 0 20px;
  max-width: 1000px; background: #fff; color: #1c1f23; overflow-wrap: anywhere; }
@media (prefers-color-scheme: dark) { body { background: #14171a; color: #d8dde3; } }
h1 { font-size: 22px; margin: 0; }
h2 { font-size: 17px; margin: 28px 0 8px; border-bottom: 2px solid var(--line); }
p { margin: 0 0 8px; }
a { color: var(--blue); }
.dim { color: var(--dim); }
.red { color: var(--red); }
.green { color: var(--green); }
.yellow { color: var(--yellow); }
.item { margin: 0 0 12px; padding: 8px 12px; border-left: 3px solid var(--line);
  background: var(--shade); }
.item > p { margin: 0; }
code { display: block; margin-top: 4px; font: 13px/1.5 ui-monospace, monospace;
  color: var(--blue); white-space: pre-wrap; user-select: all; }
#trouble:empty { display: none; }
"""
# A page in the background asks for nothing.
_SCRIPT = f"""
const wait = {EVERY * 1000};
async function again() {{
  if (document.hidden || !getSelection().isCollapsed) return;
  let trouble = "";
  try {{
    const answer = await fetch(location.href, {{ signal: AbortSignal.timeout(30000) }});
    if (answer.ok) {{
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      document.querySelector("main").replaceWith(page.querySelector("main"));
    }} else {{
      trouble = answer.status == 404 ? "The recorder is off: this page has gone."
        : "The scheduler could not make this page: its log says why.";
    }}
  }} catch (error) {{
    trouble = "The scheduler does not answer. What is shown is no longer up to date.";
  }}
  document.getElementById("trouble").textContent = trouble;
}}
async function follow() {{
  await again();
  setTimeout(follow, wait);
}}
setTimeout(follow, wait);
document.addEventListener("visibilitychange", again);
"""


def _digest(text: str) -> str:
    """A text by its digest, as a policy allows it."""
    found = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(found).decode()}'"


HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Content-Security-Policy": f"default-src 'none'; style-src {_digest(_STYLE)}; "
    f"script-src {_digest(_SCRIPT)}; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


def page(title: str, *main: str) -> Html:
    """A whole page, which is loaded again every few seconds."""
    refresh = tag("meta", http_equiv="refresh", content=str(EVERY))
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("noscript", refresh),
        tag("title", title),
        tag("style", Html(_STYLE)),
    )
    trouble = tag("p", id="trouble", class_="red")
    body = tag("body", trouble, tag("main", *main), tag("script", Html(_SCRIPT)))
    return joined(Html("<!DOCTYPE html>"), tag("html", head, body, lang="en"))
