//! Outputs that break the contract of their skill: kept, told to operators, given to nobody.

use std::{fmt::Write as _, sync::Arc};

use super::{Claim, Claims};
use crate::{
    Effect, Error, ErrorKind, Happened, Result,
    records::{
        audit::AuditAction,
        ledger::{EffectRecord, Event},
    },
    skill::{BrokenOutput, SkillAnswer},
};

/// The longest text that is kept of a breach, in characters.
const LONGEST: usize = 1024;

impl Claims {
    /// Records an effect as done whose output breaks the contract; what is told of it.
    ///
    /// The alert is an entry of the audit trail in the same commit. An output that no row has
    /// room for is not kept.
    pub(crate) async fn broken(
        &self,
        label: &'static str,
        claim: &mut Claim,
        output: Arc<serde_json::Value>,
        breach: &Error,
    ) -> Result<Error> {
        let why = words(breach);
        match self.alert(label, claim, output, &why).await {
            Err(e) if unstorable(&e) => self.alert(label, claim, Arc::default(), &why).await?,
            alerted => alerted?,
        }
        let Claim { message, subject, .. } = claim;
        tracing::warn!(%message, %subject, %why, "the output of a skill breaks its contract");
        Ok(told(&why))
    }

    async fn alert(
        &self,
        label: &'static str,
        claim: &mut Claim,
        output: Arc<serde_json::Value>,
        why: &Arc<str>,
    ) -> Result<()> {
        let done = self.entry(claim, AuditAction::EffectDone, &claim.subject);
        let alert = self.entry(claim, AuditAction::OutputBroken, &claim.subject);
        let entries = [done, alert.because(Arc::clone(why))];
        let event = Event::Broken { answer: SkillAnswer::Done(output), why: Arc::clone(why) };
        self.step(label, claim, event, &entries).await
    }
}

/// Does the store refuse this for good? Nothing was applied then.
pub(crate) fn unstorable(e: &Error) -> bool {
    e.kind() == ErrorKind::ValidationError && e.happened() == Happened::No
}

/// The output of a skill that has run, when this error brings one.
///
/// A `Pure` one did nothing that has to be kept: it may run again.
pub(super) fn output_behind(record: &EffectRecord, e: &Error) -> Option<Arc<serde_json::Value>> {
    let ran = record.effect != Effect::Pure && e.happened() == Happened::Yes;
    BrokenOutput::of(e).filter(|_| ran).cloned()
}

/// What whoever asks again is told of an effect that is done, when nobody may use its output.
pub(crate) fn broken_before(record: &EffectRecord) -> Option<Error> {
    Some(told(record.breach.as_ref()?).with("replayed", true))
}

/// The message of such an error.
pub(crate) fn broken_message(why: &str) -> String {
    format!("it is done, and its output can't be used: {why}")
}

fn told(why: &str) -> Error {
    // Whoever reads that its request is not valid would ask for something else.
    Error::new(ErrorKind::ValidationError, broken_message(why))
        .with_public("it was done, but its answer can't be used: do not ask for it again")
        .with_happened(Happened::Yes)
        .exhausted()
}

/// What is wrong with an output, in words for operators.
fn words(breach: &Error) -> Arc<str> {
    let mut text = breach.message().to_owned();
    for (key, value) in breach.context() {
        // A String takes everything.
        let _taken = write!(text, "; {key}: {value}");
    }
    text.chars().take(LONGEST).collect::<String>().into()
}
