"""What Holdfast costs, measured side by side in one run: ``python -m benchmarks``, or ``make figures``.

    figure                what was measured, beside what was aimed at, and both as a table
    measuring             competitors in turn, so that a noisy machine hits all of them
    memory                what a process and its children hold at once
    walking               programs and steps a second of the sequence lens
    faulting              programs a second of the fault lens
    checking              time and memory of `holdfast check`
    plugin                what an installed and unused pytest plugin costs
    hypothesis_machine    Hypothesis' own state machine beside the sequence lens
    random_machine        machines made from a subject beside a plain one on fakeredis, and hunts
    races                 programs of a few workers, and what came of exploring them
    rivals                other explorers, in environments of their own
    with_frontrun         the races explored by frontrun
    with_simloom          the races explored by simloom
    exploring             schedules a second, first bugs and exhaustion, beside frontrun and simloom

Start with ``walking``. Each figure is a module whose docstring is its method; ``figures`` measures it. Nothing asserts a
duration: figures describe the machine that they were taken on.
"""
