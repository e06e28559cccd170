"""`python -m scenario_model` is `scenario-model`."""

from scenario_model.cli import main

main()
