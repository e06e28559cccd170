# Only glue: each target has a one-line description; the work is done by pulumi, ansible, pytest and uv.
PYTHON ?= python3
STACK ?= s3-local
VENV := .venv/bin
# Some images set this to save space; here it would make every process recompile torch, Ansible and Pulumi: seconds each.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help up down env preview drift try untry image mirror check style types playbooks quick test soak for-tests bench bundle lab lab-down lab-deps lock reference clean

help: ## show this list; with any target, V=1 logs more, Q=1 only errors, JSON=1 JSON lines
	@awk -F ':.*## ' '/^##@ /{print "\n" substr($$0, 5) ":"} /^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

##@ Use

up: ## train, release and serve a real model here, and query it; another stack: make up STACK=plant-7 SCENARIO=s3-local
	@REVIEW="$(REVIEW)" $(PYTHON) -m cli.up $(STACK) $(SCENARIO)

down: ## remove everything that make up deployed
	@$(PYTHON) -m cli.down $(STACK)

env: ## shell variables for plain pulumi: eval "$(make -s env)"
	@$(PYTHON) -m cli.env $(STACK)

preview: ## what a change does to every stack, without credentials: make preview BASE=main
	@$(PYTHON) -m cli.virtualenv cloud
	@$(VENV)/python -m previews $(if $(BASE),--base $(BASE)) $(if $(STATES),--states $(STATES)) $(STACKS)

drift: ## what was changed by hand since stacks were deployed: make drift STACKS=plant-7
	@$(PYTHON) -m previews.drifted $(STACKS)

try: ## a stack of this commit for a pull request, on this machine: make try PULL=12
	@$(PYTHON) -m previews.trial up "$(PULL)"

untry: ## remove the stack of a pull request: make untry PULL=12
	@$(PYTHON) -m previews.trial down "$(PULL)"

image: ## build the training image, and push it to the registry of a stack on AWS: make image STACK=s2-cloud-training
	@BASE="$(BASE)" EFA="$(EFA)" EFA_SOURCES="$(EFA_SOURCES)" $(PYTHON) -m cli.image build $(STACK)

mirror: ## copy the images of others into the registry of a stack on AWS, for nodes without internet access
	@$(PYTHON) -m cli.image mirror $(STACK)

bundle: ## everything that hosts without internet access need, in one signed folder: make bundle CPU=yes, VLLM=yes
	@$(PYTHON) -m cli.virtualenv control
	@$(VENV)/python -m bundle $(if $(CPU),--cpu) $(if $(VLLM),--vllm $(filter-out yes,$(VLLM)))

##@ Develop

check: ## style, types and the quick tests: a minute and a half
	@$(PYTHON) -m cli.virtualenv dev
	@$(MAKE) --no-print-directory --jobs=2 --output-sync quick playbooks types style

style:
	$(VENV)/ruff check .
	$(VENV)/ruff format --check .
	$(VENV)/yamllint --strict .

types:
	$(VENV)/mypy .

# Linting takes half a minute, so it runs only if something changed since the last clean result, which a stamp file records.
playbooks: .state/playbooks-checked

.state/playbooks-checked: .venv/.synced.json .yamllint $(shell find ansible -name .ansible -prune -o -name __pycache__ -prune -o -print)
	@mkdir -p .state && touch $@.new
	cd ansible && ../$(VENV)/ansible-lint --offline --strict
	@mv $@.new $@

.venv/.synced.json:
	@$(PYTHON) -m cli.virtualenv dev

quick:
	$(VENV)/pytest -m "not slow and not soak" -q --numprocesses=2 --dist=loadscope --no-loadscope-reorder

test: for-tests ## all but long campaigns: real engine, real services, real models (docs/tests.md)
	$(VENV)/pytest -m "not soak" $(BY_WORKERS) $(TESTS)

soak: for-tests ## the long campaigns, hours: random kills, cut links, 64 nodes (docs/tests.md)
	$(VENV)/pytest -m soak $(BY_WORKERS) -rP $(TESTS)

BY_WORKERS := --durations=40 --numprocesses=auto --maxprocesses=4 --dist=loadscope --no-loadscope-reorder

for-tests:
	@$(PYTHON) -m cli.virtualenv dev
	@$(PYTHON) -m bootstrap.pulumi --kubernetes .state/pulumi > /dev/null
	@$(PYTHON) -m lab.binaries --for-tests > /dev/null

bench: ## compare our server and training loop with their peers
	@$(PYTHON) -m cli.virtualenv bench
	$(VENV)/python -m benchmarks

##@ The lab

lab: ## a customer's premises and a public cloud on this machine (root): make lab HOSTS=5
	@$(PYTHON) -m lab.up $(if $(HOSTS),--hosts $(HOSTS))

lab-down: ## remove the lab, and check that nothing is left
	@$(PYTHON) -m lab.down

lab-deps: ## install what the lab needs on this machine: Debian packages, inotify instances (root)
	@$(PYTHON) -m lab.deps

##@ Maintain

reference: ## regenerate what is derived from the declarations of settings: docs/reference, options of roles
	@$(PYTHON) -m cli.virtualenv dev
	@$(VENV)/python -m stacks.settings_reference

lock: ## update the locks: every dependency pinned with hashes
	@$(PYTHON) -m cli.virtualenv control
	@$(PYTHON) -m cli.lock

clean: ## remove .venv, .state and the cached engine
	@$(PYTHON) -m cli.clean
