//! The person in charge: answers questions, looks at what is parked, decides, replays, purges.

use std::{collections::BTreeSet, num::NonZeroUsize, sync::Arc, time::Duration};

use openclaw_core::{
    Effect, Error, ErrorKind, MessageId, Principal, Result, Subject, TenantId,
    agent::Resolution,
    gateway::{Gateway, MessageState},
    records::{Approval, ApprovalState, Approvals, DeadLetter, Vote},
    skill::{JobTicket, SkillAnswer},
};
use serde_json::json;

use super::{
    Verb,
    clerk::bill,
    mark::{life, row},
    people::People,
    plan::{Saying, TENANTS},
    scene::Scene,
};
use crate::env::SeededRng;

/// The person in charge of a run.
#[derive(Debug)]
pub(super) struct Operator {
    scene: Arc<Scene>,
    people: People,
    rng: SeededRng,
    /// Messages with which nothing more is to be done.
    rested: BTreeSet<MessageId>,
    /// Why the last round was not the last one.
    pub(super) trouble: String,
}

/// More parts than a reply of a run has.
const MOST_PARTS: usize = 64;

/// More approvals than are open at once.
const MANY: NonZeroUsize = NonZeroUsize::new(1_000).unwrap();

/// Somebody whom the run vouches for.
fn principal(tenant: &str, name: &str) -> Result<Principal> {
    let invalid =
        |e: openclaw_core::InvalidId| Error::new(ErrorKind::ValidationError, e.to_string());
    let tenant = TenantId::new(tenant).map_err(invalid)?;
    Ok(Principal::authenticated(tenant, Subject::new(name).map_err(invalid)?, "run"))
}

fn turn_of(approval: &Approval) -> Option<MessageId> {
    approval.asked.as_ref().map(|asked| asked.turn)
}

/// What is to be done with a letter.
enum Look {
    Leave,
    Purge,
    Replay,
}

impl Operator {
    pub(super) fn new(scene: &Arc<Scene>, people: &People) -> Self {
        let rng = SeededRng::new(scene.plan.seed ^ 0x4f50_4552);
        Self {
            scene: Arc::clone(scene),
            people: people.clone(),
            rng,
            rested: BTreeSet::new(),
            trouble: String::new(),
        }
    }

    /// Whether everything that got in has come to its end.
    pub(super) async fn round(&mut self, gateway: &Gateway, alone: bool) -> bool {
        let mut over = true;
        let mut all: BTreeSet<(u32, MessageId)> = self.people.accepted().into_iter().collect();
        all.extend(self.scene.books().known_as.iter().map(|(id, n)| (*n, *id)));
        for (n, id) in all {
            if self.rested.contains(&id) {
                continue;
            }
            let scene = Arc::clone(&self.scene);
            let Some(saying) = scene.saying(n) else { continue };
            match self.look(gateway, saying, id, alone).await {
                Ok(true) => drop(self.rested.insert(id)),
                Ok(false) => {
                    over = false;
                    self.trouble = format!("message {n} is not at its end");
                }
                Err(e) => {
                    over = false;
                    self.trouble = format!("message {n}: {e:?}");
                }
            }
        }
        over
    }

    /// One message; true when nothing more is to be done with it.
    async fn look(
        &mut self,
        gateway: &Gateway,
        saying: &Saying,
        id: MessageId,
        alone: bool,
    ) -> Result<bool> {
        let Some(status) = gateway.status(&saying.tenant, id).await? else {
            let purged = self.scene.books().purged.contains(&id);
            if !purged {
                self.scene.violate(format!("message {} is nowhere: {id}", saying.n));
            }
            return Ok(true);
        };
        let calm = !self.scene.dice.storming();
        match status.state {
            MessageState::Done => Ok(true),
            MessageState::Waiting => {
                if calm || self.rng.chance(0.3) {
                    self.answer(gateway, saying, id).await?;
                }
                Ok(false)
            }
            MessageState::Dead | MessageState::Parked
                if calm || (alone && self.rng.chance(0.3)) =>
            {
                let parked = status.state == MessageState::Parked;
                self.scene.marks.hit(if parked { life::PARKED } else { life::DEAD });
                self.handle(gateway, saying, id, parked).await
            }
            _ => Ok(false),
        }
    }

