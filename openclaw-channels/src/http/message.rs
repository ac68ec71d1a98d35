//! The body of `POST /v1/messages`: two shapes, read strictly, and what they ask for.

use std::sync::Arc;

use openclaw_core::{AgentId, ChannelId, Content, Limits};
use serde_json::{Map, Value};

use super::problem::Problem;

/// A body that was read: nothing in it is proof of who sent it.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) channel: Option<String>,
    pub(super) topic: Option<String>,
    pub(super) content: Option<Content>,
    pub(super) key: Option<String>,
    pub(super) conversation: Option<String>,
    pub(super) sender: Option<String>,
    pub(super) headers: Vec<(Arc<str>, Arc<str>)>,
}

/// Which names a body may use.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    pub(super) channels: Vec<ChannelId>,
    /// Any topic when empty.
    pub(super) topics: Vec<String>,
    /// Left to the gateway when empty.
    pub(super) agents: Vec<AgentId>,
}

impl Draft {
    /// Reads a body. A field that nobody knows is refused, so that a typo is never silent.
    pub(super) fn read(body: Value, limits: &Limits) -> Result<Self, Problem> {
        let Value::Object(fields) = body else {
            return Err(Problem::invalid("", "the body must be a JSON object"));
        };
        let mut draft = Self::default();
        for (name, value) in fields {
            match name.as_str() {
                "channel_id" => draft.channel = word(value, "/channel_id")?,
                "topic" => draft.topic = word(value, "/topic")?,
                "payload" => draft.content = Some(content(value)),
                "idempotency_key" => draft.key = key(value)?,
                "metadata" => draft.metadata(value, limits)?,
                other => return Err(Problem::invalid(&place("", other), "unknown field")),
            }
        }
        if draft.content.is_none() {
            return Err(Problem::invalid("/payload", "payload is missing"));
        }
        if draft.channel.is_none() && draft.topic.is_none() {
            return Err(Problem::invalid("", "channel_id or topic is missing"));
        }
        Ok(draft)
    }

    fn metadata(&mut self, value: Value, limits: &Limits) -> Result<(), Problem> {
        let entries = match value {
            Value::Null => return Ok(()),
            Value::Object(entries) => entries,
            _ => return Err(Problem::invalid("/metadata", "metadata must be an object")),
        };
        if entries.len() > limits.headers {
            let message = format!("more than {} entries", limits.headers);
            return Err(Problem::invalid("/metadata", message));
        }
        for (name, value) in entries {
            let at = place("/metadata", &name);
            match name.as_str() {
                "conversation_id" => self.conversation = word(value, &at)?,
                "sender_id" => self.sender = word(value, &at)?,
                _ => self.headers.push(header(name, value, &at, limits)?),
            }
        }
        Ok(())
    }

    /// Are the channel, the topic and the agent that it names known here?
    pub(super) fn names_known(&self, names: &Names) -> Result<(), Problem> {
        let unknown = |what: &str, at: &str| Problem::not_found(format!("unknown {what}")).at(at);
        if let Some(channel) = &self.channel
            && !names.channels.iter().any(|known| known.as_str() == channel)
        {
            return Err(unknown("channel", "/channel_id"));
        }
        if let Some(topic) = &self.topic
            && !names.topics.is_empty()
            && !names.topics.contains(topic)
        {
            return Err(unknown("topic", "/topic"));
        }
        let agent = self.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("agent"));
        if let Some((name, agent)) = agent
            && !names.agents.is_empty()
            && !names.agents.iter().any(|known| known.as_str() == &**agent)
        {
            return Err(unknown("agent", &place("/metadata", name)));
        }
        Ok(())
    }
}

/// The key of a request: the header's or the body's, the same in both.
pub(super) fn one_key(
    header: Option<String>,
    body: Option<String>,
) -> Result<Option<String>, Problem> {
    match (header, body) {
        (Some(header), Some(body)) if header != body => {
            let message = "the Idempotency-Key header and this field differ";
            Err(Problem::invalid("/idempotency_key", message))
        }
        (header, body) => Ok(header.or(body)),
    }
}

/// Is this 1 to 255 visible characters?
pub(super) fn is_key(text: &str) -> bool {
    (1..=255).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
}

fn key(value: Value) -> Result<Option<String>, Problem> {
    let at = "/idempotency_key";
    let text = text(value, at)?;
    if text.as_deref().is_none_or(is_key) {
        Ok(text)
    } else {
        Err(Problem::invalid(at, "a key has 1 to 255 visible characters"))
    }
}

