#!/bin/sh
# Includes may only follow the arrows of the README's module map. from:to pairs.
cd "$(dirname "$0")/.." || exit 1
allowed='schemas:schemas base:schemas base:base time:schemas time:base time:time
client:schemas client:base client:client cli:schemas cli:base cli:time cli:client cli:cli
broker:schemas broker:base broker:time broker:broker
scheduler:schemas scheduler:base scheduler:time scheduler:client scheduler:scheduler
executor:schemas executor:base executor:client executor:executor'
bad=$(grep -rn '^#include "' schemas client broker scheduler executor --include='*.[ch]' |
awk -F: -v ok="$(echo $allowed)" '
function mod(p) {
    if (p ~ /^client\/(base|time|cli)\//) { split(p, d, "/"); return d[2] }
    return substr(p, 1, index(p, "/") - 1)
}
{ split($3, q, "\""); if (index(" " ok " ", " " mod($1) ":" mod(q[2]) " ") == 0) print }')
[ -z "$bad" ] || { echo "forbidden include:"; echo "$bad"; exit 1; }
bad=$(grep -rln '<lmdb.h>' schemas client broker scheduler executor --include='*.[ch]' | grep -v '^client/base/kv\(_[a-z]*\)\?\.[ch]$')
[ -z "$bad" ] || { echo "only client/base/kv may include lmdb.h: $bad"; exit 1; }
echo "arrows: ok"
