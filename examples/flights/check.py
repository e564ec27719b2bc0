"""Computes the demo's windows from the CSV alone, and compares them with the files that the job wrote.

usage: check.py CSV_GZ RESULTS_FOLDER
"""
import csv, datetime, glob, gzip, json, sys
from fractions import Fraction


def windows(path):
    hours = {}
    with gzip.open(path, "rt") as text:
        for row in csv.DictReader(text):
            if row["dep_delay"] == "NA":
                continue
            key = (row["origin"], row["carrier"], row["time_hour"])
            hours.setdefault(key, []).append(int(row["dep_delay"]))
    return {
        key: (len(delays), float(sum(delays)), float(Fraction(sum(delays), len(delays))), min(delays), max(delays))
        for key, delays in hours.items()
    }


def results(folder):
    last = {}
    for name in sorted(glob.glob(folder + "/*.jsonl")):
        for line in open(name):
            row = json.loads(line)
            key = (row["origin"], row["carrier"], row["window_start"])
            if key in last and last[key][0] == row["firing_number"]:
                sys.exit(f"firing {row['firing_number']} of {key} is there twice")
            if key not in last or last[key][0] < row["firing_number"]:
                last[key] = (row["firing_number"], (row["count"], row["sum"], row["mean"], row["min"], row["max"]))
    return {key: value for key, (_, value) in last.items()}


expected, found = windows(sys.argv[1]), results(sys.argv[2])
for key in sorted(expected.keys() | found.keys()):
    if expected.get(key) != found.get(key):
        sys.exit(f"{key}: the CSV says {expected.get(key)}, the job {found.get(key)}")
print(f"{len(expected)} windows of {sum(value[0] for value in expected.values())} departures agree with the CSV")
