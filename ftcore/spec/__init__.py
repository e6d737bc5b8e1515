"""What a user edits: one YAML file per model, checked as a whole before anything runs."""

from ftcore.spec.base import Fraction, Name, Section, Split, Task
from ftcore.spec.data import ColumnsSpec, DataFormat, DataSpec, LeakageRule, LeakageSpec, Part, SplitBy, ValidationSpec
from ftcore.spec.evaluation import (
    OWN_METRIC,
    PREVIOUS_CHAMPION,
    Baseline,
    EvaluationSpec,
    FewShotSpec,
    FormatSpec,
    GateMetric,
    GateSpec,
    GenerationMetric,
    GenerationSpec,
    MetricName,
)
from ftcore.spec.llm_judge import LlmJudgeSpec
from ftcore.spec.loading import load_spec, project_root, setting_of, with_settings
from ftcore.spec.method import BaseModelSpec, MethodName, MethodSpec
from ftcore.spec.operation import AlertsSpec, ApprovalSpec, ComputeSpec, MonitoringSpec, ScheduleSpec
from ftcore.spec.phases import AdaptSpec, CurriculumSpec, DistillSpec, PreferSpec
from ftcore.spec.prepare import (
    AugmentMethod,
    AugmentSpec,
    BiasSpec,
    LabelAuditSpec,
    PersonalKind,
    PrepareSpec,
    PresidioSpec,
)
from ftcore.spec.probes import SHIPPED, ProbesSpec
from ftcore.spec.space import Dimension
from ftcore.spec.training import Schedule, TrainingSpec
from ftcore.spec.tuning import RescoreSpec, TuningSpec
from ftcore.spec.whole import FineTuneSpec

__all__ = [
    "AdaptSpec",
    "AlertsSpec",
    "ApprovalSpec",
    "AugmentMethod",
    "AugmentSpec",
    "BaseModelSpec",
    "Baseline",
    "BiasSpec",
    "ColumnsSpec",
    "ComputeSpec",
    "CurriculumSpec",
    "DataFormat",
    "DataSpec",
    "Dimension",
    "DistillSpec",
    "EvaluationSpec",
    "FewShotSpec",
    "FineTuneSpec",
    "FormatSpec",
    "Fraction",
    "GateMetric",
    "GateSpec",
    "GenerationMetric",
    "GenerationSpec",
    "LabelAuditSpec",
    "LeakageRule",
    "LeakageSpec",
    "LlmJudgeSpec",
    "MethodName",
    "MethodSpec",
    "MetricName",
    "MonitoringSpec",
    "Name",
    "OWN_METRIC",
    "PREVIOUS_CHAMPION",
    "Part",
    "PersonalKind",
    "PreferSpec",
    "PrepareSpec",
    "PresidioSpec",
    "ProbesSpec",
    "Schedule",
    "RescoreSpec",
    "SHIPPED",
    "ScheduleSpec",
    "Section",
    "Split",
    "SplitBy",
    "Task",
    "TrainingSpec",
    "TuningSpec",
    "ValidationSpec",
    "load_spec",
    "project_root",
    "setting_of",
    "with_settings",
]
