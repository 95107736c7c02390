from .kind import Kind

MINUTES = Kind(
    name="minutes",
    titles=("Minutes of the meeting of {date}", "Minutes of the Board of {company}", "Committee minutes, {place}"),
    files=("minutes.md", "board-minutes.md", "protocol.txt", "meeting-notes.md"),
    headings=(
        "Attendance", "Minutes of the last meeting", "Finances", "Projects", "Personnel", "Decisions", "Any other business",
        "Declarations of interest", "Requests for funds", "Members' motions", "Next meeting",
    ),
    filler=(
        "The chair opened the meeting at {clock} and welcomed the guests.",
        "{person} asked whether the figures included the storm damage, which was confirmed.",
        "The minutes of {date} were approved with one correction.",
        "There was a short discussion about parking near {place}.",
        "{person} left the room for this item and took no part in it.",
        "It was agreed to come back to the matter once {company} has sent its report.",
        "{n} votes were cast in favour, {n} against.",
        "The treasurer thanked the volunteers who had helped in {place}.",
        "A letter from {company} was read out and noted.",
        "The secretary reminded members to send their expenses before {date}.",
        "Nobody declared an interest.",
        "The meeting was interrupted at {clock} for {n} minutes.",
    ),
    statements=(
        "The board approved for |{e} a {a} of {v}|.",
        "It was resolved that the |{a} of {e} be {v}| from next month.",
        "{n}. The committee took note that |{e} has a {a} of {v}|.",
        "Regarding |{e}, members settled on a {a} of {v}|.",
    ),
    entity_types=("person", "place", "company"),
    attributes={
        "money": ("grant", "budget", "repair cost", "subsidy", "membership fee", "loan", "allowance"),
        "date": ("deadline", "hearing", "handover", "next review", "completion date"),
        "count": ("votes in favour", "seats", "tickets", "volunteers", "empty flats"),
        "person": ("sponsor", "rapporteur", "deputy", "minute-taker", "contact"),
        "clock": ("starting time", "closing time", "bus departure"),
        "duration": ("term of office", "speaking time", "trial period"),
    },
    preamble=("Place: {street}", "Time: {clock}", "Minutes taken by {person}"),
)
