from .kind import Kind

CONTRACT = Kind(
    name="contract",
    titles=("Services Agreement", "Lease Agreement", "Supply Contract", "Maintenance Agreement", "Licence Agreement"),
    files=("agreement.md", "contract.md", "lease.md", "framework-agreement.txt"),
    headings=(
        "Definitions", "Scope", "Charges and payment", "Term and termination", "Liability", "Confidentiality",
        "Personnel", "Data protection", "Acceptance", "Governance", "Force majeure", "Schedule of parties", "Notices",
    ),
    filler=(
        "The Supplier shall perform the services with the care of an experienced provider.",
        "A party that learns of a delay shall tell the other party in writing without delay.",
        "Headings are for convenience only and do not affect the reading of this agreement.",
        "The parties met on {date} and found that no change to clause {n} was needed.",
        "Records shall be kept for {n} years after the end of the agreement.",
        "Nothing in this clause limits liability for fraud or for death caused by negligence.",
        "Invoices are sent to the address in clause {n} and carry the order number {code}.",
        "{person} signs for the Client, {person} for the Supplier.",
        "A waiver is valid only if it is given in writing and names the breach.",
        "Disputes go first to the representatives of both parties and then to a mediator in {place}.",
        "The Client may inspect the premises once a year after a notice of {n} working days.",
        "Subcontractors need consent, which was given for {company} on {date}.",
        "If a provision is void, the others stay in force and the parties replace it in good faith.",
        "Each party bears its own costs of preparing this agreement.",
    ),
    statements=(
        "{n}. The |{a} payable in respect of {e} shall be {v}|.",
        "The parties agree that |{e} is bound to a {a} of {v}| for the whole term.",
        "Clause {n} sets the |{a} of {e} at {v}| and replaces all earlier figures.",
        "|{e} accepts a {a} of {v}| without prejudice to its other rights.",
    ),
    entity_types=("company", "street", "person"),
    attributes={
        "money": ("deposit", "monthly rent", "cap on liability", "late charge", "retainer", "security", "service credit"),
        "duration": ("notice period", "cure period", "payment term", "warranty period", "minimum term", "response time"),
        "date": ("start date", "end date", "signature date", "first review", "renewal date"),
        "percent": ("interest rate", "discount", "indexation", "penalty rate", "retention"),
        "person": ("representative", "guarantor", "key person", "notary"),
        "code": ("contract number", "reference", "permit number"),
    },
    preamble=("Reference: {code}", "Signed on {date} at {place}", "Effective Date: {date}"),
)
