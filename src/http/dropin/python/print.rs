//! JSON as Python prints it.

use super::json::{Token, Value};

/// A string as `json.dumps(..., ensure_ascii=False)` prints it.
pub fn print_str(text: &str, out: &mut String) {
    out.push('"');
    let mut from = 0;
    for (at, byte) in text.bytes().enumerate() {
        let escape = match byte {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            b'\n' => "\\n",
            b'\r' => "\\r",
            b'\t' => "\\t",
            0x08 => "\\b",
            0x0c => "\\f",
            0..=0x1f => "",
            _ => continue,
        };
        out.push_str(&text[from..at]);
        from = at + 1;
        if escape.is_empty() {
            out.push_str("\\u00");
            out.push(if byte < 0x10 { '0' } else { '1' });
            out.push(char::from_digit(u32::from(byte & 0xf), 16).expect("four bits are a hexadecimal digit"));
        } else {
            out.push_str(escape);
        }
    }
    out.push_str(&text[from..]);
    out.push('"');
}

/// A float as Python's `repr` prints it: the shortest digits that read back as the same float, always with a
/// point, and an exponent below 10^-4 and from 10^16 on. Values that JSON cannot hold are null.
pub fn print_float(value: f64, out: &mut String) {
    if !value.is_finite() {
        out.push_str("null");
        return;
    }
    // Rust gives the same shortest digits, as `d.ddde[-]x`.
    let scientific = format!("{value:e}");
    let (mantissa, exponent) = scientific.split_once('e').expect("`{:e}` always prints an exponent");
    let exponent: i32 = exponent.parse().expect("the exponent of a float is a small integer");
    if !(-4..16).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        let exponent = exponent.unsigned_abs();
        out.push_str(mantissa);
        out.push('e');
        out.push(sign);
        if exponent < 10 {
            out.push('0');
        }
        out.push_str(&exponent.to_string());
        return;
    }
    // In this range `{:?}` prints positional digits with a point.
    let positional = format!("{value}");
    out.push_str(&positional);
    if !positional.contains('.') {
        out.push_str(".0");
    }
}

impl Value<'_> {
    /// The value as the original echoes it: `json.dumps` without spaces and without escaping non-ASCII
    /// characters. Values it cannot print (`NaN`, infinities) are null.
    pub fn print(&self, out: &mut String) {
        enum Step<'d> {
            Value(Value<'d>),
            Name(&'d str),
            Literal(&'static str),
        }
        let mut steps = vec![Step::Value(*self)];
        while let Some(step) = steps.pop() {
            let value = match step {
                Step::Literal(literal) => {
                    out.push_str(literal);
                    continue;
                }
                Step::Name(name) => {
                    print_str(name, out);
                    out.push(':');
                    continue;
                }
                Step::Value(value) => value,
            };
            match value.token() {
                Token::Null => out.push_str("null"),
                Token::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
                Token::Int(digits) => out.push_str(digits),
                Token::Float(value) => print_float(*value, out),
                Token::Str(text) => print_str(&text.text, out),
                Token::List { .. } => {
                    out.push('[');
                    steps.push(Step::Literal("]"));
                    let before = steps.len();
                    for item in value.items() {
                        if before < steps.len() {
                            steps.push(Step::Literal(","));
                        }
                        steps.push(Step::Value(item));
                    }
                    steps[before..].reverse();
                }
                Token::Dict { .. } => {
                    out.push('{');
                    steps.push(Step::Literal("}"));
                    let before = steps.len();
                    for (name, value) in value.distinct_entries() {
                        if before < steps.len() {
                            steps.push(Step::Literal(","));
                        }
                        steps.push(Step::Name(&name.text));
                        steps.push(Step::Value(value));
                    }
                    steps[before..].reverse();
                }
                Token::Close => unreachable!("values never begin at the end of a container"),
            }
        }
    }
}
