//! RabbitMQ.

use std::{fs, path::Path, time::Duration};

use openclaw_testkit::servers::RabbitMq;
use tokio::time::{interval, timeout};

use super::{Client, assert_gone, processes_in};

/// A connection of AMQP 0-9-1 with one open channel, as `guest`.
struct Session(Client);

impl Session {
    async fn open(port: u16) -> Self {
        let mut session = Self(Client::connect(port).await);
        session.0.send(b"AMQP\0\0\x09\x01").await;
        let start = session.expect(10, 10).await;
        assert_eq!(&start[..2], [0, 9], "AMQP 0-9");
        let guest = b"\0\0\0\0\x05PLAIN\0\0\0\x0c\0guest\0guest\x05en_US";
        session.send(0, 10, 11, guest).await;
        let tune = session.expect(10, 30).await;
        session.send(0, 10, 31, &tune[..8]).await;
        session.send(0, 10, 40, b"\x01/\0\0").await;
        session.expect(10, 41).await;
        session.send(1, 20, 10, b"\0").await;
        session.expect(20, 11).await;
        session
    }

    async fn send(&mut self, channel: u8, class: u8, method: u8, arguments: &[u8]) {
        let size = u8::try_from(arguments.len() + 4).unwrap();
        let head = [1, 0, channel, 0, 0, 0, size, 0, class, 0, method];
        self.0.send([&head, arguments, &[0xCE]].concat()).await;
    }

    /// The arguments of the next frame, which must be this method.
    async fn expect(&mut self, class: u8, method: u8) -> Vec<u8> {
        let whole = |read: &[u8]| {
            let size = u32::from_be_bytes(read.get(3..7)?.try_into().ok()?) as usize + 8;
            (read.len() >= size).then_some(size)
        };
        let frame = self.0.take(whole).await;
        assert_eq!(frame[7..11], [0, class, 0, method], "{}", frame.escape_ascii());
        frame[11..frame.len() - 1].to_vec()
    }

    /// Declares a queue of this name: passive only asks, durable survives a restart.
    async fn declare(&mut self, name: &[u8; 6], bits: u8) {
        let head = [b"\0\0\x06".as_slice(), name, &[bits, 0, 0, 0, 0]];
        self.send(1, 50, 10, &head.concat()).await;
        let found = self.expect(50, 11).await;
        assert!(found[1..].starts_with(name), "{}", found.escape_ascii());
    }
}

/// Waits until the broker's own log names this queue: then all that was declared before is in it.
///
/// It answers a declaration before Mnesia has written it down: a kill right behind the answer
/// would take the queue along.
async fn written_down(node: &Path, name: &[u8; 6]) {
    let named = || {
        let mut logs = fs::read_dir(node).unwrap().flatten().map(|entry| entry.path());
        logs.any(|log| {
            log.extension().is_some_and(|kind| kind == "LOG" || kind == "DCL" || kind == "DCD")
                && fs::read(log).unwrap_or_default().windows(6).any(|word| word == name)
        })
    };
    let mut tick = interval(Duration::from_millis(20));
    let waiting = async {
        while !named() {
            tick.tick().await;
        }
    };
    timeout(Duration::from_secs(30), waiting).await.expect("the broker writes its queue down");
}

#[tokio::test]
async fn rabbitmq_keeps_a_durable_queue_over_sigkill_and_leaves_nothing() {
    const PASSIVE: u8 = 1;
    const DURABLE: u8 = 2;
    let Some(mut rabbit) = RabbitMq::builder().start_or_skip().await.unwrap() else { return };
    let (dir, port) = (rabbit.dir().to_owned(), rabbit.port());
    let running = processes_in(&dir).join("\n");
    assert!(running.contains("beam.smp"), "{running}");
    assert!(running.contains("epmd -d -address 127.0.0.1"), "a port mapper of its own: {running}");
    let mut session = Session::open(port).await;
    session.declare(b"orders", DURABLE).await;
    // The name of a queue stands in the log before the end of its record.
    session.declare(b"marker", DURABLE).await;
    written_down(&dir.join("mnesia/node"), b"marker").await;

    rabbit.kill().await.unwrap();
    let left = processes_in(&dir);
    assert_eq!(left.len(), 1, "the watchdog alone: {left:#?}");

    rabbit.restart().await.unwrap();
    assert_eq!(rabbit.port(), port);
    Session::open(port).await.declare(b"orders", PASSIVE).await;
    rabbit.stop().await.unwrap();
    assert_gone(&dir);
}
