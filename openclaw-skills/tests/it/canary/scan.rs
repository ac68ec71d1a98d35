//! Secrets that are planted, and the search for them in whatever spelling.

use std::{collections::BTreeMap, fmt::Write as _};

/// Planted secrets by name. Each has characters that every encoding writes differently.
#[derive(Clone, Debug, Default)]
pub(super) struct Planted(BTreeMap<String, String>);

impl Planted {
    /// A new secret of this name.
    pub(super) fn plant(&mut self, name: &str) -> String {
        let n = self.0.len() as u64 + 1;
        let tail = n.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x5851_F42D_4C95_7F2D;
        let secret = format!(r#"cnr/{name}+"\{tail:016x}"#);
        self.0.insert(name.to_owned(), secret.clone());
        secret
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, secret)| (name.as_str(), secret.as_str()))
    }
}

/// What came out somewhere.
pub(super) type Sink = (String, Vec<u8>);

/// Where which secret is to be found, in which spelling.
pub(super) fn scan(sinks: &[Sink], planted: &Planted) -> Vec<String> {
    let mut hits = Vec::new();
    for (sink, bytes) in sinks {
        let text = String::from_utf8_lossy(bytes);
        for (name, secret) in planted.all() {
            for (spelling, form) in spellings(secret) {
                if text.contains(&form) {
                    hits.push(format!("{name} in {sink}, {spelling}"));
                }
            }
        }
    }
    hits
}

/// The ways in which a secret may be written.
pub(super) fn spellings(secret: &str) -> Vec<(&'static str, String)> {
    let quoted = |text: String| text[1..text.len() - 1].to_owned();
    let mut all = vec![
        ("plain", secret.to_owned()),
        // No encoding of text changes these.
        ("its last digits", secret[secret.len() - 16..].to_owned()),
        ("JSON", quoted(serde_json::to_string(secret).expect("text"))),
        (
            "JSON in JSON",
            quoted(quoted(serde_json::to_string(&format!("{secret:?}")).expect("text"))),
        ),
        ("Debug", quoted(format!("{secret:?}"))),
        ("percent", percent(secret, true)),
        ("percent, small letters", percent(secret, false)),
        ("bytes", format!("{:?}", secret.as_bytes()).trim_matches(['[', ']']).to_owned()),
        (
            "hexadecimal",
            secret.bytes().fold(String::new(), |mut out, b| {
                let _written = write!(out, "{b:02x}");
                out
            }),
        ),
    ];
    for place in 0..3 {
        // What stands before it shifts the digits, and what stands behind it changes the last.
        let whole = base64(&[&b"::"[..place], secret.as_bytes()].concat());
        let from = [0, 2, 3][place];
        let whole = whole[from..whole.len() - 4].to_owned();
        all.push(("base 64 for URLs", whole.replace('+', "-").replace('/', "_")));
        all.push(("base 64", whole));
    }
    all
}

fn percent(text: &str, large: bool) -> String {
    let escape = |b: u8| if large { format!("%{b:02X}") } else { format!("%{b:02x}") };
    let plain = |b: u8| b.is_ascii_alphanumeric();
    text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { escape(b) }).collect()
}

pub(super) fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for chunk in bytes.chunks(3) {
        let byte = |at: usize| u32::from(chunk.get(at).copied().unwrap_or_default());
        let bits = (byte(0) << 16) | (byte(1) << 8) | byte(2);
        for place in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * place)) as usize & 63];
            out.push(if place > chunk.len() { '=' } else { char::from(digit) });
        }
    }
    out
}
