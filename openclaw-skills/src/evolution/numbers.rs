//! Numbers of schemas, compared without rounding.

use std::cmp::Ordering;

use serde_json::{Map, Number, Value};

/// Integers up to here are the same as floating-point numbers.
const EXACT: i128 = 1 << 53;

/// Which is larger; `None` when that can't be told without rounding.
pub(super) fn compare(a: &Number, b: &Number) -> Option<Ordering> {
    match (integer(a), integer(b)) {
        (Some(a), Some(b)) => Some(a.cmp(&b)),
        (None, None) => a.as_f64()?.partial_cmp(&b.as_f64()?),
        (Some(a), None) => float(a)?.partial_cmp(&b.as_f64()?),
        (None, Some(b)) => a.as_f64()?.partial_cmp(&float(b)?),
    }
}

fn integer(n: &Number) -> Option<i128> {
    n.as_i64().map(i128::from).or_else(|| n.as_u64().map(i128::from))
}

fn float(n: i128) -> Option<f64> {
    let small = i32::try_from(n).ok().map(f64::from);
    // Up to 2^53 a conversion by text is exact.
    small.or_else(|| (n.abs() <= EXACT).then(|| n.to_string().parse().ok())?)
}

/// The sharper one of an inclusive and an exclusive bound. True when it is exclusive.
pub(super) enum Bound<'a> {
    None,
    At(&'a Number, bool),
    Unclear,
}

/// The bound that these two keywords set together. `sharper` is how the sharper one compares.
pub(super) fn bound<'a>(
    schema: &'a Map<String, Value>,
    [inclusive, exclusive]: [&str; 2],
    sharper: Ordering,
) -> Bound<'a> {
    let read = |key: &str| match schema.get(key) {
        None => Ok(None),
        Some(Value::Number(n)) => Ok(Some(n)),
        Some(_) => Err(()),
    };
    match (read(inclusive), read(exclusive)) {
        (Ok(None), Ok(None)) => Bound::None,
        (Ok(Some(n)), Ok(None)) => Bound::At(n, false),
        (Ok(None), Ok(Some(n))) => Bound::At(n, true),
        (Ok(Some(inclusive)), Ok(Some(exclusive))) => match compare(inclusive, exclusive) {
            Some(order) if order == sharper => Bound::At(inclusive, false),
            Some(_) => Bound::At(exclusive, true),
            None => Bound::Unclear,
        },
        _ => Bound::Unclear,
    }
}

/// Is a multiple of the one always a multiple of the other?
pub(super) fn divides(b: &Number, a: &Number) -> bool {
    let whole = |n: &Number| integer(n).filter(|n| *n > 0);
    match (whole(a), whole(b)) {
        (Some(a), Some(b)) => a % b == 0,
        _ => a == b,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn large_numbers_are_not_rounded() {
        let number = |value: Value| value.as_number().cloned().unwrap();
        let (a, b) =
            (number(json!(9_007_199_254_740_993_u64)), number(json!(9_007_199_254_740_992.0)));
        assert_eq!(compare(&a, &b), None);
        assert_eq!(compare(&number(json!(1)), &number(json!(1.0))), Some(Ordering::Equal));
        assert_eq!(compare(&number(json!(u64::MAX)), &number(json!(-1))), Some(Ordering::Greater));
    }
}
