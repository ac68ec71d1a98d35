//! The HTTP channel over real sockets, with requests written by hand.

mod gateway;
mod hooks;
mod hostile;
mod keys;
mod messages;
mod server;

use std::{
    collections::{HashMap, HashSet},
    num::NonZeroUsize,
    sync::{Arc, Mutex},
    time::Duration,
};

use openclaw_channels::http::{
    Condition, Desk, HttpChannel, HttpChannelBuilder, HttpServer, Standing,
};
use openclaw_core::{
    ChannelId, Content, Envelope, Error, ErrorKind, MessageId, Result, TenantId,
    channel::{Ack, Admitted, Channel, Delivery, Nonce, Source},
};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Notify,
};

/// A gateway of the test: it dedupes, remembers nonces, and replies when it is told to.
#[derive(Debug, Default)]
struct Desktop {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    admitted: Vec<Envelope>,
    seen: HashMap<(String, String), (String, MessageId)>,
    nonces: HashSet<(String, String)>,
    standing: HashMap<(TenantId, MessageId), Standing>,
    refuse: Option<(Duration, ErrorKind)>,
    echo: bool,
    draining: bool,
}

impl Desktop {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn admitted(&self) -> Vec<Envelope> {
        self.state().admitted.clone()
    }

    fn reply(&self, id: MessageId, text: &str) {
        let mut state = self.state();
        let standing = state.standing.iter_mut().find(|((_, known), _)| *known == id).unwrap().1;
        *standing = Standing { status: "done".to_owned(), reply: Some(Content::text(text)) };
        drop(state);
        self.changed.notify_waiters();
    }

    /// What a gateway says to a delivery.
    fn verdict(&self, envelope: Envelope, nonce: Option<&Nonce>) -> Ack {
        let mut state = self.state();
        if let Some((after, kind)) = state.refuse {
            return Ack::Retry { after, error: Error::new(kind, "inner words") };
        }
        if let Some(nonce) = nonce
            && !state.nonces.insert((nonce.scope.to_string(), nonce.token.to_string()))
        {
            let reason = Error::new(ErrorKind::AuthenticationFailed, "inner words");
            return Ack::DeadLetter { reason };
        }
        let next = MessageId::from_u128(state.admitted.len() as u128 + 1);
        if let Some(id) = &envelope.id {
            let scope = (envelope.conversation.account.to_string(), id.to_string());
            let body = envelope.content.to_text().into_owned();
            let (first, message) = state.seen.entry(scope).or_insert((body.clone(), next)).clone();
            if first != body {
                let reason = Error::new(ErrorKind::Conflict, "inner words");
                return Ack::DeadLetter { reason };
            }
            if message != next {
                return Ack::Accept(Admitted::new(message, true));
            }
        }
        let reply = state.echo.then(|| envelope.content.clone());
        let status = if reply.is_some() { "done" } else { "queued" };
        let standing = Standing { status: status.to_owned(), reply };
        state.standing.insert((envelope.tenant.clone(), next), standing);
        state.admitted.push(envelope);
        Ack::Accept(Admitted::new(next, false))
    }
}

#[async_trait::async_trait]
impl Desk for Desktop {
    async fn status(&self, tenant: &TenantId, id: MessageId) -> Result<Option<Standing>> {
        Ok(self.state().standing.get(&(tenant.clone(), id)).cloned())
    }

    async fn settled(&self, tenant: &TenantId, id: MessageId) -> Result<Standing> {
        loop {
            let changed = self.changed.notified();
            let standing = self.state().standing.get(&(tenant.clone(), id)).cloned();
            match standing {
                Some(standing) if standing.status == "done" => return Ok(standing),
                _ => changed.await,
            }
        }
    }

    async fn condition(&self) -> Condition {
        let draining = self.state().draining;
        let problems = if draining { vec!["draining".to_owned()] } else { Vec::new() };
        Condition { live: true, ready: !draining, draining, problems }
    }
}

