//! The two small envelopes that hosts already speak, and their way into ours and back.

use std::{collections::BTreeMap, fmt, sync::Arc};

use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::{Map, Value, json};

use super::{Content, Conversation, Envelope, Sender};
use crate::{ChannelId, TenantId, Timestamp, words::json::JsonError};

/// A message in one of the two seed forms; one with a `sender_id` is a [`SenderSeed`].
///
/// ```
/// use openclaw_core::{ChannelId, SeedMessage, TenantId};
///
/// let seed: SeedMessage = serde_json::from_str(
///     r#"{"id":"m-1","channel":"web","payload":{"text":"hi"},
///         "metadata":{"timestamp":"2026-11-20T08:00:00.000Z","headers":{"lang":"en"}},
///         "session":"s-1"}"#,
/// )?;
/// let envelope = seed.clone().into_envelope(TenantId::new("acme")?, &ChannelId::new("hooks")?)?;
/// assert_eq!((envelope.content.to_text().as_ref(), envelope.header("lang")), ("hi", Some("en")));
/// assert_eq!(SeedMessage::channel_form(&envelope)?, seed);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum SeedMessage {
    /// `{id, channel, payload{text}, metadata{timestamp, headers}, session}`.
    Channel(ChannelSeed),
    /// `{timestamp, sender_id, payload, metadata}`.
    Sender(SenderSeed),
}

/// `{id, channel, payload{text}, metadata{timestamp, headers}, session}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ChannelSeed {
    /// The platform's id of the message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<Arc<str>>,
    /// The channel it came by.
    pub channel: String,
    /// What it says.
    pub payload: SeedPayload,
    /// When it was sent, and its headers.
    #[serde(default)]
    pub metadata: SeedMetadata,
    /// The conversation.
    pub session: Arc<str>,
}

/// The payload of a [`ChannelSeed`]: a text, and whatever else stands beside it.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SeedPayload {
    /// The words.
    pub text: String,
    /// The other fields.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// The metadata of a [`ChannelSeed`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct SeedMetadata {
    /// When it was sent.
    #[serde(default, with = "stamp", skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<Timestamp>,
    /// Its headers.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
}

/// `{timestamp, sender_id, payload, metadata}`.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct SenderSeed {
    /// When it was sent.
    #[serde(default, with = "stamp", skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<Timestamp>,
    /// Who sent it; the conversation is the one with this sender.
    pub sender_id: Arc<str>,
    /// What it says: a text or any JSON.
    pub payload: Value,
    /// Anything else.
    #[serde(default)]
    pub metadata: Map<String, Value>,
}

