# make run, make test, make check, make bench: all a developer needs. CI calls the same.
PYTHON ?= python3
PORT ?= 8501
BIN = .venv/bin

.PHONY: run test check bench player texts clean

run: .venv/app
	$(BIN)/streamlit run app.py --server.port $(PORT)

test: .venv/tests .venv/browser .venv/database .venv/proxies check
	failed=0; $(BIN)/python -m pytest -m "not processes" -n logical --dist worksteal || failed=1; \
		$(BIN)/python -m pytest -m processes tests/ui -n logical --dist loadfile || failed=1; \
		$(BIN)/python -m pytest -m processes --ignore tests/ui || failed=1; exit $$failed

check: .venv/tests
	$(BIN)/ruff check .

bench: .venv/tests .venv/browser
	$(BIN)/python -m bench

# The default race as one page that plays without a server.
player: .venv/app
	echo '{"lanes": [{"net": {"skip": false}}, {}]}' | $(BIN)/python -m resnet_viz export --what player \
		--config /dev/stdin --output resnet-viz-player.html

# Bring the translations' template up to date: every marked text, for a translator to compare with the .po files.
texts: .venv/tests
	$(BIN)/pybabel -q extract -k _ -k N_ --no-location --sort-output -o assets/locale/messages.pot resnet_viz

.venv/app: requirements.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q -r requirements.txt
	touch $@

.venv/tests: .venv/app tests/requirements.txt
	$(BIN)/python -m pip install -q -r tests/requirements.txt
	touch $@

# Debian's Chromium where it is or can be had, else Playwright's own. A Chinese font, so that screenshots can be read.
.venv/browser: .venv/tests
	command -v chromium || { test "$$(id -u)" = 0 && command -v apt-get && apt-get -qq update && \
		DEBIAN_FRONTEND=noninteractive apt-get -qq install -y chromium fonts-noto-cjk; } || \
		$(BIN)/python -m playwright install --with-deps chromium
	touch $@

# Debian's PostgreSQL, for the tests to start one of their own; without root, and without it, those tests are skipped.
.venv/database: .venv/tests
	test -n "$$(ls /usr/lib/postgresql/*/bin/initdb 2>/dev/null)" || { test "$$(id -u)" = 0 && command -v apt-get && \
		apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends postgresql; } \
		|| test -z "$$CI"
	touch $@

# Debian's nginx and Caddy, in front of which tests put the app; without root, and without them, those tests are skipped.
.venv/proxies: .venv/tests
	{ command -v nginx && command -v caddy && command -v openssl; } || { test "$$(id -u)" = 0 && command -v apt-get && \
		apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends nginx-light \
		caddy openssl; } || test -z "$$CI"
	touch $@

clean:
	rm -rf .venv
