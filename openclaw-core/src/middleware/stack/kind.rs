//! The five families of stacks, and what each has built in.

use std::time::Duration;

use super::{
    Span, Switch,
    settings::{
        BreakerSettings, ConcurrencySettings, JitterSetting, RateSettings, RetrySettings, Settings,
    },
};

/// A family of stacks.
///
/// | built in | skill | send | http | admission | agent |
/// |---|---|---|---|---|---|
/// | total timeout | 30 s | 30 s | 30 s | off | 5 min |
/// | retry | 4 tries from 500 ms | 5 tries from 1 s | 7 tries: 1, 2, 4 … 32 s | off | off |
/// | rate limit | off | off | off | 100 a minute | off |
/// | concurrency | 64 | 64 | 64 | 1,024 | 1,024 |
/// | breaker | 5 in a row, 60 s | 5 in a row, 60 s | 5 in a row, 60 s | off | off |
/// | attempt timeout | 10 s | 10 s | 10 s | off | off |
///
/// Rate limits and breakers count by tenant, in every family: admission, too, and not by sender
/// or address. [`Resilience::admission`](super::Resilience::admission) shows how a host limits
/// those. A rate limit that is off has no quota; what the other side says of its own limit, it
/// heeds all the same: see [`Settings::rate_limit`].
///
/// An agent's attempts and a reply's later ones are the gateway's: they outlive the process. In a
/// gateway the retry of an agent's stack repeats nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(clippy::exhaustive_enums, reason = "a host must handle every family")]
pub enum Kind {
    /// Calls of skills.
    Skill,
    /// Sends of channels.
    Send,
    /// HTTP requests.
    Http,
    /// Messages that come in.
    Admission,
    /// Turns of agents.
    Agent,
}

impl Kind {
    /// Every family.
    pub const ALL: [Self; 5] = [Self::Skill, Self::Send, Self::Http, Self::Admission, Self::Agent];

    /// The family's name in a configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Skill => "skill",
            Self::Send => "send",
            Self::Http => "http",
            Self::Admission => "admission",
            Self::Agent => "agent",
        }
    }

    /// What is built in: every setting that has a value.
    #[must_use]
    pub fn settings(self) -> Settings {
        match self {
            Self::Skill => outbound(4, 500),
            Self::Send => outbound(5, 1_000),
            Self::Http => outbound(7, 1_000),
            Self::Admission => Settings {
                total_timeout: Some(Switch::Off),
                rate_limit: Some(Switch::On(RateSettings {
                    calls: Some(100),
                    per: seconds(60),
                    ..rate()
                })),
                ..inbound()
            },
            Self::Agent => Settings { total_timeout: seconds(300).map(Switch::On), ..inbound() },
        }
    }
}

fn outbound(attempts: u32, base_ms: u64) -> Settings {
    Settings {
        total_timeout: seconds(30).map(Switch::On),
        retry: Some(Switch::On(RetrySettings {
            attempts: Some(attempts),
            base: Some(Duration::from_millis(base_ms).into()),
            factor: Some(2.0),
            cap: seconds(32),
            jitter: Some(JitterSetting::Full),
            budget: Some(100),
        })),
        rate_limit: Some(Switch::Off),
        concurrency: Some(Switch::On(concurrency(64))),
        breaker: Some(Switch::On(BreakerSettings {
            consecutive_failures: Some(5),
            failure_rate: Some(0.5),
            minimum_calls: Some(10),
            slow_call_rate: Some(1.0),
            open_wait: seconds(60),
            max_open_wait: seconds(300),
            half_open_calls: Some(3),
            ..BreakerSettings::default()
        })),
        attempt_timeout: seconds(10).map(Switch::On),
    }
}

fn inbound() -> Settings {
    Settings {
        total_timeout: None,
        retry: Some(Switch::Off),
        rate_limit: Some(Switch::Off),
        concurrency: Some(Switch::On(concurrency(1_024))),
        breaker: Some(Switch::Off),
        attempt_timeout: Some(Switch::Off),
    }
}

fn concurrency(limit: usize) -> ConcurrencySettings {
    let max_wait = seconds(5);
    ConcurrencySettings { limit: Some(limit), max_wait, ..ConcurrencySettings::default() }
}

fn rate() -> RateSettings {
    RateSettings { keys: Some(100_000), learn: Some(true), ..RateSettings::default() }
}

fn seconds(s: u64) -> Option<Span> {
    Some(Duration::from_secs(s).into())
}
