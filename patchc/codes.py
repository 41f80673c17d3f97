"""The diagnostic codes: what each means, how to fix it, and an example.

PC0xx YAML, PC1xx schema, PC2xx select, PC3xx compile, PC4xx read and write,
PC5xx verify, PC9xx lints (warnings).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from inspect import cleandoc

__all__ = ["CODES", "Code"]


@dataclass(frozen=True, slots=True)
class Code:
    """One diagnostic code.

    Args:
        title: a few words; lower case, no full stop.
        explanation: what it means, how to fix it, and a short example.
    """

    title: str
    explanation: str


_TEXT = {
    "PC001 the file is not plain UTF-8 text": """
        A patch is UTF-8 (a byte order mark is allowed at its start). Control characters and
        invisible characters that reorder text are refused: they make two names look alike.
        Save the file as UTF-8 and take the character out.
        Example: a file that an editor saved as UTF-16 or Latin-1.""",
    "PC002 the YAML cannot be read": """
        The text is not YAML; what stands behind this place was not looked at. Often a pattern
        needs quotes: one that begins with `*`, `@` or `%`, or that holds `[` or `?` inside braces.
        Tabs do not indent.
        Example: `select: **/bn` must be `select: "**/bn"`.""",
    "PC003 YAML feature that patches do without": """
        Tags, anchors, aliases, merge keys (`<<`) and directives are refused: they hide what a patch
        does, and some run code in other readers. Write the value out, or quote it if it is text.
        Example: `select: *head` is an alias; the pattern is `select: "*head"`.""",
    "PC004 the same key twice": """
        A mapping holds a key once; other readers would silently keep the last one. Keep one of the
        two, or make two edits.
        Example: two `expand:` in one edit.""",
    "PC005 not exactly one mapping": """
        A patch file holds one YAML document, and that is a mapping. Put a second patch into a file
        of its own; several patches can be given in one call.
        Example: an empty file, or a second `---`.""",
    "PC006 too large or too deep": """
        A patch is at most 1 MiB, 32 levels deep and 50,000 values. Split it, or leave out what
        repeats; weights do not belong into a patch.
        Example: a list inside a list, 33 times over.""",
    "PC007 scalar or key that is not allowed": """
        Keys are text, numbers are finite and of sensible length, and lists stand in square
        brackets. Quote what is meant as text.
        Example: `kernel_size: (3, 3)` must be `kernel_size: [3, 3]`; a key `1` must be `"1"`.""",
    "PC101 unknown key": """
        The key means nothing at this place. Nothing is ignored silently, so a typing error cannot
        turn an edit into another one. The help line names the nearest key.
        Example: `frezee: true`.""",
    "PC102 missing key": """
        A key that must be there is not: `patchc`, `id` and `edits` in a patch, `select` in an edit,
        a size in `expand`. Add it.
        Example: `expand: {axis: units}` needs `by` or `to`.""",
    "PC103 wrong type": """
        The value has another type than the key takes. Nothing is converted: "2" is text, 2.0 is no
        whole number, and `yes` is text (YAML 1.2).
        Example: `expand: {by: "2"}` must be `expand: {by: 2}`.""",
    "PC104 value not allowed": """
        The type is right, the value is not: out of range, empty, or none of the words that are
        known. The message says what is allowed.
        Example: `expand: {by: 0}`.""",
    "PC105 not exactly one verb": """
        An edit has a selector and one verb: replace, expand, shrink, freeze, insert_before,
        insert_after, add_output, remove, truncate, set, rename, or `init` alone. Edits see the
        model in order, so make one edit for each verb.
        Example: `freeze: true` and `expand: {by: 2}` in one edit.""",
    "PC106 unknown strategy": """
        `init` takes a Keras initialiser by name or with arguments, or default, mean, sample, copy,
        keep, identity, repeat, sum; per weight or for all. Values cannot come from another model.
        Example: `init: {kernel: he_normal, bias: {constant: -4.6}}`.""",
    "PC107 keys that exclude each other": """
        Two keys contradict each other, or one has no meaning beside the other. Keep one of them.
        Example: `by` and `to` in one `expand`; `init` beside `freeze`.""",
    "PC108 parameter": """
        A `$name` that `params` does not declare, a parameter without a value, or a value that does
        not fit its declaration. Set it with `--set name=value`, declare a default, or write `$$`
        for a dollar at the start of a text.
        Example: `params: {classes: {type: integer, minimum: 2}}` and `--set classes=1`.""",
    "PC201 selector matches nothing": """
        No layer of the model, as the edits before have left it, is picked. Look at the names with
        `patchc inspect MODEL --select SELECTOR`. Where none is fine, write `count: any`.
        Example: `select: predicitons`. Wildcards pick no nested models and no inputs.""",
    "PC202 wrong number of matches": """
        The verb takes one layer and several are picked, or `count` says another number. Narrow the
        selector (`nth`, `first`, `last`, a path), or say with `count` how many are meant.
        Example: `select: {class: Dense}` with `expand` in a model with three Dense layers.""",
    "PC203 head, block or fork is ambiguous": """
        The way back from the output forks before a layer makes the features, or the region has
        several ways in or out. Name the layer, or choose bounds that one tensor enters and one
        leaves.
        Example: `select: {head: 0}` behind an Add of two Dense layers.""",
    "PC204 selector that cannot be used": """
        The selector cannot be looked up: a regular expression that is wrong or whose engine is not
        installed (`pip install patchc[regex]`), or an index that the model does not have.
        Example: `select: {output: 3}` in a model with one output.""",
    "PC301 the verb does not apply here": """
        What was selected has nothing that the verb could change. The message says what does: a
        layer inside a nested model, another verb, another key.
        Example: `expand` on a Dropout; `set: {units: 5}`, which is `expand: {to: 5}`.""",
    "PC302 shapes do not fit": """
        A layer would get an input that it or its weights cannot read. Nothing is re-initialised
        silently. Select a `block` that holds the consumers too, or grow with `expand`.
        Example: replacing a Dense of 4096 units by one of 1024 in front of a trained Dense.""",
    "PC303 unknown layer class or argument": """
        The class is none of Keras's, or its constructor has no such argument or value. Names are
        those of Keras. A custom class needs its registered name and its code (`--import MODULE`).
        Example: `Dense: {unit: 5}`.""",
    "PC304 name taken or not valid": """
        Layer names are unique in a model and hold no slash. Leave `name` out (an automatic name is
        made unique), or choose another; a name cannot be given to several new layers.
        Example: `rename: fc1` where another layer is called fc1.""",
    "PC305 init key or strategy does not fit": """
        The key names no weight that gets new values, or the strategy means nothing there:
        mean, sample, copy and repeat need existing entries (`expand`), keep goes with `replace`,
        identity with `insert_before` and `insert_after`, sum with `shrink` of an input.
        Example: `init: {kernal: zeros}`.""",
    "PC306 growth cannot follow": """
        Something that reads the grown or shrunk axis cannot change with it: an unknown class, a
        reshape that mixes the axis, groups that do not divide, or a model output. The message names
        the layer, the axis and the way out.
        Example: growing a convolution whose channels leave the model as an output.""",
    "PC307 expectation is not met": """
        The model is not the one that `expect` or `requires` describes, so nothing is done. Give the
        right model, apply the required patch first, or correct the expectation.
        Example: `expect: {output_shape: [null, 10]}` and a model with 1000 classes.""",
    "PC308 unsafe or unknown class": """
        The patch or model needs code: a Lambda, or a class that patchc does not know. Nothing from
        a file is executed. Declare a rule for a class of your own (`patchc.rules`), and name its
        module with `--import MODULE`; a layer that no edit touches is carried through as it is.
        Example: `replace: {Lambda: {function: ...}}`.""",
    "PC309 the graph would be broken": """
        After the edit nothing would be left, an input would not lead anywhere it must, or a layer
        would feed itself. Select something else, or put new layers in its place with `replace`.
        Example: `remove: true` on every layer.""",
    "PC310 not available in this version": """
        The patch is meaningful, but this version of patchc cannot do it for this layer or model.
        The message names the way around, where there is one.
        Example: an edit inside a model that is shared in two places.""",
    "PC311 no patch leads from one model to the other": """
        `patchc diff --as-patch` looks for edits that turn the first model into the second, and
        keeps only what the compiler confirms. Here it found none, or there is nothing that a patch
        could do. The message names what is left: write those edits by hand, or build it anew.
        Example: a model that gained a nested model, which no verb makes.""",
    "PC312 a module cannot be imported": """
        `--import` names a module with layer classes of your own, and perhaps rules for them
        (`patchc.rules`). It is looked for where Python looks, and then in the current directory.
        The message shows what Python or the module itself said.
        Example: `patchc apply m.keras p.yaml -o out.keras --import my_layres`.""",
    "PC313 the patch is in the model already": """
        The model's history holds a patch of this id. To apply it a second time is seldom meant, so
        it takes `--again`. A changed patch is another one: give it an id of its own.
        Example: `patchc apply patched.keras p.yaml -o out.keras`, where `p.yaml` made it.""",
    "PC314 patches contradict each other": """
        The later patch fits the model, but not what the earlier one makes of it. The place is that
        of the edit that is in its way; the other place is told beside it. Give the patches in the
        other order, where that works, or write one patch that does both.
        Example: one patch removes a layer that the next one grows.""",
    "PC315 an applied patch was edited": """
        A patch of the folder is in the model's history, and was another text when it was applied.
        What has been applied stays as it is: put the file back, and write a further patch.
        Example: `patchc apply model.keras patches/ -o out.keras`.""",
    "PC316 the history cannot be carried over": """
        `adopt` gives the history of a model to the same model after a training. The first one has
        none, the second has another one already, or they are not built alike. Name the model as it
        was before the training, and as Keras saved it after.
        Example: `patchc adopt other.keras trained.keras -o out.keras`.""",
    "PC401 the file cannot be read": """
        It is not there, is no file, or may not be read. Look at the path and the permissions. Only
        local files are read.
        Example: `patchc validate missing.yaml`.""",
    "PC402 not a Keras model file": """
        The content is neither a `.keras` archive nor an HDF5 file of Keras. Save the model with
        `model.save("m.keras")`. SavedModel directories and pointers of git-lfs are no model files.
        Example: a file that was renamed to `.keras`.""",
    "PC403 damaged or unsafe archive": """
        The file's structure contradicts itself or points outside of it: a wrong checksum, a cut
        end, overlapping or duplicate members, external links. Fetch or save the file again.
        Example: a download that was interrupted.""",
    "PC404 the configuration is not understood": """
        The model's configuration is no JSON, or not the configuration of a Keras model. Save the
        model again with Keras 3, or try `patchc convert` on an older file.
        Example: a connection to a layer that is not there.""",
    "PC405 the weights do not fit the configuration": """
        A layer of the configuration has other weights, or weights of other shapes, in the file.
        Keras would load wrong values or none. Save configuration and weights together.
        Example: a weights file of another version of the model.""",
    "PC406 the output is refused": """
        The output exists already, is the input, or its directory cannot be written. Choose another
        name, or say what you want: `--force` replaces a file, `--in-place` the input.
        Example: `patchc apply m.keras p.yaml -o m.keras`.""",
    "PC407 writing failed": """
        The disk is full or gave an error. No partial file is left behind and the input is as it
        was. Make room, or write to another disk.
        Example: no space left on device.""",
    "PC408 the input has changed meanwhile": """
        The model is not what it was when it was planned or first read, so the plan is stale. Plan
        again, and do not write to the file while patchc reads it.
        Example: `patchc apply MODEL --plan PLAN` after a further training.""",
    "PC409 the plan cannot be used": """
        The file is no plan that `patchc plan -o` wrote, has another format version, or was edited:
        only what the patches give, and what was reviewed, is carried out. Plan again.
        Example: `patchc apply MODEL --plan PLAN`, where another version of patchc made PLAN.""",
    "PC410 the undo file cannot be used": """
        The file is none that `apply --undo-file` wrote, or the model is not the one that was
        written with it, or a later patch has changed its structure. Take the patches back in
        the order opposite to that in which they were applied.
        Example: `patchc revert other.keras --undo once.undo -o out.keras`.""",
    "PC411 the architecture is missing": """
        The file holds weights alone, and the edit has to know how the layers are connected. Put the
        architecture beside it, as `model.to_json()` writes it: `net.json` for `net.weights.h5`.
        Example: `freeze: true` on a `.weights.h5` file.""",
    "PC501 the result does not hold": """
        A check of the result failed: a kept weight differs, or the outputs moved by more than
        `verify` allows. The output is not published. Weaken `verify` only if the change is meant.
        Example: `verify: {outputs: same}` with `expand: {by: 2, preserve: false}`.""",
    "PC901 nothing to freeze": """
        None of the selected layers has weights, so the flag changes nothing. Counting layers from
        the end often hits activations and merges; add `weighted: true`.
        Example: `select: {last: 5}` in InceptionV3.""",
    "PC902 batch normalisation would train again": """
        An unfrozen BatchNormalization moves its statistics with every batch, which harms a model
        that is tuned on few data. Leave it out of the selection.
        Example: `select: {after: conv4_block6_out, not: {class: BatchNormalization}}`.""",
    "PC903 a layer stands on a softmax": """
        The new layer reads probabilities, not features: little of what the model knows is left in
        them. Insert before the head, or replace the head.
        Example: `insert_after` on the softmax layer of a classifier.""",
    "PC904 Keras restores this class as trainable": """
        Keras loads MultiHeadAttention, GroupQueryAttention and ConvLSTM with trainable weights,
        whatever the file says. Freeze them again after loading: `layer.trainable = False`, compile.
        Example: `freeze: true` on a transformer block.""",
    "PC905 optimizer state is dropped": """
        The stored state of the optimizer cannot be carried over, so training starts with a fresh
        one. That is so for another optimizer class; leave `optimizer` out to keep the state.
        Example: `compile: {optimizer: {AdamW: {learning_rate: 1.0e-4}}}`.""",
    "PC906 a new output has no loss": """
        The stored training configuration says nothing about the new output, so its loss is null and
        training would not reach it. Add the line that the message names.
        Example: `compile: {loss: {predictions: mse, is_indoor: binary_crossentropy}}`.""",
    "PC907 something without effect": """
        A unit, value or parameter of the patch changes nothing: units that stay dead because both
        of their sides start at zero, a parameter that is not used, a `$name` inside a longer text.
        Take it out, or give it an effect.
        Example: `name: head_$classes`; `$classes` stands for whole values only.""",
    "PC908 old entries will not be updated exactly as before": """
        The optimizer couples the entries of a weight: LAMB, Adafactor and Muon scale a step by
        the norm of the whole weight, `clipnorm` and `global_clipnorm` by that of the gradients.
        The stored state is kept, but as soon as new entries take part, the steps of old ones
        differ a little from what they would have been.
        Nothing has to be done. With Adam, SGD and the like, old entries go on exactly.
        Example: `expand: {by: 2}` on the head of a model that was trained with Adafactor.""",
    "PC909 Keras cannot load this without your code": """
        An older model names a class or function that is not one of Keras, or holds a layer that
        Keras 3 does not have: a custom layer, a Lambda, a loss of your own. `convert` carries it
        through as it is, with its weights.
        Pass the class to `load_model` by `custom_objects`, register it with Keras, or replace the
        layer by a patch.
        Example: a model of 2017 whose first layer is a Lambda that scales the image.""",
    "PC910 edits of several patches overlap": """
        Edits of different patches, given in one call, set the same key of a layer, change the same
        axis, make the same weight anew, or take out what the other has changed. The later one
        wins. Say it in one of them only, or leave it if that is what you want.
        Example: one patch freezes a layer and the next one unfreezes it.""",
    "PC911 not everything could be taken back": """
        The model was trained after it was patched. `revert` gives it back the structure from
        before the patch, and its weights carry what they have learned; what the patch had dropped
        or overwritten comes back as it was then, because nothing has trained it since.
        Example: `patchc revert trained.keras --undo once.undo -o out.keras`.""",
    "PC912 more layers may read what changes": """
        The file holds weights alone. One edit changes the features of a layer and another one what
        reads them; further layers take as many features, and nothing tells whether they read the
        same ones. They stay as they are. Change what they read as well if they do, or put the
        architecture beside the file.
        Example: `select: hidden` and `select: "out:input"`, where `gate` reads 64 features too.""",
}

CODES: Mapping[str, Code] = {
    head[:5]: Code(head[6:], cleandoc(explanation)) for head, explanation in _TEXT.items()
}
"""All codes in order."""
