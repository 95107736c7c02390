from .kind import Kind

LOG = Kind(
    name="log",
    titles=("Log of {system}", "Shift log, {place}", "Operations journal {code}"),
    files=("events.log", "journal.txt", "shift-log.md", "audit.log"),
    headings=("Night shift", "Morning shift", "Evening shift", "Maintenance", "Hand-over", "Checks", "Remarks"),
    filler=(
        "{clock} INFO {system} heartbeat ok",
        "{clock} INFO {person} logged in from {place}",
        "{clock} WARN queue {n} above threshold",
        "{clock} INFO backup {code} finished",
        "{clock} DEBUG retry {n} of request {code}",
        "{clock} INFO configuration reloaded by {person}",
        "{clock} WARN certificate of {system} ends on {date}",
        "{clock} INFO gate opened for {company}",
        "{clock} ERROR no answer from {system}, waiting",
        "{clock} INFO batch {code} accepted",
    ),
    statements=(
        "INFO |{e} {a}={v}|",
        "INFO |{e} reports {a} {v}|",
        "NOTE |{a} of {e} now {v}|",
        "WARN |{e}: {a} changed to {v}|",
    ),
    entity_types=("system", "thing", "code", "person"),
    attributes={
        "count": ("queue length", "open files", "visitors", "restarts", "packets"),
        "duration": ("uptime", "latency", "wait", "run time"),
        "percent": ("load", "fill level", "battery", "humidity"),
        "clock": ("last seen", "next check", "wake-up", "sign-off"),
        "measure": ("pressure", "mileage", "tank level", "draught"),
        "code": ("release", "session", "batch", "badge"),
        "person": ("operator", "driver", "duty officer"),
    },
    preamble=("Opened {date}", "Level: INFO"),
)
