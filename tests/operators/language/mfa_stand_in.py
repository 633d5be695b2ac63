"""A small program that reads and writes what the Montreal Forced Aligner does; MFA itself comes by conda alone."""

from __future__ import annotations

import stat
import sys
from pathlib import Path

PROGRAM = """#!{python}
import sys, time, wave
from pathlib import Path

HERE = Path({folder!r})
if sys.argv[1] == "version":
    print("3.2.1")
    sys.exit(0)
(HERE / "arguments.txt").write_text("\\n".join(sys.argv[1:]))
if (HERE / "fail").exists():
    sys.exit((HERE / "fail").read_text())
if (HERE / "sleep").exists():
    time.sleep(30)
corpus, output = Path(sys.argv[2]), Path(sys.argv[5])
for text in sorted(corpus.rglob("*.lab")):
    with wave.open(str(text.with_suffix(".wav"))) as sound:
        assert (sound.getframerate(), sound.getnchannels(), sound.getsampwidth()) == (16000, 1, 2)
        seconds = sound.getnframes() / sound.getframerate()
    words = text.read_text(encoding="utf-8").split()
    if "skipped" in words:
        continue
    # Words share the middle four fifths of the sound, letters share their word.
    step = 0.8 * seconds / len(words)
    tiers = [[(0.0, 0.1 * seconds, "")], [(0.0, 0.1 * seconds, "sil")]]
    for k, word in enumerate(words):
        start, end = 0.1 * seconds + k * step, 0.1 * seconds + (k + 1) * step
        tiers[0].append((start, end, word))
        part = (end - start) / len(word)
        for n, letter in enumerate(word):
            phone = letter.upper() + ("1" if letter in "aeiou" else "")
            tiers[1].append((start + n * part, start + (n + 1) * part, phone))
    for tier, mark in zip(tiers, ("", "sil")):
        tier.append((0.9 * seconds, seconds, mark))
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "xmin = 0 ", f"xmax = {{seconds}} ",
             "tiers? <exists> ", "size = 2 ", "item []: "]
    for number, (name, tier) in enumerate(zip(("words", "phones"), tiers), 1):
        lines += [f"    item [{{number}}]:", '        class = "IntervalTier" ', f'        name = "{{name}}" ',
                  "        xmin = 0 ", f"        xmax = {{seconds}} ", f"        intervals: size = {{len(tier)}} "]
        for k, (start, end, label) in enumerate(tier, 1):
            lines += [f"        intervals [{{k}}]:", f"            xmin = {{start}} ", f"            xmax = {{end}} ",
                      f'            text = "{{label}}" ']
    target = output / text.relative_to(corpus).with_suffix(".TextGrid")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text("\\n".join(lines) + "\\n", encoding="utf-8")
"""


def write_mfa(folder: Path) -> Path:
    """The program in `folder`. With a file `fail` there it ends with its text, with `sleep` it takes half a minute."""
    program = folder / "mfa"
    program.write_text(PROGRAM.format(python=sys.executable, folder=str(folder)), encoding="utf-8")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return program
