//! What waits, what is out, what comes again. A queue that keeps a conversation's order.

use std::{
    collections::{BTreeMap, HashSet, VecDeque},
    time::Duration,
};

use openclaw_core::{
    Conversation, Envelope, Error, ErrorKind, Result,
    channel::{Admitted, Nonce},
};
use tokio::{sync::oneshot, time::Instant};

/// A message with whoever waits for its verdict.
#[derive(Debug)]
pub(crate) struct Posted {
    pub(crate) envelope: Envelope,
    pub(crate) nonce: Option<Nonce>,
    pub(crate) tell: Option<oneshot::Sender<Result<Admitted>>>,
}

impl Posted {
    pub(crate) const fn new(envelope: Envelope) -> Self {
        Self { envelope, nonce: None, tell: None }
    }

    /// Tells the verdict to whoever waits for it.
    pub(crate) fn answer(&mut self, verdict: Result<Admitted>) {
        if let Some(tell) = self.tell.take() {
            // The one who asked may have stopped waiting.
            tell.send(verdict).ok();
        }
    }
}

/// One handing out of one message; a later handing out makes it stale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticket {
    number: u64,
    attempt: u32,
}

impl Ticket {
    /// Was the message never handed out before?
    #[cfg(feature = "terminal")]
    pub(crate) const fn is_first(self) -> bool {
        self.attempt == 1
    }
}

/// A message that was handed out: what its delivery is made of.
#[derive(Debug)]
pub(crate) struct Handed {
    pub(crate) ticket: Ticket,
    pub(crate) envelope: Envelope,
    pub(crate) nonce: Option<Nonce>,
}

#[derive(Debug)]
struct Entry {
    ticket: Ticket,
    due: Option<Instant>,
    posted: Posted,
}

/// Messages in the order they came. Pure: `now` is a parameter, and nothing in here waits.
#[derive(Debug)]
pub(crate) struct Redelivery {
    capacity: usize,
    last: u64,
    /// Sorted by number, so that what comes again stands before what came later.
    waiting: VecDeque<Entry>,
    /// How many of the waiting have a date.
    dated: usize,
    out: BTreeMap<u64, (u32, Posted)>,
}

/// The longest wait before a message comes again.
const LONGEST: Duration = Duration::from_secs(60 * 60);

impl Redelivery {
    pub(crate) const fn new(capacity: usize) -> Self {
        Self { capacity, last: 0, waiting: VecDeque::new(), dated: 0, out: BTreeMap::new() }
    }

    /// How many wait.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// How many are handed out and not settled.
    pub(crate) fn unsettled(&self) -> usize {
        self.out.len()
    }

    /// What came and is not settled may be `capacity` at most. Coming again needs no room.
    pub(crate) fn is_full(&self) -> bool {
        self.waiting.len() + self.out.len() >= self.capacity
    }

    /// Queues a new message behind all others.
    pub(crate) fn push(&mut self, posted: Posted) -> Result<()> {
        if self.is_full() {
            return Err(Error::new(ErrorKind::Overloaded, "the channel's queue is full")
                .with("capacity", self.capacity));
        }
        self.last += 1;
        let ticket = Ticket { number: self.last, attempt: 1 };
        self.waiting.push_back(Entry { ticket, due: None, posted });
        Ok(())
    }

    /// Hands out up to `max` messages. A conversation whose head has to wait waits with it.
    pub(crate) fn take(&mut self, max: usize, now: Instant) -> Vec<Handed> {
        if self.dated == 0 {
            let count = max.min(self.waiting.len());
            let mut handed = Vec::with_capacity(count);
            for _ in 0..count {
                let Some(entry) = self.waiting.pop_front() else { break };
                handed.push(self.hand_out(entry));
            }
            return handed;
        }
        let mut handed = Vec::new();
        let mut held: HashSet<Conversation> = HashSet::new();
        let mut at = 0;
        while let Some(entry) = self.waiting.get(at).filter(|_| handed.len() < max) {
            let conversation = &entry.posted.envelope.conversation;
            if entry.due.is_some_and(|due| due > now) {
                held.insert(conversation.clone());
                at += 1;
            } else if held.contains(conversation) {
                at += 1;
            } else if let Some(entry) = self.waiting.remove(at) {
                self.dated -= usize::from(entry.due.is_some());
                handed.push(self.hand_out(entry));
            }
        }
        handed
    }

