//! Letters: what never got in or never got on is in sight, with the right reason.

use std::{collections::BTreeSet, num::NonZeroUsize};

use openclaw_core::{ErrorKind, MessageId, TenantId, records::DeadLetter};

use super::Over;
use crate::sim::{
    Verb,
    plan::{Saying, TENANTS, Trick},
};

/// More letters than a run has.
const MANY: NonZeroUsize = NonZeroUsize::new(10_000).unwrap();

impl Over<'_> {
    pub(super) async fn letters(&self) {
        for name in TENANTS {
            let Ok(tenant) = TenantId::new(name) else { continue };
            let letters = self.gateway.dead_letters(&tenant);
            let (dead, parked) =
                match (letters.list(None, MANY).await, letters.parked(None, MANY).await) {
                    (Ok(dead), Ok(parked)) => (dead, parked),
                    other => return self.violate(format!("the letters can't be read: {other:?}")),
                };
            let known: BTreeSet<MessageId> =
                self.people.accepted().into_iter().map(|(_, id)| id).collect();
            self.refused(&tenant, dead.iter().filter(|letter| !known.contains(&letter.id)).count());
            if self.standard {
                self.hopeless(&tenant, &dead);
            }
            for letter in dead.iter().chain(&parked) {
                let course = self.scene.books().courses.get(&letter.id).cloned();
                if course.is_some_and(|course| *course.tenant != *name) {
                    self.violate(format!("{name} has a letter of another tenant: {letter:?}"));
                }
            }
        }
    }

    /// What was refused where nobody is told is kept; where somebody is told it is not.
    fn refused(&self, tenant: &TenantId, kept: usize) {
        let heard = self.people.known();
        let unheard = |saying: &&Saying| {
            let refused = heard.get(&saying.n).is_some_and(|known| known.refused.is_some());
            let reused = saying.trick == Some(Trick::Reuse);
            saying.tenant == *tenant && saying.channel().as_str() != "web" && (refused || reused)
        };
        let meant = self.scene.plan.sayings.iter().filter(unheard).count();
        if kept < meant || (meant == 0 && kept > 0) {
            self.violate(format!("{tenant} has {kept} letters of {meant} refused messages"));
        }
    }

    /// What no agent could answer says so, after the agreed attempts.
    fn hopeless(&self, tenant: &TenantId, dead: &[DeadLetter]) {
        for (n, id) in self.people.accepted() {
            let Some(saying) = self.scene.saying(n).filter(|saying| saying.tenant == *tenant)
            else {
                continue;
            };
            let Some(verb) = Verb::of(&saying.text).filter(|verb| verb.is_hopeless()) else {
                continue;
            };
            let Some(letter) = dead.iter().find(|letter| letter.id == id) else { continue };
            let all = self.scene.plan.config.turn_attempts;
            let fits = match verb {
                Verb::Invalid => letter.attempts <= all && letter.attempts > 0,
                _ => letter.attempts == all,
            };
            let kind = match verb {
                Verb::Hang => letter.kind == ErrorKind::Timeout,
                Verb::Invalid => {
                    letter.attempts == all || letter.kind == ErrorKind::ValidationError
                }
                _ => true,
            };
            // The last attempt may have met another fault than its own.
            let faulty =
                self.scene.plan.faults.iter().any(|fault| fault.name().starts_with("agent"));
            if !fits || (!kind && !faulty) {
                self.violate(format!("{:?} is dead: {letter:?}", saying.text));
            }
        }
    }
}
