#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What `make install` leaves is all that a user needs: installs BUILD ($1) into a folder, compiles
# every example with nothing but pkg-config's answer, runs the installed pawl.
set -eu
cd "$(dirname "$0")/.."
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
prefix=/opt/pawl
make -s --no-print-directory BUILD="$1" DESTDIR="$root" PREFIX=$prefix install
export PKG_CONFIG_PATH="$root$prefix/lib/pkgconfig" PKG_CONFIG_SYSROOT_DIR="$root"
grep -qx "prefix=$prefix" "$PKG_CONFIG_PATH/pawl.pc" || { echo "pawl.pc has another prefix"; exit 1; }
flags=$(pkg-config --cflags --libs pawl)
mkdir "$root/examples"
for example in client/examples/*.c; do
    cp "$example" "$root/examples"
    # shellcheck disable=SC2086
    (cd "$root/examples" && ${CC:-cc} -std=gnu17 -Wall -Wextra -Werror -o "$(basename "$example" .c)" \
        "$(basename "$example")" $flags)
    LD_LIBRARY_PATH="$root$prefix/lib" ldd "$root/examples/$(basename "$example" .c)" |
        grep -q "libpawl.so.0 => $root$prefix/lib/" || { echo "$example: another libpawl"; exit 1; }
done
"$root$prefix/bin/pawl" version
for program in pawl-broker pawl-scheduler pawl-executor; do
    "$root$prefix/bin/$program" --help >/dev/null || { echo "$program --help fails"; exit 1; }
done
for file in pawl.proto errors.tbl.h; do
    [ -r "$root$prefix/share/pawl/schemas/$file" ] || { echo "no $file"; exit 1; }
done
bash -n "$root$prefix/share/bash-completion/completions/pawl" || { echo "no completion for bash"; exit 1; }
echo "install: ok"
