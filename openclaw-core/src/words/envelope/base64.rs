//! Base 64 of RFC 4648, section 4: the alphabet that CloudEvents wants, with padding.

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

pub(super) fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |at: usize| u32::from(chunk.get(at).copied().unwrap_or_default());
        let bits = (byte(0) << 16) | (byte(1) << 8) | byte(2);
        for place in 0..4 {
            let digit = usize::try_from((bits >> (18 - 6 * place)) & 63).unwrap_or_default();
            let letter = ALPHABET.get(digit).copied().unwrap_or(b'=');
            text.push(if place > chunk.len() { '=' } else { char::from(letter) });
        }
    }
    text
}

/// `None` when it is no base 64, or not the one way to write these bytes.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let chunks = text.as_bytes().chunks(4);
    let last = chunks.len().checked_sub(1);
    for (at, chunk) in chunks.enumerate() {
        let digits = if Some(at) == last { unpadded(chunk) } else { chunk };
        if chunk.len() != 4 || digits.len() < 2 {
            return None;
        }
        let bits = (0..4).try_fold(0_u32, |bits, place| {
            let digit = match digits.get(place) {
                Some(letter) => ALPHABET.iter().position(|a| a == letter)?,
                None => 0,
            };
            Some((bits << 6) | u32::try_from(digit).ok()?)
        })?;
        let [_, all @ ..] = bits.to_be_bytes();
        let (kept, cut) = all.split_at_checked(digits.len() - 1)?;
        if cut.iter().any(|b| *b != 0) {
            return None;
        }
        bytes.extend_from_slice(kept);
    }
    Some(bytes)
}

fn unpadded(chunk: &[u8]) -> &[u8] {
    chunk.strip_suffix(b"==").or_else(|| chunk.strip_suffix(b"=")).unwrap_or(chunk)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vectors_of_the_standard_hold() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(encode(bytes.as_bytes()), text);
            assert_eq!(decode(text).as_deref(), Some(bytes.as_bytes()));
        }
        assert_eq!(encode(&[0xFB, 0xFF]), "+/8=");
    }

    #[test]
    fn what_is_no_base_64_is_refused() {
        for text in
            ["Z", "Zg", "Zg=", "Zg===", "Zh==", "Zm9=", "Z g=", "Zg==Zg==", "=", "====", "é=="]
        {
            assert_eq!(decode(text), None, "{text}");
        }
    }
}
