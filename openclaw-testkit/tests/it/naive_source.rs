//! Sources of skills, with one flaw at a time planted into them.

use std::{
    cell::Cell,
    fmt,
    future::ready,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use openclaw_core::{
    Call, Effect, Error, ErrorKind, Happened, Result, SkillId,
    skill::{RouteKey, Skill, SkillAnswer, SkillManifest, SkillSource},
};
use openclaw_testkit::{
    conformance::skill_source::SkillSourceHarness,
    remote::{CountingRemote, RemoteKind, RemoteSkill},
};
use serde_json::Value;
use tokio::runtime::Handle;

/// Something that a source does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    None,
    Blocks,
    CountsLookUps,
    ExactForgets,
    ExactForgetsTheTried,
    ExactIsNewest,
    FindsAnyNumber,
    HidesWhatItFinds,
    HookStaysBehind,
    ListsBackwards,
    ListsTheNewest,
    ListsWhatIsOver,
    MissingIsABreakdown,
    MissingIsDoubtful,
    NumbersAreMinimums,
    OddIsAPanic,
    OverIsMet,
    ThreadsDiffer,
    UnreadableIsMissing,
}

/// The versions of `pay`, oldest first; the last one is tried by some routes.
const PAY: [&str; 3] = ["0.9.0", "1.0.0", "1.1.0"];

/// A skill whose hook was left behind.
#[derive(Debug)]
struct Bare(RemoteSkill);

#[async_trait]
impl Skill for Bare {
    fn manifest(&self) -> &SkillManifest {
        self.0.manifest()
    }

    async fn run(&self, call: Call<Arc<Value>>) -> Result<SkillAnswer> {
        self.0.run(call).await
    }
}

/// Two skills, `look` and `pay`; of the second some routes meet a newer version.
pub(crate) struct NaiveSource {
    flaw: Flaw,
    asked: AtomicU64,
}

impl fmt::Debug for NaiveSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NaiveSource({:?})", self.flaw)
    }
}

thread_local! {
    static VISITS: Cell<u64> = const { Cell::new(0) };
}

fn id(name: &str) -> SkillId {
    SkillId::new(name).unwrap()
}

impl NaiveSource {
    fn skill(&self, name: &str, version: &str) -> Arc<dyn Skill> {
        let effect = if name == "pay" { Effect::Reconcilable } else { Effect::Pure };
        let manifest = SkillManifest::new(id(name), version).effect(effect);
        let skill = RemoteSkill::new(manifest, CountingRemote::new(RemoteKind::Unkeyed));
        match self.flaw {
            Flaw::HookStaysBehind => Arc::new(Bare(skill)),
            _ => Arc::new(skill),
        }
    }

    /// The version of `pay` that a route meets.
    fn met(&self, route: &RouteKey) -> &'static str {
        let n = self.asked.fetch_add(1, Ordering::SeqCst);
        let tries = match self.flaw {
            Flaw::CountsLookUps => n.is_multiple_of(2),
            Flaw::ThreadsDiffer => VISITS.with(Cell::get) == 0,
            Flaw::OverIsMet if route.as_bytes().len() > 100 => return PAY[0],
            _ => route.as_bytes().iter().fold(0_u8, |sum, byte| sum ^ byte).is_multiple_of(2),
        };
        if tries { PAY[2] } else { PAY[1] }
    }

    fn missing(&self, why: &'static str) -> Error {
        match self.flaw {
            Flaw::MissingIsABreakdown => Error::new(ErrorKind::Unavailable, why),
            Flaw::MissingIsDoubtful => {
                Error::new(ErrorKind::NotFound, why).with_happened(Happened::Maybe)
            }
            _ => Error::new(ErrorKind::NotFound, why),
        }
    }

    /// The number in a text; `Err` where there is none.
    fn read<'a>(&self, version: &'a str) -> Result<&'a str> {
        if self.flaw == Flaw::OddIsAPanic {
            assert!(version.split('.').count() == 3, "major.minor.patch");
        }
        let numbers: Vec<_> = version.split('.').map(str::parse::<u32>).collect();
        if numbers.len() == 3 && numbers.iter().all(Result::is_ok) {
            return Ok(version);
        }
        match self.flaw {
            Flaw::UnreadableIsMissing => Err(self.missing("there is no such version")),
            _ => Err(Error::new(ErrorKind::ValidationError, "this is no version")),
        }
    }
}

impl SkillSource for NaiveSource {
    fn list(&self, route: &RouteKey) -> Vec<Arc<dyn Skill>> {
        let met = match self.flaw {
            Flaw::ListsTheNewest => PAY[2],
            _ => self.met(route),
        };
        let mut all = vec![self.skill("look", "1.0.0"), self.skill("pay", met)];
        match self.flaw {
            Flaw::ListsBackwards => all.reverse(),
            Flaw::ListsWhatIsOver => all.insert(1, self.skill("pay", PAY[0])),
            Flaw::HidesWhatItFinds if route.as_bytes().is_empty() => drop(all.pop()),
            _ => {}
        }
        all
    }

    fn find(
        &self,
        skill: &SkillId,
        version: Option<&str>,
        route: &RouteKey,
    ) -> Result<Arc<dyn Skill>> {
        if self.flaw == Flaw::Blocks {
            Handle::current().block_on(ready(()));
        }
        let met = match skill.as_str() {
            "look" => "1.0.0",
            "pay" => self.met(route),
            _ => return Err(self.missing("there is no such skill")),
        };
        let Some(version) = version else { return Ok(self.skill(skill.as_str(), met)) };
        let version = self.read(version)?;
        let there = version == met || (skill.as_str() == "pay" && version == PAY[1]);
        match self.flaw {
            Flaw::FindsAnyNumber => Ok(self.skill(skill.as_str(), met)),
            Flaw::NumbersAreMinimums if skill.as_str() == "pay" && there => {
                Ok(self.skill("pay", PAY[2]))
            }
            _ if there => Ok(self.skill(skill.as_str(), version)),
            _ => Err(self.missing("there is no such version")),
        }
    }

    fn exact(&self, skill: &SkillId, version: &str) -> Option<Arc<dyn Skill>> {
        let versions = match skill.as_str() {
            "look" => &["1.0.0"][..],
            "pay" if self.flaw == Flaw::ExactForgets => &PAY[1..],
            "pay" if self.flaw == Flaw::ExactForgetsTheTried => &PAY[..2],
            "pay" => &PAY,
            _ => return None,
        };
        if self.flaw == Flaw::ExactIsNewest {
            return versions.last().map(|newest| self.skill(skill.as_str(), newest));
        }
        versions.contains(&version).then(|| self.skill(skill.as_str(), version))
    }
}

#[async_trait]
impl SkillSourceHarness for Flaw {
    async fn fresh(&self) -> Box<dyn SkillSource> {
        VISITS.with(|visits| visits.set(1));
        Box::new(NaiveSource { flaw: *self, asked: AtomicU64::new(0) })
    }

    fn begun(&self) -> Vec<(SkillId, String)> {
        vec![(id("pay"), PAY[0].to_owned())]
    }

    fn unreadable(&self) -> Option<String> {
        Some("one".to_owned())
    }
}
