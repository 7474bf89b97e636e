"""Make all views anew from the history while workers keep the live ones, and swap them.

A rebuild goes through phases, each of which can be done again from where it stopped:

    load      facts are copied from every partition's first offset, losers and all, no index kept
    settle    one row an entity is left, keys and indexes are made
    derive    runs, links and counters are computed from the facts, many runs a transaction
    catch up  what has come since is applied as a live worker applies it
    swap      in one step readers and workers go over to the new generation

`rebuild` is the way through it. Only `activation` changes which generation is active; everyone who
writes views enters a generation by it.
"""
