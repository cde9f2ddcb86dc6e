"""All contracts, one per hand-over, in the order of the road.

    ingest -> check -> explain -> check -> featurize -> check -> train -> check -> release -> check

Each `check_<name>(...)` returns a `CheckReport`; `.enforce()` stops the flow on a blocking failure.
"""

from features.contracts.inputs import check_catalog, check_interactions
from features.contracts.numbers import check_feature_rows, check_training_set, check_vectors
from features.contracts.outcomes import check_against_live, check_metrics, check_online_reads
from features.contracts.texts import answer_frame, check_answers, check_explanations, check_facets, check_facts

__all__ = [
    "answer_frame",
    "check_against_live",
    "check_answers",
    "check_catalog",
    "check_explanations",
    "check_facets",
    "check_facts",
    "check_feature_rows",
    "check_interactions",
    "check_metrics",
    "check_online_reads",
    "check_training_set",
    "check_vectors",
]
