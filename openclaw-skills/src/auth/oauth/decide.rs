//! What to do about a grant, and what becomes of it. Pure: `now` comes in, and is the store's.

use std::time::Duration;

use openclaw_core::{Digest, Timestamp};

use super::record::{Granted, Hidden, Phase, ReauthReason, Record, Tokens};

/// How long one request for tokens may hold the row.
pub(super) const LEASE: Duration = Duration::from_secs(60);

/// How young a token is that is not replaced again. It replaced a refused one and is refused
/// itself: another would be refused, too.
pub(super) const YOUNG: Duration = Duration::from_secs(30);

/// Between two failed requests: 1 s, twice as long each time, at most this.
pub(super) const MAX_PAUSE: Duration = Duration::from_secs(300);

/// How far a date may be off that was reckoned between two answers of the store.
const SLACK: Duration = Duration::from_secs(5);

/// How often somebody else's work is looked at.
pub(super) const LOOK: Duration = Duration::from_millis(250);

/// How long a token is used beside somebody else's work, or a store that is down, without a look.
pub(super) const BESIDE: Duration = Duration::from_secs(1);

/// How tokens come about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flow {
    /// By the client's own credentials: no person is needed.
    Client,
    /// By a refresh token that a person's consent brought.
    Person,
}

/// Who asks, and for what.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ask {
    pub(super) flow: Flow,
    pub(super) client: Digest,
    /// This process, or rather this source.
    pub(super) holder: u64,
    /// Tokens up to this generation were refused by the resource; 0 is none.
    pub(super) refused: u64,
}

/// What to do.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Step {
    /// Use the token of the record, and look again at this date.
    Use { until: Timestamp },
    /// Write this record, and then ask for tokens.
    Claim(Record),
    /// Write this record: only a person helps.
    End(Record),
    /// Look again after this pause: somebody else asks.
    Wait(Duration),
    /// Fail, and say when to come again.
    Later(Duration),
    /// Fail: the resource refuses a token that has just replaced a refused one.
    Refused,
    /// Fail: only a person helps.
    Ended(ReauthReason),
}

/// What to do about this record.
pub(super) fn decide(record: Option<&Record>, ask: Ask, now: Timestamp) -> Step {
    let before = record.map_or(0, |record| record.generation);
    let record = match (record.filter(|record| record.client == ask.client), ask.flow) {
        (Some(record), _) => record.clone(),
        (None, Flow::Client) => Record::new(ask.client, before),
        (None, Flow::Person) => return Step::Ended(ReauthReason::NeverAuthorised),
    };
    let tokens = record.tokens.as_ref().filter(|_| record.generation > ask.refused);
    let usable = tokens.filter(|tokens| now < tokens.expires_at);
    if let Some(tokens) = usable
        && now < tokens.fresh_until
    {
        return Step::Use { until: tokens.fresh_until };
    }
    // What can't be done now: a token that is valid still is used meanwhile.
    let or_use = |until: Timestamp, step: Step| match usable {
        Some(tokens) => Step::Use { until: until.min(tokens.expires_at) },
        None => step,
    };
    match record.phase {
        Phase::NeedsReauth { why, .. } => Step::Ended(why),
        Phase::Refreshing { holder, until }
            if holder != ask.holder && is_ahead(until, now, LEASE) =>
        {
            or_use(now.after(BESIDE), Step::Wait(until.since(now).min(LOOK)))
        }
        Phase::Idle { not_before } if is_ahead(not_before, now, MAX_PAUSE) => {
            or_use(not_before, Step::Later(not_before.since(now)))
        }
        _ if was_just_replaced(&record, ask, now) => Step::Refused,
        _ if ask.flow == Flow::Person && record.refresh.is_none() => {
            let step = Step::End(ended(&record, ReauthReason::NoRefreshToken, now));
            or_use(Timestamp::MAX, step)
        }
        _ => {
            let replaces = record.tokens.is_some() && record.generation <= ask.refused;
            Step::Claim(Record { replaces, ..claimed(record, ask.holder, now) })
        }
    }
}

/// Is the date to come, and no further off than it can be set?
///
/// A clock that was set back must not make anybody wait for days.
pub(super) fn is_ahead(date: Timestamp, now: Timestamp, at_most: Duration) -> bool {
    now < date && date.since(now) <= at_most + SLACK
}

