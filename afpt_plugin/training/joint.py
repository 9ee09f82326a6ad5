"""Runs that learn at the same time: one pass of the text tower for all.

Seeds of one cell put different contexts in front of the same class names, so
their training steps can share a pass of the tower. Each run stays what it is,
with a Brain, an optimizer, an order of its batches and a folder of its own. It
goes on alone until its next training step, and there waits for the others:

>>> said = []
>>> def make(name):
...     def run():
...         said.append(name)
...     return run
>>> JointRuns([make("one"), make("two")]).run()
[None, None]
>>> said
['one', 'two']

Runs are threads that never run at the same time, so that whatever a process has
only once (the log, random numbers) belongs to one of them at a time.

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
    """The `JointRun` that this thread is, or None."""
    return getattr(_OWN, "current_run", None)


class JointRun(threading.Thread):
    """A run that takes its training steps together with others.

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
        """Be the thread."""
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
        """Let it run until its next training step, or its end."""
        outside = logging.root.handlers[:], logging.root.level
        logging.root.handlers[:], logging.root.level = self._log
        self._may_go.release()
        try:
            self._rests.acquire()
        finally:
            self._log = logging.root.handlers[:], logging.root.level
            logging.root.handlers[:], logging.root.level = outside

    def step(self, brain, batch):
        """Wait for the others; the batch's outputs and loss are returned."""
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
        """Run all; what each raised is returned, or None."""
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
        """Answer all that ask, those that are alike in one pass."""
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
        """The `CapturedStep` of some Brains."""
        if brains not in self._steps:
            # Whoever has gone does not come back.
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
    """Outputs and loss of each Brain's batch, from one pass of the tower."""
    learners = [brain.learner for brain in brains]
    with brains[0].training_ctx:
        classes = learners[0].classes_of(learners, brains[0].clap)
    return [
        brain.forward_pass(batch, own)
        for brain, batch, own in zip(brains, batches, classes, strict=True)
    ]