    fn hand_out(&mut self, entry: Entry) -> Handed {
        let Entry { ticket, posted, .. } = entry;
        let handed =
            Handed { ticket, envelope: posted.envelope.clone(), nonce: posted.nonce.clone() };
        self.out.insert(ticket.number, (ticket.attempt, posted));
        handed
    }

    /// When the next message that has to wait is due.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        if self.dated == 0 {
            return None;
        }
        self.waiting.iter().filter_map(|entry| entry.due).min()
    }

    /// Ends a handing out. `None` when it is stale: the message was handed out again.
    pub(crate) fn settle(&mut self, ticket: Ticket) -> Option<Posted> {
        let (attempt, _) = self.out.get(&ticket.number)?;
        if *attempt != ticket.attempt {
            return None;
        }
        self.out.remove(&ticket.number).map(|(_, posted)| posted)
    }

    /// Queues a settled message again where it stood, not before `after`.
    pub(crate) fn again(&mut self, ticket: Ticket, posted: Posted, after: Duration, now: Instant) {
        let due = (!after.is_zero()).then(|| now + after.min(LONGEST));
        let ticket = Ticket { attempt: ticket.attempt.saturating_add(1), ..ticket };
        let at = self.waiting.partition_point(|entry| entry.ticket.number < ticket.number);
        self.dated += usize::from(due.is_some());
        self.waiting.insert(at, Entry { ticket, due, posted });
    }

    /// Queues everything again that is out: the connection it went over is gone.
    pub(crate) fn all_again(&mut self, now: Instant) {
        for (number, (attempt, posted)) in std::mem::take(&mut self.out) {
            self.again(Ticket { number, attempt }, posted, Duration::ZERO, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use openclaw_core::{ChannelId, Content, Sender, TenantId};

    use super::*;

    fn posted(conversation: &str, text: &str) -> Posted {
        let chat = Conversation::new(ChannelId::new("c").unwrap(), conversation);
        let tenant = TenantId::new("t").unwrap();
        Posted::new(Envelope::new(tenant, chat, Sender::new("ann"), Content::text(text)))
    }

    fn texts(handed: &[Handed]) -> Vec<String> {
        handed.iter().map(|h| h.envelope.content.to_text().into_owned()).collect()
    }

    fn queue(messages: &[(&str, &str)]) -> Redelivery {
        let mut queue = Redelivery::new(8);
        for (conversation, text) in messages {
            queue.push(posted(conversation, text)).unwrap();
        }
        queue
    }

    fn again(queue: &mut Redelivery, handed: &Handed, after: Duration, now: Instant) {
        let posted = queue.settle(handed.ticket).unwrap();
        queue.again(handed.ticket, posted, after, now);
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_again_stands_before_what_came_later() {
        let now = Instant::now();
        let mut queue = queue(&[("a", "1"), ("a", "2"), ("a", "3")]);
        let first = queue.take(2, now);
        again(&mut queue, &first[1], Duration::ZERO, now);
        again(&mut queue, &first[0], Duration::ZERO, now);
        assert_eq!(texts(&queue.take(9, now)), ["1", "2", "3"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_conversation_waits_for_its_head_and_others_do_not() {
        let (now, wait) = (Instant::now(), Duration::from_secs(5));
        let mut queue = queue(&[("a", "1"), ("b", "2"), ("a", "3")]);
        let first = queue.take(1, now);
        again(&mut queue, &first[0], wait, now);
        assert_eq!(texts(&queue.take(9, now)), ["2"]);
        assert_eq!(queue.next_due(), Some(now + wait));
        assert_eq!(texts(&queue.take(9, now + wait)), ["1", "3"]);
        assert_eq!((queue.next_due(), queue.waiting(), queue.unsettled()), (None, 0, 3));
    }

    #[tokio::test(start_paused = true)]
    async fn a_stale_ticket_settles_nothing() {
        let now = Instant::now();
        let mut queue = queue(&[("a", "1")]);
        let first = queue.take(1, now);
        queue.all_again(now);
        let second = queue.take(1, now);
        assert!(queue.settle(first[0].ticket).is_none());
        assert!(queue.settle(second[0].ticket).is_some());
        assert!(queue.settle(second[0].ticket).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_out_counts_against_the_capacity() {
        let now = Instant::now();
        let mut queue = Redelivery::new(2);
        queue.push(posted("a", "1")).unwrap();
        queue.push(posted("a", "2")).unwrap();
        let out = queue.take(2, now);
        assert_eq!(queue.push(posted("a", "3")).unwrap_err().kind(), ErrorKind::Overloaded);
        queue.settle(out[0].ticket);
        queue.push(posted("a", "3")).unwrap();
    }
}
