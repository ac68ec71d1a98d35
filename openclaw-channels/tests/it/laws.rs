//! Every channel holds the laws of its trait.

use std::sync::Arc;

use async_trait::async_trait;
use openclaw_channels::memory::{MemoryChannel, MemoryPeer};
use openclaw_core::{
    ChannelId, TenantId,
    channel::{Capabilities, Channel, Outbound},
};
use openclaw_testkit::conformance::channel::{ChannelHarness, ChannelPeer, Heard};

/// A memory channel with these capabilities.
struct Memory(fn(&mut Capabilities));

struct Peer(MemoryPeer);

#[async_trait]
impl ChannelHarness for Memory {
    async fn fresh(&self) -> (Box<dyn Channel>, Box<dyn ChannelPeer>) {
        let (id, tenant) = (ChannelId::new("mem").unwrap(), TenantId::new("law").unwrap());
        let mut capabilities = Capabilities::default();
        (self.0)(&mut capabilities);
        let builder = MemoryChannel::builder(id, tenant).capabilities(capabilities);
        let (channel, peer) = builder.build();
        (Box::new(channel), Box::new(Peer(peer)))
    }

    fn hangs_up(&self) -> bool {
        true
    }
}

#[async_trait]
impl ChannelPeer for Peer {
    async fn say(&self, conversation: &str, text: &str) {
        self.0.say(conversation, text).unwrap();
    }

    async fn heard(&self) -> Vec<Heard> {
        let sent = self.0.sent().into_iter();
        let posts = sent.filter(|sent| matches!(sent.outbound, Outbound::Post { .. }));
        let heard = posts.map(|sent| {
            Heard::new(Arc::clone(&sent.outbound.to().id), sent.text()).with_message(sent.message)
        });
        heard.collect()
    }

    async fn hang_up(&self) {
        self.0.disconnect();
    }
}

mod memory {
    use std::{num::NonZeroUsize, time::Duration};

    use openclaw_core::{Effect, channel::TextUnit};
    use openclaw_testkit::channel_laws;

    channel_laws!(
        "MemoryChannel",
        super::Memory(|can| {
            can.redelivers = true;
            can.post = Effect::Keyed { retention: Duration::from_secs(60) };
            (can.edit, can.delete, can.react, can.typing) = (true, true, true, true);
            (can.max_text, can.unit, can.max_parts) = (NonZeroUsize::new(100), TextUnit::Utf16, 8);
        })
    );
}

mod memory_that_declares_nothing {
    use openclaw_testkit::channel_laws;

    channel_laws!("MemoryChannel, nothing declared", super::Memory(|_| {}));
}

#[cfg(feature = "terminal")]
mod terminal {
    use std::{
        io,
        pin::Pin,
        sync::{Arc, Mutex},
        task::{Context, Poll},
    };

    use async_trait::async_trait;
    use openclaw_channels::terminal::TerminalChannel;
    use openclaw_core::{ChannelId, Conversation, TenantId, channel::Channel};
    use openclaw_testkit::{
        channel_laws,
        conformance::channel::{ChannelHarness, ChannelPeer, Heard},
    };
    use tokio::io::{AsyncWrite, AsyncWriteExt, BufReader, DuplexStream};

    struct Terminal;

    struct Person {
        keys: tokio::sync::Mutex<DuplexStream>,
        screen: Screen,
    }

    /// Keeps each write as one message: a reply is written at once.
    #[derive(Clone, Default)]
    struct Screen(Arc<Mutex<Vec<String>>>);

    impl AsyncWrite for Screen {
        fn poll_write(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            let text = String::from_utf8(bytes.to_vec()).unwrap();
            self.0.lock().unwrap().push(text.strip_suffix('\n').unwrap().to_owned());
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[async_trait]
    impl ChannelHarness for Terminal {
        async fn fresh(&self) -> (Box<dyn Channel>, Box<dyn ChannelPeer>) {
            let (keys, input) = tokio::io::duplex(1 << 16);
            let (id, tenant) = (ChannelId::new("tty").unwrap(), TenantId::new("law").unwrap());
            let screen = Screen::default();
            let channel = TerminalChannel::new(id, tenant, BufReader::new(input), screen.clone());
            (Box::new(channel), Box::new(Person { keys: tokio::sync::Mutex::new(keys), screen }))
        }
    }

    #[async_trait]
    impl ChannelPeer for Person {
        async fn say(&self, _: &str, text: &str) {
            self.keys.lock().await.write_all(format!("{text}\n").as_bytes()).await.unwrap();
        }

        async fn heard(&self) -> Vec<Heard> {
            let lines = self.screen.0.lock().unwrap().clone();
            lines.into_iter().map(|line| Heard::new("terminal", line)).collect()
        }

        /// There is one place, whatever a law calls it.
        fn conversation(&self, channel: &ChannelId, _: &str) -> Conversation {
            Conversation::new(channel.clone(), "terminal")
        }
    }

    channel_laws!("TerminalChannel", Terminal);
}

#[cfg(feature = "http")]
mod http {
    use std::net::SocketAddr;

