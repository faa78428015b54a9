#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Does the simulator find bugs? For each line of bugs.txt: a copy of one file of core with the bug in
# it, linked before the library that has the true one, and seeds until it is found.
# Called by make: bugs.sh FOLDER SEEDS; COMPILE and LINK hold the commands. One line a bug, then
# `N passed, M failed`. Two at a time.
set -u
folder=$1 seeds=$2
list=$(dirname "$0")/bugs.txt
mkdir -p "$folder"

one() {
    number=$1
    line=$(sed -n "${number}p" "$list")
    name=${line%%|*} rest=${line#*|}
    file=${rest%%|*} edit=${rest#*|}
    at=$folder/$number
    mkdir -p "$at"
    sed -E "$edit" "broker/$file" >"$at/$file"
    if cmp -s "$at/$file" "broker/$file"; then
        echo "FAILED $name: the edit changes nothing in broker/$file"
        return
    fi
    if ! eval "$COMPILE -o $at/bug.o $at/$file" >"$at/log" 2>&1 ||
        ! eval "$LINK -o $at/sim $at/bug.o $OBJECTS $LIBS" >>"$at/log" 2>&1; then
        echo "FAILED $name: does not build, see $at/log"
        return
    fi
    timeout 300 "$at/sim" --seeds "$seeds" >"$at/log" 2>&1
    code=$?
    why=$(grep -m1 -E '^(sim: seed [0-9]+ fails|CHECK)' "$at/log" | cut -c1-150)
    if [ $code -eq 0 ]; then
        echo "FAILED $name: not found in $seeds seeds"
    elif [ $code -eq 124 ]; then
        echo "FAILED $name: 300 s are over, and nothing was found: see $at/log"
    elif [ -z "$why" ]; then
        echo "FAILED $name: ended with $code and said no reason: see $at/log"
    else
        echo "found  $name: $why"
    fi
}

if [ $# -eq 3 ]; then
    one "$3"
    exit
fi
grep -nv '^#' "$list" | cut -d: -f1 | xargs -P 2 -I{} sh "$0" "$folder" "$seeds" {} | tee "$folder/found"
passed=$(grep -c '^found' "$folder/found") failed=$(grep -c '^FAILED' "$folder/found")
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
