//! The CloudEvents 1.0 view of an envelope, in structured JSON.
//!
//! What CloudEvents has no name for becomes extension attributes. Their values are texts and
//! booleans only, as its type system wants: headers and attachments are JSON in a text.

use std::sync::Arc;

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};

use super::{Content, Conversation, Envelope, Sender, base64};
use crate::{ChannelId, MessageId, TenantId, Timestamp, TraceParent, words::json::JsonError};

/// The media type of [`Content::Parts`]: an array of `{datacontenttype, data | data_base64}`.
const PARTS: &str = "application/vnd.openclaw.parts+json";

type Header = (Arc<str>, Arc<str>);

/// The attributes that an envelope has a field for.
const OURS: [&str; 26] = [
    "specversion",
    "id",
    "idassigned",
    "source",
    "type",
    "time",
    "subject",
    "datacontenttype",
    "data",
    "data_base64",
    "tenant",
    "channel",
    "account",
    "conversation",
    "conversationkind",
    "thread",
    "sender",
    "senderkind",
    "senderverified",
    "headers",
    "attachments",
    "raw",
    "traceparent",
    "partitionkey",
    "correlationid",
    "causationid",
];

impl Envelope {
    /// The envelope as a CloudEvent, in structured JSON.
    ///
    /// A CloudEvent must have an id: `received_as` stands in where the platform gave none, and
    /// `idassigned` says so. Empty optional texts are left out.
    ///
    /// ```
    /// use openclaw_core::{ChannelId, Content, Conversation, Envelope, MessageId, Sender, TenantId};
    ///
    /// let chat = Conversation::new(ChannelId::new("web")?, "c1");
    /// let hello = Envelope::new(TenantId::new("acme")?, chat, Sender::new("ann"), Content::text("hi"))
    ///     .with_id("m-1");
    /// let event = hello.to_cloudevent(MessageId::from_u128(1));
    /// assert_eq!((&event["specversion"], &event["id"]), (&"1.0".into(), &"m-1".into()));
    /// assert_eq!((&event["datacontenttype"], &event["data"]), (&"text/plain".into(), &"hi".into()));
    /// assert_eq!(Envelope::from_cloudevent(event)?, hello);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn to_cloudevent(&self, received_as: MessageId) -> Value {
        let mut event = Map::new();
        let mut set = |name: &str, value: Value| drop(event.insert(name.to_owned(), value));
        set("specversion", json!("1.0"));
        match self.id.as_deref().filter(|id| !id.is_empty()) {
            Some(id) => set("id", json!(id)),
            None => {
                set("id", json!(received_as));
                set("idassigned", json!(true));
            }
        }
        set("source", json!(self.source));
        set("type", json!(self.kind));
        set("tenant", json!(self.tenant));
        set("channel", json!(self.conversation.channel));
        set("conversation", json!(self.conversation.id));
        set("conversationkind", json!(self.conversation.kind));
        set("sender", json!(self.sender.id));
        set("senderkind", json!(self.sender.kind));
        set("senderverified", json!(self.sender.verified));
        let optional = [
            ("time", self.time.map(|at| at.to_rfc3339().into())),
            ("subject", self.topic.clone()),
            ("account", Some(Arc::clone(&self.conversation.account))),
            ("thread", self.conversation.thread.clone()),
            ("headers", as_text(&self.headers)),
            ("attachments", as_text(&self.attachments)),
            ("raw", Some(base64::encode(&self.raw).into())),
            ("traceparent", self.traceparent.as_ref().map(|t| t.to_string().into())),
            ("partitionkey", self.partitionkey.clone()),
            ("correlationid", self.correlationid.clone()),
            ("causationid", self.causationid.clone()),
        ];
        for (name, text) in optional {
            if let Some(text) = text.filter(|text| !text.is_empty()) {
                set(name, json!(text));
            }
        }
        write_data(&self.content, &mut event);
        Value::Object(event)
    }

    /// Reads a CloudEvent in structured JSON.
    ///
    /// Tenant and sender are taken as written: a channel that gets events from strangers sets
    /// both itself. Attributes that an envelope has no field for become headers, `ce-` in
    /// front of their names. An event without data is an empty text.
    ///
    /// # Errors
    /// An attribute is missing, has the wrong type or a bad name; the pointer says which one.
    pub fn from_cloudevent(event: Value) -> Result<Self, JsonError> {
        let Value::Object(event) = event else {
            return Err(JsonError::new("", "expected an object"));
        };
        let read = Reader(&event);
        if read.required("specversion")? != "1.0" {
            return Err(JsonError::new("/specversion", "expected \"1.0\""));
        }
        let id = read.nonempty("id")?;
        let channel = read.required("channel")?;
        let conversation = Conversation {
            channel: ChannelId::new(channel).map_err(|e| wrong("channel", e.to_string()))?,
            account: read.text("account")?.unwrap_or_default().into(),
            id: read.required("conversation")?.into(),
            thread: read.optional("thread")?,
            kind: read.word("conversationkind")?,
        };
        let tenant = read.required("tenant")?;
        let sender = Sender {
            id: read.required("sender")?.into(),
            kind: read.word("senderkind")?,
            verified: read.flag("senderverified")?,
        };
        let mut headers: Vec<Header> = read.embedded("headers")?;
        headers.extend(foreign(&event)?);
        Ok(Self {
            id: (!read.flag("idassigned")?).then(|| id.into()),
            source: read.nonempty("source")?.into(),
            kind: read.nonempty("type")?.into(),
            time: read.parsed("time", "an RFC 3339 date", Timestamp::parse_rfc3339)?,
            tenant: TenantId::new(tenant).map_err(|e| wrong("tenant", e.to_string()))?,
            conversation,
            sender,
            content: read_data(&event, "")?,
            topic: read.optional("subject")?,
            headers,
            attachments: read.embedded("attachments")?,
            traceparent: read.parsed("traceparent", "a trace context", TraceParent::parse)?,
            partitionkey: read.optional("partitionkey")?,
            correlationid: read.optional("correlationid")?,
            causationid: read.optional("causationid")?,
            raw: read.parsed("raw", "base 64", base64::decode)?.unwrap_or_default().into(),
        })
    }
}

