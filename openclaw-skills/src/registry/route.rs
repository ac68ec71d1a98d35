//! Which routes meet a canary: a pure function of skill, route and weight.

use openclaw_core::{Digest, SkillId, records::EVERYBODY, skill::RouteKey};

use crate::planted::planted;

/// Does a route meet a canary of this weight?
pub(super) fn meets(skill: &SkillId, route: &RouteKey, weight: u16) -> bool {
    if planted!(RoutesReshuffled) {
        let shuffled = [route.as_bytes(), &weight.to_be_bytes()].concat();
        return bucket(skill, &RouteKey::new(shuffled)) < weight;
    }
    bucket(skill, route) < weight
}

/// The bucket of a route, below 10,000. The same one always, for every version of the skill.
///
/// A route meets a canary whose weight is above its bucket. So it is sticky, and raising the weight
/// moves nobody off.
///
/// ```
/// use openclaw_core::{SkillId, skill::RouteKey};
/// use openclaw_skills::registry::bucket;
///
/// let (skill, route) = (SkillId::new("pay")?, RouteKey::new("conversation-7"));
/// assert_eq!(bucket(&skill, &route), bucket(&skill, &route));
/// assert!(bucket(&skill, &route) < 10_000);
/// # Ok::<(), openclaw_core::InvalidId>(())
/// ```
#[must_use]
pub fn bucket(skill: &SkillId, route: &RouteKey) -> u16 {
    let digest = Digest::of("openclaw.canary", [skill.as_str().as_bytes(), route.as_bytes()]);
    let first = digest.as_bytes().first_chunk().copied().unwrap_or_default();
    let bucket = u64::from_be_bytes(first) % u64::from(EVERYBODY);
    u16::try_from(bucket).unwrap_or_default()
}