/// Why a seed form and an envelope don't fit each other.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SeedError {
    /// A field can't be what it says.
    #[error(transparent)]
    Invalid(#[from] JsonError),
    /// The form has no place for something the envelope holds.
    #[error("this form has no place for {0}")]
    NoPlace(&'static str),
}

impl SeedMessage {
    /// The message as this tenant's envelope.
    ///
    /// A form that names no channel belongs to `channel`. A form that names no sender has its
    /// session stand in for one.
    ///
    /// # Errors
    /// The channel it names is no [`ChannelId`].
    pub fn into_envelope(
        self,
        tenant: TenantId,
        channel: &ChannelId,
    ) -> Result<Envelope, SeedError> {
        match self {
            Self::Channel(seed) => seed.into_envelope(tenant),
            Self::Sender(seed) => Ok(seed.into_envelope(tenant, channel)),
        }
    }

    /// The envelope as a [`ChannelSeed`]. What that has no field for is left out.
    ///
    /// # Errors
    /// The content is no text, or a header stands twice.
    pub fn channel_form(envelope: &Envelope) -> Result<Self, SeedError> {
        let mut headers = BTreeMap::new();
        for (name, value) in &envelope.headers {
            if headers.insert(name.to_string(), value.to_string()).is_some() {
                return Err(SeedError::NoPlace("two headers of one name"));
            }
        }
        Ok(Self::Channel(ChannelSeed {
            id: envelope.id.clone(),
            channel: envelope.conversation.channel.to_string(),
            payload: SeedPayload::of(&envelope.content)?,
            metadata: SeedMetadata { timestamp: envelope.time, headers },
            session: Arc::clone(&envelope.conversation.id),
        }))
    }

    /// The envelope as a [`SenderSeed`]. What that has no field for is left out.
    ///
    /// # Errors
    /// The content is neither text nor JSON, or a header stands twice.
    pub fn sender_form(envelope: &Envelope) -> Result<Self, SeedError> {
        let payload = match &envelope.content {
            Content::Text(text) => json!(text),
            Content::Json(value) => (**value).clone(),
            Content::Bytes { .. } => return Err(SeedError::NoPlace("bytes")),
            Content::Parts(_) => return Err(SeedError::NoPlace("several contents")),
        };
        let mut metadata = Map::new();
        for (name, value) in &envelope.headers {
            let (name, value) = from_header(name, value);
            if metadata.insert(name, value).is_some() {
                return Err(SeedError::NoPlace("two headers of one name"));
            }
        }
        let sender_id = Arc::clone(&envelope.sender.id);
        Ok(Self::Sender(SenderSeed { timestamp: envelope.time, sender_id, payload, metadata }))
    }
}

impl ChannelSeed {
    fn into_envelope(self, tenant: TenantId) -> Result<Envelope, SeedError> {
        let channel =
            ChannelId::new(&self.channel).map_err(|e| JsonError::new("/channel", e.to_string()))?;
        let sender = Sender::new(Arc::clone(&self.session));
        let chat = Conversation::new(channel, self.session);
        let mut envelope = Envelope::new(tenant, chat, sender, self.payload.into_content());
        envelope.id = self.id;
        envelope.time = self.metadata.timestamp;
        let headers = self.metadata.headers.into_iter();
        envelope.headers = headers.map(|(name, value)| (name.into(), value.into())).collect();
        Ok(envelope)
    }
}

impl SenderSeed {
    fn into_envelope(self, tenant: TenantId, channel: &ChannelId) -> Envelope {
        let chat = Conversation::new(channel.clone(), Arc::clone(&self.sender_id));
        let content = match self.payload {
            Value::String(text) => Content::text(text),
            other => Content::json(other),
        };
        let mut envelope = Envelope::new(tenant, chat, Sender::new(self.sender_id), content);
        envelope.time = self.timestamp;
        envelope.headers = self.metadata.into_iter().map(into_header).collect();
        envelope
    }
}

impl SeedPayload {
    fn into_content(self) -> Content {
        if self.rest.is_empty() {
            return Content::text(self.text);
        }
        let mut fields = self.rest;
        fields.insert("text".to_owned(), Value::String(self.text));
        Content::json(Value::Object(fields))
    }

    fn of(content: &Content) -> Result<Self, SeedError> {
        match content {
            Content::Text(text) => Ok(Self { text: text.to_string(), rest: Map::new() }),
            Content::Json(value) => {
                let mut rest = value.as_object().cloned().unwrap_or_default();
                let Some(Value::String(text)) = rest.remove("text") else {
                    return Err(SeedError::NoPlace("JSON without a text"));
                };
                Ok(Self { text, rest })
            }
            Content::Bytes { .. } => Err(SeedError::NoPlace("bytes")),
            Content::Parts(_) => Err(SeedError::NoPlace("several contents")),
        }
    }
}

impl fmt::Debug for SeedPayload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SeedPayload({} bytes of text)", self.text.len())
    }
}

impl fmt::Debug for SenderSeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SenderSeed")
            .field("timestamp", &self.timestamp)
            .field("sender_id", &self.sender_id)
            .finish_non_exhaustive()
    }
}

/// Behind the name of a header whose value is JSON and not plain text.
const JSON: &str = ";json";

fn into_header((name, value): (String, Value)) -> (Arc<str>, Arc<str>) {
    match value {
        Value::String(text) if !name.ends_with(JSON) => (name.into(), text.into()),
        other => (format!("{name}{JSON}").into(), other.to_string().into()),
    }
}

fn from_header(name: &str, value: &str) -> (String, Value) {
    let json = name.strip_suffix(JSON).zip(serde_json::from_str(value).ok());
    json.map_or_else(|| (name.to_owned(), json!(value)), |(name, value)| (name.to_owned(), value))
}

impl<'de> Deserialize<'de> for SeedMessage {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        // By its mark and not by trial: the error then speaks of the form that was meant.
        let fields = Value::Object(Map::deserialize(d)?);
        let read = if fields.get("sender_id").is_some() {
            SenderSeed::deserialize(fields).map(Self::Sender)
        } else {
            ChannelSeed::deserialize(fields).map(Self::Channel)
        };
        read.map_err(de::Error::custom)
    }
}

/// Dates as RFC 3339; numbers of seconds or milliseconds are read too.
mod stamp {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
    use serde_json::Value;

    use crate::Timestamp;

    /// Seconds stay under this until the year 5138, milliseconds have been over it since 1973.
    const MILLIS_FROM: u64 = 100_000_000_000;

    #[expect(clippy::ref_option, reason = "serde calls it with a reference")]
    pub(super) fn serialize<S: Serializer>(
        at: &Option<Timestamp>,
        s: S,
    ) -> Result<S::Ok, S::Error> {
        at.map(Timestamp::to_rfc3339).serialize(s)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        d: D,
    ) -> Result<Option<Timestamp>, D::Error> {
        let millis = |n: u64| Timestamp::from_millis(if n < MILLIS_FROM { n * 1_000 } else { n });
        let read = match Value::deserialize(d)? {
            Value::Null => return Ok(None),
            Value::String(text) => Timestamp::parse_rfc3339(&text),
            Value::Number(n) => n.as_u64().map(millis),
            _ => None,
        };
        let wrong = || de::Error::custom("expected an RFC 3339 date, or seconds since 1970");
        read.map(Some).ok_or_else(wrong)
    }
}
