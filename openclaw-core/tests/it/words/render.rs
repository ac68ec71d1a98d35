//! Rendering by capabilities: what every channel gets when it writes no `render` of its own.

use std::num::NonZeroUsize;

use openclaw_core::{
    ChannelId, Content,
    channel::{Capabilities, Channel, Part, TextUnit},
};
use openclaw_testkit::{
    fault::Power,
    platform::{Platform, PlatformChannel},
    trace::Trace,
};
use proptest::{prelude::*, sample::select};

use super::any;

/// A channel that renders by its capabilities alone.
fn plain(max: usize, unit: TextUnit, max_parts: usize) -> PlatformChannel {
    let mut capabilities = Capabilities::default();
    capabilities.max_text = NonZeroUsize::new(max);
    capabilities.unit = unit;
    capabilities.max_parts = max_parts;
    let platform = Platform::new(ChannelId::new("plain").unwrap(), Trace::default());
    platform.channel(capabilities, Power::on())
}

fn texts(channel: &PlatformChannel, content: &Content) -> Vec<String> {
    let parts = channel.render(content);
    parts.iter().map(|part| part.content.to_text().into_owned()).collect()
}

fn prose() -> impl Strategy<Value = String> {
    let words =
        select(vec!["word", "Satz. ", "\n", "\n\n", " ", "é", "😀", "👨‍👩‍👧", "longerthanmost", "x"]);
    proptest::collection::vec(words, 0..60).prop_map(|words| words.concat())
}

fn unit() -> impl Strategy<Value = TextUnit> {
    select(vec![TextUnit::Bytes, TextUnit::Utf16, TextUnit::Chars])
}

proptest! {
    #![proptest_config(any::cases())]

    #[test]
    fn parts_fit_and_lose_nothing(text in prose(), unit in unit(), max in 4..80_usize) {
        let channel = plain(max, unit, usize::MAX);
        let parts = texts(&channel, &Content::text(text.as_str()));
        prop_assert!(parts.iter().all(|part| unit.len(part) <= max), "{:?}", parts);
        prop_assert_eq!(parts.concat(), text);
    }

    #[test]
    fn too_many_parts_still_fit(
        text in prose(),
        unit in unit(),
        max in 10..40_usize,
        most in 1..5_usize,
    ) {
        let whole = texts(&plain(max, unit, usize::MAX), &Content::text(text.as_str()));
        let cut = texts(&plain(max, unit, most), &Content::text(text.as_str()));
        prop_assert!(cut.len() <= most && cut.iter().all(|part| unit.len(part) <= max));
        let last = cut.last().unwrap();
        prop_assert_eq!(whole.len() > most, last.ends_with("[…]") && !whole.contains(last));
    }

    #[test]
    fn rendering_is_pure(content in any::content(), max in 4..40_usize) {
        let channel = plain(max, TextUnit::Chars, 8);
        prop_assert_eq!(channel.render(&content), channel.render(&content));
    }
}

#[test]
fn without_a_limit_the_content_stays_as_it_is() {
    let channel = plain(0, TextUnit::Chars, 1);
    let json = Content::json(serde_json::json!({"a": 1}));
    assert_eq!(channel.render(&json), [Part::new(json)]);
    let long = Content::text("x".repeat(100_000));
    assert_eq!(channel.render(&long).len(), 1);
}

#[test]
fn bytes_are_never_split() {
    let file = Content::Bytes { media_type: "image/png".into(), data: vec![0; 999].into() };
    assert_eq!(plain(4, TextUnit::Bytes, 1).render(&file), [Part::new(file)]);
}
