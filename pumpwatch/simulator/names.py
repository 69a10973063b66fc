"""What people call their coins: mostly plain, sometimes meant to harm whoever shows the name."""

from __future__ import annotations

import random
from typing import Final

_PLAIN: Final = (
    "Doge Deluxe", "Moon Frog", "Grumpy Otter", "Solana Summer", "Pixel Pepe", "Based Banana", "Night Owl", "Tiny Whale",
    "Lucky Goat", "Lazy Llama", "Turbo Snail", "Quantum Duck", "Cosmic Corgi", "Sleepy Shark", "Honest Hamster", "Brave Toast",
)  # fmt: skip

#: Control and bidirectional characters, terminal and spreadsheet commands, markup, NUL, combining marks, endless text.
HOSTILE: Final = (
    "\x1b[2J\x1b[31mRED ALERT\x07",
    "safe\u202egnp.exe\u202c",
    "\u2066isolated\u2069 \u200bzero\u200dwidth\ufeff",
    "مرحبا بالعالم",
    "🚀🔥💎🙌 👨‍👩‍👧‍👦 🏳️‍🌈",
    "nul\x00byte",
    "=HYPERLINK(\"http://127.0.0.1/\",\"click\")",
    "+1+1", "-2+3", "@SUM(A1:A9)", "\t=1+1", "\r\nSet-Cookie: a=b",
    "<script>alert(1)</script>", "{{7*7}}${7*7}%s%n{0}", "'; DROP TABLE trades; --", "@everyone *bold* [x](y)",
    "(a+)+$", "../../../etc/passwd", "Z̷̢̛a̴l̵g̶o̸" * 3,
    "L" + "o" * 1_200 + "ng",
    "", " ", "\u2028line\u2029paragraph", "CON", "null", "０１２３",
)  # fmt: skip


def pick_name(rng: random.Random, *, hostile: bool) -> tuple[str, str]:
    """A name and a symbol."""
    if hostile:
        return rng.choice(HOSTILE), rng.choice(HOSTILE)[:64]
    name = f"{rng.choice(_PLAIN)} {rng.randrange(1000)}"
    return name, "".join(word[0] for word in name.split()).upper() + str(rng.randrange(100))
