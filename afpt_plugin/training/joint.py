"""Runs that train at the same time and share each pass of the text tower.

Runs that differ only in the seed put different contexts in front of the same
class names, so their training steps can share a pass of the tower. Each run
keeps its own Brain, optimizer, order of batches and folder. It proceeds alone
until its next training step, and there waits for the others:

>>> said = []
>>> def make(name):
...     def run():
...         said.append(name)
...     return run
>>> JointRuns([make("one"), make("two")]).run()
[None, None]
>>> said
['one', 'two']

Runs are threads of which only one is active at a time, so that it alone uses
the global state of the process (the log, random numbers).

Authors
 * The afpt_plugin developers 2026
"""

import logging
import threading

from afpt_plugin.training.cuda_graph import CapturedStep

_OWN = threading.local()


class Stopped(BaseException):
    """Ends a run when the others are stopped."""


def current_run():
    """Return the `JointRun` that is the current thread, or None."""
    return getattr(_OWN, "current_run", None)


class JointRun(threading.Thread):
    """A run that takes its training steps together with other runs.

    Arguments
    ---------
    function : callable
        The run; whatever it raises ends up in ``error``.
    """

    def __init__(self, function):
        super().__init__(daemon=True)
        self.function = function
        self.error = self.asked = self.answer = None
        self.is_over = self.is_stopped = False
        self._may_go, self._rests = (
            threading.Semaphore(0),
            threading.Semaphore(0),
        )
        self._log = logging.root.handlers[:], logging.root.level

    def run(self):
        """Run the function, as the thread's body."""
        _OWN.current_run = self
        self._may_go.acquire()
        try:
            if not self.is_stopped:
                self.function()
        except BaseException as error:
            self.error = error
        self.is_over = True
        self._rests.release()

    def go_on(self):
        """Let the run proceed until its next training step or its end."""
        outside = logging.root.handlers[:], logging.root.level
        logging.root.handlers[:], logging.root.level = self._log
        self._may_go.release()
        try:
            self._rests.acquire()
        finally:
            self._log = logging.root.handlers[:], logging.root.level
            logging.root.handlers[:], logging.root.level = outside

    def step(self, brain, batch):
        """Wait for the other runs; return the batch's outputs and loss."""
        self.asked = brain, batch
        self._rests.release()
        self._may_go.acquire()
        if self.is_stopped:
            raise Stopped
        return self.answer


class JointRuns:
    """Runs that take their training steps together.

    Arguments
    ---------
    functions : list of callable
        The runs.
    """

    def __init__(self, functions):
        self.runs = [JointRun(function) for function in functions]
        self._steps = {}

    def run(self):
        """Run all; return the exception that each raised, or None."""
        alive = self.runs
        for each in alive:
            each.start()
        try:
            while alive:
                for each in alive:
                    each.go_on()
                alive = [each for each in alive if not each.is_over]
                self._step(alive)
        finally:
            for each in self.runs:
                if not each.is_over:
                    each.is_stopped = True
                    each._may_go.release()
                    each.join()
        return [each.error for each in self.runs]

    def _step(self, alive):
        """Answer all waiting runs, those of like Brains in one pass."""
        groups = []
        for each in alive:
            brain = each.asked[0]
            for group in groups:
                if _are_alike(group[0].asked[0], brain):
                    group.append(each)
                    break
            else:
                groups.append([each])
        for group in groups:
            brains, batches = zip(*(each.asked for each in group), strict=True)
            answers = self._step_of(brains)(batches)
            for each, answer in zip(group, answers, strict=True):
                each.answer = answer

    def _step_of(self, brains):
        """Return the `CapturedStep` of some Brains."""
        if brains not in self._steps:
            # Drop the steps of finished runs, which do not come back.
            self._steps = {
                known: step
                for known, step in self._steps.items()
                if not set(known) & set(brains)
            }
            self._steps[brains] = CapturedStep(
                lambda batches: forward_together(brains, batches),
                [p for brain in brains for p in brain.modules.parameters()],
                brains[0].grad_accumulation_factor,
            )
        return self._steps[brains]


def _are_alike(one, other):
    """Whether two Brains can share a pass of the tower."""
    return (
        one.clap is other.clap
        and one.precision == other.precision
        and one.grad_accumulation_factor == other.grad_accumulation_factor
        and one.learner.shares_pass_with(other.learner)
    )


def forward_together(brains, batches):
    """Compute each Brain's outputs and loss in one pass of the tower."""
    learners = [brain.learner for brain in brains]
    with brains[0].training_ctx:
        classes = learners[0].classes_of(learners, brains[0].clap)
    return [
        brain.forward_pass(batch, own)
        for brain, batch, own in zip(brains, batches, classes, strict=True)
    ]
