"""What is wrong with the new layers of an edit, as far as no model is needed to tell."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from patchc.errors import Diagnostic, PatchError
from patchc.language.patch import Edit, Element, LayerSpec, Patch, Residual
from patchc.layers.arguments import check_config
from patchc.layers.opaque import OPAQUE
from patchc.layers.registry import canonical_class_name, near_classes, rule_by_name


def check_new_layers(patches: Sequence[Patch]) -> None:
    """Raise PatchError with all problems of all new layers."""
    found = [p for patch in patches for edit in patch.edits for p in new_layer_problems(edit)]
    if found:
        raise PatchError(*found)


def new_layer_problems(edit: Edit) -> Iterator[Diagnostic]:
    """Unknown classes (PC303, PC308), and configurations that the class does not take."""
    for spec in _specs(getattr(edit.verb, "chain", ())):
        rule = rule_by_name(spec.class_name)
        if rule is None or rule.class_name == "InputLayer":
            yield _unknown_class(spec)
            continue
        for problem in check_config(rule, spec.config).problems:
            spans = spec.key_spans if problem.about_key else spec.spans
            span = spans.get(problem.key or "", spec.span)
            yield Diagnostic("PC303", problem.message, span, problem.help or _SEE_KERAS)


_SEE_KERAS = "write the keys and values that the Keras constructor takes"


def _specs(chain: Sequence[Element]) -> Iterator[LayerSpec]:
    for element in chain:
        if isinstance(element, LayerSpec):
            yield element
        elif isinstance(element, Residual):
            yield from _specs(element.chain)


def _unknown_class(spec: LayerSpec) -> Diagnostic:
    name = canonical_class_name(spec.class_name)
    if name in OPAQUE or name == "InputLayer":
        message = f"a new {name} cannot be built: {OPAQUE.get(name, 'inputs are not inserted')}"
        help_text = "use a layer that `patchc` has a rule for"
        return Diagnostic("PC308", message, spec.span, help_text)
    if ">" in name:
        message = f"a new {name} cannot be built: no rule has been declared for the class"
        way_out = "declare one with `patchc.rules.register`, and name its module with `--import`"
        return Diagnostic("PC308", message, spec.span, way_out)
    near = " or ".join(f"`{n}`" for n in near_classes(name))
    help_text = f"did you mean {near}?" if near else "see keras.io/api/layers"
    return Diagnostic("PC303", f"Keras has no layer class `{name}`", spec.span, help_text)
