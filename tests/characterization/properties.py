"""How properties are tested here: no database in anybody's folder, and no durations."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st

from characterization.program import RESERVED

quick = settings(max_examples=100, deadline=None, database=None)
slow = settings(max_examples=25, deadline=None, database=None)

labels = st.text(max_size=12) | st.text(alphabet="@12 ;'\"\\|\n\u2028a+", max_size=8)
names = st.from_regex(r"[a-z_][a-z0-9_]{0,8}", fullmatch=True).filter(lambda name: name not in RESERVED)
lines = st.text(min_size=1, max_size=30) | st.text(alphabet="|;\\ \n\r\x85\u2028>a#", min_size=1, max_size=12)
