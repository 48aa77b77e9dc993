# `just` lists what there is.
default:
    @just --list

# The gate; reads only. What CI runs, without installing anything.
verify:
    cargo fmt --all -- --check
    cargo clippy --locked --all-targets -- -D warnings
    cargo test
    cargo deny check bans licenses sources

# Writes what `verify` would complain about, as far as machines can.
fix:
    cargo fmt --all
    cargo clippy --fix --allow-dirty --allow-staged --all-targets

# The API against its own description; needs python3.
fuzz examples="50":
    .ci/schemathesis/run {{examples}}

# What others generate from the description, without a warning; needs python3, node and npm.
generated:
    .ci/generated/run

# Types of the clients; the tests then run them.
clients:
    .ci/clients

test *filter:
    cargo test {{filter}}

# The proof, small: what `test` runs of it, with a report in docs/proof/.
proof *arguments:
    .ci/proof each {{arguments}}

# The proof, some two hours; stops and goes on. `just deep --hours 0.5`, `just deep --only kill`.
deep *arguments:
    .ci/proof deep {{arguments}}

# The proof with the numbers of a release: days, which add up over many runs.
release *arguments:
    .ci/proof release {{arguments}}

# Do the tests bite? Each deliberate fault of tests/faults must be noticed.
bite *faults:
    .ci/bite {{faults}}

# The engine's hand-offs between threads, in orders that a scheduler chooses.
models *filter="engine::tests::models":
    cargo test --lib --features shuttle {{filter}} -- --nocapture

# Small changes of the source that the tests must notice; stops and goes on.
# `just mutants --shard 1 --minutes 60`.
mutants *arguments:
    .ci/mutants {{arguments}}

# Instructions of the hot functions against benches/baseline.json.
# `just instructions --write` makes a new baseline.
instructions *arguments:
    .ci/instructions {{arguments}}

# Everything, on a machine that has only a Rust toolchain.
ci:
    .ci/run

# The binary for other machines, and the lines of its backtraces in a file of their own (needs binutils).
dist:
    cargo build --release --locked
    mkdir -p target/dist
    objcopy --only-keep-debug target/release/upline target/dist/upline.debug
    cd target/dist && objcopy --strip-debug --add-gnu-debuglink=upline.debug ../release/upline upline

# A made-up network of realistic shape, served.
demo members="100000":
    cargo run --release -- demo --members {{members}}
