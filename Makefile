# mars: make demo, make test; "make help" lists the rest.

GO      ?= go
BIN     := bin
GOFLAGS ?= -buildvcs=false
export GOFLAGS
# Packages that need no root and no kernel feature, for the race detector.
RACE    := ./infra/... ./bricks/... ./strategy ./marsadm/... ./ublkdev/...
# Inputs of each target, a second or two; soak takes more. A count and no time: when
# that is over, go test may report the end of a run that was still going on as a failure.
FUZZTIME ?= 4000x
# Seeds of power cuts of one host.
SEEDS   ?= 3000
# Seeds of the cheapest simulation of whole clusters; others run a share of it,
# but so many that each of their faults is sure to happen.
CLUSTERS ?= 160
FIRST   ?= 1
HOURS   ?= 8
# How often each fault of a real kernel comes in make soak; once in make test-vm.
ROUNDS  ?= 5
# Where install puts things; DESTDIR is put before, for packages.
PREFIX  ?= /usr/local
UNITDIR ?= $(PREFIX)/lib/systemd/system
UDEVDIR ?= $(PREFIX)/lib/udev/rules.d
SHARE   := $(PREFIX)/share

.PHONY: help build man install test vm test-vm bench-vm unit race fuzz sim soak mutants lint bench demo deps clean

help: ## show this list
	@awk -F':.*## ' '/^[a-z-]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## bin/marsd, bin/marsadm and the demo
	CGO_ENABLED=0 $(GO) build -o $(BIN)/ ./cmd/...

