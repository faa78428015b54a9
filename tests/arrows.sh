#!/bin/sh
# Includes may only follow the arrows of the README's module map. from:to pairs. Inside the broker core is
# below all but its store; `common` is what core and the threads around it both use.
cd "$(dirname "$0")/.." || exit 1
allowed='schemas:schemas base:schemas base:base time:schemas time:base time:time
client:schemas client:base client:client cli:schemas cli:base cli:time cli:client cli:cli
common:schemas common:base common:time common:store common:common
store:schemas store:base store:common store:store
core:schemas core:base core:time core:common core:store core:core
readers:schemas readers:base readers:time readers:common readers:store readers:core readers:readers
logs:schemas logs:base logs:readers logs:logs
check:schemas check:base check:time check:common check:store check:readers check:logs check:check
front:schemas front:base front:time front:common front:store front:core front:broker front:front
broker:schemas broker:base broker:time broker:common broker:store broker:core broker:readers
broker:logs broker:check broker:front broker:broker
scheduler:schemas scheduler:base scheduler:time scheduler:client scheduler:scheduler
executor:schemas executor:base executor:client executor:executor'
bad=$(grep -rn '^#include "' schemas client broker scheduler executor --include='*.[ch]' |
awk -F: -v ok="$(echo $allowed)" '
function mod(p) {
    if (p ~ /^client\/(base|time|cli)\// || p ~ /^broker\/[a-z]+\//) { split(p, d, "/"); return d[2] }
    if (p ~ /^broker\/(map|zone_cache)\.[ch]$/) return "common"
    return substr(p, 1, index(p, "/") - 1)
}
{ split($3, q, "\""); if (index(" " ok " ", " " mod($1) ":" mod(q[2]) " ") == 0) print }')
[ -z "$bad" ] || { echo "forbidden include:"; echo "$bad"; exit 1; }
bad=$(grep -rln '<lmdb.h>' schemas client broker scheduler executor --include='*.[ch]' | grep -v '^client/base/kv\(_[a-z]*\)\?\.[ch]$')
[ -z "$bad" ] || { echo "only client/base/kv may include lmdb.h: $bad"; exit 1; }
echo "arrows: ok"
