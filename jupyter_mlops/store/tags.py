"""The names under which we write into MLflow, and the number of their schema.

Everything of ours is a tag under ``mlops.`` or an artifact under ``mlops/``; everything else we write is a native
MLflow entity. Change a name or a meaning here only together with `SCHEMA` and a reader for the old one.
"""

from __future__ import annotations

__all__ = ["SCHEMA"]

SCHEMA = "1"

# on every run, logged model and registered version of ours
SCHEMA_TAG = "mlops.schema"
REQUEST = "mlops.request"  # the request that made it: asked again after a crash, it is found by this
KIND = "mlops.kind"  # run, data, monitor, pipeline, evaluation

# on runs
RUN_KEY = "mlops.run_key"  # the kernel's own id for the run, given before the store knows it
NOTEBOOK = "mlops.notebook"
COMMIT = "mlops.git.commit"
DIRTY = "mlops.git.dirty"
REASON = "mlops.reason"
CELL = "mlops.cell"  # what is the same when its cell runs again
SUPERSEDED = "mlops.superseded_by"
KERNEL = "mlops.kernel"  # the journal it was recorded in: "<workspace>/<journal>"
NOTES = "mlops.notes"  # what could not be recorded, and why; one line each
TRUST = "mlops.trust"  # reproducible, consistent, stale, unknown: see `domain.run.Trust`
TRUST_REASONS = "mlops.trust.reasons"  # JSON: cell -> why
FACTS = "mlops.facts"  # JSON: what it took: seconds, CPU seconds, peak memory, seeds, energy
SOURCE_DIGEST = "mlops.source_digest"  # SHA-256 of the cell's source

# MLflow's own, reused so that its UI shows them
RUN_NAME = "mlflow.runName"
USER = "mlflow.user"
SOURCE_NAME = "mlflow.source.name"
SOURCE_TYPE = "mlflow.source.type"
SOURCE_COMMIT = "mlflow.source.git.commit"
RUN_NOTE = "mlflow.note.content"
SWEEP_BEST = "mlops.sweep.best"  # on a sweep's run: the number of its best trial
PARENT = "mlflow.parentRunId"

# on a run's dataset inputs
DATA_REF = "mlops.data"  # ``adult@v3``
DATA_CONTEXT = "mlflow.data.context"

# artifacts
SOURCE_FILE = "mlops/cell.py"  # the cell's source
FIGURES = "mlops/figures"
SHOWN = "mlops/shown"  # tables that its cell displayed, as HTML
CELLS_FILE = "mlops/cells.json"  # what had run in the kernel: id, digest, order, time and code of every execution
ENVIRONMENT_FILE = "mlops/requirements.txt"  # every installed distribution, pinned
DIFF_FILE = "mlops/uncommitted.diff"  # what git's commit lacks

# on logged models and registered versions
MODEL_KEY = "mlops.model_key"  # the kernel's own id for a logged model, given before the store knows it
DIGEST = "mlops.digest"  # SHA-256 of the stored model file
ESTIMATOR = "mlops.estimator"
FORMAT = "mlops.format"
PROFILE = "mlops.profile"  # whether the training data's reference profile is in the model's files
INPUTS = "mlops.inputs"  # the signature's halves, as MLflow writes them, where they fit
OUTPUTS = "mlops.outputs"
DATA = "mlops.data"  # the data versions it was trained on, as a JSON list
MODEL_VERSIONS = "mlflow.modelVersions"  # MLflow's own, on a logged model: the versions registered from it

# on registered versions: an approval, by role, and the newest gate results, by alias, as JSON
APPROVAL = "mlops.approval."
GATE_RESULTS = "mlops.gates."
# also on runs: whether the pipeline that gives the model was verified: {"verified", "digest", "directory", "at", "model"}
PIPELINE = "mlops.pipeline"

# on registered models: every move of an alias, as JSON; a second page is called .history.2
ALIAS_HISTORY = "mlops.alias.{alias}.history"

# an empty registered model of this name and more is a lock, held for a moment; see store/name_lock.py
LOCK_NAME = "mlops.lock."

# on data versions: runs of kind "data" in the experiment "<experiment>.data"
DATA_NAME = "mlops.dataset.name"
DATA_VERSION = "mlops.dataset.version"  # eight digits, so that the store can sort by it
DATA_DIGEST = "mlops.dataset.digest"
DATA_STATE = "mlops.dataset.state"  # "writing", "complete" once everything else is there, "removed"
DATA_ROWS = "mlops.dataset.rows"
DATA_COLUMNS = "mlops.dataset.columns"  # JSON; a second and later part are called .columns.2 and so on
DATA_BYTES = "mlops.dataset.bytes"
DATA_MANIFEST = "mlops.dataset.manifest"  # the manifest's digest
DATA_KIND = "mlops.dataset.kind"  # table, folder or view
DATA_BRANCH = "mlops.dataset.branch"  # none for the main line
DATA_SOURCES = "mlops.dataset.sources"  # JSON list of the data versions it was made from
DATA_FOLDER = "mlops/data"  # their artifacts
DATA_REMOVED = "mlops.dataset.removed"  # the request that removed it
DATA_ERASURES = "mlops.dataset.erasures"  # JSON: when how many rows went, and the digest before
DATA_SEALED = "mlops.dataset.sealed"  # JSON {"at_ms", "by"}: from then on every look is counted
DATA_LOOK = "mlops.dataset.look."  # one for each look, by its request: JSON of who, when, what for, which model
DATA_CHECKS = "mlops.dataset.checks"  # JSON: {"errors": 0, "warnings": 2, "at": ms}
DATA_PERSONAL = "mlops.dataset.personal"  # JSON list of columns with personal data; further parts as for the columns
CHECKS_FILE = "mlops/checks.json"  # the newest report of the checks
CONTRACT_FILE = "mlops/contract.json"  # what tables of this kind have to keep to, learnt from this version

# on the data experiment: one for each name that a data version has or had; JSON of other names to version numbers
DATA_NAMES = "mlops.dataset.names."

# on monitors: runs of kind "monitor" in the experiment "<experiment>.monitoring", one a deployment
DEPLOYMENT = "mlops.deployment"
MODEL = "mlops.model"  # the model version of the newest report
REPORTS = "mlops/reports"  # their artifacts: "<time in ms>-<id>.json" each, a whole drift report
ALERTS = "mlops/alerts"

# on a run that holds evaluations: the id of the newest, which sorts by time; without a run of the model's own, a run of
# kind "evaluation" in the experiment "<experiment>.evaluations", one a model, whose `MODEL` is the logged model's id
EVALUATED = "mlops.evaluated"
EVALUATIONS = "mlops/evaluations"  # their artifacts: "<id>/evaluation.json" and "<id>/rows.npz"

# on writers of the audit record: runs of kind "audit" in the experiment "<experiment>.audit"
AUDIT_WRITER = "mlops.audit.writer"
AUDIT_HEAD = "mlops.audit.head"  # how far its chain has come: "<place>:<hash>:<place of the last change>"
AUDIT_FOLDER = "mlops/audit"  # their artifacts: "<first place>.jsonl" each