fn as_text<T: Serialize>(items: &[T]) -> Option<Arc<str>> {
    let items = Some(items).filter(|items| !items.is_empty())?;
    serde_json::to_string(items).ok().map(Into::into)
}

fn write_data(content: &Content, to: &mut Map<String, Value>) {
    let (media_type, data) = match content {
        Content::Text(text) => ("text/plain", json!(text)),
        Content::Json(value) => ("application/json", (**value).clone()),
        Content::Parts(parts) => {
            let part = |part: &Content| {
                let mut fields = Map::new();
                write_data(part, &mut fields);
                Value::Object(fields)
            };
            (PARTS, parts.iter().map(part).collect())
        }
        Content::Bytes { media_type, data } => {
            to.insert("datacontenttype".to_owned(), json!(media_type));
            to.insert("data_base64".to_owned(), json!(base64::encode(data)));
            return;
        }
    };
    to.insert("datacontenttype".to_owned(), json!(media_type));
    to.insert("data".to_owned(), data);
}

/// The content that `datacontenttype` and `data` say; `at` is the pointer of their object.
fn read_data(from: &Map<String, Value>, at: &str) -> Result<Content, JsonError> {
    let place = |mut e: JsonError| {
        e.pointer.insert_str(0, at);
        e
    };
    let read = Reader(from);
    let media_type = read.text("datacontenttype").map_err(place)?.unwrap_or("application/json");
    if let Some(data) = read.parsed("data_base64", "base 64", base64::decode).map_err(place)? {
        if from.contains_key("data") {
            return Err(place(JsonError::new("/data", "data stands beside data_base64")));
        }
        return Ok(Content::Bytes { media_type: media_type.into(), data: data.into() });
    }
    match (from.get("data"), essence(media_type)) {
        (None, _) => Ok(Content::text("")),
        (Some(Value::Array(items)), PARTS) => {
            let part = |(i, item): (usize, &Value)| {
                let at = format!("{at}/data/{i}");
                let fields = item.as_object();
                fields.map_or_else(
                    || Err(JsonError::new(&at, "expected an object")),
                    |fields| read_data(fields, &at),
                )
            };
            let parts: Result<Vec<_>, _> = items.iter().enumerate().map(part).collect();
            Ok(Content::Parts(parts?.into()))
        }
        (Some(Value::String(text)), "text/plain") => Ok(Content::text(text.as_str())),
        (Some(Value::String(text)), other) if !is_json(other) => {
            let data = Bytes::copy_from_slice(text.as_bytes());
            Ok(Content::Bytes { media_type: media_type.into(), data })
        }
        (Some(value), _) => Ok(Content::json(value.clone())),
    }
}

