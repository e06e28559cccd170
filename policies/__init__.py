"""Rules that every stack keeps, whatever its settings say: of data, networks, permissions, disks and pods.

`rule` says what a rule is; `premises`, `cloud` and `cluster` have the rules; `judge` holds a resource against them.
The comment on a pull request and Pulumi's policy pack (`servicer`, started by the program `pack`) both ask `judge`.
"""
