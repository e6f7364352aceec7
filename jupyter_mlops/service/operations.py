"""Everything the service can be asked to do, and everything it does unasked: the stages' declarations, side by side."""

from __future__ import annotations

from ..audit.operations import DUTIES as AUDIT_DUTIES
from ..audit.operations import OPERATIONS as AUDIT
from ..datasets.operations import DUTIES as DATASETS_DUTIES
from ..datasets.operations import OPERATIONS as DATASETS
from ..datasets.operations_checks import OPERATIONS as DATASETS_CHECKS
from ..domain.operation import Duty, Operation
from ..evaluation.operations import DUTIES as EVALUATION_DUTIES
from ..evaluation.operations import OPERATIONS as EVALUATION
from ..monitoring.operations import DUTIES as MONITORING_DUTIES
from ..monitoring.operations import OPERATIONS as MONITORING
from ..pipelines.operations import DUTIES as PIPELINES_DUTIES
from ..pipelines.operations import OPERATIONS as PIPELINES
from ..registry.operations import DUTIES as REGISTRY_DUTIES
from ..registry.operations import OPERATIONS as REGISTRY
from ..retraining.operations import DUTIES as RETRAINING_DUTIES
from ..retraining.operations import OPERATIONS as RETRAINING
from ..serving.operations import DUTIES as SERVING_DUTIES
from ..serving.operations import OPERATIONS as SERVING
from ..tracking.operations import DUTIES as TRACKING_DUTIES
from ..tracking.operations import OPERATIONS as TRACKING
from .workspace import OPERATIONS as WORKSPACE

__all__ = ["DUTIES", "OPERATIONS"]

OPERATIONS: dict[str, Operation] = {
    **WORKSPACE,
    **TRACKING,
    **DATASETS,
    **DATASETS_CHECKS,
    **EVALUATION,
    **REGISTRY,
    **SERVING,
    **MONITORING,
    **PIPELINES,
    **RETRAINING,
    **AUDIT,
}

DUTIES: tuple[Duty, ...] = (
    *TRACKING_DUTIES,
    *DATASETS_DUTIES,
    *EVALUATION_DUTIES,
    *REGISTRY_DUTIES,
    *SERVING_DUTIES,
    *MONITORING_DUTIES,
    *PIPELINES_DUTIES,
    *RETRAINING_DUTIES,
    *AUDIT_DUTIES,
)
