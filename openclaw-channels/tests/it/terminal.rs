//! The terminal: lines in, replies out, without a tty.

use std::{num::NonZeroUsize, time::Duration};

use openclaw_channels::terminal::TerminalChannel;
use openclaw_core::{
    Call, ChannelId, Context, Conversation, Error, ErrorKind, MessageId, TenantId,
    channel::{Ack, Admitted, Channel, Delivery, Outbound, Part, Source},
};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream},
    time::Instant,
};

const MAX: NonZeroUsize = NonZeroUsize::MIN.saturating_add(63);

/// A terminal, its keyboard and its screen.
fn terminal() -> (TerminalChannel, DuplexStream, BufReader<DuplexStream>) {
    let (keys, input) = tokio::io::duplex(1 << 20);
    let (output, screen) = tokio::io::duplex(1 << 20);
    let id = ChannelId::new("terminal").unwrap();
    let tenant = TenantId::new("acme").unwrap();
    let channel = TerminalChannel::new(id, tenant, BufReader::new(input), output);
    (channel, keys, BufReader::new(screen))
}

async fn source(channel: &TerminalChannel) -> Box<dyn Source> {
    channel.receive().await.unwrap().unwrap()
}

async fn type_in(keys: &mut DuplexStream, text: &str) {
    keys.write_all(text.as_bytes()).await.unwrap();
}

async fn seen(screen: &mut BufReader<DuplexStream>) -> String {
    let mut line = String::new();
    screen.read_line(&mut line).await.unwrap();
    line
}

fn accept() -> Ack {
    Ack::Accept(Admitted::new(MessageId::from_u128(1), false))
}

fn post(channel: &TerminalChannel, text: &str) -> Call<Outbound> {
    let to = Conversation::new(channel.id().clone(), "terminal");
    let post = Outbound::Post { to, part: Part::new(text.into()), reply_to: None };
    Call::outbound(Context::new(TenantId::new("acme").unwrap()), channel, post)
}

async fn one(source: &mut Box<dyn Source>) -> Delivery {
    source.next(MAX).await.unwrap().remove(0)
}

#[tokio::test(start_paused = true)]
async fn each_line_is_a_message_with_an_id_of_its_own() {
    let (channel, mut keys, _screen) = terminal();
    let mut source = source(&channel).await;
    type_in(&mut keys, "hello\n\n   \nhello\r\n").await;
    let (first, second) = (one(&mut source).await, one(&mut source).await);
    assert_eq!(first.envelope().content, second.envelope().content);
    assert_eq!(first.envelope().conversation, second.envelope().conversation);
    assert!(first.envelope().id.is_some());
    assert_ne!(first.envelope().id, second.envelope().id);
}

#[tokio::test(start_paused = true)]
async fn a_reply_is_printed_and_can_not_play_tricks() {
    let (channel, _keys, mut screen) = terminal();
    channel.send(post(&channel, "done: \u{1b}[2J\u{202e}!")).await.unwrap();
    assert_eq!(seen(&mut screen).await, "done: \\u{1b}[2J\\u{202e}!\n");
    let to = Conversation::new(channel.id().clone(), "terminal");
    let typing = post(&channel, "").map(|_| Outbound::Typing { to });
    assert_eq!(channel.send(typing).await.unwrap_err().kind(), ErrorKind::Unsupported);
}

#[tokio::test(start_paused = true)]
async fn the_end_of_the_input_ends_the_source_once_all_is_settled() {
    let (channel, mut keys, _screen) = terminal();
    let mut source = source(&channel).await;
    type_in(&mut keys, "last").await;
    drop(keys);
    let last = one(&mut source).await;
    let early = tokio::time::timeout(Duration::from_secs(5), source.next(MAX)).await;
    assert!(early.is_err(), "what is out may still come again");
    drop(last);
    one(&mut source).await.settle(accept()).await.unwrap();
    assert!(source.next(MAX).await.unwrap().is_empty());
    let mut after = self::source(&channel).await;
    assert!(after.next(MAX).await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_is_not_taken_now_comes_again_and_the_person_is_told_once() {
    let (channel, mut keys, mut screen) = terminal();
    let mut source = source(&channel).await;
    type_in(&mut keys, "one\ntwo\n").await;
    let began = Instant::now();
    for _ in 0..2 {
        let error = Error::new(ErrorKind::Unavailable, "inner words");
        let retry = Ack::Retry { after: Duration::from_secs(3), error };
        one(&mut source).await.settle(retry).await.unwrap();
    }
    let first = one(&mut source).await;
    assert_eq!(first.envelope().content.to_text(), "one", "in order");
    assert_eq!(began.elapsed(), Duration::from_secs(6));
    assert_eq!(seen(&mut screen).await, "! not available now; it is tried again\n");
    channel.send(post(&channel, "next")).await.unwrap();
    assert_eq!(seen(&mut screen).await, "next\n");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_shown_in_public_words() {
    let (channel, mut keys, mut screen) = terminal();
    let mut source = source(&channel).await;
    type_in(&mut keys, "hello\n").await;
    let reason = Error::new(ErrorKind::NotFound, "inner words").with_public("nobody is here");
    one(&mut source).await.settle(Ack::DeadLetter { reason }).await.unwrap();
    assert_eq!(seen(&mut screen).await, "! nobody is here\n");
}

#[tokio::test(start_paused = true)]
async fn a_line_that_is_too_long_is_told_and_skipped() {
    let (channel, mut keys, mut screen) = terminal();
    let mut source = source(&channel).await;
    type_in(&mut keys, &format!("{}\nshort\n", "x".repeat(70_000))).await;
    assert_eq!(one(&mut source).await.envelope().content.to_text(), "short");
    assert_eq!(seen(&mut screen).await, "! that line is longer than 65536 bytes\n");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_read_while_too_much_is_unsettled() {
    let (channel, mut keys, _screen) = terminal();
    let mut source = source(&channel).await;
    type_in(&mut keys, &"line\n".repeat(100)).await;
    let mut out = Vec::new();
    while let Ok(next) = tokio::time::timeout(Duration::from_secs(1), source.next(MAX)).await {
        out.extend(next.unwrap());
    }
    assert_eq!(out.len(), 64);
    out.remove(0).settle(accept()).await.unwrap();
    assert_eq!(source.next(MAX).await.unwrap().len(), 1);
}