    /// Gives a turn what it waits for.
    async fn answer(&self, gateway: &Gateway, saying: &Saying, id: MessageId) -> Result<()> {
        let verb = Verb::of(&saying.text);
        if verb == Some(Verb::Guarded) {
            return self.vote(gateway, saying, id).await;
        }
        if matches!(verb, Some(Verb::Approve | Verb::Misuse)) {
            self.grant(saying, verb).await?;
        }
        if !self.scene.dice.storming() {
            self.wait_for_its_end(gateway, saying, id);
        }
        let said = format!("answer-{}", saying.n);
        let resolution = || Resolution::new("ann", json!(said.clone()));
        gateway.resolve(&saying.tenant, id, resolution()).await?;
        self.scene.books().put_back += 1;
        let other = TENANTS.iter().find(|name| **name != saying.tenant.as_str());
        if let Some(other) = other.and_then(|name| TenantId::new(*name).ok())
            && gateway.resolve(&other, id, resolution()).await.is_ok()
        {
            self.scene.violate(format!("another tenant answered message {}", saying.n));
        }
        if self.rng.chance(0.3) && gateway.resolve(&saying.tenant, id, resolution()).await.is_ok() {
            self.scene.violate(format!("message {} was answered twice", saying.n));
        }
        Ok(())
    }

    /// Somebody waits until the message is final.
    fn wait_for_its_end(&self, gateway: &Gateway, saying: &Saying, id: MessageId) {
        let (scene, gateway) = (Arc::clone(&self.scene), gateway.clone());
        let tenant = saying.tenant.clone();
        if scene.books().awaited.insert(id) {
            tokio::spawn(async move {
                if gateway.settled(&tenant, id).await.is_ok_and(|status| status.state.is_final()) {
                    scene.books().awaited.remove(&id);
                }
            });
        }
    }

    /// One of three people says what they think of what a turn waits for; of some nobody does.
    async fn vote(&self, gateway: &Gateway, saying: &Saying, id: MessageId) -> Result<()> {
        if !self.scene.dice.storming() {
            self.wait_for_its_end(gateway, saying, id);
        }
        let open = gateway.approvals(&saying.tenant).open(None, MANY).await?.0;
        let asked = open.iter().find(|(_, approval)| turn_of(approval) == Some(id));
        let Some((approval, asked)) = asked.filter(|_| saying.n % 7 != 3) else { return Ok(()) };
        let others = TENANTS.iter().filter(|name| **name != saying.tenant.as_str());
        let strangers = others.map(|name| (*name, "bob"));
        let own = asked.asked.iter().map(|asked| (saying.tenant.as_str(), &*asked.sender));
        for (tenant, name) in strangers.chain(own) {
            let by = principal(tenant, name)?;
            if gateway.decide_approval(&by, approval, Vote::yes()).await.is_ok() {
                self.scene.violate(format!("{name} of {tenant} approved message {}", saying.n));
            }
        }
        let name = match self.rng.below(3) {
            0 => "ann",
            1 => "bob",
            _ => "eve",
        };
        let no = saying.n % 5 == 1 && name != "ann";
        let vote = if no { Vote::no().because("not today") } else { Vote::yes() };
        let by = principal(saying.tenant.as_str(), name)?;
        match gateway.decide_approval(&by, approval, vote).await {
            Ok(ApprovalState::Granted) => self.scene.marks.hit(life::GRANTED),
            Ok(ApprovalState::Denied) => self.scene.marks.hit(life::DENIED),
            Err(e) if e.kind() != ErrorKind::Conflict => return Err(e),
            _ => {}
        }
        Ok(())
    }

    /// Grants what the message asks for, or something else where it is misused.
    async fn grant(&self, saying: &Saying, verb: Option<Verb>) -> Result<()> {
        let misuse = (verb == Some(Verb::Misuse)).then_some(saying.n % 5);
        let mut input = bill(&saying.envelope(), saying.n);
        let mut expires = self.scene.now().after(Duration::from_secs(86_400));
        let mut tenant = saying.tenant.clone();
        match misuse {
            Some(0) => return Ok(()),
            Some(1) => input = json!({ "n": saying.n + 1, "tenant": saying.tenant.as_str() }),
            Some(2) => expires = openclaw_core::Timestamp::from_millis(1),
            Some(4) => {
                let other = TENANTS.iter().find(|name| **name != saying.tenant.as_str());
                tenant = other.and_then(|name| TenantId::new(*name).ok()).unwrap_or(tenant);
            }
            _ => {}
        }
        let digest = Approval::digest_of(&tenant, "gated", "1.0.0", &input);
        let approval = Approval::granted(digest, "ann", expires);
        let approvals = Approvals::new(Arc::new(self.scene.rows.clone()), tenant);
        match approvals.grant(&format!("a{}", saying.n), &approval).await {
            Err(e) if e.kind() != ErrorKind::Conflict => Err(e),
            _ => Ok(()),
        }
    }

