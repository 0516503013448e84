"""The lines of the table."""
from benches.stage import say

ROWS = []


def row(what, peer, fleet, ratio, budget, met):
    """One line of the table; `met` None: nothing to meet."""
    ROWS.append((what, peer, fleet, ratio, budget, "" if met is None else "yes" if met else "**no**"))
    say(f"{what}: peer {peer}, fleet {fleet}; budget {budget}: {ROWS[-1][5] or '-'}")


def ms(seconds):
    return f"{seconds * 1e3:.2f} ms"


def mb(size):
    return f"{size / 1e6:.1f} MB"
