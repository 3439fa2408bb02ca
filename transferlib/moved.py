"""Where the modules of version 0.1.0 are now. The old paths are gone: importing one names the new path."""

from typing import Any

# A file of 0.1.0 that is in several files today names them all.
MODULES = {
    "adapters": "peft.adapters peft.bitfit peft.ia3 peft.files",
    "adversarial": "domains.adversarial",
    "alignment": "domains.alignment",
    "budgets": "datasets.budgets",
    "calibration": "own_data.calibration",
    "chapter": "course.chapter",
    "claims": "course.claims course.printing",
    "collection": "datasets.collection",
    "cost": "tuning.cost",
    "curves": "course.curves",
    "datacheck": "own_data.checks own_data.splits",
    "decision": "own_data.decision",
    "deltas": "peft.files peft.sealed",
    "depth": "backbones.layer_features",
    "exercises": "course.exercises",
    "extraction": "backbones.features",
    "figures": "course.figures",
    "filters": "backbones.filters",
    "fisher": "continual.fisher",
    "folding": "backbones.folding",
    "forgetting": "continual.penalties continual.importance",
    "freezing": "backbones.freezing",
    "groups": "tuning.learning_rates",
    "interpolate": "tuning.wise_ft",
    "intervals": "course.intervals",
    "keeping": "runs.cache",
    "language": "backbones.texts",
    "layers": "backbones.layers",
    "lora": "peft.lora peft.lora_layer",
    "lpft": "tuning.lpft",
    "memory": "runs.memory",
    "pairs": "domains.pairs",
    "patterns": "backbones.modules",
    "persample": "continual.per_example",
    "probes": "tuning.probes",
    "profiles": "course.profiles",
    "progressive": "continual.progressive",
    "prompts": "peft.prompts",
    "provenance": "runs.provenance",
    "rehearsal": "continual.rehearsal",
    "report": "own_data.report own_data.page",
    "reweighting": "domains.reweighting",
    "saved": "own_data.saved",
    "scan": "own_data.scan",
    "selfsupervised": "backbones.simclr",
    "similarity": "domains.similarity",
    "split": "backbones.cut",
    "strategies": "tuning.strategies backbones.named",
    "stream_metrics": "continual.streams",
    "sweep": "runs.sweep",
    "team": "tuning.distributed",
    "test_time": "domains.at_test_time domains.tent",
    "training": "tuning.training",
    "weights": "backbones.weights runs.cache",
    "widgets.freeze_depth_explorer": "widgets.freeze_depth",
    "widgets.label_budget_explorer": "widgets.label_budget",
    "words": "backbones.word_counts",
}
# These names are folders now: what each of them held as one file is in this module.
FOLDERS = {
    "backbones": "backbones.images",
    "continual": "continual.streams continual.tasks",
    "datasets": "datasets.named",
    "domains": "domains.checks",
    "incontext": "incontext.scoring incontext.prefixes incontext.prompts incontext.calibration",
    "meta": "meta.episodes meta.maml meta.prototypes meta.reptile",
    "multitask": "multitask.gradients multitask.gradnorm multitask.uncertainty",
    "preference": "preference.log_probs preference.reward_model preference.leash preference.best_of_n preference.dpo "
    "preference.policy_gradient preference.ppo",
    "zeroshot": "zeroshot.names",
}


def _listed(paths: str) -> str:
    *others, last = [f"transferlib.{path}" for path in paths.split()]
    return f"{', '.join(others)} and {last}" if others else last


def moved(path: str) -> str:
    """The sentence for a path of 0.1.0 below ``transferlib``, or nothing for a path that was never there.

    >>> moved("fisher")
    'transferlib.fisher is now transferlib.continual.fisher: import from there.'
    """
    first, _, inner = path.partition(".")
    old = path if path in MODULES else first
    if old in MODULES:
        return f"transferlib.{old} is now {_listed(MODULES[old])}: import from there."
    if first in FOLDERS and inner:
        return (
            f"transferlib.{first} is now a folder without {inner!r}: what transferlib.{first} held in 0.1.0 is in "
            f"{_listed(FOLDERS[first])}."
        )
    return ""


class Moved:
    """Python asks this finder last, about what no other finder knows."""

    def find_spec(self, name: str, *rest: Any) -> None:
        package, _, path = name.partition(".")
        if package == "transferlib" and (sentence := moved(path)):
            # Without ``name``: with it, Python drops the sentence from ``from transferlib import lora``.
            raise ModuleNotFoundError(sentence)
