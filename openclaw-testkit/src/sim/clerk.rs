//! The standard agent: what it answers follows from the message alone.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use openclaw_core::{
    AgentId, Envelope, Error, ErrorKind, InvalidId, MessageId, Reason, Result, SkillId, Trust,
    agent::{Agent, Answer, Turn, Waiting},
    gateway::{Route, Router},
    skill::{SkillAnswer, SkillRequest},
};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::{
    Fault, Verb,
    here::{Held, Here},
    job::Job,
    mark::{life, row},
    plan::{Saying, TENANTS},
    remotes::GUARDED,
};

/// How long the keyed remotes of a run remember a key.
pub(super) const RETENTION: Duration = Duration::from_secs(1_800);

/// The agent for most messages, and the one for those of the night shift.
const DAY: &str = "clerk";
const NIGHT: &str = "night";

/// The name of the agent that has to answer.
pub(super) const fn name_of(saying: &Saying) -> &'static str {
    if saying.night { NIGHT } else { DAY }
}

/// The words behind the number in a reply of several parts.
pub(super) const LONG: &str =
    "one two three four five six seven eight nine ten eleven twelve thirteen fourteen";

/// The standard agent in one process.
#[derive(Clone, Debug)]
pub(super) struct Clerk {
    id: AgentId,
    here: Here,
}

/// A lane's name for people.
pub(super) fn lane_of(envelope: &Envelope) -> String {
    let place = &envelope.conversation;
    let thread = place.thread.as_deref().unwrap_or("-");
    format!("{}/{}/{}/{}/{thread}", envelope.tenant, place.channel, place.account, place.id)
}

/// What a gated call is for.
pub(super) fn bill(envelope: &Envelope, n: u32) -> Value {
    json!({ "n": n, "tenant": envelope.tenant.as_str() })
}

/// The skill whose failure message `n` makes light of.
pub(super) const fn light(n: u32) -> &'static str {
    match n % 3 {
        0 => "once",
        1 => "keyed",
        _ => "reconcilable",
    }
}

/// Ends the turn in the books, however it ends.
struct Running {
    here: Here,
    lane: String,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.here.scene.books().end_turn(self.here.process, &self.lane);
    }
}

/// A call of a skill that may be dropped on its way, when the time of its turn is over.
struct Asking {
    here: Here,
    turn: MessageId,
    /// How often the store had held anybody up before.
    before: u64,
    answered: bool,
}

impl Asking {
    fn new(here: &Here, turn: MessageId) -> Self {
        let before = here.scene.books().held_up;
        Self { here: here.clone(), turn, before, answered: false }
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        let mut books = self.here.scene.books();
        if !self.answered && books.held_up > self.before {
            books.reason(self.turn);
        }
    }
}

impl Clerk {
    /// The agents of a process, and who gets what.
    pub(super) fn all(here: &Here) -> Result<(Vec<Self>, Router), InvalidId> {
        let (day, night) = (AgentId::new(DAY)?, AgentId::new(NIGHT)?);
        let mut routes = vec![Route::to(night.clone()).header("shift", "night")];
        for name in TENANTS {
            routes.push(Route::to(day.clone()).sender(format!("user-{name}")));
            routes.push(Route::to(day.clone()).sender(format!("guest-{name}")));
        }
        let clerks = [day, night].map(|id| Self { id, here: here.clone() });
        Ok((clerks.into(), Router::new(routes, None)))
    }

    /// The message must be the one that was said.
    fn look(&self, turn: &Turn, n: u32) {
        let scene = &self.here.scene;
        let envelope = turn.envelope();
        let said = scene.saying(n);
        let fits = said.is_some_and(|saying| saying.envelope() == *envelope);
        let night = said.is_some_and(|saying| saying.night);
        let mut wrong = Vec::new();
        if !fits || turn.context().tenant() != &envelope.tenant {
            wrong.push("it is not what was said");
        }
        if (self.id.as_str() == NIGHT) != night {
            wrong.push("it is for another agent");
        }
        let context = turn.context();
        let trust = if envelope.sender.verified { Trust::User } else { Trust::Untrusted };
        if context.trust() != trust || context.trace() != envelope.traceparent.as_ref() {
            wrong.push("its context is not its own");
        }
        let config = &scene.plan.config;
        let most = Instant::now() + config.turn_timeout;
        if context.deadline().is_none_or(|deadline| deadline > most) {
            wrong.push("its deadline is too late");
        }
        if !(1..=config.turn_attempts).contains(&context.attempt()) {
            wrong.push("there is no such attempt");
        }
        for why in wrong {
            scene.violate(format!("an agent was asked {:?}, and {why}", turn.text()));
        }
    }

