//! One step of a scenario: words, then what has to come of them.

use std::{fmt, pin::Pin, time::Duration};

use openclaw_core::{Error, ErrorKind, MessageId, Result, gateway::MessageState};
use serde_json::Value;
use tokio::time::{Instant, sleep, sleep_until};

use super::{
    Heard, Unmet, User,
    check::{Expect, Wanted, check},
    heard, line, minutes,
    sent::{Admission, Sent},
    store::looking,
    unmet::Story,
};
use crate::platform::Verdict;

/// The time of a step that names none.
const LONG: Duration = minutes(10);

/// One step of a scenario; `.await` runs it.
///
/// It lasts until the message is done, suspended, dead, parked or refused, until the power is
/// cut, or until its time is over. Then the expectations are checked, all of them. Its time is
/// what [`within`](Self::within) says; without it ten minutes of virtual time, and a message that
/// has not ended by then is unmet.
///
/// * Replies have to come in the order in which they are expected, each reply once, and no
///   others beside them.
/// * Skill calls have to come in the order in which they are expected; others may come between.
///   They are those of the whole message, also when a crash cut it in two steps.
/// * A dead letter, a parked message, a refusal or a crash that no expectation names is unmet,
///   too, unless the step [takes whatever comes](Self::whatever).
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use openclaw_testkit::{agent::ScriptedAgent, flow::TestGateway};
///
/// let agent = ScriptedAgent::new("desk")?.when("bye").then_nothing().otherwise("What?");
/// let gateway = TestGateway::builder()
///     .gateway(move |builder| builder.agent(agent.clone()))
///     .start()
///     .await?;
/// let alice = gateway.user("alice");
/// alice.says("hm").expect_no_skill().expect_one_of(["What?", "Pardon?"]).await?;
/// alice.says("bye").expect_nothing().await?;
/// let unmet = alice.says("hm").expect_reply("Hello").await.unwrap_err();
/// assert_eq!(unmet.problems(), ["expected the reply \"Hello\", but the reply was \"What?\""]);
/// # Ok(()) }
/// ```
#[must_use = "a step runs when it is awaited"]
pub struct Step<'a> {
    user: User<'a>,
    said: Option<String>,
    within: Option<Duration>,
    expects: Vec<Expect>,
    lenient: bool,
}

impl fmt::Debug for Step<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Step")
            .field("user", &self.user)
            .field("said", &self.said)
            .field("expects", &self.expects)
            .finish_non_exhaustive()
    }
}

impl<'a> Step<'a> {
    pub(super) const fn new(user: User<'a>, said: Option<String>) -> Self {
        Self { user, said, within: None, expects: Vec::new(), lenient: false }
    }

    /// Expects exactly this reply.
    pub fn expect_reply(self, text: impl Into<String>) -> Self {
        self.expect(Expect::Reply(Wanted::Text(text.into())))
    }

    /// Expects a reply with this text in it.
    pub fn expect_reply_containing(self, text: impl Into<String>) -> Self {
        self.expect(Expect::Reply(Wanted::Containing(text.into())))
    }

    /// Expects exactly one of these replies.
    pub fn expect_one_of<T: Into<String>>(self, texts: impl IntoIterator<Item = T>) -> Self {
        let texts = texts.into_iter().map(Into::into).collect();
        self.expect(Expect::Reply(Wanted::OneOf(texts)))
    }

    /// Expects a reply for which this holds.
    pub fn expect_reply_that(self, holds: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        self.expect(Expect::Reply(Wanted::That(Box::new(holds))))
    }

    /// Expects a recorded call of this skill. Calls of `Pure` skills are not recorded.
    pub fn expect_skill(self, name: impl Into<String>) -> Self {
        self.expect(Expect::Skill { name: name.into(), input: None, result: None })
    }

    /// The arguments of the skill that was expected last: the fields that matter.
    pub fn with(mut self, part: Value) -> Self {
        match self.expects.last_mut() {
            Some(Expect::Skill { input, .. }) => *input = Some(part),
            _ => self.expects.push(Expect::Misused("`with` goes behind `expect_skill`".to_owned())),
        }
        self
    }

    /// Expects no recorded skill call.
    pub fn expect_no_skill(self) -> Self {
        self.expect(Expect::NoSkill)
    }

    /// Expects no reply.
    pub fn expect_no_reply(self) -> Self {
        self.expect(Expect::NoReply)
    }

    /// Expects no reply, no recorded skill call and no suspension.
    pub fn expect_nothing(self) -> Self {
        self.expect(Expect::Nothing)
    }

    /// Expects that the turn waits for somebody.
    pub fn expect_suspended(self) -> Self {
        self.expect(Expect::Suspended)
    }

    /// Expects that the gateway refuses the message.
    pub fn expect_refused(self, kind: ErrorKind) -> Self {
        self.expect(Expect::Refused(kind))
    }

    /// Expects that the message, or its reply, becomes a dead letter.
    pub fn expect_dead_letter(self) -> Self {
        self.expect(Expect::DeadLetter)
    }

    /// Expects that the message, or its reply, is parked.
    pub fn expect_parked(self) -> Self {
        self.expect(Expect::Parked)
    }

