"""Ways of adapting a frozen CLAP, one per file.

Authors
 * The afpt_plugin developers 2026
"""

from afpt_plugin.learners.base import Classes, LabeledItems, Learner
from afpt_plugin.learners.feature_context import FeatureContext
from afpt_plugin.learners.kernel_ridge import KernelRidge
from afpt_plugin.learners.linear_probe import LinearProbe
from afpt_plugin.learners.prompts import PromptLearner
from afpt_plugin.learners.template import Template
from afpt_plugin.learners.tip_adapter import TipAdapter

__all__ = [
    "LEARNERS",
    "Classes",
    "FeatureContext",
    "KernelRidge",
    "LabeledItems",
    "Learner",
    "LinearProbe",
    "PromptLearner",
    "Template",
    "TipAdapter",
]

#: name -> class; an export holds no code and refers to its learner by name.
LEARNERS = {
    learner.__name__: learner
    for learner in (
        Template,
        PromptLearner,
        FeatureContext,
        LinearProbe,
        KernelRidge,
        TipAdapter,
    )
}
