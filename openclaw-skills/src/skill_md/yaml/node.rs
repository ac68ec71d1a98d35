//! The nodes of a document.

/// A node, and where it stands.
#[derive(Debug)]
pub(in crate::skill_md) struct Node {
    pub(in crate::skill_md) start: usize,
    /// Behind what follows it on its line.
    pub(super) end: usize,
    pub(super) anchor: Option<String>,
    pub(in crate::skill_md) kind: NodeKind,
}

/// What a node is.
#[derive(Debug)]
pub(in crate::skill_md) enum NodeKind {
    Alias(String),
    Scalar(Scalar),
    Map(Vec<Pair>),
    Seq(Vec<Node>),
}

/// A key, and its value if it has one.
#[derive(Debug)]
pub(in crate::skill_md) struct Pair {
    pub(in crate::skill_md) key: Node,
    pub(in crate::skill_md) value: Option<Node>,
}

/// A scalar, by the rules of YAML's core schema.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::skill_md) enum Scalar {
    Null,
    Bool(bool),
    Number(f64),
    Text(String),
}

impl Scalar {
    /// Of a scalar without quotes.
    pub(super) fn of_plain(text: &str) -> Self {
        match text {
            "" | "~" | "null" | "Null" | "NULL" => Self::Null,
            "true" | "True" | "TRUE" => Self::Bool(true),
            "false" | "False" | "FALSE" => Self::Bool(false),
            ".nan" | ".NaN" | ".NAN" => Self::Number(f64::NAN),
            _ => number(text).map_or_else(|| Self::Text(text.to_owned()), Self::Number),
        }
    }

    /// What makes two keys the same.
    pub(super) fn identity(&self) -> Option<String> {
        match self {
            Self::Null => Some("null".to_owned()),
            Self::Bool(value) => Some(format!("b{value}")),
            Self::Number(value) if value.is_nan() => None,
            // Both zeros are the same key.
            Self::Number(value) => Some(format!("n{}", value + 0.0)),
            Self::Text(text) => Some(format!("s{text}")),
        }
    }
}

fn number(text: &str) -> Option<f64> {
    if let Some(digits) = text.strip_prefix("0o") {
        return radix(digits, 8);
    }
    if let Some(digits) = text.strip_prefix("0x") {
        return radix(digits, 16);
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") {
        return Some(if text.starts_with('-') { f64::NEG_INFINITY } else { f64::INFINITY });
    }
    if !unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return None;
    }
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let exponent_fits = exponent.is_none_or(|exponent| {
        let exponent = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        !exponent.is_empty() && digits(exponent)
    });
    let has_digits = !whole.is_empty() || !fraction.is_empty();
    let fits = has_digits && digits(whole) && digits(fraction) && exponent_fits;
    fits.then(|| text.parse().ok()).flatten()
}

fn radix(digits: &str, radix: u32) -> Option<f64> {
    if digits.is_empty() {
        return None;
    }
    digits.chars().try_fold(0.0, |sum, digit| {
        Some(sum * f64::from(radix) + f64::from(digit.to_digit(radix)?))
    })
}
