//! Rendering: pure, within the limits, and nothing is lost.

use openclaw_core::Content;

use super::{Line, line::length};

/// Texts that a careless split breaks: long, without a blank, of many planes.
fn samples(line: &Line, about: usize) -> Vec<String> {
    let unit = line.can().unit;
    let grow = |piece: &str| {
        let mut text = String::new();
        while unit.len(&text) < about {
            text.push_str(piece);
        }
        text
    };
    let pieces =
        ["x", "word ", "One sentence. ", "A line.\n", "Paragraph.\n\n", "é", "😀", "e\u{301}"];
    let mut samples: Vec<String> = pieces.iter().map(|piece| grow(piece)).collect();
    samples.push(grow("Mixed: x😀é. Next line\nand then\n\nmore "));
    samples
}

fn max(line: &Line) -> usize {
    line.can().max_text.map_or(1_000, std::num::NonZero::get)
}

/// The same content gives the same parts, at least one.
pub async fn rendering_is_pure(line: &Line) {
    let mut contents: Vec<Content> =
        samples(line, max(line)).into_iter().map(Content::text).collect();
    contents.push(Content::text(""));
    contents.push(Content::json(serde_json::json!({"order": 1042})));
    for content in contents {
        let parts = line.channel().render(&content);
        assert!(!parts.is_empty(), "no part of {content:?}");
        assert_eq!(line.channel().render(&content), parts, "{content:?} in other parts");
    }
}

/// Every part fits the longest text, as the platform counts.
pub async fn rendered_parts_fit(line: &Line) {
    let (max, unit) = (max(line), line.can().unit);
    for about in [max - 1, max, max + 1, max * 3] {
        for sample in samples(line, about) {
            for part in line.channel().render(&Content::text(sample)) {
                let length = length(&part, unit);
                assert!(length <= max, "a part of {length}, {max} fit");
            }
        }
    }
}

/// Parts joined hold every letter of the text, in order, while there are parts left for it.
pub async fn rendered_parts_lose_nothing(line: &Line) {
    let (max, most) = (max(line), line.can().max_parts);
    for about in [1, max, max + 1, max * 3] {
        for sample in samples(line, about) {
            let parts = line.channel().render(&Content::text(sample.as_str()));
            if parts.len() >= most {
                continue;
            }
            let joined: String = parts.iter().map(|part| part.content.to_text()).collect();
            // Blanks may go where a part ends, and markup may come in.
            let mut kept = joined.chars();
            let lost =
                sample.chars().filter(|c| !c.is_whitespace()).position(|c| !kept.any(|k| k == c));
            assert_eq!(lost, None, "the letter at which {} parts lose the text", parts.len());
        }
    }
}

/// A text that needs too many parts is cut, never sent in more.
pub async fn a_text_that_is_too_long_is_cut_to_its_parts(line: &Line) {
    let (max, most, unit) = (max(line), line.can().max_parts, line.can().unit);
    // No more than needed, where a platform takes a great many.
    let about = max.saturating_mul(most.saturating_add(2)).min(1 << 20);
    for sample in samples(line, about) {
        let parts = line.channel().render(&Content::text(sample));
        assert!(parts.len() <= most, "{} parts, at most {most} are declared", parts.len());
        assert!(parts.iter().all(|part| length(part, unit) <= max));
    }
}

/// What was rendered can be sent, part by part.
pub async fn rendered_parts_are_heard(line: &Line) {
    let text = samples(line, max(line).min(5_000) * 2).pop().unwrap_or_default();
    let parts = line.channel().render(&Content::text(text));
    for part in &parts {
        line.send(line.post("c1", part.clone())).await.expect("a receipt");
    }
    let heard = line.heard_exactly(parts.len()).await;
    for (heard, part) in heard.iter().zip(&parts) {
        assert_eq!(heard.text.trim(), part.content.to_text().trim());
    }
}
