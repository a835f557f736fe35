"""Bug report → draft of a case with its machine in place: `nvsim draft`.

Readers (`pieces`, `smi`, `toolkit_log`, `machine`, `documents`, `commands`, `errors`) turn texts into Facts; `host`,
`causes` and `case` decide what a case says and what of it had to be assumed; `writer` writes it with a comment on each
assumption.
"""
