//! Rendering by capabilities: what every channel gets when it writes no `render` of its own.

use std::num::NonZeroUsize;

use openclaw_core::{
    Call, ChannelId, Content, Error, ErrorKind, Result,
    channel::{Capabilities, Channel, Outbound, Part, Receipt, Source, TextUnit},
};
use proptest::{prelude::*, sample::select};

use super::any;

#[derive(Debug)]
struct Plain(ChannelId, Capabilities);

impl Plain {
    fn new(max: usize, unit: TextUnit, max_parts: usize) -> Self {
        let mut capabilities = Capabilities::default();
        capabilities.max_text = NonZeroUsize::new(max);
        capabilities.unit = unit;
        capabilities.max_parts = max_parts;
        Self(ChannelId::new("plain").unwrap(), capabilities)
    }

    fn texts(&self, content: &Content) -> Vec<String> {
        let parts: Vec<Part> = self.render(content);
        parts.iter().map(|part| part.content.to_text().into_owned()).collect()
    }
}

#[async_trait::async_trait]
impl Channel for Plain {
    fn id(&self) -> &ChannelId {
        &self.0
    }
    fn capabilities(&self) -> &Capabilities {
        &self.1
    }
    async fn receive(&self) -> Result<Option<Box<dyn Source>>> {
        Ok(None)
    }
    async fn send(&self, _: Call<Outbound>) -> Result<Receipt> {
        Err(Error::new(ErrorKind::Unsupported, "nothing is sent here"))
    }
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
        let channel = Plain::new(max, unit, usize::MAX);
        let parts = channel.texts(&Content::text(text.as_str()));
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
        let whole = Plain::new(max, unit, usize::MAX).texts(&Content::text(text.as_str()));
        let cut = Plain::new(max, unit, most).texts(&Content::text(text.as_str()));
        prop_assert!(cut.len() <= most && cut.iter().all(|part| unit.len(part) <= max));
        let last = cut.last().unwrap();
        prop_assert_eq!(whole.len() > most, last.ends_with("[…]") && !whole.contains(last));
    }

    #[test]
    fn rendering_is_pure(content in any::content(), max in 4..40_usize) {
        let channel = Plain::new(max, TextUnit::Chars, 8);
        prop_assert_eq!(channel.render(&content), channel.render(&content));
    }
}

#[test]
fn without_a_limit_the_content_stays_as_it_is() {
    let channel = Plain::new(0, TextUnit::Chars, 1);
    let json = Content::json(serde_json::json!({"a": 1}));
    assert_eq!(channel.render(&json), [Part::new(json)]);
    let long = Content::text("x".repeat(100_000));
    assert_eq!(channel.render(&long).len(), 1);
}

#[test]
fn bytes_are_never_split() {
    let file = Content::Bytes { media_type: "image/png".into(), data: vec![0; 999].into() };
    assert_eq!(Plain::new(4, TextUnit::Bytes, 1).render(&file), [Part::new(file)]);
}
