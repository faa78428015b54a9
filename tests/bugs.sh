#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Does a test program find bugs? For each line of LIST (name | file | sed -E expression): a copy of the
# file with the bug in it, linked before the library that has the true one, and the program is run
# until it finds it.
# Called by make: bugs.sh LIST FOLDER WORDS...; the words are the program's. COMPILE and LINK hold the
# commands, OBJECTS and LIBS what is linked, SOURCES the folder of the files, SAYS how a line begins
# that says what was found. One line a bug, then `N passed, M failed`. Two at a time.
set -u
list=$1 folder=$2
shift 2
mkdir -p "$folder"

one() {
    number=$1
    shift
    line=$(sed -n "${number}p" "$list")
    name=${line%%|*} rest=${line#*|}
    file=${rest%%|*} edit=${rest#*|}
    at=$folder/$number
    mkdir -p "$at"
    sed -E "$edit" "$SOURCES/$file" >"$at/$file"
    if cmp -s "$at/$file" "$SOURCES/$file"; then
        echo "FAILED $name: the edit changes nothing in $SOURCES/$file"
        return
    fi
    if ! eval "$COMPILE -o $at/bug.o $at/$file" >"$at/log" 2>&1 ||
        ! eval "$LINK -o $at/program $at/bug.o $OBJECTS $LIBS" >>"$at/log" 2>&1; then
        echo "FAILED $name: does not build, see $at/log"
        return
    fi
    timeout 1800 "$at/program" "$@" >"$at/log" 2>&1
    code=$?
    why=$(grep -m1 -E "^($SAYS|CHECK)" "$at/log" | cut -c1-150)
    if [ $code -eq 0 ]; then
        echo "FAILED $name: not found by $*"
    elif [ $code -eq 124 ]; then
        echo "FAILED $name: 1800 s are over, and nothing was found: see $at/log"
    elif [ -z "$why" ]; then
        echo "FAILED $name: ended with $code and said no reason: see $at/log"
    else
        echo "found  $name: $why"
        rm -f "$at/program" # one is as large as the other
    fi
}

if [ "${BUG:-}" ]; then
    one "$BUG" "$@"
    exit
fi
grep -nv '^#' "$list" | cut -d: -f1 |
    xargs -P 2 -I{} env BUG={} sh "$0" "$list" "$folder" "$@" | tee "$folder/found"
passed=$(grep -c '^found' "$folder/found") failed=$(grep -c '^FAILED' "$folder/found")
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
