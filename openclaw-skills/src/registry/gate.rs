//! The gate: no breaking change under a number that promises none.

use std::sync::Arc;

use openclaw_core::Result;
use semver::Version;

use super::release::Published;
use crate::evolution::{Level, diff};

/// The releases next to a version.
#[derive(Debug, Default)]
pub(super) struct Neighbours {
    pub(super) below: Option<Arc<Published>>,
    pub(super) above: Option<Arc<Published>>,
}

/// Refuses a version that breaks what its number promises to keep.
pub(super) fn check(neighbours: &Neighbours, new: &Published) -> Result<()> {
    if !new.version.pre.is_empty() {
        return Ok(());
    }
    let below = neighbours.below.iter().map(|below| (&**below, new));
    let above = neighbours.above.iter().map(|above| (new, &**above));
    below.chain(above).try_for_each(|(old, new)| step(old, new))
}

fn step(old: &Published, new: &Published) -> Result<()> {
    if !promises(&old.version, &new.version) {
        return Ok(());
    }
    let (before, after) = (old.skill.manifest(), new.skill.manifest());
    let change = diff(before, after);
    if change.level() < Level::Major { Ok(()) } else { Err(change.refusal(&before.version, after)) }
}

/// Does the later number promise to keep what the earlier one did?
///
/// Below 1.0.0 the minor number is what the major one is later, and below 0.1.0 nothing is.
fn promises(old: &Version, new: &Version) -> bool {
    if old.major != new.major {
        return false;
    }
    old.major > 0 || (old.minor == new.minor && old.minor > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_promises_as_semver_has_it() {
        for (old, new, promised) in [
            ("1.0.0", "1.0.1", true),
            ("1.0.0", "1.9.0", true),
            ("1.9.0", "2.0.0", false),
            ("0.1.0", "0.1.9", true),
            ("0.1.0", "0.2.0", false),
            ("0.0.1", "0.0.2", false),
        ] {
            let version = |text| Version::parse(text).unwrap();
            assert_eq!(promises(&version(old), &version(new)), promised, "{old} {new}");
        }
    }
}
