"""Ways of looking at a subject. Each turns a subject into behaviours, by programs that a runner carries out.

    runner      carries out programs, here or in worker processes
    sequence    every operation from every reachable state
    time        the same after the clock was moved to, and just before and after, each horizon
    race        each pair of operations at once, in every interleaving; and what the subject declares by hand
    fault       each call with each fault at each of its steps

The lenses decide which programs; what a program shows does not depend on the lens.
"""