    use async_trait::async_trait;
    use openclaw_channels::http::{Condition, Desk, HttpChannel, HttpServer, Standing};
    use openclaw_core::{ChannelId, MessageId, Result, TenantId, channel::Channel};
    use openclaw_testkit::conformance::{
        Report, Verdict,
        channel::{ChannelHarness, ChannelPeer, Heard, LAWS, check},
        snapshot,
    };
    use tokio::{io::AsyncWriteExt, net::TcpStream, sync::Mutex};

    struct Http;

    struct Client {
        at: SocketAddr,
        waiting: Mutex<Vec<TcpStream>>,
        _server: HttpServer,
    }

    #[derive(Debug)]
    struct Nobody;

    #[async_trait]
    impl Desk for Nobody {
        async fn status(&self, _: &TenantId, _: MessageId) -> Result<Option<Standing>> {
            Ok(None)
        }

        async fn settled(&self, _: &TenantId, _: MessageId) -> Result<Standing> {
            std::future::pending().await
        }

        async fn condition(&self) -> Condition {
            Condition { live: true, ready: true, draining: false, problems: Vec::new() }
        }
    }

    #[async_trait]
    impl ChannelHarness for Http {
        async fn fresh(&self) -> (Box<dyn Channel>, Box<dyn ChannelPeer>) {
            let channel = HttpChannel::builder(ChannelId::new("web").unwrap()).build().unwrap();
            let server = channel.serve(([127, 0, 0, 1], 0), Nobody).await.unwrap();
            let at = server.local_addr();
            let client = Client { at, waiting: Mutex::default(), _server: server };
            (Box::new(channel), Box::new(client))
        }

        fn real_time(&self) -> bool {
            true
        }
    }

    #[async_trait]
    impl ChannelPeer for Client {
        /// Each on a connection of its own, so that nobody waits for a verdict.
        async fn say(&self, conversation: &str, text: &str) {
            let metadata = serde_json::json!({ "conversation_id": conversation });
            let body = serde_json::json!({
                "channel_id": "web", "payload": text, "metadata": metadata
            });
            let body = body.to_string();
            let mut stream = TcpStream::connect(self.at).await.unwrap();
            let request = format!(
                "POST /v1/messages HTTP/1.1\r\nhost: test\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            );
            stream.write_all(request.as_bytes()).await.unwrap();
            self.waiting.lock().await.push(stream);
        }

        async fn heard(&self) -> Vec<Heard> {
            Vec::new()
        }
    }

    /// The laws about what is heard don't apply: a reply is read from the gateway.
    #[test]
    fn conformance_of_receiving_and_settling() {
        let held = [
            "id_and_capabilities_never_change",
            "health_answers_within_a_second",
            "receive_yields_what_was_said",
            "a_conversation_keeps_its_order",
            "next_gives_one_to_max",
            "next_waits_until_there_is_something",
            "every_message_has_its_own_id",
            "after_a_close_receive_gives_a_new_source",
            "an_accepted_message_never_comes_again",
            "a_dead_letter_never_comes_again",
            "a_delivery_can_be_settled_after_the_close",
            "what_is_not_declared_is_unsupported",
            "rendering_is_pure",
        ];
        let mut report = Report::default();
        for law in LAWS.iter().map(|law| law.name()) {
            if held.contains(&law) {
                assert_eq!(check(law, &Http), Verdict::Held, "{law}");
                report.held.push(law);
            } else {
                report.not_declared.push((law, "a peer that hears"));
            }
        }
        snapshot(env!("CARGO_MANIFEST_DIR"), "HttpChannel", "channel", &report);
    }
}

#[cfg(feature = "http-client")]
mod guarded_http {
    use openclaw_channels::guarded_http::{EgressPolicy, GuardedHttp};
    use openclaw_testkit::{
        conformance::http::{On, on},
        http_laws,
    };

    fn client() -> On {
        let builder = || GuardedHttp::builder().policy(EgressPolicy::loopback());
        on(move || builder().max_response(100_000).build().unwrap()).max_response(100_000)
    }

    http_laws!("GuardedHttp", client());
}

#[cfg(feature = "http-client")]
mod guarded_http_that_follows_redirects {
    use openclaw_channels::guarded_http::{EgressPolicy, GuardedHttp};
    use openclaw_testkit::{
        conformance::http::{On, on},
        http_laws,
    };

    fn client() -> On {
        let builder = || GuardedHttp::builder().policy(EgressPolicy::loopback());
        on(move || builder().redirects(3).build().unwrap()).follows_redirects()
    }

    http_laws!("GuardedHttp, redirects", client());
}
