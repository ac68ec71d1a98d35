//! The laws of [`SkillSource`]: one function for each sentence of its contract.

mod exact;
mod find;
mod list;
mod listed;
mod trial;

use async_trait::async_trait;
use openclaw_core::{SkillId, skill::SkillSource};

use self::trial::Need;
pub use self::trial::Trial;
use super::{Law, Report, Verdict};

/// Makes the sources that the laws try.
///
/// ```
/// use std::{collections::BTreeMap, sync::Arc};
///
/// use openclaw_core::{Effect, SkillId, skill::{Skill, SkillSource}};
/// use openclaw_testkit::conformance::skill_source::{SkillSourceHarness, check_all};
/// use openclaw_testkit::remote::{CountingRemote, RemoteKind, RemoteSkill};
///
/// struct Map;
///
/// #[async_trait::async_trait]
/// impl SkillSourceHarness for Map {
///     async fn fresh(&self) -> Box<dyn SkillSource> {
///         let remote = CountingRemote::new(RemoteKind::Keyed);
///         let pay = RemoteSkill::named("pay", Effect::AtMostOnce, remote).expect("a name");
///         let id = SkillId::new("pay").expect("a name");
///         Box::new(BTreeMap::from([(id, Arc::new(pay) as Arc<dyn Skill>)]))
///     }
/// }
///
/// let report = check_all(&Map);
/// assert!(report.held.contains(&"a_route_meets_the_same_version_again"));
/// assert!(report.not_declared.contains(&("a_call_ends_with_the_version_that_began_it", "more versions")));
/// ```
#[async_trait]
pub trait SkillSourceHarness: Send + Sync {
    /// A new source, of one skill at least.
    async fn fresh(&self) -> Box<dyn SkillSource>;

    /// Versions that calls were begun with, and that no new call of any route meets.
    fn begun(&self) -> Vec<(SkillId, String)> {
        Vec::new()
    }

    /// A text that is no version to it. `None` when any text could be one.
    fn unreadable(&self) -> Option<String> {
        None
    }

    /// Has the source threads or sockets of its own, so that time must not be paused?
    fn real_time(&self) -> bool {
        false
    }
}

crate::__skill_source_laws! { __law_table {
    /// Every law of a source of skills.
    SkillSourceHarness, at_once
} }
