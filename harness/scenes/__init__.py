"""Pictures drawn from a known scene, so that every question about them has a true answer: see `generate`.

`harness.scenes.tasks` has the questions and judges the answers; `harness.scenes.training` feeds a model with them.
"""

from __future__ import annotations

from harness.scenes.figures import DrawnFigure, draw_figure, figure_plan
from harness.scenes.folder import SceneFolder, load_scenes, write_scenes
from harness.scenes.generator import GENERATOR_VERSION, SIDE, DrawnScene, generate, plan
from harness.scenes.model import Box, Figure, Picture, Relation, Scene, SceneObject, from_json, to_json
from harness.scenes.vocabulary import (
    Colour,
    FigureKind,
    Kind,
    Light,
    Pattern,
    Placement,
    RelationKind,
    Setting,
    Size,
    Stratum,
)

__all__ = [
    "GENERATOR_VERSION",
    "SIDE",
    "Box",
    "Colour",
    "DrawnFigure",
    "DrawnScene",
    "Figure",
    "FigureKind",
    "Kind",
    "Light",
    "Pattern",
    "Picture",
    "Placement",
    "Relation",
    "RelationKind",
    "Scene",
    "SceneFolder",
    "SceneObject",
    "Setting",
    "Size",
    "Stratum",
    "draw_figure",
    "figure_plan",
    "from_json",
    "generate",
    "load_scenes",
    "plan",
    "to_json",
    "write_scenes",
]