install: man ## programs, unit, udev rule, manual pages, completion, below DESTDIR and PREFIX
	install -d $(DESTDIR)$(PREFIX)/sbin $(DESTDIR)$(UNITDIR) $(DESTDIR)$(UDEVDIR)
	install -m 0755 $(BIN)/marsd $(BIN)/marsadm $(DESTDIR)$(PREFIX)/sbin/
	sed 's|@PREFIX@|$(PREFIX)|' cmd/marsd/install/marsd.service > $(BIN)/marsd.service
	install -m 0644 $(BIN)/marsd.service $(DESTDIR)$(UNITDIR)/
	install -m 0644 cmd/marsd/install/90-mars.rules $(DESTDIR)$(UDEVDIR)/
	install -d $(DESTDIR)$(SHARE)/man/man5 $(DESTDIR)$(SHARE)/man/man7 $(DESTDIR)$(SHARE)/man/man8
	for n in 5 7 8; do install -m 0644 $(BIN)/man/man$$n/* $(DESTDIR)$(SHARE)/man/man$$n/ || exit 1; done
	install -d $(DESTDIR)$(SHARE)/bash-completion/completions $(DESTDIR)$(SHARE)/zsh/site-functions $(DESTDIR)$(SHARE)/fish/vendor_completions.d
	$(BIN)/marsadm completion bash > $(DESTDIR)$(SHARE)/bash-completion/completions/marsadm
	$(BIN)/marsadm completion zsh > $(DESTDIR)$(SHARE)/zsh/site-functions/_marsadm
	$(BIN)/marsadm completion fish > $(DESTDIR)$(SHARE)/fish/vendor_completions.d/marsadm.fish
	cd $(DESTDIR)$(SHARE) && chmod 0644 bash-completion/completions/marsadm zsh/site-functions/_marsadm fish/vendor_completions.d/marsadm.fish

man: build ## manual pages, from the code: bin/man
	@mkdir -p $(BIN)/man/man5 $(BIN)/man/man7 $(BIN)/man/man8
	$(BIN)/marsd man > $(BIN)/man/man8/marsd.8
	$(BIN)/marsadm man marsadm > $(BIN)/man/man8/marsadm.8
	$(BIN)/marsadm man mars-symlinks > $(BIN)/man/man7/mars-symlinks.7
	$(BIN)/marsadm man mars-json > $(BIN)/man/man7/mars-json.7
	$(BIN)/marsadm man mars-log > $(BIN)/man/man5/mars-log.5

deps: ## install what demo and test need (Debian, Ubuntu; as root)
	@sh cmd/marsdemo/deps.sh

demo: deps build ## two nodes, a file system, a crash, a handover, a split brain
	@$(BIN)/marsdemo -bin $(BIN)

test: deps ## everything; prints each suite's result
	@for s in lint build unit race fuzz sim mutants demo vm; do \
		start=$$(date +%s); \
		$(MAKE) --no-print-directory $$s || { echo "test: $$s FAILED after $$(( $$(date +%s) - start )) s"; exit 1; }; \
		echo "test: $$s ok, $$(( $$(date +%s) - start )) s"; \
	done
	@echo "test: all suites passed"

unit: ## unit and property tests, as root with the real devices; sim runs the simulations
	MARS_NEED_ROOT=1 $(GO) test -timeout 10m -skip '^TestSim' ./...

# What runs as one goroutine at a time has no races: the simulations, and the largest of the models.
race: ## the same under the race detector
	$(GO) test -race -short -timeout 10m -skip '^TestSim|^TestForksModel$$|^TestSameSeedSameHash$$' $(RACE)

fuzz: ## every fuzz target for FUZZTIME
	@GO=$(GO) FUZZTIME=$(FUZZTIME) sh cmd/marsdemo/fuzz.sh

sim: ## the simulator: SEEDS seeds of power cuts from FIRST on, CLUSTERS seeds of whole clusters
	MARS_SIM_FIRST=$(FIRST) MARS_SIM_SEEDS=$(SEEDS) MARS_SIM_CLUSTERS=$(CLUSTERS) $(GO) test -count=1 -timeout 30m -run 'Sim|Determin' ./strategy ./bricks/translogger ./strategy/simtest

soak: ## the faults of a real kernel ROUNDS times, the simulator with new seeds for HOURS, the model of histories and large trees deeper
	MARS_SIM_DEPTH=2 $(GO) test -count=1 -timeout 60m -run ForksModel ./infra/history
	MARS_SIM_DEPTH=2 $(GO) test -count=1 -timeout 60m -run MadMember ./strategy/simtest
	MARS_SIM_HOSTS=200 MARS_SIM_LINKS=10000 $(GO) test -count=1 -timeout 60m -run TestLarge ./strategy/simtest
	$(MAKE) --no-print-directory fuzz FUZZTIME=400000x
	GO=$(GO) MARS_FAULT_ROUNDS=$(ROUNDS) sh cmd/marsvm/suites.sh net split disk full db postgres clock newest
	@end=$$(( $$(date +%s) + $(HOURS) * 3600 )); first=$(FIRST); \
	while [ $$(date +%s) -lt $$end ]; do \
		first=$$(( first + $(SEEDS) )); \
		$(MAKE) --no-print-directory sim FIRST=$$first || { echo "soak: FAILED, the seeds from $$first on"; exit 1; }; \
		echo "soak: the seeds from $$first on are ok"; \
	done

vm: ## as part of make test: what needs a real stock kernel, where that can be emulated (Debian 12 or 13, root)
	@GO=$(GO) sh cmd/marsvm/suites.sh

test-vm: ## the suites of a real kernel alone; fails where they cannot run (SUITES="io kill" runs some)
	@GO=$(GO) MARS_NEED_VM=1 sh cmd/marsvm/suites.sh $(or $(SUITES),all)

bench-vm: ## speed under a real kernel: ratios to the kernel's loop device, a bare disk, DRBD
	@GO=$(GO) sh cmd/marsvm/bench.sh

mutants: ## known mistakes, each of which a narrow test must find
	$(GO) run ./cmd/marsmutants

lint: ## gofmt, vet and the rules of the house
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { gofmt -l $$(git ls-files '*.go'); exit 1; }
	$(GO) vet ./...
	$(GO) test -count=1 ./infra/house/

bench: build ## log append, latency, idle cost: as ratios within one run, against targets
	@$(BIN)/marsbench
	$(GO) test -run '^$$' -bench Latency -benchtime 20x ./marsadm

clean: ## remove what was built
	rm -rf $(BIN)
