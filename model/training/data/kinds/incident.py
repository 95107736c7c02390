from .kind import Kind

INCIDENT = Kind(
    name="incident report",
    titles=("Incident Report {code}", "Post-mortem {code}", "Report on the outage at {place}", "Safety Report {code}"),
    files=("incident.md", "post-mortem.md", "outage-report.txt", "inc-report.md"),
    headings=(
        "Summary", "Background", "Timeline", "Cause", "Effects", "Response", "What went well", "What went badly",
        "Actions", "Systems affected", "Communication", "Recovery",
    ),
    filler=(
        "At {clock} the first alert reached {person}, who was on call.",
        "The change had been tested on {system} {n} days earlier without any sign of trouble.",
        "Nobody noticed at first that the clocks of two machines had drifted apart.",
        "A second team in {place} joined the call at {clock} and took over the notes.",
        "No customer data was exposed, and no record had to be corrected by hand.",
        "The status page was updated {n} times, which was less than planned.",
        "{person} suggested a rollback, but the tool for it depended on {system} itself.",
        "The runbook had last been reviewed on {date} and named a person who had left.",
        "Load was moved to {place} in steps, so that queues could drain.",
        "Several alerts carried the same text, and {n} of them were closed by mistake.",
        "Disks filled faster than expected because every retry wrote a log entry.",
        "A rehearsal of this case is planned with {company} for {date}.",
    ),
    statements=(
        "Monitoring showed for |{e} a {a} of {v}| before the alarm was raised.",
        "According to the log |{e} had a {a} of {v}|.",
        "The |{a} recorded for {e} was {v}|, as later confirmed by hand.",
        "After the repair |{e} went back to a {a} of {v}|.",
    ),
    entity_types=("system", "place", "thing"),
    attributes={
        "duration": ("downtime", "time to detect", "time to repair", "retry limit", "lease duration", "time-out"),
        "clock": ("first alert", "restart", "failover", "rollback", "all-clear", "last heartbeat"),
        "count": ("failed requests", "lost messages", "affected users", "open tickets", "error count"),
        "percent": ("error rate", "packet loss", "disk usage", "cache hit rate"),
        "person": ("incident lead", "on-call engineer", "owner", "scribe"),
        "code": ("ticket", "change number", "build", "alert id"),
    },
    preamble=("Severity: {n}", "Date: {date}", "Author: {person}", "All times are UTC."),
)
