#!/bin/sh
# Builds llama-batched-bench from the sources that node-llama-cpp brings along: the very release it is itself built of.
# Needs git, cmake and g++ (Debian packages); 10 to 20 minutes of one core. Usage: build-native.sh FOLDER
set -eu
folder=${1:?usage: build-native.sh FOLDER}
bundle=$(dirname "$0")/node_modules/node-llama-cpp/llama/gitRelease.bundle
[ -f "$bundle" ] || { echo "$bundle is missing: install the peer first (README.md of the benchmarks)" >&2; exit 1; }
[ -d "$folder/src" ] || git clone -q "$bundle" "$folder/src"
cmake -S "$folder/src" -B "$folder/build" -DCMAKE_BUILD_TYPE=Release -DBUILD_SHARED_LIBS=OFF -DGGML_NATIVE=ON \
  -DLLAMA_CURL=OFF -DLLAMA_OPENSSL=OFF -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_SERVER=OFF
cmake --build "$folder/build" --target llama-batched-bench -j "$(nproc)"
echo "$folder/build/bin/llama-batched-bench"
