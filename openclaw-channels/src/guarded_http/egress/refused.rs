//! What a rule says to an address that it does not let pass.

use std::{borrow::Cow, fmt};

use openclaw_core::{Error, ErrorKind, Happened};

/// The rule that refused an address; the address itself is not in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::guarded_http) struct Refused {
    malformed: bool,
    rule: Cow<'static, str>,
}

impl Refused {
    /// The policy has a rule against it.
    pub(super) fn by(rule: impl Into<Cow<'static, str>>) -> Self {
        Self { malformed: false, rule: rule.into() }
    }

    /// It is no address that anybody could call.
    pub(super) const fn malformed(rule: &'static str) -> Self {
        Self { malformed: true, rule: Cow::Borrowed(rule) }
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.rule)
    }
}

impl std::error::Error for Refused {}

impl From<Refused> for Error {
    fn from(refused: Refused) -> Self {
        let e = if refused.malformed {
            Self::new(ErrorKind::ValidationError, "the address can't be called")
        } else {
            Self::new(ErrorKind::PermissionDenied, "the egress policy refuses the address")
        };
        e.with("rule", refused.rule).with_happened(Happened::No)
    }
}
