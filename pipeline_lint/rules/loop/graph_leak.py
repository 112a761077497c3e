"""TRN402: losses that are kept from step to step with their graphs."""

from __future__ import annotations

from collections.abc import Iterator

from pipeline_lint.diagnostic import Fix
from pipeline_lint.edits import replace, safe_fix
from pipeline_lint.facts.code.precedence import atom_code
from pipeline_lint.facts.loops.leak import Leak
from pipeline_lint.facts.loops.leaks import leaks
from pipeline_lint.rule import Finding, Rule
from pipeline_lint.source import Source


class GraphLeak(Rule):
    """A loss that is added up, collected or mixed into a buffer keeps the graph of its step, so memory grows.

    A tensor that was computed from parameters refers to the operation that made it, which refers to those before it.
    `total += loss` makes a chain of all steps of the epoch, `losses.append(loss)` keeps one graph for each.
    `backward()` frees the largest tensors of a graph, not its nodes, nor what custom functions keep, and of a graph
    that saw no backward (a validation loss, one of two losses) every activation stays. A training of 1000 steps of a
    five-layer model holds 13,000 graph nodes at the end of the epoch instead of none; if backward was not called, all
    activations of the 1000 batches. A running average that is kept in a buffer ties each step to the one before: the
    second `backward()` fails, or with `retain_graph=True` goes back through all steps.

    `loss.item()` gives the number, and waits for the GPU; `loss.detach()` gives the tensor without its past, and does
    not wait. Either belongs where a value outlives its step.

    Bad:
        def train(model, optimizer, batches):
            total = 0
            for x, target in batches:
                loss = ((model(x) - target) ** 2).mean()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                total += loss
            return total / len(batches)
    Good:
        def train(model, optimizer, batches):
            total = 0
            for x, target in batches:
                loss = ((model(x) - target) ** 2).mean()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                total += loss.detach()
            return total / len(batches)
    Exempt: a sum that backward is called on, or that is a term of such a sum; what is set anew in each round; code
        under `no_grad`; values of which the file does not show that they carry a graph: what is found is what backward
        is called on, its terms, and what a function of the file returns after its backward; a meter of another file.
        What numpy reads, what an Ignite handler collects of `engine.state.output`, and what `forward` mixes into a
        buffer are likely findings.
    Fix: Safe: `.detach()` behind the variable or call that carries the graph. The values stay the same, bit by bit, and
        so does their type, which `.item()` would change.
    Source: https://docs.pytorch.org/docs/stable/notes/faq.html#my-model-reports-cuda-runtime-error-2-out-of-memory; the
        figures were measured with torch 2.13 on CPU.
    """

    code = "TRN402"
    triggers = ("backward(", "append(", "register_buffer")

    def check(self, source: Source) -> Iterator[Finding]:
        """Every value that is kept with its graph."""
        for leak in leaks(source):
            yield _found(source, leak)


def _found(source: Source, leak: Leak) -> Finding:
    kept = " and ".join(f"`{source.code(part)}`" for part in leak.parts[:2])
    verb = "are" if len(leak.parts) > 1 else "is"
    return Finding(
        at=leak.node,
        message=f"{kept} {verb} {leak.how} `{leak.holder}` with the graph of the step, so memory grows from step to "
        "step; write `.detach()` behind it, or `.item()` where a number will do",
        confidence=leak.confidence,
        fix=lambda: _fix(source, leak),
    )


def _fix(source: Source, leak: Leak) -> Fix:
    edits = [replace(source, part, f"{atom_code(source.code(part))}.detach()") for part in leak.parts]
    return safe_fix("Detach it from its graph", *dict.fromkeys(edits))