    /// Looks at a letter; true when it stays as it is.
    async fn handle(
        &mut self,
        gateway: &Gateway,
        saying: &Saying,
        id: MessageId,
        parked: bool,
    ) -> Result<bool> {
        let Some(letter) = gateway.dead_letters(&saying.tenant).show(id).await? else {
            return Ok(false);
        };
        match self.decide(gateway, saying, &letter, parked).await? {
            Look::Leave => Ok(true),
            Look::Purge => {
                // Written down first: an order whose answer is lost may have been followed.
                self.scene.books().purged.insert(id);
                gateway.purge(&saying.tenant, id, "ann").await?;
                Ok(true)
            }
            Look::Replay => {
                self.scene.books().looked_at(&id.to_string());
                gateway.replay(&saying.tenant, id, "ann").await?;
                self.scene.books().put_back += 1;
                Ok(false)
            }
        }
    }

    async fn decide(
        &self,
        gateway: &Gateway,
        saying: &Saying,
        letter: &DeadLetter,
        parked: bool,
    ) -> Result<Look> {
        let verb = Verb::of(&saying.text);
        if parked && letter.reason.contains("forgotten the key") {
            self.scene.marks.hit(row::C12);
        }
        if letter.is_reply {
            return Ok(self.look_at_reply(saying, letter, parked));
        }
        if !parked {
            let effects = gateway.ledger(&saying.tenant).of_turn(letter.id).await?;
            let doubt = effects.iter().find(|(_, e)| e.in_doubt_for(self.scene.now()).is_some());
            if let Some((operation, record)) = doubt {
                let state = record.state.name();
                self.scene
                    .violate(format!("{:?} is dead, and {operation} is {state}", saying.text));
            }
        }
        match verb {
            Some(verb) if verb.is_hopeless() && saying.n.is_multiple_of(2) => {
                return Ok(Look::Purge);
            }
            Some(verb) if verb.is_hopeless() => return Ok(Look::Leave),
            // Whoever words it differently each time never gets on.
            Some(Verb::Diverge) if parked => return Ok(Look::Leave),
            _ => {}
        }
        for (operation, record) in gateway.ledger(&saying.tenant).of_turn(letter.id).await? {
            if record.in_doubt_for(self.scene.now()).is_none() {
                continue;
            }
            let key = format!("{}.{operation}", letter.id);
            let truth =
                self.scene.remotes.get(&record.target).and_then(|remote| remote.lookup(&key));
            let answer = truth.map(|truth| {
                if &*record.target == "job" {
                    SkillAnswer::Pending(JobTicket::new(format!("job-{truth}")))
                } else {
                    SkillAnswer::done(truth)
                }
            });
            gateway.decide(&saying.tenant, letter.id, &operation, answer, "ann").await?;
        }
        Ok(Look::Replay)
    }

    /// A reply goes out again only when nobody can have seen the part in doubt.
    fn look_at_reply(&self, saying: &Saying, letter: &DeadLetter, parked: bool) -> Look {
        let Some(line) = self.scene.lines.get(saying.channel()) else { return Look::Leave };
        let mut books = self.scene.books();
        let key = |part: usize| format!("{}.reply.{part}", letter.id);
        let tried = (0..MOST_PARTS).rev().map(key).find(|key| books.tries.contains_key(key));
        if !parked {
            // Of a pure send nothing is written down: it may be repeated.
            let written = line.facts.capabilities.post != Effect::Pure;
            let doubt = |key: &String| {
                written
                    && books.tries.get(key).is_some_and(|tries| tries.doubt)
                    && line.board.find(key).is_some()
            };
            if let Some(key) = tried.filter(doubt) {
                books.violate(format!("{:?} is dead, and {key} was shown", saying.text));
            }
            return Look::Replay;
        }
        match tried {
            Some(key) if line.board.find(&key).is_some() => Look::Leave,
            _ => Look::Replay,
        }
    }
}
