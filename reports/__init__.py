"""Renders what was found for people. Everything here turns values of ``characterization`` into text, and does nothing else.

    words      lines that fit a screen: widths, wrapping, numbers with their nouns
    eliding    two long values side by side: only where they differ
    facts      what is surprising about a recording, as far as it can be computed soundly
    witness    an outcome of operations at once as rows and lanes, with the accesses that raced marked
    racing     operations at once as text, a lane for each client
    lanes      the same lanes as SVG
    anomalies  operations at once in a comparison and in a recording
    laws       the law matrix as text and Markdown, and laws that were broken or mended
    faults     calls that something goes wrong in: what is left behind, what got better or worse
    terminal   comparisons, recordings and explanations as plain text
    states     a recording as states, numbered, and the transitions between them; what was added and removed
    layout     where the boxes and lines of a graph go: layers from left to right
    drawing    boxes and lines as SVG
    graph      the state graph as text and as picture

Start with ``terminal``, which every command prints through; ``graph`` and ``lanes`` are the other doors.
"""
