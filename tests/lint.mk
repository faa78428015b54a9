# Looks and habits: formatter's check, arrows, clang-tidy, cppcheck. Products only; tests are compiled
# with the same warnings.
lint_sources := $(filter-out $(BUILD)/%,$(wildcard schemas/*.c client/*.c client/*/*.c broker/*.c \
                broker/*/*.c scheduler/*.c executor/*.c))
lint_headers := $(wildcard schemas/*.h client/*.h client/*/*.h broker/*.h broker/*/*.h scheduler/*.h executor/*.h)
tidy_marks   := $(patsubst %.c,$(BUILD)/tidy/%.ok,$(filter-out client/examples/%,$(lint_sources)))

format-check:
	@clang-format --dry-run --Werror $(filter-out %.tbl.h,$(lint_sources) $(lint_headers))
arrows:
	@tests/arrows.sh
$(BUILD)/tidy/%.ok: %.c .clang-tidy | $(gen:.c=.h)
	@mkdir -p $(@D)
	@clang-tidy --quiet $< -- $(cppflags) -std=gnu17 2>$(@:.ok=.err) || { cat $(@:.ok=.err); exit 1; }
	@touch $@
tidy: $(tidy_marks)
cppcheck: | $(gen:.c=.h)
	@cppcheck --quiet --error-exitcode=1 --std=c11 --enable=warning,performance,portability \
	    --inline-suppr --suppress=missingIncludeSystem --suppress=internalAstError \
	    --suppress='*:$(BUILD)/gen/*' -D__GNUC__ -UERR -I. $(lint_sources)
lint: format-check arrows tidy cppcheck
	@echo "lint: ok"
.PHONY: format-check arrows tidy cppcheck lint
