"""What `optimize` says would help where it has found nothing smaller than post-training int8."""

from __future__ import annotations

from edgecls.records.recipe import ChannelPruning, QuantizationAwareTraining
from edgecls.records.trial import Candidate
from edgecls.reporting.optimization import advice_of
from search_landscapes import space, trial

FORGETS = "images that the model has not been trained on"
SPACE = space(points=1.5)
INT8, FLOAT16 = Candidate(), Candidate(scheme="float16")
QAT, SMALLER = (SPACE.candidate((stage,)) for stage in (QuantizationAwareTraining(), ChannelPruning(share=0.3)))
# 110 photos that the model was trained on: float16 keeps them all, and whatever is trained on others forgets some
KNOWN = [
    trial(INT8, 1.8, 211_000.0, trained=0),
    trial(FLOAT16, 0.0, 396_000.0, 0.0, trained=0),
    trial(QAT, 6.4, 212_000.0),
    trial(SMALLER, 8.2, 150_000.0),
]


def advice(trials, against: str = "base", refusal: str = "", *, time_is_over: bool = False, set_apart: bool = False) -> list[str]:
    return advice_of(trials, SPACE.goal, against, refusal, time_is_over=time_is_over, set_apart=set_apart)


def test_where_all_that_was_trained_lost_too_much_the_model_may_know_the_held_out_images() -> None:
    wider, longer, unseen = advice(KNOWN)
    assert wider == "a wider limit: --within 'drop<=8.2'"  # of those that are smaller than int8
    assert longer.startswith("longer training")
    assert unseen.startswith(FORGETS) and "--against control" in unseen
    assert advice(KNOWN, set_apart=True) == [wider, longer]  # what was held out is no share of its images


def test_a_control_has_forgotten_as_much_and_what_held_was_not_forgotten() -> None:
    assert not any(line.startswith(FORGETS) for line in advice(KNOWN, "control"))
    held = [*KNOWN, trial(QAT, 0.0, 212_000.0, 0.0)]
    assert not any(line.startswith(FORGETS) for line in advice(held))


def test_what_lacks_is_said_and_nothing_where_a_single_trial_held() -> None:
    assert advice([trial(INT8, 3.0, 1.0)], refusal="it is no Keras file")[1] == "a model that can be trained: it is no Keras file"
    assert advice(KNOWN, time_is_over=True)[-1].startswith("more time")
    assert advice([trial(INT8, 0.0, 211_000.0, 0.0)]) == []


def test_a_wider_limit_is_one_that_would_help() -> None:
    """None that is narrower, or that lets in a file no smaller than int8; where nothing holds, the nearest of all."""
    assert not any("wider" in line for line in advice([trial(INT8, 0.0, 211_000.0, 0.0), trial(QAT, 6.4, 212_000.0)]))
    assert advice([trial(INT8, 1.8, 211_000.0), trial(SMALLER, 8.2, 150_000.0)])[0].endswith("'drop<=1.8'")
    unjudged = trial(QAT, 0.3, 212_000.0)
    assert not any("drop<=0.3" in line for line in advice([trial(INT8, 0.0, 211_000.0, 0.0), unjudged]))
