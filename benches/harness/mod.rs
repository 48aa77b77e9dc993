//! Selects between measuring and checking in Criterion benches.

use criterion::Criterion;

/// Measures under `cargo bench`; checks otherwise (`cargo test`, `cargo bench -- --test`), so that a bench
/// cannot rot. `criterion` holds sizes and times, which the command line changes.
pub fn run(criterion: Criterion, measure: fn(&mut Criterion), check: fn()) {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    if has("--bench") && !has("--test") {
        let mut criterion = criterion.configure_from_args();
        measure(&mut criterion);
        criterion.final_summary();
    } else if !has("--list") {
        check();
    }
}
