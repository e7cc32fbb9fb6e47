"""Recipes: what they refuse, and which variants they ask for."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgecls.errors import RecipeError
from edgecls.records.recipe import (
    CONTROL,
    Pruning,
    QuantizationAwareTraining,
    Recipe,
    control_stages,
    fingerprint,
    is_variant_name,
    parse_recipe,
    read_recipe,
)


def test_every_combination_is_made_in_the_order_of_application() -> None:
    recipe = parse_recipe(
        {"pruning": {"sparsity": 0.5}, "clustering": {"clusters": 16}, "qat": {}, "control": True}, Recipe, "here"
    )
    assert list(recipe.wanted) == [
        "control",
        "control2",
        "control3",
        "pruned50",
        "clustered16",
        "qat",
        "pruned50-clustered16",
        "pruned50-qat",
        "clustered16-qat",
        "pruned50-clustered16-qat",
    ]
    assert recipe.wanted["pruned50-qat"] == (Pruning(sparsity=0.5), QuantizationAwareTraining())
    assert recipe.wanted[CONTROL] == ()
    assert all(is_variant_name(name) for name in recipe.wanted)
    assert not is_variant_name("pruned50-zipped")
    assert [control_stages(name) for name in ("control", "control3", "pruned50", "control-qat")] == [1, 3, None, None]


def test_variants_can_be_chosen() -> None:
    recipe = parse_recipe({"pruning": {"sparsity": 0.625}, "qat": {}, "variants": ["pruned62.5-qat"]}, Recipe, "here")
    assert list(recipe.wanted) == ["pruned62.5", "pruned62.5-qat"]  # the second starts from the first
    assert list(recipe.model_copy(update={"control": True}).wanted) == ["control2", "pruned62.5", "pruned62.5-qat"]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({"pruning": {"sparsity": 0}}, "pruning.sparsity: input should be greater than 0, given 0"),
        ({"pruning": {"sparsity": 1}}, "pruning.sparsity: input should be less than 1, given 1"),
        ({"pruning": {"sparsity": 1.5}}, "given 1.5"),
        ({"pruning": {"sparsity": 0.6, "pattern": "2:4"}}, "2:4 is a sparsity of 0.5, not of 0.6"),
        ({"pruning": {"sparsity": 0.6, "pattern": "rows"}}, "'rows' is not unstructured, 2:4 or a block"),
        ({"pruning": {"sparsity": 0.6, "patern": "4x1"}}, "the unknown key pruning.patern (known beside it: end, pattern"),
        ({"prunning": {"sparsity": 0.6}}, "the unknown key prunning (known beside it: channels, clustering, control"),
        ({"training": {"augmentation": {"rotate": 3}}, "qat": {}}, "training.augmentation.rotate (known beside it: flip"),
        ({"clustering": {"clusters": 1}}, "clustering.clusters: input should be greater than or equal to 2"),
        ({"qat": {}, "variants": ["pruned50"]}, "variants among qat, not pruned50"),
        ({"qat": {}, "variants": []}, "variants among qat, not none"),
        ({"training": {"epochs": 3}}, "nothing to do"),
        ({"qat": {}, "training": {"learning_rate": -1}}, "training.learning_rate"),
    ],
)
def test_recipes_are_strict(content: dict, expected: str) -> None:
    with pytest.raises(RecipeError) as caught:
        parse_recipe(content, Recipe, "recipe.toml")
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_no_toml_names_the_line(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text("[pruning]\nsparsity == 0.5\n")
    with pytest.raises(RecipeError, match="line 2"):
        read_recipe(path, Recipe)
    with pytest.raises(RecipeError, match="No such file"):
        read_recipe(tmp_path / "none.toml", Recipe)


def test_a_fingerprint_tells_every_value_and_every_boundary_apart() -> None:
    half, more = Pruning(sparsity=0.5), Pruning(sparsity=0.6)
    assert fingerprint(half, "a") == fingerprint(half, "a")
    assert len({fingerprint(half, "a"), fingerprint(more, "a"), fingerprint(half, "b"), fingerprint(half, "a", "")}) == 4