/// A server with a gateway of the test behind it.
struct Served {
    server: HttpServer,
    desk: Arc<Desktop>,
    gateway: tokio::task::JoinHandle<()>,
}

fn builder() -> HttpChannelBuilder {
    HttpChannel::builder(ChannelId::new("web").unwrap())
}

async fn serve(builder: HttpChannelBuilder) -> Served {
    let channel = builder.build().unwrap();
    let source = channel.receive().await.unwrap().unwrap();
    let desk = Arc::new(Desktop::default());
    let gateway = tokio::spawn(run(source, Arc::clone(&desk)));
    let server = channel.serve(([127, 0, 0, 1], 0), Arc::clone(&desk)).await.unwrap();
    Served { server, desk, gateway }
}

async fn run(mut source: Box<dyn Source>, desk: Arc<Desktop>) {
    let max = NonZeroUsize::new(16).unwrap();
    loop {
        for delivery in source.next(max).await.unwrap() {
            let nonce = delivery.nonce().cloned();
            let (envelope, settle) = Delivery::into_parts(delivery);
            // The client may be gone before its answer.
            settle.settle(desk.verdict(envelope, nonce.as_ref())).await.ok();
        }
    }
}

/// What came back.
#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: Value,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }

    fn code(&self) -> &str {
        self.body["error"]["code"].as_str().unwrap_or_default()
    }

    fn pointer(&self) -> Option<&str> {
        self.body["error"]["pointer"].as_str()
    }

    fn id(&self) -> MessageId {
        self.body["message_id"].as_str().unwrap().parse().unwrap()
    }

    /// A refusal in the shape of all refusals.
    #[track_caller]
    fn refuses(&self, status: u16, code: &str) {
        assert_eq!((self.status, self.code()), (status, code), "{self:?}");
        assert_eq!(self.header("content-type"), Some("application/json"), "{self:?}");
        assert!(self.body["error"]["message"].is_string(), "{self:?}");
        assert!(!self.body.to_string().contains("inner"), "{self:?}");
    }
}

impl Served {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.server.local_addr()).await.unwrap()
    }

    /// Sends these bytes and reads one answer.
    async fn raw(&self, request: impl AsRef<[u8]>) -> Answer {
        let mut stream = self.connect().await;
        stream.write_all(request.as_ref()).await.unwrap();
        answer(&mut stream).await
    }

    async fn request(&self, method: &str, path: &str, headers: &str, body: &[u8]) -> Answer {
        self.raw(request(method, path, headers, body)).await
    }

    async fn post(&self, body: &str) -> Answer {
        self.request("POST", "/v1/messages", "", body.as_bytes()).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.request("GET", path, "", b"").await
    }
}

/// A request; the headers are whole lines.
fn request(method: &str, path: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let length =
        if method == "GET" { String::new() } else { format!("content-length: {}\r\n", body.len()) };
    let head = format!("{method} {path} HTTP/1.1\r\nhost: test\r\n{length}{headers}\r\n");
    [head.as_bytes(), body].concat()
}

async fn answer(stream: &mut TcpStream) -> Answer {
    let mut bytes = Vec::new();
    let (head, mut rest) = loop {
        if let Some(at) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            let rest = bytes.split_off(at + 4);
            break (String::from_utf8(bytes).unwrap(), rest);
        }
        let read = stream.read_buf(&mut bytes).await.unwrap();
        assert!(read > 0, "closed without an answer: {:?}", String::from_utf8_lossy(&bytes));
    };
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let mut answer = Answer { status, head, body: Value::Null };
    let length: usize = answer.header("content-length").unwrap_or("0").parse().unwrap();
    while rest.len() < length {
        assert!(stream.read_buf(&mut rest).await.unwrap() > 0, "broken off");
    }
    if length > 0 {
        answer.body = serde_json::from_slice(&rest[..length]).unwrap();
    }
    answer
}
