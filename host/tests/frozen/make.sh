#!/bin/sh
# Makes the guests of a version of the interface, once, when it is released: `host/tests/frozen/make.sh VERSION`.
#
# It wants: the sources of sdk/ and wit/ as they are committed; PELTON, a pelton built of that commit (else the one in the target folder);
# PELTON_SDKS, the folder that `cargo xtask sdks` names; cargo, go and clang. It writes the folder VERSION beside itself.
set -eu
fail() {
    echo "make.sh: $1" >&2
    exit 1
}

version=${1:?say which version, as in wit/world.wit}
cd "$(dirname "$0")/../../.."
folder=host/tests/frozen/$version
pelton=${PELTON:-${CARGO_TARGET_DIR:-target}/debug/pelton}
sdks=${PELTON_SDKS:?run cargo xtask sdks, and name its folder}
small="transformer keyed-transformer aggregator stateful-transformer enricher"

grep -q "^package pelton:plugin@$version;" wit/world.wit || fail "wit/world.wit has another version than $version"
[ ! -e "$folder" ] || fail "$folder is there: what is frozen is never made again"
[ -z "$(git status --porcelain wit sdk)" ] || fail "wit/ or sdk/ is not as it was committed"
[ -x "$pelton" ] || fail "there is no $pelton: build it, or name one in PELTON"
diff -qr sdk/javascript/src "$sdks/javascript/src" || fail "$sdks/javascript has another SDK: run cargo xtask sdks again"

made=$(mktemp -d)
trap 'rm -rf "$made"' EXIT

# Rust: without names, and without the folders of whoever builds it.
flags="--remap-path-prefix=$PWD=."
for crates in "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*; do
    flags="$flags --remap-path-prefix=$crates=crates"
done
set --
for world in $small; do
    set -- "$@" -p "conformance-$world"
done
export CARGO_TARGET_WASM32_WASIP2_RUSTFLAGS="$flags"
cargo build --locked --target wasm32-wasip2 --profile plugin --config 'profile.plugin.strip="symbols"' "$@"
mkdir "$made/rust"
for world in $small; do
    built=${CARGO_TARGET_DIR:-target}/wasm32-wasip2/plugin/conformance_$(echo "$world" | tr - _).wasm
    cp "$built" "$made/rust/$world.wasm"
done

mkdir "$made/c" "$made/go"
for world in $small; do
    "$pelton" build "sdk/c/conformance/$world" -o "$made/c/$world.wasm"
done
"$pelton" build sdk/go/conformance/stateful-transformer -o "$made/go/stateful-transformer.wasm"

wit=$PWD/wit
(cd "$sdks/javascript" && node bin/pelton-plugin.js conformance "$made/all/javascript" --wit "$wit")
(cd sdk/python && "$sdks/python/bin/python3" -B -m pelton_sdk conformance "$made/all/python")
for language in javascript python; do
    mkdir "$made/$language"
    cp "$made/all/$language/stateful-transformer.wasm" "$made/$language"
done
rm -r "$made/all"

cp -r "$made" "$folder"
chmod 755 "$folder"
cd "$folder"
find . -name '*.wasm' -exec gzip -9n {} +
find . -name '*.wasm.gz' | sed 's,^\./,,' | LC_ALL=C sort | xargs sha256sum >SHA256SUMS
{
    echo "commit $(git rev-parse HEAD)"
    echo "wit/   tree $(git rev-parse HEAD:wit)"
    echo "sdk/   tree $(git rev-parse HEAD:sdk)"
    rustc --version
    go version | sed 's/^go version //'
    clang --version | head -n 1
    wasm-ld --version
    echo "node $(node --version)"
    echo "componentize-qjs $(node -p "require('$sdks/javascript/node_modules/componentize-qjs/package.json').version")"
    "$sdks/python/bin/componentize-py" --version
    "$sdks/python/bin/python3" --version
} >MADE.txt
cat MADE.txt
