# Front door of the build. `make help` lists the targets; the work is done by CMake and by the scripts under tools/.
BUILD ?= build
JOBS ?= $(shell nproc)
FUZZ_SECONDS ?= 60
LIBTORCH = $(shell tools/setup path libtorch)
ARROW = $(wildcard $(shell tools/setup path arrow))
export CCACHE_SLOPPINESS = pch_defines,time_macros

.PHONY: all help deps arrow configure cuda demo compare test test-cuda check interop serving asan fuzz bench bench-cuda wheel package format clean

all: deps configure  ## build build/lowrank (installs what is missing first)
	cmake --build $(BUILD) --target lowrank -j $(JOBS)

help:  ## this list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 18

deps:  ## Debian packages and libtorch
	@tools/setup packages
	@tools/setup libtorch

arrow:  ## Apache Arrow, with which the next build also reads Parquet tables
	@tools/setup arrow

configure: deps
	@if grep -qs '^CMAKE_HOME_DIRECTORY' $(BUILD)/CMakeCache.txt && ! grep -qsFx 'CMAKE_HOME_DIRECTORY:INTERNAL=$(CURDIR)' $(BUILD)/CMakeCache.txt; \
	  then echo "$(BUILD) belongs to another source folder (was this one copied?): rm -r $(BUILD)" >&2; exit 1; fi
	@cmake -S . -B $(BUILD) -DLOWRANK_LIBTORCH=$(LIBTORCH) -DLOWRANK_ARROW=$(ARROW) $(CMAKE_FLAGS) > $(BUILD).configure.log 2>&1 \
	  && rm -f $(BUILD).configure.log || { cat $(BUILD).configure.log; exit 1; }

cuda: all  ## the same with our kernels for NVIDIA GPUs (needs nvcc of CUDA 13) and libtorch's CUDA side, for --device cuda
	@cmake --build $(BUILD) --target help | grep -q lowrank_cuda || { echo "make cuda: nvcc, the compiler of CUDA 13, is not on PATH" >&2; exit 1; }
	@tools/setup cuda
	@cmake -DLOWRANK_NCCL_INCLUDE="$$(tools/setup path cuda)/nvidia/nccl/include" $(BUILD) > /dev/null
	cmake --build $(BUILD) --target lowrank_cuda lowrank_nccl -j $(JOBS)

demo: all  ## fine-tune SmolLM2 on this machine's package lists (3 to 5 minutes after the build)
	@tools/setup model
	examples/demo/run $(BUILD)/lowrank "$$(tools/setup path model)"

compare: all  ## compare four methods on this machine's package lists
	@tools/setup model
	examples/compare/run $(BUILD)/lowrank "$$(tools/setup path model)"

test: arrow deps configure  ## all tests
	@tools/setup model
	@tools/setup minilm
	cmake --build $(BUILD) -j $(JOBS)
	@rm -rf $(BUILD)/test_results && mkdir -p $(BUILD)/test_results
	LOWRANK_MODEL="$$(tools/setup path model)" LOWRANK_MINILM="$$(tools/setup path minilm)" \
	  ctest --test-dir $(BUILD) -j $(JOBS) --output-on-failure --output-junit test_results/ctest.xml

test-cuda: cuda  ## the tests that need an NVIDIA GPU (CHECKS="operations contract runs program")
	@tools/setup model
	cmake --build $(BUILD) --target test_kernels test_contract test_train test_infer -j $(JOBS)
	tests/cuda/run $(BUILD) cuda $(CHECKS)

check:  ## format, tidy on changed files, layers, sizes, docs; warnings are errors
	@tools/check

interop: all  ## what we write, read by PEFT, AdapterHub, llama.cpp and mlx-lm, and the other way round (installs them: 5 GB)
	cmake --build $(BUILD) --target test_formats -j $(JOBS)
	tests/interop/run $(BUILD) $(CHECKS)

serving: all  ## the server with real clients and hostile ones (CHECKS="openai curl wrk attacks schemathesis page soak"; installs them: 300 MB)
	tests/serving/run $(BUILD) $(CHECKS)

# Without the long ones: what every method promises (contract), the same tests for older processors (levels), the package (scripts).
asan:  ## unit tests under the address and undefined-behaviour sanitizers
	@$(MAKE) --no-print-directory configure BUILD=build-asan CMAKE_FLAGS="-DLOWRANK_SANITIZE=ON"
	cmake --build build-asan -j $(JOBS)
	ctest --test-dir build-asan -j $(JOBS) --output-on-failure -LE '^(contract|levels|scripts)$$'

fuzz: deps  ## every fuzzer of tests/fuzz (or FUZZERS="rows yaml") for FUZZ_SECONDS=60, built with clang and sanitizers
	@tools/setup clang
	@$(MAKE) --no-print-directory configure BUILD=build-fuzz \
	  CMAKE_FLAGS="-DLOWRANK_FUZZ=ON -DCMAKE_CXX_COMPILER=clang++ $(CMAKE_FLAGS)"
	cmake --build build-fuzz --target lowrank fuzzers -j $(JOBS)
	FUZZ_SECONDS=$(FUZZ_SECONDS) tests/fuzz/run build-fuzz $(FUZZERS)

wheel: all  ## the Python package, in build/wheel
	cmake --build $(BUILD) --target lowrank_shared -j $(JOBS)
	tools/make_wheel $(BUILD) $(BUILD)/wheel

bench: all  ## each kernel against its reference, then the measurements of README in turn with PEFT, and how they changed
	cmake --build $(BUILD) --target kernel_bench -j $(JOBS)
	$(BUILD)/bench/kernel_bench --compare bench/kernel_results.json
	bench/run $(BUILD)/lowrank --compare bench/results.json

bench-cuda: cuda  ## training on an NVIDIA GPU against PEFT and Liger's kernels, in turn (ARGUMENTS of bench/gpu_train.py)
	bench/gpu $(BUILD)/lowrank $(ARGUMENTS)

package: all  ## dist/lowrank-VERSION-linux-ARCH.tar.gz, which runs without compiler, libtorch or Python
	tools/package $(BUILD)

format:  ## clang-format over all sources
	git ls-files '*.cpp' '*.h' '*.cu' | xargs clang-format -i

clean:  ## remove the build folders
	rm -rf build build-asan build-check build-clang build-fuzz dist