fn was_just_replaced(record: &Record, ask: Ask, now: Timestamp) -> bool {
    // What was meant to replace a token, and failed, has replaced nothing.
    let replaced = record.replaces && record.phase == idle() && record.tries == 0;
    let refused = replaced && record.generation <= ask.refused;
    // Other clocks may be ahead.
    let young = |tokens: &Tokens| is_ahead(tokens.obtained_at.after(YOUNG), now, MAX_PAUSE);
    refused && record.tokens.as_ref().is_some_and(young)
}

/// The record of somebody who is about to ask for tokens.
fn claimed(record: Record, holder: u64, now: Timestamp) -> Record {
    // Whoever asked last never came back.
    let lost = matches!(record.phase, Phase::Refreshing { .. });
    let phase = Phase::Refreshing { holder, until: now.after(LEASE) };
    Record { phase, doubt: record.doubt || lost, ..record }
}

/// The record after tokens were issued. Their life is counted from when they were `asked` for: the
/// server's own count begins before its answer is here.
pub(super) fn granted(record: Record, new: Granted, skew: Duration, asked: Timestamp) -> Record {
    // Half of a short life is fresh, so that no token is stale from the start.
    let fresh = new.lifetime.saturating_sub(skew).max(new.lifetime / 2);
    let tokens = Tokens {
        access: Hidden(new.access),
        obtained_at: asked,
        fresh_until: asked.after(fresh),
        expires_at: asked.after(new.lifetime),
    };
    Record {
        generation: record.generation + 1,
        tokens: Some(tokens),
        refresh: new.refresh.map(Hidden).or(record.refresh),
        phase: idle(),
        tries: 0,
        doubt: false,
        ..record
    }
}

/// The record after the server did not accept the refresh token.
pub(super) fn revoked(record: &Record, now: Timestamp) -> Record {
    let lost = record.doubt;
    let why = if lost { ReauthReason::RotationLost } else { ReauthReason::Revoked };
    ended(record, why, now)
}

/// The record of a grant that only a person can renew. Nothing secret stays in it.
pub(super) fn ended(record: &Record, why: ReauthReason, now: Timestamp) -> Record {
    let phase = Phase::NeedsReauth { why, since: now };
    Record { phase, ..Record::new(record.client, record.generation) }
}

/// The record after a request that brought nothing. `doubt`: the server may have issued tokens.
pub(super) fn failed(
    record: Record,
    doubt: bool,
    retry_after: Option<Duration>,
    now: Timestamp,
) -> Record {
    let pause = Duration::from_secs(1 << record.tries.min(16)).max(retry_after.unwrap_or_default());
    let phase = Phase::Idle { not_before: now.after(pause.min(MAX_PAUSE)) };
    Record { phase, tries: record.tries.saturating_add(1), doubt: record.doubt || doubt, ..record }
}

const fn idle() -> Phase {
    Phase::Idle { not_before: Timestamp::from_millis(0) }
}

