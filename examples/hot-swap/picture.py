"""Draws rows a second, and the delay that 99 of 100 rows do not exceed, by quarters of a second, with a bar where each swap was."""
import math

WIDTH, LEFT, STEP_MS = 1000, 70, 250
THROUGHPUT, DELAY, HEIGHT = 150, 350, 170  # where the two charts begin, and how high they are
COLOURS = {"stays": "#228833", "back": "#cc3311"}


def draw(path, rows, swaps):
    """rows: (when it became visible, its delay); swaps: (begin, end, name, what became of it); all times in milliseconds"""
    first, last = min(rows)[0] // STEP_MS, max(rows)[0] // STEP_MS
    delays = {slot: [] for slot in range(first, last + 1)}
    for visible, delay in rows:
        delays[visible // STEP_MS].append(delay)
    # The first and the last slot are not full.
    slots = [slot for slot in delays if first < slot < last]
    rates = [(slot, len(delays[slot]) * 1000 // STEP_MS) for slot in slots]
    p99s = [(slot, sorted(delays[slot])[math.ceil(len(delays[slot]) * 0.99) - 1]) for slot in slots if delays[slot]]
    x = lambda ms: LEFT + (ms - first * STEP_MS) * WIDTH / ((last + 1 - first) * STEP_MS)
    most = math.ceil(max(rate for _, rate in rates) / 1000) * 1000
    rate_y = lambda rate: THROUGHPUT + HEIGHT - rate * HEIGHT / most
    # Delays go from ten milliseconds to seconds: ten times as much is as far everywhere.
    slowest = max(3, math.ceil(math.log10(max(10, *(delay for _, delay in p99s)))))
    delay_y = lambda delay: DELAY + HEIGHT - math.log10(max(10, delay) / 10) * HEIGHT / (slowest - 1)

    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {LEFT + WIDTH + 20} {DELAY + HEIGHT + 40}" font-family="sans-serif" font-size="12" fill="#222222">']
    out.append('<rect width="100%" height="100%" fill="#ffffff"/>')
    out.append('<text x="16" y="24" font-size="16">hot-swap: what became visible when, around each swap</text>')
    for begin, end, name, fate in swaps:
        colour, at = COLOURS[fate], x(begin)
        out.append(f'<rect x="{at:.1f}" y="{THROUGHPUT - 10}" width="{max(2, x(end) - at):.1f}" height="{DELAY + HEIGHT + 10 - THROUGHPUT}" fill="{colour}" opacity="0.2"><title>{name}: {fate}, {end - begin} ms</title></rect>')
        out.append(f'<text transform="translate({at + 8:.1f} {THROUGHPUT - 16}) rotate(-50)" fill="{colour}">{name}{", taken back" if fate == "back" else ""}</text>')

    def line(y, label):
        out.append(f'<path d="M{LEFT} {y:.1f}h{WIDTH}" stroke="#dddddd"/><text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end" fill="#555555">{label}</text>')

    for part in range(3):
        line(rate_y(most * part / 2), f"{most * part // 2:,}")
    for power in range(1, slowest + 1):
        line(delay_y(10**power), f"{10**power} ms" if power < 3 else f"{10 ** (power - 3)} s")
    for second in range(0, (last - first) * STEP_MS // 1000 + 1, 5):
        out.append(f'<text x="{x(first * STEP_MS + second * 1000):.1f}" y="{DELAY + HEIGHT + 20}" text-anchor="middle" fill="#555555">{second} s</text>')
    out.append(f'<text x="16" y="{THROUGHPUT - 20}">rows a second</text><text x="16" y="{DELAY - 12}">delay, p99</text>')
    for points, y, colour in ((rates, rate_y, "#4477aa"), (p99s, delay_y, "#aa3377")):
        path_of = " ".join(f"{x((slot + 0.5) * STEP_MS):.1f},{y(value):.1f}" for slot, value in points)
        out.append(f'<polyline points="{path_of}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
    with open(path, "w") as file:
        file.write("\n".join(out + ["</svg>"]) + "\n")