/// The media type without its parameters.
fn essence(media_type: &str) -> &str {
    media_type.split(';').next().unwrap_or_default().trim()
}

fn is_json(essence: &str) -> bool {
    essence.ends_with("/json") || essence.ends_with("+json")
}

/// The attributes without a field of ours, as headers.
fn foreign(event: &Map<String, Value>) -> Result<Vec<Header>, JsonError> {
    let mut headers = Vec::new();
    for (name, value) in event.iter().filter(|(name, _)| !OURS.contains(&name.as_str())) {
        if !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()) {
            return Err(wrong(name, "an attribute's name is made of a-z and 0-9"));
        }
        let text = match value {
            Value::Null => continue,
            Value::String(text) => text.clone(),
            Value::Bool(_) | Value::Number(_) => value.to_string(),
            Value::Array(_) | Value::Object(_) => {
                return Err(wrong(name, "expected a text, a number or a boolean"));
            }
        };
        headers.push((format!("ce-{name}").into(), text.into()));
    }
    Ok(headers)
}

fn wrong(name: &str, reason: impl Into<String>) -> JsonError {
    let name = name.replace('~', "~0").replace('/', "~1");
    JsonError::new(format!("/{name}"), reason)
}

/// Reads attributes, and knows where it is. `null` is an absent attribute.
struct Reader<'a>(&'a Map<String, Value>);

impl<'a> Reader<'a> {
    fn text(&self, name: &str) -> Result<Option<&'a str>, JsonError> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(wrong(name, "expected a text")),
        }
    }

    fn required(&self, name: &str) -> Result<&'a str, JsonError> {
        self.text(name)?.ok_or_else(|| wrong(name, "missing"))
    }

    fn nonempty(&self, name: &str) -> Result<&'a str, JsonError> {
        let text = self.required(name)?;
        if text.is_empty() { Err(wrong(name, "must not be empty")) } else { Ok(text) }
    }

    fn optional(&self, name: &str) -> Result<Option<Arc<str>>, JsonError> {
        Ok(self.text(name)?.filter(|text| !text.is_empty()).map(Into::into))
    }

    fn flag(&self, name: &str) -> Result<bool, JsonError> {
        match self.0.get(name) {
            None | Some(Value::Null) => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(_) => Err(wrong(name, "expected a boolean")),
        }
    }

    fn parsed<T>(
        &self,
        name: &str,
        what: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, JsonError> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        parse(text).map(Some).ok_or_else(|| wrong(name, format!("expected {what}")))
    }

    /// One of the words of an enum.
    fn word<T: DeserializeOwned + Default>(&self, name: &str) -> Result<T, JsonError> {
        let Some(word) = self.text(name)? else { return Ok(T::default()) };
        serde_json::from_value(json!(word))
            .map_err(|_unsaid| wrong(name, "not a word that is known here"))
    }

    /// JSON in a text.
    fn embedded<T: DeserializeOwned>(&self, name: &str) -> Result<Vec<T>, JsonError> {
        let Some(text) = self.text(name)? else { return Ok(Vec::new()) };
        serde_json::from_str(text).map_err(|_unsaid| wrong(name, "expected a JSON array in a text"))
    }
}
