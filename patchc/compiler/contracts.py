"""Contracts: what new entries of an axis have to be, so that old ones do not notice them.

A normalisation that the change of an axis reaches asks for new entries that
are zero, or the mean of the old ones.  What it asks goes back from tensor to
tensor, through whatever keeps it, to the layers whose weights can make it so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from patchc.compiler.movement import mover_of
from patchc.compiler.propagate import Spread
from patchc.errors import Diagnostic, PatchError
from patchc.layers.base import Port, Rule, complete
from patchc.layers.contracts import BOTH, NONE, ONLY_MEAN, ONLY_ZERO, Contract, Contracts, Norm
from patchc.layers.infer import rule_of
from patchc.layers.operations import LinkedRule, OperationRule, operation_rule
from patchc.layers.ports import aliases_of, dimension_in, ports_of
from patchc.model.graph import Call, Layer, Tensor, flatten

_WORDS: Mapping[Contract, str] = {"zero": "zero", "mean": "the mean of the old ones"}


class UnmetError(PatchError):
    """New entries cannot be what a layer asks for; copies of old ones might do."""


@dataclass(slots=True)
class Agreement:
    """What the new entries of all that changes have to be.

    Args:
        spread: what changes.
        made: by layer and dimension what its weights make new entries be.
        silent: tensors whose new entries are zero, whatever the input.
        shared: layers and dimensions whose weights share copies out, because
            what reads them cannot.
    """

    spread: Spread
    made: dict[tuple[Layer, str], Contract] = field(default_factory=dict)
    silent: set[Tensor] = field(default_factory=set)
    shared: set[tuple[Layer, str]] = field(default_factory=set)
    _asked: dict[Tensor, Contract] = field(default_factory=dict)
    _pending: list[tuple[Tensor, Contract]] = field(default_factory=list)
    _by: Call | None = None
    _wanted: Contract = "zero"

    @classmethod
    def of(cls, spread: Spread) -> Agreement:
        """Meet all that is asked for.

        Raises:
            UnmetError: PC306 where something cannot be met.
        """
        agreement = cls(spread)
        for call, norm in spread.norms.items():
            if norm.wants is None or spread.repeats:
                agreement._refuse_norm(call)
            agreement._demand(call, norm)
        for call in agreement._own_readers() if spread.preserve else ():
            if spread.repeats:
                agreement._share_out(call)
            else:
                agreement._demand(call, Norm("zero"))
        agreement._find_silent()
        return agreement

    def reads_silence(self, layer: Layer, label: str) -> bool:
        """Whether all that a layer reads along a dimension is zero in its new entries."""
        rule = rule_of(layer)
        if rule is None or not self.silent:
            return False
        config = complete(rule, layer.config)
        read = [
            self.spread.tensor(call, port)
            for call in layer.calls
            for port in self._ports(call, rule, config, label)
            if not port.output
        ]
        return bool(read) and all(tensor in self.silent for tensor in read)

    def _ports(
        self, call: Call, rule: Rule, config: Mapping[str, Any], label: str
    ) -> Iterator[Port]:
        """The ports of a call that run over a dimension."""
        spec = self.spread.spec(call)
        aliases = aliases_of(rule, config, spec)
        for port in ports_of(rule, config, spec):
            if dimension_in(port.label, label, aliases) is not None:
                yield port

    # -------------------------------------------------------------------- backwards

    def _demand(self, call: Call, norm: Norm) -> None:
        """Let a call have what it asks for."""
        assert norm.wants is not None
        self._by, self._wanted = call, norm.wants
        tensors = call.tensors()
        asked = [tensors[index] for index in norm.of] if norm.of else tensors
        if norm.one:
            self._ask_one(asked)
            return
        for tensor in asked:
            self._ask(tensor, norm.wants)
        self._work_off()

    def _own_readers(self) -> Iterator[Call]:
        """Calls that read a changing axis with a weight that makes it elsewhere."""
        for layer, labels in self.spread.dimensions.items():
            rule = rule_of(layer)
            if rule is None:
                continue
            config = complete(rule, layer.config)
            for call in layer.calls:
                label = rule.reads_itself(config, self.spread.spec(call))
                if label in labels and self.made.get((layer, label)) != "zero":
                    yield call

    def _share_out(self, reader: Call) -> None:
        """Let the layer behind which only this call reads share out its copies.

        The weight of the call is the one that makes copies elsewhere, and has
        to stay what it is.
        """
        tensor = reader.tensors()[0]
        while self._is_plain_step(tensor.call):
            self._check_only_reader(tensor, reader)
            tensor = tensor.call.tensors()[0]
        self._check_only_reader(tensor, reader)
        layer = tensor.layer
        rule = None if layer.graph is not None else rule_of(layer)
        if rule is None or len(layer.calls) > 1:
            self._refuse_norm(reader)
        config = complete(rule, layer.config)
        label = self._label_of(tensor, rule, config)
        if label is None or not rule.factors(config):
            self._refuse_norm(reader)
        self.shared.add((layer, label))

    def _is_plain_step(self, call: Call) -> bool:
        """Whether a call hands each entry of one tensor on, multiplied where it is multiplied."""
        layer = call.layer
        rule = rule_of(layer)
        linear = rule is not None and rule.kept(complete(rule, layer.config)) == BOTH
        return linear and self._is_plain(layer) and len(call.tensors()) == 1

    def _check_only_reader(self, tensor: Tensor, reader: Call) -> None:
        home = tensor.layer.home
        assert home is not None
        if len(self.spread.readers(tensor)) > 1 or tensor in flatten(home.outputs):
            self._refuse_norm(reader)

    def _work_off(self) -> None:
        while self._pending:
            self._meet(*self._pending.pop())

    def _ask(self, tensor: Tensor, contract: Contract) -> None:
        """Ask that the new entries of a tensor be something."""
        if tensor not in self.spread.changes:
            return
        known = self._asked.setdefault(tensor, contract)
        if known != contract:
            self._refuse(tensor.layer, f"would have to be {_WORDS[known]} as well")
        self._pending.append((tensor, contract))

    def _meet(self, tensor: Tensor, contract: Contract) -> None:
        """Let the maker of a tensor see to what is asked, or hand it on to what it reads."""
        call, layer = tensor.call, tensor.layer
        if layer.graph is not None:
            self._ask(flatten(layer.graph.outputs)[tensor.index], contract)
        elif layer.is_input:
            self._ask_outside(tensor, contract)
        elif layer.is_operation or mover_of(layer) is not None or self._is_plain(layer):
            if contract not in self._kept(call):
                self._refuse(layer, "cannot hand them on like that")
            if layer.class_name == "Multiply" and contract == "zero":
                self._ask_one(call.tensors())
                return
            for source in self._carriers(call):
                self._ask(source, contract)
        else:
            self._meet_by_label(tensor, contract)

    def _ask_one(self, factors: list[Tensor]) -> None:
        """A product is zero where one factor is: the first that can be."""
        changed = [factor for factor in factors if factor in self.spread.changes]
        for factor in changed:
            before = dict(self.made), dict(self._asked), list(self._pending)
            self._pending.clear()
            try:
                self._ask(factor, "zero")
                self._work_off()
            except UnmetError:
                self.made, self._asked, self._pending = before
                if factor == changed[-1]:
                    raise
            else:
                self._pending = before[2]
                return

    def _ask_outside(self, tensor: Tensor, contract: Contract) -> None:
        """What a nested model reads is made outside of it."""
        graph = tensor.layer.home
        assert graph is not None
        if graph.owner is self.spread.context.root:
            self._refuse(tensor.layer, "is an input of the model, which holds anything")
        position = flatten(graph.inputs).index(tensor)
        for call in graph.owner.calls:
            self._ask(call.tensors()[position], contract)

    def _meet_by_label(self, tensor: Tensor, contract: Contract) -> None:
        layer, call = tensor.layer, tensor.call
        rule = rule_of(layer)
        assert rule is not None  # the spread has come through it
        config = complete(rule, layer.config)
        spec = self.spread.spec(call)
        ports = ports_of(rule, config, spec)
        label = self._label_of(tensor, rule, config)
        if label is None:
            self._refuse(layer, "treats every entry of the axis alike, and adds to it")
        alone = len(call.tensors()) == 1  # not where query or factor is zero, and value is not
        if contract == "zero" and alone and call in self.spread.norms:
            return  # new entries of its output are zero
        ways = rule.meets(config, spec, label, contract)
        read = rule.carriers(config, spec)
        sources = [
            self.spread.tensor(call, port)
            for port in ports
            if "kept" in ways and not port.output and (read is None or port.index in read)
        ]
        if not ways or ("kept" in ways and not sources):
            self._refuse(layer, "cannot make them so")
        if "made" in ways:
            known = self.made.setdefault((layer, label), contract)
            if known != contract:
                self._refuse(layer, f"would have to make them {_WORDS[known]} as well")
        for source in sources:
            self._ask(source, contract)

    def _label_of(self, tensor: Tensor, rule: Rule, config: Mapping[str, Any]) -> str | None:
        """The dimension of its maker that a tensor changes with; None where it has no name."""
        call, axis = tensor.call, self.spread.changes[tensor][0]
        for label in self.spread.dimensions.get(tensor.layer, {}):
            for port in self._ports(call, rule, config, label):
                place = self.spread.tensor(call, port), port.axis
                if port.output and place == (tensor, axis):
                    return label
        return None

    def _is_plain(self, layer: Layer) -> bool:
        rule = rule_of(layer)
        assert rule is not None  # the spread has come through it
        return rule.is_elementwise(complete(rule, layer.config)) and not layer.weights

    def _kept(self, call: Call) -> Contracts:
        """The contracts that a layer without weights, or an operation, hands on."""
        layer, tensors = call.layer, call.tensors()
        if mover_of(layer) is not None:
            if not any(tensor in self.spread.changes for tensor in tensors):
                return NONE  # new entries that the layer adds by itself, as a padding does
            return BOTH if self._is_whole(call) else ONLY_ZERO
        changed = sum(tensor in self.spread.changes for tensor in tensors)
        if layer.is_operation:
            rule = operation_rule(layer.class_name, layer.module)
            if isinstance(rule, LinkedRule):
                carriers = self._carriers(call)
                some = sum(tensor in self.spread.changes for tensor in carriers)
                return rule.linker.kept if some == 1 else NONE
            assert isinstance(rule, OperationRule)  # the spread has come through it
            kept = rule.kept(self.spread.spec(call))
        else:
            found = rule_of(layer)
            assert found is not None
            kept = found.kept(complete(found, layer.config))
        if changed == len(tensors):
            return kept
        if layer.class_name == "Multiply" and changed == 1:
            return BOTH  # the others are one number for all features
        return ONLY_MEAN if kept == BOTH else NONE

    def _carriers(self, call: Call) -> list[Tensor]:
        """The tensors whose entries a call without weights makes its output of."""
        layer, tensors = call.layer, call.tensors()
        rule = operation_rule(layer.class_name, layer.module) if layer.is_operation else None
        if not isinstance(rule, LinkedRule):
            return tensors
        view = rule.view(layer.config, self.spread.spec(call))
        return [tensors[i] for i in view.carriers] if view.carriers else tensors

    def _is_whole(self, call: Call) -> bool:
        """Whether a movement leaves the axis together as it was."""
        ends = [*call.tensors(), *(Tensor(call, i) for i in range(len(call.outputs or [None])))]
        changes = self.spread.changes
        ways = {
            (changes[tensor][1], self.spread.size(tensor, changes[tensor][0]))
            for tensor in ends
            if tensor in changes
        }
        return len(ways) == 1

    # ---------------------------------------------------------------------- forwards

    def _find_silent(self) -> None:
        """Follow zeros from where they are made for as long as they last."""
        pending = [tensor for tensor, contract in self._asked.items() if contract == "zero"]
        pending += [Tensor(call) for call, norm in self.spread.norms.items() if norm.scaled]
        while pending:
            tensor = pending.pop()
            if tensor in self.silent or tensor not in self.spread.changes:
                continue
            self.silent.add(tensor)
            for call in self.spread.readers(tensor):
                if self._keeps_silent(call):
                    pending += [Tensor(call, i) for i in range(len(call.outputs or [None]))]

    def _keeps_silent(self, call: Call) -> bool:
        layer = call.layer
        changed = [tensor for tensor in call.tensors() if tensor in self.spread.changes]
        if layer.graph is not None or not all(tensor in self.silent for tensor in changed):
            return False
        if layer.is_operation or mover_of(layer) is not None or self._is_plain(layer):
            return "zero" in self._kept(call)
        rule = rule_of(layer)
        if rule is None or layer.weights:
            return False
        return "zero" in rule.kept(complete(rule, layer.config))

    # ----------------------------------------------------------------------- refusal

    def _refuse_norm(self, call: Call) -> NoReturn:
        layer = call.layer
        self._raise(
            f"its axis reaches `{layer.path}` ({layer.class_name}), which lets its entries"
            " depend on one another"
        )

    def _refuse(self, layer: Layer, reason: str) -> NoReturn:
        assert self._by is not None
        norm = self._by.layer
        self._raise(
            f"`{norm.path}` ({norm.class_name}) needs new entries that are {_WORDS[self._wanted]},"
            f" and `{layer.path}` ({layer.class_name}) {reason}"
        )

    def _raise(self, reason: str) -> NoReturn:
        source = self.spread.source
        raise UnmetError(
            Diagnostic(
                "PC306",
                f"`{source.path}` cannot change: {reason}",
                self.spread.context.edit.verb_span,
                "change a layer whose features end before that, or replace the layers"
                " between as a `block`",
            )
        )
