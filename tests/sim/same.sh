#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The same seeds by several builds, under other zones, languages and memory patterns: all that is
# written and answered must hash to one number. same.sh SIM OTHER-SIM...
seeds=30 first=$1 bad=0 good=0
want=$("$first" --seed 501 --seeds $seeds | tail -1)
same() {
    got=$("$@" --seed 501 --seeds $seeds | tail -1)
    if [ "$got" = "$want" ]; then
        good=$((good + 1))
    else
        bad=$((bad + 1))
        echo "FAILED $*: \"$got\", not \"$want\""
    fi
}
same env TZ=Asia/Tokyo LC_ALL=C.UTF-8 "$first"
same env TZ=America/St_Johns LANG=tr_TR.UTF-8 MALLOC_PERTURB_=165 "$first"
for other in "$@"; do
    same env MALLOC_PERTURB_=90 "$other"
done
echo "$want"
echo "$good passed, $bad failed"
[ $bad -eq 0 ]