    #[expect(clippy::panic, reason = "to panic is one of the faults")]
    async fn suffer(&self, turn: &Turn) -> Result<()> {
        let dice = &self.here.scene.dice;
        if dice.strikes(Fault::AgentSlow) {
            sleep(Duration::from_millis(100 + dice.below(Fault::AgentSlow, 1_500))).await;
        }
        if dice.strikes(Fault::AgentFails) {
            self.here.scene.books().reason(turn.id());
            return Err(Error::new(ErrorKind::ServerError, "the run says so"));
        }
        if dice.strikes(Fault::AgentPanics) {
            self.here.scene.books().reason(turn.id());
            panic!("the agent panics, as the run says");
        }
        if dice.strikes(Fault::AgentHangs) {
            self.here.scene.books().reason(turn.id());
            std::future::pending::<()>().await;
        }
        Ok(())
    }

    async fn play(&self, turn: &mut Turn) -> Result<Answer> {
        let asked = {
            let books = self.here.scene.books();
            books.handled.get(&turn.id()).copied().unwrap_or_default()
        };
        let job = Job::of(turn, asked)?;
        self.here.scene.books().known_as.insert(turn.id(), job.n);
        self.look(turn, job.n);
        job.remember(turn, " and never finished");
        self.suffer(turn).await?;
        let answer = self.answer(turn, &job).await;
        if answer.as_ref().is_err_and(|e| !matches!(e.kind(), ErrorKind::Unavailable)) {
            self.here.scene.books().reason(turn.id());
        }
        if answer.as_ref().is_err_and(waits) {
            self.waits(turn);
        }
        let answer = answer?;
        if let Answer::Suspended(_) = answer {
            job.remember(turn, " waits");
            self.waits(turn);
        } else {
            job.remember(turn, "");
        }
        Ok(answer)
    }

    /// The turn is suspended, and comes back before what waits in its lane.
    fn waits(&self, turn: &Turn) {
        let mut books = self.here.scene.books();
        if self.here.process >= books.owner {
            books.waiting.insert(turn.id());
            books.put_back += 1;
        }
    }

    async fn answer(&self, turn: &mut Turn, job: &Job) -> Result<Answer> {
        match job.verb {
            Verb::Echo => Ok(job.reply("heard")),
            Verb::Recall => {
                let memory = job.memory.iter().filter_map(Value::as_str).map(str::to_owned);
                let lane = lane_of(turn.envelope());
                self.here.scene.books().memories.insert(lane, memory.collect());
                Ok(job.reply("heard"))
            }
            Verb::Long => Ok(job.reply(LONG)),
            Verb::Silent => Ok(Answer::Silent),
            Verb::Stream => self.stream(turn, job).await,
            Verb::Stumble if job.asked == 1 => self.stumble(turn).await,
            Verb::Stumble => Ok(job.reply("up again")),
            Verb::Fail | Verb::Panic | Verb::Hang | Verb::Invalid => {
                self.here.scene.books().reason(turn.id());
                self.fail(job).await
            }
            _ => self.act(turn, job).await,
        }
    }

    /// Shows a beginning and fails: what was shown has to be taken back.
    async fn stumble(&self, turn: &Turn) -> Result<Answer> {
        self.here.scene.books().reason(turn.id());
        turn.emit(openclaw_core::Content::text("hm"));
        sleep(Duration::from_millis(300)).await;
        Err(Error::new(ErrorKind::ServerError, "the clerk stumbles"))
    }

    /// An answer that needs something done.
    async fn act(&self, turn: &mut Turn, job: &Job) -> Result<Answer> {
        match job.verb {
            Verb::Double => {
                let first = self.effect(turn, job, "keyed", "first").await?;
                let second = self.effect(turn, job, "once", "second").await?;
                Ok(job.reply(&format!("{first} {second}")))
            }
            Verb::Greedy => self.greedy(turn, job).await,
            Verb::Ask | Verb::Job => self.ask(turn, job).await,
            Verb::Approve => self.approve(turn, job).await,
            Verb::Misuse => self.misuse(turn, job).await,
            Verb::Guarded => self.guarded(turn, job).await,
            Verb::Diverge => self.diverge(turn, job).await,
            Verb::Forget if job.asked > 1 => Ok(job.reply("nothing")),
            Verb::MakeLight => {
                let done = self.effect(turn, job, light(job.n), "do").await;
                Ok(job.reply(done.as_deref().unwrap_or("whatever")))
            }
            Verb::Forget => Ok(job.reply(&self.effect(turn, job, "once", "do").await?)),
            verb => Ok(job.reply(&self.effect(turn, job, verb.word(), "do").await?)),
        }
    }

