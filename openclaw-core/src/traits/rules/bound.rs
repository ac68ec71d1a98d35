//! What a rule asks of one argument.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};
use serde_json::{Number, Value};

/// What a rule asks of one argument; everything that is set has to hold.
///
/// Numbers are compared as numbers, exactly: `1` equals `1.0`, and no integer is rounded. Of an
/// argument that is missing only `"exists": false` holds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct Bound {
    /// It is this number or more.
    pub at_least: Option<Number>,
    /// It is this number or less.
    pub at_most: Option<Number>,
    /// It is more than this number.
    pub above: Option<Number>,
    /// It is less than this number.
    pub below: Option<Number>,
    /// It is this text, number or truth value.
    pub equals: Option<Value>,
    /// It is one of these.
    pub one_of: Option<Vec<Value>>,
    /// It is there, or it is not.
    pub exists: Option<bool>,
}

/// Does an argument meet a bound?
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fit {
    No,
    /// It can't be compared: a text where a number is bounded.
    Unclear,
    Yes,
}

impl From<bool> for Fit {
    fn from(yes: bool) -> Self {
        if yes { Self::Yes } else { Self::No }
    }
}

impl Bound {
    /// Does this argument meet the bound? `None` is an argument that is not there.
    pub(super) fn fits(&self, argument: Option<&Value>) -> Fit {
        let Some(value) = argument else { return Fit::from(self.exists == Some(false)) };
        if self.exists == Some(false) {
            return Fit::No;
        }
        let order = [
            (&self.at_least, Ordering::is_ge as fn(Ordering) -> bool),
            (&self.at_most, Ordering::is_le),
            (&self.above, Ordering::is_gt),
            (&self.below, Ordering::is_lt),
        ];
        let numbers = order.into_iter().filter_map(|(bound, holds)| {
            let order = value.as_number().and_then(|n| compare(n, bound.as_ref()?));
            bound.as_ref().map(|_| order.map_or(Fit::Unclear, |order| holds(order).into()))
        });
        let equals = self.equals.iter().map(|wanted| same(value, wanted).into());
        let one_of = self.one_of.iter().map(|all| all.iter().any(|one| same(value, one)).into());
        numbers.chain(equals).chain(one_of).min().unwrap_or(Fit::Yes)
    }

    /// Why it can't be used.
    pub(super) fn wrong(&self) -> Option<&'static str> {
        if *self == Self::default() {
            return Some("it asks for nothing");
        }
        if self.exists == Some(false) && (Self { exists: None, ..self.clone() }) != Self::default()
        {
            return Some("what is not there has no value");
        }
        let mut values = self.equals.iter().chain(self.one_of.iter().flatten());
        if values.any(|value| value.is_array() || value.is_object()) {
            return Some("a value is a text, a number, true, false or null");
        }
        self.one_of.as_ref().filter(|all| all.is_empty()).map(|_| "an empty list matches nothing")
    }
}

fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => {
            compare(one, other).is_some_and(Ordering::is_eq)
        }
        _ => one == other,
    }
}

/// The order of two numbers, exactly.
fn compare(one: &Number, other: &Number) -> Option<Ordering> {
    match (integer(one), integer(other)) {
        (Some(one), Some(other)) => Some(one.cmp(&other)),
        (Some(one), None) => against(one, other.as_f64()?),
        (None, Some(other)) => against(other, one.as_f64()?).map(Ordering::reverse),
        (None, None) => one.as_f64()?.partial_cmp(&other.as_f64()?),
    }
}

fn integer(n: &Number) -> Option<i128> {
    n.as_i64().map(i128::from).or_else(|| n.as_u64().map(i128::from))
}

/// The order of an integer of 64 bits and a float, without rounding either.
fn against(integer: i128, float: f64) -> Option<Ordering> {
    const FAR: f64 = (1_u128 << 65) as f64;
    if float.is_nan() {
        return None;
    }
    if float.abs() >= FAR {
        return Some(if float > 0.0 { Ordering::Less } else { Ordering::Greater });
    }
    // Below 2^65 the whole part of a float is an integer that fits.
    let whole = float.trunc() as i128;
    Some(
        integer
            .cmp(&whole)
            .then_with(|| 0.0.partial_cmp(&float.fract()).unwrap_or(Ordering::Equal)),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn number(text: &str) -> Number {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn numbers_are_compared_without_rounding() {
        use Ordering as O;
        for (one, other, order) in [
            ("1", "1.0", O::Equal),
            ("-0.0", "0", O::Equal),
            ("9007199254740993", "9007199254740992", O::Greater),
            ("9007199254740993", "9007199254740992.0", O::Greater),
            ("9007199254740992.0", "9007199254740993", O::Less),
            ("18446744073709551615", "18446744073709551616", O::Less),
            ("18446744073709551615", "18446744073709551615", O::Equal),
            ("-9223372036854775808", "-9223372036854775808.0", O::Equal),
            ("-9223372036854775808", "18446744073709551615", O::Less),
            ("100", "100.5", O::Less),
            ("-100", "-100.5", O::Greater),
            ("1e300", "18446744073709551615", O::Greater),
            ("-1e300", "-9223372036854775808", O::Less),
            ("36893488147419103232", "18446744073709551615", O::Greater),
        ] {
            assert_eq!(compare(&number(one), &number(other)), Some(order), "{one} {other}");
            assert_eq!(compare(&number(other), &number(one)), Some(order.reverse()), "{other}");
        }
    }

    #[test]
    fn what_can_not_be_compared_is_neither_within_nor_without() {
        let most = Bound { at_most: Some(100.into()), ..Bound::default() };
        for (argument, fit) in [
            (json!(100), Fit::Yes),
            (json!(100.0), Fit::Yes),
            (json!(101), Fit::No),
            (json!("99"), Fit::Unclear),
            (json!(null), Fit::Unclear),
            (json!([1]), Fit::Unclear),
        ] {
            assert_eq!(most.fits(Some(&argument)), fit, "{argument}");
        }
        assert_eq!(most.fits(None), Fit::No);
        let absent = Bound { exists: Some(false), ..Bound::default() };
        assert_eq!((absent.fits(None), absent.fits(Some(&json!(null)))), (Fit::Yes, Fit::No));
    }
}
