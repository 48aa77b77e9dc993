//! Bench reports: one JSON object per line for each target measured, or the same as text.

use serde::Serialize;
use serde_json::{Map, Value};

/// The result of a bench for one target.
///
/// As JSON: `{"bench","params","figures","limit","ratio","target","met","digest"}`. Figures end in their unit
/// (`_per_second`, `_us`, `_bytes`).
#[derive(Serialize, Debug)]
pub(super) struct Report {
    pub bench: &'static str,
    /// The workload parameters: the same parameters give the same digest.
    pub params: Map<String, Value>,
    /// The measured figures.
    pub figures: Map<String, Value>,
    /// The bounds, measured in the same run.
    pub limit: Map<String, Value>,
    /// The main figure over its limit; more is better. `null` without a limit.
    pub ratio: Option<f64>,
    /// The target in words, with its number.
    pub target: String,
    /// Whether it is met; `null` when the target is for other parameters.
    pub met: Option<bool>,
    /// Digest of the result: a different one means different work.
    pub digest: Option<String>,
}

impl Report {
    pub fn new(bench: &'static str, target: impl Into<String>) -> Self {
        Self {
            bench,
            params: Map::new(),
            figures: Map::new(),
            limit: Map::new(),
            ratio: None,
            target: target.into(),
            met: None,
            digest: None,
        }
    }

    pub fn param(&mut self, name: &str, value: impl Into<Value>) {
        self.params.insert(name.into(), value.into());
    }

    pub fn figure(&mut self, name: &str, value: impl Into<Value>) {
        self.figures.insert(name.into(), rounded(value.into()));
    }

    pub fn limit(&mut self, name: &str, value: impl Into<Value>) {
        self.limit.insert(name.into(), rounded(value.into()));
    }

    /// Sets the ratio of the main figure to its limit, where both are known.
    pub fn compare(&mut self, figure: impl Into<Option<f64>>, limit: impl Into<Option<f64>>) {
        let limit = limit.into().filter(|limit| *limit != 0.0);
        self.ratio = figure.into().zip(limit).map(|(figure, limit)| significant(figure / limit));
    }

    /// Judges the target: unknown for parameters other than the target's, or with too few measurements.
    pub fn judge(&mut self, is_asked: bool, keeps: impl Into<Option<bool>>) {
        self.met = keeps.into().filter(|_| is_asked);
    }

    pub fn in_words(&self) -> String {
        let list = |map: &Map<String, Value>| -> String {
            map.iter().fold(String::new(), |text, (name, value)| {
                text + &format!("  {name:32} {}\n", figure_shown(value))
            })
        };
        let params: Vec<String> =
            self.params.iter().map(|(name, value)| format!("{name} {}", shown(value))).collect();
        let met = match self.met {
            Some(true) => "met",
            Some(false) => "MISSED",
            None if self.figures.values().chain(self.limit.values()).any(Value::is_null) => NOT_ENOUGH,
            None => "not for these parameters",
        };
        let mut text = format!("{}: {}\n{}", self.bench, params.join(", "), list(&self.figures));
        if !self.limit.is_empty() {
            text += &format!(" limit, in the same run\n{}", list(&self.limit));
        }
        if let Some(ratio) = self.ratio {
            text += &format!("  {:32} {ratio}\n", "ratio");
        }
        if let Some(digest) = &self.digest {
            text += &format!("  {:32} {digest}\n", "digest");
        }
        text + &format!(" target {}: {met}", self.target)
    }
}

/// Stands for a figure that could not be measured. In JSON it is null.
const NOT_ENOUGH: &str = "not enough data";

fn figure_shown(value: &Value) -> String {
    if value.is_null() { NOT_ENOUGH.into() } else { shown(value) }
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => match number.as_u64() {
            Some(number) => crate::cli::screen::grouped(number),
            None => number.to_string(),
        },
        other => other.to_string(),
    }
}

/// Figures are accurate to about four digits at best.
fn rounded(value: Value) -> Value {
    match value.as_f64() {
        Some(number) if value.is_f64() => significant(number).into(),
        _ => value,
    }
}

/// Rounds to four significant digits.
fn significant(number: f64) -> f64 {
    if number == 0.0 || !number.is_finite() {
        return number;
    }
    let digits = 3.0 - number.abs().log10().floor();
    // An integral power of ten is exact, its inverse is not.
    let scale = 10_f64.powf(digits.abs());
    if digits < 0.0 { (number / scale).round() * scale } else { (number * scale).round() / scale }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_four_digits() {
        for (number, shown) in [
            (0.0, 0.0),
            (1_234_567.0, 1_235_000.0),
            (0.001_234_56, 0.001_235),
            (9.999_96, 10.0),
            (-12.345_6, -12.35),
        ] {
            assert!((significant(number) - shown).abs() < 1e-9, "{number}");
        }
    }

    #[test]
    fn large_figures_are_whole() {
        assert_eq!(rounded(197_212_345.6.into()).to_string(), "197200000.0");
    }

    #[test]
    fn the_line_has_what_it_must_have() {
        let mut report = Report::new("place", "P1: >= 1");
        report.param("members", 10);
        report.figure("signups_per_second", 1.5);
        report.compare(1.0, 2.0);
        let line = serde_json::to_value(&report).unwrap();
        let names: Vec<&String> = line.as_object().unwrap().keys().collect();
        assert_eq!(names.len(), 8, "{names:?}");
        assert_eq!(line["ratio"], 0.5);
        assert!(report.in_words().ends_with("target P1: >= 1: not for these parameters"));
    }

    #[test]
    fn what_could_not_be_measured_is_no_zero() {
        let mut report = Report::new("http", "P3");
        report.param("width", Value::Null);
        report.figure("signups_per_second", None::<f64>);
        report.figure("p99_us", 12.5);
        report.limit("p99_us", None::<f64>);
        report.compare(12.5, None);
        report.judge(true, None);
        let line = serde_json::to_value(&report).unwrap();
        assert!(
            line["figures"]["signups_per_second"].is_null()
                && line["ratio"].is_null()
                && line["met"].is_null(),
            "{line}"
        );
        let words = report.in_words();
        assert_eq!(words.matches("not enough data").count(), 3, "{words}");
        assert!(words.contains("width null") && !words.contains(" 0"), "{words}");
        report.compare(1.0, 0.0);
        assert_eq!(report.ratio, None);
    }
}
