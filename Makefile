# Node 22 or later: the system's, or the one that npm brings as the package `node`.
export PATH := $(CURDIR)/node_modules/.bin:$(PATH)

.PHONY: help install check docs diagram test test-fast test-clocks up down bench bench-quick faults fuzz fuzz-host mutate

help:
	@echo 'make up      stand a mail host up in the lab on this machine, and show that it works'
	@echo 'make down    end the lab and all that is in it'
	@echo 'make test    run all tests; installs what they need'
	@echo 'make test-fast    run those that need no lab: about a minute'
	@echo 'make test-clocks  run them by clocks of other years'
	@echo 'make check   format, lint, import cycles, types, dead code; installs what it needs'
	@echo 'make docs    make again what follows from the settings, the components and the daemons'\'' specs'
	@echo 'make diagram     render docs/architecture.svg; needs Graphviz'
	@echo 'make bench   measure, and write bench/README.md: about an hour; bench-quick has a look in some minutes'
	@echo 'make faults  ill-treat a mail host in every way there is, and write docs/faults.md: about an hour'
	@echo 'make fuzz    fuzz the mail filters for an hour; MINUTES=5 SEED=7 for less, and from another seed'
	@echo 'make fuzz-host  fuzz the senders of mail that a mail host in the lab forwards, for a quarter of an hour; MINUTES and SEED too'
	@echo 'make mutate  mutate what decides about mail, keys and files, and write docs/mutation.md: about an hour; AREA=dns for one'

install: node_modules/.package-lock.json

node_modules/.package-lock.json: package-lock.json
	@echo '== installing npm packages'
	npm ci --no-audit --no-fund
	@touch $@

check: install
	@python3 -c 'import ensurepip' 2>/dev/null || ./lab/bootstrap python3-venv
	npm run check

docs: install
	node --import tsx docs/settingsReference.ts
	node --import tsx docs/packageSchema.ts
	node --import tsx docs/daemonsReference.ts

diagram:
	dot -Tsvg docs/architecture.dot -o docs/architecture.svg

test: install
	./lab/bootstrap
	@echo '== building the engine, where it is missing'
	./lab/engine/build
	@echo '== running tests'
	npm test
	$(MAKE) test-clocks

# Around a leap day that is none, the turn of a year, and the end of 32-bit times.
clocks := 2027-02-28T23:59:00 2029-12-31T23:59:00 2038-01-19T03:13:00

test-clocks: install
	./lab/bootstrap
	for clock in $(clocks); do \
	  echo "== running fast tests from $$clock on"; \
	  FAKETIME_DONT_FAKE_MONOTONIC=1 faketime -f "@$$(echo $$clock | tr T ' ')" \
	    vitest run --project fast --reporter=dot --reporter=./test/slowest.ts || exit 1; \
	done

test-fast: install
	vitest run --project fast

up: install
	./lab/bootstrap
	./lab/lab up
	./lab/lab deploy

down: install
	./lab/lab down

bench: install
	./lab/bootstrap
	./lab/engine/build
	node --import tsx bench/main.ts

bench-quick: install
	./lab/bootstrap
	./lab/engine/build
	node --import tsx bench/main.ts --quick

faults: install
	./lab/bootstrap
	./lab/engine/build
	node --import tsx test/faults/main.ts

fuzz: install
	node --import tsx test/fuzz/main.ts --minutes $(or $(MINUTES),60) --seed $(or $(SEED),1)

fuzz-host: install
	./lab/bootstrap
	./lab/engine/build
	node --import tsx test/fuzz/host.ts --minutes $(or $(MINUTES),15) --seed $(or $(SEED),1)

mutate: install
	node --import tsx test/mutation/main.ts $(AREA)
