# Every command a user or a developer types. `make` alone lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

STACK ?= prod
BASE ?=
FORMAT ?= text
NODE ?=
UNIT ?=
FILE ?=
NAME ?=
FOLDER ?=
BUNDLE ?=
RELEASE ?=
CHECK ?=
FORCE ?=
A ?= previous
B ?= current
UPGRADE ?=
PYTHON := .venv/bin/python
URL ?=
DAGS = $(PYTHON) -m dags
STAMP := .venv/.installed

.PHONY: help plan preflight node-image ca-bundle dags-check dags-publish dags-list dags-show dags-diff dags-rollback dags-status lab lab-nodes lab-shell lab-logs lab-dag lab-dags-status lab-secret lab-image lab-sweep test check unit lab-test lint format types lock requirements instance-types docs bench

help: ## List the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-15s %s\n", $$1, $$2}'

plan: $(STAMP) ## What `pulumi up` would create: STACK=prod BASE=<git revision> FORMAT=text|markdown|json
	@$(PYTHON) -m plan --stack "$(STACK)" --format "$(FORMAT)" $(if $(BASE),--base "$(BASE)")

preflight: $(STAMP) ## Whether the AWS account has what the plan needs; changes nothing: STACK=prod FORMAT=text|json
	@$(PYTHON) -m preflight --stack "$(STACK)" $(if $(filter json,$(FORMAT)),--json)

node-image: $(STAMP) ## Pin the newest Debian 13 image of the stack's region in its file: STACK=prod
	@$(PYTHON) -m node_image --stack "$(STACK)"

ca-bundle: $(STAMP) ## Renew the certificate authorities of RDS that the nodes trust
	@$(PYTHON) -m ca_bundle

dags-check: $(STAMP) ## Import a folder of DAGs as the nodes would, and list its faults: FOLDER=<path> STACK=prod
	@$(DAGS) check "$(FOLDER)" --stack "$(STACK)"

dags-publish: $(STAMP) ## Make a folder of DAGs the current release: FOLDER=<path> STACK=prod BUNDLE=<name> CHECK=1 FORCE=1
	@$(DAGS) publish "$(FOLDER)" --stack "$(STACK)" $(if $(BUNDLE),--bundle "$(BUNDLE)") $(if $(CHECK),--check) $(if $(FORCE),--force)

dags-list: $(STAMP) ## List the releases: STACK=prod BUNDLE=<name>
	@$(DAGS) list --stack "$(STACK)" $(if $(BUNDLE),--bundle "$(BUNDLE)")

dags-show: $(STAMP) ## Show a release and its files: RELEASE=current
	@$(DAGS) show $(RELEASE) --stack "$(STACK)" $(if $(BUNDLE),--bundle "$(BUNDLE)")

dags-diff: $(STAMP) ## Show what differs between two releases: A=previous B=current
	@$(DAGS) diff "$(A)" "$(B)" --stack "$(STACK)" $(if $(BUNDLE),--bundle "$(BUNDLE)")

dags-rollback: $(STAMP) ## Make an older release the current one again: RELEASE=previous
	@$(DAGS) rollback $(RELEASE) --stack "$(STACK)" $(if $(BUNDLE),--bundle "$(BUNDLE)")

dags-status: $(STAMP) ## Which release Airflow has parsed, and who runs which: STACK=prod BUNDLE=<name> URL=https://...
	@$(DAGS) status --stack "$(STACK)" $(if $(BUNDLE),--bundle "$(BUNDLE)") $(if $(URL),--url "$(URL)")

lab: $(STAMP) ## The prod stack's cluster on this machine, until Ctrl-C (Debian 12 or 13, as root)
	@$(PYTHON) -m lab up

lab-nodes: $(STAMP) ## The nodes of the running lab
	@$(PYTHON) -m lab nodes

lab-shell: $(STAMP) ## A shell on a node of the running lab: NODE=<name>
	@$(PYTHON) -m lab shell "$(NODE)"

lab-logs: $(STAMP) ## The journal of a node of the running lab: NODE=<name> [UNIT=<unit>]
	@$(PYTHON) -m lab logs "$(NODE)" $(UNIT)

lab-dag: $(STAMP) ## Publish a DAG file into the running lab: FILE=<path>
	@$(PYTHON) -m lab dag "$(FILE)"

lab-dags-status: $(STAMP) ## The same of the running lab, and the releases on each node
	@$(PYTHON) -m lab dags-status

