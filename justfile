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

test *filter:
    cargo test {{filter}}

# Everything, on a machine that has only a Rust toolchain.
ci:
    .ci/run

# A made-up network of realistic shape, served.
demo members="100000":
    cargo run --release -- demo --members {{members}}
