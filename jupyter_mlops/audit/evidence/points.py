"""Which points of three frameworks a pack can speak to: by which facts, and what it never covers.

The topics are in words of our own; the numbers are the frameworks'. A pack supports an assessment and is none: whether
a duty is met is for people to say.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["FRAMEWORKS", "Point"]


@dataclass(frozen=True)
class Point:
    """One point of a framework.

    Parameters
    ----------
    facts
        The names in `FACTS` that together show what we can show; empty for what nothing here can.
    lacking
        What is not covered even when every fact is there.
    """

    number: str
    topic: str
    facts: tuple[str, ...]
    lacking: str


NIST = (
    Point("GOVERN 1.2", "risk policies are part of how work is done", ("gates",), "the organisation's policies themselves"),
    Point("GOVERN 1.4", "decisions follow set, visible rules", ("gates", "alias history"), "why the thresholds are what they are"),
    Point("GOVERN 1.5", "monitoring is planned and its roles are clear", ("drift reports", "owners"), "how often reviews take place, and by whom"),
    Point("GOVERN 1.6", "there is an inventory of models", ("model digest", "run"), "models outside of this store"),
    Point("GOVERN 2.1", "roles and responsibilities are known", ("owners", "approvals"), "training of the people who hold them"),
    Point("GOVERN 6.1", "risks of third-party software are handled", ("environment",), "known vulnerabilities and licences of each distribution: feed the bill of materials to a scanner"),
    Point("MAP 1.1", "purpose, users and setting are understood", ("intended use",), "laws and norms of the setting"),
    Point("MAP 2.2", "the limits of the system's knowledge are written down", ("known limits", "slices"), "how people oversee its output"),
    Point("MAP 2.3", "how it was tested is sound", ("metrics", "data versions", "trust label"), "whether the test data stands for the place of use"),
    Point("MAP 4.1", "legal risks of parts from others are mapped", ("environment",), "licences and rights in the data"),
    Point("MAP 5.1", "likely impacts on people are named", ("ethical considerations",), "likelihood and size of each impact"),
    Point("MEASURE 2.3", "performance is measured under conditions like those of use", ("metrics", "slices"), "whether the conditions are like those of use"),
    Point("MEASURE 2.4", "behaviour in production is watched", ("deployments", "drift reports"), "what was done about what was seen"),
    Point("MEASURE 2.5", "it is valid and reliable", ("metrics", "calibration", "verified pipeline"), "beyond the conditions that were tested"),
    Point("MEASURE 2.6", "it is safe, and fails safely", ("robustness",), "harm outside of the model: the system around it"),
    Point("MEASURE 2.7", "it is secure and resilient", ("safe format", "adversarial search", "model digest"), "security of hosts, accounts and networks"),
    Point("MEASURE 2.8", "it is transparent and someone answers for it", ("owners", "whole record"), "what its users are told"),
    Point("MEASURE 2.9", "it is explained", ("explanation",), "whether those concerned understand the explanation"),
    Point("MEASURE 2.10", "privacy risk is examined", ("membership inference",), "lawfulness of the data, and re-identification by other means"),
    Point("MEASURE 2.11", "fairness and bias are examined", ("fairness",), "groups that the data does not name"),
    Point("MEASURE 2.12", "environmental impact is measured", ("energy",), "hardware, idle time, serving"),
    Point("MEASURE 3.1", "risks are followed over time", ("drift reports", "labels"), "risks nobody has thought of"),
    Point("MANAGE 1.1", "whether to go on is decided and recorded", ("gates", "approvals", "alias history"), "whether the purpose justifies the risk"),
    Point("MANAGE 2.4", "it can be superseded or switched off", ("alias history", "rollbacks"), "the plan for when, and who is told"),
    Point("MANAGE 4.1", "monitoring after deployment is in place", ("deployments", "drift reports"), "appeals and feedback of those concerned"),
    Point("MANAGE 4.3", "incidents are recorded and told", (), "incident handling and notification"),
)  # fmt: skip

ISO = (
    Point("A.2", "an AI policy", (), "the policy is the organisation's"),
    Point("A.3.2", "roles and responsibilities", ("owners", "approvals"), "how they are appointed"),
    Point("A.4.2-A.4.5", "resources: data, tools, computing", ("data versions", "environment", "energy"), "people and their competence; hardware"),
    Point("A.5", "impact assessment", ("ethical considerations", "fairness"), "the assessment itself, for individuals and society"),
    Point("A.6.2.2", "requirements of the system", ("intended use", "gates"), "requirements beyond what gates can judge"),
    Point("A.6.2.3", "design and development are documented", ("code", "run", "environment"), "why this design and no other"),
    Point("A.6.2.4", "verification and validation", ("metrics", "slices", "gates"), "acceptance by the people who use it"),
    Point("A.6.2.5", "deployment follows a plan", ("deployments", "alias history"), "the plan"),
    Point("A.6.2.6", "operation and monitoring", ("drift reports", "labels"), "repair and support"),
    Point("A.6.2.7", "technical documentation", ("metrics", "data versions"), "documentation of the system around the model"),
    Point("A.6.2.8", "event logs", ("audit entries", "whole record"), "logs of systems other than this one"),
    Point("A.7.2-A.7.3", "management and acquisition of data", ("data versions",), "how and on what ground the data was obtained"),
    Point("A.7.4", "quality of data", ("data checks",), "whether the data fits the purpose"),
    Point("A.7.5", "provenance of data", ("data sources", "data versions"), "what happened before it was first saved"),
    Point("A.7.6", "preparation of data", ("code", "data sources"), "why it was prepared so"),
    Point("A.8", "information for those concerned", ("intended use", "contact"), "telling them, and reporting incidents"),
    Point("A.9", "responsible use", ("intended use", "known limits"), "that it is used only so"),
    Point("A.10", "third parties and customers", ("environment",), "contracts and shared responsibilities"),
)  # fmt: skip

GDPR = (
    Point("Art. 5(1)(a), 13-14", "people are told", ("contact",), "the notice itself, and the legal basis (Art. 6, 9)"),
    Point("Art. 5(1)(b)", "data serves a stated purpose", ("intended use",), "the purpose for which the data was collected"),
    Point("Art. 5(1)(c)", "no more data than needed", ("explanation",), "whether each column is needed"),
    Point("Art. 5(1)(d)", "data is accurate", ("data checks",), "whether each record is true"),
    Point("Art. 5(1)(e)", "data is not kept longer than needed", (), "retention periods of data versions and inference logs"),
    Point("Art. 5(2), 24", "one can show what was done", ("audit entries", "whole record", "approvals"), "measures outside of this workspace"),
    Point("Art. 15(1)(h), 22", "the logic of automated decisions can be told", ("explanation",), "human review, and the right to contest"),
    Point("Art. 17", "a person's data can be erased", ("erasures",), "models that have already learnt from it; copies elsewhere"),
    Point("Art. 25", "protection by design", ("membership inference", "safe format"), "pseudonymisation of the data"),
    Point("Art. 30", "a record of processing", ("data versions", "owners"), "recipients, transfers and categories of people"),
    Point("Art. 32", "security of processing", ("model digest", "whole record"), "encryption, access control, backups"),
    Point("Art. 35", "impact assessment", ("ethical considerations", "fairness"), "the assessment itself"),
)  # fmt: skip

FRAMEWORKS: dict[str, tuple[Point, ...]] = {
    "NIST AI RMF 1.0": NIST,
    "ISO/IEC 42001:2023, Annex A": ISO,
    "GDPR": GDPR,
}
"""Each framework's points, by its name."""
