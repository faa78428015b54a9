# The real programs as people use them; the crash loop; both at length. CRASH_KILLS, SOAK_KILLS,
# SOAK_TASKS and DEMO_SECONDS say how long.
CRASH_KILLS  ?= 100
SOAK_KILLS   ?= 3000
SOAK_TASKS   ?= 100000
DEMO_SECONDS ?= 600
e2e_python   := env PAWL_BUILD=$(BUILD) PAWL_BIN=$(BUILD)/bin PYTHONDONTWRITEBYTECODE=1 $(PYTHON)

e2e: all $(BUILD)/bin/old-store
	@$(e2e_python) tests/by_file.py tests/e2e
crash-loop: all
	@timeout 1800 $(e2e_python) tests/crash/loop.py --bin $(BUILD)/bin --kills $(CRASH_KILLS)
soak-loop: all
	@$(e2e_python) tests/crash/loop.py --bin $(BUILD)/bin --kills $(SOAK_KILLS)
soak-demo: all
	@$(e2e_python) ops/demo/demo.py --bin $(BUILD)/bin --tasks $(SOAK_TASKS) --seconds $(DEMO_SECONDS)
.PHONY: e2e crash-loop soak-loop soak-demo
