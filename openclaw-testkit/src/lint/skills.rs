//! Skills: what a manifest declares, against what it touches and how long a turn may take.

use std::time::Duration;

use openclaw_core::{Effect, Touches, skill::SkillManifest};

use super::{
    Severity::{Error, Warn},
    channels::forgotten,
    rule::Rule,
    span,
    times::turn_horizon,
};

/// Rules for each skill.
pub(super) const RULES: &[Rule<SkillManifest>] = &[
    Rule {
        id: "repeatable-harm",
        severity: Error,
        odd: |_, m| {
            let harm = touches(m, Touches::MONEY) || touches(m, Touches::DESTRUCTIVE);
            let repeats = matches!(m.effect, Effect::Pure | Effect::AtLeastOnce);
            (harm && repeats)
                .then(|| format!("skill {} is {:?} and touches {:?}", m.id, m.effect, m.touches))
        },
        why: "when its outcome is unknown it is run again: money moves twice, or more is destroyed",
        mend: "declare Keyed or Reconcilable if the remote allows it, AtMostOnce if not",
    },
    Rule {
        id: "pure-writes",
        severity: Error,
        odd: |_, m| {
            (touches(m, Touches::WRITES) && m.effect == Effect::Pure)
                .then(|| format!("skill {} is Pure and touches {:?}", m.id, m.touches))
        },
        why: "Pure means that it changes nothing, and it is run again without a thought",
        mend: "declare AtLeastOnce if writing twice is writing once, else Keyed or AtMostOnce",
    },
    Rule {
        id: "forgotten-keys",
        severity: Warn,
        odd: |c, m| forgotten(m.effect, turn_horizon(c), &format!("the remote of skill {}", m.id)),
        why: "when the outcome is unknown, a late attempt at the turn can't repeat the call: it \
              is parked",
        mend: "allow fewer or shorter attempts, or have the remote remember keys for longer",
    },
    Rule {
        id: "no-skill-timeout",
        severity: Error,
        odd: |_, m| m.timeout.is_zero().then(|| format!("skill {} has a timeout of 0", m.id)),
        why: "every call is cut off at once, and nobody knows whether it happened",
        mend: "give the skill the time it needs",
    },
    Rule {
        id: "skill-over-turn",
        severity: Error,
        odd: |c, m| {
            (m.timeout >= c.turn_timeout).then(|| {
                let (skill, turn) = (span(m.timeout), span(c.turn_timeout));
                format!("skill {} may take {skill}, a turn {turn}", m.id)
            })
        },
        why: "the turn ends in the middle of the call, whose outcome is unknown then",
        mend: "keep the skill's timeout under turn_timeout, or start a job and answer Pending",
    },
    Rule {
        id: "free-input",
        severity: Warn,
        odd: |_, m| {
            let matters = [Touches::WRITES, Touches::MONEY, Touches::DESTRUCTIVE];
            let matters = matters.into_iter().any(|what| touches(m, what));
            (matters && m.input.is_none())
                .then(|| format!("skill {} touches {:?} and takes any input", m.id, m.touches))
        },
        why: "what a model made up is checked by the remote alone, after the effect was claimed",
        mend: "give the manifest a schema of its input",
    },
    Rule {
        id: "no-description",
        severity: Warn,
        odd: |_, m| {
            m.description.trim().is_empty().then(|| format!("skill {} has no description", m.id))
        },
        why: "a model has to guess from the name what it is for",
        mend: "describe it in a sentence",
    },
];

/// Rules for all skills together.
pub(super) const TOGETHER: &[Rule<[SkillManifest]>] = &[
    Rule {
        id: "no-skill-calls",
        severity: Error,
        odd: |c, all| {
            (c.budget.skill_calls == 0 && !all.is_empty())
                .then(|| format!("budget.skill_calls is 0, and there are {} skills", all.len()))
        },
        why: "no agent can ever use a skill",
        mend: "allow some calls a turn, or add no skills",
    },
    Rule {
        id: "skills-over-turn",
        severity: Warn,
        odd: |c, all| {
            let sum = all.iter().fold(Duration::ZERO, |sum, m| sum.saturating_add(m.timeout));
            let each_fits = all.iter().all(|m| m.timeout < c.turn_timeout);
            (all.len() > 1 && each_fits && sum > c.turn_timeout).then(|| {
                format!(
                    "the skills may take {} together, a turn {}",
                    span(sum),
                    span(c.turn_timeout)
                )
            })
        },
        why: "a turn that uses each of them once can end in the middle of the last",
        mend: "shorten their timeouts, or lengthen turn_timeout",
    },
];

const fn touches(m: &SkillManifest, what: Touches) -> bool {
    m.touches.contains(what)
}
