from .kind import Kind

ANNUAL_REPORT = Kind(
    name="annual report",
    titles=("Annual Report of {company}", "{company}: Report on the Year", "Half-year Report of {company}"),
    files=("annual-report.md", "report.md", "year-in-review.txt", "half-year.md"),
    headings=(
        "Letter to shareholders", "Strategy", "Segments", "Regions", "People", "Cash flow", "Risks", "Outlook",
        "Governance", "Research", "Environment", "Key figures", "Subsidiaries",
    ),
    filler=(
        "The year was a good one, though not an easy one.",
        "Demand recovered in the second half, helped by orders that had been put off.",
        "We bought {company} of {place} on {date} and have begun to join the two sales teams.",
        "Currency effects were small and are not shown separately.",
        "{person} joined the board on {date} and chairs the audit committee.",
        "The new hall in {place} was finished {n} weeks early.",
        "Prices for energy fell, while wages rose as had been agreed with the unions.",
        "No single customer accounts for more than a tenth of sales.",
        "The board thanks all employees for their work.",
        "Comparisons are with the year before unless a page says otherwise.",
        "Our laboratories filed {n} patents, most of them for sensors.",
        "The auditor, {company}, raised no objections.",
    ),
    statements=(
        "|{e} closed the year with a {a} of {v}|, in line with the plan.",
        "For |{e} we report a {a} of {v}|.",
        "The |{a} of {e} reached {v}| at the end of the year.",
        "In the segment |{e} the {a} came to {v}|.",
    ),
    entity_types=("company", "place"),
    attributes={
        "money": ("revenue", "operating profit", "net debt", "order intake", "dividend", "research budget", "capital spending"),
        "percent": ("operating margin", "growth", "market share", "tax rate", "equity ratio"),
        "count": ("headcount", "units sold", "number of branches", "training days", "shares held"),
        "person": ("chief executive", "finance chief", "site manager", "auditor in charge"),
        "date": ("founding date", "acquisition date", "opening date", "general meeting"),
    },
    preamble=("Financial year ending {date}", "Approved by the board on {date}", "Registered office: {street}, {place}"),
)
