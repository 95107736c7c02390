from .kind import Kind

LETTER = Kind(
    name="letter",
    titles=("Letter from {company}", "To the tenants of {street}", "Our letter of {date}"),
    files=("letter.txt", "letter.md", "correspondence.md"),
    headings=("Your enquiry", "Our offer", "Further steps", "Enclosures", "What we ask of you"),
    filler=(
        "Thank you for your letter of {date}.",
        "As you know, {person} has taken over from {person}.",
        "Please forgive the delay; our office in {place} was closed for {n} days.",
        "We have spoken to {company} and expect an answer soon.",
        "Should you have questions, call us between {clock} and {clock}.",
        "We would be grateful for your answer by {date}.",
        "A copy of this letter goes to {person}.",
        "Yours sincerely, {person}",
    ),
    statements=(
        "We can offer |{e} a {a} of {v}|.",
        "As agreed on the telephone, the |{a} for {e} will be {v}|.",
        "You asked about |{e}: its {a} is {v}|.",
    ),
    entity_types=("street", "company", "person"),
    attributes={
        "money": ("offer", "refund", "instalment", "fee", "down payment"),
        "date": ("visit", "answer date", "moving date", "last payment"),
        "duration": ("waiting time", "notice", "validity"),
        "person": ("adviser", "caretaker", "clerk"),
        "code": ("file number", "customer number"),
    },
    preamble=("{place}, {date}", "Our reference: {code}"),
    held_out=True,
)
