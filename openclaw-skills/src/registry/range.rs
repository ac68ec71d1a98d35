//! Which versions will do: exact, a major, or a range.

use std::{fmt, str::FromStr};

use openclaw_core::{Error, ErrorKind, Result};
use semver::{Comparator, Op, Version, VersionReq};

/// The longest range that is read, in bytes.
const MAX_LEN: usize = 128;

/// Which versions of a skill will do.
///
/// | written | means |
/// |---|---|
/// | `*` | any release |
/// | `1`, `v1` | any release of this major, as the path `/skills/x/v1` has it |
/// | `1.2`, `v1.2`, `^1.2` | 1.2.0 and what is compatible with it, below 2.0.0 |
/// | `~1.2` | 1.2.0 and later patches of it |
/// | `1.2.3`, `v1.2.3`, `=1.2.3` | exactly this one, also a draft |
/// | `>=1.2, <1.5` | as it says |
///
/// A pre-release is met by its exact number, or by a range that names one of the same number.
///
/// ```
/// use openclaw_skills::registry::Range;
///
/// let range: Range = "^1.2".parse()?;
/// assert!(range.admits("1.10.0") && !range.admits("2.0.0") && !range.admits("1.1.9"));
/// assert!("one".parse::<Range>().is_err());
/// # Ok::<(), openclaw_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range(Kind);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    Any,
    Exact(Version),
    Within { req: VersionReq, below: Option<Version> },
}

impl Range {
    /// Any release.
    pub const ANY: Self = Self(Kind::Any);

    /// Does this version do?
    #[must_use]
    pub fn admits(&self, version: &str) -> bool {
        Version::parse(version).is_ok_and(|version| self.matches(&version))
    }

    pub(super) fn matches(&self, version: &Version) -> bool {
        match &self.0 {
            Kind::Any => version.pre.is_empty(),
            Kind::Exact(exact) => version == exact,
            Kind::Within { req, .. } => req.matches(version),
        }
    }

    /// The one version that it names, when it names one.
    pub(super) const fn exact(&self) -> Option<&Version> {
        match &self.0 {
            Kind::Exact(version) => Some(version),
            Kind::Any | Kind::Within { .. } => None,
        }
    }

    /// A version that it ends before, when that is easily seen.
    pub(super) const fn below(&self) -> Option<&Version> {
        match &self.0 {
            Kind::Within { below, .. } => below.as_ref(),
            Kind::Any | Kind::Exact(_) => None,
        }
    }
}

impl FromStr for Range {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let text = text.trim();
        let unreadable = || {
            let why = "this is no range of versions: write 1.4.0, v1, ^1.2 or >=1.2, <1.5";
            Error::new(ErrorKind::ValidationError, why)
                .with("range", text.chars().take(MAX_LEN).collect::<String>().escape_debug())
        };
        if text.is_empty() || text.len() > MAX_LEN {
            return Err(unreadable());
        }
        if text == "*" {
            return Ok(Self::ANY);
        }
        let bare = text.strip_prefix(['v', 'V']).filter(|rest| starts_with_digit(rest));
        let bare = bare.or_else(|| Some(text).filter(|text| starts_with_digit(text)));
        let number = bare.or_else(|| text.strip_prefix('=').map(str::trim));
        if let Some(version) = number.and_then(|number| Version::parse(number).ok()) {
            return Ok(Self(Kind::Exact(version)));
        }
        let req = VersionReq::parse(bare.unwrap_or(text)).map_err(|_no_range| unreadable())?;
        let below = match req.comparators.as_slice() {
            [only] => below(only),
            _ => None,
        };
        Ok(Self(Kind::Within { req, below }))
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Any => f.write_str("*"),
            Kind::Exact(version) => write!(f, "{version}"),
            Kind::Within { req, .. } => write!(f, "{req}"),
        }
    }
}

fn starts_with_digit(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit())
}

/// The first release behind what a comparator admits.
fn below(comparator: &Comparator) -> Option<Version> {
    let Comparator { op, major, minor, patch, .. } = comparator;
    let next = |n: u64| n.checked_add(1);
    let (major, minor, patch) = match (op, major, minor, patch) {
        (Op::Caret, 0, Some(0), Some(patch)) => (0, 0, next(*patch)?),
        (Op::Caret, 0, Some(minor), _)
        | (Op::Tilde | Op::Wildcard | Op::Exact, 0, Some(minor), _) => (0, next(*minor)?, 0),
        (Op::Tilde | Op::Wildcard | Op::Exact, major, Some(minor), _) => (*major, next(*minor)?, 0),
        (Op::Caret | Op::Tilde | Op::Wildcard | Op::Exact, major, _, _) => (next(*major)?, 0, 0),
        _ => return None,
    };
    Some(Version::new(major, minor, patch))
}