lab-secret: $(STAMP) ## Store a connection or a variable in the running lab: NAME=connections/<id> FILE=<path>
	@$(PYTHON) -m lab secret "$(NAME)" "$(FILE)"

lab-image: $(STAMP) ## Build the lab's Debian 13 node image (cached)
	@$(PYTHON) -m lab image

lab-sweep: $(STAMP) ## Remove what a killed lab left behind
	@$(PYTHON) -m lab sweep

test: check lab-test ## Everything that proves it: lint, types, unit, node and lab tests

check: lint types unit ## Everything that needs neither root nor Debian

lint: $(STAMP) ## Style of Python, shell and YAML, and the security of the workflows
	@.venv/bin/ruff check . && .venv/bin/ruff format --check .
	@git grep -lE '^#!.*\b(ba)?sh\b' | xargs .venv/bin/shellcheck
	@.venv/bin/yamllint --strict .
	@.venv/bin/zizmor --offline --quiet .github examples/dag-repository/.github

format: $(STAMP) ## Put Python files into the project's format
	@.venv/bin/ruff check --fix . && .venv/bin/ruff format .

types: $(STAMP) ## Check the types
	@.venv/bin/ty check . bench/boot bench/broker-load bench/packages bench/plan node/rootfs/*/usr/local/lib/airflow/*-* # those without a suffix have to be named

unit: $(STAMP) ## Unit and node tests
	@.venv/bin/pytest -q -n 2 -m "not lab"

lab-test: $(STAMP) ## Lab tests: boots the cluster and breaks it
	@.venv/bin/pytest -v -n auto --dist loadfile --no-loadscope-reorder -p no:randomly -m lab --durations=15 tests/cluster

lock: $(STAMP) ## Lock Airflow, airflow-requirements.txt and the pools' requirements for the nodes: STACK=prod UPGRADE=1
	@$(PYTHON) -m package_lock --stack "$(STACK)" $(if $(UPGRADE),--upgrade)

requirements: $(STAMP) ## Lock the program's own requirements
	@for name in requirements requirements-dev; do \
	  env $(foreach name,$(filter UV_% PIP_%,$(.VARIABLES)),-u $(name)) \
	    .venv/bin/uv pip compile -q --no-config --system-certs --universal --python-version 3.11 --generate-hashes \
	    --custom-compile-command 'make requirements' $$name.in -o $$name.txt; done

instance-types: $(STAMP) ## Update EC2's instance types from botocore, and what each region offers from cfn-lint
	@$(PYTHON) -m aws_catalog.instance_types > instance_types.new && mv instance_types.new aws_catalog/instance_types.txt
	@$(PYTHON) -m aws_catalog.region_families > region_families.new && mv region_families.new aws_catalog/region_families.txt

docs: $(STAMP) ## Rebuild the pages, diagrams and dashboards that are made from the program
	@$(PYTHON) -m docs.settings_reference > docs/settings.md.new && mv docs/settings.md.new docs/settings.md
	@$(PYTHON) -m docs.airflow_options_reference > docs/airflow-options.md.new && mv docs/airflow-options.md.new docs/airflow-options.md
	@$(PYTHON) -m docs.cost_reference > docs/cost.md.new && mv docs/cost.md.new docs/cost.md
	@$(PYTHON) -m docs.network_diagram > docs/network.svg.new && mv docs/network.svg.new docs/network.svg
	@$(PYTHON) -m docs.task_diagram > docs/task.svg.new && mv docs/task.svg.new docs/task.svg
	@$(PYTHON) -m dashboards

bench: $(STAMP) ## Measure the plan, the broker and the boot (as root) against their baselines, and simulate the scaling
	@$(PYTHON) bench/plan && $(PYTHON) bench/broker-load && $(PYTHON) bench/scaling && $(PYTHON) bench/boot

$(STAMP): requirements-dev.txt
	@echo "Setting up the virtual environment in .venv (about a minute) ..." >&2
	@python3 -c 'import sys; sys.exit("Python 3.11 or newer is needed; python3 is " + sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	@python3 -c 'import ensurepip' 2>/dev/null || apt-get install -y -q python3-venv >&2 \
	  || { echo "python3 lacks the venv module; install python3-venv as root, then repeat." >&2; exit 1; }
	@[ -x $(PYTHON) ] || python3 -m venv .venv
	@.venv/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@touch $@
