# Node 22 or later: the system's, or the one that npm brings as the package `node`.
export PATH := $(CURDIR)/node_modules/.bin:$(PATH)

.PHONY: test check install

install: node_modules/.package-lock.json

node_modules/.package-lock.json: package-lock.json
	@echo '== installing npm packages'
	npm ci --no-audit --no-fund
	@touch $@

check: install
	npm run check

test: install
	@echo '== running tests'
	npm test