/// An optional text; null is the same as absent.
fn text(value: Value, at: &str) -> Result<Option<String>, Problem> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text)),
        _ => Err(Problem::invalid(at, "must be a string")),
    }
}

/// An optional name: what becomes part of a row's key.
fn word(value: Value, at: &str) -> Result<Option<String>, Problem> {
    let text = text(value, at)?;
    let fits = |text: &str| {
        (1..=openclaw_core::MAX_ID_LEN).contains(&text.len()) && !text.chars().any(char::is_control)
    };
    if text.as_deref().is_none_or(fits) {
        Ok(text)
    } else {
        Err(Problem::invalid(at, "must have 1 to 128 bytes and no control characters"))
    }
}

/// Text as text, also when it comes as `{"text": …}`; everything else as JSON.
fn content(value: Value) -> Content {
    match value {
        Value::String(text) => Content::text(text),
        Value::Object(fields) => match lone_text(&fields) {
            Some(text) => Content::text(text),
            None => Content::json(Value::Object(fields)),
        },
        other => Content::json(other),
    }
}

fn lone_text(fields: &Map<String, Value>) -> Option<&str> {
    if fields.len() == 1 { fields.get("text")?.as_str() } else { None }
}

fn header(
    name: String,
    value: Value,
    at: &str,
    limits: &Limits,
) -> Result<(Arc<str>, Arc<str>), Problem> {
    if name.is_empty() || name.chars().any(char::is_control) {
        return Err(Problem::invalid(at, "a name must not be empty or hold control characters"));
    }
    let value = match value {
        Value::String(text) => text,
        other => other.to_string(),
    };
    if name.len() + value.len() > limits.header {
        return Err(Problem::invalid(at, format!("longer than {} bytes", limits.header)));
    }
    Ok((name.into(), value.into()))
}

/// The pointer to a field.
fn place(parent: &str, name: &str) -> String {
    format!("{parent}/{}", name.replace('~', "~0").replace('/', "~1"))
}

/// How long the caller waits for the reply, from `?wait=<ms>`.
pub(super) fn wait(query: Option<&str>) -> Result<std::time::Duration, Problem> {
    const LONGEST: u64 = 60_000;
    let bad = || Problem::bad_request("wait must be one number of milliseconds, 0 to 60000");
    let pairs = query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
    let mut waits = pairs.filter_map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (name == "wait").then_some(value)
    });
    let Some(text) = waits.next() else { return Ok(std::time::Duration::ZERO) };
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let ms: u64 = text.parse().map_err(|_too_long| bad())?;
    if !digits || ms > LONGEST || waits.next().is_some() {
        return Err(bad());
    }
    Ok(std::time::Duration::from_millis(ms))
}

/// Content as a client reads it.
pub(super) fn as_json(content: &Content) -> Value {
    match content {
        Content::Text(text) => Value::from(&**text),
        Content::Json(value) => (**value).clone(),
        Content::Parts(parts) => parts.iter().map(as_json).collect(),
        Content::Bytes { media_type, data } => {
            serde_json::json!({ "media_type": &**media_type, "base64": base64(data) })
        }
        other => Value::from(other.to_text()),
    }
}

fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for group in bytes.chunks(3) {
        let byte = |i: usize| u32::from(group.get(i).copied().unwrap_or_default());
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for i in 0..4_usize {
            let digit = usize::try_from(bits >> (18 - 6 * i) & 63).unwrap_or_default();
            let letter = ALPHABET.get(digit).copied().filter(|_| i <= group.len());
            text.push(char::from(letter.unwrap_or(b'=')));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_rfc_4648() {
        let table = ["", "f", "fo", "foo", "foob", "fooba", "foobar"];
        let coded = ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"];
        for (plain, coded) in table.into_iter().zip(coded) {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
    }

    #[test]
    fn wait_is_a_number_or_refused() {
        let ms = |query| wait(query).map(|d| d.as_millis());
        assert_eq!(ms(None).unwrap(), 0);
        assert_eq!(ms(Some("a=b&wait=60000")).unwrap(), 60_000);
        let bad = [
            "wait",
            "wait=",
            "wait=x",
            "wait=-1",
            "wait=%2B1",
            "wait=1.5",
            "wait=60001",
            "wait=+1",
            "wait=1&wait=1",
            "wait=99999999999999999999",
        ];
        for query in bad {
            assert!(wait(Some(query)).is_err(), "{query}");
        }
    }
}
