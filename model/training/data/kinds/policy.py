from .kind import Kind

POLICY = Kind(
    name="insurance policy",
    titles=("Insurance Policy {code}", "Policy schedule for {company}", "Terms of cover {code}"),
    files=("policy.md", "cover.md", "schedule.txt"),
    headings=("Insured risks", "Exclusions", "Premium", "Claims", "Obligations", "Objects insured", "End of cover"),
    filler=(
        "Damage must be reported within {n} days to {company}.",
        "Cover does not extend to wear, rust or vermin.",
        "The insurer may send {person} to inspect the site.",
        "A claim that rests on false statements is void.",
        "The place of jurisdiction is {place}.",
        "Objects moved after {date} are covered only after notice.",
        "Water damage is covered from the main valve inwards.",
        "Two valuations by independent experts are needed above {money}.",
    ),
    statements=(
        "The insurer covers |{e} with a {a} of {v}|.",
        "Agreed |{a} for {e}: {v}|.",
        "In the schedule |{e} stands with a {a} of {v}|.",
    ),
    entity_types=("thing", "street", "company"),
    attributes={
        "money": ("sum insured", "excess", "yearly premium", "limit of cover"),
        "percent": ("no-claims discount", "co-insurance", "surcharge"),
        "duration": ("waiting period", "notice to end cover", "extension"),
        "date": ("begin of cover", "end of cover", "next valuation"),
        "code": ("policy number", "risk class", "claim number"),
        "person": ("beneficiary", "broker", "claims handler"),
    },
    preamble=("Policyholder: {company}", "Valid from {date}"),
    held_out=True,
)
