#!/usr/bin/env python3
"""transcript-to-svg.py TITLE <TRANSCRIPT >PICTURE: draws what a terminal showed, for the documentation."""
import html
import sys

WIDTH, LINE, SIZE, PAD, BAR = 100, 19, 14, 18, 34


def colour(line):
    if line.startswith("$ "):
        return "#9ece6a"
    if line.startswith("-----") or line.split(":")[0] in ("URL", "Username", "Password", "Check"):
        return "#e0af68"
    return "#7aa2f7" if line.startswith("[") else "#c0caf5"


lines = [line[i : i + WIDTH] for line in sys.stdin.read().expandtabs().splitlines() for i in range(0, max(len(line), 1), WIDTH)]
width, height = WIDTH * 8.45 + 2 * PAD, BAR + len(lines) * LINE + PAD
print(f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height}" viewBox="0 0 {width:.0f} {height}">')
print(f'<rect width="100%" height="100%" rx="10" fill="#1a1b26"/><text x="{PAD}" y="22" fill="#565f89"', end="")
print(f' font-family="sans-serif" font-size="13">{html.escape(sys.argv[1])}</text>')
print(f'<g font-family="ui-monospace, DejaVu Sans Mono, monospace" font-size="{SIZE}" xml:space="preserve">')
for number, line in enumerate(lines):
    print(f'<text x="{PAD}" y="{BAR + (number + 1) * LINE - 4}" fill="{colour(line)}">{html.escape(line)}</text>')
print("</g></svg>")
