//! The signature of a hook: `v1`, HMAC-SHA256 over `v1.{timestamp}.{nonce}.{raw body}`.
//!
//! The dots are what makes it safe: neither the timestamp nor the nonce can hold one, so the
//! borders between the parts can't be moved. Without them one captured request yields others
//! that verify.

use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use http::HeaderMap;
use openclaw_core::{Secret, Timestamp};
use sha2::Sha256;

use super::problem::Problem;

/// The header that carries the time of signing, ten digits of Unix seconds.
pub const TIMESTAMP: &str = "x-openclaw-timestamp";
/// The header of the nonce: 16 to 64 characters of `A-Z a-z 0-9 _ -`.
pub const NONCE: &str = "x-openclaw-nonce";
/// The header that carries the signature, `v1=` and 64 lower-case hex digits.
pub const SIGNATURE: &str = "x-openclaw-signature";

/// How far the time of signing may be from now, both ways.
pub(super) const WINDOW: Duration = Duration::from_secs(300);

/// Signs a body for [`HttpChannel`](super::HttpChannel)'s `POST /hooks/{source}`.
///
/// The answer is the value of the header [`SIGNATURE`]. The nonce must be new for every
/// request, and the timestamp is in Unix seconds.
///
/// ```
/// use openclaw_channels::http::sign;
/// use openclaw_core::Secret;
///
/// let secret = Secret::new("correct horse battery staple");
/// let signature = sign(&secret, 1_699_123_456, "7890abcdef7890abcdef", br#"{"a":1}"#);
/// assert!(signature.starts_with("v1=") && signature.len() == 67);
/// assert_ne!(signature, sign(&secret, 1_699_123_456, "7890abcdef7890abcde", br#"f{"a":1}"#));
/// ```
#[must_use]
pub fn sign(secret: &Secret, timestamp: u64, nonce: &str, body: &[u8]) -> String {
    let Some(key) = key(secret) else { return String::new() };
    let mac = signed(key, &format!("{timestamp:010}"), nonce, body).finalize().into_bytes();
    let hex: String = mac.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("v1={hex}")
}

/// A key that is ready to sign. HMAC takes keys of any length, so there is always one.
pub(super) fn key(secret: &Secret) -> Option<Hmac<Sha256>> {
    Hmac::new_from_slice(secret.expose().as_bytes()).ok()
}

fn signed(mut mac: Hmac<Sha256>, timestamp: &str, nonce: &str, body: &[u8]) -> Hmac<Sha256> {
    for part in ["v1.", timestamp, ".", nonce, "."] {
        mac.update(part.as_bytes());
    }
    mac.update(body);
    mac
}

/// What a request says about its signature, read strictly.
#[derive(Debug)]
pub(super) struct Presented {
    timestamp: String,
    seconds: u64,
    pub(super) nonce: String,
    mac: [u8; 32],
}

impl Presented {
    /// Reads the three headers; each must be there exactly once, in its only form.
    pub(super) fn read(headers: &HeaderMap) -> Result<Self, Problem> {
        let timestamp = once(headers, TIMESTAMP)?;
        let seconds = ten_digits(timestamp)
            .ok_or_else(|| Problem::unauthorized("the timestamp is not ten digits"))?;
        let nonce = once(headers, NONCE)?;
        if !is_nonce(nonce) {
            let message = "the nonce is not 16 to 64 characters of A-Z a-z 0-9 _ -";
            return Err(Problem::unauthorized(message));
        }
        let mac = once(headers, SIGNATURE)?
            .strip_prefix("v1=")
            .and_then(bytes_of_hex)
            .ok_or_else(|| Problem::unauthorized("the signature is not v1= and 64 hex digits"))?;
        Ok(Self { timestamp: timestamp.to_owned(), seconds, nonce: nonce.to_owned(), mac })
    }

    /// Is the time of signing within the window, both ways?
    pub(super) fn is_fresh(&self, now: Timestamp) -> bool {
        let signed = Timestamp::from_millis(self.seconds.saturating_mul(1000));
        signed.since(now).max(now.since(signed)) <= WINDOW
    }

    /// Does one of the keys fit? Every key is tried, in constant time.
    pub(super) fn fits(&self, keys: &[Hmac<Sha256>], body: &[u8]) -> bool {
        keys.iter().fold(false, |fits, key| {
            let mac = signed(key.clone(), &self.timestamp, &self.nonce, body);
            mac.verify_slice(&self.mac).is_ok() | fits
        })
    }
}

