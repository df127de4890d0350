"""The reference services as subjects: the only place of this package that imports ``engine``.

    relay       deduplicator, session store, coordinator and lifecycle manager of the relay core, and their refactor
    relay_laws  what their authors believe of them

They are named in ``pyproject.toml``, as a third party names its own.
"""