    /// Calls a skill. That the store holds its commits up is a reason not to come to an end.
    async fn call(
        &self,
        turn: &mut Turn,
        skill: &str,
        operation: &str,
        input: Value,
    ) -> Result<SkillAnswer> {
        let mut asking = Asking::new(&self.here, turn.id());
        let answer = turn.skill(skill, operation, input).await;
        asking.answered = true;
        answer
    }

    /// Has it done, and says which effect it was.
    async fn effect(
        &self,
        turn: &mut Turn,
        job: &Job,
        skill: &str,
        operation: &str,
    ) -> Result<String> {
        let input = bill(turn.envelope(), job.n);
        let key = format!("{}.{operation}", turn.id());
        let tries = |here: &Here| here.scene.books().tries.get(&key).map_or(0, |t| t.count);
        let before = tries(&self.here);
        let answer = self.call(turn, skill, operation, input).await;
        if let Some(mark) = answer.as_ref().err().and_then(spent) {
            self.here.scene.marks.hit(mark);
        }
        let answer = answer?;
        if before > 0 && tries(&self.here) == before {
            self.here.scene.marks.hit(row::C4);
        }
        Ok(result_of(&answer))
    }

    /// Asks for more than a turn may: what is over the budget is refused.
    async fn greedy(&self, turn: &mut Turn, job: &Job) -> Result<Answer> {
        let mut calls = 0;
        loop {
            let input = bill(turn.envelope(), job.n);
            match self.call(turn, "pure", "do", input).await {
                Ok(_) => calls += 1,
                Err(e) if e.kind() == ErrorKind::Overloaded => break,
                Err(e) if calls < 64 => {
                    spent(&e).into_iter().for_each(|mark| self.here.scene.marks.hit(mark));
                    calls += 1;
                }
                Err(e) => return Err(e),
            }
        }
        Ok(job.reply(&format!("after {calls}")))
    }

    async fn stream(&self, turn: &Turn, job: &Job) -> Result<Answer> {
        for so_far in ["s", "st", "str"] {
            turn.emit(openclaw_core::Content::text(so_far));
            sleep(Duration::from_millis(400)).await;
        }
        // What was shown is taken back when nothing comes of it.
        self.suffer(turn).await?;
        Ok(job.reply("streamed"))
    }

    async fn ask(&self, turn: &mut Turn, job: &Job) -> Result<Answer> {
        let waiting = if job.verb == Verb::Job {
            let input = bill(turn.envelope(), job.n);
            match self.call(turn, "job", "start", input).await? {
                SkillAnswer::Pending(ticket) => Waiting::Job { job: ticket.job },
                SkillAnswer::Done(_) => {
                    return Err(Error::new(ErrorKind::ServerError, "the job has no ticket"));
                }
            }
        } else {
            Waiting::Question { text: "really?".into() }
        };
        Ok(match turn.resolution() {
            None => Answer::Suspended(waiting),
            Some(said) => job.reply(said.value.as_str().unwrap_or("no text")),
        })
    }

    async fn approve(&self, turn: &mut Turn, job: &Job) -> Result<Answer> {
        let approval = format!("a{}", job.n);
        if turn.resolution().is_none() {
            return Ok(Answer::Suspended(Waiting::Approval { approval: approval.into() }));
        }
        let answer = turn.call(Self::gated(turn, job, "pay", &approval)?).await?;
        self.here.scene.marks.hit(life::APPROVED);
        Ok(job.reply(&result_of(&answer)))
    }

    /// Asks for an effect under an approval that is not for it.
    async fn misuse(&self, turn: &mut Turn, job: &Job) -> Result<Answer> {
        let approval = format!("a{}", job.n);
        if turn.resolution().is_none() {
            return Ok(Answer::Suspended(Waiting::Approval { approval: approval.into() }));
        }
        if job.n % 5 == 3 {
            // The first use is right, the second is one too many.
            turn.call(Self::gated(turn, job, "pay", &approval)?).await?;
        }
        match turn.call(Self::gated(turn, job, "misuse", &approval)?).await {
            Err(e) if e.kind() == ErrorKind::ApprovalRequired => {
                self.here.scene.marks.hit(life::UNAPPROVED);
                Ok(job.reply("refused"))
            }
            Err(e) => Err(e),
            Ok(_) => {
                let text = turn.text();
                self.here.scene.violate(format!("{text}: done without an approval for it"));
                Ok(job.reply("done"))
            }
        }
    }

