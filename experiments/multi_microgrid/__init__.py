"""Model 1's study: what mobile storage is worth, and how that depends on what is assumed.

Source: Zhang et al. 2025 (doi 10.1155/etep/2656439). `plan` says what is run, `conduct` runs it, the other modules
make tables and figures of the rows.
"""
