//! The receiving half of a terminal.

use std::{
    num::NonZeroUsize,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use openclaw_core::{
    ChannelId, Content, Conversation, Env, Envelope, MessageId, Result, Sender, TenantId,
    channel::{Ack, Acker, Delivery, Source},
};
use tokio::{
    sync::Notify,
    time::{self, Instant},
};

use super::{
    Screen,
    input::{Input, LONGEST, Typed},
};
use crate::redelivery::{Handed, Posted, Redelivery, Ticket};

/// How many lines may be unsettled; above, nothing is read.
const UNSETTLED: usize = 64;

/// What was typed and is not settled, shared by all sources of one terminal.
#[derive(Debug)]
pub(super) struct Lines {
    channel: ChannelId,
    tenant: TenantId,
    env: Env,
    /// Names this run. A line's id is never that of a line of another run.
    run: MessageId,
    typed: AtomicU64,
    ended: AtomicBool,
    input: tokio::sync::Mutex<Input>,
    queue: Mutex<Redelivery>,
    changed: Notify,
    screen: Arc<Screen>,
}

/// What there is to do.
enum Next {
    Deliver(Vec<Handed>),
    End,
    Wait { read: bool, due: Option<Instant> },
}

impl Lines {
    pub(super) fn new(
        channel: ChannelId,
        tenant: TenantId,
        env: Env,
        input: Input,
        screen: Arc<Screen>,
    ) -> Self {
        Self {
            channel,
            tenant,
            run: env.next_id(),
            env,
            typed: AtomicU64::new(0),
            ended: AtomicBool::new(false),
            input: tokio::sync::Mutex::new(input),
            queue: Mutex::new(Redelivery::new(UNSETTLED)),
            changed: Notify::new(),
            screen,
        }
    }

    fn look(&self, max: usize) -> Next {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let handed = queue.take(max, Instant::now());
        if !handed.is_empty() {
            return Next::Deliver(handed);
        }
        let ended = self.ended.load(Ordering::Acquire);
        // What is out may still come again.
        if ended && queue.waiting() + queue.unsettled() == 0 {
            return Next::End;
        }
        Next::Wait { read: !ended && !queue.is_full(), due: queue.next_due() }
    }

    /// Reads one line into the queue.
    async fn read(&self) {
        let typed = self.input.lock().await.next().await;
        match typed {
            Ok(Typed::Line(text)) if text.trim().is_empty() => {}
            Ok(Typed::Line(text)) => self.push(text),
            Ok(Typed::TooLong) => {
                self.tell(&format!("that line is longer than {LONGEST} bytes")).await;
            }
            Ok(Typed::End) => self.ended.store(true, Ordering::Release),
            Err(e) => {
                // A terminal that can't be read won't be readable later: it is gone.
                tracing::warn!(error = %e, "the terminal can't be read");
                self.ended.store(true, Ordering::Release);
            }
        }
    }

    fn push(&self, text: String) {
        let number = self.typed.fetch_add(1, Ordering::Relaxed);
        let chat = Conversation::new(self.channel.clone(), "terminal");
        let sender = Sender::new("terminal");
        let envelope = Envelope::new(self.tenant.clone(), chat, sender, Content::text(text))
            .with_id(format!("{}-{number}", self.run))
            .with_time(self.env.now());
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        // There is room: nothing is read while there is none, and one source reads.
        if let Err(e) = queue.push(Posted::new(envelope)) {
            tracing::warn!(error = %e, "a line was dropped");
        }
    }

    /// Takes a message out of those that are out. Puts it back for later if it has to be.
    fn settle(&self, ticket: Ticket, again: Option<Duration>) {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(posted) = queue.settle(ticket)
            && let Some(after) = again
        {
            queue.again(ticket, posted, after, Instant::now());
        }
        drop(queue);
        self.changed.notify_one();
    }

    async fn tell(&self, text: &str) {
        if let Err(e) = self.screen.print(&format!("! {text}")).await {
            tracing::debug!(error = %e, "the terminal can't be written");
        }
    }
}

#[derive(Debug)]
pub(super) struct TerminalSource {
    lines: Arc<Lines>,
}

impl TerminalSource {
    pub(super) const fn new(lines: Arc<Lines>) -> Self {
        Self { lines }
    }

    fn deliver(&self, handed: Handed) -> Delivery {
        let acker = TerminalAcker { lines: Arc::clone(&self.lines), ticket: handed.ticket };
        Delivery::new(handed.envelope, acker)
    }
}

#[async_trait]
impl Source for TerminalSource {
    async fn next(&mut self, max: NonZeroUsize) -> Result<Vec<Delivery>> {
        loop {
            let changed = self.lines.changed.notified();
            match self.lines.look(max.get()) {
                Next::Deliver(handed) => {
                    return Ok(handed.into_iter().map(|handed| self.deliver(handed)).collect());
                }
                Next::End => return Ok(Vec::new()),
                Next::Wait { read, due } => {
                    let due = due.unwrap_or_else(|| Instant::now() + Duration::from_secs(3600));
                    tokio::select! {
                        biased;
                        () = changed => {}
                        () = time::sleep_until(due) => {}
                        () = self.lines.read(), if read => {}
                    }
                }
            }
        }
    }

    async fn close(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}

#[derive(Debug)]
struct TerminalAcker {
    lines: Arc<Lines>,
    ticket: Ticket,
}

#[async_trait]
impl Acker for TerminalAcker {
    async fn settle(self: Box<Self>, ack: Ack) -> Result<()> {
        match ack {
            Ack::Accept(_) => self.lines.settle(self.ticket, None),
            Ack::DeadLetter { reason } => {
                self.lines.settle(self.ticket, None);
                self.lines.tell(reason.public()).await;
            }
            Ack::Retry { after, error } => {
                self.lines.settle(self.ticket, Some(after));
                if self.ticket.is_first() {
                    self.lines.tell(&format!("{}; it is tried again", error.public())).await;
                }
            }
        }
        Ok(())
    }

    fn abandon(self: Box<Self>) {
        self.lines.settle(self.ticket, Some(Duration::ZERO));
    }
}