    /// Asks for what people have to approve first: the rules say so, and not the clerk.
    async fn guarded(&self, turn: &mut Turn, job: &Job) -> Result<Answer> {
        let marks = &self.here.scene.marks;
        match self.effect(turn, job, GUARDED, "do").await {
            Ok(result) => Ok(job.reply(&result)),
            Err(e) if waits(&e) && job.n.is_multiple_of(2) => {
                let id = e.context().find(|(name, _)| *name == "approval");
                let approval = id.map_or("", |(_, id)| id).into();
                Ok(Answer::Suspended(Waiting::Approval { approval }))
            }
            Err(e) if waits(&e) => Err(e),
            Err(e) if e.kind() == ErrorKind::ApprovalRequired => {
                marks.hit(life::LAPSED);
                Ok(job.reply("too late"))
            }
            Err(e) if e.kind() == ErrorKind::PermissionDenied => Ok(job.reply(e.public())),
            Err(e) => Err(e),
        }
    }

    fn gated(turn: &Turn, job: &Job, operation: &str, approval: &str) -> Result<SkillRequest> {
        let skill =
            SkillId::new("gated").map_err(|e| Error::new(ErrorKind::ServerError, e.to_string()))?;
        let input = bill(turn.envelope(), job.n);
        Ok(SkillRequest::new(skill, Arc::<str>::from(operation), input).approved(approval))
    }

    /// Words its request differently each time it is asked.
    async fn diverge(&self, turn: &mut Turn, job: &Job) -> Result<Answer> {
        let mut input = bill(turn.envelope(), job.n);
        if let Value::Object(fields) = &mut input {
            fields.insert("run".to_owned(), job.asked.into());
        }
        match self.call(turn, "keyed", "do", input).await {
            Ok(answer) => Ok(job.reply(&result_of(&answer))),
            Err(e) => {
                if e.kind() == ErrorKind::Conflict {
                    self.here.scene.marks.hit(row::C13);
                }
                Err(e)
            }
        }
    }

    #[expect(clippy::panic, reason = "to panic is what this message asks for")]
    async fn fail(&self, job: &Job) -> Result<Answer> {
        match job.verb {
            Verb::Panic => panic!("the agent panics, as it was asked"),
            Verb::Hang => std::future::pending().await,
            Verb::Invalid => Err(Error::new(ErrorKind::ValidationError, "as it was asked")),
            _ => Err(Error::new(ErrorKind::ServerError, "as it was asked")),
        }
    }
}

/// Has nobody decided yet about an approval?
fn waits(e: &Error) -> bool {
    e.kind() == ErrorKind::ApprovalRequired && !e.is_exhausted()
}

/// Whose budget refused it, when one did.
fn spent(e: &Error) -> Option<&'static str> {
    e.refusal().filter(|refusal| refusal.reason() == Reason::BudgetSpent)?;
    let (_, scope) = e.context().find(|(name, _)| *name == "scope")?;
    Some(match scope {
        "agent" => life::SPENT_AGENT,
        "session" => life::SPENT_SESSION,
        "run" => life::SPENT_RUN,
        _ => life::SPENT,
    })
}

/// The words for the answer of a skill.
pub(super) fn result_of(answer: &SkillAnswer) -> String {
    match answer {
        SkillAnswer::Done(value) => format!("e{}", value.get("effect").unwrap_or(&Value::Null)),
        SkillAnswer::Pending(ticket) => format!("{ticket:?}"),
    }
}

#[async_trait]
impl Agent for Clerk {
    fn id(&self) -> &AgentId {
        &self.id
    }

    async fn handle(&self, mut turn: Turn) -> Result<Answer> {
        self.here.power.gate().await;
        let lane = lane_of(turn.envelope());
        let bound = self.here.scene.plan.config.turns;
        self.here.scene.books().begin_turn(self.here.process, &lane, turn.id(), bound);
        let running = Running { here: self.here.clone(), lane };
        let held = Held::new(&self.here, self.here.scene.plan.config.turn_timeout, "the agent");
        let answer = self.play(&mut turn).await;
        self.here.power.gate().await;
        let (n, text) = (self.here.process, turn.text().into_owned());
        self.here.scene.books().tell(|| format!("{n} clerk {} {text:?}: {answer:?}", turn.id()));
        drop((running, held));
        answer
    }
}