#[cfg(test)]
mod tests {
    use openclaw_core::Secret;
    use proptest::prelude::*;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);
    const SKEW: Duration = Duration::from_secs(300);
    const START: Timestamp = Timestamp::from_millis(1_767_225_600_000);

    fn client() -> Digest {
        Digest::of("test", ["client"])
    }

    fn ask(flow: Flow, refused: u64) -> Ask {
        Ask { flow, client: client(), holder: 1, refused }
    }

    fn issued(lifetime: Duration) -> Granted {
        Granted { access: Secret::new("a"), lifetime, refresh: Some(Secret::new("r")) }
    }

    /// A record whose first token lives for an hour from the start.
    fn ready() -> Record {
        granted(Record::new(client(), 0), issued(HOUR), SKEW, START)
    }

    fn at(seconds: u64) -> Timestamp {
        START.after(Duration::from_secs(seconds))
    }

    fn is_claim(step: &Step) -> bool {
        matches!(step, Step::Claim(_))
    }

    #[test]
    fn a_token_is_replaced_300_s_before_its_end_or_at_half_a_short_life() {
        let person = ask(Flow::Person, 0);
        let last = at(3299);
        assert_eq!(decide(Some(&ready()), person, last), Step::Use { until: at(3300) });
        assert!(is_claim(&decide(Some(&ready()), person, at(3300))));
        let short = granted(Record::new(client(), 0), issued(Duration::from_secs(60)), SKEW, START);
        assert_eq!(decide(Some(&short), person, at(29)), Step::Use { until: at(30) });
        assert!(is_claim(&decide(Some(&short), person, at(30))));
    }

    #[test]
    fn while_somebody_else_asks_a_valid_token_is_used_and_an_invalid_one_waits() {
        let other = claimed(ready(), 2, at(3400));
        let person = ask(Flow::Person, 0);
        assert_eq!(decide(Some(&other), person, at(3400)), Step::Use { until: at(3401) });
        let late = claimed(ready(), 2, at(3700));
        assert_eq!(decide(Some(&late), person, at(3700)), Step::Wait(LOOK));
        assert!(is_claim(&decide(Some(&late), person, at(3760))), "its lease has run out");
        assert!(is_claim(&decide(Some(&late), Ask { holder: 2, ..person }, at(3701))), "its own");
    }

    #[test]
    fn a_lease_that_ran_out_leaves_a_doubt_and_a_refusal_behind_it_says_so() {
        let dead = claimed(ready(), 2, at(3700));
        let Step::Claim(mine) = decide(Some(&dead), ask(Flow::Person, 0), at(3800)) else {
            panic!("it is free");
        };
        assert!(mine.doubt);
        let over = revoked(&mine, at(3801));
        assert_eq!(
            decide(Some(&over), ask(Flow::Person, 0), at(9_999_999)),
            Step::Ended(ReauthReason::RotationLost)
        );
        assert_eq!((over.tokens, over.refresh), (None, None));
        let plain = revoked(&claimed(ready(), 1, at(3700)), at(3701));
        let step = decide(Some(&plain), ask(Flow::Person, 0), at(3702));
        assert_eq!(step, Step::Ended(ReauthReason::Revoked));
    }

    #[test]
    fn failures_are_further_and_further_apart() {
        let person = ask(Flow::Person, 0);
        let (mut record, mut now, mut pauses) = (ready(), at(3700), Vec::new());
        for _ in 0..11 {
            record = failed(claimed(record, 1, now), false, None, now);
            let Step::Later(pause) = decide(Some(&record), person, now) else { panic!("it waits") };
            pauses.push(pause.as_secs());
            now = now.after(pause);
            assert!(is_claim(&decide(Some(&record), person, now)));
        }
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        let told = failed(ready(), false, Some(Duration::from_secs(90)), at(3700));
        assert_eq!(decide(Some(&told), person, at(3700)), Step::Later(Duration::from_secs(90)));
    }

    #[test]
    fn a_refused_token_is_replaced_once_and_its_young_successor_is_not() {
        let Step::Claim(claim) = decide(Some(&ready()), ask(Flow::Person, 1), at(31)) else {
            panic!("a refused token is replaced")
        };
        let next = granted(claim, issued(HOUR), SKEW, at(31));
        assert_eq!(decide(Some(&next), ask(Flow::Person, 2), at(40)), Step::Refused);
        assert!(is_claim(&decide(Some(&next), ask(Flow::Person, 2), at(61))));
        assert!(is_claim(&decide(Some(&ready()), ask(Flow::Person, 1), at(1))));
        let Step::Claim(claim) = decide(Some(&ready()), ask(Flow::Person, 1), at(5)) else {
            panic!("a refused token is replaced")
        };
        let down = failed(claim, false, None, at(5));
        assert!(
            is_claim(&decide(Some(&down), ask(Flow::Person, 1), at(7))),
            "nothing was replaced"
        );
        let adopted = decide(Some(&next), ask(Flow::Person, 1), at(40));
        assert!(matches!(adopted, Step::Use { .. }), "somebody else has replaced it");
    }

    #[test]
    fn another_clients_tokens_are_nobodys() {
        let other = Ask { client: Digest::of("test", ["other"]), ..ask(Flow::Person, 0) };
        let step = decide(Some(&ready()), other, at(0));
        assert_eq!(step, Step::Ended(ReauthReason::NeverAuthorised));
        let Step::Claim(fresh) = decide(Some(&ready()), Ask { flow: Flow::Client, ..other }, at(0))
        else {
            panic!("it needs nobody");
        };
        assert_eq!((fresh.tokens, fresh.refresh, fresh.generation), (None, None, 1));
    }

    #[test]
    fn without_refresh_token_the_grant_ends_with_its_token() {
        let bare = Record { refresh: None, ..ready() };
        let valid = decide(Some(&bare), ask(Flow::Person, 0), at(3400));
        assert_eq!(valid, Step::Use { until: at(3600) });
        let Step::End(over) = decide(Some(&bare), ask(Flow::Person, 0), at(3600)) else {
            panic!("nothing renews it");
        };
        let phase = Phase::NeedsReauth { why: ReauthReason::NoRefreshToken, since: at(3600) };
        assert_eq!(over.phase, phase);
    }

    #[test]
    fn a_clock_that_was_set_back_makes_nobody_wait_for_days() {
        let day = Duration::from_secs(86_400);
        let back = Timestamp::from_millis(START.as_millis() - 86_400_000);
        let expired = Record { tokens: None, ..ready() };
        let leased = claimed(expired.clone(), 2, START);
        assert!(is_claim(&decide(Some(&leased), ask(Flow::Person, 0), back)));
        let paused = failed(expired, false, Some(day), START);
        assert!(is_claim(&decide(Some(&paused), ask(Flow::Person, 0), back)));
    }

    #[test]
    fn a_date_that_is_a_little_further_off_than_it_is_set_counts() {
        let person = ask(Flow::Person, 0);
        let expired = Record { tokens: None, ..ready() };
        let leased = claimed(expired.clone(), 2, at(5));
        assert_eq!(decide(Some(&leased), person, at(0)), Step::Wait(LOOK));
        let paused = failed(expired, false, Some(MAX_PAUSE), at(5));
        assert!(matches!(decide(Some(&paused), person, at(0)), Step::Later(_)));
    }

    #[derive(Clone, Debug)]
    enum Act {
        Pass(u64),
        /// One of two sources asks; what becomes of it when it claims.
        Ask(u64, End),
        Refuse,
    }

    #[derive(Clone, Copy, Debug)]
    enum End {
        Granted(u64),
        Failed {
            doubt: bool,
        },
        Revoked,
        /// The process died.
        Never,
    }

    fn acts() -> impl Strategy<Value = Vec<Act>> {
        let end = prop_oneof![
            4 => (0_u64..4000).prop_map(End::Granted),
            3 => any::<bool>().prop_map(|doubt| End::Failed { doubt }),
            1 => Just(End::Revoked),
            2 => Just(End::Never),
        ];
        let act = prop_oneof![
            4 => (0_u64..2000).prop_map(Act::Pass),
            6 => ((1_u64..3), end).prop_map(|(holder, end)| Act::Ask(holder, end)),
            1 => Just(Act::Refuse),
        ];
        proptest::collection::vec(act, 1..80)
    }

    proptest! {
        #[test]
        fn whatever_happens_the_rules_of_a_grant_hold(
            acts in acts(),
            flow in prop_oneof![Just(Flow::Client), Just(Flow::Person)],
        ) {
            let (mut row, mut now, mut refused) = (ready(), START, 0);
            for act in acts {
                let (holder, end) = match act {
                    Act::Pass(seconds) => {
                        now = now.after(Duration::from_secs(seconds));
                        continue;
                    }
                    Act::Refuse => {
                        refused = row.generation;
                        continue;
                    }
                    Act::Ask(holder, end) => (holder, end),
                };
                let asked = Ask { flow, client: client(), holder, refused };
                let step = decide(Some(&row), asked, now);
                let over = matches!(row.phase, Phase::NeedsReauth { .. });
                prop_assert_eq!(over, matches!(step, Step::Ended(_)), "terminal, and visible");
                match step {
                    Step::Use { until } => {
                        let tokens = row.tokens.as_ref().expect("a token to use");
                        prop_assert!(now < until && until <= tokens.expires_at);
                        prop_assert!(row.generation > refused);
                    }
                    Step::Wait(pause) | Step::Later(pause) => {
                        prop_assert!(!pause.is_zero() && pause <= MAX_PAUSE);
                    }
                    Step::Claim(mine) => {
                        if let Phase::Refreshing { holder: other, until } = row.phase {
                            prop_assert!(other == holder || until <= now, "one at a time");
                        }
                        if let Phase::Idle { not_before } = row.phase {
                            prop_assert!(not_before <= now, "no hot loop");
                        }
                        row = match end {
                            End::Granted(s) => granted(mine, issued(Duration::from_secs(s)), SKEW, now),
                            End::Failed { doubt } => failed(mine, doubt, None, now),
                            End::Revoked if flow == Flow::Person => revoked(&mine, now),
                            End::Revoked | End::Never => mine,
                        };
                    }
                    Step::End(ended) => row = ended,
                    Step::Refused => prop_assert!(row.generation <= refused),
                    Step::Ended(_) => {}
                }
            }
        }
    }
}
