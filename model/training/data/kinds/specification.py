from .kind import Kind

SPECIFICATION = Kind(
    name="specification",
    titles=("Specification {code}", "Data Sheet {code}", "Technical Requirements, {thing}", "Installation Manual {code}"),
    files=("spec.md", "data-sheet.md", "requirements.txt", "manual.md"),
    headings=(
        "Purpose", "Operating conditions", "Electrical data", "Dimensions", "Interfaces", "Materials", "Tests",
        "Transport and storage", "Maintenance", "Spare parts", "Safety", "Marking",
    ),
    filler=(
        "All values apply at room temperature unless a table says otherwise.",
        "The housing must be earthed before the cover is opened.",
        "Gaskets are to be replaced whenever the flange has been loosened.",
        "Tests follow procedure {code}, edition of {date}.",
        "Drawings are kept by {company} in {place}.",
        "Only staff trained by {company} may adjust the limit switches.",
        "A torque wrench with a valid certificate is required.",
        "Earlier editions, up to {date}, are void.",
        "The display shows a fault number, which is explained in chapter {n}.",
        "Cables longer than {n} metres need a repeater.",
        "Do not store the device near strong magnets.",
        "The rating plate is on the left side, below the terminal box.",
    ),
    statements=(
        "Under rated conditions |{e} shall have a {a} of {v}|.",
        "The |{a} of {e} shall not differ from {v}|.",
        "Type |{e} is delivered with a {a} of {v}|.",
        "For model |{e} the test certificate states a {a} of {v}|.",
    ),
    entity_types=("thing", "code", "system"),
    attributes={
        "measure": ("weight", "length", "rated load", "supply pressure", "output power", "bore", "tank volume"),
        "percent": ("efficiency", "duty cycle", "linearity error", "humidity limit"),
        "duration": ("service interval", "warm-up time", "settling time", "shelf life", "battery life"),
        "count": ("number of teeth", "rated speed", "cycle count", "channels"),
        "code": ("order number", "drawing", "gasket type", "fuse", "firmware"),
        "money": ("list price", "exchange price", "deposit"),
    },
    preamble=("Edition: {date}", "Prepared by {person}", "Document number {code}"),
)
