//! The business systems of a run, and the skills of one process that reach them.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use openclaw_core::{
    Call, Digest, Effect, Effects, Error, ErrorKind, Happened, Result, SkillId,
    channel::{Intent, Reconcile, Reconciled},
    skill::{JobTicket, Skill, SkillAnswer, SkillManifest},
};
use serde_json::Value;
use tokio::time::sleep;

use super::{
    Fault,
    clerk::RETENTION,
    here::{Held, Here},
    line::{look_up_fails, told, turn_of},
    mark::tried,
    rows::effect,
    second::SECOND,
    tries::Doing,
};
use crate::remote::{CountingRemote, RemoteKind};

/// The skill that rules let nobody call without an approval.
pub(super) const GUARDED: &str = "guarded";

/// Each skill and what it may do to the world.
pub(super) const SKILLS: [(&str, Effect); 8] = [
    ("keyed", Effect::Keyed { retention: RETENTION }),
    ("reconcilable", Effect::Reconcilable),
    ("once", Effect::AtMostOnce),
    ("often", Effect::AtLeastOnce),
    ("pure", Effect::Pure),
    ("job", Effect::AtMostOnce),
    ("gated", Effect::AtMostOnce),
    (GUARDED, Effect::AtMostOnce),
];

/// The remotes behind the skills; they outlive the processes.
#[derive(Debug)]
pub(super) struct Remotes(Vec<(&'static str, Effect, CountingRemote)>);

impl Default for Remotes {
    fn default() -> Self {
        let made = SKILLS.iter().map(|(name, effect)| {
            let keyed = matches!(effect, Effect::Keyed { .. });
            let kind = if keyed { RemoteKind::Keyed } else { RemoteKind::Unkeyed };
            (*name, *effect, CountingRemote::new(kind))
        });
        Self(made.collect())
    }
}

impl Remotes {
    pub(super) fn get(&self, name: &str) -> Option<&CountingRemote> {
        self.0.iter().find(|(n, ..)| *n == name).map(|(.., remote)| remote)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (&'static str, Effect, &CountingRemote)> {
        self.0.iter().map(|(name, effect, remote)| (*name, *effect, remote))
    }
}

/// A skill of one process.
#[derive(Clone, Debug)]
pub(super) struct SimSkill {
    here: Here,
    manifest: SkillManifest,
    remote: CountingRemote,
}

impl SimSkill {
    /// Every skill of this process, in this version.
    pub(super) fn all(here: &Here, version: &str) -> Vec<Self> {
        let made = here.scene.remotes.all().filter_map(|(name, effect, remote)| {
            let manifest = SkillManifest::new(SkillId::new(name).ok()?, version)
                .effect(effect)
                .timeout(Duration::from_secs(4));
            Some(Self { here: here.clone(), manifest, remote: remote.clone() })
        });
        made.collect()
    }

    /// What a call has to be, before anything is done.
    fn look(&self, call: &Call<Arc<Value>>) {
        let scene = &self.here.scene;
        let tenant = call.context().tenant();
        let mut wrong = Vec::new();
        if call.payload().get("tenant").and_then(Value::as_str) != Some(tenant.as_str()) {
            wrong
                .push(format!("{} is called for {tenant} with another's arguments", call.target()));
        }
        if call.context().effects() != Effects::Live {
            wrong.push("a call whose effects are withheld reached a skill".to_owned());
        }
        let mut books = scene.books();
        if call.effect() != Effect::Pure {
            match call.key() {
                None => wrong.push(format!("{} is called without a key", call.target())),
                Some(key) => {
                    books.begin_try(&Doing {
                        process: self.here.process,
                        key: key.as_str(),
                        effect: call.effect(),
                        at: scene.now(),
                        asked: Digest::of_json("sim.call", call.payload()),
                        version: Arc::clone(&self.manifest.version),
                        most: None,
                    });
                    let recorded = turn_of(key.as_str())
                        .map(|turn| effect(tenant, turn, key.operation()))
                        .and_then(|row| books.last(&row));
                    if recorded != Some("dispatch") && self.here.process >= books.owner {
                        wrong.push(format!(
                            "{} runs for {key}, and its record says {recorded:?}",
                            call.target()
                        ));
                    }
                }
            }
        }
        wrong.into_iter().for_each(|what| books.violate(what));
    }

    fn is_second(&self) -> bool {
        *self.manifest.version == *SECOND
    }

    /// Is this a version that does not do well, at a time when things go wrong?
    fn fails(&self) -> bool {
        let scene = &self.here.scene;
        self.is_second() && scene.dice.storming() && scene.second.fails()
    }

    #[expect(clippy::panic, reason = "to panic is one of the faults")]
    async fn act(&self, call: &Call<Arc<Value>>) -> Result<Value> {
        let dice = &self.here.scene.dice;
        let dies = self.here.dies_at_effect();
        if dies == Some(false) {
            return self.here.power.die().await;
        }
        let error = |happened| {
            Error::new(ErrorKind::Unavailable, "the run says so").with_happened(happened)
        };
        if dies.is_none() {
            if dice.strikes(Fault::RemoteRefuses) || self.fails() {
                return Err(error(Happened::No));
            }
            if dice.strikes(Fault::RemoteLosesRequest) {
                return Err(error(Happened::Maybe));
            }
        }
        let answer = if call.effect() == Effect::Pure {
            self.remote.read(call.payload()).await?
        } else {
            self.remote.call(call.key().map(|key| key.as_str()), call.payload()).await?
        };
        let what = format!("did {} {:?} {}", call.target(), call.key(), call.payload());
        self.here.scene.books().event(self.here.process, &what);
        if dies.is_some() {
            return self.here.power.die().await;
        }
        if dice.strikes(Fault::RemoteLosesAnswer) {
            return Err(error(Happened::Maybe));
        }
        if dice.strikes(Fault::RemotePanics) {
            panic!("the skill panics, as the run says");
        }
        if dice.strikes(Fault::RemoteHangs) {
            std::future::pending::<()>().await;
        }
        if dice.strikes(Fault::RemoteSlow) {
            sleep(Duration::from_millis(100 + dice.below(Fault::RemoteSlow, 3_000))).await;
        }
        Ok(answer)
    }
}

#[async_trait]
impl Skill for SimSkill {
    fn manifest(&self) -> &SkillManifest {
        &self.manifest
    }

    async fn run(&self, call: Call<Arc<Value>>) -> Result<SkillAnswer> {
        self.here.power.gate().await;
        let withheld = call.context().effects() == Effects::Withheld;
        if withheld && call.effect() == Effect::Pure && self.is_second() {
            // A shadow: what it says is for operators, and no remote hears of it.
            self.here.scene.marks.hit(tried::SHADOWED);
            return Ok(SkillAnswer::done(Value::Null));
        }
        self.look(&call);
        let turn = call.key().and_then(|key| turn_of(key.as_str()));
        let held = Held::new(&self.here, self.manifest.timeout, call.target());
        if let Some(turn) = turn {
            // A reason to fail, unless it ends well.
            self.here.scene.books().reason(turn);
        }
        let outcome = self.act(&call).await;
        self.here.power.gate().await;
        drop(held);
        if let (Some(turn), Ok(_)) = (turn, &outcome) {
            self.here.scene.books().no_reason(turn);
        }
        if let Some(key) = call.key().filter(|_| call.effect() != Effect::Pure) {
            self.here.scene.books().end_try(
                self.here.process,
                self.here.scene.now(),
                key.as_str(),
                told(&outcome),
            );
        }
        let answer = outcome?;
        // Less than was reserved, at times.
        call.spent("effects", 2 + self.here.scene.rng.below(2));
        if self.manifest.id.as_str() == "job" {
            return Ok(SkillAnswer::Pending(JobTicket::new(format!("job-{answer}"))));
        }
        Ok(SkillAnswer::done(answer))
    }

    fn reconcile(&self) -> Option<&dyn Reconcile> {
        (self.manifest.effect == Effect::Reconcilable).then_some(self)
    }
}

#[async_trait]
impl Reconcile for SimSkill {
    async fn reconcile(&self, intent: &Intent) -> Result<Reconciled> {
        self.here.power.gate().await;
        let key = intent.key.as_str();
        if let Some(turn) = turn_of(key) {
            self.here.scene.books().reason(turn);
        }
        if let Some(answer) = look_up_fails(&self.here)? {
            return Ok(answer);
        }
        let doubt = self.remote.unsettled(key);
        Ok(match (self.remote.lookup(key), doubt) {
            (Some(answer), _) => Reconciled::Happened(Arc::new(answer)),
            (None, Some(retry_after)) => Reconciled::NotYetKnown { retry_after },
            (None, None) => {
                self.here.scene.books().ruled_out(key);
                Reconciled::DidNotHappen
            }
        })
    }
}
