"""Says of every row that it is there once, in order, and right; then draws when rows became visible around each swap.

usage: check.py USERS ROUNDS WORDS, after run.sh has filled out/results and out/swaps; writes swaps.svg
"""
import collections, glob, json, os, sys

import picture
from payments import cents, name

users, rounds, words = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
seen = collections.defaultdict(list)
delays = []  # when a row could be read, and how long after its payment was put: milliseconds
for path in sorted(glob.glob("out/results/*.jsonl")):
    # A file gets its name when its epoch is committed.
    visible_ms = os.stat(path).st_ctime_ns // 1_000_000
    with open(path) as file:
        for line in file:
            row = json.loads(line)
            seen[row["user"]].append(row)
            delays.append((visible_ms, visible_ms - row["put_ms"]))


def differs(row, n, user, newest):
    """What is wrong with a user's row number n, where the releases before have kept these payments; the newest first."""
    wanted = {"n": n, "count": n, "cents": cents(user, n), "recent": cents(user, n) + sum(newest[: row["release"] - 1])}
    return {field: (row[field], value) for field, value in wanted.items() if row[field] != value}


releases = set()
for user in range(users):
    rows, newest, release = seen.pop(name(user), []), [], 1
    for n, row in enumerate(rows, 1):
        wrong = differs(row, n, user, newest)
        if wrong or row["release"] < release:
            sys.exit(f"row {n} of {name(user)}, by release {row['release']} after {release}: (is, should be): {wrong}")
        release = row["release"]
        releases.add(release)
        # Release N keeps what it will sum up with the next payment, and no more.
        newest = ([row["cents"]] + newest)[: release - 1]
    if len(rows) != rounds:
        sys.exit(f"{name(user)} has {len(rows)} rows, and not {rounds}")
if seen or releases != set(range(1, 12)):
    sys.exit(f"rows of {sorted(seen)}, of releases {sorted(releases)}")

swaps = [line.split() for line in open("out/swaps")]
picture.draw("swaps.svg", delays, [(int(begins), int(ends), *rest) for begins, ends, *rest in swaps])
print(f"exact: {len(delays)} records of {users} keys, {words}")
print("rows a second and their delay around each swap: swaps.svg")
