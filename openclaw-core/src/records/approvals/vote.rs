//! One person's word on an approval, and what it makes of it.

use std::{collections::BTreeSet, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{Approval, ApprovalState};
use crate::{
    Error, ErrorKind, Result, Timestamp,
    rules::Terms,
    words::planted::{Bug, planted},
};

/// The longest memo, in bytes.
const LONGEST: usize = 4 << 10;

/// One person's word on an approval.
///
/// Who says it, and when, is filled in when it is recorded.
///
/// ```
/// use openclaw_core::records::Vote;
///
/// let vote = Vote::no().role("finance").because("the order is disputed");
/// assert!(!vote.yes);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Vote {
    /// Whose word it is.
    pub by: Arc<str>,
    /// The roles that the host vouches for.
    pub roles: BTreeSet<Arc<str>>,
    /// Yes or no.
    pub yes: bool,
    /// Why, in that person's words.
    pub memo: Arc<str>,
    /// When, by the store's clock.
    pub at: Timestamp,
}

impl Vote {
    /// A yes.
    #[must_use]
    pub fn yes() -> Self {
        let (by, roles, memo) = (Arc::default(), BTreeSet::new(), Arc::default());
        Self { by, roles, yes: true, memo, at: Timestamp::default() }
    }

    /// A no: it ends the request, whoever else says yes.
    #[must_use]
    pub fn no() -> Self {
        Self { yes: false, ..Self::yes() }
    }

    /// Says why, in at most 4,096 bytes.
    #[must_use]
    pub fn because(mut self, memo: impl Into<Arc<str>>) -> Self {
        self.memo = memo.into();
        self
    }

    /// Names a role that the person holds, as the host knows.
    #[must_use]
    pub fn role(mut self, role: impl Into<Arc<str>>) -> Self {
        self.roles.insert(role.into());
        self
    }
}

fn refused(kind: ErrorKind, why: &'static str) -> Error {
    Error::new(kind, why)
}

impl Approval {
    /// The approval with this word on it; `None` when the same person has said so before.
    pub(crate) fn after(&self, vote: Vote) -> Result<Option<Self>> {
        if vote.memo.len() > LONGEST {
            return Err(refused(ErrorKind::ValidationError, "a memo has at most 4096 bytes"));
        }
        let again = self.votes.iter().any(|old| old.by == vote.by && old.yes == vote.yes);
        match self.state_at(vote.at) {
            ApprovalState::Requested => {}
            // A person may change their mind until it is used.
            ApprovalState::Granted if !vote.yes => {}
            ApprovalState::Granted | ApprovalState::Denied if again => return Ok(None),
            ApprovalState::Granted => return Err(decided("it is granted already")),
            ApprovalState::Denied => return Err(decided("somebody has said no")),
            ApprovalState::Expired => return Err(decided("its time is over")),
            ApprovalState::Consumed => return Err(decided("it was used")),
        }
        self.may(&vote)?;
        if again {
            return Ok(None);
        }
        let mut next = self.clone();
        let no = !vote.yes && !planted(Bug::DenialGranted);
        // Only what the terms ask for is kept.
        let roles = vote.roles.iter().filter(|role| self.names(role)).cloned().collect();
        next.votes.push(Vote { roles, ..vote });
        next.state = match self.state {
            _ if no => ApprovalState::Denied,
            ApprovalState::Requested if next.meets(&next.terms) => ApprovalState::Granted,
            state => state,
        };
        Ok(Some(next))
    }

    /// May this person decide?
    fn may(&self, vote: &Vote) -> Result<()> {
        let own = |asked: &super::Asked| asked.agent == vote.by || asked.sender == vote.by;
        if self.asked.as_ref().is_some_and(own) && !planted(Bug::SelfApproved) {
            return Err(refused(ErrorKind::PermissionDenied, "whoever asked can't decide"));
        }
        let accepted = |terms: &Terms| terms.accept(&vote.by, &vote.roles);
        if !self.terms.is_empty() && !self.terms.iter().any(accepted) {
            let why = "only those who are named in its terms decide";
            return Err(refused(ErrorKind::PermissionDenied, why));
        }
        Ok(())
    }

    fn names(&self, role: &Arc<str>) -> bool {
        self.terms.iter().any(|terms| terms.roles.contains(role))
    }

    /// Have enough different people said yes, on all of these terms?
    pub(crate) fn meets(&self, terms: &[Terms]) -> bool {
        terms.iter().all(|terms| {
            let yes = self.votes.iter().filter(|vote| {
                let counts = vote.yes || planted(Bug::DenialGranted);
                counts && terms.accept(&vote.by, &vote.roles)
            });
            let people: BTreeSet<&Arc<str>> = yes.map(|vote| &vote.by).collect();
            let quorum = if planted(Bug::QuorumIgnored) { 1 } else { terms.quorum.max(1) };
            people.len() >= quorum as usize
        })
    }
}