    /// Expects this text in the reason of the dead or parked letter.
    pub fn because(self, text: impl Into<String>) -> Self {
        self.expect(Expect::Because(text.into()))
    }

    /// Expects that the power is cut before the message ends.
    pub fn expect_crash(self) -> Self {
        self.expect(Expect::Crash)
    }

    /// Lets every end pass that no expectation names.
    pub const fn whatever(mut self) -> Self {
        self.lenient = true;
        self
    }

    /// Ends the step after this much virtual time at the latest, also when the message is still
    /// on its way.
    pub const fn within(mut self, span: Duration) -> Self {
        self.within = Some(span);
        self
    }

    /// Expects this reply, ids and dates apart.
    pub(super) fn expect_masked_reply(self, text: &str) -> Self {
        self.expect(Expect::Reply(Wanted::Masked(text.to_owned())))
    }

    /// What the skill that was expected last came to, as transcripts write it.
    pub(super) fn coming_to(mut self, text: &str) -> Self {
        if let Some(Expect::Skill { result, .. }) = self.expects.last_mut() {
            *result = Some(text.to_owned());
        }
        self
    }

    fn expect(mut self, expect: Expect) -> Self {
        self.expects.push(expect);
        self
    }

    async fn run(self) -> Result<Heard, Unmet> {
        let from = self.user.gateway().elapsed();
        let seen = self.play().await;
        let (problems, heard) = match seen {
            Ok(heard) => {
                let mut problems = check(&self.expects, &heard, self.lenient);
                if self.within.is_none() && !self.lenient && !heard.has_ended() {
                    let limit = line::span(LONG);
                    problems.push(format!("the message came to no end within {limit}"));
                }
                (problems, Some(heard))
            }
            Err(e) => (vec![format!("the step could not be played: {e}")], None),
        };
        match heard {
            Some(heard) if problems.is_empty() => Ok(heard),
            heard => Err(Unmet::new(Story {
                line: None,
                who: self.user.to_string(),
                to: self.user.gateway().elapsed(),
                said: self.said,
                from,
                problems,
                heard,
            })),
        }
    }

    async fn play(&self) -> Result<Heard> {
        let gateway = self.user.gateway();
        let place = self.user.place()?;
        let sent = match &self.said {
            Some(text) => gateway.world.say(place, text, self.user.is_verified())?,
            None => gateway.world.last(&place)?,
        };
        let until = Instant::now() + self.within.unwrap_or(LONG);
        if let Some(message) = self.admitted(&sent, until).await? {
            self.ended(&sent, message, until).await?;
        }
        gateway.bury().await;
        let crashed = !gateway.plan().power().is_on();
        let heard = heard::look(&gateway.world, gateway.inner(), &sent, crashed).await?;
        let first = match &self.said {
            Some(text) => format!("{}> {}", self.user, line::escape(text)),
            None => format!("{} waits", self.user),
        };
        let lines = line::heard(&heard, |line| sent.tell(line));
        gateway.world.tell(std::iter::once(first).chain(lines));
        Ok(heard)
    }

    /// Waits until the gateway accepts the message; `None` when it does not.
    async fn admitted(&self, sent: &Sent, until: Instant) -> Result<Option<MessageId>> {
        let gateway = self.user.gateway();
        let platform = gateway.world.platform(sent.channel())?;
        while sent.admission().is_none() {
            let verdict = tokio::select! {
                biased;
                verdict = platform.verdict(sent.ticket()) => verdict,
                () = gateway.plan().power().lost() => return Ok(None),
                () = sleep_until(until) => return Ok(None),
            };
            let pause = match verdict {
                Verdict::Accepted { message, .. } => {
                    sent.settled(Admission::Accepted(message));
                    continue;
                }
                Verdict::Refused(kind) => {
                    sent.settled(Admission::Refused(kind));
                    continue;
                }
                Verdict::Overdue => return Ok(None),
                Verdict::Retry { after, .. } => after,
                // A process that stops abandons it; the next one gets it at its start.
                Verdict::Abandoned if !gateway.is_running() => return Ok(None),
                Verdict::Abandoned => Duration::from_secs(1),
            };
            tokio::select! {
                biased;
                () = gateway.plan().power().lost() => return Ok(None),
                () = sleep_until(until) => return Ok(None),
                () = sleep(pause) => gateway.world.deliver_again(sent)?,
            }
        }
        Ok(sent.message())
    }

    /// Waits until the message has come to an end, for now or for ever.
    async fn ended(&self, sent: &Sent, message: MessageId, until: Instant) -> Result<()> {
        let gateway = self.user.gateway();
        loop {
            let changed = gateway.world.rows.changed();
            let status = looking(gateway.inner().status(sent.tenant(), message)).await?;
            let lost = || Error::new(ErrorKind::NotFound, "an accepted message is gone");
            let state = status.ok_or_else(lost)?.state;
            if state.is_final() || state == MessageState::Waiting {
                return Ok(());
            }
            tokio::select! {
                biased;
                () = changed => {}
                () = gateway.plan().power().lost() => return Ok(()),
                () = sleep_until(until) => return Ok(()),
            }
        }
    }
}

impl<'a> IntoFuture for Step<'a> {
    type Output = Result<Heard, Unmet>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}