fn once<'h>(headers: &'h HeaderMap, name: &str) -> Result<&'h str, Problem> {
    let mut values = headers.get_all(name).iter();
    let (value, more) = (values.next(), values.next());
    value
        .filter(|_| more.is_none())
        .and_then(|value| value.to_str().ok())
        .ok_or_else(|| Problem::unauthorized(format!("{name} must be there exactly once")))
}

fn ten_digits(text: &str) -> Option<u64> {
    let digits = text.len() == 10 && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

fn is_nonce(text: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    (16..=64).contains(&text.len()) && text.bytes().all(fits)
}

/// Lower case only: one signature has one spelling.
fn bytes_of_hex(text: &str) -> Option<[u8; 32]> {
    let digit = |b: u8| match b {
        b'0'..=b'9' => Some(b - b'0'),
        b'a'..=b'f' => Some(b - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; 32];
    if text.len() != 64 {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        let [high, low] = pair else { return None };
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(timestamp: &str, nonce: &str, signature: &str) -> HeaderMap {
        let pairs = [(TIMESTAMP, timestamp), (NONCE, nonce), (SIGNATURE, signature)];
        pairs.into_iter().map(|(n, v)| (n.parse().unwrap(), v.parse().unwrap())).collect()
    }

    const SOME: &str = "v1=00000000000000000000000000000000ffffffffffffffffffffffffffffffff";

    /// Payload, timestamp and nonce of a captured request, and of a second one. Both have the same
    /// bytes in the same order.
    const CAPTURED: (&str, &str, &str) = (r#"{"a":1}"#, "1699123456", "7890abcdef");
    const SHIFTED: (&str, &str, &str) = (r#"{"a":1}"#, "1699123456789", "0abcdef");

    #[test]
    fn parts_without_borders_collide_and_ours_do_not() {
        let (a, b) = (CAPTURED, SHIFTED);
        assert_eq!([a.0, a.1, a.2].concat(), [b.0, b.1, b.2].concat());
        let key = key(&Secret::new("a secret of the test, long enough")).unwrap();
        let mac = |(body, timestamp, nonce): (&str, &str, &str)| {
            signed(key.clone(), timestamp, nonce, body.as_bytes()).finalize().into_bytes()
        };
        assert_ne!(mac(a), mac(b));
    }

    #[test]
    fn the_shifted_request_is_not_even_read() {
        for (_, timestamp, nonce) in [CAPTURED, SHIFTED] {
            assert!(Presented::read(&headers(timestamp, nonce, SOME)).is_err());
        }
    }

    #[test]
    fn only_ten_digits_are_a_timestamp() {
        let nonce = "abcdefghijklmnop";
        assert!(Presented::read(&headers("1699123456", nonce, SOME)).is_ok());
        let bad = [
            "",
            "169912345",
            "16991234567",
            "1699123456789",
            "1699123456.0",
            "-699123456",
            "+699123456",
            "0x99123456",
            "1.69912e10",
            " 699123456",
            "１６９９１２",
        ];
        for timestamp in bad {
            let value = http::HeaderValue::from_bytes(timestamp.as_bytes()).unwrap();
            let mut all = headers("1699123456", nonce, SOME);
            all.insert(TIMESTAMP, value);
            assert!(Presented::read(&all).is_err(), "{timestamp:?}");
        }
    }

    #[test]
    fn the_window_is_300_seconds_both_ways() {
        let read = Presented::read(&headers("1699123456", "abcdefghijklmnop", SOME)).unwrap();
        let at = |ms: i64| {
            let now = 1_699_123_456_000_i64 + ms;
            read.is_fresh(Timestamp::from_millis(now.unsigned_abs()))
        };
        assert!(at(0) && at(300_000) && at(-300_000));
        assert!(!at(300_001) && !at(-300_001));
    }

    #[test]
    fn one_signature_has_one_spelling() {
        for (good, text) in [
            (true, SOME.to_owned()),
            (false, SOME.to_uppercase().replace("V1", "v1")),
            (false, SOME.replace("v1", "v0")),
            (false, format!("{SOME}0")),
            (false, format!("{SOME},{SOME}")),
            (false, SOME.replace("ff", "f")),
        ] {
            let read = Presented::read(&headers("1699123456", "abcdefghijklmnop", &text));
            assert_eq!(read.is_ok(), good, "{text}");
        }
    }
}
