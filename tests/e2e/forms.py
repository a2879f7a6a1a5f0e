# SPDX-License-Identifier: Apache-2.0
"""Where things stand in the door's status and metrics: the one place that tests take it from. (The words for why
connections ended are those of tables/close_reasons.def.)"""
import re

METRIC_CONNECTIONS = "cardea_connections_total"     # {route}
METRIC_LIVE = "cardea_connections"                  # {route}, a gauge
METRIC_CLOSED = "cardea_closed_total"               # {route, reason}
METRIC_IN = "cardea_bytes_in_total"                 # {route}
METRIC_OUT = "cardea_bytes_out_total"               # {route}

SAMPLE = re.compile(r'([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{((?:[a-zA-Z_]\w*="(?:[^"\\]|\\.)*",?)*)\})? (\S+)')


def named(rows, name):
    """The row of this name, in an object by name or in a list of rows with a `name`."""
    if isinstance(rows, dict):
        return rows[name]
    return next(row for row in rows if row["name"] == name)


def live(status, route=None):
    """Connections open now, in all or of a route."""
    if route is None:
        return status["connections"]
    return named(status["routes"], route)["connections"]


def backend(status, route, to):
    """The row of a route's backend: `up` is true or false."""
    rows = named(status["routes"], route)["backends"]
    return next(row for row in rows if row["to"] == to)


def parse_metrics(text):
    """[(name, labels, value)]; fails on a line that is not text format 0.0.4, or on a sample without TYPE."""
    typed, samples = {}, []
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert kind in ("counter", "gauge", "histogram", "summary", "untyped") and name not in typed, line
            typed[name] = kind
        elif line and not line.startswith("#"):
            match = SAMPLE.fullmatch(line)
            assert match, line
            name, labels, value = match.groups()
            family = re.sub(r"_(bucket|sum|count)$", "", name)
            assert name in typed or typed.get(family) == "histogram", f"no TYPE for {line}"
            samples.append((name, dict(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', labels or "")), float(value)))
    return samples


def metric(samples, name, **labels):
    """The sum of the samples with this name and these labels."""
    return sum(value for n, have, value in samples if n == name and labels.items() <= have.items())
