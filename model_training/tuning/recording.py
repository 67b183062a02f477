"""From a study in its storage to its record."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import cast

import optuna
from optuna.importance import FanovaImportanceEvaluator, get_param_importances
from optuna.trial import FrozenTrial

from model_training.tuning.record import About, State, StudyRecord, TrialRecord
from model_training.tuning.storage import OWN, REASON, RETRY, SECONDS

LEAST_FOR_IMPORTANCE = 5
"""Complete trials of different accuracy, below which nothing is said of importance."""


def record_of(
    study: optuna.Study,
    trials: Sequence[FrozenTrial],
    about: About,
    command: str,
    data_options: str = "",
) -> StudyRecord:
    """Return the record of `study`, as it is now.

    Args:
        trials: all of it, in order.
        command: what goes on with it.
        data_options: the words of it that name images and first weights.
    """
    return StudyRecord(
        name=study.study_name,
        about=about,
        trials=[trial_record(one) for one in trials],
        importance=_importance(trials),
        command=command,
        data_options=data_options,
        updated=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def trial_record(trial: FrozenTrial) -> TrialRecord:
    """Return what is kept of `trial`."""
    names = {"fail": "failed"}
    state = cast("State", names.get(trial.state.name.lower(), trial.state.name.lower()))
    # A trial may be killed between two reports, but none comes before the one of an earlier epoch.
    accuracies = [trial.intermediate_values[epoch] for epoch in sorted(trial.intermediate_values)]
    accuracy = trial.value if trial.value is not None else accuracies[-1] if accuracies else None
    fixed = trial.system_attrs.get("fixed_params", {})
    return TrialRecord(
        number=trial.number,
        state=state,
        values={name: float(one) for name, one in (fixed | trial.params).items()},
        accuracy=accuracy,
        accuracies=accuracies,
        seconds=trial.user_attrs.get(SECONDS),
        retry=trial.user_attrs.get(RETRY, 0),
        reason=trial.user_attrs.get(REASON, ""),
        own=bool(trial.user_attrs.get(OWN)),
    )


def _importance(trials: Sequence[FrozenTrial]) -> dict[str, float]:
    """Return the share of the variance that each setting explains (F. Hutter et al., "An Efficient
    Approach for Assessing Hyperparameter Importance", 2014), the largest first."""
    complete = [one for one in trials if one.state == optuna.trial.TrialState.COMPLETE]
    if len({one.value for one in complete}) < LEAST_FOR_IMPORTANCE:
        return {}
    # In memory: the storage may be gone at this moment, and what it had is here.
    study = optuna.create_study(direction="maximize")
    study.add_trials(complete)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = get_param_importances(study, evaluator=FanovaImportanceEvaluator(seed=0))
    return {name: min(1.0, float(share)) for name, share in found.items()}