fn decided(why: &'static str) -> Error {
    refused(ErrorKind::Conflict, why)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{Digest, MessageId, Trust, records::approvals::Asked};

    fn asked() -> Asked {
        Asked {
            at: Timestamp::from_millis(0),
            turn: MessageId::from_u128(7),
            operation: "pay".into(),
            agent: "clerk".into(),
            sender: "ann".into(),
            trust: Trust::User,
            skill: "pay".into(),
            version: "1.0.0".into(),
            input: Arc::new(json!({})),
        }
    }

    fn requested(terms: Vec<Terms>) -> Approval {
        Approval::requested(Digest::of("test", ["one"]), asked(), terms)
    }

    fn by(name: &str, vote: Vote) -> Vote {
        Vote { by: name.into(), at: Timestamp::from_millis(5), ..vote }
    }

    fn after(approval: &Approval, vote: Vote) -> Approval {
        approval.after(vote).unwrap().unwrap()
    }

    fn kind(approval: &Approval, vote: Vote) -> ErrorKind {
        approval.after(vote).unwrap_err().kind()
    }

    #[test]
    fn a_quorum_is_of_different_people() {
        let one = after(&requested(vec![Terms::new("two").quorum(2)]), by("bob", Vote::yes()));
        assert_eq!(one.state, ApprovalState::Requested);
        assert!(one.after(by("bob", Vote::yes())).unwrap().is_none(), "counted once");
        assert_eq!(after(&one, by("carol", Vote::yes())).state, ApprovalState::Granted);
    }

    #[test]
    fn every_term_has_its_own_quorum() {
        let terms = vec![Terms::new("money").role("finance"), Terms::new("law").approver("lea")];
        let asked = requested(terms);
        assert_eq!(kind(&asked, by("bob", Vote::yes())), ErrorKind::PermissionDenied);
        assert_eq!(kind(&asked, by("bob", Vote::yes().role("sales"))), ErrorKind::PermissionDenied);
        let one = after(&asked, by("bob", Vote::yes().role("finance").role("sales")));
        assert_eq!(one.state, ApprovalState::Requested);
        assert_eq!(one.votes[0].roles.iter().map(|r| &**r).collect::<Vec<_>>(), ["finance"]);
        assert_eq!(after(&one, by("lea", Vote::yes())).state, ApprovalState::Granted);
    }

    #[test]
    fn a_no_ends_it_and_is_told_from_silence() {
        let asked = requested(vec![Terms::new("two").quorum(2)]);
        let one = after(&asked, by("bob", Vote::yes()));
        let no = after(&one, by("bob", Vote::no().because("I was wrong")));
        assert_eq!(
            (no.state, no.denied_by().map(|no| &*no.by)),
            (ApprovalState::Denied, Some("bob"))
        );
        assert_eq!(kind(&no, by("carol", Vote::yes())), ErrorKind::Conflict);
        assert_eq!(no.state_at(Timestamp::from_millis(u64::MAX)), ApprovalState::Denied);
        assert_eq!(asked.state_at(asked.expires), ApprovalState::Expired);
        assert!(asked.denied_by().is_none());
    }

    #[test]
    fn a_grant_can_be_taken_back_until_it_is_used() {
        let granted = after(&requested(vec![Terms::new("one")]), by("bob", Vote::yes()));
        assert_eq!(granted.state, ApprovalState::Granted);
        assert_eq!(kind(&granted, by("carol", Vote::yes())), ErrorKind::Conflict);
        assert_eq!(after(&granted, by("carol", Vote::no())).state, ApprovalState::Denied);
        let used = Approval { state: ApprovalState::Consumed, ..granted };
        assert_eq!(kind(&used, by("carol", Vote::no())), ErrorKind::Conflict);
    }

    #[test]
    fn whoever_asked_does_not_decide() {
        let asked = requested(vec![Terms::new("one").approver("ann").approver("bob")]);
        for name in ["ann", "clerk"] {
            assert_eq!(kind(&asked, by(name, Vote::yes())), ErrorKind::PermissionDenied, "{name}");
            assert_eq!(kind(&asked, by(name, Vote::no())), ErrorKind::PermissionDenied, "{name}");
        }
    }

    #[test]
    fn nothing_is_decided_behind_the_end_of_its_time() {
        let asked = requested(vec![Terms::new("one")]);
        let late = Vote { at: asked.expires, ..by("bob", Vote::yes()) };
        assert_eq!(kind(&asked, late), ErrorKind::Conflict);
    }
}
